"""Networks of other packages, run beside ours in the same process."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "full_size"))


@pytest.fixture
def with_weights_that_matter(rng):
    """A model of ours under whose weights every part has a say, and one window of random DNA."""
    from weights import make_weights_matter

    def make(model):
        one_hot = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (1, model.input_shape[1]))]
        make_weights_matter(model, one_hot)
        return model, one_hot

    return make


@pytest.fixture
def apart():
    """How far two results are apart, as a part of each track's range; the worst track."""

    def measure(ours, theirs) -> float:
        ours, theirs = (np.asarray(values, np.float64) for values in (ours, theirs))
        assert ours.shape == theirs.shape
        span = theirs.max(axis=1) - theirs.min(axis=1)
        return float((np.abs(ours - theirs).max(axis=1) / span).max())

    return measure


@pytest.fixture
def tolerance() -> float:
    """Of a track's range: rounding of two correct computations in float32. A broken part moves a hundred times that."""
    return 2e-5


@pytest.fixture
def without_positions():
    """The same network, whose attention knows no positions."""

    def change(model):
        for layer in model.layers:
            if layer.name.endswith("_attention"):
                kernel = layer._r_k_layer.kernel
                kernel.assign(np.zeros(kernel.shape, "float32"))
        return model

    return change
