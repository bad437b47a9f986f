"""Many values a row: correlations of tracks by assay, effects of motifs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crested_like.pl import _style as style
from crested_like.pl._page import PageLayout, bare
from crested_like.pl._save import matplotlib_part

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Rows that can be read in one figure.
MOST_ROWS = 60
_ROW = 0.3  # inches
_HUES = ("#2b6cb0", "#c2452d", "#13807a", "#d98c1a", "#7a4ea3", "#5e5e5e")


@dataclass(frozen=True)
class Strip:
    """One row."""

    name: str
    detail: str
    values: NDArray[np.float64]
    color: str


def correlations(
    table: pd.DataFrame, *, figure: str = "pearson_r", by: str | None = None, title: str | None = None
) -> Figure:
    """Draw how well each track is predicted: a dot a track, a row an assay, with the median.

    Parameters
    ----------
    table
        As ``tl.evaluate`` gives it: a row a track, and with several models a row each.
    figure
        Column to draw.
    by
        Column that says which row a track belongs to; by default the assay, which the start of its description tells.
    title
        Above the figure; by default the split.

    Returns
    -------
    matplotlib.figure.Figure
        Rows stand in the order of their medians, those of several models next to each other.

    Raises
    ------
    ValueError
        If a column is missing, there is nothing to draw, or more than 60 rows would be needed.
    BackendError
        If matplotlib is not installed.

    Examples
    --------
    >>> import pandas as pd
    >>> from crested_like import pl
    >>> table = pd.DataFrame({"description": ["CAGE:liver", "DNASE:liver"], "pearson_r": [0.7, 0.8]})
    >>> drawn = pl.correlations(table)
    """
    _check_columns(table, [figure, *([by] if by else [])])
    values = table[figure].to_numpy(dtype=np.float64)
    groups = table[by].astype(str).to_numpy() if by else np.array(_assays(table))
    models = table["model"].astype(str).to_numpy() if "model" in table else np.full(len(table), "")
    names = list(dict.fromkeys(models))
    medians = {group: _median(values[groups == group]) for group in dict.fromkeys(groups)}
    strips = []
    for group in sorted(medians, key=lambda g: -medians[g] if np.isfinite(medians[g]) else np.inf):
        for i, model in enumerate(names):
            own = values[(groups == group) & (models == model)]
            if not len(own):
                continue
            hue = style.hue_of(group) or style.OTHER
            count = f"{len(own):,} track{'' if len(own) == 1 else 's'}"
            several = len(names) > 1
            strips.append(
                Strip(
                    group if not several or i == 0 else "",
                    f"{model} · {count}" if several else count,
                    own[np.isfinite(own)],
                    _HUES[i % len(_HUES)] if several else hue,
                )
            )
    splits = list(dict.fromkeys(table["split"].astype(str))) if "split" in table else []
    told = ", ".join(splits) if title is None else title
    return _draw(strips, _named(figure), told, zero=False)


def effects(
    values: Mapping[str, ArrayLike] | pd.DataFrame,
    *,
    order: bool = True,
    unit: str = "effect on the readout",
    title: str = "",
) -> Figure:
    """Draw effects measured many times: a dot a measurement, a row a motif, with the mean and its 95% interval.

    Parameters
    ----------
    values
        By name the effects of inserting or ablating it, ``(backgrounds,)`` each; a table with a column each; or what
        ``tl.marginalize(..., summary=False)`` gives, a row each. NaN is left out.
    order
        Put the largest mean first.
    unit
        What is measured, for the axis.
    title
        Above the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with :func:`crested_like.pl.save`.

    Raises
    ------
    ValueError
        If there is nothing to draw or more than 60 rows would be needed.
    BackendError
        If matplotlib is not installed.

    Examples
    --------
    >>> from crested_like import pl
    >>> figure = pl.effects({"GATA": [0.5, 0.7, 0.6], "SP1": [0.1, 0.2, 0.1]})
    """
    if {"motif", "effect"} <= set(getattr(values, "columns", ())):
        values = _by_motif(values)
    strips = []
    for name in values:
        own = np.asarray(values[name], dtype=np.float64).ravel()
        own = own[np.isfinite(own)]
        strips.append(Strip(str(name), f"{len(own):,} sequence{'' if len(own) == 1 else 's'}", own, _HUES[0]))
    if order:
        strips.sort(key=lambda strip: -strip.values.mean() if len(strip.values) else np.inf)
    return _draw(strips, unit, title, zero=True)


def _by_motif(table: Any) -> dict[str, NDArray]:
    """Effects by motif, and by whatever else differs: strand, position, readout."""
    several = [name for name in ("strand", "position", "readout") if name in table and table[name].nunique() > 1]
    groups = table.groupby(["motif", *several], sort=False)["effect"]
    return {" · ".join(map(str, key)): effects.to_numpy() for key, effects in groups}


def _check_columns(table: Any, needed: list[str]) -> None:
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise ValueError(
            f"The table has no column {' or '.join(map(repr, missing))}; it has {', '.join(map(str, table.columns))}."
        )


def _assays(table: pd.DataFrame) -> list[str]:
    if "assay" in table:
        return [str(assay) or "other" for assay in table["assay"]]
    if "description" not in table:
        return ["all"] * len(table)
    starts = [str(text).partition(":") for text in table["description"]]
    return [start if colon and start else "other" for start, colon, _ in starts]


def _median(values: NDArray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _named(column: str) -> str:
    return {"pearson_r": "Pearson r", "spearman_r": "Spearman r", "r2": "R²"}.get(column, column.replace("_", " "))


def _draw(strips: list[Strip], unit: str, title: str, *, zero: bool) -> Figure:
    if not 1 <= len(strips) <= MOST_ROWS:
        raise ValueError(f"1 to {MOST_ROWS} rows can be drawn in one figure; got {len(strips)}.")
    if not any(len(strip.values) for strip in strips):
        raise ValueError("There is no number to draw: all values are missing.")
    layout = PageLayout([_ROW] * len(strips), gap=0.02)
    figure = layout.figure()
    behind = layout.axes(figure, 0, rows=len(strips))
    limits = _limits(np.concatenate([strip.values for strip in strips]), zero=zero)
    for row, strip in enumerate(strips):
        axes = layout.axes(figure, row)
        bare(axes)
        axes.xaxis.set_visible(False)
        axes.set(xlim=limits, ylim=(-1, 1))
        _draw_strip(axes, strip, mean=zero)
        layout.write_label(axes, style.Label(strip.name, strip.detail, "", style.MUTED))
    _draw_axis(behind, limits, unit, zero=zero)
    layout.write_title(figure, title)
    return figure


def _limits(values: NDArray, *, zero: bool) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    low, high = (min(low, 0.0), max(high, 0.0)) if zero or low >= 0 else (low, high)
    edge = 0.04 * (high - low) or 0.5
    return low - edge, high + edge


def _draw_strip(axes: Axes, strip: Strip, *, mean: bool) -> None:
    values = strip.values
    if not len(values):
        return
    scatter = np.random.default_rng(0).uniform(-0.45, 0.45, len(values)) if len(values) > 1 else np.zeros(1)
    alpha = float(np.clip(12 / np.sqrt(len(values)), 0.18, 0.8))
    axes.plot(
        values, scatter, "o", color=strip.color, markersize=2.4, markeredgewidth=0, alpha=alpha, zorder=2,
        clip_on=False, rasterized=len(values) > 2_000,
    )  # fmt: skip
    middle = float(values.mean() if mean else np.median(values))
    if mean and len(values) > 1:
        half = 1.96 * float(values.std(ddof=1)) / np.sqrt(len(values))
        axes.plot([middle - half, middle + half], [0, 0], color=style.INK, linewidth=2.2, zorder=3, alpha=0.9)
    axes.plot([middle, middle], [-0.75, 0.75], color=style.INK, linewidth=1.4, zorder=4)
    axes.annotate(
        f"{middle:.3g}", (1, 0), (4, 0), xycoords=("axes fraction", "data"), textcoords="offset points", size=6,
        color=style.INK, va="center", annotation_clip=False,
    )  # fmt: skip


def _draw_axis(axes: Axes, limits: tuple[float, float], unit: str, *, zero: bool) -> None:
    """Axis and grid lines behind all rows."""
    bare(axes)
    axes.set(xlim=limits, zorder=-1)
    ticks = [t for t in matplotlib_part("ticker").MaxNLocator(6).tick_values(*limits) if limits[0] <= t <= limits[1]]
    axes.set_xticks(ticks, [style.number_text(t) for t in ticks])
    axes.grid(axis="x", color=style.FAINT, linewidth=0.5, alpha=0.6)
    if zero or limits[0] < 0 < limits[1]:
        axes.axvline(0, color=style.MUTED, linewidth=0.8)
    axes.tick_params(axis="x", length=3, width=0.6, color=style.MUTED, labelcolor=style.INK, labelsize=6.5, pad=2)
    axes.spines["bottom"].set_visible(True)
    axes.spines["bottom"].set(color=style.MUTED, linewidth=0.6, position=("outward", 3))
    axes.set_xlabel(unit, fontsize=7, color=style.INK, labelpad=3)
    told = "mean" if zero else "median"
    axes.annotate(
        told, (1, 1), (4, 3), xycoords="axes fraction", textcoords="offset points", size=5.6, color=style.MUTED,
        va="bottom", annotation_clip=False,
    )  # fmt: skip
