from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import pytest

from crested_like.genome import read_bigwig, write_bigwig

pytest.importorskip("pybigtools")

SIZES = {"chr1": 1000, "chr10": 300, "chr2": 500}


def slow_values(intervals, chrom, start, end):
    out = np.full(end - start, np.nan, "float32")
    for name, first, last, value in intervals:
        for position in range(first, last):
            if name == chrom and start <= position < end:
                out[position - start] = value
    return out


@pytest.mark.parametrize("chroms", [["chr1", "chr10", "chr2"], ["chr2", "chr1"], ["chr10"]])
@pytest.mark.parametrize("ending", ["bw", "bigWig", "bigwig", "out"])
def test_round_trip(tmp_path, rng, chroms, ending):
    intervals = []
    for chrom in chroms:
        cuts = np.unique(rng.integers(0, SIZES[chrom] + 1, 60))
        intervals += [(chrom, a, b, rng.normal()) for a, b in pairwise(cuts) if rng.random() < 0.8]
    path = tmp_path / f"a.{ending}"
    write_bigwig(path, SIZES, iter(intervals))
    for chrom in chroms:
        for start, end in [
            (0, SIZES[chrom]),
            (-20, 50),
            (100, 101),
            (123, 250),
            (SIZES[chrom] - 10, SIZES[chrom] + 10),
        ]:
            got = read_bigwig(path, chrom, start, end)
            assert got.dtype == np.float32
            np.testing.assert_array_equal(got, slow_values(intervals, chrom, start, end))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_many_intervals_with_types_of_numpy(tmp_path):
    starts = np.arange(0, 64_000, 32)
    values = np.sin(np.arange(len(starts))).astype("float32")
    stream = ((np.str_("chr1"), start, start + 32, value) for start, value in zip(starts, values, strict=True))
    write_bigwig(tmp_path / "a.bw", {"chr1": np.int64(64_000)}, stream)
    np.testing.assert_array_equal(read_bigwig(tmp_path / "a.bw", "chr1", 0, 64_000), np.repeat(values, 32))


@pytest.mark.parametrize("count", [256, 257])
def test_order_of_many_chromosomes(tmp_path, count):
    chroms = [f"chr{number}" for number in range(count)]
    sizes = dict.fromkeys(chroms, 10)
    write_bigwig(tmp_path / "a.bw", sizes, ((chrom, 0, 5, 1.0) for chrom in sorted(chroms)))
    assert read_bigwig(tmp_path / "a.bw", "chr99", 0, 5).tolist() == [1.0] * 5
    intervals = ((chrom, 0, 5, 1.0) for chrom in chroms)
    if count == 256:
        write_bigwig(tmp_path / "b.bw", sizes, intervals)
        assert read_bigwig(tmp_path / "b.bw", "chr99", 0, 5).tolist() == [1.0] * 5
    else:
        with pytest.raises(
            ValueError, match="is on chr256, the chromosome number 257, and they are not sorted by name"
        ):
            write_bigwig(tmp_path / "b.bw", sizes, intervals)


def test_nan_is_left_out(tmp_path):
    write_bigwig(
        tmp_path / "a.bw", SIZES, [("chr1", 0, 5, float("nan")), ("chr1", 5, 10, 1.0), ("chr1", 10, 12, np.nan)]
    )
    got = read_bigwig(tmp_path / "a.bw", "chr1", 0, 15)
    np.testing.assert_array_equal(got, [np.nan] * 5 + [1] * 5 + [np.nan] * 5)


def test_reading_beside_the_chromosome(tmp_path):
    write_bigwig(tmp_path / "a.bw", SIZES, [("chr1", 0, 1000, 1.0)])
    for start, end in [(-20, -5), (1000, 1005), (7, 7)]:
        got = read_bigwig(tmp_path / "a.bw", "chr1", start, end)
        assert got.shape == (end - start,)
        assert np.isnan(got).all()


def boom():
    yield ("chr1", 0, 5, 1.0)
    raise RuntimeError("the model broke")


def boom_at_once():
    raise RuntimeError("the model broke")
    yield


