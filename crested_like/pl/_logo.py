"""What every base contributes, as letters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like.pl import _style as style
from crested_like.pl._bases import method_of, rows_of, strongest_window
from crested_like.pl._below import Below
from crested_like.pl._genes import Genes
from crested_like.pl._letters import draw_letters
from crested_like.pl._page import WIDE, PageLayout, bare, draw_position_axis
from crested_like.pl._save import matplotlib_part
from crested_like.pl._tracks import Span

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Bases that can be read as letters in one figure.
MOST_LETTERS = 600
#: Bases shown where nobody says which.
_USUAL = 200
_ROW, _OVERVIEW, _LINK = 0.85, 0.42, 0.16  # inches


def logo(
    data: xr.DataArray | NDArray | Mapping[str, Any],
    *,
    sequence: int | str = 0,
    span: tuple[int, int] | None = None,
    start: int = 0,
    chrom: str = "",
    genes: Genes | None = None,
    motifs: Any = None,
    overview: bool | None = None,
    share_y: bool = False,
    title: str | None = None,
) -> Figure:
    """Draw what each base contributes: its letter, as high as its value, upside down where that is negative.

    Where all four bases have values (hypothetical contributions), letters are stacked, the strongest outside. Where
    only a part of the sequence is shown, the whole of it stands above, with the part marked.

    Parameters
    ----------
    data
        As ``tl.explain`` gives it, ``(sequence, position, base)``, or plain numbers ``(L, 4)``, order A, C, G, T,
        placed by ``start`` (0-based, bp) and ``chrom``. Several by name give a row each.
    sequence
        Which of several, by number or name.
    span
        Show only these bases: 0-based, half-open, in bp, at most 600. By default all, or of more than that the 200
        with the largest contributions.
    genes
        As for :func:`tracks`.
    motifs
        Regions to box, as ``genome.regions_of`` takes them; their names and strands are shown. Those of one name have
        one colour.
    overview
        Show the whole sequence above; by default where ``span`` is a part of it.
    share_y
        Give all rows one scale.
    title
        Above the figure; by default the method.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with :func:`crested_like.pl.save`.

    Raises
    ------
    ValueError
        If the arrays hold no values of bases, or the span is empty or too wide.
    BackendError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from crested_like import pl
    >>> contributions = np.eye(4)[[0, 1, 2, 3, 0]] * [[1], [2], [-1], [0.5], [3]]
    >>> figure = pl.logo(contributions, start=1000, chrom="chr1", motifs=[("chr1", 1000, 1002, "AC", "+")])
    """
    whole = rows_of(data, sequence, start, chrom)
    rows = {name: row.within(*_shown(whole, span)) for name, row in whole.items()}
    first = next(iter(rows.values()))
    low, high = int(first.edges[0]), int(first.edges[-1])
    total = next(iter(whole.values()))
    partly = len(first.values) < len(total.values) if overview is None else overview
    below = Below(first.chrom, low, high, WIDE, genes, motifs)
    top = [_OVERVIEW, _LINK] if partly else []
    layout = PageLayout([*top, *[_ROW] * len(rows), *below.heights], width=WIDE)
    figure = layout.figure()
    if partly:
        _draw_overview(layout, figure, whole, (low, high))
    axes = _draw_rows(layout, figure, rows, len(top), below, share_y)
    axes = below.draw(layout, figure, len(top) + len(rows)) or axes
    axes.xaxis.set_visible(True)
    draw_position_axis(axes, first.chrom)
    layout.write_region(figure.axes[0], (total if partly else first).title)
    layout.write_title(figure, (method_of(data) if title is None else title))
    return figure


def _shown(rows: Mapping[str, Span], span: tuple[int, int] | None) -> tuple[int, int]:
    first = next(iter(rows.values()))
    if span is None:
        if len(first.values) <= MOST_LETTERS:
            return first.start, first.start + len(first.values)
        low, high = strongest_window(first.values, _USUAL)
        return first.start + low, first.start + high
    if span[1] - span[0] > MOST_LETTERS:
        raise ValueError(
            f"At most {MOST_LETTERS} bases can be read as letters; span has {span[1] - span[0]:,}. Narrow it, or leave "
            f"it out to see the {_USUAL} with the largest contributions."
        )
    return span


def _draw_rows(
    layout: PageLayout, figure: Figure, rows: Mapping[str, Span], row: int, below: Below, share_y: bool
) -> Axes:
    drawn = []
    for i, (name, part) in enumerate(rows.items()):
        axes = layout.axes(figure, row + i)
        bare(axes)
        axes.set_xlim(part.edges[0], part.edges[-1])
        axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=1)
        drawn.append((axes, draw_letters(axes, part.values, part.start)))
        below.shade(axes)
        axes.xaxis.set_visible(False)
        layout.write_label(axes, style.Label(name or "contribution", "per base", "", style.MUTED))
    for axes, limits in drawn:
        low, high = (min(a for _, (a, _) in drawn), max(b for _, (_, b) in drawn)) if share_y else limits
        high = high if high > low else low + 1.0
        axes.set_ylim(low * 1.04, high * 1.04)
        layout.write_scale(axes, (low, high))
    return drawn[-1][0]


def _draw_overview(layout: PageLayout, figure: Figure, rows: Mapping[str, Span], part: tuple[int, int]) -> None:
    """The first row's whole sequence as bars, and lines that lead to the part below."""
    row = next(iter(rows.values()))
    axes = layout.axes(figure, 0)
    bare(axes)
    axes.xaxis.set_visible(False)
    sums = np.nan_to_num(row.values)
    up, down = envelope(np.maximum(sums, 0).sum(axis=1), np.minimum(sums, 0).sum(axis=1), 1000)
    edges = np.linspace(row.edges[0], row.edges[-1], len(up) + 1)
    for values in (up, down):
        axes.stairs(values, edges, fill=True, facecolor=style.OTHER, edgecolor=style.OTHER, linewidth=0.4)
    axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=0)
    axes.set_xlim(row.edges[0], row.edges[-1])
    axes.axvspan(*part, facecolor=style.BAND, edgecolor=style.MUTED, linewidth=0.5, zorder=-1)
    length = f"{len(row.values):,} bp"
    layout.write_label(axes, style.Label("whole sequence", length, "", style.MUTED))
    link = layout.axes(figure, 1)
    bare(link)
    link.xaxis.set_visible(False)
    link.set(xlim=(0, 1), ylim=(0, 1))
    left, right = ((place - row.edges[0]) / (row.edges[-1] - row.edges[0]) for place in part)
    grown = layout.gap / _LINK  # over the gaps above and below
    corners = [(left, 1 + grown), (right, 1 + grown), (1, -grown), (0, -grown)]
    link.add_patch(
        matplotlib_part("patches").Polygon(corners, facecolor=style.BAND, alpha=0.45, linewidth=0, clip_on=False)
    )


def envelope(high: NDArray, low: NDArray, most: int) -> tuple[NDArray, NDArray]:
    """Highest and lowest values of at most so many neighbouring stretches of equal width, as nearly as they divide."""
    if len(high) <= most:
        return high, low
    edges = np.linspace(0, len(high), most + 1).astype(np.intp)[:-1]
    return np.maximum.reduceat(high, edges), np.minimum.reduceat(low, edges)
