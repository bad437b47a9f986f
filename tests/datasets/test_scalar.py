from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from crested_like._errors import DatasetError, RegionError
from crested_like.datasets import Batches, ScalarTargets
from crested_like.genome import Genome

REGIONS = [("chr1", 10, 30), ("chr1", 195, 215), ("chr2", -5, 15), ("chr2", 60, 80), ("chr1", 100, 120)]
CODES = {letter: code for code, letter in enumerate("ACGTN")}


@pytest.fixture
def letters(rng):
    return {chrom: "".join(rng.choice(list("ACGTn"), size)) for chrom, size in (("chr1", 205), ("chr2", 90))}


@pytest.fixture
def genome(tmp_path, letters):
    path = tmp_path / "toy.fa"
    path.write_text("".join(f">{name}\n{text}\n" for name, text in letters.items()))
    return Genome(path)


@pytest.fixture
def values(rng):
    return rng.normal(size=(5, 3)).astype(np.float32)


def expected_codes(letters, chrom, start, end):
    padded = "N" * 50 + letters[chrom].upper() + "N" * 50
    return [CODES[letter] for letter in padded[start + 50 : end + 50]]


def test_regions_and_values(genome, letters, values):
    data = ScalarTargets(REGIONS, values, genome)
    assert data.labels == ("train",)
    assert (data.layout.seq_length, data.layout.num_targets, data.layout.target_length) == (20, 3, None)
    for i, region in enumerate(REGIONS):
        codes, found = data.read("train", i)
        assert codes.tolist() == expected_codes(letters, *region)
        np.testing.assert_array_equal(found, values[i])


def test_another_length(genome, letters, values):
    data = ScalarTargets(REGIONS, values, genome, seq_length=7)
    assert data.read("train", 0)[0].tolist() == expected_codes(letters, "chr1", 17, 24)  # three before the centre, 20
    assert data.windows("train").loc[0, ["start", "end"]].tolist() == [17, 24]


@pytest.mark.parametrize(
    ("labels", "valid"),
    [
        ({"valid": "chr2"}, [2, 3]),
        ({"valid": ["chr2"]}, [2, 3]),
        (["train", "valid", "train", "train", "valid"], [1, 4]),
    ],
)
def test_splits(genome, values, labels, valid):
    data = ScalarTargets(REGIONS, values, genome, labels=labels)
    assert data.labels == ("train", "valid")
    assert data.windows("valid")["source_index"].tolist() == valid
    assert data.count("train") == 5 - len(valid)
    np.testing.assert_array_equal(data.read("valid", 1)[1], values[valid[1]])


@pytest.mark.parametrize("column", ["label", "split", "fold"])
def test_splits_in_a_column(genome, values, column):
    table = pd.DataFrame(REGIONS, columns=["chrom", "start", "end"]).assign(**{column: list("aabab")})
    data = ScalarTargets(table, values, genome, labels="fold" if column == "fold" else None)
    assert (data.labels, data.count("a")) == (("a", "b"), 3)


def test_tables_of_values(genome, values, tmp_path):
    table = pd.DataFrame(values, columns=["x", "y", "z"])
    table.to_csv(tmp_path / "values.tsv", sep="\t")
    for given in (table, tmp_path / "values.tsv", str(tmp_path / "values.tsv")):
        data = ScalarTargets(REGIONS, given, genome)
        assert data.layout.tracks["identifier"].tolist() == ["x", "y", "z"]
        np.testing.assert_allclose(data.read("train", 4)[1], values[4], rtol=1e-6)
    named = ScalarTargets(REGIONS, values, genome, outputs=["a", "b", "c"])
    assert named.layout.tracks["identifier"].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_anndata(genome, letters, values, form):
    anndata = pytest.importorskip("anndata")
    adata = anndata.AnnData(
        form(values.T),
        obs=pd.DataFrame(index=["topic 1", "topic 2", "topic 3"]),
        var=pd.DataFrame({"split": ["train", "val", "train", "test", "val"]}, index=[f"r{i}" for i in range(5)]).assign(
            **dict(zip(("chrom", "start", "end"), zip(*REGIONS, strict=True), strict=True))
        ),
    )
    data = ScalarTargets.from_anndata(adata, genome)
    assert data.labels == ("train", "val", "test")
    assert data.layout.tracks["identifier"].tolist() == ["topic 1", "topic 2", "topic 3"]
    codes, found = data.read("val", 1)
    assert codes.tolist() == expected_codes(letters, *REGIONS[4])
    np.testing.assert_array_equal(found, values[4])
    assert ScalarTargets.from_anndata(adata, genome, labels={"val": "chr2"}).count("val") == 2


