from __future__ import annotations

import json

import keras
import numpy as np
import pytest

from crested_like.cli.explain import _part

differentiates = pytest.mark.skipif(
    keras.backend.backend() not in ("tensorflow", "jax", "torch"), reason="the backend takes no gradients"
)


@differentiates
def test_scores_a_figure_and_what_is_told(run, files, tmp_path):
    pytest.importorskip("matplotlib")
    words = ("-r", "chr1:5,001-5,100", "-g", files.genome, "-m", files.model, "--window", "chr1:5,001-5,100")
    done = run("explain", *words, "-t", "CAGE", "--plot", "logo.png", "-o", "scores.npz", "--modisco", "for_modisco")
    assert done.exit_code == 0, done.output
    letters = files.genome.read_text().splitlines()[1][5000:5100]
    scores = np.load(tmp_path / "scores.npz")
    assert scores["attribution"].shape == (1, 100, 4)
    assert "".join(scores["letter"][0]) == letters
    assert np.load(tmp_path / "for_modisco" / "one_hot.npz")["arr_0"].shape == (1, 4, 100)
    assert (tmp_path / "logo.png").stat().st_size > 1000
    for text in ("Strongest bases", "chr1:5,0", "scores.npz", "input_x_gradient"):
        assert text in done.output
    again = run("explain", *words, "-o", "scores.npz")
    assert again.exit_code == 1
    assert "scores.npz is there already" in " ".join(again.output.split())


def test_substitutions_for_machines(run, files):
    done = run(
        "explain",
        files.sequences,
        "-m",
        files.model,
        "--method",
        "ism",
        "--window",
        "2",
        "-t",
        "b",
        "--json",
        "--top",
        3,
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["method"] == "ism"
    assert told["readout"]["tracks"] == ["b"]
    assert len(told["strongest"]) == 3
    assert set(told["strongest"][0]) == {"where", "sequence", "base", "score"}
    assert abs(told["strongest"][0]["score"]) >= abs(told["strongest"][1]["score"])


def test_which_bases():
    assert [_part(text) for text in (None, "1,000", "101-300", "chr1:5-9")] == [None, 1000, (100, 300), "chr1:5-9"]


def test_wrong_use(run, files):
    done = run("explain", files.sequences, "-m", files.model, "--method", "occlusion", "--modisco", "out")
    assert done.exit_code == 1
    assert "occlusion does not tell" in " ".join(done.output.split())
    assert run("explain").exit_code == 2
    done = run("explain", files.sequences, "-m", files.model, "--window", "0-5")
    assert done.exit_code == 1
    assert "--window counts bases from 1" in " ".join(done.output.split())
    done = run("explain", files.sequences, "-m", files.model, "--gene", "GATA4")
    assert done.exit_code == 1
    assert "gtf=" in done.output
