"""Choosing outputs and tracks of a model, before they are computed where that is possible."""

from __future__ import annotations

import weakref
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like import _graph
from crested_like._checks import did_you_mean
from crested_like._errors import TrackError
from crested_like.tl._geometry import named_outputs

#: Activations that look at one channel at a time, so that channels can be left out before them.
_ELEMENTWISE = {"linear", "softplus", "sigmoid", "relu", "exponential", "tanh", "softsign", "elu", "gelu"}


def check_head(model: keras.Model, head: str | None) -> str | None:
    """Name of the output to use: the one asked for, the only one, or None where there are several.

    Raises
    ------
    TrackError
        If the model has no such output.
    """
    names = list(named_outputs(model))
    if head is None:
        return names[0] if len(names) == 1 else None
    if f"head_{head}" in names:  # the output of a single head goes by its layer's name
        return f"head_{head}"
    if head not in names:
        raise TrackError(
            f"Model {model.name!r} has no head {head!r}; it has {', '.join(map(repr, names))}."
            f"{did_you_mean(head, names)}"
        )
    return head


#: Last reduced model of each model: compiling one costs far more than a prediction.
_REDUCED: weakref.WeakKeyDictionary[keras.Model, tuple[tuple, Any]] = weakref.WeakKeyDictionary()


def reduced(model: keras.Model, head: str, tracks: NDArray[np.intp]) -> tuple[keras.Model, NDArray[np.intp] | None]:
    """A model that computes only some tracks of one output, sharing the trunk's layers.

    Parameters
    ----------
    model, head
        A functional model and the name of one of its outputs.
    tracks
        Output channels, in the order wanted.

    Returns
    -------
    tuple
        A model with one output, and the channels still to be taken from it: ``None`` where the output has exactly the
        tracks asked for, because its last layer could be cut down.
    """
    output = named_outputs(model)[head]
    everything = np.array_equal(tracks, np.arange(output.shape[-1]))
    if everything and len(model.outputs) == 1:
        return model, None
    key = (head, None if everything else tracks.tobytes())
    kept = _REDUCED.get(model)
    if kept is None or kept[0] != key:
        kept = key, _build(model, output, None if everything else tracks)
        _REDUCED[model] = kept
    small, copies = kept[1]
    for source, target, channels in copies:  # the model may have been trained on since
        target.set_weights([weight[..., channels] for weight in source.get_weights()])
    return small, None if copies or everything else tracks


def _build(model: keras.Model, output: Any, tracks: NDArray[np.intp] | None) -> tuple[keras.Model, list[tuple]]:
    if tracks is None:
        return _on_same_input(model, output), []
    activations = []
    step = _graph.producer(output)
    while _elementwise(step.layer):
        activations.append(step.layer)
        step = _graph.producer(step.inputs[0])
    if not _cuttable(step.layer):
        return _on_same_input(model, output), []
    config = step.layer.get_config()
    config["units" if "units" in config else "filters"] = len(tracks)
    cut = type(step.layer).from_config(config)
    x = cut(step.inputs[0])
    for layer in reversed(activations):
        x = type(layer).from_config(layer.get_config())(x)
    return _on_same_input(model, x), [(step.layer, cut, tracks)]


def _on_same_input(model: keras.Model, output: Any) -> keras.Model:
    return keras.Model(model.inputs[0] if len(model.inputs) == 1 else model.inputs, output, name=model.name)


def _elementwise(layer: Any) -> bool:
    if isinstance(layer, keras.layers.Dropout):
        return True
    name = getattr(getattr(layer, "activation", None), "__name__", None)
    return isinstance(layer, keras.layers.Activation) and name in _ELEMENTWISE


def _cuttable(layer: Any) -> bool:
    """Whether each output channel of a layer hangs on its own slice of the weights alone."""
    name = getattr(getattr(layer, "activation", None), "__name__", "linear")
    if type(layer) not in (keras.layers.Dense, keras.layers.Conv1D) or name not in _ELEMENTWISE:
        return False
    return getattr(layer, "groups", 1) == 1 and not getattr(layer, "lora_enabled", False)
