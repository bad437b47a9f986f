"""Files as they are published, with the model of the package and with a small one."""

import h5py
import keras
import numpy as np
import pytest

from crested_like import attach, load_model
from crested_like.genome import Genome, read_variants
from crested_like.tl import score_variants

from .conftest import LENGTH, local_model

pytestmark = pytest.mark.parity

TRACKS = [0, 3, 40]


@pytest.fixture(scope="module")
def megabase(data_dir):
    pytest.importorskip("pysam")
    return Genome(data_dir / "hg38_chr1_1mb" / "hg38_1m.fa.gz")


@pytest.fixture(scope="module")
def scored(data_dir, megabase, tmp_path_factory):
    """The file and the one with REF and ALT exchanged, as tables and as HDF5 and VCF."""
    folder = tmp_path_factory.mktemp("eqtl")
    model = load_model("borzoi_mini_human")
    options = {"tracks": TRACKS, "statistics": ("SAD", "logSAD", "SAX", "D1", "D2", "JSD")}
    tables = {
        name: score_variants(
            data_dir / "variants" / f"{name}.vcf", model, megabase, out=folder / f"{name}{end}", **options
        )
        for name, end in (("eqtl", ".h5"), ("eqtl_flip", ".vcf"))
    }
    return folder, model, tables


def test_exchanged_alleles_negate_the_scores_and_every_mismatch_is_flagged(scored):
    _, _, tables = scored
    plain, flipped = tables["eqtl"], tables["eqtl_flip"]
    assert plain["status"].tolist() == ["ok"] * 8
    assert flipped["status"].tolist() == ["ref_mismatch"] * 8
    assert plain["name"].tolist() == flipped["name"].tolist()
    for name in ("SAD", "logSAD", "SAX", "D1", "D2", "JSD"):
        before, after = (table.filter(regex=f"^{name}:").to_numpy() for table in (plain, flipped))
        sign = -1 if name in ("SAD", "logSAD", "SAX") else 1
        assert np.abs(before).min() > 0
        # the same two predictions, which a backend may round otherwise at another place of a batch
        np.testing.assert_allclose(after, sign * before, rtol=2e-3, atol=2e-3 * np.abs(before).max())


def test_scores_are_those_of_plain_predictions(scored, megabase):
    _, model, tables = scored
    row = tables["eqtl"].iloc[7]
    start = row["position"] - 1 - 131_072 // 2
    letters = megabase.fetch("chr1", start, start + 131_072)
    sequences = [letters, letters[:65_536] + row["alt"] + letters[65_537:]]
    x = np.stack([[[base == letter for letter in "ACGT"] for base in s] for s in sequences]).astype("float32")
    ref, alt = model.predict(x, batch_size=1, verbose=0)[..., TRACKS].astype("float64")
    for name, want in {
        "SAD": alt.sum(0) - ref.sum(0),
        "logSAD": np.log2((1 + alt.sum(0)) / (1 + ref.sum(0))),
        "D2": np.sqrt(((alt - ref) ** 2).sum(0)),
    }.items():
        found = row.filter(regex=f"^{name}:").to_numpy("float64")
        np.testing.assert_allclose(found, want, rtol=2e-3, atol=2e-3 * np.abs(want).max())


def test_the_files_hold_the_scores(scored):
    pysam = pytest.importorskip("pysam")
    folder, _, tables = scored
    with h5py.File(folder / "eqtl.h5") as file:
        np.testing.assert_array_equal(file["SAD"][:], tables["eqtl"].filter(regex="^SAD:").to_numpy())
        assert file["snp"][0] == b"chr1_14677_G_A_b38"
    with pysam.VariantFile(str(folder / "eqtl_flip.vcf")) as file:
        records = list(file)
    assert [record.pos for record in records] == tables["eqtl_flip"]["position"].tolist()
    assert all(record.info["CL_STATUS"] == ("ref_mismatch",) for record in records)


# --- variants whose chromosomes are not at hand: a genome that has their reference alleles, and N between


