"""Pooling whose weights are learned, and pooling without a window."""

from __future__ import annotations

from functools import reduce
from typing import Any

import keras
from keras import ops

from crested_like._checks import positive_int
from crested_like.layers._register import serializable
from crested_like.layers._stand_in import StandIn


@serializable("AttentionPool1D", formerly=("crested>AttentionPool1D", "AttentionPool1D"))
class AttentionPool1D(keras.layers.Layer):
    """Softmax-weighted mean over windows of positions (Avsec et al. 2021, Extended Data Fig. 1).

    ``(B, L, C) -> (B, L / pool_size, C)``. Within a window the weights are ``softmax(x W)`` over its positions,
    for each channel separately.

    Parameters
    ----------
    pool_size
        Positions in a window; the length must be a multiple of it.
    per_channel
        One logit per channel, ``W`` of shape (C, C), or one for all of them, (C, 1).
    w_init_scale
        ``W`` starts as this multiple of the identity: near to max pooling at 2, mean pooling at 0.

    Raises
    ------
    ValueError
        If the length is not a multiple of ``pool_size``.
    """

    def __init__(self, pool_size: int = 2, per_channel: bool = True, w_init_scale: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_size = positive_int("pool_size", pool_size)
        self.per_channel = bool(per_channel)
        self.w_init_scale = float(w_init_scale)

    def build(self, input_shape: tuple) -> None:
        channels = input_shape[-1]
        if self.per_channel:
            shape, initializer = (channels, channels), keras.initializers.Identity(self.w_init_scale)
        else:
            shape, initializer = (channels, 1), keras.initializers.Constant(self.w_init_scale)
        self.logits = self.add_weight(name="att_pool_weight", shape=shape, initializer=initializer)
        super().build(input_shape)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        batch, length, channels = input_shape
        if length is not None and length % self.pool_size:
            raise ValueError(
                f"AttentionPool1D '{self.name}' got {length} positions; its pool_size {self.pool_size} must divide "
                "them. Choose an input length that is a multiple of the network's total pooling."
            )
        return batch, length // self.pool_size if length is not None else None, channels

    def call(self, x: Any) -> Any:
        self.compute_output_shape(x.shape)  # the one check of the length
        if self.pool_size == 1:
            return x
        windows = ops.reshape(x, (-1, ops.shape(x)[1] // self.pool_size, self.pool_size, x.shape[-1]))
        last = windows[:, :, -1]
        # softmax is blind to a shift, so logits are taken relative to the last position: one product fewer a window
        others = windows[:, :, :-1] - last[:, :, None]
        logits = ops.cast(ops.matmul(others, self.logits), "float32")
        if self.pool_size == 2:  # softmax([a, 0]) = [sigmoid(a), .]
            return last + ops.cast(ops.sigmoid(logits[:, :, 0]), x.dtype) * others[:, :, 0]
        weights = ops.softmax(ops.pad(logits, [[0, 0], [0, 0], [0, 1], [0, 0]]), axis=2)[:, :, :-1]
        return last + ops.sum(ops.cast(weights, x.dtype) * others, axis=2)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "per_channel": self.per_channel,
            "w_init_scale": self.w_init_scale,
        }

    @classmethod
    def from_config(cls, config: dict) -> AttentionPool1D:
        """Make the layer from its config; three keys of CREsted's files, which never had an effect, are dropped."""
        without_effect = {"strides", "padding", "data_format"}
        return cls(**{key: value for key, value in config.items() if key not in without_effect})


@serializable("SlicedMaxPool1D")
class SlicedMaxPool1D(StandIn):
    """Max pooling over windows side by side, as the maximum of slices: ``(B, L, C) -> (B, L / pool_size, C)``.

    Backends that keep positions in the last axis need no change of layout for it.
    """

    @staticmethod
    def fits(layer: Any) -> bool:
        """Whether a layer is a max pooling whose windows neither overlap nor reach beyond the end."""
        return (
            type(layer) is keras.layers.MaxPooling1D
            and layer.strides == layer.pool_size
            and layer.data_format == "channels_last"
            and layer.input.shape[1] is not None
            and layer.input.shape[1] % layer.pool_size[0] == 0
        )

    def call(self, x: Any) -> Any:
        size = self.layer.pool_size[0]
        windows = ops.reshape(x, (-1, x.shape[1] // size, size, x.shape[-1]))
        return reduce(ops.maximum, [windows[:, :, i] for i in range(size)])
