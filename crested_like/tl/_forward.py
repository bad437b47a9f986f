"""One batch through a network."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras.src.models.functional import Functional
from numpy.typing import NDArray

from crested_like import _graph

#: A batch ``(B, L, 4)``, or one of each input of a model that has several.
Batch = NDArray[np.float32] | list[NDArray[np.float32]]


def forward(model: keras.Model, batch: Batch) -> NDArray:
    """Output of a model that has one, as a NumPy array."""
    return forward_all(model, batch)[0]


def forward_all(model: keras.Model, batch: Batch) -> list[NDArray]:
    """All outputs of a model, as NumPy arrays."""
    compute = _step_by_step if keras.backend.backend() == "torch" and _is_its_graph(model) else _at_once
    return [np.asarray(keras.ops.convert_to_numpy(y)) for y in compute(model, batch)]


def _at_once(model: keras.Model, batch: Batch) -> list[Any]:
    """Keras' own way: the backend compiles the graph and frees what is no longer needed."""
    return keras.tree.flatten(model.predict_on_batch(batch))


def _step_by_step(model: keras.Model, batch: Batch) -> list[Any]:
    """For PyTorch, where Keras calls layer after layer and keeps every tensor to the end: let go of them in time."""
    import torch

    given = [keras.ops.convert_to_tensor(one) for one in (batch if isinstance(batch, list) else [batch])]
    with torch.inference_mode():
        return _graph.computed(model.inputs, model.outputs, given)


def _is_its_graph(model: keras.Model) -> bool:
    """Whether calling a model is nothing but going through its graph."""
    return type(model).call in (Functional.call, keras.Sequential.call)
