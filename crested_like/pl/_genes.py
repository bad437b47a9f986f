"""Gene models: exons as boxes, introns as lines with arrows along the strand, names that do not meet."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like.genome import Gene, Transcript, longest_of_each_gene, read_gtf
from crested_like.pl import _style as style
from crested_like.pl._page import bare, fitted, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Rows of genes that are drawn; of what does not fit the number is said.
MOST_ROWS = 4
#: Height of a row in inches.
ROW = 0.27
_TEXT = 5.8  # points
_ARROW = 0.16  # inches between arrows

Genes = str | os.PathLike[str] | Iterable[Gene | Transcript]


@dataclass(frozen=True)
class Model:
    """What is drawn of a gene or a transcript; 0-based, half-open, in bp."""

    name: str
    chrom: str
    strand: str
    exons: tuple[tuple[int, int], ...]
    coding: tuple[tuple[int, int], ...] = ()

    @property
    def start(self) -> int:
        return self.exons[0][0]

    @property
    def end(self) -> int:
        return self.exons[-1][1]


@dataclass(frozen=True)
class Row:
    """Models side by side, and the middle of each one's name in bp."""

    models: tuple[Model, ...]
    middles: tuple[float, ...]


def models_between(genes: Genes | None, chrom: str, low: int, high: int) -> list[Model]:
    """Genes that overlap a stretch: of a GTF file each gene's longest transcript, of objects all.

    Without a name for the chromosome, objects count by their place alone.
    """
    if genes is None:
        return []
    if isinstance(genes, str | os.PathLike):
        genes = longest_of_each_gene(read_gtf(genes, chrom or None, low, high))
    found = [model_of(gene) for gene in genes]
    return [gene for gene in found if chrom in ("", gene.chrom) and gene.start < high and gene.end > low]


def model_of(gene: Any) -> Model:
    """What is drawn of one object.

    Raises
    ------
    TypeError
        If it is neither a gene nor a transcript.
    """
    if isinstance(gene, Transcript):
        return Model(gene.gene, gene.chrom, gene.strand, gene.exons, gene.coding)
    if isinstance(gene, Gene):
        return Model(gene.name, gene.chrom, gene.strand, gene.exons)
    raise TypeError(
        f"Genes are drawn from the path of a GTF file, or from genome.Gene and genome.Transcript objects; got {gene!r}."
    )


def packed(models: Iterable[Model], low: int, high: int, inches: float) -> tuple[list[Row], int]:
    """Models by row, so that neither they nor their names run into each other, and how many did not fit.

    Parameters
    ----------
    models
        Genes that overlap the stretch.
    low, high
        What is shown: 0-based, half-open, in bp.
    inches
        How wide it is drawn.
    """
    per_inch = (high - low) / inches
    space = 0.08 * per_inch
    rows: list[tuple[float, list[tuple[Model, float]]]] = []
    left_out = 0
    for model in sorted(models, key=lambda m: (max(m.start, low), -m.end)):
        start, end = max(model.start, low), min(model.end, high)
        half = text_width(model.name, _TEXT) / 72 * per_inch / 2
        middle = min(max((start + end) / 2, low + half), max(high - half, low + half))
        first, last = min(start, middle - half), max(end, middle + half)
        row = next((i for i, (taken, _) in enumerate(rows) if taken + space <= first), len(rows))
        if row == MOST_ROWS:
            left_out += 1
            continue
        if row == len(rows):
            rows.append((last, []))
        rows[row] = (last, [*rows[row][1], (model, middle)])
    return [Row(tuple(m for m, _ in row), tuple(x for _, x in row)) for _, row in rows], left_out


def height(rows: int) -> float:
    """Inches that so many rows take."""
    return max(rows, 1) * ROW


def draw_genes(axes: Axes, rows: list[Row], low: int, high: int, *, of: int, inches: float) -> None:
    """Draw rows of genes from the top on axes that have room for ``of`` rows."""
    bare(axes)
    axes.set_xlim(low, high)
    axes.set_ylim(max(of, 1), 0)
    for level, row in enumerate(rows):
        for model, middle in zip(row.models, row.middles, strict=True):
            _draw_model(axes, model, level + 0.72, (low, high), inches)
            axes.annotate(
                fitted(model.name, _TEXT, inches * 72), (middle, level + 0.72), (0, 5.2), size=_TEXT, style="italic",
                textcoords="offset points", color=style.INK, ha="center", va="bottom", annotation_clip=False,
            )  # fmt: skip


def label(left_out: int, none: bool = False) -> style.Label:
    """What is written beside the genes."""
    detail = "none here" if none else f"{left_out:,} more are not drawn" if left_out else ""
    return style.Label("genes", detail, "", style.MUTED)


def _draw_model(axes: Axes, model: Model, y: float, view: tuple[int, int], inches: float) -> None:
    low, high = view
    start, end = max(model.start, low), min(model.end, high)
    axes.plot([start, end], [y, y], color=style.MUTED, linewidth=0.8, solid_capstyle="butt", zorder=2)
    step = (high - low) / inches * _ARROW
    marks = np.arange(low + step / 2, high, step)  # on one grid, so that arrows of all genes keep in line
    marks = marks[(marks > start) & (marks < end)]
    if model.strand in ("+", "-") and len(marks):
        marker = ">" if model.strand == "+" else "<"
        axes.plot(marks, np.full(len(marks), y), marker, color=style.MUTED, markersize=2.4, markeredgewidth=0, zorder=2)
    for parts, part_height in ((model.exons, 0.22), (model.coding or (), 0.4)):
        boxes = [(max(a, low), min(b, high) - max(a, low)) for a, b in parts if a < high and b > low]
        # an edge keeps exons visible that are narrower than a dot
        axes.broken_barh(
            boxes, (y - part_height / 2, part_height), facecolor=style.INK, edgecolor=style.INK, linewidth=0.5, zorder=3
        )
    _draw_strand_in_exons(axes, model, marks, y, step)


def _draw_strand_in_exons(axes: Axes, model: Model, marks: NDArray[np.float64], y: float, step: float) -> None:
    """White arrows where exons have room for them: a gene of one exon has a strand too."""
    inside = [mark for mark in marks if any(a + step / 4 < mark < b - step / 4 for a, b in model.exons)]
    if model.strand in ("+", "-") and inside:
        marker = ">" if model.strand == "+" else "<"
        axes.plot(inside, np.full(len(inside), y), marker, color="white", markersize=2, markeredgewidth=0, zorder=4)
