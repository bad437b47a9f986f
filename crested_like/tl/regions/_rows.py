"""Regions of any width as windows of a model whose kept bins lie side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import positive_int
from crested_like._errors import GeometryError
from crested_like.genome import Genome, Region, check_regions, one_hot
from crested_like.genome._places import places_of
from crested_like.tl._geometry import Geometry
from crested_like.tl._inputs import ArrayWindows, GenomeRegions, Sequences, SequenceWindows, Windows, contents_of


class Tile(NamedTuple):
    """The bins of a row that one window gives."""

    row: int
    first: int
    """Number of the first of them in the row."""
    count: int


@dataclass(frozen=True)
class Rows:
    """Stretches of a genome, or sequences of their own, cut into bins.

    Attributes
    ----------
    labels, chroms
        What each is called, and where it lies.
    starts
        First base of the first bin, 0-based.
    bins
        How many bins.
    kept
        Bins that a window gives, at most.
    left
        Bins of a window's output before those.
    """

    labels: Sequence[str]
    chroms: Sequence[str]
    starts: NDArray[np.int64]
    bins: NDArray[np.int64]
    kept: int
    left: int

    @cached_property
    def windows(self) -> NDArray[np.int64]:
        """Number of the first window of each row, and of all windows at the end."""
        return np.concatenate([[0], np.cumsum(-(-self.bins // self.kept))])

    def tile(self, window: int) -> Tile:
        """What a window gives."""
        row = int(np.searchsorted(self.windows, window, side="right")) - 1
        first = (window - int(self.windows[row])) * self.kept
        return Tile(row, first, min(self.kept, int(self.bins[row]) - first))


class Tiles(Windows):
    """Windows of a genome whose kept bins cover rows side by side; N beyond a chromosome's ends."""

    def __init__(self, rows: Rows, geometry: Geometry, genome: Genome) -> None:
        super().__init__(geometry.input_length, rows.labels, (), genome.chromosomes)
        self.rows, self.geometry, self.genome = rows, geometry, genome

    def __len__(self) -> int:
        return int(self.rows.windows[-1])

    def place(self, window: int) -> tuple[str, int, int]:
        """Chromosome, start and end of a window's input."""
        row, first, _ = self.rows.tile(window)
        geometry = self.geometry
        start = int(self.rows.starts[row]) + (first - self.rows.left) * (geometry.bin_size or 0) - geometry.crop
        return self.rows.chroms[row], start, start + geometry.input_length

    def batch(self, start: int, stop: int) -> NDArray[np.float32]:
        return np.stack([one_hot(self.genome.fetch(*self.place(window))) for window in range(start, stop)])


def plan(
    source: Any, geometry: Geometry, genome: Any = None, *, tile: bool = True, kept_bins: int | None = None
) -> tuple[Rows, Windows]:
    """Rows of the result, and the windows that they are predicted from.

    A region that is no wider than the kept bins is recentred and gets one window. A wider one is cut into bins from
    its start on, and into windows whose kept bins lie side by side; the last bin may reach beyond its end.

    Parameters
    ----------
    source, genome
        As for :func:`crested_like.tl.predict_regions`.
    tile
        Whether wider regions get several windows; otherwise each is recentred, whatever its width.
    kept_bins
        Bins in the middle of a window's output that are kept; default all.

    Raises
    ------
    GeometryError
        If the model does not have so many bins.
    """
    kept = geometry.output_bins if kept_bins is None else positive_int("kept_bins", kept_bins)
    if kept > geometry.output_bins:
        raise GeometryError(f"kept_bins must be at most {geometry.output_bins:,}, the model's bins; got {kept:,}.")
    left = (geometry.output_bins - kept) // 2
    genome = source if genome is None and isinstance(source, Genome) else genome
    found = contents_of(places_of(source, genome), genome)
    if isinstance(found, Sequences):
        windows: Windows = SequenceWindows(found.sequences, geometry.input_length, found.names)
        return _single(windows, geometry, kept, left), windows
    if not isinstance(found, GenomeRegions):
        windows = ArrayWindows(found, geometry.input_length)
        return _single(windows, geometry, kept, left), windows
    check_regions(found.regions, found.genome)
    rows = _rows(found.regions, geometry, tile, kept, left)
    return rows, Tiles(rows, geometry, found.genome)


def _single(windows: Windows, geometry: Geometry, kept: int, left: int) -> Rows:
    """Rows of sequences that lie on no genome: one window each."""
    first = geometry.crop + left * (geometry.bin_size or 0)
    starts = np.array([region.start for region in windows.regions], np.int64) + first
    chroms = [region.chrom for region in windows.regions]
    return Rows(windows.labels, chroms, starts, np.full(len(windows), kept, np.int64), kept, left)


def _rows(regions: Sequence[Region], geometry: Geometry, tile: bool, kept: int, left: int) -> Rows:
    size = geometry.bin_size
    starts = np.empty(len(regions), np.int64)
    bins = np.full(len(regions), kept, np.int64)
    for i, region in enumerate(regions):
        if size is not None and tile and region.width > kept * size:
            starts[i], bins[i] = region.start, -(-region.width // size)
        else:
            starts[i] = region.resize(geometry.input_length).start + geometry.crop + left * (size or 0)
    labels = [region.name or str(region) for region in regions]
    return Rows(labels, [region.chrom for region in regions], starts, bins, kept, left)
