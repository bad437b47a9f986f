"""Coverage along the genome: a row a track, a column a region."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like.genome import Region, regions_of
from crested_like.pl import _genes as gene_models
from crested_like.pl import _style as style
from crested_like.pl._page import PageLayout, bare, draw_position_axis, fitted, text_width, track_height

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Rows a figure can have before it is no longer readable.
MOST_TRACKS = 100
#: Columns likewise.
MOST_REGIONS = 8


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
    genes: gene_models.Genes | None = None,
    highlight: Any = None,
    title: str | None = None,
) -> Figure:
    """Draw coverage tracks, one below the other, on one axis of genomic positions, and genes below them.

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
    genes
        A GTF file, of which each gene's longest transcript is drawn, or ``genome.Transcript`` and ``genome.Gene``
        objects. Exons are boxes, coding parts higher ones, introns lines with arrows along the strand.
    highlight
        Regions to stand out, as ``genome.regions_of`` takes them: ``"chr1:1001-1200"``,
        ``("chr1", 1000, 1200, "peak")``, a list, a BED file. Their names are written above.
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
    columns, identifiers, descriptions, told = read_tracks(data, start, bin_size, chrom, tracks, regions)
    written = style.labels_for(identifiers, descriptions, labels, colors)
    columns = [region.within(*span) for region in columns] if span else columns
    limits = _limits(columns, share_y)
    marked = [] if highlight is None else regions_of(highlight)
    below = _genes_below(genes, columns)
    heights = [track_height(len(written))] * len(written)
    layout = PageLayout([*heights, gene_models.height(_deepest(below))] if below else heights, len(columns))
    figure = layout.figure()
    for column, region in enumerate(columns):
        for row, label in enumerate(written):
            axes = layout.axes(figure, row, column)
            draw_stairs(axes, region, row, label.color, limits[row])
            axes.xaxis.set_visible(False)
            if column == 0:
                layout.write_label(axes, label)
            if column == len(columns) - 1:
                layout.write_scale(axes, limits[row])
            if row == 0:
                layout.write_region(axes, region.title)
        if below:
            axes = layout.axes(figure, len(written), column)
            _draw_genes_below(axes, layout, below, column, region)
        axes.xaxis.set_visible(True)
        draw_position_axis(axes, region.chrom, narrow=len(columns) > 1, genome=told["genome"])
        if marked:
            draw_highlights(layout.axes(figure, 0, column, rows=len(layout.heights)), region, marked, layout.width)
    layout.write_title(figure, told["model"] if title is None else title)
    return figure


def read_tracks(
    data: Any,
    start: int,
    bin_size: int,
    chrom: str,
    tracks: Sequence[int] | None,
    regions: Sequence[int] | None,
    *,
    most: int = MOST_TRACKS,
) -> tuple[list[Span], list[Any], list[str], dict[str, str]]:
    """Columns, identifiers and descriptions of what is to be drawn, and what is known of model and genome."""
    if not hasattr(data, "dims"):
        values = np.asarray(data)
        if values.ndim not in (1, 2) or not values.size:
            raise ValueError(f"Coverage is drawn from an array (bins, tracks) or (bins,); got shape {values.shape}.")
        values = values.reshape(len(values), -1)
        rows = _chosen("tracks", tracks, values.shape[1], most)
        return [Span("", chrom, start, bin_size, values[:, rows])], rows, [""] * len(rows), _told({})
    if "bin" not in data.dims or "track" not in data.dims:
        raise ValueError(
            f"There is nothing to draw along the genome: its dimensions are {', '.join(map(str, data.dims))}, "
            f"no bins and tracks. Models with one value per sequence have no tracks to draw."
        )
    data = data if "region" in data.dims else data.expand_dims("region")
    columns = _chosen("regions", regions, data.sizes["region"], MOST_REGIONS)
    rows = _chosen("tracks", tracks, data.sizes["track"], most)
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
    bare(axes)


def draw_highlights(axes: Axes, span: Any, marked: Sequence[Region], inches: float) -> None:
    """Bands behind all rows where regions lie, with their names above; ``axes`` reaches over all rows."""
    low, high = float(span.edges[0]), float(span.edges[-1])
    axes.set(xlim=(low, high), ylim=(0, 1), zorder=-1)
    bare(axes)
    axes.xaxis.set_visible(False)
    taken = low
    for region in sorted(marked, key=lambda r: r.start):
        if span.chrom not in ("", region.chrom) or region.end <= low or region.start >= high:
            continue
        start, end = max(region.start, low), min(region.end, high)
        axes.axvspan(start, end, color=style.BAND, linewidth=0.4)
        room = (high - max(start, taken)) / (high - low) * inches * 72
        if region.name and start >= taken and room > 12:
            text = fitted(region.name, 5.6, room)
            axes.annotate(
                text, (start, 1), (0, 1.5), textcoords="offset points", size=5.6, color=style.MUTED, va="bottom",
                annotation_clip=False,
            )  # fmt: skip
            taken = start + (text_width(text, 5.6) + 6) / 72 * (high - low) / inches


def _genes_below(genes: Any, columns: list[Span]) -> list[tuple[list[gene_models.Row], int]]:
    """Rows of genes of each column, and how many did not fit; empty if none are wanted."""
    if genes is None:
        return []
    width = PageLayout([], len(columns)).width
    if not isinstance(genes, str | os.PathLike):
        genes = list(genes)
    found = []
    for region in columns:
        low, high = int(region.edges[0]), int(region.edges[-1])
        found.append(gene_models.packed(gene_models.models_between(genes, region.chrom, low, high), low, high, width))
    return found


def _deepest(below: list[tuple[list[gene_models.Row], int]]) -> int:
    return max(len(rows) for rows, _ in below)


def _draw_genes_below(
    axes: Axes, layout: PageLayout, below: list[tuple[list[gene_models.Row], int]], column: int, region: Span
) -> None:
    rows, _ = below[column]
    low, high = int(region.edges[0]), int(region.edges[-1])
    gene_models.draw_genes(axes, rows, low, high, of=_deepest(below), inches=layout.width)
    if column == 0:
        layout.write_label(axes, gene_models.label(sum(left_out for _, left_out in below), _deepest(below) == 0))
