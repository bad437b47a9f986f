"""Attention with rotary positions and shared key and value heads, as in Flashzoi."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from crested_like._checks import fraction, int_at_least, positive_int
from crested_like.kernels.attention import attend, merge_heads, split_heads
from crested_like.layers._projections import WithProjections
from crested_like.layers._register import serializable
from crested_like.layers.positions import rotary_angles


@serializable("RotaryAttention")
class RotaryAttention(WithProjections):
    """Grouped-query self-attention with rotary position embedding (Su et al. 2021; Ainslie et al. 2023).

    ``(B, T, C) -> (B, T, C)``. One projection gives queries, keys and values, in that order, heads outermost in each.
    Query head h meets key head ``h // (heads / key_value_heads)``. The first ``rotary_dim`` channels of every query
    and key head are rotated, in two halves (not interleaved).

    Parameters
    ----------
    heads, key_value_heads
        Query heads, and heads of keys and values, of which ``heads`` is a multiple. Both have ``C / heads`` channels.
    rotary_dim
        Rotated channels of a head: even, at most ``C / heads``.
    rotary_base
        Base of the angles' geometric series.
    attention_dropout
        Rate on the attention weights, in training.
    kernel_initializer, bias_initializer, output_initializer
        Initial values of the joint projection's kernel and bias, and of the output projection's kernel.
    l2_scale
        L2 penalty on both kernels.

    Raises
    ------
    ValueError
        If heads do not divide the channels, or ``rotary_dim`` does not fit into a head.
    """

    def __init__(
        self,
        heads: int,
        key_value_heads: int,
        rotary_dim: int = 128,
        rotary_base: float = 20_000.0,
        attention_dropout: float = 0.05,
        kernel_initializer: Any = "he_normal",
        bias_initializer: Any = "ones",
        output_initializer: Any = "zeros",
        l2_scale: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads = positive_int("heads", heads)
        self.key_value_heads = positive_int("key_value_heads", key_value_heads)
        if self.heads % self.key_value_heads:
            raise ValueError(f"key_value_heads must divide heads; got {key_value_heads} and {heads}.")
        self.rotary_dim = int_at_least("rotary_dim", rotary_dim, 2)
        if self.rotary_dim % 2:
            raise ValueError(f"rotary_dim must be even; got {rotary_dim}.")
        self.rotary_base = float(rotary_base)
        self.attention_dropout = fraction("attention_dropout", attention_dropout)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.output_initializer = keras.initializers.get(output_initializer)
        self.l2_scale = float(l2_scale)

    def build(self, input_shape: tuple) -> None:
        _, length, channels = input_shape
        self._length, self._channels = length, channels
        if length is None:
            raise ValueError(
                f"RotaryAttention '{self.name}' needs a known number of positions; got the shape {input_shape}. "
                "Give the network's input a fixed length."
            )
        self.input_spec = keras.layers.InputSpec(ndim=3, axes={1: length, 2: channels})
        if channels % self.heads:
            raise ValueError(f"heads must divide the {channels} channels; got {self.heads}.")
        self.head_size = channels // self.heads
        if self.rotary_dim > self.head_size:
            raise ValueError(
                f"rotary_dim must be at most the {self.head_size} channels of a head; got {self.rotary_dim}."
            )
        self._angles = rotary_angles(length, self.rotary_dim, self.rotary_base)
        self._qkv_layer = self._make_dense(
            self.head_size * (self.heads + 2 * self.key_value_heads),
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            kernel_regularizer=self._penalty(),
            name="qkv_layer",
            dtype=self.dtype_policy,
        )
        self._qkv_layer.build(input_shape)
        self._output_layer = self._make_dense(
            channels,
            kernel_initializer=self.output_initializer,
            kernel_regularizer=self._penalty(),
            name="output_layer",
            dtype=self.dtype_policy,
        )
        self._output_layer.build(input_shape)
        self._attention_dropout = keras.layers.Dropout(self.attention_dropout, dtype=self.dtype_policy)
        super().build(input_shape)

    def _penalty(self) -> Any:
        return keras.regularizers.L2(self.l2_scale) if self.l2_scale else None

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return tuple(input_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        joint = self._qkv_layer(x)
        first_key = self.heads * self.head_size
        first_value = first_key + self.key_value_heads * self.head_size
        queries = self._rotate(split_heads(joint[:, :, :first_key], self._length, self.heads)) * self.head_size**-0.5
        keys = self._rotate(split_heads(joint[:, :, first_key:first_value], self._length, self.key_value_heads))
        values = split_heads(joint[:, :, first_value:], self._length, self.key_value_heads)
        group = self.heads // self.key_value_heads
        out = attend(
            queries,
            ops.repeat(keys, group, axis=1),
            ops.repeat(values, group, axis=1),
            self._length,
            dropout=(lambda weights: self._attention_dropout(weights, training=training)) if training else None,
        )
        return self._output_layer(merge_heads(out, self._length, self._channels))

    def _rotate(self, x: Any) -> Any:
        cos, sin = (ops.convert_to_tensor(table, dtype="float32") for table in self._angles)
        half = self.rotary_dim // 2
        first, second = (ops.cast(part, "float32") for part in (x[..., :half], x[..., half : self.rotary_dim]))
        rotated = ops.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
        return ops.concatenate([ops.cast(rotated, x.dtype), x[..., self.rotary_dim :]], axis=-1)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "heads": self.heads,
            "key_value_heads": self.key_value_heads,
            "rotary_dim": self.rotary_dim,
            "rotary_base": self.rotary_base,
            "attention_dropout": self.attention_dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "output_initializer": keras.initializers.serialize(self.output_initializer),
            "l2_scale": self.l2_scale,
        }
