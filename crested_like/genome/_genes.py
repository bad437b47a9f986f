"""Genes of a GTF file: the union of their transcripts' exons, found by name or identifier."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crested_like._checks import did_you_mean
from crested_like._errors import GeneError
from crested_like.genome._gtf import Transcript, read_gtf, transcripts_with
from crested_like.genome._regions import Region
from crested_like.genome._support import listed

#: The version at the end of an Ensembl identifier, before what marks the copy on chromosome Y.
_VERSION = re.compile(r"\.\d+(?=(?:_PAR_Y)?$)")

#: Up to how many names each line of a file is searched for them, before it is taken apart.
_FEW = 16


@dataclass(frozen=True)
class Gene:
    """A gene: the union of the exons of all its transcripts; intervals are 0-based, half-open, in bp.

    Examples
    --------
    >>> gene = Gene("G1", "ENSG01.3", "chr1", "-", ((100, 200), (800, 900)))
    >>> gene.start, gene.end, gene.tss, gene.exon_bases
    (100, 900, 899, 200)
    """

    name: str
    """Its name, else its identifier."""
    identifier: str
    chrom: str
    strand: str
    """``"+"``, ``"-"`` or ``"."``."""
    exons: tuple[tuple[int, int], ...]
    """Sorted by place, merged: no two of them overlap or touch."""

    @property
    def start(self) -> int:
        """First base of the first exon."""
        return self.exons[0][0]

    @property
    def end(self) -> int:
        """End of the last exon."""
        return self.exons[-1][1]

    @property
    def tss(self) -> int:
        """The first base to be transcribed: the outermost start of all transcripts; 0-based."""
        return self.end - 1 if self.strand == "-" else self.start

    @property
    def exon_bases(self) -> int:
        """Bases in exons."""
        return sum(end - start for start, end in self.exons)

    @property
    def region(self) -> Region:
        """From the first exon to the last."""
        return Region(self.chrom, self.start, self.end, self.name, self.strand)


def read_genes(
    gtf: str | os.PathLike[str] | Iterable[Gene | Transcript],
    names: str | Sequence[str] | None = None,
    chrom: str | None = None,
    start: int | None = None,
    end: int | None = None,
) -> list[Gene]:
    """Genes of a GTF file, each with the union of its transcripts' exons.

    Parameters
    ----------
    gtf
        Path of the GTF text, perhaps compressed; or genes or transcripts that have been read already.
    names
        Only these, in this order: names (``"CD99"``) or identifiers, with or without their version
        (``"ENSG00000002586.20"``, ``"ENSG00000002586"``). All genes that go by a name are given, as those of the
        pseudoautosomal regions on chromosomes X and Y.
    chrom, start, end
        Only those that overlap this part of a chromosome: 0-based, half-open, in bp.

    Returns
    -------
    list of Gene
        In the order of ``names``, else sorted by place.

    Raises
    ------
    GeneError
        If a name is not there: lists all of them, with names that are near.
    RegionError
        If lines are no GTF; gives the first of them with their numbers.

    Examples
    --------
    >>> read_genes("gencode.v49.annotation.gtf.gz", ["CD99", "ENSG00000002586"])  # doctest: +SKIP
    """
    asked = [names] if isinstance(names, str) else names
    if isinstance(gtf, str | os.PathLike):
        genes, where = _of_file(gtf, asked, chrom), os.fspath(gtf)
    else:
        items = list(gtf)
        genes = [item for item in items if isinstance(item, Gene)]
        genes += genes_of(item for item in items if isinstance(item, Transcript))
        where = "the genes given"
    genes = [
        gene
        for gene in genes
        if chrom in (None, gene.chrom) and (end is None or gene.start < end) and (start is None or gene.end > start)
    ]
    return genes if asked is None else find_genes(genes, asked, where=where)


def _of_file(gtf: str | os.PathLike[str], names: Sequence[str] | None, chrom: str | None) -> list[Gene]:
    """Genes of a file: all, or, for a few names that are all there, only those that might be meant."""
    if names is not None and len(names) <= _FEW:
        found = genes_of(transcripts_with(gtf, names, chrom))
        known = {key for gene in found for key in (gene.identifier, gene.name, _VERSION.sub("", gene.identifier))}
        if known.issuperset(names):
            return found
    return genes_of(read_gtf(gtf, chrom))


def genes_of(transcripts: Iterable[Transcript]) -> list[Gene]:
    """Genes that transcripts belong to, sorted by place: one an identifier and chromosome."""
    parts: dict[tuple[str, str], list[Transcript]] = {}
    for transcript in transcripts:
        key = transcript.chrom, transcript.gene_identifier or transcript.gene
        parts.setdefault(key, []).append(transcript)
    genes = [
        Gene(members[0].gene, identifier, chrom, _strand(members), merged(e for t in members for e in t.exons))
        for (chrom, identifier), members in parts.items()
    ]
    return sorted(genes, key=lambda gene: (gene.chrom, gene.start, gene.end, gene.identifier))


def _strand(members: list[Transcript]) -> str:
    strands = {transcript.strand for transcript in members}
    return strands.pop() if strands in ({"+"}, {"-"}) else "."


def merged(intervals: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Union of half-open intervals: sorted, those that overlap or touch made one."""
    union: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if union and start <= union[-1][1]:
            union[-1] = union[-1][0], max(end, union[-1][1])
        else:
            union.append((start, end))
    return tuple(union)


def find_genes(genes: Iterable[Gene], names: str | Sequence[str], where: str = "the genes given") -> list[Gene]:
    """Genes by name or identifier, in the order asked for; a name of several genes gives all of them.

    A name is looked for among the identifiers as they are, then among the names, then among the identifiers without
    their versions.

    Raises
    ------
    GeneError
        If any is not there.
    """
    exact: dict[str, list[Gene]] = {}
    named: dict[str, list[Gene]] = {}
    bare: dict[str, list[Gene]] = {}
    for gene in genes:
        exact.setdefault(gene.identifier, []).append(gene)
        named.setdefault(gene.name, []).append(gene)
        bare.setdefault(_VERSION.sub("", gene.identifier), []).append(gene)
    found: dict[Gene, None] = {}  # in order, each once
    problems = []
    asked = [names] if isinstance(names, str) else names
    for name in asked:
        matches = exact.get(name) or named.get(name) or bare.get(name)
        if matches is None:
            other = bare.get(_VERSION.sub("", name))
            hint = f" It is there as {other[0].identifier!r}." if other else did_you_mean(name, [*named, *bare])
            problems.append(f"{name!r}.{hint}")
        else:
            found.update(dict.fromkeys(matches))
    if problems:
        raise GeneError(
            f"{len(problems):,} of {len(asked):,} genes are not among the {len(exact):,} of {where}, by name or "
            f"identifier:\n{listed(problems)}"
        )
    return list(found)
