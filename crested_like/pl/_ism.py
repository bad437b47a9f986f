"""Effects of every substitution, as a heat map."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like.pl import _style as style
from crested_like.pl._bases import method_of, rows_of, strongest_window
from crested_like.pl._below import Below
from crested_like.pl._genes import Genes
from crested_like.pl._letters import BASES, COLORS, draw_letters
from crested_like.pl._page import WIDE, PageLayout, bare, draw_position_axis
from crested_like.pl._tracks import Span

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Bases in one figure; more would be narrower than a dot of the page.
MOST_POSITIONS = 1_000
_LETTERS, _MAP = 0.6, 0.72  # inches
_DOTS = 220  # bases of which the reference can still be marked


def ism(
    data: xr.DataArray | NDArray,
    *,
    sequence: int | str = 0,
    span: tuple[int, int] | None = None,
    start: int = 0,
    chrom: str = "",
    genes: Genes | None = None,
    motifs: Any = None,
    limit: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the effect of every substitution: a row a base, red where it raises the readout and blue where it lowers it.

    Above it stands the sequence, each letter as high as the readout falls, on average, when the base is replaced. Dots
    mark the bases of the reference; grey is what was not computed.

    Parameters
    ----------
    data
        As ``tl.ism`` gives it, ``(sequence, position, base)`` with 0 for the reference's own base, or plain numbers
        ``(L, 4)``, order A, C, G, T, placed by ``start`` (0-based, bp) and ``chrom``.
    sequence
        Which of several, by number or name.
    span
        Show only these bases: 0-based, half-open, in bp, at most 1,000. By default all, or of more than that the 200
        with the largest effects.
    genes, motifs
        As for :func:`logo`.
    limit
        Effect at which colours are strongest; by default the largest that is shown.
    title
        Above the figure; by default the method.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with :func:`crested_like.pl.save`.

    Raises
    ------
    ValueError
        If the array holds no values of bases, or the span is empty or too wide.
    BackendError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from crested_like import pl
    >>> effects = np.random.default_rng(0).normal(size=(60, 4))
    >>> effects[np.arange(60), np.arange(60) % 4] = 0
    >>> figure = pl.ism(effects, start=1000, chrom="chr1")
    """
    (whole,) = rows_of(data, sequence, start, chrom).values()
    row = whole.within(*_shown(whole, span))
    low, high = int(row.edges[0]), int(row.edges[-1])
    below = Below(row.chrom, low, high, WIDE, genes, motifs)
    layout = PageLayout([_LETTERS, _MAP, *below.heights], width=WIDE)
    figure = layout.figure()
    _draw_sequence(layout, figure, row, below)
    axes = _draw_map(layout, figure, row, limit)
    axes = below.draw(layout, figure, 2) or axes
    axes.xaxis.set_visible(True)
    draw_position_axis(axes, row.chrom)
    layout.write_region(figure.axes[0], row.title)
    layout.write_title(figure, method_of(data) if title is None else title)
    return figure


def _shown(row: Span, span: tuple[int, int] | None) -> tuple[int, int]:
    if span is None:
        if len(row.values) <= MOST_POSITIONS:
            return row.start, row.start + len(row.values)
        first, end = strongest_window(row.values, 200)
        return row.start + first, row.start + end
    if span[1] - span[0] > MOST_POSITIONS:
        raise ValueError(f"At most {MOST_POSITIONS:,} bases are drawn; span has {span[1] - span[0]:,}. Narrow it.")
    return span


def reference_of(effects: NDArray) -> NDArray[np.bool_]:
    """Which base is the reference's own, ``(L, 4)``: the one whose effect alone is exactly 0."""
    zero = effects == 0
    return zero & (zero.sum(axis=1, keepdims=True) == 1)


def mean_loss(effects: NDArray) -> NDArray[np.float64]:
    """How much the readout falls on average when a base is replaced, at the reference's base: ``(L, 4)``."""
    own = reference_of(effects)
    total = np.nansum(effects, axis=1)
    count = np.maximum((~np.isnan(effects) & ~own).sum(axis=1), 1)
    return own * (-total / count)[:, None]


def _draw_sequence(layout: PageLayout, figure: Figure, row: Span, below: Below) -> None:
    axes = layout.axes(figure, 0)
    bare(axes)
    axes.xaxis.set_visible(False)
    axes.set_xlim(row.edges[0], row.edges[-1])
    axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=1)
    below.shade(axes)
    low, high = draw_letters(axes, mean_loss(row.values), row.start)
    high = high if high > low else low + 1.0
    axes.set_ylim(low * 1.04, high * 1.04)
    layout.write_scale(axes, (low, high))
    layout.write_label(axes, style.Label("importance", "mean loss if replaced", "", style.MUTED))


def _draw_map(layout: PageLayout, figure: Figure, row: Span, limit: float | None) -> Axes:
    axes = layout.axes(figure, 1)
    bare(axes)
    axes.xaxis.set_visible(False)
    finite = np.abs(row.values[np.isfinite(row.values)])
    strongest = float(limit if limit is not None else finite.max(initial=0)) or 1.0
    colors = importlib.import_module("matplotlib").colormaps["RdBu_r"].with_extremes(bad="#d9dde1")
    edges = row.edges
    image = axes.imshow(
        np.ma.masked_invalid(row.values.T), cmap=colors, vmin=-strongest, vmax=strongest, aspect="auto",
        interpolation="nearest", extent=(edges[0], edges[-1], 4, 0),
    )  # fmt: skip
    if len(row.values) <= _DOTS:
        places, bases = np.nonzero(reference_of(row.values))
        size = min(2.4, 0.45 * layout.width * 72 / len(row.values))
        axes.plot(row.start + places + 0.5, bases + 0.5, "o", color=style.INK, markersize=size, markeredgewidth=0)
    for index, base in enumerate(BASES):
        axes.annotate(
            base, (0, index + 0.5), (-6, 0), xycoords=("axes fraction", "data"), textcoords="offset points", size=6.4,
            weight="bold", color=COLORS[base], ha="right", va="center", annotation_clip=False,
        )  # fmt: skip
    axes.annotate(
        "effect of\nreplacing by", (0, 0.5), (-18, 0), xycoords="axes fraction", textcoords="offset points", size=6.8,
        color=style.INK, ha="right", va="center", annotation_clip=False,
    )  # fmt: skip
    _draw_scale(layout, figure, axes, image, strongest)
    return axes


def _draw_scale(layout: PageLayout, figure: Figure, axes: Axes, image: Any, strongest: float) -> None:
    """The meaning of the colours, beside the map."""
    box, (wide, _) = axes.get_position(), layout.page
    bar = figure.add_axes((box.x1 + 0.06 / wide, box.y0, 0.07 / wide, box.height))
    figure.colorbar(image, cax=bar, ticks=[-strongest, 0, strongest])
    bar.set_yticks([-strongest, 0, strongest], [style.number_text(v) for v in (-strongest, 0, strongest)])
    bar.tick_params(length=0, pad=2, labelsize=5.6, labelcolor=style.MUTED)
    bar.spines["outline"].set_visible(False)
