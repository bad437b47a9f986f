"""CREsted's published ``.keras`` form loads as it is, without CREsted, and gives the same numbers."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import tree

pytestmark = [
    pytest.mark.parity,
    # a file of a never-trained model holds two optimizer variables; Keras says that it starts afresh
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]
CASES = sorted((Path(__file__).parent / "golden").glob("crested_*"))
TOLERANCE = 2e-5  # of the largest value: the project's one tolerance for float32


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_gives_the_published_numbers(folder, record_parity):
    model = keras.models.load_model(folder / "model.keras")
    taps = json.loads((folder / "config.json").read_text())["tapped_layers"]
    one_hot = np.load(folder / "input.npz")["one_hot"].astype("float32")
    expected = dict(np.load(folder / "expected.npz"))
    wanted = {f"int_{name}": model.get_layer(layer).output for name, layer in taps.items()}  # in graph order
    wanted |= {f"output_{n}": output for n, output in enumerate(tree.flatten(model.outputs))}
    assert set(wanted) == {name for name in expected if not name.startswith("target")}
    got = keras.Model(model.input, wanted).predict(one_hot, verbose=0)
    for name, want in ((name, expected[name]) for name in wanted):
        error = np.abs(got[name] - want).max() / np.abs(want).max()
        record_parity(folder.name, name, error)
        assert got[name].shape == want.shape
        assert error <= TOLERANCE, f"parts at {taps.get(name.removeprefix('int_'), name)}"


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_has_the_published_number_of_parameters(folder):
    model = keras.models.load_model(folder / "model.keras", compile=False)
    assert model.count_params() == json.loads((folder / "config.json").read_text())["parameters"]


@pytest.mark.parametrize("kind", ["enformer", "borzoi", "borzoi_prime"])
def test_is_saved_under_our_names(kind, golden_dir, tmp_path):
    folder = golden_dir / f"crested_{kind}_tiny_unregistered"
    model = keras.models.load_model(folder / "model.keras")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), model.get_weights(), strict=True))
    config = json.dumps(again.get_config())
    assert "crested_like>MultiheadAttention" in config
    assert "crested>" not in config
    x = np.load(folder / "input.npz")["one_hot"].astype("float32")
    for a, b in zip(tree.flatten(model.predict(x, verbose=0)), tree.flatten(again.predict(x, verbose=0)), strict=True):
        assert np.array_equal(a, b)
