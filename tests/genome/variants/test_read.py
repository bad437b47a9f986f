import gzip

import pandas as pd
import pytest

from crested_like._errors import VariantError
from crested_like.genome import Variant, parse_variant, read_variants

OLD = "##fileformat=VCFv4.2\nchr1\t11\tfirst\tG\tA\t.\t.\nchr1\t5\t.\tt\tc,TAA\t.\t.\n"
WIDE = (
    "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    "chr2\t7\trs1\tA\tAGG\t100\t.\nchr1\t9\trs2\tC\t<DEL>\t100\t.\n"
)
WHOLE = (
    "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=1000>\n##contig=<ID=chr2,length=500>\n"
    '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    "chr1\t11\tfirst\tG\tA,T\t30\tPASS\tDP=3\nchr1\t900\t.\tGAC\tG\t30\tPASS\tDP=4\nchr2\t20\t.\tC\tG\t3\tPASS\t.\n"
)


def written(path, text):
    path.write_text(text)
    return path


def told(variants):
    return [str(variant) for variant in variants]


# --- strings


@pytest.mark.parametrize(
    "text",
    [
        "chr1:12345:A:G",
        "chr1:12,345:a:g",
        "chr1-12345-A-G",
        "chr1_12345_A_G",
        "chr1_12345_A_G_b38",
        "chr1_12345_A/G",
        "chr1:12345A>G",
        "chr1:12345:A>G",
        "chr1:12345:A/G",
        "chr1:12345_A/G",
        "chr1:g.12345A>G",
        " chr1\t12345 A G ",
    ],
)
def test_dialects(text):
    assert parse_variant(text) == Variant("chr1", 12344, "A", "G", text.strip())


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("NC_000001.11:12344:A:G", "NC_000001.11:12345:A:G"),  # SPDI counts from 0
        ("NC_000001.11:g.12345A>G", "NC_000001.11:12345:A:G"),
        ("chr1_KI270706v1_random_77_AC_A_hg38", "chr1_KI270706v1_random:77:AC:A"),
        ("HLA-A*01:01:20:A:G", "HLA-A*01:01:20:A:G"),
        ("X-99-GAC-G", "X:99:GAC:G"),
        ("chr1:20:A:<DEL>", "chr1:20:A:<DEL>"),
    ],
)
def test_dialects_that_need_care(text, want):
    assert str(parse_variant(text)) == want


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rs123",
            "'rs123' is no variant. It is a name, and says nothing of place and alleles. Write chromosome:position",
        ),
        ("chr1:g.12_14del", "Of HGVS, only substitutions are read"),
        ("chr1:12:A", "is no variant. Write chromosome:position:REF:ALT, such as chr1:12345:A:G"),
        ("chr1:0:A:G", "lies at position 0; positions count from 1"),
    ],
)
def test_no_variant(text, message):
    with pytest.raises(VariantError, match=message):
        parse_variant(text)


def test_names_of_strings():
    found = read_variants({"rs7": "chr1:12:A:G", "mine": "chr2-5-C-T"})
    assert [variant.name for variant in found] == ["rs7", "mine"]
    assert told(read_variants([("rs7", "chr1:12:A:G"), "chr2:5:C:T"])) == ["chr1:12:A:G", "chr2:5:C:T"]
    assert told(read_variants("chr1:12:A:G")) == ["chr1:12:A:G"]
    with pytest.raises(VariantError, match=r"2 of 3 items are no variants:\n  item 1: 'rs7' is no .*\n  item 2: a var"):
        read_variants(["chr1:12:A:G", "rs7", 5])


# --- one variant


