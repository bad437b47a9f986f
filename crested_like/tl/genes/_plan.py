"""Which windows a gene needs, and which of their bins count."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crested_like._errors import GeneError
from crested_like.genome import Gene, Genome
from crested_like.genome._support import listed, unknown_chromosome
from crested_like.tl._geometry import Geometry
from crested_like.tl._inputs import Windows
from crested_like.tl.readout._bins import Overlap, bases_in_bins, weights_of
from crested_like.tl.regions._rows import plan

log = logging.getLogger(__name__)


class GeneWindows(Windows):
    """The windows that genes are predicted from: those with bins that count, gene after gene.

    A gene that fits into a window's bins lies in its middle. A longer one is cut into windows whose bins lie side by
    side, so that each is counted once; windows without a base of an exon are left out.

    Parameters
    ----------
    genes
        On chromosomes of the genome.
    geometry
        The model's.
    genome
        Where the DNA is read.
    overlap
        Which bins at the edges of exons count: see :class:`~crested_like.tl.Readout`.
    span
        Whether introns count too.
    kept_bins
        Bins in the middle of a window's output that are used; default all.
    """

    def __init__(
        self,
        genes: Sequence[Gene],
        geometry: Geometry,
        genome: Genome,
        *,
        overlap: Overlap,
        span: bool,
        kept_bins: int | None = None,
    ) -> None:
        self._rows, self._tiles = plan([gene.region for gene in genes], geometry, genome, kept_bins=kept_bins)
        super().__init__(geometry.input_length, [gene.name for gene in genes], (), genome.chromosomes)
        self.genes, self.genome = genes, genome
        self._geometry, self._overlap, self._span = geometry, overlap, span
        kept = self._chosen()
        #: Gene of each window, by number.
        self.gene_of = np.array([row for row, _ in kept], np.intp)
        self._tile_of = np.array([tile for _, tile in kept], np.intp)

    def __len__(self) -> int:
        return len(self._tile_of)

    def batch(self, start: int, stop: int) -> NDArray[np.float32]:
        tiles = self._tile_of[start:stop]
        return np.concatenate([self._tiles.batch(int(tile), int(tile) + 1) for tile in tiles])

    def after(self, start: int) -> Later:
        """The windows from one on."""
        return Later(self, start)

    def weights(self, window: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Bins of a window's output that count, and their weights."""
        row, first, count = self._rows.tile(int(self._tile_of[window]))
        own = self._of_gene(row)[first : first + count]
        counted = np.flatnonzero(own)
        return counted + self._rows.left, own[counted]

    @cached_property
    def uncounted(self) -> list[int]:
        """Genes without a bin that counts."""
        return np.setdiff1d(np.arange(len(self.genes)), self.gene_of).tolist()

    def _of_gene(self, row: int) -> NDArray[np.float64]:
        """Weights of all bins that a gene's windows show."""
        gene, size = self.genes[row], self._geometry.bin_size or 1
        intervals = ((gene.start, gene.end),) if self._span else gene.exons
        bases = bases_in_bins(intervals, int(self._rows.starts[row]), size, int(self._rows.bins[row]))
        return weights_of(bases, size, self._overlap)

    def _chosen(self) -> list[tuple[int, int]]:
        found = []
        for row in range(len(self.genes)):
            weights = self._of_gene(row)
            for tile in range(int(self._rows.windows[row]), int(self._rows.windows[row + 1])):
                _, first, count = self._rows.tile(tile)
                if weights[first : first + count].any():
                    found.append((row, tile))
        return found


class Later(Windows):
    """Windows from a certain one on."""

    def __init__(self, windows: GeneWindows, start: int) -> None:
        super().__init__(windows.length, (), (), windows.chrom_sizes)
        self._windows, self._start = windows, start

    def __len__(self) -> int:
        return len(self._windows) - self._start

    def batch(self, start: int, stop: int) -> NDArray[np.float32]:
        return self._windows.batch(self._start + start, self._start + stop)


def on_genome(genes: Sequence[Gene], genome: Genome, *, everywhere: bool) -> list[Gene]:
    """Genes that lie on a genome.

    Parameters
    ----------
    genes
        In any order.
    genome
        The one to be read.
    everywhere
        Whether genes of chromosomes that it does not have are an error, rather than left out.

    Raises
    ------
    GeneError
        If genes lie beyond the ends of chromosomes or, where that is an error, on chromosomes that are not there;
        lists all of them. Or if none is left.
    """
    sizes = genome.chromosomes
    kept, missing, problems = [], 0, []
    for gene in genes:
        size = sizes.get(gene.chrom)
        if size is None and not everywhere:
            missing += 1
        elif size is None:
            problems.append(f"{gene.name}: {unknown_chromosome(gene.chrom, sizes, f'genome {genome.name!r}')}")
        elif gene.end > size:
            problems.append(f"{gene.name} ({gene.region}) ends beyond the end of {gene.chrom}, {size:,} bp.")
        else:
            kept.append(gene)
    if problems:
        raise GeneError(f"Genes do not lie on the genome {genome.name!r}:\n{listed(problems)}")
    if not kept:
        chroms = ", ".join(list(dict.fromkeys(gene.chrom for gene in genes))[:5])
        raise GeneError(f"No gene lies on the genome {genome.name!r}: the {len(genes):,} given are on {chroms}.")
    if missing:
        log.warning("%d genes are left out, which lie on chromosomes that %r does not have.", missing, genome.name)
    return kept
