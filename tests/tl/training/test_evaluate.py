"""Figures by track, against NumPy."""

import keras
import numpy as np
import pandas as pd
import pytest

from crested_like import attach
from crested_like._card import ModelCard
from crested_like._errors import DatasetError, TrackError
from crested_like.tl import evaluate, predict, zoo
from crested_like.tl.training._evaluate import _rank_correlations


def small(seed=0, tracks=3, names=("a+", "a-", "b")):
    keras.utils.set_random_seed(seed)
    model = zoo.basenji2(
        input_length=128,
        output_bins=8,
        stem_filters=4,
        tower_filters=(4, 6),
        residual_blocks=1,
        residual_filters=2,
        final_filters=6,
        heads={"human": tracks},
    )
    pairs = {"a+": "a-", "a-": "a+"}
    if names is None:
        return model
    table = pd.DataFrame({"identifier": names, "strand_pair": [names.index(pairs.get(name, name)) for name in names]})
    return attach(model, table)


def slow(targets, predictions):
    """Pearson's r and R2 of every track in float64."""
    t, p = (np.asarray(a, np.float64).reshape(-1, a.shape[-1]) for a in (targets, predictions))
    r = [np.corrcoef(t[:, i], p[:, i])[0, 1] for i in range(t.shape[1])]
    r2 = 1 - ((t - p) ** 2).sum(0) / ((t - t.mean(0)) ** 2).sum(0)
    return np.array(r), r2


@pytest.mark.parametrize("batch_size", [None, 2])
def test_figures_of_a_split(folder, batch_size):
    model = small()
    found = evaluate(model, folder.path, batch_size=batch_size, progress=False)
    r, r2 = slow(folder.targets["test"], predict(folder.one_hot("test"), model))
    np.testing.assert_allclose(found["pearson_r"], r, atol=2e-6)
    np.testing.assert_allclose(found["r2"], r2, rtol=1e-5)
    assert found["bins"].tolist() == [5 * 8] * 3
    assert found["identifier"].tolist() == list(folder.identifiers)
    assert found["description"].tolist() == ["about a+", "about a-", "about b"]
    assert set(found["model"]) == {"basenji2"}
    assert set(found["split"]) == {"test"}


def test_several_models_splits_tracks_and_their_mean(folder):
    models = {"one": small(1), "two": small(2)}
    found = evaluate(models, folder.path, split=("valid", "test"), tracks=["b", "a+"], progress=False)
    assert found["model"].tolist() == ["one"] * 2 + ["two"] * 2
    assert found["identifier"].tolist() == ["b", "a+"] * 2
    assert set(found["split"]) == {"valid+test"}
    x = np.concatenate([folder.one_hot("valid"), folder.one_hot("test")])
    y = np.concatenate([folder.targets["valid"], folder.targets["test"]])
    for name, model in models.items():
        want, _ = slow(y, predict(x, model))
        np.testing.assert_allclose(found.loc[found["model"] == name, "pearson_r"], want[[2, 0]], atol=2e-6)
    mean = evaluate(list(models.values()), folder.path, average=True, rc=True, progress=False)
    want, _ = slow(folder.targets["test"], predict(folder.one_hot("test"), list(models.values()), rc=True))
    np.testing.assert_allclose(mean["pearson_r"], want, atol=2e-6)
    assert set(mean["model"]) == {"mean of 2"}


def test_tracks_are_matched_by_name(folder):
    model = small(names=("b", "other", "a-", "a+"), tracks=4)
    found = evaluate(model, folder.path, progress=False)
    p = predict(folder.one_hot("test"), model)
    want, _ = slow(folder.targets["test"], p[..., [3, 2, 0]])
    np.testing.assert_allclose(found["pearson_r"], want, atol=2e-6)


def slow_ranks(values):
    """Mean rank of ties, one by one."""
    return np.array([(np.sum(values < v) + np.sum(values <= v) + 1) / 2 for v in values])


def test_rank_correlation(folder, rng):
    model = small()
    found = evaluate(model, folder.path, spearman=True, progress=False)
    p = predict(folder.one_hot("test"), model)
    want = [
        np.corrcoef(*(slow_ranks(a[..., i].ravel().astype(float)) for a in (folder.targets["test"], p)))[0, 1]
        for i in range(3)
    ]
    np.testing.assert_allclose(found["spearman_r"], want, atol=1e-5)
    ties = rng.integers(0, 3, (50, 2)).astype("float32")
    other = rng.normal(size=(50, 2)).astype("float32")
    other[:, 1] = 4
    one, nothing = _rank_correlations(ties, other)
    assert one == pytest.approx(np.corrcoef(slow_ranks(ties[:, 0]), slow_ranks(other[:, 0]))[0, 1])
    assert np.isnan(nothing)