@pytest.mark.parametrize(
    ("ref", "alt", "kind", "trimmed"),
    [
        ("A", "G", "SNV", (10, "A", "G")),
        ("ACG", "ATG", "SNV", (11, "C", "T")),
        ("AC", "GT", "MNV", (10, "AC", "GT")),
        ("A", "ACC", "insertion", (11, "", "CC")),
        ("ACC", "A", "deletion", (11, "CC", "")),
        ("ACC", "AT", "indel", (11, "CC", "T")),
        ("TTT", "TT", "deletion", (12, "T", "")),
        ("A", "A", "SNV", (11, "", "")),
    ],
)
def test_kinds(ref, alt, kind, trimmed):
    variant = Variant("chr1", 10, ref, alt)
    assert (variant.kind, variant.trimmed) == (kind, trimmed)


@pytest.mark.parametrize(
    ("alt", "reason"),
    [
        ("<DEL>", "symbolic allele <DEL>"),
        ("<INS:ME>", "symbolic allele <INS:ME>"),
        ("*", "the allele * is part of another deletion"),
        (".", "no alternative allele"),
        ("G]chr2:7]", "breakend G]chr2:7]"),
        (".TGCA", "breakend .TGCA"),
    ],
)
def test_alleles_without_a_sequence(tmp_path, alt, reason):
    (found,) = read_variants(written(tmp_path / "x.vcf", f"chr1\t5\t.\tA\t{alt}\n"))
    assert (found.kind, found.no_sequence, found.alt) == ("symbolic", reason, alt)


# --- VCF


def test_old_vcf_without_column_names(tmp_path):
    first, second, third = read_variants(written(tmp_path / "x.vcf", OLD))
    assert first == Variant("chr1", 10, "G", "A", "first", 2)
    assert second == Variant("chr1", 4, "T", "C", "", 3)
    assert third == Variant("chr1", 4, "T", "TAA", "", 3)


def test_vcf_whose_header_is_wider_than_its_records(tmp_path):
    assert told(read_variants(written(tmp_path / "x.vcf", WIDE))) == ["chr2:7:A:AGG", "chr1:9:C:<DEL>"]


def test_vcf_with_blanks_for_tabs_and_windows_line_ends(tmp_path):
    path = tmp_path / "x.vcf"
    path.write_bytes(b"##fileformat=VCFv4.0\r\nchr1 11 rs1 G A\r\n\r\n")
    assert read_variants(path) == [Variant("chr1", 10, "G", "A", "rs1", 2)]


def test_gzip_of_any_name(tmp_path):
    path = tmp_path / "variants.txt.gz"
    path.write_bytes(gzip.compress(WHOLE.encode()))
    assert told(read_variants(path)) == ["chr1:11:G:A", "chr1:11:G:T", "chr1:900:GAC:G", "chr2:20:C:G"]


@pytest.fixture
def packed(tmp_path):
    """The whole file as bgzip with an index, and as BCF with one."""
    pysam = pytest.importorskip("pysam")
    text = written(tmp_path / "x.vcf", WHOLE)
    bgzip, bcf = tmp_path / "x.vcf.gz", tmp_path / "x.bcf"
    pysam.tabix_compress(str(text), str(bgzip))
    pysam.tabix_index(str(bgzip), preset="vcf")
    with pysam.VariantFile(str(text)) as source, pysam.VariantFile(str(bcf), "wb", header=source.header) as target:
        for record in source:
            target.write(record)
    pysam.tabix_index(str(bcf), preset="bcf")
    return text, bgzip, bcf


@pytest.mark.parametrize("number", range(3), ids=["text", "bgzip", "BCF"])
def test_whole_files_and_parts_of_them(packed, number):
    path = packed[number]
    assert told(read_variants(path)) == ["chr1:11:G:A", "chr1:11:G:T", "chr1:900:GAC:G", "chr2:20:C:G"]
    assert told(read_variants(path, "chr1:902-1000")) == ["chr1:900:GAC:G"]
    assert told(read_variants(path, "chr2:1-30")) == ["chr2:20:C:G"]
    with pytest.raises(VariantError, match=r"There are no variants in .* at chr1:300-400"):
        read_variants(path, "chr1:300-400")


