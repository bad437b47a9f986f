from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from crested_like import load_model, tl

GTF = "".join(
    f'{chrom}\tme\texon\t{first}\t{last}\t.\t{strand}\t.\tgene_id "{identifier}"; transcript_id "{identifier}.t"; '
    f'gene_name "{name}";\n'
    for chrom, first, last, strand, identifier, name in (
        ("chr1", 5001, 5100, "+", "E1.2", "ONE"),
        ("chr1", 5301, 5400, "+", "E1.2", "ONE"),
        ("chr2", 1001, 2200, "-", "E2.1", "TWO"),
        ("chrM", 1, 100, "+", "E3.1", "FAR"),
    )
)
TABLE = ["gene", "name", "identifier", "chrom", "start", "end", "strand", "exon_bases"]


@pytest.fixture
def common(tmp_path, files):
    pytest.importorskip("pysam")
    (tmp_path / "genes.gtf").write_text(GTF)
    return "--gtf", "genes.gtf", "--genome", files.genome, "-m", files.model


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_table_and_what_is_told(run, files, common, tmp_path):
    done = run("genes", "TWO", "E1", *common)
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "genes.tsv", sep="\t")
    assert table.columns.tolist() == [*TABLE, "a", "b"]
    want = tl.predict_genes(["TWO", "E1"], load_model(files.model), files.genome, gtf=tmp_path / "genes.gtf")
    np.testing.assert_allclose(table[["a", "b"]], want, rtol=1e-5)
    assert table["gene"].tolist() == ["TWO", "ONE"]
    for text in ("Strongest genes", "2 genes x 2 tracks", "model output", "tiny_model", "genes.tsv"):
        assert text in flat(done.output)
    again = run("genes", "TWO", *common)
    assert again.exit_code == 1
    assert "genes.tsv is there already" in flat(again.output)


def test_all_genes_for_machines(run, common, tmp_path):
    words = ("-t", "CAGE", "--strand", "both", "--overlap", "fraction", "--rc", "--json", "-o", "all.tsv.gz")
    done = run("genes", *common, *words)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["genes"], told["columns"], told["written"], told["overlap"]) == (2, 2, "all.tsv.gz", "fraction")
    assert pd.read_csv(tmp_path / "all.tsv.gz", sep="\t").columns.tolist() == [*TABLE, "a+", "a-"]
    assert "1 genes are left out" in flat(done.stderr)


def test_a_list_of_genes_and_output_for_pipes(run, common, tmp_path):
    (tmp_path / "wanted.txt").write_text("# mine\nONE\n\nE2.1\n")
    done = run("genes", "--list", "wanted.txt", *common, "-o", "-", "--reduce", "mean", "--span")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["gene", "ONE", "TWO"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("ONE",), 1, "A GTF file is needed to know where exons are: add --gtf FILE."),
        (("ONE", "--gtf", "genes.gtf"), 1, "A genome is needed to read the genes' sequences from"),
        (("ONE", "COMMON", "--list", "x.txt"), 1, "Give either genes or --list, not both: ONE and x.txt"),
        (("COMMON", "--json", "-o", "-"), 1, "both print on standard output"),
        (("COMMON", "--transform", "new"), 1, "give it with --untransform"),
        (("COMMON", "--overlap", "half"), 2, "'half' is not one of 'any', 'majority', 'fraction'"),
        (("COMMON", "-o", "genes.csv"), 1, "Genes are written to *.tsv, *.tsv.gz, *.parquet, *.h5ad"),
        (("ONCE", "COMMON"), 1, "'ONCE'. Did you mean 'ONE'"),
        (("FAR", "COMMON"), 1, "FAR: Chromosome 'chrM' is not in genome"),
        (("COMMON", "--untransform"), 1, "needs to know how the targets were squashed"),
    ],
)
def test_wrong_use(run, common, tmp_path, words, code, message):
    (tmp_path / "empty.txt").write_text("\n")
    given = [part for word in words for part in (common if word == "COMMON" else (word,))]
    done = run("genes", *given)
    assert done.exit_code == code
    assert message in " ".join(done.output.replace("│", " ").split())
    assert not list(tmp_path.glob("genes.tsv*"))


def test_an_empty_list(run, common, tmp_path):
    (tmp_path / "empty.txt").write_text("# nothing\n\n")
    done = run("genes", "--list", "empty.txt", *common)
    assert done.exit_code == 1
    assert "empty.txt names no gene; it needs one a line." in flat(done.output)
