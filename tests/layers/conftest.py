"""What every layer must do, checked once for all of them."""

from __future__ import annotations

import inspect
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops, tree

BACKEND = keras.backend.backend()
TRAINS = BACKEND in ("tensorflow", "jax", "torch")

#: float32 sums in another order than the float64 reference: the project's one tolerance, of the largest value.
TOLERANCE = 2e-5
#: 8 and 11 significant bits, some products deep, of the largest value.
POLICY_TOLERANCE = {"mixed_bfloat16": 4e-2, "bfloat16": 4e-2, "mixed_float16": 5e-3}


def close(got: Any, want: Any, tolerance: float = TOLERANCE) -> bool:
    """Whether all values agree to a fraction of the largest one."""
    got, want = np.asarray(got, "float64"), np.asarray(want, "float64")
    return got.shape == want.shape and np.abs(got - want).max() <= tolerance * np.abs(want).max()


def shapes_of(x: Any, batch: int | None) -> Any:
    """Shapes of one array or a list of them, with another batch size."""
    return [shapes_of(part, batch) for part in x] if isinstance(x, list) else (batch, *x.shape[1:])


def set_weights_that_matter(layer: keras.layers.Layer, rng: np.random.Generator) -> None:
    """Replace every weight by random numbers, so that nothing hides behind a zero."""
    layer.set_weights([rng.normal(size=w.shape) / np.sqrt(max(w.shape[0], 1)) + 0.1 for w in layer.weights])


def named_weights(layer: keras.layers.Layer) -> dict[str, np.ndarray]:
    """Weights in float64 by path inside the layer, such as ``q_layer/kernel``."""
    return {w.path.split("/", 1)[1]: ops.convert_to_numpy(w).astype("float64") for w in layer.weights}


def functional(layer: keras.layers.Layer, x: Any) -> keras.Model:
    """A model of this layer alone."""
    inputs = tree.map_structure(lambda part: keras.Input(part.shape[1:]), x)
    return keras.Model(inputs, layer(inputs))


def predict(model: keras.Model, x: Any) -> np.ndarray:
    return model.predict(x, verbose=0)


def call(layer: keras.layers.Layer, x: Any) -> np.ndarray:
    """Inference outside a model; compiled as a whole on JAX, where single operations are slow to start."""
    if BACKEND == "jax":
        import jax

        if not layer.built:
            layer.build(x.shape)
        return np.asarray(jax.jit(layer)(x))
    return ops.convert_to_numpy(layer(x))


def gradients(layer: keras.layers.Layer, x: Any, cotangent: np.ndarray) -> dict[str, np.ndarray]:
    """Gradients of ``sum(layer(x) * cotangent)`` by weight path, on the backends that train."""
    values = {"tensorflow": _gradients_tensorflow, "jax": _gradients_jax, "torch": _gradients_torch}[BACKEND](
        layer, lambda: ops.sum(ops.multiply(ops.cast(layer(x), "float32"), ops.convert_to_tensor(cotangent)))
    )
    weights = layer.trainable_weights
    return {w.path: np.zeros(w.shape) if g is None else np.asarray(g) for w, g in zip(weights, values, strict=True)}


def _gradients_tensorflow(layer: keras.layers.Layer, loss: Any) -> list:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss()
    found = tape.gradient(value, [w.value for w in layer.trainable_weights])
    return [g if g is None else tf.convert_to_tensor(g) for g in found]  # tables give the rows in use alone


def _gradients_jax(layer: keras.layers.Layer, loss: Any) -> list:
    import jax

    def of(values: list) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(layer.trainable_weights, values, strict=True))):
            return loss()

    return jax.jit(jax.grad(of))([w.value for w in layer.trainable_weights])


def _gradients_torch(layer: keras.layers.Layer, loss: Any) -> list:
    layer.zero_grad()
    value = loss()
    if value.requires_grad:
        value.backward()
    return [w.value.grad for w in layer.trainable_weights]


