import math

import keras
import numpy as np
import pytest

from crested_like.tl import losses

# Keras' tensors on JAX and torch, under NumPy 2.4
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

TRAINS = keras.backend.backend() in {"tensorflow", "jax", "torch"}
SETTINGS = [
    {"gamma": 0},
    {},
    {"gamma": 1.5, "presence_weight": 0.25},
    {"gamma": 0, "presence_weight": 0.9, "eps": 1e-3},
]


def slow_segmentation(t, p, gamma=2.0, presence_weight=None, eps=1e-7):
    there, not_there = (1, 1) if presence_weight is None else (presence_weight, 1 - presence_weight)
    out = np.empty(t.shape[:-1])
    for i in np.ndindex(out.shape):
        terms = [
            there * (1 - b) ** gamma * math.log(b + eps) if a else not_there * b**gamma * math.log(1 - b + eps)
            for a, b in zip(t[i], p[i], strict=True)
        ]
        out[i] = -sum(terms) / len(terms)
    return out


def truth_and_probabilities(rng, shape=(2, 9, 3)):
    t, p = rng.random(shape) < 0.3, rng.uniform(0.01, 0.99, shape)
    return t.astype("float32"), p.astype("float32")


@pytest.mark.parametrize("settings", SETTINGS)
def test_formula(settings, rng):
    t, p = truth_and_probabilities(rng)
    want = slow_segmentation(t, p.astype("float64"), **settings)
    got = keras.ops.convert_to_numpy(losses.SegmentationLoss(reduction="none", **settings)(t, p))
    np.testing.assert_allclose(got, want, rtol=1e-6)
    np.testing.assert_allclose(float(losses.SegmentationLoss(**settings)(t, p)), want.mean(), rtol=1e-6)


def test_without_focus_it_is_the_cross_entropy_of_two_classes(rng):
    t, p = truth_and_probabilities(rng)
    classes, both = np.stack([1 - t, t], axis=-1), np.stack([1 - p, p], axis=-1)
    want = float(keras.losses.CategoricalCrossentropy()(classes, both))
    np.testing.assert_allclose(float(losses.SegmentationLoss(gamma=0)(t, p)), want, rtol=1e-5)


def test_weighs_samples_and_bases(rng):
    t, p = truth_and_probabilities(rng)
    weight = rng.random((2, 9)).astype("float32")
    want = slow_segmentation(t, p.astype("float64"))
    got = float(losses.SegmentationLoss()(t, p, sample_weight=weight))
    np.testing.assert_allclose(got, (want * weight).mean(), rtol=1e-6)


@pytest.mark.skipif(not TRAINS, reason="this backend only predicts")
@pytest.mark.parametrize("settings", SETTINGS)
def test_gradient_is_that_of_the_formula(settings, rng, loss_gradient, numeric_gradient):
    t, p = truth_and_probabilities(rng)
    want = numeric_gradient(lambda x: slow_segmentation(t, x, **settings).mean(), p)
    got = loss_gradient(losses.SegmentationLoss(**settings), t, p)
    np.testing.assert_allclose(got, want, rtol=1e-4)


@pytest.mark.skipif(not TRAINS, reason="this backend only predicts")
@pytest.mark.parametrize("settings", SETTINGS)
def test_gradient_is_finite_where_nothing_is_left_to_learn_or_all(settings, loss_gradient):
    t, p = np.array([[[1.0, 0.0, 1.0, 0.0]]], "float32"), np.array([[[0.0, 0.0, 1.0, 1.0]]], "float32")
    assert np.isfinite(loss_gradient(losses.SegmentationLoss(**settings), t, p)).all()


@pytest.mark.parametrize("settings", SETTINGS)
def test_configuration_is_complete(settings, rng):
    loss = losses.SegmentationLoss(**settings, name="mine")
    entry = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(entry)
    assert entry["registered_name"] == "crested_like>SegmentationLoss"
    assert again.get_config() == loss.get_config() == loss.get_config() | settings
    pair = truth_and_probabilities(rng)
    assert float(again(*pair)) == float(loss(*pair))


def test_refuses_bad_settings_and_shapes():
    with pytest.raises(ValueError, match=r"gamma must be 0, for cross-entropy, or at least 1; got 0\.5"):
        losses.SegmentationLoss(gamma=0.5)
    with pytest.raises(ValueError, match="presence_weight must be between 0 and 1; got 1"):
        losses.SegmentationLoss(presence_weight=1)
    with pytest.raises(ValueError, match=r"Targets have shape \(1, 4\), predictions \(1, 4, 2\)"):
        losses.SegmentationLoss()(np.ones((1, 4)), np.ones((1, 4, 2)))
