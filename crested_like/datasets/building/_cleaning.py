"""What is done to a track besides its transform: artefacts and bases without data before, rare extremes after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crested_like._errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What is put where a file has no data.
MISSING = ("baseline", "zero", "interpolate", "error")
#: Bases by which artefacts reach beyond a blacklisted interval, as published builders have it.
BLACKLIST_MARGIN = 20
_FEWEST_BINS = 8  # of an example whose median says something


def cleaned(
    coverage: NDArray[np.float32],
    bins: int,
    blacklisted: NDArray[np.bool_] | None = None,
    missing: str = "baseline",
) -> NDArray[np.float32]:
    """Coverage of one example and track without artefacts and without NaN.

    Blacklisted bases are clipped to plus or minus the example's baseline, its median; bases without data count as 0 in
    it, so that it is 0 for the many files that leave out what is not covered.

    Parameters
    ----------
    coverage
        ``(bases,)``; NaN where there are no data.
    bins
        Bins of the example; with fewer than 8 the baseline is 0.
    blacklisted
        ``(bases,)``, or None for no such bases.
    missing
        What bases without data become: the ``"baseline"``, ``"zero"``, ``"interpolate"`` (a straight line between the
        values beside them), or an ``"error"``.

    Raises
    ------
    DatasetError
        If there are bases without data and ``missing`` is ``"error"``.
    """
    gaps = np.isnan(coverage)
    if missing == "error" and gaps.any():
        raise DatasetError(
            f"has no data at {int(gaps.sum()):,} of {len(gaps):,} bases, the first at +{int(gaps.argmax()):,}. "
            f"Fill them in the file, or say with missing= what they are to become."
        )
    filled = _interpolated(coverage, gaps) if missing == "interpolate" else np.where(gaps, np.float32(0), coverage)
    baseline = np.median(filled) if bins >= _FEWEST_BINS else np.float32(0)
    if missing == "baseline":
        filled[gaps] = baseline
    if blacklisted is not None:
        filled[blacklisted] = np.clip(filled[blacklisted], -abs(baseline), abs(baseline))
    return filled


def _interpolated(coverage: NDArray[np.float32], gaps: NDArray[np.bool_]) -> NDArray[np.float32]:
    known = np.flatnonzero(~gaps)
    if not known.size:
        return np.zeros_like(coverage)
    return np.interp(np.arange(len(coverage)), known, coverage[known]).astype(np.float32)


class UpperQuantile:
    """An exact quantile near the top of many values that are seen once; keeps those above it only.

    Parameters
    ----------
    quantile
        From 0 to 1; between two values it is interpolated as NumPy does.
    total
        How many values will come.

    Examples
    --------
    >>> top = UpperQuantile(0.75, total=4)
    >>> top.add(np.array([1.0, 8.0]))
    >>> top.add(np.array([4.0, 2.0]))
    >>> top.value()
    5.0
    """

    def __init__(self, quantile: float, total: int):
        position = quantile * (total - 1)
        self._below = int(position)
        self._fraction = position - self._below
        self._kept = np.empty(0)
        self._keep = total - self._below

    def add(self, values: NDArray[np.floating]) -> None:
        """Take note of some values."""
        flat = np.asarray(values, np.float64).ravel()
        if len(self._kept) == self._keep:
            flat = flat[flat > self._kept.min()]
        merged = np.concatenate([self._kept, flat])
        if len(merged) > self._keep:
            merged = np.partition(merged, len(merged) - self._keep)[-self._keep :]
        self._kept = merged

    def value(self) -> float:
        """Return the quantile of all values."""
        ordered = np.sort(self._kept)
        if len(ordered) == 1 or self._fraction == 0:
            return float(ordered[0])
        return float(ordered[0] + self._fraction * (ordered[1] - ordered[0]))


def finished(
    targets: NDArray[np.float16],
    ceiling: NDArray[np.float64] | None = None,
    unmappable: NDArray[np.bool_] | None = None,
    unmappable_quantile: float = 1.0,
    decimals: int | None = None,
) -> NDArray[np.float16]:
    """Targets of one example with what is rare or not to be trusted taken down.

    Parameters
    ----------
    targets
        ``(bins, tracks)``.
    ceiling
        ``(tracks,)``: the largest value of each track.
    unmappable, unmappable_quantile
        ``(bins,)``, and the quantile of each track in this example that such bins may not exceed; 1 leaves them.
    decimals
        To how many decimals to round, which lets the file be compressed further; None for all that float16 has.
    """
    values = targets.astype(np.float32)
    if ceiling is not None:
        values = np.minimum(values, ceiling.astype(np.float32))
    if unmappable is not None and unmappable_quantile < 1 and unmappable.any():
        limit = np.quantile(values, unmappable_quantile, axis=0)
        values[unmappable] = np.minimum(values[unmappable], limit)
    if decimals is not None:
        values = np.round(values, decimals)
    return values.astype(np.float16)
