"""Readouts against slow sums over bins and tracks, of arrays and of tensors."""

from __future__ import annotations

import logging

import keras
import numpy as np
import pytest

from crested_like import attach, tl
from crested_like._errors import GeneError, GeometryError, RegionError, TrackError
from crested_like.genome import Gene, Region, Transcript, reverse_complement_one_hot
from crested_like.tl import Readout

GTF = "".join(
    f'{chrom}\tme\texon\t{first}\t{last}\t.\t+\t.\tgene_id "{gene}"; transcript_id "{gene}"; gene_name "{name}";\n'
    for chrom, first, last, gene, name in (
        ("chr1", 1453, 1460, "E1", "ONE"),
        ("chr1", 1500, 1507, "E1", "ONE"),
        ("chr1", 1450, 1451, "E2", "TWICE"),
        ("chr1", 1460, 1461, "E3", "TWICE"),
        ("chrX", 1450, 1500, "E4", "PAR"),
        ("chr1", 1500, 1510, "E5", "PAR"),
    )
)
#: The bins of the model's input chr1:1,001-2,024: 16 of 8 bp, from 1,448 on (0-based).
WINDOW, ORIGIN, BIN = ("chr1", 1000, 2024), 1448, 8
STRANDED = {
    "identifier": ["a+", "a-", "b", "c+", "c-"],
    "description": ["RNA:liver", "RNA:liver", "DNASE:liver", "RNA:brain", "RNA:brain"],
    "strand_pair": [1, 0, 2, 4, 3],
}


@pytest.fixture
def predictions(rng):
    """Of three sequences: ``(3, 16, 5)``, not negative."""
    return rng.gamma(1.0, 3.0, (3, 16, 5)).astype("float32")


@pytest.fixture(scope="module")
def stranded(model):
    import pandas as pd

    return attach(keras.Model(model.input, model.output, name="stranded"), pd.DataFrame(STRANDED))


def tensor_of(array):
    return keras.ops.convert_to_tensor(array)


def slow(predictions, tracks, weights, *, reduce="sum", log=False, over_tracks="mean"):
    """The number of each sequence, value by value, in Python floats."""
    found = []
    for y in predictions.astype(float):
        values = []
        for track in tracks:
            bins = [(w, y[i, track]) for i, w in enumerate(weights) if w > 0]
            total = max(v for _, v in bins) if reduce == "max" else sum(w * v for w, v in bins)
            value = total / sum(w for w, _ in bins) if reduce == "mean" else total
            values.append(np.log2(1 + value) if log else value)
        found.append(values if over_tracks is None else sum(values) / (len(values) if over_tracks == "mean" else 1))
    return np.array(found)


def check(bound, predictions, want):
    """Arrays and tensors give the same, from predictions of the readout's channels alone."""
    y = predictions[..., bound.channels]
    found = bound.of_array(y)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, want, rtol=1e-6)
    tensor = bound.of_tensor(tensor_of(y))
    assert keras.backend.standardize_dtype(tensor.dtype) == "float32"
    np.testing.assert_allclose(keras.ops.convert_to_numpy(tensor), want, rtol=1e-5, atol=1e-5)  # float32 sums


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("over_tracks", ["mean", "sum", None])
def test_bins_and_tracks(model, predictions, reduce, log, over_tracks):
    options = {"reduce": reduce, "log": log, "over_tracks": over_tracks}
    bound = Readout([3, 0, 1], bins=[2, 5, 6], **options).bind(model)
    weights = [float(i in (2, 5, 6)) for i in range(16)]
    check(bound, predictions, slow(predictions, [3, 0, 1], weights, **options))
    against = Readout([3, 0], against=[0, 4], bins=[2, 5, 6], **options).bind(model)
    want = slow(predictions, [3, 0], weights, **options) - slow(predictions, [0, 4], weights, **options)
    check(against, predictions, want)


