"""Kernels in a byte a number."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from crested_like import layers
from crested_like.layers import int8


def quantised(old, shape):
    new = int8.kind_for(old).from_config(old.get_config())
    new.build(shape)
    int8.take_weights(old, new)
    return new


def with_random_weights(layer, shape, rng):
    layer.build(shape)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.weights])
    return layer


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: keras.layers.Dense(7, activation="gelu"), (2, 5, 12)),
        (lambda: keras.layers.Dense(3, use_bias=False), (2, 12)),
        (lambda: keras.layers.Conv1D(6, 5, padding="same"), (2, 16, 4)),
        (lambda: keras.layers.Conv1D(6, 3, strides=2, dilation_rate=1, use_bias=False), (2, 17, 4)),
        (lambda: layers.MultiheadAttention(2, 4, 6, 12, num_position_features=4), (2, 8, 12)),
        (lambda: layers.RotaryAttention(2, 1, rotary_dim=4), (2, 8, 8)),
        (lambda: layers.SelfAttention(2, 4), [(2, 8, 8), (2, 8)]),
    ],
)
def test_gives_what_its_rounded_kernels_give(rng, layer, shape):
    """Equal to the layer with each kernel rounded to 127 steps of its output channel's largest entry."""
    old = with_random_weights(layer(), shape, rng)
    new = quantised(old, shape)
    for inner in old._flatten_layers():
        if type(inner) in (keras.layers.Dense, keras.layers.Conv1D):
            kernel = keras.ops.convert_to_numpy(inner.kernel)
            step = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1))) / 127
            rounded = np.rint(kernel / step) * step
            assert np.abs(rounded - kernel).max() <= 0.51 * step.max()
            inner.kernel.assign(rounded)
    x = [rng.normal(size=one).astype("float32") for one in (shape if isinstance(shape, list) else [shape])]
    want, got = (keras.ops.convert_to_numpy(one(x if len(x) > 1 else x[0])) for one in (old, new))
    np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())
    kernels = [weight for weight in new.weights if weight.path.endswith("codes")]
    assert kernels
    assert all(weight.dtype == "int8" for weight in kernels)


def test_a_channel_of_zeros(rng):
    old = with_random_weights(keras.layers.Dense(3, use_bias=False), (2, 4), rng)
    old.kernel.assign(keras.ops.convert_to_numpy(old.kernel) * [1.0, 0.0, 1.0])
    got = keras.ops.convert_to_numpy(quantised(old, (2, 4))(np.ones((2, 4), "float32")))
    assert np.isfinite(got).all()
    assert (got[:, 1] == 0).all()


def test_is_saved_and_loaded(rng, tmp_path):
    inputs = keras.Input((16, 4))
    x = quantised(with_random_weights(keras.layers.Conv1D(6, 5), (2, 16, 4), rng), (2, 16, 4))(inputs)
    outputs = quantised(with_random_weights(keras.layers.Dense(3), (2, 12, 6), rng), (2, 12, 6))(x)
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "small.keras")
    x = rng.normal(size=(2, 16, 4)).astype("float32")
    again = keras.models.load_model(tmp_path / "small.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize(
    "layer", [lambda: keras.layers.Conv1D(4, 3, groups=2), lambda: keras.layers.LayerNormalization()]
)
def test_leaves_others_alone(layer):
    assert int8.kind_for(layer()) is None
