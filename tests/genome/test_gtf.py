import gzip

import pytest

from crested_like._errors import RegionError
from crested_like.genome import Transcript, longest_of_each_gene, read_gtf


def line(kind, start, end, chrom="chr1", strand="+", transcript="t1", gene="G1"):
    told = f'gene_id "ENSG.1"; transcript_id "{transcript}"; gene_name "{gene}"; level 2;'
    return f"{chrom}\tHAVANA\t{kind}\t{start}\t{end}\t.\t{strand}\t.\t{told}\n"


@pytest.fixture
def gtf(tmp_path):
    path = tmp_path / "genes.gtf"
    path.write_text(
        "##format: gtf\n"
        + line("gene", 101, 900)
        + line("exon", 801, 900)
        + line("exon", 101, 200)
        + line("CDS", 151, 200)
        + line("exon", 101, 150, transcript="t2")
        + line("exon", 5001, 5100, strand="-", transcript="t3", gene="G2")
        + line("exon", 1, 10, chrom="chr2", transcript="t4", gene="G3")
    )
    return path


def test_transcripts(gtf):
    first, second, third, last = read_gtf(gtf)
    assert (first.identifier, second.identifier, last.chrom) == ("t2", "t1", "chr2")
    assert second == Transcript("t1", "G1", "chr1", "+", ((100, 200), (800, 900)), ((150, 200),), "ENSG.1")
    assert (second.start, second.end) == (100, 900)
    assert third.strand == "-"


def test_a_part_of_a_chromosome(gtf):
    assert [t.identifier for t in read_gtf(gtf, "chr1", 850, 5000)] == ["t1"]
    assert [t.identifier for t in read_gtf(gtf, "chr1", 900, 5000)] == []
    assert [t.identifier for t in read_gtf(gtf, "chr2")] == ["t4"]


def test_the_longest_of_each_gene(gtf):
    assert [t.identifier for t in longest_of_each_gene(read_gtf(gtf))] == ["t1", "t3", "t4"]


def test_compressed(gtf, tmp_path):
    packed = tmp_path / "genes.gtf.gz"
    packed.write_bytes(gzip.compress(gtf.read_bytes()))
    assert read_gtf(packed) == read_gtf(gtf)


def test_bad_lines(tmp_path):
    path = tmp_path / "bad.gtf"
    good = line("exon", 1, 5)
    path.write_text(good + "chr1 exon 1 5\n" + line("exon", 9, 5) + good.replace("transcript_id", "x"))
    with pytest.raises(RegionError, match=r"(?s)line 2: it has 1 columns.*line 3: start and end .*line 4: it names no"):
        read_gtf(path)
    with pytest.raises(FileNotFoundError, match=r"missing\.gtf"):
        read_gtf(tmp_path / "missing.gtf")


@pytest.mark.parity
def test_real_genes(data_dir):
    (gene,) = longest_of_each_gene(read_gtf(data_dir / "genes" / "CD99_example.gtf"))
    assert (gene.gene, gene.chrom, gene.strand) == ("CD99", "chrX", "+")
    assert gene.coding
    assert gene.exons[0][0] < gene.coding[0][0]


def test_gff3_is_told(tmp_path):
    path = tmp_path / "genes.gff3"
    path.write_text("chr1\tHAVANA\texon\t1\t5\t.\t+\t.\tID=exon:1;Parent=transcript:t1\n")
    with pytest.raises(RegionError, match=r"line 1: it names no transcript_id; turn GFF3 into GTF first"):
        read_gtf(path)
