from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from crested_like._errors import RegionError
from crested_like.datasets.building._intervals import Intervals

REGIONS = [("chr1", 10, 20), ("chr1", 15, 18), ("chr1", 20, 25), ("chr2", 3, 9), ("chr1", 40, 41), ("chr2", 0, 4)]


def slow_mask(chrom, start, end, margin=0):
    return [any(c == chrom and s - margin <= i < e + margin for c, s, e in REGIONS) for i in range(start, end)]


@pytest.mark.parametrize("margin", [0, 3, 20])
@pytest.mark.parametrize(("start", "end"), [(0, 60), (12, 22), (25, 40), (18, 19), (-5, 11)])
def test_covered_bases(margin, start, end):
    found = Intervals.of(REGIONS, margin=margin)
    for chrom in ("chr1", "chr2", "chr3"):
        expected = slow_mask(chrom, start, end, margin)
        assert found.mask(chrom, start, end).tolist() == expected
        assert found.bases(chrom, start, end) == sum(expected)
        outside = np.ones(end - start, bool)
        for low, high in found.outside(chrom, start, end):
            assert low < high
            outside[low - start : high - start] = False
        assert outside.tolist() == expected


def test_merged_and_sorted():
    assert list(Intervals.of(REGIONS)) == [("chr1", 10, 25), ("chr1", 40, 41), ("chr2", 0, 9)]
    assert list(Intervals.of(None)) == []
    assert list(Intervals.of([])) == []


@pytest.mark.parametrize("ending", ["bed", "bed.gz", "narrowPeak"])
@pytest.mark.parametrize("header", ["", "# made by hand\n", 'track name="a b"\n\n'])
def test_files(tmp_path, ending, header):
    text = header + "".join(f"{c}\t{s}\t{e}\tname\t0\t.\n" for c, s, e in REGIONS)
    path = tmp_path / f"a.{ending}"
    path.write_bytes(gzip.compress(text.encode()) if ending.endswith("gz") else text.encode())
    assert list(Intervals.of(path)) == list(Intervals.of(REGIONS)) == list(Intervals.of(str(path)))


def test_other_tables(tmp_path):
    path = tmp_path / "a.bed"
    path.write_text("NA 5 9\n1 0 4\n")  # a chromosome called NA is no missing value; blanks separate too
    assert list(Intervals.of(path)) == [("NA", 5, 9), ("1", 0, 4)]
    assert list(Intervals.of(pd.DataFrame({"chrom": ["1"], "start": [2], "end": [3]}))) == [("1", 2, 3)]
    path.write_text("")
    assert list(Intervals.of(path)) == []


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("chr1\t5\t9\nchr1\t9\t5\n", "line 2: .*end must be greater"),
        ("chr1\t5\n", "line 1: .*2 columns"),
        ("chr1\t-4\t5\n", "line 1: .*at least 0"),
    ],
)
def test_bad_lines_are_named(tmp_path, text, match):
    path = tmp_path / "a.bed"
    path.write_text(text)
    with pytest.raises(RegionError, match=match):
        Intervals.of(path)


def test_chromosomes_named_in_another_way():
    found = Intervals.of([("1", 0, 5), ("2", 0, 5)])
    with pytest.raises(RegionError, match=r"of the blacklist is in the genome: 1, 2; the genome has chr1, chr2"):
        found.check(["chr1", "chr2"], "the blacklist")
    found.check(["chr1", "2"], "the blacklist")
    Intervals.of(None).check(["chr1"], "the blacklist")
