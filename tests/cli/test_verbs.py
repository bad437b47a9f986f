from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from crested_like import __version__, card_of, load_model
from crested_like.cli.convert_checkpoint import _setting


def flat(text: str) -> str:
    return " ".join(text.split())


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crested_like.cli", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_is_quick_and_imports_no_keras():
    code = "import sys; from crested_like.cli import app; app(['--help'], standalone_mode=False); "
    check = "sys.exit(bool({'keras', 'pandas', 'numpy', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "convert-checkpoint" in done.stdout
    assert time.perf_counter() - start < 10  # 0.4 s on an idle machine


def test_version_and_module(run):
    assert command("--version").stdout == f"crested-like {__version__}\n"


def test_a_backend_that_is_not_installed_is_told(tmp_path):
    (tmp_path / "x.fa").write_text(">a\nACGT\n")
    done = command("predict", str(tmp_path / "x.fa"), KERAS_BACKEND="mxnet")
    assert done.returncode == 1
    assert "KERAS_BACKEND is 'mxnet', which is no Keras backend" in done.stderr
    assert "Traceback" not in done.stderr


def test_backend_option_wins_over_the_environment(tmp_path):
    (tmp_path / "x.fa").write_text(">a\nACGT\n")
    hide = "import sys; sys.modules['torch'] = None; import importlib.util as u; real = u.find_spec; "
    patch = "u.find_spec = lambda name, *a: None if name == 'torch' else real(name, *a); del sys.modules['torch']; "
    call = f"from crested_like.cli import app; app(['predict', {str(tmp_path / 'x.fa')!r}, '--backend', 'torch'])"
    done = subprocess.run([sys.executable, "-c", hide + patch + call], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'crested_like[torch]'" in flat(done.stderr)


def test_models_are_listed_filtered_and_printed_as_json(run):
    listed = run("models", "prime", "--species", "mouse")
    assert listed.exit_code == 0
    assert "BorzoiPrime_mouse_rep0" in listed.stdout
    assert "human" not in listed.stdout
    cards = json.loads(run("models", "--architecture", "enformer", "--json").stdout)
    assert {card["architecture"] for card in cards} == {"enformer"}
    none = run("models", "no such thing")
    assert none.exit_code == 1
    assert "No model fits" in none.stderr


def test_show_prints_the_card(run, files):
    known = flat(run("show", "borzoi_human").stdout)
    for part in ("Borzoi_human_rep0", "524,288 bp", "6,144 bins of 32 bp x 7,611 tracks", "not fetched yet"):
        assert part in known
    own = flat(run("show", files.model).stdout)
    assert "tiny_model" in own
    assert "yes, with strand pairs" in own
    assert json.loads(run("show", files.model, "--json").stdout)["num_tracks"] == 3


def test_show_refuses_what_has_no_card(run, files):
    done = run("show", files.nameless)
    assert done.exit_code == 1
    assert "holds no card" in done.stderr


def test_unknown_models_are_corrected(run):
    done = run("show", "borzoi_humna")
    assert done.exit_code == 1
    assert "Did you mean 'borzoi_human'" in flat(done.stderr)
    assert "crested-like models" in done.stderr


@pytest.fixture
def lab(files, monkeypatch, tmp_path):
    """A registry with one model that is a file, and one whose file is missing."""
    sha = __import__("hashlib").sha256(files.model.read_bytes()).hexdigest()
    entry = '[models.{}]\nsources = ["{}"]\nsha256 = "{}"\nformat = "keras"\nlicense = "MIT"\n'
    text = entry.format("lab_good", files.model, sha) + entry.format("lab_gone", tmp_path / "gone.keras", sha)
    (tmp_path / "lab.toml").write_text(text)
    monkeypatch.setenv("CRESTED_LIKE_REGISTRY", str(tmp_path / "lab.toml"))


@pytest.mark.usefixtures("lab")
def test_fetch_goes_on_after_failures_and_reports_them(run, tmp_path):
    (tmp_path / "names.txt").write_text("# ours\nlab_gone\nlab_unknown  # mistyped\n\nlab_good\n")
    done = run("fetch", "--all", "names.txt")
    assert done.exit_code == 1
    assert "[3/3] lab_good" in done.stdout
    said = flat(done.stderr)
    assert "1 of 3 models are ready" in said
    assert "2 could not be fetched: lab_gone, lab_unknown" in said
    assert str(tmp_path / "cache") in flat(run("show", "lab_good").stdout)
    assert run("fetch", "lab_good").exit_code == 0


def test_fetch_needs_names(run, tmp_path):
    assert run("fetch").exit_code == 2
    assert "There is no file none.txt" in run("fetch", "--all", "none.txt").stderr
    (tmp_path / "empty.txt").write_text("# nothing\n")
    assert "names no model" in run("fetch", "--all", "empty.txt").stderr


def test_backends_are_listed(run):
    done = run("backends")
    assert done.exit_code == 0
    assert all(name in done.stdout for name in ("tensorflow", "jax", "torch", "openvino"))
    assert "used" in done.stdout


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("input_length=524288", 524_288),
        ("input_length=524,288", 524_288),
        ("activation=gelu_tanh", "gelu_tanh"),
        ("rate=0.5", 0.5),
        ("tower=(1, 2)", (1, 2)),
    ],
)
def test_settings_are_read_as_values(text, value):
    assert _setting(text) == (text.split("=")[0], value)


def test_settings_need_a_value(run, files):
    done = run("convert-checkpoint", files.model, "--set", "input_length", "--out", "x.keras")
    assert done.exit_code == 1
    assert "--set takes KEY=VALUE" in done.stderr


def test_convert_checkpoint_writes_a_model_with_its_tracks(run, golden_dir, tmp_path):
    source = golden_dir / "baskerville_borzoi_tiny" / "model0.h5"
    with np.load(source.parent / "expected.npz") as expected:
        count = expected["human"].shape[-1]
    (tmp_path / "names.txt").write_text("".join(f"t{i}\n" for i in range(count)))
    (tmp_path / "taken.keras").touch()
    assert "is there already" in run("convert-checkpoint", source, "--out", "taken.keras").stderr
    done = run("convert-checkpoint", source, "--targets", "names.txt")
    assert done.exit_code == 0, done.output
    assert f"{count} tracks" in done.stdout
    assert card_of(load_model(tmp_path / "model0.keras")).track_table()["identifier"].tolist()[0] == "t0"


def test_convert_checkpoint_refuses_other_names_and_files(run, files):
    assert "must be called *.keras" in run("convert-checkpoint", files.genome, "--out", "x.h5").stderr
    missing = run("convert-checkpoint", "none.h5")
    assert missing.exit_code == 1
    assert "There is no file or folder none.h5" in missing.stderr


def test_verify_compares_with_expected_numbers(run, files, tmp_path):
    import keras

    model = keras.models.load_model(files.model)
    one_hot = np.eye(4, dtype="float32")[np.random.default_rng(0).integers(0, 4, (1, *model.input_shape[1:2]))]
    wanted = model.predict_on_batch(one_hot)
    backend = keras.backend.backend()
    for scale, code, word in ((1, 0, "yes"), (1.01, 1, "NO")):
        np.savez(tmp_path / "x.npz", one_hot=one_hot, output=wanted * scale)
        result = run("verify", files.model, "--backend", backend, "--expected", tmp_path / "x.npz")
        assert result.exit_code == code, result.output
        assert word in result.output
        assert "expected" in result.output


def test_verify_needs_a_backend_that_is_there(run, files):
    result = run("verify", files.model, "--backend", "theano")
    assert result.exit_code == 1
    assert "backend must be one of" in result.output
