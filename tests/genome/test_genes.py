import gzip

import pytest

from crested_like._errors import GeneError
from crested_like.genome import Gene, Region, find_genes, read_genes, read_gtf


def line(first, last, gene, name="", chrom="chr1", strand="+", transcript="", kind="exon"):
    told = f'gene_id "{gene}"; transcript_id "{transcript or gene + ".t"}"; '
    told += f'gene_name "{name}"; level 2;' if name else ""
    return f"{chrom}\tHAVANA\t{kind}\t{first}\t{last}\t.\t{strand}\t.\t{told}\n"


@pytest.fixture
def gtf(tmp_path):
    path = tmp_path / "genes.gtf"
    path.write_text(
        "##format: gtf\n"
        + line(101, 900, "ENSG01.3", "ALPHA", kind="gene")
        + line(801, 900, "ENSG01.3", "ALPHA", transcript="a1")
        + line(101, 200, "ENSG01.3", "ALPHA", transcript="a1")
        + line(151, 260, "ENSG01.3", "ALPHA", transcript="a2")  # overlaps an exon of a1
        + line(261, 300, "ENSG01.3", "ALPHA", transcript="a3")  # touches the one of a2
        + line(5001, 5100, "ENSG02.1", "BETA", strand="-")
        + line(6001, 6100, "ENSG03.1", "Y_RNA")
        + line(7001, 7100, "ENSG04.1", "Y_RNA")
        + line(11, 20, "ENSG05.7", "XG", chrom="chrX")
        + line(21, 40, "ENSG05.7_PAR_Y", "XG", chrom="chrY")
        + line(1, 10, "ENSG06", chrom="chr2", strand=".")
    )
    return path


def test_the_union_of_exons(gtf):
    genes = read_genes(gtf)
    assert [gene.name for gene in genes] == ["ALPHA", "BETA", "Y_RNA", "Y_RNA", "ENSG06", "XG", "XG"]
    assert genes[0] == Gene("ALPHA", "ENSG01.3", "chr1", "+", ((100, 300), (800, 900)))
    assert (genes[0].start, genes[0].end, genes[0].tss, genes[0].exon_bases) == (100, 900, 100, 300)
    assert (genes[1].tss, genes[1].strand) == (5099, "-")
    assert genes[1].region == Region("chr1", 5000, 5100, "BETA", "-")
    covered = {base for t in read_gtf(gtf, "chr1") if t.gene == "ALPHA" for s, e in t.exons for base in range(s, e)}
    assert covered == {base for start, end in genes[0].exons for base in range(start, end)}


@pytest.mark.parametrize(
    ("names", "want"),
    [
        ("ALPHA", ["ENSG01.3"]),
        (["BETA", "ALPHA"], ["ENSG02.1", "ENSG01.3"]),  # in the order asked for
        (["ENSG01", "ENSG02.1"], ["ENSG01.3", "ENSG02.1"]),
        (["ALPHA", "ENSG01.3"], ["ENSG01.3"]),  # once
        ("Y_RNA", ["ENSG03.1", "ENSG04.1"]),
        ("XG", ["ENSG05.7", "ENSG05.7_PAR_Y"]),
        ("ENSG05", ["ENSG05.7"]),
        ("ENSG05_PAR_Y", ["ENSG05.7_PAR_Y"]),
        ("ENSG06", ["ENSG06"]),
    ],
)
def test_names_and_identifiers(gtf, names, want):
    assert [gene.identifier for gene in read_genes(gtf, names)] == want
    assert [gene.identifier for gene in find_genes(read_genes(gtf), names)] == want
    assert [gene.identifier for gene in read_genes(read_gtf(gtf), names)] == want


def test_the_pseudoautosomal_copies_stay_apart(gtf):
    x, y = read_genes(gtf, "XG")
    assert (x.chrom, x.exons, y.chrom, y.exons) == ("chrX", ((10, 20),), "chrY", ((20, 40),))
    gtf.write_text(line(11, 20, "XG", chrom="chrX") + line(21, 40, "XG", chrom="chrY"))  # one identifier for both
    assert [(gene.chrom, gene.exons) for gene in read_genes(gtf, "XG")] == [("chrX", x.exons), ("chrY", y.exons)]
    assert [gene.chrom for gene in read_genes(gtf, "XG", chrom="chrY")] == ["chrY"]


def test_a_part_of_a_chromosome(gtf):
    assert [gene.name for gene in read_genes(gtf, chrom="chr1", start=899, end=5001)] == ["ALPHA", "BETA"]
    assert [gene.name for gene in read_genes(gtf, chrom="chr1", start=900, end=5000)] == []
    whole = read_genes(gtf, chrom="chr1", start=850, end=860)[0]
    assert whole.start == 100, "exons outside the part belong to the gene all the same"


def test_compressed(gtf, tmp_path):
    packed = tmp_path / "genes.gtf.gz"
    packed.write_bytes(gzip.compress(gtf.read_bytes()))
    assert read_genes(packed, "ALPHA") == read_genes(gtf, "ALPHA")


def test_unknown_genes_are_told_at_once(gtf):
    told = (
        r"(?s)2 of 3 genes are not among the 7 of .*genes\.gtf, by name or identifier:.*"
        r"'ALPA'\. Did you mean 'ALPHA'\?.*'ENSG02\.4'\. It is there as 'ENSG02\.1'\."
    )
    with pytest.raises(GeneError, match=told):
        read_genes(gtf, ["ALPA", "BETA", "ENSG02.4"])


@pytest.mark.parity
def test_published_genes(data_dir):
    (gene,) = read_genes(data_dir / "genes" / "CD99_example.gtf", "CD99")
    assert (gene.identifier, gene.chrom, gene.strand) == ("ENSG00000002586.20", "chrX", "+")
    lines = [text.split("\t") for text in (data_dir / "genes" / "CD99_example.gtf").read_text().splitlines()]
    bases = {base for f in lines if f[2] == "exon" for base in range(int(f[3]) - 1, int(f[4]))}
    assert gene.exon_bases == len(bases)
    assert bases == {base for start, end in gene.exons for base in range(start, end)}
    assert read_genes(data_dir / "genes" / "CFHR2_example.gtf", "CFHR2")[0].tss == 196943737