def test_rank_correlation_needs_memory(folder, monkeypatch):
    monkeypatch.setattr("crested_like.tl.training._evaluate.free_bytes", lambda: 3000)
    with pytest.raises(MemoryError, match=r"choose fewer tracks=, or leave spearman out"):
        evaluate(small(), folder.path, spearman=True, batch_size=1, progress=False)


@pytest.mark.parametrize(("version", "squash"), [("new", lambda x: np.sqrt(1 + x) - 1), ("old", lambda x: x**0.75)])
def test_against_bigwigs(tmp_path, rng, version, squash):
    pytest.importorskip("pysam")
    pytest.importorskip("pybigtools")
    from crested_like import Genome
    from crested_like.genome import write_bigwig

    (tmp_path / "g.fa").write_text(">chr1\n" + "".join(rng.choice(list("ACGT"), 3000)) + "\n")
    coverage = rng.integers(0, 9, 3000).astype(float)
    for name, factor in (("first", 1.0), ("second", 2.0)):
        intervals = [("chr1", i, i + 1, float(v) * factor) for i, v in enumerate(coverage)]
        write_bigwig(tmp_path / f"{name}.bw", {"chr1": 3000}, intervals)
    table = pd.DataFrame({"identifier": ["a", "b", "c"], "sum_stat": ["sum", "sum_sqrt", "mean"]})
    card = ModelCard(name="small", transform=version).with_tracks(table)
    model = attach(small(names=None), card)
    regions = [("chr1", 500, 600), ("chr1", 1500, 1501), ("chr1", 40, 60)]
    genome = Genome(tmp_path / "g.fa")
    files = {"c": tmp_path / "first.bw", "b": tmp_path / "second.bw"}
    found = evaluate(model, files, regions=regions, genome=genome, progress=False)
    starts = [(start + end) // 2 - 32 for _, start, end in regions]
    bins = np.stack([coverage[s : s + 64].reshape(8, 8) for s in starts])
    targets = np.stack([bins.mean(-1), squash(2 * bins.sum(-1))], axis=-1).astype("f2")
    want, want_r2 = slow(targets, predict(regions, model, genome)[..., [2, 1]])
    np.testing.assert_allclose(found["pearson_r"], want, atol=1e-5)
    np.testing.assert_allclose(found["r2"], want_r2, rtol=1e-4)
    assert found["identifier"].tolist() == ["c", "b"]
    by_number = evaluate(model, {2: tmp_path / "first.bw"}, regions=regions, genome=genome, progress=False)
    np.testing.assert_allclose(by_number["pearson_r"], want[:1], atol=1e-5)
    with pytest.raises(DatasetError, match=r"say where: regions= and genome="):
        evaluate(model, files)


def test_a_track_that_does_not_vary_has_no_figures(folder, tmp_path):
    from crested_like.datasets import open_dataset

    source = open_dataset(folder.path)
    read = source.read

    class Flat:
        layout, labels, windows, count, order = source.layout, source.labels, source.windows, source.count, source.order

        @staticmethod
        def read(label, index):
            codes, targets = read(label, index)
            targets = targets.copy()
            targets[:, 1] = 2
            return codes, targets

    found = evaluate(small(), Flat(), progress=False)
    assert found[["pearson_r", "r2"]].isna().any(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: small(names=None, tracks=4), TrackError, "has 4 tracks, the data have 3, and nobody says what"),
        (lambda: small(names=("x", "y", "z")), TrackError, "3 of 3 tracks are not among the model's 3"),
        (lambda: [], ValueError, "needs at least one model; got none"),
    ],
)
def test_models_that_do_not_fit(folder, make, error, message):
    with pytest.raises(error, match=message):
        evaluate(make(), folder.path, progress=False)


def test_windows_that_do_not_fit(folder):
    keras.utils.set_random_seed(0)
    model = zoo.basenji2(
        input_length=64, output_bins=8, stem_filters=4, tower_filters=(4, 6), residual_blocks=0, heads={"human": 3}
    )
    message = "the model has 64 bases, the data have 128; the model has 0 bp before the first bin, the data have 32"
    with pytest.raises(DatasetError, match=message):
        evaluate(model, folder.path, progress=False)
    with pytest.raises(DatasetError, match=r"has no split 'tset', only train, valid, test. Did you mean 'test'"):
        evaluate(small(), folder.path, split="tset", progress=False)
