import logging

import keras
import numpy as np
import pandas as pd
import pytest

from crested_like import attach
from crested_like._errors import GeometryError, TrackError, VariantError
from crested_like.genome import Gene
from crested_like.tl import Readout, score_variants
from crested_like.tl.variants import _unit

from .conftest import BIN, BINS, CROP, LENGTH, local_model

META = ["chrom", "position", "ref", "alt", "name", "status", "genome_ref"]


def window(letters, at, alt=None, start=None):
    """The model's input around a base of chromosome 1, with another base there."""
    start = at - LENGTH // 2 if start is None else start
    text = letters[start : start + LENGTH]
    return text if alt is None else text[: at - start] + alt + text[at - start + 1 :]


def values(table, prefix="SAD"):
    return table.filter(regex=f"^{prefix}(:|$)").to_numpy("float64")


def test_substitutions_as_by_hand(model, genome, letters, snv, predicted):
    texts = [snv(1000), snv(2500), snv(1003)]
    found = score_variants(texts, model, genome, statistics=("SAD", "logSAD", "D2", "REF", "ALT"))
    assert list(found.columns) == META + [f"{s}:{t}" for s in ("SAD", "logSAD", "D2", "REF", "ALT") for t in "abc"]
    assert found["position"].tolist() == [1001, 2501, 1004]
    assert found["name"].tolist() == texts
    assert set(found["status"]) == {"ok"}
    for row, at in enumerate((1000, 2500, 1003)):
        ref, alt = predicted(window(letters, at), window(letters, at, texts[row][-1]))
        np.testing.assert_allclose(values(found, "REF")[row], ref.sum(axis=0), rtol=1e-5)
        np.testing.assert_allclose(values(found, "ALT")[row], alt.sum(axis=0), rtol=1e-5)
        # differences of sums: float32 rounding of either
        np.testing.assert_allclose(values(found)[row], (alt - ref).sum(axis=0), atol=1e-5)
        np.testing.assert_allclose(values(found, "D2")[row], np.sqrt(((alt - ref) ** 2).sum(axis=0)), atol=1e-5)
        change = np.log2(1 + alt.sum(axis=0)) - np.log2(1 + ref.sum(axis=0))
        np.testing.assert_allclose(values(found, "logSAD")[row], change, atol=1e-6)


def test_wrong_ref_is_written_into_the_sequence(model, genome, snv, caplog):
    right = snv(1000)
    chrom, place, ref, alt = right.split(":")
    wrong = f"{chrom}:{place}:{alt}:{ref}"
    with caplog.at_level(logging.WARNING):
        found = score_variants([right, wrong], model, genome)
    assert found["status"].tolist() == ["ok", "ref_mismatch"]
    assert found["genome_ref"].tolist() == [ref, ref]
    assert "REF and ALT may be swapped" in caplog.text
    np.testing.assert_allclose(values(found)[0], -values(found)[1], atol=1e-6)
    assert np.abs(values(found)[0]).max() > 1e-3
    skipped = score_variants([right, wrong], model, genome, on_mismatch="skip")
    assert np.isnan(values(skipped)).all(axis=1).tolist() == [False, True]
    with pytest.raises(VariantError, match="REF is not what genome 'small' has for 1 of 2 variants"):
        score_variants([right, wrong], model, genome, on_mismatch="error")


def test_what_cannot_be_scored_is_told_in_its_place(model, genome, letters, snv):
    texts = ["chr1:1000:A:<DEL>", snv(2000), "chr9:5:A:C", "chr1:9999:A:C", f"chr1:100:{letters[99:239]}:A"]
    found = score_variants(texts, model, genome)
    assert found["name"].tolist() == texts
    assert found["status"].tolist() == [
        "skipped: symbolic allele <DEL>",
        "ok",
        "skipped: chromosome chr9 is not in the genome",
        "skipped: beyond the end of chr1, 5,000 bp",
        "skipped: an allele of 140 bases reaches beyond the window of 256",
    ]
    assert np.isnan(values(found)).all(axis=1).tolist() == [True, False, True, True, True]


# --- insertions and deletions


