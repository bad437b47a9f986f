"""Which windows are looked at, and which part of each is told of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from crested_like._errors import RegionError, SequenceError
from crested_like.genome import Region, regions_of
from crested_like.tl._inputs import GenomeRegions, RegionWindows, Windows, contents_of, windows_of
from crested_like.tl._tokens import fixed_length

#: Positions of which each substitution is predicted without being asked for.
MOST_UNASKED = 10_000


def windows_and_parts(
    source: Any, model: keras.Model, genome: Any, window: Any, *, of_regions: bool
) -> tuple[Windows, list[tuple[int, int]]]:
    """Inputs of a model, and of each the bases that count: 0-based, half-open, within the input.

    Parameters
    ----------
    source, genome
        As for :func:`crested_like.tl.predict`.
    window
        ``None``; so many bases in the middle; first base and end within the input; or a region of the genome.
    of_regions
        Without a ``window``, take the regions that were given rather than the models' whole inputs.

    Raises
    ------
    RegionError, SequenceError
        If the part is none of the input, differs in width from window to window, or would take too long.
    """
    length = fixed_length(model)
    found = source if isinstance(source, Windows) else contents_of(source, genome)
    own: Sequence[Region] | None = None
    if isinstance(found, GenomeRegions):
        own = found.regions
        windows: Windows = RegionWindows(found.regions, length, found.genome)
    else:
        windows = windows_of(source, length, genome)
    if window is not None:
        parts = _asked(window, windows)
    elif of_regions:
        parts = _regions(own, windows)
    else:
        parts = [(0, length)] * len(windows)
    widths = {stop - start for start, stop in parts}
    if len(widths) > 1:
        raise RegionError(
            f"All rows of a result are equally wide, and the regions have from {min(widths):,} to {max(widths):,} bp. "
            f"Say how many bases in the middle of each to look at, such as window={min(widths)}."
        )
    return windows, parts


def _asked(window: Any, windows: Windows) -> list[tuple[int, int]]:
    length = windows.length
    if isinstance(window, int | np.integer) and not isinstance(window, bool):
        start = (length - int(window)) // 2
        return [_checked(start, start + int(window), length, window)] * len(windows)
    if isinstance(window, slice):
        window = window.indices(length)[:2]
    if isinstance(window, tuple | list) and len(window) == 2 and all(isinstance(v, int | np.integer) for v in window):
        return [_checked(int(window[0]), int(window[1]), length, window)] * len(windows)
    regions = regions_of(window)
    if len(regions) != 1 or not isinstance(windows, RegionWindows):
        raise RegionError(
            f"window={window!r} is a place on a genome, and the input has none: give a number of bases in the middle "
            f"or (start, stop) within the input."
            if len(regions) == 1
            else f"window must be one region; got {len(regions):,}."
        )
    region = regions[0]
    off = [w for w in windows.regions if w.chrom != region.chrom or region.start < w.start or region.end > w.end]
    if off:
        raise RegionError(f"window={window!r} is no part of the model's input {off[0]}, which has {length:,} bases.")
    return [(region.start - w.start, region.end - w.start) for w in windows.regions]


def _checked(start: int, stop: int, length: int, window: Any) -> tuple[int, int]:
    if not 0 <= start < stop <= length:
        raise SequenceError(
            f"window={window!r} is no part of an input of {length:,} bases: give 1 to {length:,} bases, or "
            f"(start, stop) with 0 <= start < stop <= {length:,}."
        )
    return start, stop


def _regions(own: Sequence[Region] | None, windows: Windows) -> list[tuple[int, int]]:
    length = windows.length
    if own is not None:
        places = zip(own, windows.regions, strict=True)
        parts = [(max(r.start - w.start, 0), min(r.end - w.start, length)) for r, w in places]
    else:
        parts = [(0, length)] * len(windows)
    widest = max(stop - start for start, stop in parts)
    if widest > MOST_UNASKED:
        raise SequenceError(
            f"Every substitution at {widest:,} positions takes {3 * widest:,} predictions for each sequence. Say with "
            f"window= which to look at: a number of bases in the middle, (start, stop) or a region; or window={widest} "
            f"if all are meant."
        )
    return parts
