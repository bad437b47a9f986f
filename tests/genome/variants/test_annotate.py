import pytest

from crested_like.genome import read_variants
from crested_like.genome.variants import annotate_vcf
from crested_like.genome.variants._annotate import InfoField

FIELDS = [InfoField("CL_X", "Float", 'what "it" is'), InfoField("CL_STATUS", "String", "state")]
NAMES = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"


def annotated(tmp_path, text, values, name="out.vcf"):
    source = tmp_path / "in.vcf"
    source.write_text(text)
    annotate_vcf(source, tmp_path / name, FIELDS, read_variants(source), values, {"chr1": 1000, "chr2": None})
    return tmp_path / name


def body(path):
    return [line for line in path.read_text().splitlines() if not line.startswith("##")]


def test_records_are_kept_and_alleles_have_a_value_each(tmp_path):
    pysam = pytest.importorskip("pysam")
    text = (
        "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=99>\n"
        '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">\n'
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        f"{NAMES}\tFORMAT\tS1\nchr1\t11\trs1\tG\tA,<DEL>\t30\tPASS\tDP=3;CL_X=9\tGT\t0/1\nchr1\t5\t.\tC\tT\t.\t.\t.\tGT\t1/1\n"
    )
    path = annotated(tmp_path, text, [(0.25, "ok"), (float("nan"), "skipped: symbolic <DEL>"), (-1.5, "ok")])
    assert body(path)[1:] == [
        "chr1\t11\trs1\tG\tA,<DEL>\t30\tPASS\tDP=3;CL_X=0.25,.;CL_STATUS=ok,skipped:_symbolic_DEL\tGT\t0/1",
        "chr1\t5\t.\tC\tT\t.\t.\tCL_X=-1.5;CL_STATUS=ok\tGT\t1/1",
    ]
    with pysam.VariantFile(str(path)) as file:
        first, second = file
        assert first.info["CL_X"] == (0.25, None)
        assert first.info["DP"] == 3
        assert second.info["CL_STATUS"] == ("ok",)
        assert file.header.info["CL_X"].number == "A"
        assert list(file.header.contigs) == ["chr1"]


@pytest.mark.parametrize(
    "text",
    [
        "##fileformat=VCFv4.2\nchr1\t11\trs1\tG\tA\t.\t.\nchr2\t5\t.\tC\tT\t.\t.\n",
        f"##fileformat=VCFv4.2\n{NAMES}\nchr1\t11\trs1\tG\tA\t.\t.\nchr2\t5\t.\tC\tT\t.\t.\n",
        "chr1 11 rs1 G A\nchr2 5 . C T\n",
    ],
    ids=["no column names", "more names than columns", "nothing but five columns"],
)
def test_old_files_become_ones_that_strict_readers_take(tmp_path, text):
    pysam = pytest.importorskip("pysam")
    path = annotated(tmp_path, text, [(0.5, "ok"), (1.0, "ref_mismatch")])
    assert body(path) == [
        NAMES,
        "chr1\t11\trs1\tG\tA\t.\t.\tCL_X=0.5;CL_STATUS=ok",
        "chr2\t5\t.\tC\tT\t.\t.\tCL_X=1;CL_STATUS=ref_mismatch",
    ]
    with pysam.VariantFile(str(path)) as file:
        assert [record.info["CL_X"] for record in file] == [(0.5,), (1.0,)]
        assert file.header.contigs["chr1"].length == 1000


def test_genotypes_without_column_names(tmp_path):
    path = annotated(tmp_path, "chr1\t11\t.\tG\tA\t.\t.\t.\tGT\t0/1\t1/1\n", [(0.5, "ok")])
    assert body(path) == [
        f"{NAMES}\tFORMAT\tSAMPLE1\tSAMPLE2",
        "chr1\t11\t.\tG\tA\t.\t.\tCL_X=0.5;CL_STATUS=ok\tGT\t0/1\t1/1",
    ]


def test_records_of_variants_that_came_from_no_file(tmp_path):
    pysam = pytest.importorskip("pysam")
    variants = read_variants({"a name": "chr1:11:G:A", "x": "chr1:3:C:CT"})
    annotate_vcf(None, tmp_path / "x.vcf.gz", FIELDS, variants, [(0.5, "ok"), (1, "ok")], {"chr1": None})
    with pysam.VariantFile(str(tmp_path / "x.vcf.gz")) as file:
        assert [(r.pos, r.id, r.ref, r.alts) for r in file] == [(11, "a_name", "G", ("A",)), (3, "x", "C", ("CT",))]
