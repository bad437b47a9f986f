"""The stretches of a genome that windows may be taken from: no gaps, and not too long."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from crested_like._errors import DatasetError
from crested_like.datasets.building._intervals import Intervals
from crested_like.genome import Region, Regions
from crested_like.genome._support import unknown_chromosome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crested_like.genome import Genome

_BLOCK = 1 << 24  # bases read at a time
#: Copies of other chromosomes' stretches, as assemblies call them: in two sets they would be the same example twice.
_COPIES = re.compile(r"_(alt|fix|hap\d*)$")
_NO_NUCLEUS = {"chrM", "chrMT", "M", "MT", "chrEBV"}
#: Length in bp of the shortest run of N that is a gap.
SHORTEST_GAP = 1_000


def contigs_of(
    genome: Genome,
    *,
    shortest: int,
    longest: int | None = None,
    chromosomes: Iterable[str] | None = None,
    gaps: Regions | None = None,
) -> list[Region]:
    """Stretches of a genome without gaps, in the order of its chromosomes.

    Parameters
    ----------
    genome
        Where from.
    shortest
        In bp; shorter ones are left out.
    longest
        In bp; longer ones are cut into equal parts, but none shorter than ``shortest``. None leaves them whole.
    chromosomes
        Which; by default all but the mitochondrial one and alternative copies (``_alt``, ``_fix``, ``_hap``).
    gaps
        What to leave out, as a BED file or regions; by default runs of at least 1,000 N. An empty list for none.

    Raises
    ------
    RegionError
        If a chromosome is not in the genome, or the gaps are on none of its chromosomes.
    DatasetError
        If no stretch is long enough.
    """
    sizes = genome.chromosomes
    wanted = list(sizes) if chromosomes is None else list(dict.fromkeys(chromosomes))
    for chrom in wanted:
        if chrom not in sizes:
            raise unknown_chromosome(chrom, sizes, f"genome {genome.name!r}")
    if chromosomes is None:
        wanted = [chrom for chrom in wanted if chrom not in _NO_NUCLEUS and not _COPIES.search(chrom)]
    told = None if gaps is None else Intervals.of(gaps)
    if told is not None:
        told.check(sizes, "the gaps")
    found = []
    for chrom in wanted:
        if sizes[chrom] < shortest:  # not worth reading
            continue
        left_out = told or Intervals({chrom: np.array(list(_runs_of_n(genome, chrom)), np.int64).reshape(-1, 2)})
        found += [Region(chrom, start, end) for start, end in left_out.outside(chrom, 0, sizes[chrom])]
    kept = [contig for contig in found if contig.width >= shortest]
    if not kept:
        longest_found = max((contig.width for contig in found), default=max(sizes[chrom] for chrom in wanted))
        raise DatasetError(
            f"No stretch of {genome.name} without gaps is as long as the targets, {shortest:,} bp; the longest has at "
            f"most {longest_found:,} bp. Take shorter sequences, or crop more."
        )
    return [part for whole in kept for part in _parts(whole, shortest, longest)]


def _parts(contig: Region, shortest: int, longest: int | None) -> Iterator[Region]:
    number = 1 if longest is None else max(1, min(-(-contig.width // longest), contig.width // shortest))
    cuts = [contig.start + contig.width * i // number for i in range(number + 1)]
    yield from (Region(contig.chrom, start, end) for start, end in pairwise(cuts))


def _runs_of_n(genome: Genome, chrom: str) -> Iterator[tuple[int, int]]:
    """Gaps of a chromosome: runs of N of at least ``SHORTEST_GAP``, block by block."""
    size = genome.chromosomes[chrom]
    pending: tuple[int, int] | None = None
    for low in range(0, size, _BLOCK):
        letters = np.frombuffer(genome.fetch(chrom, low, min(low + _BLOCK, size)).encode(), np.uint8)
        for start, end in (_runs((letters | 32) == ord("n")) + low).tolist():
            if pending is not None and pending[1] == start:
                pending = (pending[0], end)
                continue
            if pending is not None and pending[1] - pending[0] >= SHORTEST_GAP:
                yield pending
            pending = (start, end)
    if pending is not None and pending[1] - pending[0] >= SHORTEST_GAP:
        yield pending


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """``(n, 2)`` starts and ends of the runs of True."""
    edges = np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))
    return np.column_stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)])
