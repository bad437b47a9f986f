"""A learned factor for every channel."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from crested_like.layers._register import serializable


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
