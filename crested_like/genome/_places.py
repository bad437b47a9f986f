"""Whole chromosomes and genes, wherever regions are taken."""

from __future__ import annotations

import os
import re
from typing import Any

from crested_like._errors import RegionError
from crested_like.genome._fasta import Genome, resolve_genome
from crested_like.genome._genes import Gene, read_genes
from crested_like.genome._gtf import Transcript
from crested_like.genome._regions import Region, regions_of
from crested_like.genome._support import listed, unknown_chromosome

#: The word for every chromosome of a genome.
ALL = "all"
GTF_ENDINGS = (".gtf", ".gtf.gz", ".gtf.bgz")
#: Names that can be nothing else, also where the genome does not have them.
_CHROMOSOME = re.compile(r"chr\w+|\d{1,2}|[XYWZM]|MT", re.IGNORECASE)


def places_of(source: Any, genome: Any = None) -> Any:
    """Regions of what names whole chromosomes or genes; anything else as it is.

    Parameters
    ----------
    source
        A chromosome's name, the word ``"all"`` or a :class:`Genome` for all of them; the path of a GTF file, for its
        genes from the first exon to the last; genes or transcripts; or a list that has such items, beside others that
        :func:`~crested_like.genome.regions_of` takes.
    genome
        Where the chromosomes are, as for :func:`~crested_like.genome.resolve_genome`.

    Raises
    ------
    RegionError
        If a chromosome is not in the genome, or an item of such a list is no region: lists all of them.
    """
    if isinstance(source, Genome):
        return _whole(source.chromosomes)
    if isinstance(source, str | os.PathLike) and os.fspath(source).lower().endswith(GTF_ENDINGS):
        return [gene.region for gene in read_genes(source)]
    if isinstance(source, Gene | Transcript):
        source = [source]
    if isinstance(source, str):
        if source == ALL:
            return _whole(resolve_genome(genome).chromosomes)
        found = _named(source, genome)
        return source if found is None else [found]
    if _is_one_region(source):
        return source
    if not isinstance(source, list | tuple) or not any(
        isinstance(item, Gene | Transcript | Region) or _may_be_chromosome(item, genome) for item in source
    ):
        return source
    return _of_items(source, genome)


def _is_one_region(source: Any) -> bool:
    """Whether a tuple is a region, ``(chrom, start, end)``, rather than several items."""
    return isinstance(source, tuple) and len(source) > 2 and not isinstance(source[1], str | tuple | Region)


def _whole(sizes: dict[str, int]) -> list[Region]:
    return [Region(chrom, 0, size, chrom) for chrom, size in sizes.items() if size]


def _may_be_chromosome(item: Any, genome: Any) -> bool:
    if not isinstance(item, str) or ":" in item or len(item) > 100:
        return False
    return (
        item == ALL
        or bool(_CHROMOSOME.fullmatch(item))
        or (genome is not None and item in resolve_genome(genome).chromosomes)
    )


def _named(text: str, genome: Any) -> Region | None:
    """The chromosome that a text names, or None where it can be something else."""
    if not _may_be_chromosome(text, genome) or os.path.isfile(text):
        return None
    known = resolve_genome(genome)
    if text not in known.chromosomes:
        raise unknown_chromosome(text, known.chromosomes, f"genome {known.name!r}")
    return Region(text, 0, known.chromosomes[text], text)


def _of_items(items: Any, genome: Any) -> Any:
    if not isinstance(items[0], str | Region | Gene | Transcript | tuple | list):
        return items
    if all(isinstance(item, Region) for item in items):
        return list(items)
    regions, problems = [], []
    for index, item in enumerate(items):
        try:
            if isinstance(item, str) and item == ALL:
                regions.extend(_whole(resolve_genome(genome).chromosomes))
            elif isinstance(item, Gene):
                regions.append(item.region)
            elif isinstance(item, Transcript):
                regions.append(Region(item.chrom, item.start, item.end, item.identifier, _strand(item.strand)))
            elif isinstance(item, str) and (found := _named(item, genome)) is not None:
                regions.append(found)
            else:
                regions.extend(regions_of([item]))
        except RegionError as error:
            problems.append(f"Item {index:,}: {error}")
    if problems:
        raise RegionError(f"Not all regions can be read:\n{listed(problems)}")
    return regions


def _strand(text: str) -> str:
    return text if text in ("+", "-") else "."
