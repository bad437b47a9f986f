"""Windows that overlap, which of their bases are kept, and the units in which they are computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import int_at_least
from crested_like._errors import GeometryError
from crested_like.tl._geometry import Geometry
from crested_like.tl._inputs import Windows
from crested_like.tl._predict import Predictor
from crested_like.tl._stream import stream
from crested_like.tl.regions._stores import Store
from crested_like.tl.segmentation._items import Item

#: Batches in a unit at least, so that few windows are computed for two units, or to fill up a batch.
BATCHES_IN_UNIT = 8
#: Windows in a unit at least, for the same.
WINDOWS_IN_UNIT = 32


class Tiles(Windows):
    """Windows of a model that together cover sequences of any length.

    Parameters
    ----------
    items
        The sequences.
    geometry
        Of the model.
    overlap
        Bases that the outputs of neighbouring windows share, at least; default a quarter.
    inside
        Whether windows must not reach beyond a chromosome's ends.
    """

    def __init__(self, items: Sequence[Item], geometry: Geometry, overlap: int | None, *, inside: bool) -> None:
        self.items, self.geometry = items, geometry
        span = geometry.output_length
        shared = span // 4 if overlap is None else int_at_least("overlap", overlap, 0)
        if shared >= span:
            raise GeometryError(f"overlap must be smaller than the model's output of {span:,} bp; got {overlap:,}.")
        #: Item and first base of the output on its chromosome, window by window.
        self.places = [
            (i, start) for i, item in enumerate(items) for start in _starts(item, span, span - shared, inside)
        ]
        #: Bases that neighbouring windows share, and from the start of one to that of the next.
        self.overlap, self.step = shared, span - shared
        labels = [items[i].label for i, _ in self.places]
        super().__init__(geometry.input_length, labels, (), {})

    def batch(self, start: int, stop: int) -> NDArray[np.float32]:
        places = [(self.items[i], first - self.geometry.crop) for i, first in self.places[start:stop]]
        return np.stack([item.fetch(first, first + self.length) for item, first in places])

    def kept(self, number: int) -> tuple[int, int]:
        """Bases that a window's output is kept for: up to halfway between its centre and those of its neighbours."""
        (i, start), span = self.places[number], self.geometry.output_length
        item = self.items[i]
        before = self.places[number - 1] if number else (-1, 0)
        after = self.places[number + 1] if number + 1 < len(self.places) else (-1, 0)
        low = (before[1] + start + span) // 2 if before[0] == i else item.start
        high = (after[1] + start + span) // 2 if after[0] == i else item.start + item.length
        return low, high


def _starts(item: Item, span: int, step: int, inside: bool) -> list[int]:
    """First bases of outputs that cover an item, the last one ending where the item ends."""
    first, last = item.start, item.start + item.length - span
    # one is enough for what is shorter: in the middle
    starts = [*range(first, last, step), last] if last > first else [(first + last) // 2]
    return [min(max(start, 0), item.size - span) for start in starts] if inside else starts


@dataclass(frozen=True)
class Stretch:
    """A part of a sequence, and the windows that its bases are taken from: from ``first`` to before ``last``."""

    item: int
    low: int
    high: int
    first: int
    last: int


class Part(Windows):
    """Some windows that follow each other."""

    def __init__(self, tiles: Tiles, first: int, last: int) -> None:
        super().__init__(tiles.length, tiles.labels[first:last], (), {})
        self._tiles, self._first = tiles, first

    def batch(self, start: int, stop: int) -> NDArray[np.float32]:
        return self._tiles.batch(self._first + start, self._first + stop)


class Stretches:
    """The work on sequences: a unit is a long stretch of one of them, or several that are short.

    Parameters
    ----------
    predictor
        What is computed of a window.
    tiles
        The windows.
    chunk
        Positions that are stored together; a stretch ends where some of these do.
    """

    def __init__(self, predictor: Predictor, tiles: Tiles, chunk: int) -> None:
        self._predictor, self._tiles, self._chunk = predictor, tiles, chunk
        self.windows = len(tiles)

    def counts(self, size: int) -> list[int]:
        """Windows of every unit, where a batch has so many."""
        return [unit[-1].last - unit[0].first for unit in self._units(size)]

    def task(self, store: Store, size: int) -> Segmenting:
        """What computes them and puts them into a store."""
        return Segmenting(self._predictor, self._tiles, self._units(size), store, size)

    def _units(self, size: int) -> list[list[Stretch]]:
        most = max(WINDOWS_IN_UNIT, BATCHES_IN_UNIT * size)
        length = -(-self._tiles.step * most // self._chunk) * self._chunk
        units: list[list[Stretch]] = []
        for stretch in _stretches(self._tiles, length):
            before = units[-1] if units else None
            # stretches of one sequence share windows, and are apart
            if before and before[-1].item != stretch.item and stretch.last - before[0].first <= most:
                before.append(stretch)
            else:
                units.append([stretch])
        return units


class Segmenting:
    """Stretches, for an engine."""

    def __init__(
        self, predictor: Predictor, tiles: Tiles, units: Sequence[Sequence[Stretch]], store: Store, size: int
    ) -> None:
        self._predictor, self._tiles, self._units, self._store, self._size = predictor, tiles, units, store, size

    def do(self, units: Sequence[int]) -> Iterator[int]:
        """Compute and store units; says how many windows each has."""
        for number in units:
            unit = self._units[number]
            self._compute(unit)
            yield unit[-1].last - unit[0].first

    def _compute(self, unit: Sequence[Stretch]) -> None:
        part = Part(self._tiles, unit[0].first, unit[-1].last)
        batches = range(-(-len(part) // self._size))
        values = [np.empty((s.high - s.low, self._predictor.output_shape[-1]), np.float32) for s in unit]
        for start, block in stream(self._predictor, part, (), batch_size=self._size, progress=False, batches=batches):
            for number, window in enumerate(block, unit[0].first + start):
                origin = self._tiles.places[number][1]
                for stretch, found in zip(unit, values, strict=True):
                    if stretch.first <= number < stretch.last:
                        low, high = (min(max(end, stretch.low), stretch.high) for end in self._tiles.kept(number))
                        found[low - stretch.low : high - stretch.low] = window[low - origin : high - origin]
        for stretch, found in zip(unit, values, strict=True):
            self._store.put(stretch.item, stretch.low - self._tiles.items[stretch.item].start, found)


def _stretches(tiles: Tiles, length: int) -> Iterator[Stretch]:
    """All stretches: of each sequence so many positions, and the rest."""
    first = 0
    for i, item in enumerate(tiles.items):
        last, end = first, item.start + item.length
        for low in range(item.start, end, length):
            high = min(low + length, end)
            while tiles.kept(first)[1] <= low:
                first += 1
            last = first + 1
            while tiles.kept(last - 1)[1] < high:
                last += 1
            yield Stretch(i, low, high, first, last)
        first = last
