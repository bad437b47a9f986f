"""Probabilities of genomic elements along a region, above the genes that are there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from crested_like.genome import Transcript, longest_of_each_gene, read_gtf
from crested_like.pl import _style as style
from crested_like.pl._tracks import PageLayout, Span, draw_position_axis, draw_stairs

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours of the published features; what belongs together has one hue.
COLORS = {
    "protein_coding_gene": "#1f3b5c",
    "lncRNA": "#5b7fa6",
    "exon": "#2b6cb0",
    "intron": "#8fb3d9",
    "splice_donor": "#c2452d",
    "splice_acceptor": "#e08a6d",
    "5UTR": "#13807a",
    "3UTR": "#62b3a7",
    "CTCF-bound": "#5e5e5e",
    "polyA_signal": "#a33b6b",
    "enhancer_Tissue_specific": "#d98c1a",
    "enhancer_Tissue_invariant": "#f0c069",
    "promoter_Tissue_specific": "#7a4ea3",
    "promoter_Tissue_invariant": "#b697d3",
}
#: Rows of genes that lie side by side; more are not drawn.
MOST_GENE_ROWS = 4


def segmentation(
    found: xr.DataArray,
    *,
    sequence: int = 0,
    features: Sequence[str] | None = None,
    span: tuple[int, int] | None = None,
    genes: str | os.PathLike[str] | Sequence[Transcript] | None = None,
    colors: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the probability of every feature along one sequence or region, one below the other, and genes below them.

    Parameters
    ----------
    found
        As ``tl.segment`` gives it.
    sequence
        Which of several.
    features
        Names of those to draw, in this order; default all.
    span
        Show only this interval: 0-based, half-open, in bp.
    genes
        A GTF file, of which each gene's longest transcript is drawn, or transcripts. Exons are boxes, coding parts
        higher ones, introns lines with arrows along the strand.
    colors
        By feature, in place of the usual ones.
    title
        Above the figure; by default the model.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with :func:`crested_like.pl.save`.

    Raises
    ------
    ValueError
        If there is no such sequence or feature, or nothing in the span.
    BackendError
        If matplotlib is not installed.

    Examples
    --------
    >>> figure = pl.segmentation(found, genes="gencode.gtf.gz", span=(1_000_000, 1_050_000))  # doctest: +SKIP
    """
    region, names = _read(found, sequence, features)
    region = region.within(*span) if span else region
    low, high = int(region.edges[0]), int(region.edges[-1])
    rows = _rows_of(_transcripts(genes, region.chrom, low, high), high - low)
    hues = {**COLORS, **(colors or {})}
    layout = PageLayout(len(names) + len(rows), 1)
    figure = layout.figure()
    for row, name in enumerate(names):
        axes = layout.axes(figure, row, 0)
        draw_stairs(axes, region, row, hues.get(name, style.OTHER), (0.0, 1.0))
        layout.write_label(axes, style.Label(name.replace("_", " "), "", "", style.INK))
        if row == 0:
            layout.write_region(axes, region.title)
        _finish(axes, region, last=row == len(names) + len(rows) - 1)
    for row, transcripts in enumerate(rows):
        axes = layout.axes(figure, len(names) + row, 0)
        axes.set_xlim(low, high)
        axes.set_ylim(0, 1)
        for transcript in transcripts:
            _draw_transcript(axes, transcript, low, high)
        for side in ("left", "right", "top", "bottom"):
            axes.spines[side].set_visible(False)
        axes.yaxis.set_visible(False)
        axes.patch.set_visible(False)
        if row == 0:
            layout.write_label(axes, style.Label("genes", "", "", style.INK))
        _finish(axes, region, last=row == len(rows) - 1)
    layout.write_title(figure, str(found.attrs.get("model", "")) if title is None else title)
    return figure


def _finish(axes: Axes, region: Span, *, last: bool) -> None:
    if last:
        draw_position_axis(axes, region, narrow=False, genome="")
    else:
        axes.xaxis.set_visible(False)


def _read(found: Any, sequence: int, features: Sequence[str] | None) -> tuple[Span, list[str]]:
    if getattr(found, "dims", None) != ("sequence", "position", "feature"):
        raise ValueError("segmentation() draws what tl.segment() gives: (sequence, position, feature).")
    if not 0 <= sequence < found.sizes["sequence"]:
        raise ValueError(f"There are {found.sizes['sequence']} sequences, numbered from 0; got {sequence}.")
    there = [str(name) for name in found["feature"].to_numpy()]
    names = there if features is None else list(features)
    for name in names:
        if name not in there:
            raise ValueError(f"There is no feature {name!r}; there are {', '.join(there)}.")
    one = found.isel(sequence=sequence)
    start, end = int(one["start"]), int(one["end"])
    values = one.to_numpy()[: end - start, [there.index(name) for name in names]]
    chrom, label = str(one["chrom"].item()), str(one["sequence"].item())
    return Span(label, chrom, start, 1, np.asarray(values)), names


def _transcripts(genes: Any, chrom: str, low: int, high: int) -> list[Transcript]:
    if genes is None:
        return []
    if isinstance(genes, str | os.PathLike):
        return longest_of_each_gene(read_gtf(genes, chrom, low, high))
    return [t for t in genes if t.chrom == chrom and t.start < high and t.end > low]


def _rows_of(transcripts: Sequence[Transcript], width: int) -> list[list[Transcript]]:
    """Transcripts by row, so that neither they nor their names run into each other."""
    rows: list[list[Transcript]] = []
    for transcript in sorted(transcripts, key=lambda t: t.start):
        room = next((row for row in rows if row[-1].end + width // 12 < transcript.start), None)
        if room is not None:
            room.append(transcript)
        elif len(rows) < MOST_GENE_ROWS:
            rows.append([transcript])
    return rows


def _draw_transcript(axes: Axes, transcript: Transcript, low: int, high: int) -> None:
    middle, arrows = 0.35, 24
    start, end = max(transcript.start, low), min(transcript.end, high)
    axes.plot([start, end], [middle, middle], color=style.MUTED, linewidth=0.8, solid_capstyle="butt")
    step = (high - low) / arrows
    marks = np.arange(start + step / 2, end, step)
    if transcript.strand in "+-" and len(marks):
        marker = ">" if transcript.strand == "+" else "<"
        axes.plot(marks, np.full(len(marks), middle), marker, color=style.MUTED, markersize=2.2, linestyle="none")
    for parts, height in ((transcript.exons, 0.26), (transcript.coding, 0.5)):
        boxes = [(max(a, low), min(b, high) - max(a, low)) for a, b in parts if a < high and b > low]
        # an edge keeps exons visible that are narrower than a dot
        axes.broken_barh(boxes, (middle - height / 2, height), facecolor=style.INK, edgecolor=style.INK, linewidth=0.5)
    axes.annotate(
        transcript.gene, ((start + end) / 2, middle + 0.25), (0, 1.5), textcoords="offset points", size=5.6,
        style="italic", color=style.INK, ha="center", va="bottom", annotation_clip=False,
    )  # fmt: skip
