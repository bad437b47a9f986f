"""Files saved from a compiled model carry its losses and metrics: they load as they are, and evaluate as they did."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

BACKEND = keras.backend.backend()
SMALL = "crested_dilated_cnn_compiled_tiny"
FOLDERS = [SMALL, pytest.param("crested_borzoi_compiled_tiny", marks=pytest.mark.slow)]  # JAX compiles for 15 s

pytestmark = [
    pytest.mark.skipif(BACKEND not in {"tensorflow", "jax", "torch"}, reason="this backend cannot evaluate"),
    # a file of a never-trained model holds two optimizer variables; Keras says that it starts afresh
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
    # Keras' tensors on JAX and torch, under NumPy 2.4
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]


def load(folder):
    model = keras.models.load_model(folder / "model.keras")
    x = np.load(folder / "input.npz")["one_hot"].astype("float32")
    return model, x, np.load(folder / "expected.npz")["target_0"]


@pytest.mark.parametrize("name", FOLDERS)
def test_evaluates_as_the_original(name, golden_dir):
    assert "crested" not in sys.modules
    model, x, y = load(golden_dir / name)
    got = model.evaluate(x, y, verbose=0, return_dict=True)
    want = json.loads((golden_dir / name / "config.json").read_text())["evaluate_after_reload"]
    assert set(got) == set(want)
    for key, value in want.items():
        # the original's correlations are float32 sums of squares, which lose the last digits of the logarithms
        tolerance = {"abs": 1e-5} if "correlation" in key else {"rel": 2e-5, "abs": 2e-6}
        assert got[key] == pytest.approx(value, **tolerance), key


@pytest.mark.parametrize("name", FOLDERS)
def test_trains_on_and_is_saved_under_our_names(name, golden_dir, tmp_path):
    model, x, y = load(golden_dir / name)
    before = model.evaluate(x, y, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.evaluate(x, y, verbose=0, return_dict=True) == pytest.approx(before, rel=1e-6)
    assert type(again.loss).__module__ == "crested_like.tl.losses"
    again.train_on_batch(x, y)
    assert all(np.isfinite(keras.ops.convert_to_numpy(w.value)).all() for w in again.weights)


@pytest.mark.slow
@pytest.mark.parametrize("imports", ["keras, crested_like", "crested_like, keras", "crested_like.tl.losses, keras"])
def test_no_import_order_hides_the_names(imports, golden_dir):
    path = golden_dir / SMALL / "model.keras"
    code = f"import {imports}; print(keras.models.load_model({str(path)!r}).loss.name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "CosineMSELogLoss"
