"""What sequences share is computed once, and nobody can tell."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from crested_like.tl.rewriting import _reuse
from crested_like.tl.rewriting._reuse import Reuse
from crested_like.tl.rewriting._split import split_of


def sequence(single, seed=0):
    return np.eye(4, dtype="float32")[np.random.default_rng(seed).integers(0, 4, single.input_shape[1])]


def mutated(x, *places):
    x = x.copy()
    for place in places:
        x[place] = np.roll(x[place], 1)
    return x


def largest_error(found, wanted):
    return np.abs(found - wanted).max() / np.ptp(wanted)


@pytest.mark.parametrize("places", [(0,), (-1,), (1_000,), (1_023,), (1_024,), (1_000, 1_001, 1_017)])
def test_equals_the_prediction_by_itself(single, places):
    x = sequence(single)
    other = mutated(x, *places)
    reuse = Reuse(single)
    first, second = reuse(x[None]), reuse(other[None])
    assert largest_error(first, single.predict(x[None], verbose=0)) < 5e-6
    assert largest_error(second, single.predict(other[None], verbose=0)) < 5e-6
    assert np.abs(first - second).max() > 0


def test_the_local_part_runs_once(single, monkeypatch):
    """Of ten sequences that differ in single bases the whole front is computed for the first alone."""
    split, called = split_of(single), []
    if split is None or split.slab((900, 981)) is None:
        pytest.skip("its neighbourhoods are as wide as its input")
    real = _reuse.forward_all
    monkeypatch.setattr(_reuse, "forward_all", lambda part, x: called.append(part) or real(part, x))
    x = sequence(single)
    Reuse(single)(np.stack([x, *(mutated(x, place) for place in range(900, 990, 10))]))
    assert sum(part is split.front for part in called) == 1
    assert len(called) == 10


def test_another_window_is_computed_anew(single):
    reuse = Reuse(single)
    reuse(sequence(single, 1)[None])
    other = sequence(single, 2)[None]
    assert largest_error(reuse(other), single.predict(other, verbose=0)) < 5e-6


def test_a_network_without_a_local_part():
    inputs = keras.Input((64, 4))
    x = keras.layers.Flatten()(inputs)
    single = keras.Model(inputs, keras.layers.Dense(3)(x))
    assert split_of(single) is None
    x = np.random.default_rng(0).normal(size=(2, 64, 4)).astype("float32")
    np.testing.assert_allclose(Reuse(single)(x), single.predict(x, verbose=0), rtol=1e-6)
