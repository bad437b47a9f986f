"""Layers that keep their kernels as whole numbers of one byte, and compute in floating point."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from crested_like.layers._projections import WithProjections
from crested_like.layers._register import serializable
from crested_like.layers.attention import MultiheadAttention
from crested_like.layers.rotary import RotaryAttention
from crested_like.layers.self_attention import SelfAttention

#: Largest code; symmetric, so that zero is zero.
LARGEST = 127


class _Int8(keras.layers.Layer):
    """The kernel of a dense or convolution layer as ``codes * scale``, a scale for each output channel."""

    def _add_kernel(self, shape: tuple[int, ...], channels: int) -> None:
        self.codes = self.add_weight(
            name="codes", shape=shape, initializer="zeros", dtype="int8", trainable=False, autocast=False
        )
        self.scale = self.add_weight(
            name="scale", shape=(channels,), initializer="ones", dtype="float32", trainable=False, autocast=False
        )
        bias = self.use_bias
        self.bias = self.add_weight(name="bias", shape=(channels,), initializer="zeros") if bias else None
        self.built = True

    @property
    def kernel(self) -> Any:
        """The kernel in floating point, made anew each time."""
        return ops.cast(self.codes, self.compute_dtype) * ops.cast(self.scale, self.compute_dtype)

    def take(self, kernel: NDArray[np.float32], bias: NDArray[np.float32] | None) -> None:
        """Set the weights from those of a layer in floating point, each rounded to the nearest code."""
        largest = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1)))
        scale = np.where(largest > 0, largest, 1).astype(np.float32) / np.float32(LARGEST)
        self.codes.assign(np.rint(kernel / scale).astype(np.int8))
        self.scale.assign(scale)
        if bias is not None:
            self.bias.assign(bias)

    # Keras' own layers look for their float kernel in a file
    def save_own_variables(self, store: Any) -> None:
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        keras.layers.Layer.load_own_variables(self, store)


@serializable("Int8Dense")
class Int8Dense(_Int8, keras.layers.Dense):
    """A dense layer with its kernel in one byte a number: ``(..., C) -> (..., units)``. Takes what ``Dense`` takes."""

    def build(self, input_shape: tuple) -> None:
        self._add_kernel((input_shape[-1], self.units), self.units)


@serializable("Int8Conv1D")
class Int8Conv1D(_Int8, keras.layers.Conv1D):
    """A convolution with its kernel in one byte a number: ``(B, L, C) -> (B, L', filters)``.

    Takes what ``Conv1D`` takes; channels come last, and there are no groups.
    """

    def build(self, input_shape: tuple) -> None:
        self._add_kernel((*self.kernel_size, input_shape[-1], self.filters), self.filters)


class _Int8Projections(WithProjections):
    def _make_dense(self, units: int, **settings: Any) -> keras.layers.Layer:
        return Int8Dense(units, **settings)


@serializable("Int8MultiheadAttention")
class Int8MultiheadAttention(_Int8Projections, MultiheadAttention):
    """:class:`MultiheadAttention` with the kernels of its dense projections in one byte a number."""


@serializable("Int8RotaryAttention")
class Int8RotaryAttention(_Int8Projections, RotaryAttention):
    """:class:`RotaryAttention` with the kernels of its projections in one byte a number."""


@serializable("Int8SelfAttention")
class Int8SelfAttention(_Int8Projections, SelfAttention):
    """:class:`SelfAttention` with the kernels of its projections in one byte a number."""


#: What keeps its kernels in one byte, by the layer that it takes the place of.
_KINDS = {
    keras.layers.Dense: Int8Dense,
    keras.layers.Conv1D: Int8Conv1D,
    MultiheadAttention: Int8MultiheadAttention,
    RotaryAttention: Int8RotaryAttention,
    SelfAttention: Int8SelfAttention,
}


def kind_for(layer: Any) -> type[keras.layers.Layer] | None:
    """What keeps the kernels of a layer in one byte, if there is such a layer."""
    if type(layer) is keras.layers.Conv1D and (layer.groups > 1 or layer.data_format != "channels_last"):
        return None
    return _KINDS.get(type(layer))


def take_weights(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Set the weights of a layer from those of the one whose place it takes, also of layers inside both."""
    taken: set[int] = set()
    for before, after in zip(old._flatten_layers(), new._flatten_layers(), strict=True):
        if isinstance(after, _Int8):
            bias = None if before.bias is None else ops.convert_to_numpy(before.bias)
            after.take(ops.convert_to_numpy(before.kernel), bias)
            taken |= {id(weight) for weight in (*before.weights, *after.weights)}
    left = [[weight for weight in layer.weights if id(weight) not in taken] for layer in (old, new)]
    for before, after in zip(*left, strict=True):
        after.assign(ops.convert_to_numpy(before))  # a copy: JAX would share the array, and give it away
