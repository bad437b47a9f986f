"""What stands below the rows of a figure: genes and motifs at their places."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crested_like.genome import regions_of
from crested_like.pl import _genes as gene_models
from crested_like.pl import _style as style
from crested_like.pl._page import PageLayout, bare, fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TEXT = 5.6
#: Hues of motifs, by name in the order in which they come; none is that of a base.
_MOTIFS = ("#7a4ea3", "#56b4e9", "#cc79a7", "#5e5e5e", "#8c6d31", "#3d6480")


@dataclass
class Below:
    """Genes and motifs of one stretch, 0-based half-open in bp, drawn ``inches`` wide."""

    chrom: str
    low: int
    high: int
    inches: float
    genes: Any = None
    motifs: Any = None
    _genes: tuple[list[gene_models.Row], int] | None = field(init=False, default=None)
    _motifs: tuple[list[gene_models.Row], int] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.marked = [
            region
            for region in ([] if self.motifs is None else regions_of(self.motifs))
            if self.chrom in ("", region.chrom) and region.start < self.high and region.end > self.low
        ]
        if self.motifs is not None:
            boxes = [gene_models.Model(r.name or "", r.chrom, r.strand, ((r.start, r.end),)) for r in self.marked]
            self._motifs = gene_models.packed(boxes, self.low, self.high, self.inches)
        if self.genes is not None:
            genes = self.genes if isinstance(self.genes, str | os.PathLike) else list(self.genes)
            found = gene_models.models_between(genes, self.chrom, self.low, self.high)
            self._genes = gene_models.packed(found, self.low, self.high, self.inches)

    @property
    def heights(self) -> list[float]:
        """Inches of each row, from the top."""
        return [gene_models.height(len(part[0])) for part in (self._motifs, self._genes) if part is not None]

    def draw(self, layout: PageLayout, figure: Figure, row: int) -> Axes | None:
        """Draw from a row of the page on; gives the lowest axes, if there are any."""
        axes = None
        if self._motifs is not None:
            axes = layout.axes(figure, row)
            rows, left_out = self._motifs
            self._draw_motifs(axes, rows)
            told = gene_models.label(left_out, not rows)
            layout.write_label(axes, style.Label("motifs", told.detail, "", style.MUTED))
            axes.xaxis.set_visible(False)
            row += 1
        if self._genes is not None:
            axes = layout.axes(figure, row)
            rows, left_out = self._genes
            gene_models.draw_genes(axes, rows, self.low, self.high, of=len(rows), inches=self.inches)
            layout.write_label(axes, gene_models.label(left_out, not rows))
            axes.xaxis.set_visible(False)
        return axes

    def shade(self, axes: Axes) -> None:
        """Faint bands behind a row where motifs lie."""
        hues = self._hues()
        for region in self.marked:
            left, right = max(region.start, self.low), min(region.end, self.high)
            axes.axvspan(left, right, color=hues[region.name or ""], alpha=0.09, linewidth=0, zorder=0)

    def _hues(self) -> dict[str, str]:
        names = list(dict.fromkeys(region.name or "" for region in self.marked))
        return {name: _MOTIFS[i % len(_MOTIFS)] for i, name in enumerate(names)}

    def _draw_motifs(self, axes: Axes, rows: list[gene_models.Row]) -> None:
        bare(axes)
        axes.set(xlim=(self.low, self.high), ylim=(max(len(rows), 1), 0))
        hues = self._hues()
        for level, row in enumerate(rows):
            for motif, middle in zip(row.models, row.middles, strict=True):
                left, right = max(motif.start, self.low), min(motif.end, self.high)
                hue = hues[motif.name]
                axes.broken_barh([(left, right - left)], (level + 0.62, 0.26), facecolor=hue, linewidth=0)
                if motif.strand in ("+", "-"):
                    axes.plot(
                        [(left + right) / 2], [level + 0.75], ">" if motif.strand == "+" else "<", color="white",
                        markersize=3.2, markeredgewidth=0,
                    )  # fmt: skip
                axes.annotate(
                    fitted(motif.name, _TEXT, self.inches * 72), (middle, level + 0.6), (0, 1.2), size=_TEXT,
                    textcoords="offset points", color=style.INK, ha="center", va="bottom", annotation_clip=False,
                )  # fmt: skip
