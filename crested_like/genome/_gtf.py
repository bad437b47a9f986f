"""Transcripts of a GTF file: where their exons and coding parts lie."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from crested_like._errors import RegionError
from crested_like.genome._support import existing_file, listed, open_text

_ATTRIBUTE = re.compile(r'(\w+)\s+(?:"([^"]*)"|([^\s;]+))\s*(?:;|$)')
_KINDS = ("exon", "CDS")
_NAMES = ("transcript_id", "gene_id", "gene_name")


@dataclass(frozen=True)
class Transcript:
    """A transcript of a gene; intervals are 0-based, half-open, in bp, sorted by place."""

    identifier: str
    gene: str
    """Name of the gene, else its identifier."""
    chrom: str
    strand: str
    """``"+"``, ``"-"`` or ``"."``."""
    exons: tuple[tuple[int, int], ...]
    coding: tuple[tuple[int, int], ...] = ()
    gene_identifier: str = ""
    """Identifier of the gene, where the file has one."""

    @property
    def start(self) -> int:
        """First base."""
        return self.exons[0][0]

    @property
    def end(self) -> int:
        """End of the last exon."""
        return self.exons[-1][1]


def read_gtf(
    path: str | os.PathLike[str], chrom: str | None = None, start: int | None = None, end: int | None = None
) -> list[Transcript]:
    """Transcripts of a GTF file, as Ensembl and GENCODE publish them.

    Parameters
    ----------
    path
        GTF text, perhaps compressed with gzip or bgzip.
    chrom, start, end
        Only those that overlap this part of a chromosome: 0-based, half-open, in bp.

    Returns
    -------
    list of Transcript
        Sorted by place.

    Raises
    ------
    RegionError
        If lines are no GTF; gives the first of them with their numbers.

    Examples
    --------
    >>> read_gtf("gencode.v49.annotation.gtf.gz", "chr1", 1_000_000, 1_100_000)  # doctest: +SKIP
    """
    chosen = transcripts_with(path, None, chrom)
    return [t for t in chosen if (end is None or t.start < end) and (start is None or t.end > start)]


def transcripts_with(
    path: str | os.PathLike[str], words: Collection[str] | None, chrom: str | None = None
) -> list[Transcript]:
    """Transcripts of the lines that contain one of some words anywhere, or of all lines; sorted by place.

    Most of the time goes into taking lines apart, which is spared for those of other genes.
    """
    found = existing_file(path, "GTF file")
    parts: dict[tuple[str, str], _Parts] = {}
    problems: list[str] = []
    with open_text(found) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            if words is not None and not any(word in line for word in words):
                continue
            try:
                _take(line.rstrip("\r\n").split("\t"), parts, chrom)
            except ValueError as error:
                problems.append(f"line {number:,}: {error}")
    if problems:
        raise RegionError(f"{found} is not a GTF file as it should be:\n{listed(problems)}")
    transcripts = [_transcript(key, content) for key, content in parts.items() if content.exons]
    return sorted(transcripts, key=lambda t: (t.chrom, t.start, t.end, t.identifier))


class _Parts:
    """What has been read of a transcript."""

    def __init__(self, gene: str, gene_identifier: str, strand: str) -> None:
        self.gene, self.gene_identifier, self.strand = gene, gene_identifier, strand
        self.exons: list[tuple[int, int]] = []
        self.coding: list[tuple[int, int]] = []


def _take(fields: list[str], parts: dict[tuple[str, str], _Parts], chrom: str | None) -> None:
    if len(fields) != 9:
        raise ValueError(f"it has {len(fields)} columns instead of 9, with tabs between")
    place, _, kind, first, last, _, strand, _, attributes = fields
    if kind not in _KINDS or (chrom is not None and place != chrom):
        return
    if not first.isdigit() or not last.isdigit() or not 1 <= int(first) <= int(last):
        raise ValueError(f"start and end must be numbers from 1 on, start <= end; got {first!r} and {last!r}")
    told = _told(attributes)
    if "transcript_id" not in told:
        hint = "; turn GFF3 into GTF first, for example with gffread -T" if "=" in attributes else ""
        raise ValueError(f"it names no transcript_id{hint}")
    gene = told.get("gene_name") or told.get("gene_id") or told["transcript_id"]
    fresh = _Parts(gene, told.get("gene_id", ""), strand)
    content = parts.setdefault((place, told["transcript_id"]), fresh)
    (content.exons if kind == "exon" else content.coding).append((int(first) - 1, int(last)))


def _told(attributes: str) -> dict[str, str]:
    """The attributes that name a transcript and its gene; those after the last of them are not looked at."""
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(attributes):
        name, quoted, bare = match.groups()
        if name in _NAMES:
            found.setdefault(name, quoted or bare or "")
            if len(found) == len(_NAMES):
                break
    return found


def _transcript(key: tuple[str, str], content: _Parts) -> Transcript:
    chrom, identifier = key
    exons, coding = tuple(sorted(content.exons)), tuple(sorted(content.coding))
    return Transcript(identifier, content.gene, chrom, content.strand, exons, coding, content.gene_identifier)


def longest_of_each_gene(transcripts: Iterable[Transcript]) -> list[Transcript]:
    """One transcript a gene: the one with the longest coding part, then the most exon bases."""

    def size(transcript: Transcript) -> tuple[int, int]:
        coding, exons = (sum(end - start for start, end in part) for part in (transcript.coding, transcript.exons))
        return coding, exons

    best: dict[tuple[str, str], Transcript] = {}
    for transcript in transcripts:
        key = transcript.chrom, transcript.gene
        if key not in best or size(transcript) > size(best[key]):
            best[key] = transcript
    return sorted(best.values(), key=lambda t: (t.chrom, t.start))
