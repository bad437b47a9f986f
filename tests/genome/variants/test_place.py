import logging

import pytest

from crested_like._errors import VariantError
from crested_like.genome import Genome, place_variants, read_variants

CHR1 = "ACGTACGTAC"


@pytest.fixture
def genome(tmp_path):
    pytest.importorskip("pysam")
    path = tmp_path / "x.fa"
    path.write_text(f">chr1\n{CHR1.lower()}\n>chrM\nAAAA\n>2\nCCCC\n")
    return Genome(path)


def placed(genome, *texts, **options):
    return [
        (item.chrom, item.genome_ref, item.status)
        for item in place_variants(read_variants(list(texts)), genome, **options)
    ]


def test_the_reference_is_compared_in_any_case(genome):
    assert placed(genome, "chr1:2:C:T", "chr1:3:GTA:G") == [("chr1", "C", "ok"), ("chr1", "GTA", "ok")]


def test_chromosomes_go_by_other_names(genome):
    found = placed(genome, "1:1:A:C", "MT:1:A:C", "chr2:1:C:A", "NC_000001.11:0:A:C", "NC_012920.1:0:A:C", "chr7:1:A:C")
    assert [chrom for chrom, _, _ in found] == ["chr1", "chrM", "2", "chr1", "chrM", "chr7"]
    assert [status for _, _, status in found[:5]] == ["ok"] * 5
    assert found[5][2] == "skipped: chromosome chr7 is not in the genome"


def test_mismatches_are_flagged_and_told_once(genome, caplog):
    with caplog.at_level(logging.WARNING):
        found = placed(genome, "chr1:2:T:C", "chr1:2:C:T", "chr1:3:A:C")
    assert found == [("chr1", "C", "ref_mismatch"), ("chr1", "C", "ok"), ("chr1", "G", "ref_mismatch")]
    (record,) = caplog.records
    assert "for 2 of 3 variants (1 of them have the genome's allele as ALT" in record.getMessage()


def test_mismatches_can_be_skipped_or_refused(genome, tmp_path):
    assert placed(genome, "chr1:2:T:C", on_mismatch="skip")[0][2] == "skipped: REF is T, the genome has C"
    path = tmp_path / "x.vcf"
    path.write_text("chr1\t2\t.\tT\tC\nchr1\t1\t.\tA\tC\nchr1\t3\t.\tA\tC\n")
    with pytest.raises(VariantError) as caught:
        place_variants(read_variants(path), genome, on_mismatch="error")
    assert str(caught.value).splitlines()[1:] == [
        "  line 1: chr1:2:T:C: the genome has C",
        "  line 3: chr1:3:A:C: the genome has G",
    ]
    with pytest.raises(ValueError, match="on_mismatch must be one of 'flag', 'skip', 'error'; got 'stop'"):
        placed(genome, "chr1:2:T:C", on_mismatch="stop")


def test_what_has_no_sequence_or_no_place_is_skipped(genome):
    found = placed(genome, "chr1:2:C:<DEL>", "chr1:10:CA:C", "chr1:50:A:C")
    assert [status for _, _, status in found] == [
        "skipped: symbolic allele <DEL>",
        "skipped: beyond the end of chr1, 10 bp",
        "skipped: beyond the end of chr1, 10 bp",
    ]


def test_none_on_the_genome_is_an_error(genome):
    with pytest.raises(VariantError, match=r"None of the variants lies on the genome\. Chromosome 'chr7' is not in"):
        placed(genome, "chr7:2:C:T")
