"""Predictions of sequences that differ from one another in a few bases: what they share is computed once."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like.tl._forward import forward, forward_all
from crested_like.tl.rewriting._accelerate import fast_form
from crested_like.tl.rewriting._split import Split, split_of


class Reuse:
    """A model whose local part is computed anew only where a sequence differs from the one before.

    Exact: equal to the prediction of each sequence by itself, up to rounding.

    Parameters
    ----------
    model
        A functional model with one output. Where no part of it is local, everything is computed for every sequence.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = fast_form(model)
        self._split = split_of(model)
        self._known: tuple[NDArray, list[NDArray]] | None = None

    def __call__(self, batch: NDArray[np.float32]) -> NDArray:
        """Outputs of a batch ``(B, L, 4)``."""
        if self._split is None:
            return forward(self._model, batch)
        rows = [self._row(x, self._split) for x in batch]
        return forward(self._split.back, [np.concatenate(parts) for parts in zip(*rows, strict=True)])

    def _row(self, x: NDArray[np.float32], split: Split) -> list[NDArray]:
        """The tensors at the end of the local part, ``(1, positions, channels)`` each."""
        if self._known is not None:
            there, values = self._known
            places = np.flatnonzero((x != there).any(axis=-1))
            if not places.size:
                return values
            changed = int(places[0]), int(places[-1]) + 1
            slab = split.slab(changed)
            if slab is not None:
                return _patched(split, values, x[None], changed, slab)
        values = forward_all(split.front, x[None])
        self._known = x.copy(), values
        return values


def _patched(
    split: Split, values: list[NDArray], x: NDArray[np.float32], changed: tuple[int, int], slab: tuple[int, int]
) -> list[NDArray]:
    """The tensors of another sequence, with what hangs on the changed bases computed from a stretch around them."""
    start, size = slab
    found = forward_all(split.slab_network(size), x[:, start : start + size])
    patched = []
    for tensor, old, new in zip(split.tensors, values, found, strict=True):
        first, last = tensor.touched(changed)
        if first < last:
            old = old.copy()
            offset = start // tensor.step
            old[:, first - tensor.held[0] : last - tensor.held[0]] = new[:, first - offset : last - offset]
        patched.append(old)
    return patched
