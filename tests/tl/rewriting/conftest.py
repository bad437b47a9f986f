"""The architectures, small, with weights that matter."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from crested_like.layers import cook_toom
from crested_like.tl import zoo

SMALL = {"attention_heads": 2, "transformer_blocks": 1}
TOWER = (8, 8, 8, 8, 16, 16)
NETWORKS = {
    "borzoi": lambda: zoo.borzoi(
        **SMALL, input_length=8_192, output_bins=64, stem_filters=8, tower_filters=TOWER, heads={"human": 3}
    ),
    "borzoi_prime": lambda: zoo.borzoi_prime(
        **SMALL, input_length=8_192, output_bins=128, stem_filters=8, tower_filters=TOWER, heads={"a": 3, "b": 2}
    ),
    "enformer": lambda: zoo.enformer(
        **SMALL, input_length=2_048, output_bins=8, stem_filters=12, tower_filters=(12, 12, 24, 24), heads={"human": 3}
    ),
    "basenji2": lambda: zoo.basenji2(input_length=8_192, output_bins=50, residual_blocks=3, heads={"human": 3}),
}


def _with_weights_that_matter(model, seed=0):
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        name = weight.path.split("/")[-1]
        if name in ("moving_variance", "gamma"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        else:
            weight.assign(rng.normal(0, 1 / np.sqrt(np.prod(weight.shape[:-1]) + 1), weight.shape))
    return model


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch):
    """Rewrite narrow layers, too, which would not gain from it."""
    monkeypatch.setattr(cook_toom, "LEAST_CHANNELS", 1)


SLOW = ("borzoi_prime", "basenji2")
PARAMETERS = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in NETWORKS]


@pytest.fixture(scope="module", params=PARAMETERS)
def model(request):
    """A network, of one head or two."""
    return _with_weights_that_matter(NETWORKS[request.param]())


@pytest.fixture(scope="module")
def single(model):
    """The network with one output."""
    return model if len(model.outputs) == 1 else keras.Model(model.inputs, model.outputs[0])
