from __future__ import annotations

import logging

import h5py
import numpy as np
import pandas as pd
import pytest

from crested_like._errors import DatasetError, RegionError, TrackError
from crested_like.datasets.building._coverage import check_files, open_coverage, track_files
from crested_like.genome import Genome, write_bigwig

pytest.importorskip("pybigtools")

SIZES = {"chr1": 100, "chr2": 60}


@pytest.fixture
def bigwig(tmp_path):
    path = tmp_path / "a.bw"
    write_bigwig(path, SIZES, [("chr1", 10, 20, 1.5), ("chr1", 30, 100, 2.0), ("chr2", 0, 5, -1.0)])
    return path


@pytest.fixture
def w5(tmp_path):
    path = tmp_path / "a.w5"
    with h5py.File(path, "w") as file:
        values = np.arange(100, dtype="float16")
        file.create_dataset("chr1", data=values, compression="gzip", shuffle=True)
    return path


@pytest.fixture
def genome(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text("".join(f">{chrom}\n{'ACGTA' * (size // 5)}\n" for chrom, size in SIZES.items()))
    return Genome(path)


def test_bigwig(bigwig):
    with open_coverage(bigwig) as coverage:
        assert dict(coverage.chromosomes) == SIZES
        got = coverage.read("chr1", -5, 110)
    assert got.dtype == np.float32
    nan = np.nan
    expected = [0] * 5 + [nan] * 10 + [1.5] * 10 + [nan] * 10 + [2] * 70 + [0] * 10  # 0 beyond the ends
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("ending", ["bed", "narrowPeak", "BED"])
def test_bed(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    path.write_text("chr1\t5\t8\tx\nchr1\t7\t10\ty\nchr2\t58\t60\tz\n")
    with open_coverage(path) as coverage:
        assert coverage.chromosomes is None
        got = coverage.read("chr1", -2, 12)
        assert got.dtype == np.float32
        assert got.tolist() == [0] * 7 + [1] * 5 + [0] * 2
        assert coverage.read("chr9", 0, 3).tolist() == [0, 0, 0]


def test_w5(w5, caplog):
    with open_coverage(w5) as coverage, caplog.at_level(logging.WARNING):
        got = coverage.read("chr1", 95, 103)
        assert got.dtype == np.float32
        assert got.tolist() == [95, 96, 97, 98, 99, 0, 0, 0]
        assert coverage.read("chr2", 0, 4).tolist() == coverage.read("chr2", 4, 8).tolist() == [0] * 4
    assert [record.message for record in caplog.records] == [
        f"{w5} has no chromosome chr2; its coverage there counts as 0."
    ]


def test_a_chromosome_that_a_bigwig_file_lacks(bigwig, caplog):
    with (
        open_coverage(bigwig) as coverage,
        pytest.raises(RegionError, match=r"'2' is not in .*a\.bw\. Did you mean 'chr2'"),
    ):
        coverage.read("2", 0, 5)
    with open_coverage(bigwig, missing_chromosomes="zero") as coverage, caplog.at_level(logging.WARNING):
        assert coverage.read("2", 0, 5).tolist() == [0] * 5
    assert "no chromosome 2; its coverage there counts as 0" in caplog.text


def test_stored_values_that_are_not_finite(tmp_path):
    import pybigtools

    for name, value in {"nan": np.nan, "inf": np.inf}.items():
        pybigtools.open(str(tmp_path / f"{name}.bw"), "w").write(
            SIZES, iter([("chr1", 0, 5, 1.0), ("chr1", 5, 8, value), ("chr1", 8, 9, 2.0)])
        )
        with pytest.raises(DatasetError, match=rf"{name}\.bw holds values that are NaN or infinite.*nan='missing'"):
            open_coverage(tmp_path / f"{name}.bw")
    with open_coverage(tmp_path / "nan.bw", nan="missing") as coverage:
        np.testing.assert_array_equal(coverage.read("chr1", 4, 9), [1, np.nan, np.nan, np.nan, 2])
    with (
        open_coverage(tmp_path / "inf.bw", nan="missing") as coverage,
        pytest.raises(DatasetError, match=r"inf\.bw is infinite at chr1:6\."),
    ):
        coverage.read("chr1", 0, 10)


def test_w5_values_that_are_not_finite(w5):
    with h5py.File(w5, "r+") as file:
        file["chr1"][[7, 20]] = np.nan, np.inf
    with open_coverage(w5) as coverage:
        with pytest.raises(DatasetError, match=r"a\.w5 is NaN at chr1:8\..*nan='missing'"):
            coverage.read("chr1", 5, 10)
        with pytest.raises(DatasetError, match=r"a\.w5 is infinite at chr1:21\."):
            coverage.read("chr1", 15, 25)
    with open_coverage(w5, nan="missing") as coverage:
        np.testing.assert_array_equal(coverage.read("chr1", 6, 9), [6, np.nan, 8])


def test_files_that_are_no_coverage(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Coverage file .*b\.bw does not exist"):
        open_coverage(tmp_path / "b.bw")
    for name in ("a.txt", "b.bw", "c.w5", "d.bed"):
        (tmp_path / name).write_text("not coverage")
    with pytest.raises(DatasetError, match=r"a\.txt has no ending of coverage; known are \.bw, \.bigwig, \.bed"):
        open_coverage(tmp_path / "a.txt")
    with pytest.raises(OSError, match=r"b\.bw is no bigWig file"):
        open_coverage(tmp_path / "b.bw")
    with pytest.raises(DatasetError, match=r"c\.w5 is no readable HDF5 file"):
        open_coverage(tmp_path / "c.w5")
    with pytest.raises(RegionError, match="line 1"):
        open_coverage(tmp_path / "d.bed")
    with h5py.File(tmp_path / "c.w5", "w") as file:
        file["a/chr1"] = np.zeros(5)
    with pytest.raises(DatasetError, match=r"c\.w5 holds no coverage: a w5 file has one array"):
        open_coverage(tmp_path / "c.w5")
    with pytest.raises(ValueError, match="nan must be one of 'error', 'missing'"):
        open_coverage(tmp_path / "a.bw", nan="zero")


def test_files_of_a_track_table(tmp_path):
    table = pd.DataFrame({"identifier": ["a+", "a-"], "file": ["x.bw", "/y.bw"], "strand_pair": [8, 7]}, index=[7, 8])
    path = tmp_path / "targets.txt"
    table.to_csv(path, sep="\t")
    found, files = track_files(path)
    assert files == [tmp_path / "x.bw", tmp_path.__class__("/y.bw")]
    assert found["strand_pair"].tolist() == [1, 0]
    assert found["index"].tolist() == [7, 8]
    found, files = track_files(table)
    assert [str(file) for file in files] == ["x.bw", "/y.bw"]
    found, files = track_files({"liver": tmp_path / "l.bw", "brain": "b.bed"})
    assert found["identifier"].tolist() == ["liver", "brain"]
    assert files[0] == tmp_path / "l.bw"


def test_a_table_without_files():
    with pytest.raises(
        TrackError, match=r"in a column 'file'; it has no column 'file'\. Its columns are identifier, d"
    ):
        track_files(pd.DataFrame({"identifier": ["a"]}))
    with pytest.raises(TrackError, match="it has 1 empty cells in it"):
        track_files(pd.DataFrame({"identifier": ["a", "b"], "file": ["a.bw", None]}))


def test_files_of_the_right_genome(bigwig, w5, genome, tmp_path):
    bed = tmp_path / "a.bed"
    bed.write_text("chr1\t5\t100\n")
    check_files([bigwig, w5, bed], ["a", "b", "c"], genome, ["chr1", "chr2"])
    check_files([bigwig], ["a"], genome, ["chr2"])


def test_files_of_another_genome_are_all_listed(bigwig, genome, tmp_path):
    write_bigwig(tmp_path / "long.bw", {"chr1": 101, "chr2": 60}, [("chr1", 0, 5, 1.0), ("chr2", 0, 5, 1.0)])
    write_bigwig(tmp_path / "one.bw", {"chr1": 100}, [("chr1", 0, 5, 1.0)])
    (tmp_path / "other.bed").write_text("1\t0\t5\n")
    (tmp_path / "far.bed").write_text("chr2\t0\t61\n")
    names = ["long.bw", "one.bw", "other.bed", "far.bed", "none.bw", "a.bw"]
    files = [tmp_path / name for name in names]
    with pytest.raises(DatasetError, match="cannot be used") as caught:
        check_files(files, names, genome, ["chr1", "chr2"])
    lines = str(caught.value).splitlines()[1:]
    assert len(lines) == 5
    for line, text in zip(
        lines,
        [
            "has 101 bp of chr1; genome 'genome' has 100. Is it of another assembly?",
            "Chromosome 'chr2' is not in",
            "has no intervals on chr1 or any other chromosome used, but on 1.",
            "has an interval to chr2:61; chr2 of genome 'genome' has 60 bp.",
            "does not exist",
        ],
        strict=True,
    ):
        assert text in line
    check_files(files[1:2], names[1:2], genome, ["chr1", "chr2"], missing_chromosomes="zero")
