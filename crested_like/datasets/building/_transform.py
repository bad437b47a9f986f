"""How coverage becomes targets, and targets coverage: pooled into bins and squashed, each track in its own way.

Published tables say it by track: ``sum_stat`` (how a bin is pooled, and which root is taken of it), ``clip_soft`` (from
where on only the root of the excess counts), ``clip`` (a ceiling) and ``scale``. Two versions of the formulas exist.
``"new"`` is that of Baskerville today, of Borzoi Prime and of what is built now::

    pool(scale * coverage) -> root -> soft clip -> hard clip            root: -1 + sqrt(1 + x)
                                                                   soft clip: c - 1 + sqrt(x - c + 1) above c

``"old"`` is that of the published Borzoi and its tables::

    pool(coverage) -> root -> soft clip -> hard clip -> times scale     root: x ** 0.75
                                                                   soft clip: c + sqrt(x - c) above c
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from crested_like._checks import did_you_mean, one_of
from crested_like._errors import TrackError
from crested_like.datasets._layout import TRANSFORMS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

#: ``sum_stat`` -> how bases are pooled, and the curve that the pooled value goes through.
STATISTICS = {
    "sum": ("sum", "identity"),
    "sum_sqrt": ("sum", "sqrt"),
    "sum_exp75": ("sum", "exp75"),
    "mean": ("mean", "identity"),
    "mean_sqrt": ("mean", "sqrt"),
    "avg": ("mean", "identity"),
    "avg_sqrt": ("mean", "sqrt"),
    "median": ("median", "identity"),
    "max": ("max", "identity"),
    "peak": ("mean", "peak"),
}
#: Columns of a track table that say how it was squashed, and what stands where one is missing or empty.
DEFAULTS = {"sum_stat": "sum", "scale": 1.0, "clip_soft": np.inf, "clip": np.inf}
_LARGEST = float(np.finfo(np.float16).max)


class _Curve(NamedTuple):
    """A function, its inverse, and the least value it takes."""

    squash: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    expand: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    least: float = -np.inf


def _power(x: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """A power that is odd, so that a prediction a little below the curve's range is no NaN."""
    return np.sign(x) * np.abs(x) ** exponent


_SQRT = _Curve(lambda x: np.sqrt(1 + x) - 1, lambda y: (y + 1) ** 2 - 1, least=-1)
_OLD_SQRT = _Curve(lambda x: x**0.75, lambda y: _power(y, 4 / 3), least=0)
_CURVES = {
    "identity": _Curve(lambda x: x, lambda y: y),
    "exp75": _Curve(lambda x: (1 + x) ** 0.75 - 1, lambda y: _power(y + 1, 4 / 3) - 1, least=-1),
    "peak": _Curve(lambda x: np.clip(np.sqrt(np.maximum(4 * x, 0)), 0, 1), lambda y: y**2 / 4),
}


