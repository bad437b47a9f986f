"""Gradients without keeping all activations: they are computed again, block by block, when they are needed.

Keras' own ``RematScope`` does this layer by layer. That keeps every layer's input, and on JAX it cannot be used for
layers that change their state in training: dropout and batch normalisation. Here whole stretches of the graph are
computed again, as functions of their state, so that a second time gives the same numbers.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from crested_like import _graph
from crested_like.tl._stretches import stretches


def rematerialised(model: keras.Model) -> keras.Model:
    """A model that shares a model's layers and keeps for the gradient only what its blocks hand on to each other.

    A block ends where little is alive: after a pooling, after a residual sum. The memory of activations falls from all
    of them to those of the ends of blocks and of one block at a time; each is computed twice.

    Parameters
    ----------
    model
        A functional Keras model.

    Returns
    -------
    keras.Model
        Of the same inputs, outputs and variables. Train it, and keep the given one: this one is not to be saved.
    """
    _graph.require_functional(model)
    values = {id(tensor): tensor for tensor in model.inputs}
    for number, (inputs, outputs) in enumerate(stretches(model)):
        block = _Block(keras.Model(inputs, outputs), name=f"block_{number}")
        results = block([values[id(tensor)] for tensor in inputs])
        values |= {id(tensor): result for tensor, result in zip(outputs, results, strict=True)}
    outputs = keras.tree.map_structure(lambda tensor: values[id(tensor)], model.output)
    return keras.Model(model.input, outputs, name=model.name)


class _Block(keras.layers.Layer):
    """A stretch of a network whose activations are not kept. Gives a list of tensors."""

    def __init__(self, inner: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = inner
        self.built = True

    def compute_output_spec(self, inputs: list[Any], training: bool | None = None) -> list[Any]:
        return [keras.KerasTensor(tensor.shape, tensor.dtype) for tensor in self.inner.outputs]

    def call(self, inputs: list[Any], training: bool | None = None) -> list[Any]:
        if not training:
            return keras.tree.flatten(self.inner(inputs, training=False))
        trainable, state = self.inner.trainable_variables, self.inner.non_trainable_variables
        before = [ops.copy(variable.value) for variable in state]  # the variables themselves will have moved on

        # everything a gradient is taken of is an argument, and nothing is changed: it will be called twice
        def compute(*tensors: Any) -> tuple[Any, ...]:
            weights, xs = tensors[: len(trainable)], tensors[len(trainable) :]
            outputs, after = self.inner.stateless_call(list(weights), before, list(xs), training=True)
            return (*keras.tree.flatten(outputs), *after)

        results = keras.remat(compute)(*(ops.convert_to_tensor(variable.value) for variable in trainable), *inputs)
        split = len(results) - len(state)
        for variable, value in zip(state, results[split:], strict=True):
            variable.assign(value)
        return list(results[:split])
