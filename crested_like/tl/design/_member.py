"""A sequence on its way, with all that was changed in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Change:
    """Bases from ``start`` on became others; offsets from the first base, codes as letters."""

    start: int
    before: str
    after: str
    what: str = ""
    """Motif and strand, where one was written there."""


@dataclass(frozen=True)
class Step:
    """What changed in one round, and the values after it."""

    round: int
    changes: tuple[Change, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Member:
    """A sequence, its values, and how it came about."""

    codes: NDArray[np.uint8]
    values: NDArray[np.float64]
    path: tuple[Step, ...] = ()

    def child(self, round: int, edits: Sequence[tuple[int, int]], values: NDArray[np.float64]) -> Member:
        """The sequence with some bases substituted: pairs of place and code."""
        codes = self.codes.copy()
        for place, code in edits:
            codes[place] = code
        changes = tuple(Change(int(place), "ACGTN"[self.codes[place]], "ACGTN"[code]) for place, code in sorted(edits))
        return Member(codes, values, (*self.path, Step(round, changes, tuple(values.tolist()))))
