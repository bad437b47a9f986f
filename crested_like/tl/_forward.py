"""One batch through a network."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras.src.models.functional import Functional
from numpy.typing import NDArray

from crested_like import _graph


def forward(model: keras.Model, batch: NDArray[np.float32]) -> NDArray:
    """Outputs of a model with one input and one output, as a NumPy array: ``(B, L, 4)`` in."""
    compute = _step_by_step if keras.backend.backend() == "torch" and _is_its_graph(model) else _at_once
    return np.asarray(keras.ops.convert_to_numpy(compute(model, batch)))


def _at_once(model: keras.Model, batch: NDArray[np.float32]) -> Any:
    """Keras' own way: the backend compiles the graph and frees what is no longer needed."""
    return model.predict_on_batch(batch)


def _step_by_step(model: keras.Model, batch: NDArray[np.float32]) -> Any:
    """For PyTorch, where Keras calls layer after layer and keeps every tensor to the end: let go of them in time."""
    import torch

    order = list(_graph.steps(model.inputs, model.outputs))
    last = {id(tensor): number for number, step in enumerate(order) for tensor in step.inputs}
    last |= {id(tensor): len(order) for tensor in model.outputs}
    with torch.inference_mode():
        values = {id(model.inputs[0]): keras.ops.convert_to_tensor(batch)}
        for number, step in enumerate(order):
            values |= step.compute(values)
            values = {key: value for key, value in values.items() if last.get(key, -1) > number}
        return values[id(model.outputs[0])]


def _is_its_graph(model: keras.Model) -> bool:
    """Whether calling a model is nothing but going through its graph."""
    return type(model).call in (Functional.call, keras.Sequential.call)