def test_anndata_whose_variables_are_named_after_regions(genome, letters, values):
    names = ["chr1:10-30", "chr1:100-120"]
    anndata = pytest.importorskip("anndata")
    adata = anndata.AnnData(values[:2].T, var=pd.DataFrame(index=names))
    data = ScalarTargets.from_anndata(adata, genome)
    assert data.labels == ("train",)
    assert data.read("train", 1)[0].tolist() == expected_codes(letters, "chr1", 100, 120)


def test_batches_turned_and_moved(genome, letters, values):
    batches = Batches(ScalarTargets(REGIONS, values, genome), batch_size=2, rc=True, max_shift=1)
    seen = set()
    for batches.round in range(8):
        for step in range(3):
            x, y = batches[step]
            for one, value, (_, _, index) in zip(x, y, batches.examples(step), strict=True):
                np.testing.assert_array_equal(value, values[index])
                forward = np.eye(5, dtype=np.float32)[expected_codes(letters, *REGIONS[index])][:, :4]
                for flip in (False, True):
                    turned = forward[::-1, ::-1] if flip else forward
                    for shift in (-1, 0, 1):
                        moved = np.zeros_like(turned)
                        moved[max(shift, 0) : 20 + min(shift, 0)] = turned[max(-shift, 0) : 20 - max(shift, 0)]
                        if np.array_equal(one, moved):
                            seen.add((flip, shift))
                            break
                    else:
                        continue
                    break
                else:
                    pytest.fail(f"example {index} is no variant of its region")
    assert len(seen) == 6


def test_no_pieces(genome, values):
    with pytest.raises(DatasetError, match="ScalarTargets has one value a track, so no pieces"):
        Batches(ScalarTargets(REGIONS, values, genome), bins=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"regions": REGIONS[:4]}, "There are 4 regions, but values for 5"),
        ({"regions": []}, "There are no regions"),
        ({"regions": [*REGIONS[:4], ("chr1", 5, 90)]}, r"Regions are 20, 85 bp wide. Say how many bases seq_length="),
        ({"labels": ["train"]}, "There are 5 regions, but labels for 1"),
        ({"labels": {"valid": "chr7"}}, "No region lies on chr7, which labels= names"),
        ({"labels": "fold"}, "The table of regions has no column 'fold'; its columns: none"),
        ({"outputs": ["a"]}, "There are 3 values a region, but names of 1 outputs"),
        ({"values": np.full((5, 3), np.nan)}, "15 of 15 values are no finite numbers, the first that of region 0"),
        ({"values": [["a"]] * 5}, "Values must be numbers"),
        ({"values": np.zeros(5)}, r"two axes, regions and outputs; got an array of shape \(5,\)"),
    ],
)
def test_what_does_not_fit(genome, values, change, message):
    given = {"regions": REGIONS, "values": values, **change}
    with pytest.raises(DatasetError, match=message):
        ScalarTargets(given.pop("regions"), given.pop("values"), genome, **given)


def test_regions_off_the_genome(genome, values):
    with pytest.raises(RegionError, match="Region 4"):
        ScalarTargets([*REGIONS[:4], ("chr9", 5, 25)], values, genome)


def test_an_anndata_without_values(genome):
    anndata = pytest.importorskip("anndata")
    adata = anndata.AnnData(var=pd.DataFrame(index=["chr1:10-30"]))
    with pytest.raises(DatasetError, match=r"The AnnData has no values: \.X is empty"):
        ScalarTargets.from_anndata(adata, genome)


def test_unknown_split(genome, values):
    with pytest.raises(DatasetError, match="ScalarTargets has no split 'valid', only train"):
        ScalarTargets(REGIONS, values, genome).count("valid")
