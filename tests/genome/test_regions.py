from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crested_like.genome import Region, check_regions, parse_region, read_bed, regions_of


def test_region():
    region = Region("chr1", np.int64(10), 21.0, "peak", "-")
    assert (region.start, region.end) == (10, 21)
    assert type(region.start) is int
    assert region.width == 11
    assert region.centre == 15
    assert str(region) == "chr1:11-21"
    assert pickle.loads(pickle.dumps(region)) == region
    assert len({region, Region("chr1", 10, 21, "peak", "-")}) == 1


@pytest.mark.parametrize(("start", "end"), [(10, 20), (10, 21), (11, 20), (11, 21), (0, 1), (-7, 4)])
@pytest.mark.parametrize("length", [1, 2, 7, 8, 4096])
def test_resize(start, end, length):
    got = Region("chr1", start, end, "x", "+").resize(length)
    assert got.width == length
    assert got.start == (start + end) // 2 - length // 2
    assert (got.name, got.strand) == ("x", "+")


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("width", range(1, 6))
def test_resize_to_its_own_width_changes_nothing(start, width):
    region = Region("chr1", start, start + width)
    assert region.resize(width) == region


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (("chr1", 5, 5), r"end must be greater than its start \(0-based half-open\); got chr1, start 5, end 5"),
        (("chr1", 1000, 5), "start 1,000, end 5"),
        (("", 1, 5), "chromosome of a region must be a name; got ''"),
        ((1, 1, 5), "chromosome of a region must be a name; got 1"),
        (("chr1", 1.5, 5), r"The start of a region must be a whole number; got 1\.5"),
        (("chr1", 1, float("nan")), "The end of a region must be a whole number; got nan"),
        (("chr1", "1", 5), "start of a region must be a whole number; got '1'"),
        (("chr1", 1, 5, None, "plus"), r"must be '\+', '-' or '\.'; got 'plus'"),
    ],
)
def test_region_refuses(values, match):
    with pytest.raises(ValueError, match=match):
        Region(*values)


def test_resize_refuses():
    with pytest.raises(ValueError, match="length must be an integer of at least 1; got 0"):
        Region("chr1", 0, 5).resize(0)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("chr1:1-100", Region("chr1", 0, 100)),
        (" chr1:1,000-2,000\n", Region("chr1", 999, 2000)),
        ("chr1:1000", Region("chr1", 999, 1000)),
        ("chrX:1,234,567", Region("chrX", 1_234_566, 1_234_567)),
        ("HLA-A*01:01:01:01:1-100", Region("HLA-A*01:01:01:01", 0, 100)),
        ("GL000-1:5-5", Region("GL000-1", 4, 5)),
        ("1:7-8", Region("1", 6, 8)),
    ],
)
def test_parse_region(text, want):
    assert parse_region(text) == want
    assert parse_region(str(want)) == want


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("chr1", "'chr1' is no region. Write chromosome:first-last, counted from 1"),
        ("chr1:", "no region"),
        ("chr1:5-", "no region"),
        (":5-6", "no region"),
        ("chr1:1,00-200", "no region"),
        ("chr1:1_000-2_000", "no region"),
        ("chr 1:1-2", "no region"),
        ("chr1:-5-10", "no region"),
        ("chr1:٣-٤", "no region"),
        ("chr1:0-100", "'chr1:0-100' starts at 0; positions in a region string count from 1"),
        ("chr1:20-10", "'chr1:20-10' ends before it starts"),
    ],
)
def test_parse_region_refuses(text, match):
    with pytest.raises(ValueError, match=match):
        parse_region(text)


