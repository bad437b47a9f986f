"""Weights and parameter files as Baskerville reads them: out and back is the same network."""

import json

import keras
import numpy as np
import pytest

from crested_like._errors import CheckpointError
from crested_like.checkpoints import convert, export
from crested_like.checkpoints._baskerville_build import build
from crested_like.checkpoints._baskerville_params import read_params
from crested_like.layers._initializers import nothing_drawn
from crested_like.tl import zoo

BORZOI = {
    "input_length": 1024,
    "output_bins": 12,
    "stem_filters": 6,
    "tower_filters": (6, 11, 8, 12),  # no growth by one factor
    "transformer_blocks": 2,
    "attention_heads": 2,
    "key_size": 4,
    "position_features": 4,
    "heads": {"human": 3},
}
BASENJI2 = {
    "input_length": 1024,
    "stem_filters": 6,
    "tower_filters": (6, 11, 8),
    "residual_blocks": 6,
    "residual_filters": 4,
    "final_filters": 10,
    "heads": {"mouse": 3},
}
NETWORKS = {
    "borzoi": {**BORZOI, "final_filters": 9, "dropout": 0.1, "position_length": 64},
    "borzoi_prime": {**BORZOI, "output_bins": None, "upsampling_width": 5, "l2_scale": 1e-7},
    "basenji2": {**BASENJI2, "output_bins": 24, "dilation_factor": 2.0, "activation": "gelu_tanh"},
}


@pytest.fixture
def network(randomise):
    """A small network, with weights of which none is zero."""

    def make(name, **settings):
        with nothing_drawn():
            return randomise(getattr(zoo, name)(**{**NETWORKS.get(name, {}), **settings}))

    return make


def equal_weights(model, other):
    assert [w.path for w in model.weights] == [w.path for w in other.weights]
    return all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_out_and_back_is_the_same_network(name, network, tmp_path, rng):
    model = network(name)
    again = convert(export(model, "baskerville-h5", tmp_path / "model_best.h5"))
    assert equal_weights(model, again)
    one_hot = np.eye(4, dtype="float32")[rng.integers(0, 4, (1, 1024))]
    assert np.array_equal(model.predict_on_batch(one_hot), again.predict_on_batch(one_hot))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            assert again.get_layer(layer.name).rate == layer.rate


def test_a_published_layout_needs_no_parameter_file(network, tmp_path):
    model = network("borzoi")
    path = export(model, "baskerville-h5", tmp_path / "model0_best.h5")
    (tmp_path / "params.json").unlink()
    again = convert(path, architecture="borzoi", input_length=1024, output_bins=12, position_length=64)
    assert equal_weights(model, again)


def test_the_published_defaults_can_be_described():
    """With one transformer block of eight, which is what takes the time."""
    from crested_like.checkpoints._baskerville_write import params_of

    for name in ("borzoi", "borzoi_prime"):
        with nothing_drawn():
            params = params_of(getattr(zoo, name)(transformer_blocks=1))
        assert params is not None
        assert params["model"]["seq_length"] == 524_288


def test_another_gelu_is_told(network, tmp_path, caplog):
    model = network("basenji2", activation="gelu_sigmoid")
    path = export(model, "baskerville-h5", tmp_path / "model_best.h5")
    assert "made with gelu_sigmoid" in caplog.text
    again = convert(path, activation="gelu_sigmoid")
    assert again.get_layer("trunk").activation is model.get_layer("trunk").activation


def test_a_network_of_other_blocks_has_no_parameter_file(trunk_of, randomise, tmp_path, caplog):
    """A network of several convolutions a stage: its weights are written, the file that describes it is its own."""
    params = trunk_of(
        {"name": "conv_dna", "filters": 6, "norm_type": None, "activation": "linear", "pool_size": 2},
        {"name": "res_tower", "filters_init": 6, "filters_mult": 1.5, "repeat": 2, "num_convs": 2},
    )
    with nothing_drawn():
        model = randomise(build(read_params(params), ["human"]))
    path = export(model, "baskerville-h5", tmp_path / "model0_best.h5")
    assert not (tmp_path / "params.json").exists()
    assert "No params.json is written" in caplog.text
    (tmp_path / "params.json").write_text(json.dumps(params))
    assert equal_weights(model, convert(path))


def test_one_head(network, tmp_path):
    model = network("borzoi", heads={"human": 3, "mouse": 2})
    with pytest.raises(CheckpointError, match=r"one head; 'borzoi' has 2.*load_model"):
        export(model, "baskerville-h5", tmp_path / "model.h5")


def test_no_such_layer(network, tmp_path):
    model = network(
        "enformer", input_length=256, output_bins=None, stem_filters=12, tower_filters=(12,), heads={"a": 2}
    )
    with pytest.raises(CheckpointError, match=r"no layer like 'stem_pool' \(AttentionPool1D\)"):
        export(model, "baskerville-h5", tmp_path / "model.h5")
    assert not any(tmp_path.iterdir())
