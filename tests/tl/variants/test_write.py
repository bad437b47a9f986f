import gzip
import importlib.util

import h5py
import numpy as np
import pandas as pd
import pytest

from crested_like._errors import BackendError, VariantError
from crested_like.genome import Gene
from crested_like.tl import Readout, score_variants
from crested_like.tl.variants import _write
from crested_like.tl.variants._background import quantiles

STATISTICS = ("SAD", "D2")


@pytest.fixture
def texts(snv):
    return ["chr1:1000:A:<DEL>", snv(1000), snv(2000)]


def test_tables(model, genome, texts, tmp_path):
    for name in ("x.tsv", "x.tsv.gz"):
        found = score_variants(texts, model, genome, statistics=STATISTICS, out=tmp_path / name)
        back = pd.read_csv(tmp_path / name, sep="\t", keep_default_na=False, na_values="NA")
        assert list(back.columns) == list(found.columns)
        assert back["status"].tolist() == found["status"].tolist()
        np.testing.assert_array_equal(back.filter(like=":").to_numpy("float32"), found.filter(like=":").to_numpy())
    assert gzip.decompress((tmp_path / "x.tsv.gz").read_bytes()) == (tmp_path / "x.tsv").read_bytes()


def test_parquet(model, genome, texts, tmp_path):
    pytest.importorskip("pyarrow")
    found = score_variants(texts, model, genome, statistics=STATISTICS, out=tmp_path / "x.parquet")
    back = pd.read_parquet(tmp_path / "x.parquet")
    pd.testing.assert_frame_equal(back, found, check_dtype=False)
    ranks = score_variants(texts, model, genome, statistics="SAD", background=tmp_path / "x.parquet")
    assert ranks["SAD_quantile:a"].notna().sum() == 2


def test_parquet_without_its_library(model, genome, texts, tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "pyarrow" else real(name, *a))
    with pytest.raises(BackendError, match=r"pyarrow is needed for Parquet .* pip install 'crested_like\[parquet\]'"):
        score_variants(texts, model, genome, out=tmp_path / "x.parquet")
    assert list(tmp_path.iterdir()) == []


