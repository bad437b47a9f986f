"""Coverage along the genome: a row a track, a column a region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like.pl import _style as style
from crested_like.pl._save import matplotlib_part

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Rows a figure can have before it is no longer readable.
MOST_TRACKS = 100
#: Columns likewise.
MOST_REGIONS = 8

# inches
_LABELS, _RIGHT, _TOP, _BOTTOM, _GAP, _BETWEEN = 1.95, 0.5, 0.34, 0.5, 0.1, 0.24


@dataclass(frozen=True)
class Span:
    """One column: where its bins lie and what they hold."""

    title: str
    chrom: str
    start: int
    bin_size: int
    values: NDArray[np.float32]  # (bins, tracks)

    @property
    def edges(self) -> NDArray[np.int64]:
        return self.start + np.arange(len(self.values) + 1, dtype=np.int64) * self.bin_size

    def within(self, start: int, end: int) -> Span:
        """The bins that overlap an interval."""
        first = max(0, (start - self.start) // self.bin_size)
        stop = min(len(self.values), -(-(end - self.start) // self.bin_size))
        if first >= stop:
            raise ValueError(
                f"No bin lies in {start:,} to {end:,}: those of {self.title or 'the array'} cover {self.start:,} to "
                f"{self.start + len(self.values) * self.bin_size:,}."
            )
        low = self.start + first * self.bin_size
        high = self.start + stop * self.bin_size
        title = f"{self.chrom}:{low + 1}-{high}" if self.chrom else self.title
        return replace(self, title=title, start=low, values=self.values[first:stop])


def tracks(
    data: xr.DataArray | NDArray,
    *,
    tracks: Sequence[int] | None = None,
    regions: Sequence[int] | None = None,
    span: tuple[int, int] | None = None,
    start: int = 0,
    bin_size: int = 1,
    chrom: str = "",
    labels: Sequence[str] | None = None,
    colors: str | Sequence[str] | Mapping[str, str] | None = None,
    share_y: bool = False,
    title: str | None = None,
) -> Figure:
    """Draw coverage tracks, one below the other, on one axis of genomic positions.

    Regions stand side by side, and a track has one scale in all of them. Tracks of one assay have one colour (told by
    the start of their description, ``CAGE:``, ``RNA:`` ...), the minus strand a lighter one.

    Parameters
    ----------
    data
        As ``tl.predict_regions`` gives it, ``(region, bin, track)`` or one region of it; or plain numbers
        ``(bins, tracks)`` or ``(bins,)``, placed by ``start`` (0-based, bp), ``bin_size`` (bp) and ``chrom``.
    tracks, regions
        Positions on these axes, in the order wanted; by default all, up to 100 tracks and 8 regions.
    span
        Show only the bins that overlap this interval: 0-based half-open, in bp.
    labels
        Text for each track, in place of its description.
    colors
        One for all tracks, one for each, or by identifier.
    share_y
        Give all tracks one scale.
    title
        Above the figure; by default the model.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with :func:`crested_like.pl.save` or ``figure.savefig``.

    Raises
    ------
    ValueError
        If the numbers are no coverage along a sequence, or too many to draw.
    BackendError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from crested_like import pl
    >>> figure = pl.tracks(np.random.default_rng(0).random((64, 3)), bin_size=32, chrom="chr1")
    >>> len(figure.axes)
    3
    """
    columns, identifiers, descriptions, told = _read(data, start, bin_size, chrom, tracks, regions)
    if labels is not None:
        if len(labels) != len(identifiers):
            raise ValueError(f"{len(labels)} labels were given for {len(identifiers)} tracks; give one for each.")
        descriptions = list(labels)
    chosen = style.colors_for(colors, identifiers)
    written = [style.label_of(*row) for row in zip(identifiers, descriptions, chosen, strict=True)]
    columns = [region.within(*span) for region in columns] if span else columns
    limits = _limits(columns, share_y)
    layout = PageLayout(len(written), len(columns))
    figure = layout.figure()
    for column, region in enumerate(columns):
        for row, label in enumerate(written):
            axes = layout.axes(figure, row, column)
            draw_stairs(axes, region, row, label.color, limits[row])
            if row == len(written) - 1:
                draw_position_axis(axes, region, narrow=len(columns) > 1, genome=told["genome"])
            else:
                axes.xaxis.set_visible(False)
            if column == 0:
                layout.write_label(axes, label)
            if column == len(columns) - 1:
                layout.write_scale(axes, limits[row])
            if row == 0:
                layout.write_region(axes, region.title)
    layout.write_title(figure, told["model"] if title is None else title)
    return figure


def _read(
    data: Any, start: int, bin_size: int, chrom: str, tracks: Sequence[int] | None, regions: Sequence[int] | None
) -> tuple[list[Span], list[Any], list[str], dict[str, str]]:
    """Columns, identifiers and descriptions of what is to be drawn, and what is known of model and genome."""
    if not hasattr(data, "dims"):
        values = np.asarray(data)
        if values.ndim not in (1, 2) or not values.size:
            raise ValueError(f"Coverage is drawn from an array (bins, tracks) or (bins,); got shape {values.shape}.")
        values = values.reshape(len(values), -1)
        rows = _chosen("tracks", tracks, values.shape[1], MOST_TRACKS)
        return [Span("", chrom, start, bin_size, values[:, rows])], rows, [""] * len(rows), _told({})
    if "bin" not in data.dims or "track" not in data.dims:
        raise ValueError(
            f"There is nothing to draw along the genome: its dimensions are {', '.join(map(str, data.dims))}, "
            f"no bins and tracks. Models with one value per sequence have no tracks to draw."
        )
    data = data if "region" in data.dims else data.expand_dims("region")
    columns = _chosen("regions", regions, data.sizes["region"], MOST_REGIONS)
    rows = _chosen("tracks", tracks, data.sizes["track"], MOST_TRACKS)
    data = data.transpose("region", "bin", "track").isel(track=rows)
    found = [_region(data.isel(region=i), start, bin_size, chrom) for i in columns]
    names = data["track"].to_numpy().tolist() if "track" in data.coords else rows
    descriptions = data["description"].to_numpy().tolist() if "description" in data.coords else [""] * len(rows)
    return found, names, descriptions, _told(data.attrs)


def _told(attrs: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(attrs.get(name) or "") for name in ("model", "genome")}


def _chosen(what: str, wanted: Sequence[int] | None, there: int, most: int) -> list[int]:
    """Positions to draw; too many are refused rather than drawn unreadably."""
    found = list(range(there)) if wanted is None else [int(i) for i in wanted]
    off = [i for i in found if not 0 <= i < there]
    if off:
        raise ValueError(f"There are {there} {what}, numbered 0 to {there - 1}; got {off[0]}.")
    if not 1 <= len(found) <= most:
        raise ValueError(f"1 to {most} {what} can be drawn in one figure; got {len(found)}. Choose some with {what}=.")
    return found


def _region(data: xr.DataArray, start: int, bin_size: int, chrom: str) -> Span:
    def told(name: str, default: Any) -> Any:
        return data[name].item() if name in data.coords else default

    size = int(data.attrs.get("bin_size") or bin_size)
    title = str(told("region", ""))
    return Span(title, str(told("chrom", chrom)), int(told("start", start)), size, data.to_numpy())


def _limits(columns: list[Span], share_y: bool) -> list[tuple[float, float]]:
    """Lowest and highest value of each track over all columns, zero included."""
    low = np.min([np.nanmin(region.values, axis=0) for region in columns], axis=0)
    high = np.max([np.nanmax(region.values, axis=0) for region in columns], axis=0)
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    if share_y:
        low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    return [(float(a), float(b) if b > a else float(a) + 1.0) for a, b in zip(low, high, strict=True)]


def draw_stairs(axes: Axes, region: Span, row: int, color: str, limits: tuple[float, float]) -> None:
    edges = region.edges
    # an edge of its own colour keeps peaks visible that are narrower than a dot
    axes.stairs(region.values[:, row], edges, fill=True, facecolor=color, edgecolor=color, linewidth=0.5)
    axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=0)
    low, high = limits
    axes.set_ylim(low * 1.04, high * 1.04)
    axes.set_xlim(edges[0], edges[-1])
    axes.yaxis.set_visible(False)
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(False)
    axes.patch.set_visible(False)


def draw_position_axis(axes: Axes, region: Span, *, narrow: bool, genome: str) -> None:
    ticker = matplotlib_part("ticker")
    low, high = axes.get_xlim()
    unit, name = style.unit_of(int(high - low))
    positions = ticker.MaxNLocator(nbins=3 if narrow else 7, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    margin = 0.09 * (high - low) if narrow else 0  # lest texts of neighbouring columns run together
    positions = [p for p in positions if low + margin <= p <= high - margin]
    step = positions[1] - positions[0] if len(positions) > 1 else unit
    axes.set_xticks(positions, [style.tick_text(p, unit, step) for p in positions])
    axes.tick_params(axis="x", length=3, width=0.6, color=style.MUTED, labelcolor=style.INK, labelsize=6.5, pad=2)
    axes.spines["bottom"].set_visible(True)
    axes.spines["bottom"].set(color=style.MUTED, linewidth=0.6, position=("outward", 3))
    place = " · ".join(part for part in (region.chrom, "" if narrow else genome) if part)
    text = f"{place} ({name})" if place else f"position ({name})"
    axes.set_xlabel(text, fontsize=7, color=style.INK, labelpad=3)


class PageLayout:
    """Where everything stands on the page, in inches, so that text keeps its size whatever the number of tracks."""

    def __init__(self, rows: int, columns: int):
        self.rows, self.columns = rows, columns
        self.label_width = (_LABELS - 0.18) * 72  # points
        self.height = min(0.42, max(0.15, 8.5 / rows))
        self.width = 5.0 if columns == 1 else max(1.5, 6.6 / columns)
        self.page = (
            _LABELS + columns * self.width + (columns - 1) * _BETWEEN + _RIGHT,
            _TOP + rows * self.height + (rows - 1) * _GAP + _BOTTOM,
        )

    def figure(self) -> Figure:
        return matplotlib_part("figure").Figure(figsize=self.page, facecolor="white")

    def axes(self, figure: Figure, row: int, column: int) -> Axes:
        wide, high = self.page
        left = _LABELS + column * (self.width + _BETWEEN)
        bottom = high - _TOP - (row + 1) * self.height - row * _GAP
        return figure.add_axes((left / wide, bottom / high, self.width / wide, self.height / high))

    def write_label(self, axes: Axes, label: style.Label) -> None:
        """Title, on two lines if need be, and detail, right-aligned to the axis; in low rows one line of title."""
        roomy = self.height >= 0.26
        size, small = (6.8 if self.height >= 0.2 else 5.6), 5.6
        lines = _wrapped(label.title, size, self.label_width, 2 if self.height >= 0.36 else 1)
        written = [(line, size, style.INK) for line in lines]
        if roomy and label.detail:
            written.append((_fitted(label.detail, small, self.label_width), small, label.text_color))
        step = 1.28
        y = sum(step * size for _, size, _ in written) / 2
        for text, size, color in written:
            y -= step * size
            axes.annotate(
                text, (0, 0.5), (-6, y + 0.3 * size), xycoords="axes fraction", textcoords="offset points",
                size=size, color=color, ha="right", va="baseline", annotation_clip=False,
            )  # fmt: skip

    def write_scale(self, axes: Axes, limits: tuple[float, float]) -> None:
        """Highest value beside the top of the track; the lowest where it is not 0."""
        for value, va in zip(limits, ("bottom", "top"), strict=True):
            if value or va == "top":
                axes.annotate(
                    style.number_text(value), (1, value), (4, 0), xycoords=("axes fraction", "data"),
                    textcoords="offset points", size=5.6, color=style.MUTED, va=va, annotation_clip=False,
                )  # fmt: skip

    def write_region(self, axes: Axes, name: str) -> None:
        size = 7 if self.width > 2 else 6
        fitted = _fitted(style.region_text(name), size, (self.width + _BETWEEN / 2) * 72, "bold")
        axes.annotate(
            fitted, (0, 1), (0, 7), xycoords="axes fraction", textcoords="offset points", size=size, weight="bold",
            color=style.INK, va="bottom", annotation_clip=False,
        )  # fmt: skip

    def write_title(self, figure: Figure, text: str) -> None:
        wide, high = self.page
        fitted = _fitted(text, 7, self.label_width)
        y = 1 - (_TOP - 7 / 72) / high
        figure.text((_LABELS - 6 / 72) / wide, y, fitted, size=7, color=style.MUTED, ha="right", va="bottom")


def _text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a text in points."""
    if not text.strip():
        return 0.0
    properties = matplotlib_part("font_manager").FontProperties(size=size, weight=weight)
    return float(matplotlib_part("textpath").text_to_path.get_text_width_height_descent(text, properties, False)[0])


def _fitted(text: str, size: float, points: float, weight: str = "normal") -> str:
    """Text cut to a width in points, with an ellipsis where something is missing."""
    if _text_width(text, size, weight) <= points:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if _text_width(text[:middle] + "…", size, weight) <= points:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip(" ,(") + "…"


def _wrapped(text: str, size: float, points: float, lines: int) -> list[str]:
    """Text broken between words into at most so many lines, the last one cut to fit."""
    words = text.split()
    done: list[str] = []
    while words and len(done) < lines - 1:
        count = next((n for n in range(len(words), 0, -1) if _text_width(" ".join(words[:n]), size) <= points), 0)
        if not count:
            break
        done.append(" ".join(words[:count]))
        words = words[count:]
    return [*done, _fitted(" ".join(words), size, points)] if words else done
