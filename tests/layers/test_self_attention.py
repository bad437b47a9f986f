"""Self-attention among tokens against loops in float64."""

import logging
import math

import keras
import numpy as np
import pytest
from keras import ops

from crested_like.layers import SelfAttention
from crested_like.layers.positions import rescaled_base

BASE = 10_000.0


def rotate(vector, position, base):
    out, half = vector.copy(), len(vector) // 2
    for j in range(half):
        angle = position * base ** (-2 * j / len(vector))
        cos, sin = math.cos(angle), math.sin(angle)
        first, second = vector[j], vector[half + j]
        out[j], out[half + j] = first * cos - second * sin, second * cos + first * sin
    return out


def base_of(length, key_size, rotary_base=None, rescaling_factor=None, rescale_above=None, trained_tokens=None, **_):
    if rotary_base is None:
        return None
    if rescale_above is not None and length > rescale_above:
        rescaling_factor = length / trained_tokens
    return rotary_base * (rescaling_factor or 1) ** (key_size / (key_size - 2))


def slow_weights(x, tokens, weights, heads, key_size, **config):
    batch, length, _ = x.shape
    base = base_of(length, key_size, **config)
    queries, keys = (x @ weights[f"{n}_layer/kernel"] + weights[f"{n}_layer/bias"] for n in "qk")
    out = np.zeros((batch, heads, length, length))
    for b in range(batch):
        for h in range(heads):
            part = slice(h * key_size, (h + 1) * key_size)
            for i in range(length):
                logits = np.full(length, -1e30)
                for j in range(length):
                    query, key = queries[b, i, part], keys[b, j, part]
                    if base:
                        query, key = rotate(query, i, base), rotate(key, j, base)
                    if tokens[b, i] != 1 and tokens[b, j] != 1:
                        logits[j] = query @ key / math.sqrt(key_size)
                odds = np.exp(logits - logits.max())
                out[b, h, i] = odds / odds.sum()
    return out


def slow_attention(inputs, weights, heads, key_size, **config):
    x, tokens = inputs
    shares = slow_weights(x, tokens, weights, heads, key_size, **config)
    values = x @ weights["v_layer/kernel"] + weights["v_layer/bias"]
    parts = [shares[:, h] @ values[:, :, h * key_size : (h + 1) * key_size] for h in range(heads)]
    return np.concatenate(parts, axis=2) @ weights["output_layer/kernel"] + weights["output_layer/bias"]


@pytest.fixture
def inputs(rng):
    tokens = np.array([[3, 7, 9, 2, 8, 1, 1], [3, 4, 4, 6, 7, 8, 9], [3, 1, 1, 1, 1, 1, 1]], dtype="float32")
    return [rng.normal(size=(3, 7, 6)).astype("float32"), tokens]


@pytest.mark.parametrize(
    "config",
    [
        {"heads": 2, "key_size": 4, "rotary_base": BASE, "rescaling_factor": 2.5},
        {"heads": 3, "key_size": 3},
        {"heads": 2, "key_size": 6, "rotary_base": 50.0, "rescale_above": 5, "trained_tokens": 4},
        {"heads": 2, "key_size": 6, "rotary_base": 50.0, "rescale_above": 7, "trained_tokens": 4},
    ],
    ids=str,
)
def test_self_attention(config, inputs, check_layer):
    first = "rescaling_factor" in config
    check_layer(
        SelfAttention, config, inputs, slow_attention, policies=first, brief=not first, untrained=("k_layer/bias",)
    )


def test_attention_weights_by_head(inputs, layer_tools, rng):
    layer = SelfAttention(2, 4, rotary_base=BASE)
    layer.build([part.shape for part in inputs])
    layer_tools.set_weights_that_matter(layer, rng)
    got = layer.attention_weights(*(ops.convert_to_tensor(part) for part in inputs))
    want = slow_weights(*inputs, layer_tools.named_weights(layer), 2, 4, rotary_base=BASE)
    assert layer_tools.close(ops.convert_to_numpy(got), want)


@pytest.mark.parametrize("length", [5, 9, 600])
def test_any_length_from_one_model(length, rng, layer_tools):
    """Also more tokens than one block of queries, and lengths at which the positions are stretched."""
    config = {"heads": 2, "key_size": 4, "rotary_base": BASE, "rescale_above": 8, "trained_tokens": 4}
    x, tokens = keras.Input((None, 6)), keras.Input((None,))
    layer = SelfAttention(**config)
    model = keras.Model([x, tokens], layer([x, tokens]))
    layer_tools.set_weights_that_matter(layer, rng)
    fixed = SelfAttention(**config)
    sized = [keras.Input((length, 6)), keras.Input((length,))]
    same = keras.Model(sized, fixed(sized))
    fixed.set_weights(layer.get_weights())
    inputs = [rng.normal(size=(2, length, 6)).astype("float32"), rng.integers(1, 9, (2, length)).astype("float32")]
    for _ in range(2):
        assert layer_tools.close(model.predict(inputs, verbose=0), same.predict(inputs, verbose=0))


def test_angles_inside_a_graph_are_those_outside(layer_tools):
    layer = SelfAttention(2, 8, rotary_base=BASE, rescaling_factor=2.0, rescale_above=100, trained_tokens=32)
    for length in (7, 100, 101, 500):
        inside = layer._angles_of_unknown(ops.convert_to_tensor(length))
        for got, want in zip(inside, layer._angles(length), strict=True):
            got, want = ops.convert_to_numpy(got), ops.convert_to_numpy(want)
            assert np.abs(got - want).max() < 1e-4


@pytest.mark.parametrize(
    ("factor", "base"), [(None, 10_000.0), (2.44140625, 25_127.227384), (8_333 / 2_048, 42_572.759190)]
)
def test_rescaled_base(factor, base):
    assert rescaled_base(BASE, factor, 64) == pytest.approx(base, rel=1e-10)
    frequencies = rescaled_base(BASE, factor, 64) ** (-np.array([1, 31]) / 32)
    assert frequencies[1] == pytest.approx(BASE ** (-31 / 32) / (factor or 1)), "the slowest is divided by the factor"


def test_a_stretch_is_told(caplog):
    layer = SelfAttention(2, 4, rotary_base=BASE, rescaling_factor=2.0, rescale_above=6, trained_tokens=4, name="a")
    with caplog.at_level(logging.INFO, logger="crested_like"):
        layer([np.zeros((1, 6, 8), "float32"), np.zeros((1, 6), "float32")])
        assert not caplog.records
        layer([np.zeros((1, 8, 8), "float32"), np.zeros((1, 8), "float32")])
    assert "a: 8 tokens are more than 6, so rotary positions are stretched by 2.0000" in caplog.text


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"key_size": 5, "rotary_base": BASE}, "key_size must be even"),
        ({"rescaling_factor": 2.0}, "no effect without rotary_base"),
        ({"rotary_base": BASE, "rescale_above": 8}, "both rescale_above and trained_tokens"),
        ({"heads": 0}, "heads must be an integer of at least 1"),
    ],
)
def test_what_does_not_fit_is_an_error(config, message):
    with pytest.raises(ValueError, match=message):
        SelfAttention(**{"heads": 2, "key_size": 4, **config})


def test_a_factor_needs_to_be_positive():
    with pytest.raises(ValueError, match="rescaling_factor must be above 0"):
        rescaled_base(BASE, 0.0, 64)