def test_everything_by_default(model, predictions):
    bound = Readout().bind(model)
    check(bound, predictions, slow(predictions, range(5), np.ones(16)))
    assert bound.is_scalar
    assert bound.shape == (16, 5)
    assert bound.head == "head_human"
    assert bound.of_array(predictions[:0]).shape == (0,)


@pytest.mark.parametrize("overlap", ["any", "majority", "fraction"])
@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize(
    ("place", "bases"),
    [
        ({"region": "chr1:1461-1468"}, {*range(1460, 1468)}),
        ({"region": ("chr1", 1452, 1500)}, {*range(1452, 1500)}),
        ({"region": Region("chr1", 1463, 1465)}, {1463, 1464}),
        ({"gene": "ONE"}, {*range(1452, 1460), *range(1499, 1507)}),
        ({"gene": "E2"}, {1449, 1450}),
        ({"gene": Gene("G", "E", "chr1", "-", ((1453, 1475), (1480, 1481)))}, {*range(1453, 1475), 1480}),
        ({"gene": Transcript("T", "G", "chr1", "-", ((1453, 1475), (1470, 1481)))}, {*range(1453, 1481)}),
    ],
)
def test_places_of_a_genome(model, predictions, place, bases, overlap, reduce, tmp_path):
    (tmp_path / "genes.gtf").write_text(GTF)
    share = np.array(
        [sum(ORIGIN + BIN * i <= base < ORIGIN + BIN * (i + 1) for base in bases) / BIN for i in range(16)]
    )
    weights = {"any": share > 0, "majority": share >= 0.5, "fraction": share}[overlap].astype(float)
    readout = Readout([1, 4], **place, gtf=tmp_path / "genes.gtf", overlap=overlap, reduce=reduce)
    if not weights.any():
        with pytest.raises(RegionError, match="none of its bins is covered by half"):
            readout.bind(model, WINDOW)
        return
    bound = readout.bind(model, WINDOW)
    check(bound, predictions, slow(predictions, [1, 4], weights, reduce=reduce))
    assert bound.covered == 1


def test_a_gene_of_two_chromosomes_is_the_one_of_the_window(model, tmp_path):
    (tmp_path / "genes.gtf").write_text(GTF)
    readout = Readout(gene="PAR", gtf=tmp_path / "genes.gtf")
    assert np.flatnonzero(readout.bind(model, WINDOW).weights).tolist() == [6, 7]
    assert np.flatnonzero(readout.bind(model, ("chrX", 1000, 2024)).weights).tolist() == [*range(7)]
    with pytest.raises(RegionError, match=r"exons of PAR on chr1 and chrX; the window is on chr2"):
        readout.bind(model, ("chr2", 1000, 2024))


def test_a_place_that_is_partly_outside_is_told_once(model, caplog):
    readout = Readout(region=("chr1", 1400, 1496))
    with caplog.at_level(logging.WARNING):
        assert [readout.bind(model, WINDOW).covered for _ in range(3)] == [0.5, 0.5, 0.5]
    assert [record.message for record in caplog.records] == [
        "Only 50.0% of chr1:1401-1496 lie in the bins of the window chr1:1001-2024."
    ]


def test_tracks_by_name_and_what_was_read_out(stranded, predictions):
    bound = Readout("RNA brain", against="a+", bins=range(4), log=True).bind(stranded)
    assert bound.channels.tolist() == [0, 3, 4]
    weights = [1.0] * 4 + [0.0] * 12
    check(bound, predictions, slow(predictions, [3, 4], weights, log=True) - slow(predictions, [0], weights, log=True))
    assert bound.describe() == {
        "head": "head_human",
        "tracks": ["c+", "c-"],
        "against": ["a+"],
        "where": "bins 0 to 3",
        "bins": 4,
        "reduce": "sum",
        "log": True,
        "over_tracks": "mean",
    }


