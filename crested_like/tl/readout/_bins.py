"""Which output bins count, and how much."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crested_like._errors import GeometryError
from crested_like.tl._geometry import Geometry

Overlap = Literal["any", "majority", "fraction"]
OVERLAPS = ("any", "majority", "fraction")
#: Stretches of bins that a text names.
_SHOWN = 10


def bases_in_bins(intervals: Iterable[tuple[int, int]], origin: int, bin_size: int, num_bins: int) -> NDArray[np.int64]:
    """Bases of each bin that lie in some intervals.

    Parameters
    ----------
    intervals
        Half-open, in bp; no two of them overlap. What lies beyond the bins is left out.
    origin
        Left edge of the first bin, counted as the intervals are.
    bin_size, num_bins
        Bases of a bin, and number of bins.

    Returns
    -------
    numpy.ndarray
        ``(num_bins,)``, int64.
    """
    bases = np.zeros(num_bins, np.int64)
    for start, end in intervals:
        start, end = max(start - origin, 0), min(end - origin, num_bins * bin_size)
        if start >= end:
            continue
        first, last = start // bin_size, (end - 1) // bin_size
        bases[first : last + 1] += bin_size
        bases[first] -= start - first * bin_size
        bases[last] -= (last + 1) * bin_size - end
    return bases


def weights_of(bases: NDArray[np.int64], bin_size: int, overlap: Overlap) -> NDArray[np.float64]:
    """Weight of each bin, from the bases of it that count.

    ``"any"``: 1 for a bin of which any base counts; ``"majority"``: 1 where at least half do; ``"fraction"``: the part
    of its bases that do.
    """
    if overlap == "fraction":
        return bases / bin_size
    return ((bases > 0) if overlap == "any" else (2 * bases >= bin_size)).astype(np.float64)


def chosen_bins(bins: Any, geometry: Geometry) -> NDArray[np.float64]:
    """Weights of bins given by number, as a slice or as a mask: 1 for each of these, ``(bins,)``.

    Raises
    ------
    GeometryError
        If there are no such bins, or none are chosen.
    """
    total = geometry.output_bins
    weights = np.zeros(total)
    if isinstance(bins, slice):
        weights[bins] = 1
    else:
        wanted = np.atleast_1d(np.asarray(bins))
        if wanted.dtype == bool:
            if wanted.shape != (total,):
                raise GeometryError(f"A mask of bins needs {total:,} values; got the shape {wanted.shape}.")
            wanted = np.flatnonzero(wanted)
        if wanted.size and not np.issubdtype(wanted.dtype, np.integer):
            raise GeometryError(f"Bins are given as whole numbers, a range, a slice or a mask; got {bins!r}.")
        off = wanted[(wanted < 0) | (wanted >= total)]
        if off.size:
            raise GeometryError(
                f"No such bin: {', '.join(map(str, off[:5]))}{' ...' if off.size > 5 else ''}. "
                f"The model has {total:,}, numbered 0 to {total - 1:,}."
            )
        weights[wanted.astype(np.intp)] = 1
    if not weights.any():
        raise GeometryError(f"No bins were chosen: {bins!r} selects none of {total:,}.")
    return weights


def text_of_bins(bins: Any) -> str:
    """What bins were asked for, as text: ``"bins 2, 5 to 7"``.

    Examples
    --------
    >>> text_of_bins([2, 7, 6, 5]), text_of_bins(slice(-4, None)), text_of_bins(3)
    ('bins 2, 5 to 7', 'bins -4:', 'bins 3')
    """
    if isinstance(bins, slice):
        step = "" if bins.step is None else f":{bins.step}"
        return f"bins {'' if bins.start is None else bins.start}:{'' if bins.stop is None else bins.stop}{step}"
    asked = np.atleast_1d(np.asarray(bins))
    numbers = np.flatnonzero(asked) if asked.dtype == bool else np.unique(asked)
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
    texts = [f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs[:_SHOWN]]
    return f"bins {', '.join(texts)}{f' ... ({len(numbers):,} bins)' if len(runs) > _SHOWN else ''}"
