"""Probabilities of genomic elements along a region, above the genes that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from crested_like.pl import _style as style
from crested_like.pl._genes import Genes, draw_genes, height, label, models_between, packed
from crested_like.pl._page import COLUMN, PageLayout, draw_position_axis, track_height
from crested_like.pl._tracks import Span, draw_stairs

if TYPE_CHECKING:
    import xarray as xr
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


def segmentation(
    found: xr.DataArray,
    *,
    sequence: int = 0,
    features: Sequence[str] | None = None,
    span: tuple[int, int] | None = None,
    genes: Genes | None = None,
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
        A GTF file, of which each gene's longest transcript is drawn, or ``genome.Transcript`` and ``genome.Gene``
        objects. Exons are boxes, coding parts higher ones, introns lines with arrows along the strand.
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
    hues = {**COLORS, **(colors or {})}
    heights = [track_height(len(names))] * len(names)
    rows, left_out = packed(models_between(genes, region.chrom, low, high), low, high, COLUMN)
    layout = PageLayout([*heights, height(len(rows))] if genes is not None else heights)
    figure = layout.figure()
    for row, name in enumerate(names):
        axes = layout.axes(figure, row)
        draw_stairs(axes, region, row, hues.get(name, style.OTHER), (0.0, 1.0))
        layout.write_label(axes, style.Label(name.replace("_", " "), "", "", style.INK))
        if row == 0:
            layout.write_region(axes, region.title)
        axes.xaxis.set_visible(False)
    if genes is not None:
        axes = layout.axes(figure, len(names))
        draw_genes(axes, rows, low, high, of=len(rows), inches=layout.width)
        layout.write_label(axes, label(left_out, not rows))
    axes.xaxis.set_visible(True)
    draw_position_axis(axes, region.chrom)
    layout.write_title(figure, str(found.attrs.get("model", "")) if title is None else title)
    return figure


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
