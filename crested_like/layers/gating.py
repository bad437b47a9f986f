"""Half of the channels decides what passes of the other half."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from crested_like.layers._register import serializable


@serializable("SwishGate")
class SwishGate(keras.layers.Layer):
    """``(..., 2 C) -> (..., C)``: ``swish(first half) * second half`` (Shazeer 2020, SwiGLU)."""

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        if input_shape[-1] % 2:
            raise ValueError(f"SwishGate '{self.name}' needs an even number of channels; got {input_shape[-1]}.")
        return (*input_shape[:-1], input_shape[-1] // 2)

    def call(self, x: Any) -> Any:
        self.compute_output_shape(x.shape)
        gate, value = ops.split(x, 2, axis=-1)
        return ops.silu(gate) * value