BED = """\
# a comment
track name="my peaks" description="x"
browser position chr1:1-100
browser\thide all

chr1\t0\t10
chr1\t10\t20\tpeak 1
chr2 5 15 peak_2 1000 -
chr2\t5\t15\t.\t0\t+\t5\t15\t0,0,0\t1\t10,\t0,
chr3\t1\t2\t\t\t
chr3\t1\t2\tp\t0\tCD4\n"""
WANT = [
    Region("chr1", 0, 10),
    Region("chr1", 10, 20, "peak 1"),
    Region("chr2", 5, 15, "peak_2", "-"),
    Region("chr2", 5, 15, None, "+"),
    Region("chr3", 1, 2),
    Region("chr3", 1, 2, "p"),
]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_read_bed(tmp_path, ending, compress, mark):
    path = tmp_path / "peaks.txt"
    path.write_bytes(compress(mark + BED.replace("\n", ending).encode()))
    assert read_bed(path) == WANT
    assert read_bed(str(path)) == WANT


def test_read_bed_of_nothing(tmp_path):
    (tmp_path / "a.bed").write_text("# none\n")
    assert read_bed(tmp_path / "a.bed") == []


def test_read_bed_reports_all_bad_lines(tmp_path):
    path = tmp_path / "bad.bed"
    path.write_text("chrom start end\nchr1 1 2\nchr1 5\n\nchr1 9 9\nchr1 -1 5\nchr1 1,000 2,000\n")
    with pytest.raises(ValueError, match=r"bad\.bed is not a BED file") as caught:
        read_bed(path)
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == ["line 1", "line 3", "line 5", "line 6", "line 7"]
    assert "got 'start' and 'end' (a header line must start with '#')" in lines[0]
    assert "has 2 columns; at least chromosome, start and end" in lines[1]
    assert "end must be greater than its start" in lines[2]
    assert "got '-1' and '5'" in lines[3]


def test_read_bed_reports_ten_at_most(tmp_path):
    (tmp_path / "a.bed").write_text("x\n" * 25)
    with pytest.raises(ValueError, match=r"line 10: .*\n  \.\.\. and 15 more$"):
        read_bed(tmp_path / "a.bed")


def test_read_bed_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"BED file .*none\.bed does not exist"):
        read_bed(tmp_path / "none.bed")
    with pytest.raises(IsADirectoryError, match="is a folder; give the file in it"):
        read_bed(tmp_path)
    (tmp_path / "cut.bed.gz").write_bytes(gzip.compress(b"chr1\t1\t2\n" * 1000)[:-12])
    with pytest.raises(OSError, match=r"cut\.bed\.gz is damaged or was cut off"):
        read_bed(tmp_path / "cut.bed.gz")


def test_read_bed_of_real_data(data_dir):
    regions = read_bed(data_dir / "intervals" / "borzoi_sequences_human.bed.gz")
    assert len(regions) == 55_497
    assert regions[0] == Region("chr4", 82_524_421, 82_721_029, "fold0")
    assert {region.width for region in regions} == {196_608}


def test_regions_of_single_things(tmp_path):
    want = [Region("chr1", 99, 200)]
    assert regions_of("chr1:100-200") == want
    assert regions_of(want[0]) == want
    assert regions_of(("chr1", 99, 200)) == want
    assert regions_of(["chr1", 99, 200]) == want
    assert regions_of(("chr1", np.int32(99), np.int64(200), "a", "+")) == [Region("chr1", 99, 200, "a", "+")]
    path = tmp_path / "a.txt"
    path.write_text("chr1\t99\t200\n")
    assert regions_of(path) == want
    assert regions_of(str(path)) == want


def test_regions_of_many():
    items = ["chr1:100-200", ("chr2", 0, 5), Region("chr3", 1, 2), ["chr4", 1, 2, "x"]]
    want = [Region("chr1", 99, 200), Region("chr2", 0, 5), Region("chr3", 1, 2), Region("chr4", 1, 2, "x")]
    assert regions_of(items) == want
    assert regions_of(tuple(items)) == want
    assert regions_of(item for item in items) == want
    assert regions_of(np.array(["chr1:1-5", "chr1:2-5"])) == [Region("chr1", 0, 5), Region("chr1", 1, 5)]
    assert regions_of(("chr1:1-5", "chr1:2-5", "chr1:3-5"))[2] == Region("chr1", 2, 5)
    assert regions_of([]) == []


