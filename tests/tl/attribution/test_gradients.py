"""Gradients on every backend against finite differences in double precision, which ``derivatives.json`` holds."""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from crested_like._errors import GradientError
from crested_like.tl import predict
from crested_like.tl._heads import reduced
from crested_like.tl._stretches import stretches
from crested_like.tl.attribution import _cost, _gradients
from crested_like.tl.attribution._gradients import gradients

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import networks  # noqa: E402

DERIVATIVES = json.loads((HERE / "derivatives.json").read_text())
differentiates = pytest.mark.skipif(
    keras.backend.backend() not in ("tensorflow", "jax", "torch"), reason="the backend takes no gradients"
)


def check(name, staged):
    model, x = networks.network(name), networks.sequence()
    bound = networks.readout(model)
    network, _ = reduced(model, bound.head, bound.channels)
    values, found = gradients(network, x, bound.of_tensor, staged=staged)
    np.testing.assert_allclose(values, bound.of_array(predict(x, model, tracks=bound.channels)), rtol=1e-4, atol=1e-5)
    want = np.array(DERIVATIVES[name])
    positions, bases = networks.entries()
    # float32: errors of a few 1e-6 of the greatest; the three backends agree, because each agrees with these numbers
    assert np.abs(found[0, positions, bases] - want).max() <= 2e-5 * np.abs(want).max()
    return found


@differentiates
@pytest.mark.parametrize(
    "name", ["basenji2", *(pytest.param(name, marks=pytest.mark.slow) for name in ("borzoi", "enformer"))]
)
def test_stretch_by_stretch(name):
    check(name, staged=True)


@differentiates
@pytest.mark.slow
@pytest.mark.parametrize("name", networks.SETTINGS)
def test_at_once(name):
    found = check(name, staged=False)
    assert (found != 0).all(axis=-1).mean() > 0.2  # bases that a bin of the readout sees; Basenji2's see least


@pytest.fixture(scope="module")
def model():
    """A network of three stretches with three values a sequence, and a skip from one to the next."""
    rng = np.random.default_rng(0)
    x = inputs = keras.Input((16, 4))
    x = keras.layers.Conv1D(6, 5, padding="same", activation="tanh")(x)
    skip = keras.layers.MaxPooling1D(2)(x)
    y = keras.layers.Conv1D(6, 3, padding="same", activation="gelu")(skip)
    y = keras.layers.MaxPooling1D(2)(keras.layers.Add()([skip, y, skip]))
    made = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(y)))
    for weight in made.weights:
        weight.assign(rng.normal(scale=0.4, size=weight.shape))
    return made


@pytest.fixture
def dna(rng):
    return np.eye(4, dtype="float32")[rng.integers(0, 4, (5, 16))]


def second(y):
    return y[:, 1] ** 2


@differentiates
def test_stretches_with_skips_give_what_the_whole_gives(model, dna):
    assert len(stretches(model)) == 3
    whole_values, whole = gradients(model, dna, second, staged=False)
    values, found = gradients(model, dna, second, staged=True)
    np.testing.assert_allclose(values, whole_values, rtol=1e-5)
    np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-5 * np.abs(whole).max())


@differentiates
def test_batches_of_any_size(model, dna):
    values, found = gradients(model, dna, second)
    for size in (1, 2):
        again = gradients(model, dna, second, batch_size=size)
        np.testing.assert_allclose(again[0], values, rtol=1e-5)
        np.testing.assert_allclose(again[1], found, rtol=1e-4, atol=1e-5)


@differentiates
def test_constants_change_without_another_compilation(model, dna):
    seen = []

    def weighed(y, weights):
        seen.append(1)
        return keras.ops.sum(y * weights, axis=1)

    weights = np.array([1.0, 2.0, 0.0], "float32")
    values, found = gradients(model, dna, weighed, constants=[weights])
    traced = len(seen)
    more_values, more = gradients(model, dna, weighed, constants=[3 * weights])
    np.testing.assert_allclose(more_values, 3 * values, rtol=1e-5)
    np.testing.assert_allclose(more, 3 * found, rtol=1e-4, atol=1e-6)
    if keras.backend.backend() != "torch":  # which compiles nothing
        assert len(seen) == traced