@pytest.fixture
def check_layer(rng, tmp_path):
    """Check one layer class with one configuration on one input: ``(class, config, x, reference, ...)``.

    ``reference(x, weights, **config)`` is slow, obvious NumPy: ``weights`` are named as by :func:`named_weights`.
    ``brief`` leaves out what does not depend on the configuration; ``policies`` adds the 16-bit ones.
    """

    def check(
        cls: type[keras.layers.Layer],
        config: dict,
        x: Any,
        reference: Any,
        *,
        policies: bool = False,
        brief: bool = False,
        untrained: tuple[str, ...] = (),
    ) -> keras.layers.Layer:
        layer = cls(**config)
        model = functional(layer, x)
        set_weights_that_matter(layer, rng)
        want = reference(tree.map_structure(lambda a: a.astype("float64"), x), named_weights(layer), **config)
        got = predict(model, x)
        _check_shapes(layer, model, x, got)
        assert close(got, want)
        _check_config(cls, layer, config)
        if brief:
            return layer
        assert close(predict(model, tree.map_structure(lambda a: a[:1], x)), want[:1]), "one, from the same model"
        _check_file(model, layer, x, got, tmp_path / "layer.keras")
        if policies:
            for policy in POLICY_TOLERANCE:
                _check_policy(cls, config, policy, layer, x, want)
        if TRAINS:
            _check_gradients(layer, x, rng.normal(size=got.shape).astype("float32"), untrained)
        return layer

    return check


def _check_shapes(layer, model, x, got):
    batch = got.shape[0]
    declared = layer.compute_output_shape(shapes_of(x, batch))
    assert tuple(declared) == got.shape
    assert tuple(layer.compute_output_shape(shapes_of(x, None))) == model.output_shape == (None, *got.shape[1:])
    symbolic = tree.map_structure(lambda a: keras.KerasTensor(a.shape), x)
    assert tuple(layer.compute_output_spec(symbolic).shape) == got.shape


def _check_config(cls, layer, config):
    saved = layer.get_config()
    arguments = set(inspect.signature(cls.__init__).parameters) - {"self", "kwargs"}
    assert arguments <= set(saved), "every argument is in the config"
    assert {key: saved[key] for key in config} == config
    again = cls.from_config(saved)
    assert again.get_config() == saved
    assert keras.saving.get_registered_name(cls) == f"crested_like>{cls.__name__}"


def _check_file(model, layer, x, got, path: Path):
    model.save(path)
    assert (
        f'"registered_name": "crested_like>{type(layer).__name__}"'
        in zipfile.ZipFile(path).read("config.json").decode()
    )
    again = keras.models.load_model(path)
    assert type(again.layers[-1]) is type(layer)
    assert np.array_equal(predict(again, x), got)


def _check_policy(cls, config, policy, full, x, want):
    layer = cls(**config, dtype=policy)
    inner = functional(layer, x)
    layer.set_weights(full.get_weights())
    assert inner.output.dtype == policy.removeprefix("mixed_")
    model = keras.Model(inner.input, ops.cast(inner.output, "float32"))  # OpenVINO's predict misreads 16-bit outputs
    stored = {w.dtype for w in layer.weights if "r_k_layer" not in w.path}
    assert stored == {"float32" if policy.startswith("mixed_") else policy}
    assert close(predict(model, x), want, POLICY_TOLERANCE[policy])


def _check_gradients(layer, x, cotangent, untrained):
    found = gradients(layer, x, cotangent)
    assert found
    for path, gradient in found.items():
        assert np.isfinite(gradient).all(), path
        assert np.abs(gradient).max() > 1e-6 or path.endswith(untrained), f"{path} gets no gradient"


@pytest.fixture(scope="session")
def layer_tools():
    """The helpers above, for tests beside the checker."""
    return SimpleNamespace(
        call=call, close=close, named_weights=named_weights, set_weights_that_matter=set_weights_that_matter
    )


@pytest.fixture(scope="session")
def check_close():
    """The function ``close(got, want, tolerance)``."""
    return close


@pytest.fixture
def softmax_dtypes(monkeypatch):
    """Types that ``ops.softmax`` and ``ops.sigmoid`` are called with, as the layers call them."""
    seen = []

    def spied(real):
        def spy(x, *args, **kwargs):
            seen.append(keras.backend.standardize_dtype(x.dtype))
            return real(x, *args, **kwargs)

        return spy

    for name in ("softmax", "sigmoid"):
        monkeypatch.setattr(ops, name, spied(getattr(ops, name)))
    return seen
