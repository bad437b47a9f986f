"""Which regions and which bases a run is about, in a few plain values that two runs can be compared by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from crested_like.tl._inputs import ArrayWindows, SequenceWindows, Windows
from crested_like.tl.regions._layout import Layout
from crested_like.tl.regions._rows import Rows, Tiles

_PIECE = 1 << 22  # bases read at a time


def of_rows(rows: Rows, layout: Layout) -> str:
    """Number and digest of the regions: names, places and bins."""
    found = hashlib.sha256(json.dumps([list(rows.labels), list(rows.chroms)]).encode())
    for values in (rows.starts, rows.bins, [rows.kept, rows.left]):
        found.update(np.asarray(values, np.int64).tobytes())
    return f"{len(rows.labels):,} with {int(layout.bins.sum()):,} bins, {found.hexdigest()[:16]}"


def of_dna(windows: Windows) -> str:
    """Name of the genome, if there is one, and digest of the very bases that are read, in upper case."""
    found = hashlib.sha256()
    for letters in _dna(windows):
        found.update(letters)
    name = windows.genome.name if isinstance(windows, Tiles) else "sequences"
    return f"{name} {found.hexdigest()[:16]}"


def _dna(windows: Windows) -> Iterator[bytes]:
    if isinstance(windows, Tiles):
        for chrom, low, high in _spans(windows):
            yield f">{chrom}:{low}".encode()
            for start in range(low, high, _PIECE):
                yield windows.genome.fetch(chrom, start, min(start + _PIECE, high)).upper().encode()
    elif isinstance(windows, SequenceWindows):
        yield from (f">{sequence.upper()}".encode() for sequence in windows.sequences)
    elif isinstance(windows, ArrayWindows):
        for array in windows.array:
            yield np.ascontiguousarray(array, np.float32).tobytes()


def _spans(tiles: Tiles) -> Iterator[tuple[str, int, int]]:
    """Stretches of chromosomes that the windows read, merged."""
    ends = tiles.rows.windows.tolist()
    places = sorted(
        (tiles.place(first)[0], max(tiles.place(first)[1], 0), tiles.place(last - 1)[2])
        for first, last in pairwise(ends)
    )
    last: tuple[str, int, int] | None = None
    for chrom, low, high in places:
        high = min(high, tiles.chrom_sizes[chrom])
        if last is not None and last[0] == chrom and low <= last[2]:
            last = (chrom, last[1], max(last[2], high))
            continue
        if last is not None:
            yield last
        last = (chrom, low, high)
    if last is not None:
        yield last
