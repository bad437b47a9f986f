import pandas as pd
import pytest

from crested_like.genome import write_intervals


@pytest.fixture
def table():
    rows = [("chr2", 5, 9, "exon", 0.75), ("chr1", 30, 31, "splice_donor", 1.0), ("chr1", 10, 20, "a;b=c", 0.5004)]
    return pd.DataFrame(rows, columns=["chrom", "start", "end", "feature", "score"])


def test_bed(table, tmp_path):
    write_intervals(tmp_path / "found.bed", table)
    assert (tmp_path / "found.bed").read_text() == (
        "chr1\t10\t20\ta;b=c\t500\t.\nchr1\t30\t31\tsplice_donor\t1000\t.\nchr2\t5\t9\texon\t750\t.\n"
    )


def test_gff3(table, tmp_path):
    write_intervals(tmp_path / "found.gff3", table, source="mine")
    assert (tmp_path / "found.gff3").read_text().splitlines() == [
        "##gff-version 3",
        "chr1\tmine\ta;b=c\t11\t20\t0.500\t.\t.\tName=a%3Bb%3Dc",
        "chr1\tmine\tfive_prime_cis_splice_site\t31\t31\t1.000\t.\t.\tName=splice_donor",
        "chr2\tmine\texon\t6\t9\t0.750\t.\t.\tName=exon",
    ]


def test_nothing_found_is_an_empty_file(table, tmp_path):
    write_intervals(tmp_path / "found.bed", table[:0])
    assert (tmp_path / "found.bed").read_text() == ""


def test_errors(table, tmp_path):
    with pytest.raises(ValueError, match=r"written to \*\.bed or \*\.gff3; got 'found\.txt'"):
        write_intervals(tmp_path / "found.txt", table)
    with pytest.raises(ValueError, match="lacks the column 'score'"):
        write_intervals(tmp_path / "found.bed", table.drop(columns="score"))
    assert not list(tmp_path.iterdir())
