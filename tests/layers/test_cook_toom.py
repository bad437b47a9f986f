from __future__ import annotations

from fractions import Fraction

import keras
import numpy as np
import pytest

from crested_like.kernels import cook_toom
from crested_like.layers import CookToomConv1D


def slow_convolution(x, kernel, bias):
    """The direct sum, in float64."""
    padded = np.pad(x.astype("f8"), [(0, 0), (2, 2), (0, 0)])
    taps = [padded[:, k : k + x.shape[1]] @ kernel[k].astype("f8") for k in range(5)]
    return sum(taps) + bias


def a_pair(rng, channels, filters, **options):
    """A convolution with weights that matter, and what stands for it."""
    plain = keras.layers.Conv1D(filters, 5, padding="same", **options)
    plain.build((None, None, channels))
    plain.set_weights([rng.normal(size=w.shape) for w in plain.get_weights()])
    return plain, CookToomConv1D.of(plain)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 50, 2_047, 2_048, 2_049, 4_100])
def test_gives_the_direct_sum(rng, length):
    plain, fast = a_pair(rng, 6, 7)
    x = rng.normal(size=(2, length, 6)).astype("float32")
    want = slow_convolution(x, *plain.get_weights())
    inputs = keras.Input(x.shape[1:])
    predicted = keras.Model(inputs, fast(inputs)).predict(x, verbose=0)  # without gradients
    for got in (keras.ops.convert_to_numpy(fast(x)), predicted):
        assert got.shape == want.shape
        assert np.abs(got - want).max() <= 2e-6 * np.abs(want).max()
        assert np.linalg.norm(got - want) <= 1e-6 * np.linalg.norm(want)


def test_of_numbers_that_lie_otherwise_in_memory(rng):
    """A transposed view, as pooling gives it on PyTorch; long enough for chunks that touch neither end."""
    torch = pytest.importorskip("torch")
    if keras.backend.backend() != "torch":
        pytest.skip("only PyTorch has such views")
    plain, fast = a_pair(rng, 6, 7)
    x = rng.normal(size=(1, 6, 8_200)).astype("float32")
    want = slow_convolution(x.swapaxes(1, 2), *plain.get_weights())
    with torch.no_grad():
        got = fast(torch.from_numpy(x).transpose(1, 2)).numpy()
    assert np.abs(got - want).max() <= 2e-6 * np.abs(want).max()


def test_without_a_bias(rng):
    plain, fast = a_pair(rng, 3, 4, use_bias=False)
    x = rng.normal(size=(1, 13, 3)).astype("float32")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(fast(x)), slow_convolution(x, *plain.get_weights(), 0), 1e-4, 1e-5
    )


def test_the_sums_are_the_transforms():
    """Sums that share their parts, on the backend, and the matrices that stand for them."""
    tile, products = np.random.default_rng(0).normal(size=(2, 8)).astype("float32")
    at_points = cook_toom._at_points([keras.ops.convert_to_tensor(value) for value in tile])
    outputs = cook_toom._outputs([keras.ops.convert_to_tensor(value) for value in products])
    np.testing.assert_allclose(np.stack(at_points), cook_toom.input_transform() @ tile, 1e-5, 1e-5)
    np.testing.assert_allclose(np.stack(outputs), cook_toom.output_transform() @ products, 1e-5, 1e-5)


def test_the_algorithm_is_exact_in_fractions(rng):
    """Every step of the transforms, on whole numbers: as polynomials they are the convolution itself."""
    kernel = [Fraction(int(k)) for k in rng.integers(-9, 9, 5)]
    tile = [Fraction(int(d)) for d in rng.integers(-9, 9, 8)]
    points = [Fraction(0), *(sign * Fraction(p) for p in cook_toom.POINTS for sign in (1, -1))]
    gaps = [np.prod([p - q for q in points if q != p]) for p in points]
    transformed = [sum(p**k * kernel[k] for k in range(5)) / gap for p, gap in zip(points, gaps, strict=True)]
    transformed.append(kernel[-1])
    np.testing.assert_allclose(cook_toom.kernel_transform() @ np.array(kernel, float), np.array(transformed, float))
    rows = [np.poly([q for q in points if q != p])[::-1] for p in points]
    inputs = [sum(Fraction(c).limit_denominator(64) * d for c, d in zip(row, tile, strict=False)) for row in rows]
    inputs.append(sum(Fraction(c).limit_denominator(64) * d for c, d in zip(np.poly(points)[::-1], tile, strict=True)))
    products = [a * b for a, b in zip(inputs, transformed, strict=True)]
    outputs = [sum(p**k * m for p, m in zip(points, products, strict=False)) for k in range(4)]
    outputs[3] += products[-1]
    assert outputs == [sum(tile[k + i] * kernel[i] for i in range(5)) for k in range(4)]


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3},
        {"strides": 2},
        {"dilation_rate": 2},
        {"padding": "valid"},
        {"padding": "causal"},
        {"groups": 2},
    ],
)
def test_stands_for_nothing_else(options):
    layer = keras.layers.Conv1D(**{"filters": 64, "kernel_size": 5, "padding": "same", **options})
    layer.build((None, 16, 64))
    assert not CookToomConv1D.fits(layer)
    assert not CookToomConv1D.fits(keras.layers.Dense(3))


@pytest.mark.parametrize(
    ("channels", "filters", "dtype", "gains"),
    [(64, 64, "float32", True), (63, 64, "float32", False), (64, 63, "float32", False), (64, 64, "bfloat16", False)],
)
def test_stands_for_wide_ones_of_enough_digits(channels, filters, dtype, gains):
    layer = keras.layers.Conv1D(filters, 5, padding="same", dtype=dtype)
    layer.build((None, 16, channels))
    assert CookToomConv1D.fits(layer) is gains


def test_is_saved_and_loaded(rng, tmp_path):
    _, fast = a_pair(rng, 4, 3)
    inputs = keras.Input((24, 4))
    model = keras.Model(inputs, fast(inputs))
    model.save(tmp_path / "fast.keras")
    x = rng.normal(size=(2, 24, 4)).astype("float32")
    again = keras.models.load_model(tmp_path / "fast.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_needs_a_length(rng):
    _, fast = a_pair(rng, 4, 3)
    with pytest.raises(ValueError, match="needs a known number of positions"):
        fast(keras.Input((None, 4)))