@pytest.mark.parametrize(
    ("intervals", "error", "match"),
    [
        (
            [("chr1", 0, 10, 1.0), ("chr1", 9, 20, 1.0)],
            ValueError,
            r"Interval 1 \(chr1, 9, 20, 1\.0\) overlaps .* ends at 10",
        ),
        ([("chr1", 20, 30, 1.0), ("chr1", 0, 10, 1.0)], ValueError, "comes before the one before it.*Sort intervals"),
        ([("chr1", 20, 30, 1.0), ("chr1", 5, 10, np.nan)], ValueError, "comes before the one before it"),
        (
            [("chr1", 0, 5, 1.0), ("chr2", 0, 5, 1.0), ("chr1", 5, 6, 1.0)],
            ValueError,
            "Interval 2 is on chr1, which was left",
        ),
        ([("chr1", 990, 1001, 1.0)], ValueError, "is not within its chromosome, 1,000 bp"),
        ([("chr1", -1, 5, 1.0)], ValueError, "is not within its chromosome"),
        ([("chr1", 5, 5, 1.0)], ValueError, "has no bases"),
        ([("chr1", 0, 5, 1.0), ("chr1", 6, 6, float("nan"))], ValueError, "Interval 1 .* has no bases"),
        ([("1", 0, 5, 1.0)], ValueError, "Interval 0: Chromosome '1' is not in chrom_sizes. Did you mean 'chr1'"),
        ([("chr1", 0, 5, float("inf"))], ValueError, "has a value that a bigWig file .* cannot hold"),
        ([("chr1", 0, 5, 1e39)], ValueError, "cannot hold"),
        ([], ValueError, "There are no values to write to .*a.bw"),
        ([("chr1", 0, 5, float("nan"))], ValueError, "There are no values"),
        ([("chr1", 0.5, 5, 1.0)], TypeError, "float"),
        (boom, RuntimeError, "the model broke"),
        (boom_at_once, RuntimeError, "the model broke"),
    ],
)
def test_failure_leaves_what_was_there(tmp_path, capfd, intervals, error, match):
    path = tmp_path / "a.bw"
    path.write_text("old")
    with pytest.raises(error, match=match):
        write_bigwig(path, SIZES, intervals() if callable(intervals) else intervals)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.bw"]
    assert capfd.readouterr() == ("", "")


class PanicException(BaseException):
    pass


@pytest.mark.parametrize("panic", [False, True])
def test_write_that_did_not_reach_the_disk(tmp_path, monkeypatch, panic):
    import pybigtools

    class Writer:
        def write(self, _sizes, records):
            list(records)
            if panic:
                raise PanicException("SendError")

    real = pybigtools.open
    monkeypatch.setattr(pybigtools, "open", lambda path, *mode: Writer() if mode else real(path))
    with pytest.raises(OSError, match=r"a\.bw could not be written completely"):
        write_bigwig(tmp_path / "a.bw", SIZES, [("chr1", 0, 5, 1.0)])
    assert list(tmp_path.iterdir()) == []


def test_read_refuses(tmp_path):
    write_bigwig(tmp_path / "a.bw", SIZES, [("chr1", 0, 1000, 1.0)])
    with pytest.raises(ValueError, match=r"Chromosome '1' is not in .*a\.bw\. Did you mean 'chr1'"):
        read_bigwig(tmp_path / "a.bw", "1", 0, 5)
    with pytest.raises(ValueError, match="must not end before it starts; got chr1, start 5, end 2"):
        read_bigwig(tmp_path / "a.bw", "chr1", 5, 2)
    with pytest.raises(FileNotFoundError, match=r"bigWig file .*b\.bw does not exist"):
        read_bigwig(tmp_path / "b.bw", "chr1", 0, 5)
    (tmp_path / "c.bw").write_text("no bigWig")
    with pytest.raises(OSError, match=r"c\.bw is no bigWig file"):
        read_bigwig(tmp_path / "c.bw", "chr1", 0, 5)


def test_without_pybigtools(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pybigtools", None)
    match = r"pybigtools is needed to write bigWig files .* pip install 'crested_like\[genomics\]'"
    with pytest.raises(ImportError, match=match):
        write_bigwig(tmp_path / "a.bw", SIZES, [])
    with pytest.raises(ImportError, match="needed to read bigWig files"):
        read_bigwig(tmp_path / "a.bw", "chr1", 0, 5)