def test_regions_of_bed_that_does_not_exist():
    with pytest.raises(FileNotFoundError, match=r"peaks\.narrowPeak does not exist"):
        regions_of("peaks.narrowPeak")


@pytest.mark.parametrize(
    ("obj", "match"),
    [
        ("chr1", "'chr1' is neither a region such as .* nor the path of a BED file"),
        ("A" * 1000, r"'A{60}'\.\.\. is neither"),
        (5, r"5 is no region. Give a string such as .*, a Region, or a tuple \(chrom, start, end\), 0-based half-open"),
        (None, "None is no region"),
        ({"chrom": "chr1"}, "is no region"),
        (
            ["chr1:1-2", "chr1:x", ("chr1", 5), ("chr1", 9, 2)],
            r"(?s)Item 1: 'chr1:x' is no.*Item 2: .*Item 3: .*start 9, end 2",
        ),
    ],
)
def test_regions_of_refuses(obj, match):
    with pytest.raises(ValueError, match=match):
        regions_of(obj)


@pytest.mark.parametrize(
    "columns",
    [
        ("chrom", "start", "end"),
        ("chr", "start", "stop"),
        ("#chrom", "chromStart", "chromEnd"),
        ("Chromosome", "Start", "End"),
        ("contig", "chrom_start", "chrom_end"),
    ],
)
def test_regions_of_table(columns):
    table = pd.DataFrame([["chr1", 0, 10], ["chr2", 5, 8]], columns=list(columns), index=["a", "b"])
    assert regions_of(table) == [Region("chr1", 0, 10), Region("chr2", 5, 8)]


def test_regions_of_table_with_names_and_strands():
    table = pd.DataFrame(
        {"end": [10.0, 20.0, 30.0], "start": [1, 2, 3], "chrom": [1, 1, "X"], "strand": ["+", None, float("nan")]}
    ).assign(name=["a", pd.NA, None], score=5)
    assert regions_of(table) == [Region("1", 1, 10, "a", "+"), Region("1", 2, 20), Region("X", 3, 30)]


def test_regions_of_table_refuses():
    with pytest.raises(ValueError, match=r"has no column 'chrom'; its columns are seqnames, start, end\. Needed are"):
        regions_of(pd.DataFrame({"seqnames": ["chr1"], "start": [1], "end": [2]}))
    table = pd.DataFrame({"chrom": ["chr1"] * 3, "start": [1, None, 7], "end": [2, 3, 7]})
    with pytest.raises(ValueError, match=r"(?s)Row 1: The start .* got nan.*Row 2: .* start 7, end 7"):
        regions_of(table)


class SmallGenome:
    name = "small"

    @property
    def chromosomes(self):
        return {"chr1": 1000, "chrM": 50}


def test_check_regions():
    good = [Region("chr1", -5, 1), Region("chr1", 999, 2000), Region("chrM", 0, 50), Region("chrM", -9, 90)]
    check_regions(good, SmallGenome())
    with pytest.raises(ValueError, match="Regions do not lie on the genome 'small'") as caught:
        check_regions([*good, Region("1", 0, 5), Region("chr1", 1000, 2000), Region("chr1", -5, 0)], SmallGenome())
    lines = str(caught.value).splitlines()[1:]
    assert lines == [
        "  Region 4 (1:1-5): Chromosome '1' is not in small. Did you mean 'chr1'?",
        "  Region 5 (chr1:1001-2000) starts beyond the end of chr1, 1,000 bp.",
        "  Region 6 (chr1:-4-0) ends before the start of chr1.",
    ]


def test_path_objects_are_bed_files():
    with pytest.raises(FileNotFoundError, match="BED file"):
        regions_of(Path("chr1:1-100"))
