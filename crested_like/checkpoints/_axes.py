"""Permutations of axes written down as ``"oiw -> wio"``, in both directions."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

#: The axis of bases that has N as a fifth entry on the left: left out forth, the mean of the other four back.
WITH_N = "n"


@dataclass(frozen=True)
class Axes:
    """How the axes of an array in a file become those of a weight, and back.

    Letters name axes; a ``1`` is an axis of length one that only this side has.
    """

    file: str
    ours: str

    @classmethod
    def parse(cls, text: str) -> Axes:
        """Read ``"oi1 -> io"``.

        Raises
        ------
        ValueError
            If the two sides do not name the same axes, each once.
        """
        match = re.fullmatch(r"([a-z1]*) *-> *([a-z1]*)", text.strip())
        if not match:
            raise ValueError(f"axes are written like 'oiw -> wio'; got {text!r}.")
        axes = cls(*match.groups())
        for side in (axes.file, axes.ours):
            letters = side.replace("1", "")
            if len(set(letters)) < len(letters) or set(letters) != set(axes.file.replace("1", "")):
                raise ValueError(f"both sides must name the same axes, each once; got {text!r}.")
        return axes

    def forth(self, array: np.ndarray) -> np.ndarray:
        """From the file's order to ours.

        Raises
        ------
        ValueError
            If the array does not have such axes.
        """
        array = _permuted(array, self.file, self.ours)
        return _without_n(array, self.ours.index(WITH_N)) if WITH_N in self.ours else array

    def back(self, array: np.ndarray) -> np.ndarray:
        """From our order to the file's; raises as :meth:`forth`."""
        if WITH_N in self.ours:
            axis = self.ours.index(WITH_N)
            array = np.concatenate([array, array.mean(axis, keepdims=True, dtype=array.dtype)], axis)
        return _permuted(array, self.ours, self.file)


def _permuted(array: np.ndarray, before: str, after: str) -> np.ndarray:
    if array.ndim != len(before):
        raise ValueError(f"has {array.ndim} axes instead of {len(before)}")
    ones = tuple(axis for axis, name in enumerate(before) if name == "1")
    if any(array.shape[axis] != 1 for axis in ones):
        raise ValueError(f"has the shape {array.shape}, which does not fit the axes {before!r}")
    letters = before.replace("1", "")
    array = array.squeeze(ones).transpose([letters.index(name) for name in after if name != "1"])
    return np.expand_dims(array, tuple(axis for axis, name in enumerate(after) if name == "1"))


def _without_n(array: np.ndarray, axis: int) -> np.ndarray:
    if array.shape[axis] != 5:
        raise ValueError(f"has {array.shape[axis]} input channels instead of 5 (A, C, G, T, N)")
    return np.split(array, [4], axis)[0]