def silent(letters, at, size=5):
    return f"chr1:{at + 1}:{letters[at]}:{letters[at]}{'ACGTG'[:size]}"


@pytest.mark.parametrize("rc", [False, True])
@pytest.mark.parametrize("make", [silent, lambda letters, at: f"chr1:{at + 1}:{letters[at : at + 6]}:{letters[at]}"])
def test_bins_far_from_an_insertion_or_deletion_do_not_change(model, genome, letters, make, rc):
    text = make(letters, 1000)
    options = {"statistics": ("SAD", "D1"), "rc": rc, "unstranded": rc}
    for region in (("chr1", 920, 980), ("chr1", 1020, 1080)):  # at either side
        readout = Readout(region=region, over_tracks=None)
        found = score_variants([text], model, genome, readout=readout, **{**options, "statistics": "SAD"})
        np.testing.assert_allclose(values(found), 0, atol=1e-5)
    shifted = score_variants([text], model, genome, readout=readout, compensate=False, rc=rc, unstranded=rc)
    assert np.abs(values(shifted)).max() > 1e-2
    # of all bins only those near the variant count, which without compensation would be half of them
    near, everywhere = (score_variants([text], model, genome, local=local, **options) for local in (16, None))
    np.testing.assert_allclose(values(near, "D1"), values(everywhere, "D1"), atol=1e-4)


def test_an_insertion_bin_by_bin(model, genome, letters, predicted):
    at, added = 1002, "ACGTG"
    found = score_variants([silent(letters, at)], model, genome, statistics=("ALT", "D1"))
    start = at - LENGTH // 2
    whole = letters[: at + 1] + added + letters[at + 1 :]
    left, right, ref = predicted(whole[start:][:LENGTH], whole[start + 5 :][:LENGTH], letters[start:][:LENGTH])
    place = (at + 1 - start - CROP) / BIN  # the bin that holds it
    alt = np.stack(
        [left[i] if i + 1 <= place else right[i] if i >= place else (left[i] + right[i]) / 2 for i in range(BINS)]
    )
    np.testing.assert_allclose(values(found, "ALT")[0], alt.sum(axis=0), rtol=1e-5)
    np.testing.assert_allclose(values(found, "D1")[0], np.abs(alt - ref).sum(axis=0), atol=1e-5)


def test_one_value_a_sequence(scalar_model, genome, letters, snv):
    found = score_variants([snv(1000), silent(letters, 1000)], scalar_model, genome)
    assert [name for name in found.columns if name.startswith("SAD")] == ["SAD:0", "SAD:1", "SAD:2"]
    assert (values(found) != 0).all()
    with pytest.raises(GeometryError, match="has one value per sequence and no bins: leave out genes= and local="):
        score_variants([snv(1000)], scalar_model, genome, local=10)


# --- what is compared


def test_bins_near_the_variant(model, genome, letters, snv, predicted):
    found = score_variants([snv(1000)], model, genome, statistics="REF", local=12)
    (ref,) = predicted(window(letters, 1000))
    bins = [i for i in range(BINS) if CROP + i * BIN < 128 + 13 and CROP + (i + 1) * BIN > 128 - 12]
    assert len(bins) == 4
    np.testing.assert_allclose(values(found, "REF")[0], ref[bins].sum(axis=0), rtol=1e-5)


