from __future__ import annotations

import json
import shlex

import keras
import pandas as pd
import pytest

from crested_like.cli import design
from crested_like.genome import read_fasta

HOW = ("--propose", "random", "--candidates", 8, "--rounds", 2)


@pytest.fixture
def start(planted, rng, tmp_path):
    path = tmp_path / "start.fa"
    path.write_text(f">one\n{planted.random_dna(rng)}\n>two\n{planted.random_dna(rng)}\n")
    return path


def test_sequences_and_tables(run, start, planted, tmp_path):
    done = run("design", start, "-m", planted.MODEL, "-t", "first", "--within", "201-260", *HOW, "-o", "best.fa")
    assert done.exit_code == 0, done.output
    before, after = dict(read_fasta(start)), dict(read_fasta(tmp_path / "best.fa"))
    assert list(after) == ["one", "two"]
    for name, text in after.items():
        changed = [i for i, (a, b) in enumerate(zip(before[name], text, strict=True)) if a != b]
        assert changed
        assert 200 <= min(changed) <= max(changed) < 260
    table = pd.read_csv(tmp_path / "best.tsv", sep="\t")
    assert table["sequence"].tolist() == list(after.values())
    assert (table["score"] > table["score_before"]).all()
    assert set(pd.read_csv(tmp_path / "best.history.tsv", sep="\t")["name"]) == {"one", "two"}
    assert not (tmp_path / "best.state.json").exists()
    again = run("design", start, "-m", planted.MODEL, "-o", "best.fa")
    assert again.exit_code == 1
    assert "best.fa and best.tsv and best.history.tsv are there already" in " ".join(again.output.split())


def test_motifs_and_a_summary_for_machines(run, planted, tmp_path):
    words = ("--insert", "strong=TGACTCATGC", "--within", "251-290", "--tracks", "first", "--against", "second")
    done = run("design", "--random", 1, "-m", planted.MODEL, *words, "--bins", "4", "--json", "-o", "x.fa")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["designs"][0]["score"] > told["designs"][0]["score_before"]
    history = pd.read_csv(tmp_path / "x.history.tsv", sep="\t")
    assert history["motif"].tolist() == ["strong"]
    assert 250 <= history["start"][0] <= 280


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "crested-like design sequences.fa"),
        (("--random", 1, "-o", "x.txt"), 1, "must end in .fa, .fasta or .fna"),
        (("--random", 1, "-o", "no/x.fa"), 1, "its folder does not exist"),
        (("--random", 1, "--within", "0-5"), 1, "--within counts bases from 1, the first before the last; got 0-5"),
        (("--random", 1, "--within", "1-5", "--within", "chr1:1-5"), 1, "not both in one call"),
        (("--random", 1, "--bins", "many"), 1, "--bins takes numbers such as 500:510"),
        (("--random", 1, "-r", "chr1:1-5"), 1, "leave out the file or --region"),
        (("--random", 1, "--insert", "TGZ"), 1, "The motif 'TGZ' has 'Z'"),
    ],
)
def test_what_is_wrong_is_told(run, planted, words, code, message):
    done = run("design", "-m", planted.MODEL, *words)
    assert done.exit_code == code
    assert message in " ".join(done.output.split())


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() in ("openvino", "numpy"), reason="the example follows the gradient")
def test_the_examples_of_the_help_run(run, planted, start, tmp_path):
    (tmp_path / "motifs.meme").write_text(
        "MEME version 4\n\nMOTIF ETS\nletter-probability matrix: alength= 4 w= 2\n0 1 0 0\n0.1 0.9 0 0\n"
    )
    for example in design.EXAMPLES.split("\n\n"):
        words = shlex.split(example)[1:]
        # the small model in place of the embedded one, and what it has
        words = ["1-512" if w == "65,001-65,200" else {"HepG2": "first", "5": "1"}.get(w, w) for w in words]
        done = run(*words, "-m", planted.MODEL, "--overwrite")
        assert done.exit_code == 0, done.output