@differentiates
def test_weights_may_change_in_between(model, dna):
    _, before = gradients(model, dna, second)
    layer = model.layers[-1]
    kept = layer.get_weights()
    try:
        layer.set_weights([kept[0] * 2, kept[1] * 2])
        _, after = gradients(model, dna, second)
    finally:
        layer.set_weights(kept)
    np.testing.assert_allclose(after, 4 * before, rtol=1e-4, atol=1e-5)


@differentiates
def test_the_weights_stay_trainable(model, dna):
    gradients(model, dna, second, staged=True)
    assert len(model.trainable_variables) == len(model.weights)
    if keras.backend.backend() == "torch":
        assert all(variable.value.requires_grad for variable in model.trainable_variables)


@differentiates
def test_few_readouts_are_kept(model, dna):
    for factor in range(2 * _gradients._KEPT_READOUTS):
        gradients(model, dna[:1], lambda y, factor=factor: factor * y[:, 0])
    chain = _gradients._chain_of(model, staged=False)
    assert len(chain._ends) == _gradients._KEPT_READOUTS


@differentiates
def test_a_readout_that_does_not_look(model, dna):
    values, found = gradients(
        model, dna, lambda y: keras.ops.zeros_like(keras.ops.stop_gradient(y))[:, 0], staged=False
    )
    assert not values.any()
    assert not found.any()


def test_memory_decides_how(model, monkeypatch):
    sizes = [16 * 6, 8 * 6, 8 * 6, 8 * 6, 4 * 6, 24, 3]  # values of each step's output
    assert _cost.kept_bytes(model) == 4 * sum(sizes)
    one = 8 * _cost.kept_bytes(model)  # a quarter of the free memory for twice the activations
    for free, sequences, want in [
        (one - 1, 5, _cost.Plan(1, staged=True)),
        (one, 5, _cost.Plan(1, staged=False)),
        (3 * one, 5, _cost.Plan(3, staged=False)),
        (3 * one, 4, _cost.Plan(2, staged=False)),  # batches of even size
        (10**6 * one, 500, _cost.Plan(63, staged=False)),
    ]:
        monkeypatch.setattr(_cost, "free_bytes", lambda free=free: free)
        assert _cost.gradient_plan(model, sequences) == want
    monkeypatch.setattr(_cost, "free_bytes", lambda: 2 * one)
    assert _cost.gradient_plan(model, 9, batch_size=3) == _cost.Plan(3, staged=True)
    assert _cost.gradient_plan(model, 9, batch_size=2) == _cost.Plan(2, staged=False)


def test_attention_counts(monkeypatch):
    model = networks.network("borzoi")
    inside = 4 * _cost.ATTENTION_ARRAYS * 2 * 16**2  # two heads, 256 bp in positions of 16
    monkeypatch.setattr(_cost, "ATTENTION_ARRAYS", 0)
    without = _cost.kept_bytes(model)
    monkeypatch.undo()
    assert _cost.kept_bytes(model) == without + inside


@pytest.mark.skipif(keras.backend.backend() != "openvino", reason="about OpenVINO")
def test_a_backend_without_gradients(model, dna):
    with pytest.raises(GradientError, match=r"Keras with openvino takes no gradients.*KERAS_BACKEND.*tl\.ism"):
        gradients(model, dna, second)


@differentiates
def test_models_of_tokens():
    inputs = keras.Input((8,), dtype="int32")
    x = keras.layers.Embedding(16, 2)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    with pytest.raises(GradientError, match=r"reads no one-hot DNA.*tl\.ism"):
        gradients(model, np.zeros((1, 8, 4), "float32"), second)