def test_exons_of_the_genes_in_the_window(model, genome, letters, snv, predicted):
    genes = [
        Gene("near", "G1.2", "chr1", "+", ((950, 960), (1010, 1020), (3000, 3010))),
        Gene("other", "G2.1", "chr1", "-", ((1060, 1090),)),
        Gene("around", "G3.1", "chr1", "-", ((10, 20), (4000, 4010))),  # its exons are elsewhere
        Gene("far", "G4.1", "chr2", "-", ((100, 200),)),
    ]
    found = score_variants([snv(1000), snv(2000)], model, genome, genes=genes, tracks=["b"])
    assert found["gene"].tolist() == ["near", "other", ""]
    assert found["gene_id"].tolist() == ["G1.2", "G2.1", ""]
    assert found["status"].tolist() == ["ok", "ok", "skipped: exons of the genes are not in the window"]
    assert list(found.columns[-2:]) == ["SED:b", "logSED:b"]
    ref, alt = predicted(window(letters, 1000), window(letters, 1000, snv(1000)[-1]))
    first = 1000 - 128 + CROP
    bins = [b for b in range(BINS) if any(s < first + (b + 1) * BIN and e > first + b * BIN for s, e in genes[0].exons)]
    sums = [y[bins, 1].sum() for y in (ref, alt)]
    np.testing.assert_allclose(values(found, "SED")[0, 0], sums[1] - sums[0], atol=1e-5)
    np.testing.assert_allclose(values(found, "logSED")[0, 0], np.log2((1 + sums[1]) / (1 + sums[0])), atol=1e-5)
    with pytest.raises(VariantError, match="No variant can be scored, 1 of them because: no exon of the genes"):
        score_variants([snv(2000)], model, genome, genes=genes)


def test_a_readout(model, genome, letters, snv, predicted):
    readout = Readout(["a", "b"], against=["c"], region=("chr1", 980, 1010), log=True)
    found = score_variants([snv(1000), snv(3000)], model, genome, readout=readout)
    assert list(found.columns) == [*META, "SAD"]
    assert found["status"].tolist() == ["ok", "skipped: the readout is not in the window"]
    first = 1000 - 128 + CROP
    bins = [b for b in range(BINS) if first + (b + 1) * BIN > 980 and first + b * BIN < 1010]
    numbers = []
    for y in predicted(window(letters, 1000), window(letters, 1000, snv(1000)[-1])):
        logs = np.log2(1 + y[bins].sum(axis=0))
        numbers.append(logs[:2].mean() - logs[2])
    np.testing.assert_allclose(values(found)[0, 0], numbers[1] - numbers[0], atol=1e-5)
    with pytest.raises(
        VariantError, match="No variant can be scored, 1 of them because: The readout counts chr1:981-1010"
    ):
        score_variants([snv(3000)], model, genome, readout=readout)
    each = score_variants([snv(1000)], model, genome, readout=Readout(["c", "a"], over_tracks=None), statistics="REF")
    assert list(each.columns[-2:]) == ["REF:c", "REF:a"]
    np.testing.assert_allclose(
        values(each, "REF")[0], predicted(window(letters, 1000))[0].sum(axis=0)[[2, 0]], rtol=1e-5
    )


# --- strands, shifts, replicates, tracks


def test_both_strands_and_shifts(model, genome, letters, snv, predicted):
    stranded = attach(local_model(), pd.DataFrame({"identifier": ["x+", "x-", "y"], "strand_pair": [1, 0, 2]}))
    found = score_variants([snv(1000)], stranded, genome, statistics=("REF", "ALT"), rc=True, shifts=(0, 3))
    complement = str.maketrans("ACGT", "TGCA")
    for name, sequence in (("REF", window(letters, 1000)), ("ALT", window(letters, 1000, snv(1000)[-1]))):
        back = sequence.translate(complement)[::-1]
        views = predicted(sequence, "NNN" + sequence[:-3], back, "NNN" + back[:-3])
        views[2:] = views[2:][..., [1, 0, 2]]
        np.testing.assert_allclose(values(found, name)[0], views.mean(axis=0).sum(axis=0), rtol=1e-5)


def test_replicates_and_chosen_tracks(model, genome, letters, snv, predicted):
    other = attach(local_model(5), ["a", "b", "c"])
    found = score_variants([snv(1000)], [model, other], genome, statistics="REF", tracks=["c", "a"])
    assert list(found.columns[-2:]) == ["REF:c", "REF:a"]
    mean = (predicted(window(letters, 1000)) + predicted(window(letters, 1000), model=other)) / 2
    np.testing.assert_allclose(values(found, "REF")[0], mean[0].sum(axis=0)[[2, 0]], rtol=1e-5)


