"""Upsampling with a skip connection, as in Borzoi's decoder."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from crested_like._checks import positive_int
from crested_like.layers._initializers import fresh
from crested_like.layers._register import serializable


@serializable("SeparableUpsampling1D")
class SeparableUpsampling1D(keras.layers.Layer):
    """Repeat positions, add a skip connection, convolve separably (Linder et al. 2025, Methods, "U-net").

    ``[(B, L, C), (B, factor * L, C)] -> (B, factor * L, C)``: each position of the first input is repeated (nearest
    neighbour), the second is added, and a depthwise ("same" padding) and a pointwise convolution follow.

    The depthwise part is a sum of shifted products, which needs no grouped convolution from the backend.

    Parameters
    ----------
    kernel_size
        Width of the depthwise convolution.
    factor
        How often a position is repeated.
    use_bias
        Whether the pointwise convolution has a bias.
    kernel_initializer
        Initial values of both kernels.

    Raises
    ------
    ValueError
        If the lengths do not differ by ``factor``, or the channels differ.
    """

    def __init__(
        self,
        kernel_size: int = 3,
        factor: int = 2,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = positive_int("kernel_size", kernel_size)
        self.factor = positive_int("factor", factor)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: list) -> None:
        self.compute_output_shape(input_shape)
        channels = input_shape[0][-1]
        # Keras' own shapes of a separable convolution, so that weights can be moved unchanged
        self.depthwise_kernel = self.add_weight(
            name="depthwise_kernel", shape=(self.kernel_size, channels, 1), initializer=fresh(self.kernel_initializer)
        )
        self.pointwise_kernel = self.add_weight(
            name="pointwise_kernel", shape=(1, channels, channels), initializer=fresh(self.kernel_initializer)
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(channels,), initializer="zeros")
        super().build(input_shape)

    def compute_output_shape(self, input_shape: list) -> tuple:
        low, skip = input_shape
        if low[-1] != skip[-1] or (None not in (low[1], skip[1]) and low[1] * self.factor != skip[1]):
            raise ValueError(
                f"SeparableUpsampling1D '{self.name}' needs inputs (B, L, C) and (B, {self.factor} L, C); "
                f"got {tuple(low)} and {tuple(skip)}."
            )
        return tuple(skip)

    def call(self, inputs: list) -> Any:
        low, skip = inputs
        x = ops.repeat(low, self.factor, axis=1) + skip
        before = (self.kernel_size - 1) // 2
        padded = ops.pad(x, [[0, 0], [before, self.kernel_size - 1 - before], [0, 0]])
        length = ops.shape(x)[1]
        taps = [padded[:, k : k + length] * self.depthwise_kernel[k, :, 0] for k in range(self.kernel_size)]
        x = ops.matmul(sum(taps[1:], taps[0]), self.pointwise_kernel[0])
        return x + self.bias if self.use_bias else x

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "factor": self.factor,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