@dataclass(frozen=True, eq=False)
class TargetTransform:
    """What is done to the coverage of each track, and how it is undone.

    Parameters
    ----------
    version
        ``"new"`` or ``"old"``.
    identifiers, statistics
        Name and ``sum_stat`` of each track.
    scale, clip_soft, clip
        ``(tracks,)``, float64; infinite where nothing is clipped.
    """

    version: str
    identifiers: Sequence[str]
    statistics: Sequence[str]
    scale: NDArray[np.float64]
    clip_soft: NDArray[np.float64]
    clip: NDArray[np.float64]

    @classmethod
    def of(cls, tracks: pd.DataFrame, version: str) -> TargetTransform:
        """Read the columns ``sum_stat``, ``scale``, ``clip_soft`` and ``clip`` of a track table.

        A column that is missing, and an empty cell, stand for ``sum``, 1, and no clipping.

        Raises
        ------
        TrackError
            If a ``sum_stat`` is unknown, a scale is 0 or no number, or a threshold no positive number; names the
            tracks.
        ValueError
            If the version is neither ``"new"`` nor ``"old"``.

        Examples
        --------
        >>> table = pd.DataFrame({"identifier": ["a"], "sum_stat": ["sum_sqrt"], "clip_soft": [8]})
        >>> made = TargetTransform.of(table, "new")
        >>> made.apply(np.full((4, 1), 2.0), pool_width=4).tolist()  # -1 + sqrt(1 + 8)
        [[2.0]]
        """
        one_of("version", version, TRANSFORMS)
        names = tracks["identifier"].astype(str).tolist()
        statistics = _column(tracks, "sum_stat").astype(str).tolist()
        numbers = {name: _numbers(tracks, name, names) for name in ("scale", "clip_soft", "clip")}
        _refuse_unknown(statistics, names)
        return cls(version, names, statistics, **numbers)

    def __len__(self) -> int:
        return len(self.statistics)

    def take(self, tracks: Sequence[int]) -> TargetTransform:
        """Return the transform of some of the tracks, in the order given."""
        rows = np.asarray(tracks, np.intp)
        columns = {name: getattr(self, name)[rows] for name in ("scale", "clip_soft", "clip")}
        names, statistics = ([column[i] for i in rows] for column in (self.identifiers, self.statistics))
        return replace(self, identifiers=names, statistics=statistics, **columns)

    def apply(self, coverage: ArrayLike, pool_width: int) -> NDArray[np.float16]:
        """Targets of coverage.

        Parameters
        ----------
        coverage
            ``(..., bases, tracks)``; no NaN. It is computed in float64.
        pool_width
            Bases of a bin.

        Returns
        -------
        numpy.ndarray
            ``(..., bases / pool_width, tracks)``, float16, within its range.

        Raises
        ------
        TrackError
            If a root is to be taken of coverage that is too negative; or for a wrong number of tracks.
        ValueError
            If the bases are not whole bins.
        """
        x = self._checked(coverage)
        if x.shape[-2] % pool_width:
            raise ValueError(f"{x.shape[-2]:,} bases are not whole bins of {pool_width} bp.")
        if self.version == "new":
            x = x * self.scale
        values = self._pooled(x, pool_width)
        for curve, columns in self._curves():
            self._refuse_negative(values[..., columns], curve, columns)
            values[..., columns] = curve.squash(values[..., columns])
        values = np.clip(self._soft_clipped(values), -self.clip, self.clip)
        if self.version == "old":
            values = values * self.scale
        return np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)

    def invert(self, values: ArrayLike, *, unscale: bool = True) -> NDArray[np.float64]:
        """Pooled coverage of targets, as far as the hard clip has left it.

        Parameters
        ----------
        values
            ``(..., tracks)``.
        unscale
            Whether to divide by the scale too, so that the result is in units of the coverage files.

        Returns
        -------
        numpy.ndarray
            With the shape of ``values``, float64. Where ``sum_stat`` is ``peak``, the mean of a bin.
        """
        x = self._checked(values)
        x = x / self.scale if self.version == "old" else x.copy()
        excess = np.maximum(x - self.clip_soft, 0)
        undone = self.clip_soft + (excess**2 if self.version == "old" else (excess + 1) ** 2 - 1)
        x = np.where(excess > 0, undone, x)
        for curve, columns in self._curves():
            x[..., columns] = curve.expand(x[..., columns])
        if self.version == "new" and unscale:
            x /= self.scale
        elif self.version == "old" and not unscale:
            x *= self.scale
        return x

    def _checked(self, values: ArrayLike) -> NDArray[np.float64]:
        x = np.asarray(values, np.float64)
        if x.shape[-1:] != (len(self),):
            raise TrackError(f"The last axis must have one value for each of {len(self):,} tracks; got {x.shape}.")
        return x

    def _pooled(self, x: NDArray[np.float64], width: int) -> NDArray[np.float64]:
        *lead, bases, tracks = x.shape
        windows = x.reshape(*lead, bases // width, width, tracks)
        pooled = np.empty((*lead, bases // width, tracks))
        for how, columns in _grouped([STATISTICS[name][0] for name in self.statistics]):
            pooled[..., columns] = getattr(np, how)(windows[..., columns], axis=-2)
        return pooled

    def _curves(self) -> Iterator[tuple[_Curve, slice | NDArray[np.intp]]]:
        """The curves in use and the tracks that go through each."""
        known = {**_CURVES, "sqrt": _OLD_SQRT if self.version == "old" else _SQRT}
        for name, columns in _grouped([STATISTICS[name][1] for name in self.statistics]):
            if name != "identity":
                yield known[name], columns

    def _soft_clipped(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        excess = np.maximum(x - self.clip_soft, 0)
        root = np.sqrt(excess) if self.version == "old" else np.sqrt(excess + 1) - 1
        return np.where(excess > 0, self.clip_soft + root, x)

    def _refuse_negative(self, x: NDArray[np.float64], curve: _Curve, columns: slice | NDArray[np.intp]) -> None:
        low = x < curve.least
        if low.any():
            bad = low.any(axis=tuple(range(x.ndim - 1)))
            _refuse(
                bad, np.asarray(self.identifiers)[columns], f"coverage that pools to {x.min():.4g}",
                f"no root can be taken of less than {curve.least:g}. Give it another sum_stat, or a negative scale "
                f"if its file counts below zero"
            )  # fmt: skip


def _grouped(names: Sequence[str]) -> Iterator[tuple[str, slice | NDArray[np.intp]]]:
    """Each name and where it stands; a slice where all are one, which needs no copy."""
    array = np.asarray(names)
    for name in dict.fromkeys(names):
        rows = np.flatnonzero(array == name)
        yield name, slice(None) if len(rows) == len(array) else rows


def _column(tracks: pd.DataFrame, name: str) -> pd.Series:
    """A column with the default in its empty cells, or wholly."""
    if name not in tracks:
        return pd.Series([DEFAULTS[name]] * len(tracks), index=tracks.index)
    return tracks[name].where(tracks[name].notna(), DEFAULTS[name])


def _numbers(tracks: pd.DataFrame, name: str, names: list[str]) -> NDArray[np.float64]:
    """A column of numbers; a scale may be negative, for files that count the other strand below zero."""
    column = pd.to_numeric(_column(tracks, name), errors="coerce").to_numpy(np.float64)
    if name == "scale":
        _refuse(~np.isfinite(column) | (column == 0), names, "a scale of 0 or none", "correct the track table")
    else:
        _refuse(~(column > 0), names, f"a {name} that is no positive number", "correct the track table")
    return column


def _refuse_unknown(statistics: list[str], names: list[str]) -> None:
    unknown = [i for i, statistic in enumerate(statistics) if statistic not in STATISTICS]
    if unknown:
        wrong = statistics[unknown[0]]
        raise TrackError(
            f"Track {names[unknown[0]]!r} has the sum_stat {wrong!r} ({len(unknown)} such tracks in all); known are "
            f"{', '.join(STATISTICS)}.{did_you_mean(wrong, STATISTICS)}"
        )


def _refuse(bad: NDArray[np.bool_], names: Sequence[Any], what: str, rule: str) -> None:
    if bad.any():
        some = [str(name) for name, is_bad in zip(names, bad, strict=True) if is_bad]
        shown = ", ".join(map(repr, some[:3])) + (f" and {len(some) - 3:,} more" if len(some) > 3 else "")
        raise TrackError(f"Track {shown}: {what}; {rule}.")
