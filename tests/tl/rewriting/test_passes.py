"""Every pass leaves the numbers as they were, on every architecture, alone and with the others."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from crested_like.layers import Blockwise, SomeAttention
from crested_like.tl.rewriting import _blocks, _passes
from crested_like.tl.rewriting._needed import only_needed
from crested_like.tl.rewriting._passes import PASSES


@pytest.fixture(scope="module")
def network(model):
    """A network, DNA, and what it predicts."""
    x = np.eye(4, dtype="float32")[np.random.default_rng(1).integers(0, 4, (2, model.input_shape[1]))]
    return model, x, arrays(model, x)


def arrays(model, x):
    return [np.asarray(y) for y in keras.tree.flatten(model.predict(x, verbose=0))]


def error(found, wanted):
    return max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("name", PASSES)
def test_a_pass_alone(network, name, monkeypatch):
    model, x, wanted = network
    monkeypatch.setattr(_blocks, "ENTRIES", 2**12)
    made = PASSES[name].rewrite(model)
    if made is None:
        pytest.skip(f"{model.name} has nothing for it")
    assert error(arrays(made, x), wanted) < 5e-6
    assert error(arrays(model, x), wanted) == 0  # the network given is as it was


def test_all_passes(network, monkeypatch):
    model, x, wanted = network
    monkeypatch.setattr(_blocks, "ENTRIES", 2**12)
    made = model
    for known in PASSES.values():
        made = known.rewrite(made) or made
    assert any(isinstance(layer, Blockwise) for layer in made.layers)
    assert error(arrays(made, x), wanted) < 5e-6


@pytest.mark.parametrize("bins", [(0, 1), (3, 5), (0, 8), (6, 8)])
def test_some_bins(network, bins):
    model, x, wanted = network
    found = arrays(only_needed(model, bins), x)
    assert error(found, [y[:, slice(*bins)] for y in wanted]) < 2e-6


def test_the_last_attention_has_the_queries_of_kept_bins_alone(model):
    if model.name.startswith("basenji"):
        pytest.skip("no attention")
    some = [layer for layer in only_needed(model, (3, 5)).layers if isinstance(layer, SomeAttention)]
    assert len(some) == 1
    assert some[0].last - some[0].first <= 6


def test_on_an_accelerator_only_what_is_never_needed_is_left_out(monkeypatch):
    monkeypatch.setattr(_passes, "on_processor", lambda: False)
    assert _passes.that_pay() == ["needed"]
    monkeypatch.setattr(_passes, "on_processor", lambda: True)
    assert "needed" in _passes.that_pay()
