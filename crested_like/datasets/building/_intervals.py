"""Stretches of a genome as sorted arrays: blacklists, gaps, unmappable regions, peaks."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crested_like._errors import RegionError
from crested_like.genome import Regions, read_bed, regions_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Intervals:
    """Stretches of chromosomes, 0-based half-open, sorted and merged where they overlap or touch.

    Parameters
    ----------
    stretches
        By chromosome ``(n, 2)`` starts and ends, in any order.
    """

    def __init__(self, stretches: Mapping[str, NDArray[np.int64]]):
        self._merged = {chrom: _merged(pairs) for chrom, pairs in stretches.items() if len(pairs)}

    @classmethod
    def of(cls, regions: Regions | None, *, margin: int = 0) -> Intervals:
        """Intervals of a BED file, a table or a list of regions, each ``margin`` bp wider at both sides.

        Raises
        ------
        RegionError
            If something is no region; says where.
        """
        if regions is None:
            return cls({})
        table = _table(regions)
        places = table[["start", "end"]].to_numpy(np.int64) + np.array([-margin, margin])
        rows = table.groupby("chrom", sort=False).indices
        return cls({str(chrom): places[own] for chrom, own in rows.items()})

    @property
    def chromosomes(self) -> tuple[str, ...]:
        """Chromosomes with at least one interval."""
        return tuple(self._merged)

    def __iter__(self) -> Iterator[tuple[str, int, int]]:
        for chrom, pairs in self._merged.items():
            for start, end in pairs.tolist():
                yield chrom, start, end

    def within(self, chrom: str, start: int, end: int) -> NDArray[np.int64]:
        """``(n, 2)`` pieces of the intervals that lie in a stretch."""
        pairs = self._merged.get(chrom)
        if pairs is None:
            return np.empty((0, 2), np.int64)
        first = np.searchsorted(pairs[:, 1], start, side="right")
        last = np.searchsorted(pairs[:, 0], end, side="left")
        return np.clip(pairs[first:last], start, end)

    def bases(self, chrom: str, start: int, end: int) -> int:
        """Bases of a stretch that the intervals cover."""
        return int(np.diff(self.within(chrom, start, end)).sum())

    def mask(self, chrom: str, start: int, end: int) -> NDArray[np.bool_]:
        """``(end - start,)``: which bases of a stretch the intervals cover."""
        covered = np.zeros(end - start, bool)
        for low, high in self.within(chrom, start, end) - start:
            covered[low:high] = True
        return covered

    def outside(self, chrom: str, start: int, end: int) -> list[tuple[int, int]]:
        """Pieces of a stretch that the intervals leave."""
        pairs = self.within(chrom, start, end).tolist()
        edges = [start, *(edge for pair in pairs for edge in pair), end]
        return [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if low < high]

    def check(self, chromosomes: Collection[str], what: str) -> None:
        """Raise a RegionError where there are intervals, and none of them on any of the chromosomes."""
        if self._merged and not set(self._merged) & set(chromosomes):
            raise RegionError(
                f"None of the chromosomes of {what} is in the genome: {_some(self._merged)}; the genome has "
                f"{_some(chromosomes)}. Are they named in another way?"
            )


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _table(regions: Regions) -> pd.DataFrame:
    if isinstance(regions, str | os.PathLike) and Path(regions).expanduser().is_file():
        return _bed_table(Path(regions).expanduser())
    found = regions_of(regions)
    return pd.DataFrame([(r.chrom, r.start, r.end) for r in found], columns=["chrom", "start", "end"])


def _bed_table(path: Path) -> pd.DataFrame:
    """Read a plain BED file quickly; any other as :func:`read_bed` does, which says what is wrong with it."""
    dtype = {"chrom": str, "start": np.int64, "end": np.int64}
    options: dict[str, Any] = {
        "sep": "\t",
        "header": None,
        "comment": "#",
        "usecols": [0, 1, 2],
        "keep_default_na": False,
    }
    try:
        table = pd.read_csv(path, names=["chrom", "start", "end"], dtype=dtype, **options)
        if (table["start"] >= 0).all() and (table["end"] > table["start"]).all():
            return table
    except ValueError:
        pass
    found = read_bed(path)
    return pd.DataFrame([(r.chrom, r.start, r.end) for r in found], columns=["chrom", "start", "end"])


def _merged(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    ordered = pairs[np.argsort(pairs[:, 0], kind="stable")]
    ends = np.maximum.accumulate(ordered[:, 1])
    first = np.concatenate([[True], ordered[1:, 0] > ends[:-1]])
    last = np.concatenate([first[1:], [True]])
    return np.column_stack([ordered[first, 0], ends[last]])