def test_hdf5_has_the_names_of_the_field(model, genome, texts, tmp_path):
    found = score_variants(texts, model, genome, statistics=STATISTICS, out=tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["chr"][:].tolist() == [b"chr1"] * 3
        assert file["pos"][:].tolist() == found["position"].tolist()
        assert file["ref_allele"][:].astype(str).tolist() == found["ref"].tolist()
        assert file["alt_allele"][:].astype(str).tolist() == found["alt"].tolist()
        assert file["snp"][:].astype(str).tolist() == texts
        assert file["status"][0] == b"skipped: symbolic allele <DEL>"
        assert file["target_ids"][:].tolist() == file["target_labels"][:].tolist() == [b"a", b"b", b"c"]
        for name in STATISTICS:
            np.testing.assert_array_equal(file[name][:], found.filter(regex=f"^{name}:").to_numpy())
        assert file.attrs["rc"] == np.False_


def test_hdf5_of_genes_has_a_row_a_variant_and_gene(model, genome, texts, tmp_path):
    genes = [
        Gene("one", "G1", "chr1", "+", ((990, 1010),)),
        Gene("two", "G2", "chr1", "+", ((1040, 1050), (2000, 2010))),
    ]
    found = score_variants(texts, model, genome, genes=genes, out=tmp_path / "x.h5")
    assert found["gene"].tolist() == ["", "one", "two", "two"]
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["snp"].shape == (3,)
        assert file["si"][:].tolist() == [0, 1, 1, 2]
        assert file["gene"][:].tolist() == [b"", b"G1", b"G2", b"G2"]
        assert file["logSED"].shape == (4, 3)


def test_vcf_keeps_the_records_of_an_old_file(model, genome, letters, tmp_path):
    pysam = pytest.importorskip("pysam")
    source = tmp_path / "old.vcf"
    others = [base for base in "ACGT" if base != letters[1000]]
    source.write_text(
        f"##fileformat=VCFv4.2\nchr1\t1001\trs1\t{letters[1000]}\t{others[0]},{others[1]}\t.\t.\n"
        f"chr1\t501\trs2\t{letters[500]}\t<DEL>\t.\t.\n"
    )
    for name in ("new.vcf", "new.vcf.gz"):
        found = score_variants(source, model, genome, statistics="SAD", tracks=["c"], out=tmp_path / name)
        with pysam.VariantFile(str(tmp_path / name)) as file:
            first, second = file
            assert (first.pos, first.id, first.alts) == (1001, "rs1", tuple(others[:2]))
            np.testing.assert_allclose(first.info["CL_SAD_c"], found["SAD:c"][:2], rtol=1e-6)
            assert first.info["CL_STATUS"] == ("ok", "ok")
            assert second.info["CL_SAD_c"] == (None,)
            assert "Sum of ALT minus sum of REF" in file.header.info["CL_SAD_c"].description
            assert file.header.contigs["chr1"].length == 5000


def test_vcf_of_strings_and_a_readout(model, genome, snv, tmp_path):
    score_variants([snv(1000)], model, genome, readout=Readout("a"), statistics="SAD", out=tmp_path / "x.vcf")
    last = (tmp_path / "x.vcf").read_text().splitlines()[-1].split("\t")
    assert last[:2] == ["chr1", "1001"]
    assert last[7].startswith("CL_STATUS=ok;CL_SAD=")


def test_keys_of_info_fields():
    assert _write._keys("SAD", ["CNhs1+", "CNhs1-", "a b", "a/b"]) == [
        "CL_SAD_CNhs1_plus",
        "CL_SAD_CNhs1_minus",
        "CL_SAD_a_b",
        "CL_SAD_a_b_3",
    ]


def test_vcf_is_not_for_thousands_of_tracks(model, genome, texts, tmp_path, monkeypatch):
    monkeypatch.setattr(_write, "MOST_FIELDS", 5)
    with pytest.raises(ValueError, match=r"x.vcf: 6 scores a variant are too many for VCF, at most 5 are written"):
        score_variants(texts, model, genome, statistics=STATISTICS, out=tmp_path / "x.vcf")
    assert list(tmp_path.iterdir()) == []


# --- backgrounds


def test_quantiles():
    others = np.array([[1.0], [2], [2], [np.nan], [5]], "float32")
    scores = np.array([[0.0], [2], [3], [9], [np.nan]], "float32")
    np.testing.assert_array_equal(quantiles(scores, others)[:, 0], [0, 0.5, 0.75, 1, np.nan])
    assert np.isnan(quantiles(scores, np.full((2, 1), np.nan, "float32"))).all()


def test_a_background_of_variants_or_of_their_scores(model, genome, snv, tmp_path):
    others = [snv(at) for at in range(3000, 3012)]
    options = {"statistics": ("SAD", "D2"), "tracks": ["b", "a"]}
    found = score_variants([snv(1000), "chr1:5:A:<DEL>"], model, genome, background=others, **options)
    assert list(found.columns[-4:]) == ["SAD_quantile:b", "SAD_quantile:a", "D2_quantile:b", "D2_quantile:a"]
    known = score_variants(others, model, genome, statistics=("D2", "SAD"))
    assert found["SAD_quantile:a"][0] == np.float32((known["SAD:a"] < found["SAD:a"][0]).mean())
    assert np.isnan(found["SAD_quantile:a"][1])
    for name in ("known.tsv", "known.h5"):
        score_variants(others, model, genome, statistics=("D2", "SAD"), out=tmp_path / name)
        again = score_variants([snv(1000)], model, genome, background=tmp_path / name, **options)
        np.testing.assert_array_equal(again.filter(like="quantile"), found.filter(like="quantile")[:1])
    with pytest.raises(VariantError, match=r"The background lacks 3 of the 3 statistics or tracks .* 'JSD:a'"):
        score_variants([snv(1000)], model, genome, statistics="JSD", background=known)
    out = tmp_path / "x.h5"
    score_variants([snv(1000)], model, genome, background=known, out=out, **options)
    with h5py.File(out) as file:
        np.testing.assert_array_equal(file["D2_quantile"][0, 1], found["D2_quantile:a"][0])
