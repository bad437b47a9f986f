"""What is done to an example before it is trained on: pieces, both strands, shifts, substitutions. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import fraction, int_at_least, positive_int
from crested_like.datasets._layout import N_CODE

_COMPLEMENT = np.array([3, 2, 1, 0, N_CODE], dtype=np.uint8)
_ROWS = np.vstack([np.eye(4), np.zeros((1, 4))]).astype(np.float32)


@dataclass(frozen=True)
class Augmentation:
    """What may be done to an example.

    Parameters
    ----------
    rc
        Whether half of the examples are turned to the other strand.
    max_shift
        Bases by which a sequence is moved at most, to either side.
    mutate
        Share of the bases that are drawn anew from A, C, G and T, so that a quarter of them stay what they are.
    bins
        Bins of a random piece of the window; None for all.
    flank
        Bases of the sequence beyond the bins of a piece, at each side.
    """

    rc: bool = False
    max_shift: int = 0
    mutate: float = 0.0
    bins: int | None = None
    flank: int | None = None

    def __post_init__(self) -> None:
        int_at_least("max_shift", self.max_shift, 0)
        fraction("mutate", self.mutate)
        if self.bins is not None:
            positive_int("bins", self.bins)
        if self.flank is not None:
            int_at_least("flank", self.flank, 0)
            if self.bins is None:
                raise ValueError(f"flank={self.flank} is for pieces of windows; say how many bins= a piece has.")

    def strand_and_shift(self, rng: np.random.Generator) -> tuple[bool, int]:
        """Draw whether to turn, and by how many bases to move. Both are drawn always, so that one changes no other."""
        flip, shift = rng.random() < 0.5, int(rng.integers(-self.max_shift, self.max_shift + 1))
        return self.rc and flip, shift


def stretch(codes: NDArray[np.uint8], start: int, length: int) -> NDArray[np.uint8]:
    """Bases of a window from ``start`` on, which may be negative; N beyond the ends of the window.

    Parameters
    ----------
    codes
        ``(L,)``, 0 to 4 for A, C, G, T, N.

    Returns
    -------
    numpy.ndarray
        ``(length,)``, uint8; a view where nothing had to be filled.
    """
    low, high = max(start, 0), min(start + length, len(codes))
    if (low, high) == (start, start + length):
        return codes[low:high]
    found = np.full(length, N_CODE, dtype=np.uint8)
    if low < high:
        found[low - start : high - start] = codes[low:high]
    return found


def bases_of(codes: NDArray[np.uint8], start: int, length: int, *, flip: bool, shift: int) -> NDArray[np.uint8]:
    """Bases of a window from ``start`` on, perhaps of the other strand, then moved to the right by ``shift``.

    What moves in are the bases of the window beside the stretch, and N beyond its ends.
    """
    found = stretch(codes, start + shift if flip else start - shift, length)
    return _COMPLEMENT[found[::-1]] if flip else found


def substituted(codes: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A copy in which about ``share`` of the bases are drawn anew; N stays N."""
    chosen = np.flatnonzero(rng.random(len(codes), dtype=np.float32) < share)
    drawn = rng.integers(0, 4, len(chosen), dtype=np.uint8)
    changed = codes.copy()
    changed[chosen] = np.where(codes[chosen] == N_CODE, N_CODE, drawn)
    return changed


def one_hot_of_codes(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``(..., 4)``, float32, order A, C, G, T; N is a row of zeros."""
    return np.take(_ROWS, codes, axis=0, mode="clip")


def targets_of(targets: NDArray[Any], flip: bool, pairs: NDArray[np.intp] | None) -> NDArray[Any]:
    """Targets ``(bins, tracks)`` as they are for the strand: bins in reverse, tracks of opposite strands swapped.

    Parameters
    ----------
    pairs
        For every track the one of the opposite strand; None where none has another than its own.
    """
    if not flip or targets.ndim == 1:
        return targets
    return (targets if pairs is None else np.take(targets, pairs, axis=1))[::-1]
