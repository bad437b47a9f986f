"""Predictions of both alleles of a variant over each other, and their difference."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like.genome.variants import parse_variant
from crested_like.pl import _style as style
from crested_like.pl._below import Below
from crested_like.pl._genes import Genes
from crested_like.pl._page import COLUMN, PageLayout, bare, draw_position_axis, fitted
from crested_like.pl._tracks import Span, read_tracks

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from crested_like.genome.variants import Variant

#: Tracks that can be compared in one figure.
MOST_TRACKS = 24
REFERENCE, ALTERNATIVE = "#b4bac2", "#b3430f"
UP, DOWN = "#b3430f", "#1f5f9e"
_OVERLAY, _DIFFERENCE = 0.46, 0.26  # inches


@dataclass(frozen=True)
class Stairs:
    """Values of one allele on the axis of the reference."""

    edges: NDArray[np.float64]  # (bins + 1,), bp
    values: NDArray[np.float32]  # (bins, tracks)


def variant(
    reference: xr.DataArray | NDArray,
    alternative: xr.DataArray | NDArray,
    variant: Variant | str,
    *,
    tracks: Sequence[int] | None = None,
    span: tuple[int, int] | None = None,
    start: int = 0,
    bin_size: int = 1,
    chrom: str = "",
    aligned: bool = True,
    labels: Sequence[str] | None = None,
    colors: str | Sequence[str] | Mapping[str, str] | None = None,
    genes: Genes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw what a model predicts with each allele, one over the other, and the difference below.

    Parameters
    ----------
    reference, alternative
        Predictions of one window with either allele: one region as ``tl.predict_regions`` gives it, or plain numbers
        ``(bins, tracks)``, placed by ``start`` (0-based, bp), ``bin_size`` (bp) and ``chrom``.
    variant
        A ``genome.Variant``, or text such as ``"chr1:1001:A:G"`` (counted from 1).
    tracks
        Positions on the axis of tracks, in the order wanted; by default all, up to 24.
    span
        Show only the bins that overlap this interval: 0-based half-open, in bp.
    aligned
        Whether the bins of both lie at the same places of the reference. False for the plain prediction of a sequence
        with an insertion or deletion, whose bins beyond it lie elsewhere: then they are drawn where they belong, and
        the difference is taken base by base.
    labels, colors
        As for :func:`tracks`. Colours are those of the labels alone: alleles have the same in every track.
    genes
        As for :func:`tracks`.
    title
        Above the figure; by default the model.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with :func:`crested_like.pl.save`.

    Raises
    ------
    ValueError
        If the predictions are not of one window, or the variant lies outside.
    VariantError
        If the text is no variant.
    BackendError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from crested_like import pl
    >>> reference = np.ones((64, 2))
    >>> alternative = reference.copy()
    >>> alternative[30:34] += 1
    >>> figure = pl.variant(reference, alternative, "chr1:2001:A:G", start=1000, bin_size=32, chrom="chr1")
    """
    placed = parse_variant(variant) if isinstance(variant, str) else variant
    pair, written, told = _read(reference, alternative, (start, bin_size, chrom), tracks, labels, colors)
    place = _check_place(pair[0], placed)
    shown = pair[0].within(*span) if span else pair[0]
    low, high = int(shown.edges[0]), int(shown.edges[-1])
    edges = pair[0].edges.astype(np.float64)
    alleles = (
        Stairs(edges, pair[0].values),
        Stairs(edges if aligned else on_reference(edges, placed), pair[1].values),
    )
    below = Below(shown.chrom, low, high, COLUMN, genes)
    layout = PageLayout([_OVERLAY, _DIFFERENCE] * len(written) + below.heights, gap=0.07)
    figure = layout.figure()
    for row, label in enumerate(written):
        _draw_overlay(layout, figure, 2 * row, alleles, row, label, (low, high))
        axes = _draw_difference(layout, figure, 2 * row + 1, alleles, row, (low, high))
    axes = below.draw(layout, figure, 2 * len(written)) or axes
    axes.xaxis.set_visible(True)
    draw_position_axis(axes, shown.chrom, genome=told["genome"])
    layout.write_region(figure.axes[0], place)
    _write_key(figure.axes[0], layout, placed)
    if low <= placed.position < high:
        _mark(layout.axes(figure, 0, rows=len(layout.heights)), placed, (low, high))
    layout.write_title(figure, told["model"] if title is None else title)
    return figure


def on_reference(edges: NDArray, variant: Variant) -> NDArray[np.float64]:
    """Places on the reference of bin edges of the sequence with the alternative allele.

    What an insertion adds has no width there; beyond a deletion, bins lie further right.
    """
    first, ref, alt = variant.trimmed
    added = len(alt) - len(ref)
    last = first + min(len(ref), len(alt))  # up to here alleles replace each other base by base
    if added > 0:
        return np.where(edges <= last, edges, np.maximum(edges - added, last)).astype(np.float64)
    return np.where(edges <= last, edges, edges - added).astype(np.float64)