@pytest.fixture(scope="module")
def synthetic(data_dir, tmp_path_factory):
    """Chromosomes as long as the file's own coordinates need: random letters near the variants, N elsewhere."""
    pysam = pytest.importorskip("pysam")
    rng = np.random.default_rng(5)
    chromosomes: dict[str, np.ndarray] = {}
    variants = read_variants(data_dir / "variants" / "regulatory_validated.vcf")
    for chrom in dict.fromkeys(variant.chrom for variant in variants):
        last = max(variant.position for variant in variants if variant.chrom == chrom)
        chromosomes[chrom] = np.full(last + 1000, ord("N"), np.uint8)
    for variant in variants:
        letters = chromosomes[variant.chrom]
        letters[variant.position - 1000 : variant.position + 1000] = rng.choice(np.frombuffer(b"ACGT", np.uint8), 2000)
    for variant in variants:
        at = slice(variant.position, variant.position + len(variant.ref))
        chromosomes[variant.chrom][at] = np.frombuffer(variant.ref.encode(), np.uint8)
    path = tmp_path_factory.mktemp("hg19") / "hg19.fa.gz"
    with pysam.BGZFile(str(path), "wb") as file:  # 800 million letters, nearly all N
        for chrom, letters in chromosomes.items():
            file.write(f">{chrom}\n".encode() + letters.tobytes() + b"\n")
    return Genome(path)


@pytest.fixture(scope="module")
def regulatory(data_dir, synthetic):
    """Tables of the three files."""
    model = attach(local_model(), ["a", "b", "c"])
    names = ("regulatory_validated", "regulatory_validated_misorder", "regulatory_validated_misref")
    return {
        name.removeprefix("regulatory_validated").strip("_") or "plain": score_variants(
            data_dir / "variants" / f"{name}.vcf", model, synthetic, statistics=("SAD", "D2")
        )
        for name in names
    }


def test_a_file_in_good_order(regulatory):
    table = regulatory["plain"]
    assert table["status"].tolist() == ["ok"] * 16
    assert table.filter(like=":").notna().all(axis=None)
    assert (table.filter(regex="^D2:") > 0).all(axis=None)
    insertion = table.iloc[2]
    assert (insertion["position"], insertion["ref"], insertion["alt"]) == (226_595_403, "A", "AGGGCCC")


def test_a_file_out_of_order_keeps_its_order(regulatory, data_dir):
    lines = (data_dir / "variants" / "regulatory_validated_misorder.vcf").read_text().splitlines()[2:]
    table, plain = regulatory["misorder"], regulatory["plain"].set_index("name")
    assert table["name"].tolist() == [line.split("\t")[2] for line in lines]
    assert table["name"].tolist() != plain.index.tolist()
    scores = table.set_index("name").filter(like=":")
    np.testing.assert_allclose(scores, plain.loc[scores.index, scores.columns], rtol=1e-5, atol=1e-6)


def test_a_file_with_a_wrong_ref_is_flagged_and_scored(regulatory):
    table, plain = regulatory["misref"], regulatory["plain"]
    assert table["status"].tolist() == ["ref_mismatch"] + ["ok"] * 15
    assert table["genome_ref"][0] == "G"
    scores, others = (t.filter(regex="^SAD:").to_numpy() for t in (table, plain))
    np.testing.assert_allclose(scores[0], -others[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(scores[1:], others[1:], rtol=1e-5, atol=1e-6)


def test_an_insertion_changes_only_the_bins_near_it(data_dir, synthetic):
    model = attach(local_model(), ["a", "b", "c"])
    (insertion,) = (v for v in read_variants(data_dir / "variants" / "regulatory_validated.vcf") if len(v.alt) > 1)
    options = {"statistics": "D1"}
    near, whole = (score_variants([insertion], model, synthetic, local=bp, **options) for bp in (16, None))
    shifted = score_variants([insertion], model, synthetic, compensate=False, **options)
    np.testing.assert_allclose(near.filter(like=":"), whole.filter(like=":"), rtol=1e-4)
    assert (shifted.filter(like=":").to_numpy() > 2 * whole.filter(like=":").to_numpy()).all()
    assert keras.ops.shape(model.output)[1] * 8 < LENGTH
