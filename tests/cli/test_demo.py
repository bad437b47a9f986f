from __future__ import annotations

import numpy as np
import pytest

from crested_like import list_models
from crested_like.cli._demo_dna import demo_sequence
from crested_like.cli._options import EMBEDDED


def test_demo_sequence_is_composed_like_a_chromosome():
    sequence = demo_sequence(131_072)
    assert sequence == demo_sequence(131_072)
    assert set(sequence) == set("ACGT")
    letters = np.array(list(sequence))
    gc = np.isin(letters, ["C", "G"])
    assert 0.39 < gc.mean() < 0.44
    cpg = sequence.count("CG") / (gc.mean() / 2) ** 2 / len(sequence)
    assert cpg < 0.5
    assert gc[8_000:9_200].mean() > 0.6


def test_demo_runs_from_sequence_to_figure_twice(run, files, tmp_path):
    for _ in range(2):
        done = run("demo", "--model", files.model)
        assert done.exit_code == 0, done.output
        made = sorted(path.name for path in (tmp_path / "crested_like_demo").iterdir())
        assert [name for name in made if name != "tracks.png"] == ["demo.fa", "predictions.zarr"]
    assert f'model = crested.load_model("{files.model}")' in done.stdout


def test_demo_without_matplotlib_says_how_to_get_figures(run, files, tmp_path, monkeypatch):
    monkeypatch.setattr("crested_like.cli.demo.find_spec", lambda name: None)
    done = run("demo", "--model", files.model, "--out", "here")
    assert done.exit_code == 0, done.output
    assert "pip install 'crested_like[plot]'" in done.stderr
    assert not (tmp_path / "here" / "tracks.png").exists()


@pytest.mark.slow
def test_demo_runs_on_the_embedded_model(run, tmp_path):
    if EMBEDDED not in list_models()["name"].tolist():
        pytest.skip("the embedded model is not in the registry yet")
    done = run("demo")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "crested_like_demo" / "predictions.zarr").is_dir()
