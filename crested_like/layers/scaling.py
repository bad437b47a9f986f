"""A factor for every channel, learned or known."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from crested_like.kernels.fused import times_plus
from crested_like.layers._register import serializable
from crested_like.layers._stand_in import StandIn


@serializable("ChannelScale")
class ChannelScale(keras.layers.Layer):
    """Multiply each channel by a learned factor: ``(..., C) -> (..., C)``.

    Starting at zero it switches the residual branch it ends off, as a norm whose scale starts at zero does.

    Parameters
    ----------
    initializer
        Initial values of the factors.
    """

    def __init__(self, initializer: Any = "zeros", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape: tuple) -> None:
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer=self.initializer)
        super().build(input_shape)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def call(self, x: Any) -> Any:
        return x * ops.cast(self.scale, x.dtype)

    def get_config(self) -> dict:
        return {**super().get_config(), "initializer": keras.initializers.serialize(self.initializer)}


@serializable("ChannelAffine")
class ChannelAffine(StandIn):
    """A batch normalisation as in inference, in one pass over the data: ``(..., C) -> (..., C)``.

    Statistics at rest make it a factor and a summand for every channel: ``gamma / sqrt(variance + epsilon)``, and
    ``beta`` less the mean times that.
    """

    @staticmethod
    def fits(layer: Any) -> bool:
        """Whether a layer is a batch normalisation over the last axis."""
        return type(layer) is keras.layers.BatchNormalization and layer.axis in (-1, len(layer.input.shape) - 1)

    def call(self, x: Any, training: bool | None = None, mask: Any = None) -> Any:
        norm = self.layer
        mean, variance = (ops.cast(value, "float32") for value in (norm.moving_mean, norm.moving_variance))
        factor = ops.rsqrt(variance + norm.epsilon)
        if norm.scale:
            factor = factor * ops.cast(norm.gamma, "float32")
        summand = -mean * factor
        if norm.center:
            summand = summand + ops.cast(norm.beta, "float32")
        return times_plus(x, ops.cast(factor, x.dtype), ops.cast(summand, x.dtype))
