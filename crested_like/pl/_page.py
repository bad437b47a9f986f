"""Where things stand on a page, and text that fits where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crested_like.pl import _style as style
from crested_like.pl._save import matplotlib_part

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# inches
_LABELS, _RIGHT, _TOP, _BOTTOM, _GAP, _BETWEEN = 1.95, 0.5, 0.34, 0.5, 0.1, 0.24
#: Width in inches of a column that stands alone.
COLUMN = 5.0
#: The same where single bases are to be seen.
WIDE = 7.2


def track_height(tracks: int) -> float:
    """Height in inches of one track of so many."""
    return min(0.42, max(0.15, 8.5 / tracks))


class PageLayout:
    """Where everything stands on the page, in inches, so that text keeps its size whatever the number of rows."""

    def __init__(self, heights: Sequence[float], columns: int = 1, *, gap: float = _GAP, width: float = COLUMN):
        self.heights, self.columns, self.gap = list(heights), columns, gap
        self.label_width = (_LABELS - 0.18) * 72  # points
        self.width = width if columns == 1 else max(1.5, 6.6 / columns)
        self.page = (
            _LABELS + columns * self.width + (columns - 1) * _BETWEEN + _RIGHT,
            _TOP + sum(self.heights) + (len(self.heights) - 1) * gap + _BOTTOM,
        )

    def figure(self) -> Figure:
        return matplotlib_part("figure").Figure(figsize=self.page, facecolor="white")

    def axes(self, figure: Figure, row: int, column: int = 0, *, rows: int = 1) -> Axes:
        """Axes of a row, or of several rows and the gaps between them."""
        wide, high = self.page
        left = _LABELS + column * (self.width + _BETWEEN)
        below = sum(self.heights[: row + rows]) + (row + rows - 1) * self.gap
        height = sum(self.heights[row : row + rows]) + (rows - 1) * self.gap
        return figure.add_axes((left / wide, (high - _TOP - below) / high, self.width / wide, height / high))

    def height_of(self, axes: Axes) -> float:
        """Height of axes in inches."""
        return float(axes.get_position().height * self.page[1])

    def write_label(self, axes: Axes, label: style.Label) -> None:
        """Title, on two lines if need be, and detail, right-aligned to the axis; in low rows one line of title."""
        height = self.height_of(axes) + 0.005  # which comes back rounded
        size, small = (6.8 if height >= 0.2 else 5.6), 5.6
        lines = wrapped(label.title, size, self.label_width, 2 if height >= 0.36 else 1)
        written = [(line, size, style.INK) for line in lines]
        if height >= 0.26 and label.detail:
            written.append((fitted(label.detail, small, self.label_width), small, label.text_color))
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
        """Name of a column above its first row."""
        size = 7 if self.width > 2 else 6
        text = fitted(style.region_text(name), size, (self.width + _BETWEEN / 2) * 72, "bold")
        axes.annotate(
            text, (0, 1), (0, 10), xycoords="axes fraction", textcoords="offset points", size=size, weight="bold",
            color=style.INK, va="bottom", annotation_clip=False,
        )  # fmt: skip

    def write_title(self, figure: Figure, text: str) -> None:
        """Title of the figure, above the labels."""
        wide, high = self.page
        y = 1 - (_TOP - 10 / 72) / high
        shown = fitted(text, 7, self.label_width)
        figure.text((_LABELS - 6 / 72) / wide, y, shown, size=7, color=style.MUTED, ha="right", va="bottom")


def bare(axes: Axes) -> None:
    """Take away frame, background and the axis of values."""
    axes.yaxis.set_visible(False)
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(False)
    axes.patch.set_visible(False)


def draw_position_axis(axes: Axes, chrom: str, *, narrow: bool = False, genome: str = "") -> None:
    """Ticks and name of an axis of genomic positions, on axes whose limits are set."""
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
    place = " · ".join(part for part in (chrom, "" if narrow else genome) if part)
    axes.set_xlabel(f"{place} ({name})" if place else f"position ({name})", fontsize=7, color=style.INK, labelpad=3)


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a text in points."""
    if not text.strip():
        return 0.0
    properties = matplotlib_part("font_manager").FontProperties(size=size, weight=weight)
    return float(matplotlib_part("textpath").text_to_path.get_text_width_height_descent(text, properties, False)[0])


def fitted(text: str, size: float, points: float, weight: str = "normal") -> str:
    """Text cut to a width in points, with an ellipsis where something is missing."""
    if text_width(text, size, weight) <= points:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if text_width(text[:middle] + "…", size, weight) <= points:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip(" ,(") + "…"


def wrapped(text: str, size: float, points: float, lines: int) -> list[str]:
    """Text broken between words into at most so many lines, the last one cut to fit."""
    words = text.split()
    done: list[str] = []
    while words and len(done) < lines - 1:
        count = next((n for n in range(len(words), 0, -1) if text_width(" ".join(words[:n]), size) <= points), 0)
        if not count:
            break
        done.append(" ".join(words[:count]))
        words = words[count:]
    return [*done, fitted(" ".join(words), size, points)] if words else done