def test_models_with_one_value_per_sequence(rng):
    dna = keras.Input((64, 4))
    model = keras.Model(dna, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(dna)))
    y = rng.normal(size=(4, 3)).astype("float32")
    bound = Readout([0, 1], against=[2]).bind(model)
    check(bound, y, y[:, :2].mean(axis=1) - y[:, 2])
    assert bound.shape == (3,)
    for place in ({"bins": 0}, {"region": "chr1:1-10"}, {"gene": Gene("G", "E", "chr1", "+", ((1, 5),))}):
        with pytest.raises(GeometryError, match="one value per sequence and no bins, so a readout of it cannot have"):
            Readout(**place).bind(model, ("chr1", 0, 64))


# --- strands


def test_the_reverse_complement_of_a_model_that_treats_both_strands_alike(stranded, predictions):
    """What such a model predicts for the other strand: bins turned, tracks of opposite strands swapped."""
    turned = predictions[:, ::-1][..., STRANDED["strand_pair"]]
    for options in ({"bins": range(2, 6)}, {"region": "chr1:1450-1477", "overlap": "fraction"}, {"reduce": "max"}):
        bound = Readout(["a+", "b"], against=["c-"], log=True, **options).bind(stranded, WINDOW)
        other = bound.rc()
        want = bound.of_array(predictions[..., bound.channels])
        np.testing.assert_allclose(other.of_array(turned[..., other.channels]), want, rtol=1e-6)
        unswapped = bound.rc(unstranded=True)
        assert np.abs(unswapped.of_array(turned[..., unswapped.channels]) - want).min() > 1e-3, "the swap matters"
        np.testing.assert_array_equal(other.rc().weights, bound.weights)
        np.testing.assert_array_equal(other.rc().tracks, bound.tracks)


def test_the_mean_of_both_strands_is_that_of_predict(stranded, one_hot):
    bound = Readout(["a+", "b"], against=["a-", "c+", "c-"], bins=range(2, 6)).bind(stranded)
    other = bound.rc()
    want = bound.of_array(tl.predict(one_hot, stranded, tracks=bound.channels, rc=True))
    forward = bound.of_array(tl.predict(one_hot, stranded, tracks=bound.channels))
    back = other.of_array(tl.predict(reverse_complement_one_hot(one_hot), stranded, tracks=other.channels))
    np.testing.assert_allclose((forward + back) / 2, want, rtol=1e-5)


def test_the_reverse_complement_needs_strand_pairs(model):
    bound = Readout([0]).bind(model)
    with pytest.raises(TrackError, match="names no strand pairs"):
        bound.rc()
    assert bound.rc(unstranded=True).tracks.tolist() == [0]


# --- gradients


@pytest.mark.skipif(keras.backend.backend() == "openvino", reason="OpenVINO takes no gradients")
@pytest.mark.parametrize(
    "options",
    [
        {"bins": [2, 5, 6], "log": True, "against": [0, 4]},
        {"reduce": "max", "over_tracks": "sum"},
        {"reduce": "mean", "over_tracks": None, "log": True},
        {"region": "chr1:1450-1477", "overlap": "fraction"},
    ],
)
def test_gradients(model, predictions, options, loss_gradient, numeric_gradient):
    bound = Readout([3, 0], **options).bind(model, WINDOW)
    y = predictions[:1][..., bound.channels]
    found = loss_gradient(lambda _, x: keras.ops.sum(bound.of_tensor(x)), None, y)
    want = numeric_gradient(lambda x: bound.of_array(x).sum(), y)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-6)  # central differences of float32
    assert np.abs(want).max() > 0


def test_half_precision_is_summed_in_float32(model):
    y = np.full((1, 16, 5), 6000.0, "float16")  # sums go beyond what float16 can hold
    assert float(keras.ops.convert_to_numpy(Readout().bind(model).of_tensor(tensor_of(y)))[0]) == 96_000


