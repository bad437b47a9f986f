"""A network in numbers of fewer digits, and how far its predictions are from those in float32."""

from __future__ import annotations

import logging
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from crested_like import _graph
from crested_like.checkpoints._keras import portable
from crested_like.layers import int8
from crested_like.tl._forward import forward_all
from crested_like.tl.rewriting._rebuild import rebuilt, structure

log = logging.getLogger(__name__)

#: Types that a network can be computed in instead of float32.
HALF = ("bfloat16", "float16")
#: A type that it can keep its kernels in, while it computes in float32.
BYTES = "int8"
REDUCED = (*HALF, BYTES)
FULL = "float32"


def in_precision(model: keras.Model, dtype: str) -> tuple[keras.Model, dict[str, Any]]:
    """A copy of a model that keeps its weights in a type of fewer digits, and gives float32.

    Parameters
    ----------
    model
        A functional model in float32.
    dtype
        One of :data:`REDUCED`.

    Returns
    -------
    model, facts
        The copy, and how far its predictions of random DNA are from those in float32, by :func:`errors`.
    """
    made = rebuilt(model, change=_in_bytes, move=int8.take_weights) if dtype == BYTES else _in_half(model, dtype)
    found = errors(model, made)
    log.warning(
        "Model %r in %s: its largest error on random DNA is %.1e of a track's range, in the median track %.1e.",
        model.name,
        dtype,
        found["worst"],
        found["median"],
    )
    return made, {"dtype": dtype, **found}


def errors(model: keras.Model, other: keras.Model, seed: int = 0) -> dict[str, float]:
    """Largest difference over bins, divided by the track's range over bins: of the worst and of the median track."""
    x = [_random_input(symbol, seed) for symbol in model.inputs]
    given = x if len(x) > 1 else x[0]
    pairs = zip(forward_all(model, given), forward_all(other, given), strict=True)
    by_track = np.concatenate([_by_track(exact, found) for exact, found in pairs])
    return {"worst": float(by_track.max()), "median": float(np.median(by_track))}


def _by_track(exact: NDArray, found: NDArray) -> NDArray:
    exact, found = (y.reshape(-1, y.shape[-1]).astype(np.float64) for y in (exact, found))
    spread = np.ptp(exact, axis=0) if len(exact) > 1 else np.abs(exact[0])
    return np.abs(exact - found).max(axis=0) / np.maximum(spread, np.finfo(np.float32).tiny)


def _random_input(symbol: Any, seed: int) -> NDArray:
    rng = np.random.default_rng(seed)
    shape = (1, *symbol.shape[1:])
    if "int" in symbol.dtype:  # tokens: low numbers are in every vocabulary
        return rng.integers(0, 4, shape).astype(symbol.dtype)
    if shape[-1] != 4:
        return rng.normal(size=shape).astype(symbol.dtype)
    return np.eye(4, dtype=symbol.dtype)[rng.integers(0, 4, shape[:-1])]


def _in_half(model: keras.Model, dtype: str) -> keras.Model:
    """All but the layers that make the outputs, whose digits would be lost in the end."""
    last = {id(_graph.producer(output).layer) for output in model.outputs}
    made = rebuilt(model, change=lambda layer: None if id(layer) in last else _retyped(layer, dtype))
    if all(output.dtype == FULL for output in made.outputs):
        return made
    inputs, outputs = structure(made)
    return keras.Model(inputs, keras.tree.map_structure(lambda y: ops.cast(y, FULL), outputs), name=made.name)


def _in_bytes(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    kind = int8.kind_for(layer)
    return None if kind is None else kind.from_config(portable(layer.get_config()))


def _retyped(layer: keras.layers.Layer, dtype: str) -> keras.layers.Layer:
    """A new layer of the same configuration but for the type, also of layers inside it."""
    return type(layer).from_config(_replaced(portable(layer.get_config()), dtype))


def _replaced(config: Any, dtype: str) -> Any:
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy" and config["config"].get("name") == FULL:
            return {**config, "config": {**config["config"], "name": dtype}}
        return {
            key: dtype if key == "dtype" and value == FULL else _replaced(value, dtype) for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_replaced(value, dtype) for value in config)
    return config