def difference(reference: Stairs, alternative: Stairs, track: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges and values of alternative minus reference, wherever both are known."""
    low = max(reference.edges[0], alternative.edges[0])
    high = min(reference.edges[-1], alternative.edges[-1])
    edges = np.unique(np.concatenate([reference.edges, alternative.edges]))
    edges = edges[(edges >= low) & (edges <= high)]
    middles = (edges[:-1] + edges[1:]) / 2
    found = [one.values[np.searchsorted(one.edges, middles, "right") - 1, track] for one in (alternative, reference)]
    return edges, found[0].astype(np.float64) - found[1]


def _read(
    reference: Any, alternative: Any, where: tuple[int, int, str], tracks: Any, labels: Any, colors: Any
) -> tuple[tuple[Span, Span], list[style.Label], dict[str, str]]:
    found = []
    for array in (reference, alternative):
        columns, names, descriptions, told = read_tracks(array, *where, tracks, None, most=MOST_TRACKS)
        if len(columns) != 1:
            raise ValueError(f"A variant is drawn in one window; got {len(columns)} regions. Pick one of them.")
        found.append((columns[0], names, descriptions, told))
    (one, names, descriptions, told), (other, other_names, *_) = found
    if (one.start, one.bin_size, one.values.shape) != (other.start, other.bin_size, other.values.shape):
        raise ValueError(
            f"Both predictions must be of one window and of the same tracks; got {one.values.shape} from {one.start:,} "
            f"and {other.values.shape} from {other.start:,}, with bins of {one.bin_size} and {other.bin_size} bp."
        )
    if names != other_names:
        raise ValueError("Both predictions must have the same tracks in the same order.")
    return (one, other), style.labels_for(names, descriptions, labels, colors), told


def _check_place(window: Span, variant: Variant) -> str:
    """Text for the place of the variant.

    Raises
    ------
    ValueError
        If it lies elsewhere.
    """
    place = f"{variant.chrom}:{variant.position + 1:,}"
    low, high = int(window.edges[0]), int(window.edges[-1])
    same = not window.chrom or _bare(window.chrom) == _bare(variant.chrom)
    if not (same and low <= variant.position < high):
        raise ValueError(
            f"The variant at {place} lies outside of the predictions, which cover {window.chrom or 'bases'} "
            f"{low + 1:,} to {high:,}."
        )
    return f"{place}  {_short(variant.ref)} > {_short(variant.alt)}"


def _bare(chrom: str) -> str:
    return re.sub("^chr", "", chrom)


def _short(allele: str) -> str:
    return allele if len(allele) <= 12 else f"{allele[:9]}… ({len(allele):,} bp)"


def _draw_overlay(
    layout: PageLayout,
    figure: Figure,
    row: int,
    alleles: tuple[Stairs, Stairs],
    track: int,
    label: style.Label,
    view: tuple[int, int],
) -> None:
    axes = layout.axes(figure, row)
    bare(axes)
    axes.xaxis.set_visible(False)
    axes.set_xlim(view)
    reference, alternative = alleles
    values = reference.values[:, track]
    axes.stairs(values, reference.edges, fill=True, facecolor=REFERENCE, edgecolor=REFERENCE, linewidth=0.5)
    axes.stairs(alternative.values[:, track], alternative.edges, color=ALTERNATIVE, linewidth=0.8, baseline=None)
    axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=0)
    low, high = _limits([one.values[_inside(one.edges, view), track] for one in alleles])
    axes.set_ylim(low * 1.06, high * 1.06)
    layout.write_scale(axes, (low, high))
    layout.write_label(axes, label)


def _draw_difference(
    layout: PageLayout, figure: Figure, row: int, alleles: tuple[Stairs, Stairs], track: int, view: tuple[int, int]
) -> Axes:
    axes = layout.axes(figure, row)
    bare(axes)
    axes.xaxis.set_visible(False)
    axes.set_xlim(view)
    edges, values = difference(*alleles, track)
    for part, color in ((np.maximum(values, 0), UP), (np.minimum(values, 0), DOWN)):
        axes.stairs(part, edges, fill=True, facecolor=color, edgecolor=color, linewidth=0.5)
    axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=0)
    size = float(np.nanmax(np.abs(values[_inside(edges, view)]), initial=0))
    axes.set_ylim(-(size or 1) * 1.06, (size or 1) * 1.06)
    if size:
        layout.write_scale(axes, (-size, size))
    layout.write_label(axes, style.Label("", "ALT \N{MINUS SIGN} REF", "", style.MUTED))
    return axes


def _inside(edges: NDArray, view: tuple[int, int]) -> NDArray[np.bool_]:
    return (edges[:-1] < view[1]) & (edges[1:] > view[0])


def _limits(parts: Sequence[NDArray]) -> tuple[float, float]:
    """Lowest and highest of some values, 0 included."""
    low = min(min(float(np.nanmin(part, initial=0)) for part in parts), 0.0)
    high = max(max(float(np.nanmax(part, initial=0)) for part in parts), 0.0)
    return low, high if high > low else low + 1.0


def _mark(axes: Axes, variant: Variant, view: tuple[int, int]) -> None:
    """A line through all rows where the variant lies, a band where it replaces many bases."""
    axes.set(xlim=view, ylim=(0, 1), zorder=-1)
    bare(axes)
    axes.xaxis.set_visible(False)
    end = variant.position + len(variant.ref)
    axes.axvspan(variant.position, end, facecolor=style.BAND, edgecolor=style.MUTED, linewidth=0.5)
    middle = (variant.position + end) / 2
    axes.plot(
        [middle], [1], "v", color=style.INK, markersize=3.5, markeredgewidth=0, clip_on=False,
        transform=axes.get_xaxis_transform(),
    )  # fmt: skip


def _write_key(axes: Axes, layout: PageLayout, variant: Variant) -> None:
    """Which allele is drawn how, above the right end."""
    y, size, half = 10, 6.2, layout.width * 72 / 2
    texts = [("ALT", variant.alt, ALTERNATIVE, 0), ("REF", variant.ref, "#5d6670", 58)]
    for name, allele, color, left in texts:
        axes.annotate(
            f"■ {name} {fitted(allele, size, min(36, half))}", (1, 1), (-left, y), xycoords="axes fraction",
            textcoords="offset points", size=size, color=color, ha="right", va="bottom", annotation_clip=False,
        )  # fmt: skip