# --- what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bins": 1, "region": "chr1:1-10"}, "bins, a region or a gene; got bins and region"),
        ({"gene": "ONE"}, "The gene 'ONE' has to be looked up: give gtf="),
        ({"overlap": "half"}, "overlap must be one of 'any', 'majority', 'fraction'; got 'half'"),
        ({"reduce": "median"}, "reduce must be one of 'sum', 'mean', 'max'; got 'median'"),
        ({"over_tracks": "max"}, "over_tracks must be one of 'mean', 'sum'; got 'max'"),
        ({"reduce": "max", "overlap": "fraction"}, "A maximum counts whole bins"),
        ({"region": "here"}, "'here' is neither a region"),
        ({"region": ["chr1:1-5", "chr1:9-12"]}, "region must be one region; got 2"),
    ],
)
def test_choices_that_mean_nothing(options, message):
    with pytest.raises(ValueError, match=message):
        Readout(**options)


def test_unknown_genes(model, tmp_path):
    (tmp_path / "genes.gtf").write_text(GTF)
    with pytest.raises(GeneError, match=r"'ONCE'\. Did you mean 'ONE'"):
        Readout(gene="ONCE", gtf=tmp_path / "genes.gtf")
    with pytest.raises(
        GeneError, match=r"2 genes on chr1 are called 'TWICE': chr1:1450-1451, chr1:1460-1461\. Ask for"
    ):
        Readout(gene="TWICE", gtf=tmp_path / "genes.gtf").bind(model, WINDOW)
    with pytest.raises(TypeError, match="A gene is a name, a Gene or a Transcript; got 3"):
        Readout(gene=3)


def test_windows(model):
    readout = Readout(region="chr1:1461-1468")
    with pytest.raises(
        RegionError, match=r"counts chr1:1461-1468, which is a place on a genome, but the input is a seq"
    ):
        readout.bind(model)
    with pytest.raises(GeometryError, match=r"chr1:1001-2023 has 1,023 bases; the model takes exactly 1,024"):
        readout.bind(model, ("chr1", 1000, 2023))
    with pytest.raises(RegionError, match=r"which cover chr1:9449-9576, no base of it lies there\. Move the window"):
        readout.bind(model, ("chr1", 9000, 10024))


def test_heads_and_contrasts(two_heads, model, stranded):
    with pytest.raises(TrackError, match=r"heads 'human', 'mouse': pick one with Readout\(head=\)"):
        Readout().bind(two_heads)
    assert Readout(head="mouse").bind(two_heads).channels.tolist() == [0, 1, 2]
    with pytest.raises(TrackError, match=r"tracks has 2 and against 1\. Choose as many"):
        Readout([0, 1], against=[2], over_tracks=None).bind(model)
    with pytest.raises(TrackError, match="No such track: 7"):
        Readout([0], against=[7]).bind(model)
    bound = Readout(over_tracks=None).bind(model)
    with pytest.raises(
        TrackError, match=r"explain\(\) follows one number a sequence, and this .* each of its 5 tracks"
    ):
        bound.require_scalar("explain()")
    Readout().bind(model).require_scalar("explain()")


def test_wrong_predictions(model, predictions):
    bound = Readout([0, 1], log=True).bind(model)
    with pytest.raises(ValueError, match=r"takes predictions of shape \(B, 16, 2\); got \(3, 16, 5\)"):
        bound.of_array(predictions)
    with pytest.raises(ValueError, match=r"takes predictions of shape \(B, 16, 2\); got \(3, 16, 5\)"):
        bound.of_tensor(tensor_of(predictions))
    with pytest.raises(ValueError, match=r"log2\(1 \+ x\) of values above -1; the model predicts -32"):
        bound.of_array(np.full((1, 16, 2), -2.0))


def test_tracks_told_later_are_seen(model):
    import pandas as pd

    fresh = keras.Model(model.input, model.output)
    readout = Readout("liver")
    with pytest.raises(TrackError, match="none are known for this model"):
        readout.bind(fresh)
    attach(fresh, pd.DataFrame(STRANDED))
    assert readout.bind(fresh).tracks.tolist() == [0, 1, 2]
    attach(fresh, pd.DataFrame({"identifier": list("abcde"), "description": ["x", "liver", "x", "x", "x"]}))
    assert readout.bind(fresh).tracks.tolist() == [1]
