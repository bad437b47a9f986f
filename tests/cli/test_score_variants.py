from __future__ import annotations

import json
import shlex

import pandas as pd
import pytest

from crested_like.cli import score_variants


@pytest.fixture
def vcf(tmp_path, files):
    """Old text with a wrong REF and an allele that has no sequence."""
    pytest.importorskip("pysam")
    letters = files.genome.read_text().splitlines()[1]
    wrong = "A" if letters[8000] != "A" else "C"
    path = tmp_path / "variants.vcf"
    path.write_text(
        f"##fileformat=VCFv4.2\nchr1\t9001\trs1\t{letters[9000]}\tN\t.\t.\n"
        f"chr1\t8001\trs2\t{wrong}\t{letters[8000]}\t.\t.\nchr1\t7001\trs3\t{letters[7000]}\t<DUP>\t.\t.\n"
    )
    return path


def test_a_table_and_what_is_told(run, files, vcf, tmp_path):
    done = run("score-variants", vcf, "-g", files.genome, "-m", files.model, "-t", "CAGE", "-s", "SAD,D2")
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "scores.tsv", sep="\t")
    assert table["name"].tolist() == ["rs1", "rs2", "rs3"]
    assert table["status"].tolist() == ["ok", "ref_mismatch", "skipped: symbolic allele <DUP>"]
    assert list(table.columns[7:]) == ["SAD:a+", "SAD:a-", "D2:a+", "D2:a-"]
    for text in ("2 of 3", "1 symbolic allele <DUP>", "scores.tsv", "chr1:9001"):
        assert text in done.output
    again = run("score-variants", vcf, "-g", files.genome, "-m", files.model)
    assert again.exit_code == 1
    assert "scores.tsv is there already" in " ".join(again.output.split())


def test_a_summary_for_machines(run, files, vcf):
    words = ("-g", files.genome, "-m", files.model, "-m", files.other, "-t", "b", "--rc", "--shifts", "0,1", "--json")
    done = run("score-variants", vcf, *words, "-o", "scores.h5", "--on-mismatch", "skip")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["rows"], told["scored"], told["ref_mismatch"]) == (3, 1, 0)
    assert sum(told["skipped"].values()) == 2
    assert told["columns"] == ["SAD:b", "logSAD:b", "D2:b"]
    assert told["out"] == "scores.h5"


def test_a_readout_and_genes(run, files, vcf, tmp_path):
    done = run(
        "score-variants", vcf, "-g", files.genome, "-m", files.model, "--place", "chr1:8,901-9,100", "-o", "x.vcf.gz"
    )
    assert done.exit_code == 0, done.output
    (tmp_path / "x.gtf").write_text(
        'chr1\tx\texon\t8950\t9020\t.\t+\t.\tgene_id "G1"; transcript_id "T1"; gene_name "ABC";\n'
        'chr1\tx\texon\t9030\t9050\t.\t+\t.\tgene_id "G2"; transcript_id "T2"; gene_name "DEF";\n'
    )
    done = run("score-variants", vcf, "-g", files.genome, "-m", files.model, "--gtf", "x.gtf", "--gene", "ABC")
    assert done.exit_code == 0, done.output
    assert "ABC" in done.output
    assert pd.read_csv(tmp_path / "scores.tsv", sep="\t")["gene"].tolist()[:1] == ["ABC"]


def test_the_examples_of_the_help(run, files, vcf, tmp_path):
    """With the small model instead of the embedded one, and on its genome."""
    (tmp_path / "hg38.fa").write_text(files.genome.read_text())
    examples = [line for line in score_variants.EXAMPLES.splitlines() if line]
    assert len(examples) == 2
    for example in examples:
        words = shlex.split(example.replace("chr1:150001:A:G", "chr1:9001:A:G"))
        done = run(*words[1:], "--model", files.model)
        assert done.exit_code == 0, done.output
    assert (tmp_path / "scores.tsv").is_file()
    lines = done.stdout.splitlines()
    assert lines[0].split("\t")[:4] == ["chrom", "position", "ref", "alt"]
    assert lines[1].startswith("chr1\t9001\tA\tG\t")


@pytest.mark.parametrize(
    ("code", "words", "message"),
    [
        (2, [], "add --genome FASTA"),
        (2, ["-g", "GENOME", "--gene", "ABC"], "--gene is looked up in --gtf"),
        (2, ["-g", "GENOME", "--json", "-o", "-"], "both print on standard output"),
        (1, ["-g", "GENOME", "-o", "x.xls"], "must end in one of .tsv"),
        (1, ["-g", "GENOME", "--on-mismatch", "error"], "line 3: chr1:8001"),
        (1, ["-g", "GENOME", "-s", "SADD"], "There is no statistic 'SADD'. Did you mean 'SAD'"),
    ],
)
def test_wrong_use_is_told(run, files, vcf, code, words, message):
    done = run("score-variants", vcf, "-m", files.model, *(files.genome if w == "GENOME" else w for w in words))
    assert done.exit_code == code
    assert message in " ".join(done.output.replace("\u2502", " ").split())


def test_bad_lines_are_told_with_their_numbers(run, files, tmp_path):
    (tmp_path / "bad.vcf").write_text("chr1\t5\t.\tA\tC\nchr1\tx\t.\tA\tC\n")
    done = run("score-variants", "bad.vcf", "-g", files.genome, "-m", files.model)
    assert done.exit_code == 1
    assert "line 2: the position must be a number counted from 1; got 'x'" in " ".join(done.output.split())
