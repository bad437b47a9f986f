"""From DNA tokens to vectors, and what padding means for them, as in the Nucleotide Transformer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from crested_like._checks import fraction, int_at_least, positive_int
from crested_like.layers._register import serializable


def not_padding(tokens: Any, pad: int) -> Any:
    """Which tokens are not padding, as booleans of their shape."""
    return ops.not_equal(tokens, ops.cast(pad, tokens.dtype))


@serializable("TokenEmbedding")
class TokenEmbedding(keras.layers.Layer):
    """A learned vector for every token: ``(B, T) -> (B, T, width)`` (Dalla-Torre et al. 2024, Methods).

    With ``masking`` it also does what the first generation of these networks does at inference too: rows of mask
    tokens are zero, and a sequence is scaled by ``(1 - masking) / (1 - masked / unpadded)``, the share of mask tokens
    in training over that in the sequence (Lin et al. 2023, "token dropout" of ESM).

    Parameters
    ----------
    vocabulary_size, width
        Rows and columns of the table.
    tokenizer
        Name of the tokenizer whose tokens these are, as :func:`crested_like.genome.tokenizer` takes it: who has the
        model can tokenize for it.
    scale
        Factor on all vectors.
    masking
        Share of tokens that were masked in training; ``None`` leaves that scaling out.
    mask, pad
        Ids of the mask token and of padding.
    """

    def __init__(
        self,
        vocabulary_size: int,
        width: int,
        tokenizer: str,
        scale: float = 1.0,
        masking: float | None = None,
        mask: int = 2,
        pad: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = positive_int("vocabulary_size", vocabulary_size)
        self.width = positive_int("width", width)
        self.tokenizer = str(tokenizer)
        self.scale = float(scale)
        self.masking = None if masking is None else fraction("masking", masking)
        self.mask = int_at_least("mask", mask, 0)
        self.pad = int_at_least("pad", pad, 0)

    def build(self, input_shape: tuple) -> None:
        self.embeddings = self.add_weight(
            name="embeddings", shape=(self.vocabulary_size, self.width), initializer="random_normal"
        )
        super().build(input_shape)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape, self.width)

    def call(self, tokens: Any) -> Any:
        x = ops.cast(ops.take(self.embeddings, tokens, axis=0), self.compute_dtype)
        if self.masking is not None:
            masked = ops.equal(tokens, ops.cast(self.mask, tokens.dtype))
            unpadded = ops.cast(not_padding(tokens, self.pad), "float32")
            share = ops.sum(ops.cast(masked, "float32"), axis=1) / ops.sum(unpadded, axis=1)
            factor = (1 - self.masking) / (1 - share)
            kept = ops.where(masked, 0.0, factor[:, None])
            x = x * ops.cast(kept, x.dtype)[:, :, None]
        return x * self.scale if self.scale != 1 else x

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "width": self.width,
            "tokenizer": self.tokenizer,
            "scale": self.scale,
            "masking": self.masking,
            "mask": self.mask,
            "pad": self.pad,
        }


@serializable("LearnedPositions")
class LearnedPositions(keras.layers.Layer):
    """Add a learned vector for every position: ``[(B, T, C), (B, T)] -> (B, T, C)`` (Dalla-Torre et al. 2024, Methods).

    Positions are counted over the tokens that are not padding, from ``pad + 1``; padding has the position ``pad``.

    Parameters
    ----------
    max_positions
        Longest sequence in tokens.
    pad
        Id of padding.

    Raises
    ------
    ValueError
        If there are more tokens than positions.
    """

    def __init__(self, max_positions: int, pad: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_positions = positive_int("max_positions", max_positions)
        self.pad = int_at_least("pad", pad, 0)

    def build(self, input_shape: list) -> None:
        channels = input_shape[0][-1]
        self.embeddings = self.add_weight(
            name="embeddings", shape=(self.max_positions + self.pad + 1, channels), initializer="random_normal"
        )
        super().build(input_shape)

    def compute_output_shape(self, input_shape: list) -> tuple:
        length = input_shape[0][1]
        if length is not None and length > self.max_positions:
            raise ValueError(
                f"LearnedPositions '{self.name}' knows {self.max_positions:,} positions; got {length:,} tokens. "
                "Networks with learned positions take no longer sequences."
            )
        return tuple(input_shape[0])

    def call(self, inputs: list) -> Any:
        x, tokens = inputs
        self.compute_output_shape([x.shape, tokens.shape])  # the one check of the length
        real = ops.cast(not_padding(tokens, self.pad), "int32")
        positions = ops.cumsum(real, axis=1) * real + self.pad
        return x + ops.cast(ops.take(self.embeddings, positions, axis=0), x.dtype)

    def get_config(self) -> dict:
        return {**super().get_config(), "max_positions": self.max_positions, "pad": self.pad}


@serializable("ZeroPadding")
class ZeroPadding(keras.layers.Layer):
    """Zeros where a token, or the first of its sequence, is padding: ``[(B, T, C), (B, T)] -> (B, T, C)``.

    Parameters
    ----------
    pad
        Id of padding.
    """

    def __init__(self, pad: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pad = int_at_least("pad", pad, 0)

    def compute_output_shape(self, input_shape: list) -> tuple:
        return tuple(input_shape[0])

    def call(self, inputs: list) -> Any:
        x, tokens = inputs
        real = not_padding(tokens, self.pad)
        return x * ops.cast(ops.logical_and(real, real[:, :1]), x.dtype)[:, :, None]

    def get_config(self) -> dict:
        return {**super().get_config(), "pad": self.pad}
