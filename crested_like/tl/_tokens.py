"""DNA for networks that read tokens: what their first layer says about it."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like import layers
from crested_like._errors import GeometryError, SequenceError
from crested_like.genome import Tokenizer, tokenizer

_LETTERS = np.frombuffer(b"ACGT", np.uint8)


def tokenizer_of(model: keras.Model) -> Tokenizer | None:
    """Tokenizer of a model whose input are tokens; None for one that reads one-hot DNA."""
    found = next((layer for layer in model.layers if isinstance(layer, layers.TokenEmbedding)), None)
    return None if found is None else tokenizer(found.tokenizer)


def input_bases(model: keras.Model) -> int | None:
    """Bases of a model's input; None where it takes any number."""
    length, words = model.inputs[0].shape[1], tokenizer_of(model)
    return length if words is None or length is None else (length - words.adds_special) * words.k


def fixed_length(model: keras.Model) -> int:
    """Bases of a model's input.

    Raises
    ------
    GeometryError
        If it takes any number.
    """
    length = input_bases(model)
    if length is None:
        raise GeometryError(
            f"Model {model.name!r} takes sequences of any length: give it one with "
            "crested_like.tl.with_input_length(model, input_length)."
        )
    return length


def encoder(model: keras.Model) -> Callable[[NDArray[np.float32]], NDArray]:
    """What turns one-hot windows ``(B, L, 4)`` into the input of a model: tokens ``(B, T)``, or the windows themselves.

    Raises
    ------
    SequenceError
        When it is called for tokens, with windows that hold N.
    """
    words = tokenizer_of(model)
    if words is None:
        return lambda windows: windows

    def tokens(windows: NDArray[np.float32]) -> NDArray[np.int32]:
        unknown = np.argwhere(windows.sum(axis=-1) != 1)
        if len(unknown):
            window, base = unknown[0]
            raise SequenceError(
                f"Model {model.name!r} reads words of {words.k} bases, and its windows must hold no N: words after it "
                f"would shift against the sequence. Window {window} of this batch has one at base {base:,}."
            )
        return words.encode_batch([row.tobytes() for row in _LETTERS[windows.argmax(axis=-1)]])

    return tokens
