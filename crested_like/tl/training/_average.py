"""Weights as they are validated: averaged, with statistics of batch normalisation that belong to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like.tl.training._network import layers_of
from crested_like.tl.training._state import host_array


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Give a model the moving average of its weights, which its optimizer keeps, for as long as the block lasts."""
    variables = model.trainable_variables
    with kept(variables):
        model.optimizer.finalize_variable_values(variables)
        for variable in variables:
            # on JAX it now shares its array with the average, and who predicts gives the model's arrays away
            variable.assign(host_array(variable))
        yield


@contextmanager
def kept(variables: Iterable[Any]) -> Iterator[None]:
    """Give variables the values back that they have now, after the block."""
    pairs = [(variable, host_array(variable)) for variable in variables]
    try:
        yield
    finally:
        for variable, value in pairs:
            variable.assign(value)


def calibrate(model: keras.Model, batches: Iterable[NDArray[np.float32]]) -> None:
    """Set the statistics of every batch normalisation to their mean over some batches, for the weights of now.

    The moving statistics lag behind weights that change, and averaged weights never had any of their own.

    Parameters
    ----------
    batches
        Inputs as in training.
    """
    norms = list(layers_of(model, keras.layers.BatchNormalization))
    momenta = [layer.momentum for layer in norms]
    try:
        for number, x in enumerate(batches):
            for layer in norms:
                layer.momentum = number / (number + 1)  # makes the moving average a plain one
            with _without_gradients():
                model(keras.ops.convert_to_tensor(x), training=True)
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum


def _without_gradients() -> Any:
    """PyTorch alone keeps what a gradient would need, asked for or not."""
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.no_grad()
