"""Predictions against what was measured."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like.pl import _style as style
from crested_like.pl._page import fitted
from crested_like.pl._save import matplotlib_part

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Panels that one figure can have.
MOST_PANELS = 24
#: Points that can be drawn as such; of more, their density is.
_POINTS = 2_000
_CELLS = 80
_SIDE, _LEFT, _TOP, _GAP_X, _GAP_Y, _BOTTOM = 1.75, 0.62, 0.62, 0.42, 0.62, 0.52  # inches


def scatter(
    truth: xr.DataArray | NDArray,
    prediction: xr.DataArray | NDArray,
    *,
    tracks: Sequence[int] | None = None,
    labels: Sequence[str] | None = None,
    log: bool = False,
    title: str | None = None,
) -> Figure:
    """Draw predictions against what was measured, a panel a track, with their correlation.

    Up to 2,000 values are points; of more, colours say how many fall together. The dashed line is where both are equal.

    Parameters
    ----------
    truth, prediction
        Values of one shape: ``(..., tracks)``, such as ``(region, bin, track)``, or ``(N,)``. All regions and bins of a
        track are one panel. Pairs with NaN or infinity are left out.
    tracks
        Positions on the axis of tracks; by default all, up to 24.
    labels
        Title of each panel; by default what the arrays say of their tracks.
    log
        Draw and correlate log2(1 + .) of both.
    title
        Above the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with :func:`crested_like.pl.save`.

    Raises
    ------
    ValueError
        If shapes differ, a track has no two values, or ``log`` is asked of values of -1 or less.
    BackendError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from crested_like import pl
    >>> truth = np.random.default_rng(0).gamma(1.0, size=(100, 2))
    >>> figure = pl.scatter(truth, truth * 1.1, labels=["liver", "brain"])
    """
    x, y, names = _read(truth, prediction, tracks, labels)
    pairs = [_clean(a, b, log, name) for a, b, name in zip(x.T, y.T, names, strict=True)]
    columns = min(4, len(pairs))
    rows = -(-len(pairs) // columns)
    wide = _LEFT + columns * _SIDE + (columns - 1) * _GAP_X + 0.25
    high = _TOP + rows * _SIDE + (rows - 1) * _GAP_Y + _BOTTOM
    figure = matplotlib_part("figure").Figure(figsize=(wide, high), facecolor="white")
    for i, (name, pair) in enumerate(zip(names, pairs, strict=True)):
        row, column = divmod(i, columns)
        left = (_LEFT + column * (_SIDE + _GAP_X)) / wide
        bottom = (high - _TOP - (row + 1) * _SIDE - row * _GAP_Y) / high
        axes = figure.add_axes((left, bottom, _SIDE / wide, _SIDE / high))
        _draw_panel(axes, *pair)
        axes.set_title(
            fitted(name, 7.2, _SIDE * 72, "bold"), size=7.2, color=style.INK, weight="bold", loc="left", pad=4
        )
        if row == rows - 1 or i + columns >= len(pairs):
            axes.set_xlabel(_axis("measured", log), size=7, color=style.INK, labelpad=2)
        if column == 0:
            axes.set_ylabel(_axis("predicted", log), size=7, color=style.INK, labelpad=2)
    if title:
        figure.text(_LEFT / wide, 1 - 0.12 / high, title, size=8, color=style.MUTED, va="top")
    if any(len(pair[0]) > _POINTS for pair in pairs):
        told = "darker: more values fall together (logarithmic)"
        figure.text(1 - 0.25 / wide, 0.06 / high, told, size=5.6, color=style.MUTED, ha="right")
    return figure


def _axis(name: str, log: bool) -> str:
    return f"log2(1 + {name})" if log else name


def _read(
    truth: Any, prediction: Any, tracks: Sequence[int] | None, labels: Sequence[str] | None
) -> tuple[NDArray, NDArray, list[str]]:
    if hasattr(truth, "dims") and hasattr(prediction, "dims") and "track" in prediction.dims:
        truth = truth.transpose(*prediction.dims)
    x, y = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if x.shape != y.shape or not x.size:
        raise ValueError(f"What was measured and predicted must have one shape; got {x.shape} and {y.shape}.")
    x, y = (a.reshape(-1, a.shape[-1] if a.ndim > 1 else 1) for a in (x, y))
    chosen = list(range(x.shape[1])) if tracks is None else [int(i) for i in tracks]
    if not 1 <= len(chosen) <= MOST_PANELS or not all(0 <= i < x.shape[1] for i in chosen):
        raise ValueError(
            f"1 to {MOST_PANELS} of the {x.shape[1]} tracks can be drawn in one figure; choose some with tracks=."
        )
    names = list(labels) if labels is not None else [_name(prediction, i) for i in chosen]
    if len(names) != len(chosen):
        raise ValueError(f"{len(names)} labels were given for {len(chosen)} tracks; give one for each.")
    return x[:, chosen], y[:, chosen], names


def _name(array: Any, index: int) -> str:
    coords = getattr(array, "coords", {})
    for name in ("description", "track"):
        if name in coords and coords[name].ndim == 1:
            return str(coords[name].to_numpy()[index]).replace(":", ": ")
    return f"track {index}"


def _clean(x: NDArray, y: NDArray, log: bool, name: str) -> tuple[NDArray, NDArray]:
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 2:
        raise ValueError(f"There are no two values of {name} to compare.")
    if not log:
        return x, y
    if min(x.min(), y.min()) <= -1:
        raise ValueError(f"log2(1 + .) is not defined for values of -1 and less, which {name} has; leave out log.")
    return np.log2(1 + x), np.log2(1 + y)


def pearson(x: NDArray, y: NDArray) -> float:
    """Correlation of two rows of numbers; NaN where one of them is constant."""
    x, y = x - x.mean(), y - y.mean()
    size = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / size) if size > 0 else float("nan")


def _draw_panel(axes: Axes, x: NDArray, y: NDArray) -> None:
    low, high = (float(f([f(x), f(y)])) for f in (np.min, np.max))
    low = 0.0 if 0 <= low < 0.3 * high else low
    high = high if high > low else low + 1.0
    edge = 0.03 * (high - low)
    limits = (low - edge, high + edge)
    axes.plot(limits, limits, color=style.MUTED, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    if len(x) <= _POINTS:
        alpha = 0.85 if len(x) < 200 else 0.4
        axes.plot(x, y, "o", color=style.ASSAYS["RNA"], markersize=2.2, markeredgewidth=0, alpha=alpha, zorder=2)
    else:
        cells = np.linspace(*limits, _CELLS + 1)
        counts, _, _ = np.histogram2d(x, y, bins=(cells, cells))
        norm = matplotlib_part("colors").LogNorm(vmin=1, vmax=max(counts.max(), 2))
        colors = importlib.import_module("matplotlib").colormaps["viridis_r"]
        shown = np.ma.masked_equal(counts.T, 0)
        axes.pcolormesh(cells, cells, shown, cmap=colors, norm=norm, rasterized=True, zorder=2, linewidth=0)
    r = pearson(x, y)
    text = f"r = {r:.3f}" if np.isfinite(r) else "r not defined"
    axes.annotate(
        f"{text}\nn = {len(x):,}", (0, 1), (4, -4), xycoords="axes fraction", textcoords="offset points", size=6.6,
        color=style.INK, va="top", linespacing=1.3, zorder=4,
        bbox={"boxstyle": "square,pad=0.15", "facecolor": "white", "alpha": 0.75, "linewidth": 0},
    )  # fmt: skip
    axes.set(xlim=limits, ylim=limits)
    ticks = [t for t in matplotlib_part("ticker").MaxNLocator(4).tick_values(low, high) if low <= t <= high]
    names = [style.number_text(t) for t in ticks]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.tick_params(length=2.5, width=0.6, color=style.MUTED, labelcolor=style.INK, labelsize=6.4, pad=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=style.MUTED, linewidth=0.6)