def test_coverage_instead_of_squashed_values(genome, letters, snv, predicted):
    table = pd.DataFrame({"identifier": ["a", "b", "c"], "sum_stat": "sum_sqrt", "clip_soft": 8.0, "scale": 2.0})
    told = attach(local_model(), table)
    found = score_variants([snv(1000)], told, genome, statistics="REF", untransform="new", tracks=["b"])
    coverage = ((predicted(window(letters, 1000))[0, :, 1] + 1) ** 2 - 1) / 2
    np.testing.assert_allclose(values(found, "REF")[0, 0], coverage.sum(), rtol=1e-5)
    with pytest.raises(TrackError, match="untransform=True needs to know how the targets were squashed"):
        score_variants([snv(1000)], told, genome, untransform=True)


# --- one prediction for several


@pytest.fixture
def counted(monkeypatch):
    """How many sequences are predicted."""
    count = []
    plain = _unit._predicted

    def counting(plan, stretches, batch_size):
        count.append(len(stretches))
        return plain(plan, stretches, batch_size)

    monkeypatch.setattr(_unit, "_predicted", counting)
    return count


def test_alleles_of_one_place_share_the_reference(model, genome, letters, counted):
    texts = [f"chr1:1001:{letters[1000]}:{base}" for base in "ACGT" if base != letters[1000]]
    score_variants(texts, model, genome, statistics="SAD")
    assert sum(counted) == 4


def test_neighbours_share_the_reference_if_asked(model, genome, snv, counted, letters, predicted):
    texts = [snv(1010), snv(3000), snv(1000), snv(1006)]
    found = score_variants(texts, model, genome, statistics="SAD", share=10)
    assert sum(counted) == 4 + 2
    assert found["name"].tolist() == texts
    start = 1005 - LENGTH // 2
    ref, alt = predicted(window(letters, 1000, start=start), window(letters, 1000, snv(1000)[-1], start=start))
    np.testing.assert_allclose(values(found)[2], (alt - ref).sum(axis=0), atol=1e-5)
    with pytest.raises(ValueError, match="share must be at most 96 bp, half of what the model's bins cover; got 97"):
        score_variants(texts, model, genome, share=97)


def test_predictions_are_let_go_when_nobody_needs_them(model, genome, snv, monkeypatch):
    most = []
    plain = _unit._alleles

    def watching(plan, job, known):
        most.append(len(known))
        return plain(plan, job, known)

    monkeypatch.setattr(_unit, "_alleles", watching)
    monkeypatch.setattr("crested_like.tl.variants._plan.BATCHES_IN_UNIT", 100)
    score_variants([snv(at) for at in range(1000, 1030)], model, genome, batch_size=2)
    assert max(most) <= 4


# --- choices that exclude each other


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"readout": Readout(), "local": 5}, ValueError, "readout and local say in two ways what is compared"),
        ({"readout": Readout(), "tracks": "a"}, ValueError, "A readout says itself which tracks"),
        ({"statistics": "SDA"}, ValueError, "There is no statistic 'SDA'"),
        ({"untransform": "newest"}, ValueError, "untransform must be one of 'old', 'new'; got 'newest'"),
        ({"local": -1}, ValueError, "local must be an integer of at least 0; got -1"),
        (
            {"out": "scores.xlsx"},
            ValueError,
            r"Cannot tell a format from the name 'scores.xlsx': it must end in one of",
        ),
        ({"out": "x.vcf", "genes": []}, ValueError, "a VCF record has no place for a score of each gene"),
    ],
)
def test_choices(model, genome, snv, options, error, message):
    with pytest.raises(error, match=message):
        score_variants([snv(1000)], model, genome, **options)


def test_a_head_has_to_be_picked(genome, snv):
    dna = keras.Input((LENGTH, 4))
    pooled = keras.layers.AveragePooling1D(BIN)(dna)
    both = keras.Model(dna, {name: keras.layers.Dense(2, name=name)(pooled) for name in ("human", "mouse")})
    with pytest.raises(TrackError, match="The model has the heads 'human', 'mouse': pick one with head="):
        score_variants([snv(1000)], both, genome)
    assert score_variants([snv(1000)], both, genome, head="mouse", statistics="SAD").shape == (1, len(META) + 2)
