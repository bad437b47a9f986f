"""Convolutions as one matrix product."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from crested_like.layers._register import serializable
from crested_like.layers._stand_in import StandIn
from crested_like.layers.int8 import Int8Conv1D

#: Rows of the kernel as a matrix, above which writing the input out costs more than it saves.
MOST_ROWS = 128


def keeps_positions(layer: Any) -> bool:
    """Whether a layer is a convolution with "same" padding and without stride, dilation or groups."""
    return (
        type(layer) in (keras.layers.Conv1D, Int8Conv1D)
        and (layer.strides, layer.dilation_rate, layer.groups) == ((1,), (1,), 1)
        and (layer.padding, layer.data_format) == ("same", "channels_last")
    )


@serializable("UnfoldedConv1D")
class UnfoldedConv1D(StandIn):
    """A convolution over few channels, or of width 1, as one product: ``(B, L, C) -> (B, L, filters)``.

    Each position's neighbourhood becomes a row. The sums are those of the convolution, in another order.
    """

    @staticmethod
    def fits(layer: Any) -> bool:
        """Whether a layer is a convolution whose neighbourhoods are small enough to be written out."""
        if not keeps_positions(layer):
            return False
        width = layer.kernel_size[0]
        return width == 1 or width * layer.kernel.shape[1] <= MOST_ROWS

    def call(self, x: Any) -> Any:
        kernel = ops.cast(self.layer.kernel, self.compute_dtype)
        width, channels, filters = kernel.shape
        if width > 1:
            x = _neighbourhoods(x, width)
        y = ops.matmul(x, ops.reshape(kernel, (width * channels, filters)))
        if self.layer.use_bias:
            y = y + ops.cast(self.layer.bias, self.compute_dtype)
        return self.layer.activation(y)


def _neighbourhoods(x: Any, width: int) -> Any:
    """``(B, L, C) -> (B, L, width * C)``, with zeros beyond the ends."""
    length, before = ops.shape(x)[1], (width - 1) // 2
    padded = ops.pad(x, [[0, 0], [before, width - 1 - before], [0, 0]])
    return ops.concatenate([padded[:, k : k + length] for k in range(width)], axis=-1)
