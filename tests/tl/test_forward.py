from __future__ import annotations

import weakref
from typing import ClassVar

import keras
import numpy as np
import pytest

from crested_like.tl import _forward

BACKEND = keras.backend.backend()


def close(a, b):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6)


@pytest.fixture
def winding() -> keras.Model:
    """Skips, a model within the model, dropout, a layer used twice, an operation with two outputs, plain arithmetic."""
    dna = keras.Input((64, 4))
    shared = keras.layers.Conv1D(4, 3, padding="same")
    x = keras.layers.BatchNormalization()(shared(shared(dna)))
    inner_in = keras.Input((None, 4))
    inner = keras.Model(inner_in, keras.layers.Dense(4)(keras.layers.Dropout(0.9)(inner_in)))
    halves = keras.ops.split(inner(x), 2, axis=-1)
    x = keras.layers.Concatenate()([halves[1], keras.ops.abs(halves[0]) + 0.5, dna])
    model = keras.Model(dna, keras.layers.Dense(3)(keras.layers.Dropout(0.5)(x)))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.2, 1.2, weight.shape))
    return model


def test_the_same_as_keras(winding, rng):
    batch = rng.random((2, 64, 4), np.float32)
    close(_forward.forward(winding, batch), winding.predict_on_batch(batch))


def test_a_plain_stack(rng):
    model = keras.Sequential([keras.Input((64, 4)), keras.layers.Conv1D(5, 3), keras.layers.Dense(2)])
    batch = rng.random((2, 64, 4), np.float32)
    close(_forward.forward(model, batch), model.predict_on_batch(batch))


class Doubled(keras.Model):
    """A model with a graph that does something else beside going through it."""

    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training, mask=mask)


def test_a_call_of_its_own_is_honoured(rng):
    dna = keras.Input((64, 4))
    model = Doubled(dna, keras.layers.Dense(2)(dna))
    batch = rng.random((2, 64, 4), np.float32)
    close(_forward.forward(model, batch), model.predict_on_batch(batch))


class Counting(keras.layers.Layer):
    """Passes on a new tensor, and notes how many of its kind are still there."""

    alive: ClassVar[weakref.WeakSet] = weakref.WeakSet()
    most: ClassVar[int] = 0

    def call(self, x):
        y = x + 1.0
        Counting.alive.add(y)
        Counting.most = max(Counting.most, len(Counting.alive))
        return y

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.mark.skipif(BACKEND != "torch", reason="the other backends compile the graph")
def test_tensors_are_let_go_of():
    x = dna = keras.Input((64, 4))
    for _ in range(20):
        x = Counting()(x)
    model = keras.Model(dna, x)
    Counting.alive.clear()
    Counting.most = 0
    got = _forward.forward(model, np.zeros((1, 64, 4), np.float32))
    assert (got == 20).all()
    assert Counting.most <= 2