def test_every_bad_line_is_told(tmp_path):
    bad = (
        "chr1\t11\tx\tG\tA\nchr1\t12\tx\tG\nchr1\tten\tx\tG\tA\nchr1\t9\tx\tQ\tA\nchr1\t9\tx\tG\t5\nchr1\t0\tx\tG\tA\n"
    )
    with pytest.raises(VariantError) as caught:
        read_variants(written(tmp_path / "x.vcf", bad))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("5 lines of ")
    assert lines[1:] == [
        "  line 2: it has 4 of the 5 columns that are needed",
        "  line 3: the position must be a number counted from 1; got 'ten'",
        "  line 4: REF must be letters of DNA; got 'Q'",
        "  line 5: ALT must be letters of DNA, an allele such as <DEL>, '*' or '.'; got '5'",
        "  line 6: the position must be at least 1",
    ]


def test_damaged_files(packed, tmp_path):
    short = tmp_path / "short.bcf"
    short.write_bytes(packed[2].read_bytes()[:60])
    with pytest.raises(OSError, match=r"short.bcf is damaged or was cut off"):
        read_variants(short)
    short.write_bytes(b"BCF\2\2and nothing more")
    with pytest.raises(VariantError, match=r"short.bcf cannot be read as BCF"):
        read_variants(short)


def test_an_empty_file_and_a_missing_one(tmp_path):
    with pytest.raises(VariantError, match=r"There are no variants in .*x.vcf"):
        read_variants(written(tmp_path / "x.vcf", "##fileformat=VCFv4.2\n"))
    with pytest.raises(FileNotFoundError, match=r"Variant file .*none.vcf does not exist"):
        read_variants(tmp_path / "none.vcf")


# --- tables


@pytest.mark.parametrize(
    "names",
    [
        ("chrom", "position", "ref", "alt", "name"),
        ("#CHROM", "POS", "REF", "ALT", "ID"),
        ("chr", "pos", "ref_allele", "alt_allele", "rsid"),
    ],
)
def test_tables(names):
    table = pd.DataFrame([["chr1", 11, "g", "A", "rs1"], ["chr2", 5.0, "C", "CT", None]], columns=names)
    assert read_variants(table) == [Variant("chr1", 10, "G", "A", "rs1"), Variant("chr2", 4, "C", "CT", "")]


@pytest.mark.parametrize("mark", ["\t", ","])
def test_text_tables(tmp_path, mark):
    rows = [["extra", "pos", "alt", "ref", "chromosome"], ["1", "11", "A", "G", "chr1"], ["2", "5", "T", "C", "chr2"]]
    path = written(tmp_path / "x.txt", "\n".join(map(mark.join, rows)) + "\n")
    assert read_variants(path) == [Variant("chr1", 10, "G", "A", "", 2), Variant("chr2", 4, "C", "T", "", 3)]


def test_a_variant_a_line(tmp_path):
    path = written(tmp_path / "x.txt", "# mine\nchr1:11:G:A\trs1\n\nchr2-5-C-T\n")
    assert read_variants(path) == [
        Variant("chr1", 10, "G", "A", "rs1", 2),
        Variant("chr2", 4, "C", "T", "chr2-5-C-T", 4),
    ]
    with pytest.raises(VariantError, match=r"1 lines of .* are no variants:\n  line 2: 'chr1' is no variant"):
        read_variants(written(path, "chr1:11:G:A\nchr1\n"))


def test_tables_that_are_none():
    table = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [1, 2], "ref": ["A", "A"], "alt": ["C", "C"]})
    with pytest.raises(
        VariantError, match="The table has no column for position; its columns are chrom, start, ref, alt"
    ):
        read_variants(table)
    table = table.rename(columns={"start": "pos"}).assign(pos=["1.5", 2], alt=["C", "5"])
    with pytest.raises(
        VariantError, match=r"2 rows of the table are no variants:\n  row 0: the position .*\n  row 1: ALT"
    ):
        read_variants(table)


def test_only_files_of_records_have_parts():
    with pytest.raises(ValueError, match="region= chooses a part of a VCF or BCF file"):
        read_variants(["chr1:11:G:A"], "chr1:1-20")
