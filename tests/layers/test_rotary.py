"""Rotary attention against loops over heads, queries and keys in float64."""

import cmath
import math

import keras
import numpy as np
import pytest
from keras import ops

from crested_like.kernels import attention
from crested_like.layers import RotaryAttention

BACKEND = keras.backend.backend()
SMALL = {"heads": 4, "key_value_heads": 2, "rotary_dim": 4}


def rotate(vector, position, rotary_dim, base):
    """Channel pair (j, j + rotary_dim / 2) is a complex number, turned by ``position * base^(-2 j / rotary_dim)``."""
    out, half = vector.copy(), rotary_dim // 2
    for j in range(half):
        turned = complex(vector[j], vector[half + j]) * cmath.exp(1j * position * base ** (-2 * j / rotary_dim))
        out[j], out[half + j] = turned.real, turned.imag
    return out


def slow_rotary(x, weights, heads, key_value_heads, rotary_dim=128, rotary_base=20_000.0, key_head=None, **_):
    batch, length, channels = x.shape
    size = channels // heads
    joint = x @ weights["qkv_layer/kernel"] + weights["qkv_layer/bias"]
    first_key, first_value = heads * size, (heads + key_value_heads) * size
    out = np.zeros((batch, length, channels))
    for b in range(batch):
        for h in range(heads):
            group = key_head(h) if key_head else h // (heads // key_value_heads)
            key_at, value_at = first_key + group * size, first_value + group * size
            for i in range(length):
                query = rotate(joint[b, i, h * size : (h + 1) * size], i, rotary_dim, rotary_base)
                odds = [
                    math.exp(
                        query @ rotate(joint[b, j, key_at : key_at + size], j, rotary_dim, rotary_base) / size**0.5
                    )
                    for j in range(length)
                ]
                values = joint[b, :, value_at : value_at + size]
                out[b, i, h * size : (h + 1) * size] = np.array(odds) @ values / sum(odds)
    return out @ weights["output_layer/kernel"] + weights["output_layer/bias"]


@pytest.fixture
def x(rng):
    return rng.normal(size=(3, 7, 24)).astype("float32")


@pytest.mark.parametrize(
    "config",
    [
        {**SMALL, "attention_dropout": 0.5, "l2_scale": 1e-3},
        {"heads": 6, "key_value_heads": 2, "rotary_dim": 2},
        {"heads": 3, "key_value_heads": 3, "rotary_dim": 8, "rotary_base": 50.0},
        {"heads": 4, "key_value_heads": 1, "rotary_dim": 6},
    ],
    ids=str,
)
def test_rotary_attention(config, x, check_layer):
    check_layer(RotaryAttention, config, x, slow_rotary, policies="l2_scale" in config, brief="l2_scale" not in config)


def test_consecutive_query_heads_share_a_key_head(x, rng, layer_tools):
    layer = RotaryAttention(**SMALL)
    layer.build(x.shape)
    layer_tools.set_weights_that_matter(layer, rng)
    wrong = slow_rotary(x.astype("float64"), layer_tools.named_weights(layer), **SMALL, key_head=lambda h: h % 2)
    assert not layer_tools.close(layer_tools.call(layer, x), wrong, 1e-2)


@pytest.mark.parametrize(("block", "length"), [(1, 4), (3, 1), (3, 3), (3, 7)])
def test_blocks_of_queries_do_not_show(block, length, rng, monkeypatch, layer_tools):
    monkeypatch.setattr(attention, "QUERY_BLOCK", block)
    x = rng.normal(size=(2, length, 24)).astype("float32")
    layer = RotaryAttention(**SMALL)
    layer.build(x.shape)
    layer_tools.set_weights_that_matter(layer, rng)
    want = slow_rotary(x.astype("float64"), layer_tools.named_weights(layer), **SMALL)
    assert layer_tools.close(layer_tools.call(layer, x), want)


def test_softmax_and_rotation_are_float32(x, softmax_dtypes, layer_tools, monkeypatch):
    rotated = []
    real = ops.convert_to_tensor
    monkeypatch.setattr(
        ops, "convert_to_tensor", lambda t, dtype=None, **k: rotated.append(dtype) or real(t, dtype=dtype, **k)
    )
    layer_tools.call(RotaryAttention(**SMALL, dtype="mixed_bfloat16"), x)
    assert softmax_dtypes == ["float32"]
    assert rotated.count("float32") >= 4, "cosines and sines for queries and keys"


def test_training_drops_out(x):
    layer = RotaryAttention(**SMALL, attention_dropout=0.5, output_initializer="he_normal")
    still = ops.convert_to_numpy(layer(x, training=False))
    assert np.array_equal(ops.convert_to_numpy(layer(x)), still)
    moved = [ops.convert_to_numpy(layer(x, training=True)) for _ in range(2)]
    assert all(np.isfinite(m).all() and not np.allclose(m, still) for m in moved)
    assert BACKEND == "openvino" or not np.allclose(*moved), "another draw every time"


def test_initial_weights_are_flashzois(x):
    layer = RotaryAttention(**SMALL)
    layer.build(x.shape)
    weights = {w.path.split("/", 1)[1]: ops.convert_to_numpy(w) for w in layer.weights}
    assert list(weights) == ["qkv_layer/kernel", "qkv_layer/bias", "output_layer/kernel", "output_layer/bias"]
    assert weights["qkv_layer/kernel"].shape == (24, 6 * (4 + 2 * 2))
    assert (weights["qkv_layer/bias"] == 1).all()
    assert not weights["output_layer/kernel"].any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"key_value_heads": 3}, "key_value_heads must divide heads; got 3 and 4"),
        ({"heads": 0}, "heads must be an integer of at least 1; got 0"),
        ({"rotary_dim": 3}, "rotary_dim must be even; got 3"),
        ({"rotary_dim": 0}, "rotary_dim must be an integer of at least 2; got 0"),
        ({"attention_dropout": -0.1}, "attention_dropout must be at least 0 and below 1; got -0.1"),
    ],
    ids=str,
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        RotaryAttention(**{**SMALL, **settings})


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        ({"heads": 5, "key_value_heads": 5}, (None, 7, 24), "heads must divide the 24 channels; got 5"),
        ({"rotary_dim": 8}, (None, 7, 24), "rotary_dim must be at most the 6 channels of a head; got 8"),
        ({}, (None, None, 24), r"needs a known number of positions; got the shape .* fixed length"),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit(settings, shape, message):
    with pytest.raises(ValueError, match=message):
        RotaryAttention(**{**SMALL, **settings}).build(shape)


def test_another_length_than_built_for_is_refused(x):
    layer = RotaryAttention(**SMALL)
    layer(keras.Input((9, 24)))
    with pytest.raises(ValueError, match="incompatible with the layer"):
        layer(x)
