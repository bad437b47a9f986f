"""Networks in fewer digits: smaller, near enough, and with their error told."""

from __future__ import annotations

import logging

import keras
import numpy as np
import pytest

import crested_like as crested
from crested_like.tl import zoo
from crested_like.tl.rewriting._precision import REDUCED, errors

LENGTH = 1_024


@pytest.fixture(scope="module")
def network():
    model = zoo.borzoi(
        input_length=LENGTH,
        output_bins=8,
        stem_filters=8,
        tower_filters=(8, 8, 8, 8, 16, 16),
        attention_heads=2,
        transformer_blocks=1,
        heads={"human": 3},
    )
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith(("gamma", "moving_variance")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        else:
            weight.assign(rng.normal(0, 1 / np.sqrt(np.prod(weight.shape[:-1]) + 1), weight.shape))
    return crested.attach(model, crested.ModelCard(name="tiny", architecture="borzoi"))


@pytest.fixture(scope="module", params=REDUCED)
def reduced(request, network):
    return request.param, crested.tl.accelerate(network, precision=request.param)


def test_weights_take_less_memory(network, reduced):
    dtype, made = reduced
    if dtype == "int8":
        large = {weight.dtype for weight in made.weights if weight.path.endswith("codes")}
    else:
        exact = ("r_k_layer", "head_human")  # numbers of positions, and the last layer
        large = {weight.dtype for weight in made.weights if not any(name in weight.path for name in exact)}
    assert large == {dtype}
    assert {weight.dtype for weight in network.weights} == {"float32"}


def test_predictions_are_float32_and_near(network, reduced):
    dtype, made = reduced
    assert made.output_names == network.output_names
    x = np.eye(4, dtype="float32")[np.random.default_rng(3).integers(0, 4, (2, LENGTH))]
    found, exact = crested.tl.predict(x, made), crested.tl.predict(x, network)
    assert found.dtype == np.float32
    bits = {"bfloat16": 8, "float16": 11, "int8": 8}[dtype]
    assert 0 < np.abs(found - exact).max() / np.abs(exact).max() < 10 * 2.0**-bits


def test_the_error_is_measured_logged_and_noted(network, reduced, caplog):
    dtype, made = reduced
    noted = crested.card_of(made).metrics["precision"]
    assert noted["dtype"] == dtype
    assert 0 < noted["median"] <= noted["worst"]
    again = errors(network, made)["worst"]  # of the same sequence, in another form of the network
    assert again / 3 < noted["worst"] < 3 * again
    with caplog.at_level(logging.WARNING):
        crested.tl.accelerate(network, precision=dtype, bins=range(2))
    assert f"in {dtype}: its largest error" in caplog.text


def test_is_saved_and_loaded(reduced, tmp_path):
    _, made = reduced
    made.save(tmp_path / "half.keras")
    x = np.eye(4, dtype="float32")[np.random.default_rng(4).integers(0, 4, (1, LENGTH))]
    again = keras.models.load_model(tmp_path / "half.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), made.predict(x, verbose=0), rtol=1e-5)


def test_an_unknown_precision(network):
    with pytest.raises(
        ValueError, match="precision must be one of 'float32', 'bfloat16', 'float16', 'int8'; got 'int3'"
    ):
        crested.tl.accelerate(network, precision="int3")
