"""Sequences to begin with, and which of their bases may change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crested_like._errors import RegionError, SequenceError
from crested_like.genome import Region, regions_of
from crested_like.tl._inputs import Windows, windows_of

BASES = "ACGTN"
_LETTERS = np.frombuffer(BASES.encode(), np.uint8)
#: Rows of one-hot DNA by code.
ROWS = np.vstack([np.eye(4), np.zeros((1, 4))]).astype(np.float32)


@dataclass(frozen=True)
class Starts:
    """Sequences of one length."""

    names: list[str]
    codes: NDArray[np.uint8]
    """``(N, L)``: 0 to 3 for A, C, G, T and 4 for N."""
    windows: list[Region | None]
    """Where each lies on a genome, if it does."""


def starts_of(given: Any, length: int, genome: Any) -> Starts:
    """Whatever :func:`crested_like.tl.predict` takes, as letters that can be changed.

    Raises
    ------
    SequenceError
        If an array holds mixtures of bases, or names occur twice.
    """
    windows: Windows = windows_of(given, length, genome)
    codes = np.concatenate([_codes(windows.batch(i, i + 1), windows.labels[i]) for i in range(len(windows))])
    names = [str(label) for label in windows.labels]
    if len(set(names)) < len(names):
        names = [f"{name}_{i}" for i, name in enumerate(names)]
    on_genome = hasattr(windows, "genome")
    return Starts(names, codes, list(windows.regions) if on_genome else [None] * len(names))


def _codes(x: NDArray[np.float32], label: str) -> NDArray[np.uint8]:
    largest, total = x.max(axis=-1), x.sum(axis=-1)
    if ((largest != total) | ((largest != 0) & (largest != 1))).any():
        raise SequenceError(
            f"{label!r} holds mixtures of bases, which cannot be changed letter by letter. "
            "Give one-hot rows or letters."
        )
    return np.where(largest == 0, 4, x.argmax(axis=-1)).astype(np.uint8)


def text_of(codes: NDArray[np.uint8]) -> str:
    """Letters of codes ``(L,)``."""
    return _LETTERS[codes].tobytes().decode()


def changeable(
    codes: NDArray[np.uint8], window: Region | None, protect: Any, within: Any, name: str
) -> NDArray[np.bool_]:
    """Which bases of one sequence may change: ``(L,)``.

    Parameters
    ----------
    protect, within
        Bases that must stay, and those among which all changes are made: a mask ``(L,)``; or intervals, as pairs
        ``(start, end)`` of 0-based half-open offsets from the first base, as regions of the genome (text, ``Region``),
        or a path of a BED file, where the sequence lies on one.

    Raises
    ------
    RegionError
        If intervals lie outside the sequence, or nothing may change.
    """
    may = codes < 4
    if within is not None:
        may &= _covered(within, len(codes), window, "within")
    if protect is not None:
        may &= ~_covered(protect, len(codes), window, "protect")
    if not may.any():
        raise RegionError(f"No base of {name!r} may change: all are protected, outside of within=, or N.")
    return may


def _covered(given: Any, length: int, window: Region | None, what: str) -> NDArray[np.bool_]:
    if isinstance(given, np.ndarray) and given.dtype == bool:
        if given.shape != (length,):
            raise RegionError(f"A mask for {what} needs {length:,} values; got the shape {given.shape}.")
        return given
    inside = np.zeros(length, bool)
    for start, end in _intervals(given, window, what):
        if not 0 <= start < end <= length:
            raise RegionError(
                f"{what} names the bases {start:,} to {end:,}, but the sequence has {length:,}, counted from 0."
            )
        inside[start:end] = True
    return inside


def _intervals(given: Any, window: Region | None, what: str) -> list[tuple[int, int]]:
    if _is_pair(given):
        return [tuple(given)]
    if isinstance(given, Sequence) and not isinstance(given, str) and given and all(map(_is_pair, given)):
        return [tuple(pair) for pair in given]
    if isinstance(given, Iterable) and not isinstance(given, str) and not list(given):
        return []
    regions = regions_of(given)
    if window is None:
        raise RegionError(
            f"{what} names places of a genome, but the sequence lies on none. Give pairs (start, end), counted from 0."
        )
    inside = [r for r in regions if r.chrom == window.chrom and r.end > window.start and r.start < window.end]
    if not inside and what == "within":
        raise RegionError(f"None of the {len(regions)} regions of within= lies in the window {window}.")
    return [(max(r.start - window.start, 0), min(r.end, window.end) - window.start) for r in inside]


def _is_pair(item: Any) -> bool:
    return (
        isinstance(item, list | tuple | range)
        and len(item) == 2
        and all(isinstance(part, int | np.integer) and not isinstance(part, bool) for part in item)
    )
