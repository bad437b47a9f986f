"""Plain multi-head self-attention among tokens, some of which may be padding."""

from __future__ import annotations

import logging
from typing import Any

import keras
import numpy as np
from keras import ops

from crested_like._checks import int_at_least, positive_int
from crested_like.kernels.attention import attend, merge_heads, split_heads
from crested_like.layers._projections import WithProjections
from crested_like.layers._register import serializable
from crested_like.layers.positions import rescaled_base, rotary_angles
from crested_like.layers.tokens import not_padding

log = logging.getLogger(__name__)


@serializable("SelfAttention")
class SelfAttention(WithProjections):
    """Self-attention with biases, and with rotary positions if asked for (Vaswani et al. 2017; Su et al. 2021).

    ``[(B, T, C), (B, T) tokens] -> (B, T, C)``. All channels of a query and key head are rotated, in two halves (not
    interleaved). Tokens that are padding are no keys; as a query, padding attends to all positions alike.

    Parameters
    ----------
    heads, key_size
        Number of heads, and channels of each.
    rotary_base
        Base of the angles' geometric series; ``None`` leaves the rotation out.
    rescaling_factor
        Longest wavelength over the one of ``rotary_base``, for sequences longer than those of the training: the base
        becomes ``rotary_base * factor^(key_size / (key_size - 2))``.
    rescale_above, trained_tokens
        Sequences of more than ``rescale_above`` tokens are rescaled by their number over ``trained_tokens`` instead.
    pad
        Id of padding.
    kernel_initializer
        Initial values of all kernels.

    Raises
    ------
    ValueError
        If ``key_size`` is odd where it is rotated.
    """

    def __init__(
        self,
        heads: int,
        key_size: int,
        rotary_base: float | None = None,
        rescaling_factor: float | None = None,
        rescale_above: int | None = None,
        trained_tokens: int | None = None,
        pad: int = 1,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads = positive_int("heads", heads)
        self.key_size = positive_int("key_size", key_size)
        self.rotary_base = None if rotary_base is None else float(rotary_base)
        self.rescaling_factor = None if rescaling_factor is None else float(rescaling_factor)
        if self.rotary_base is not None and self.key_size % 2:
            raise ValueError(f"key_size must be even, as its two halves are rotated; got {key_size}.")
        if self.rotary_base is None and self.rescaling_factor is not None:
            raise ValueError("rescaling_factor has no effect without rotary_base. Leave it out.")
        if (rescale_above is None) != (trained_tokens is None):
            raise ValueError("Give both rescale_above and trained_tokens, or neither.")
        self.rescale_above = None if rescale_above is None else positive_int("rescale_above", rescale_above)
        self.trained_tokens = None if trained_tokens is None else positive_int("trained_tokens", trained_tokens)
        self.pad = int_at_least("pad", pad, 0)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: list) -> None:
        (_, length, channels), _ = input_shape
        width = self.heads * self.key_size
        for name, units, before in (
            ("q_layer", width, channels),
            ("k_layer", width, channels),
            ("v_layer", width, channels),
            ("output_layer", channels, width),
        ):
            layer = self._make_dense(
                units, kernel_initializer=self.kernel_initializer, name=name, dtype=self.dtype_policy
            )
            layer.build((None, length, before))
            setattr(self, f"_{name}", layer)
        super().build(input_shape)

    def compute_output_shape(self, input_shape: list) -> tuple:
        return tuple(input_shape[0])

    def call(self, inputs: list) -> Any:
        x, tokens = inputs
        length = x.shape[1]
        queries, keys = self._queries_and_keys(x)
        values = split_heads(self._v_layer(x), length, self.heads)
        out = attend(queries, keys, values, length, real=not_padding(tokens, self.pad))
        return self._output_layer(merge_heads(out, length, self.heads * self.key_size))

    def attention_weights(self, x: Any, tokens: Any) -> Any:
        """Weights of all heads, ``(B, heads, T, T)``: for a query (row) those of every key (column)."""
        queries, keys = self._queries_and_keys(x)
        one_each = ops.eye(x.shape[1], dtype=queries.dtype)[None, None]
        return attend(queries, keys, one_each, x.shape[1], real=not_padding(tokens, self.pad))

    def _queries_and_keys(self, x: Any) -> tuple[Any, Any]:
        length = x.shape[1]
        queries = split_heads(self._q_layer(x), length, self.heads)
        keys = split_heads(self._k_layer(x), length, self.heads)
        if self.rotary_base is not None:
            cos, sin = self._angles(length) if length is not None else self._angles_of_unknown(ops.shape(x)[1])
            queries, keys = _rotate(queries, cos, sin), _rotate(keys, cos, sin)
        return queries * self.key_size**-0.5, keys

    def _angles(self, length: int) -> tuple[Any, Any]:
        factor = self.rescaling_factor
        if self.rescale_above is not None and length > self.rescale_above:
            factor = length / self.trained_tokens
            log.info(
                "%s: %s tokens are more than %s, so rotary positions are stretched by %.4f",
                self.name,
                f"{length:,}",
                f"{self.rescale_above:,}",
                factor,
            )
        base = rescaled_base(self.rotary_base, factor, self.key_size)
        tables = rotary_angles(length, self.key_size, base)
        return tuple(ops.convert_to_tensor(table, dtype="float32") for table in tables)

    def _angles_of_unknown(self, length: Any) -> tuple[Any, Any]:
        """The same inside a graph for any length, in float32, which is a little less exact far from the start."""
        tokens = ops.cast(length, "float32")
        base = ops.convert_to_tensor(rescaled_base(self.rotary_base, self.rescaling_factor, self.key_size), "float32")
        if self.rescale_above is not None:
            stretched = (tokens / self.trained_tokens) ** (self.key_size / (self.key_size - 2)) * self.rotary_base
            base = ops.where(tokens > self.rescale_above, stretched, base)
        exponents = ops.convert_to_tensor(-np.arange(0, self.key_size, 2, dtype="float32") / self.key_size)
        frequencies = ops.exp(ops.log(base) * exponents)
        angles = ops.cast(ops.arange(length), "float32")[:, None] * frequencies
        return ops.cos(angles), ops.sin(angles)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "heads": self.heads,
            "key_size": self.key_size,
            "rotary_base": self.rotary_base,
            "rescaling_factor": self.rescaling_factor,
            "rescale_above": self.rescale_above,
            "trained_tokens": self.trained_tokens,
            "pad": self.pad,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def _rotate(x: Any, cos: Any, sin: Any) -> Any:
    """Turn pairs of channels ``(j, j + K / 2)`` of every position by its angles."""
    first, second = ops.split(ops.cast(x, "float32"), 2, axis=-1)
    rotated = ops.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return ops.cast(rotated, x.dtype)
