"""Regions of a genome: from text, BED files and tables, and checked against a genome."""

from __future__ import annotations

import operator
import os
import re
import reprlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from crested_like._checks import positive_int
from crested_like._errors import RegionError
from crested_like.genome._support import existing_file, listed, open_text, unknown_chromosome

if TYPE_CHECKING:
    from crested_like.genome._fasta import Genome

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_REGION = re.compile(rf"(?P<chrom>\S+):(?P<first>{_NUMBER})(?:-(?P<last>{_NUMBER}))?", re.ASCII)
_BED_ENDINGS = (".bed", ".bed.gz", ".bed.bgz", ".narrowpeak", ".narrowpeak.gz", ".broadpeak", ".broadpeak.gz")
#: Spellings of a table's columns, in lower case. ``seqnames`` and the like are left out: such tables count from 1.
_COLUMNS = {
    "chrom": ("chrom", "chr", "chromosome", "contig"),
    "start": ("start", "chromstart", "chrom_start"),
    "end": ("end", "stop", "chromend", "chrom_end"),
    "name": ("name",),
    "strand": ("strand",),
}


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of a chromosome, 0-based half-open, at least one base wide.

    ``start`` may be negative and ``end`` beyond the chromosome: those bases are N. As text (``str``) it is 1-based
    inclusive, as in samtools.

    Raises
    ------
    RegionError
        If there is no base in it, the strand is not "+", "-" or ".", or a coordinate is no whole number.

    Examples
    --------
    >>> str(Region("chr1", 99, 200))
    'chr1:100-200'
    >>> Region("chr1", 0, 10).resize(4)
    Region(chrom='chr1', start=3, end=7, name=None, strand='.')
    """

    chrom: str
    start: int
    end: int
    name: str | None = None
    strand: str = "."

    def __post_init__(self) -> None:
        if not isinstance(self.chrom, str) or not self.chrom:
            raise RegionError(f"The chromosome of a region must be a name; got {self.chrom!r}.")
        for field in ("start", "end"):
            value = getattr(self, field)
            if type(value) is not int:
                object.__setattr__(self, field, _whole(field, value))
        if self.end <= self.start:
            raise RegionError(
                f"A region's end must be greater than its start (0-based half-open); got {self.chrom}, "
                f"start {self.start:,}, end {self.end:,}."
            )
        if self.strand not in ("+", "-", "."):
            raise RegionError(f"The strand of a region must be '+', '-' or '.'; got {self.strand!r}.")

    def __str__(self) -> str:
        return f"{self.chrom}:{self.start + 1}-{self.end}"

    @property
    def width(self) -> int:
        """Number of bases."""
        return self.end - self.start

    @property
    def centre(self) -> int:
        """The base in the middle, ``(start + end) // 2``; 0-based."""
        return (self.start + self.end) // 2

    def resize(self, length: int) -> Region:
        """The region of ``length`` bp around the same centre: ``length // 2`` bases lie before it."""
        start = self.centre - positive_int("length", length) // 2
        return Region(self.chrom, start, start + length, self.name, self.strand)


#: What stands for regions: text, a :class:`Region`, ``(chrom, start, end)``, a list of these, a BED file, a table.
Regions: TypeAlias = "str | os.PathLike[str] | Region | Iterable[Any]"


def _whole(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        pass
    if isinstance(value, float) and value.is_integer():  # pandas makes a column float if a value is missing
        return int(value)
    raise RegionError(f"The {name} of a region must be a whole number; got {value!r}.")


def parse_region(text: str) -> Region:
    """Region of a string such as ``chr1:1,001-2,000``, 1-based and with both ends included, as in samtools.

    ``chr1:1001`` is that one base (samtools would run on to the end of the chromosome). The chromosome is everything
    before the last colon, so names such as ``HLA-A*01:01`` work. A whole chromosome has no such form: give its ends.

    Raises
    ------
    RegionError
        If the text has another form, starts before base 1, or ends before it starts.

    Examples
    --------
    >>> parse_region("chr1:1,001-2,000")
    Region(chrom='chr1', start=1000, end=2000, name=None, strand='.')
    """
    found = _REGION.fullmatch(text.strip())
    if not found:
        raise RegionError(
            f"{text!r} is no region. Write chromosome:first-last, counted from 1 with both ends included, "
            f"for example 'chr1:1,001-2,000'."
        )
    first, last = (int((found[part] or found["first"]).replace(",", "")) for part in ("first", "last"))
    if first < 1:
        raise RegionError(f"{text!r} starts at {first}; positions in a region string count from 1.")
    if last < first:
        raise RegionError(f"{text!r} ends before it starts.")
    return Region(found["chrom"], first - 1, last)


def read_bed(path: str | os.PathLike[str]) -> list[Region]:
    """Regions of a BED file, in its order.

    Columns may be separated by tabs or spaces, and the file may be compressed with gzip. Blank lines, comments, track
    and browser lines are skipped. Of the columns, the first three are needed, the fourth is the name and the sixth the
    strand; "." and anything else that is no strand is ".", since files with columns of their own are common.

    Raises
    ------
    RegionError
        If a line is no BED line: gives the line numbers (from 1) of all of them, up to ten.

    Examples
    --------
    >>> read_bed("peaks.bed")  # doctest: +SKIP
    [Region(chrom='chr1', start=1000, end=1500, name='peak_1', strand='.'), ...]
    """
    found = existing_file(path, "BED file")
    regions, problems = [], []
    with open_text(found) as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
            if not line.strip() or line.startswith("#") or fields[0].split(" ")[0] in ("track", "browser"):
                continue
            try:
                regions.append(_bed_region(fields))
            except RegionError as error:
                problems.append(f"line {number:,}: {error}")
    if problems:
        raise RegionError(f"{found} is not a BED file as it should be:\n{listed(problems)}")
    return regions


def _bed_region(fields: list[str]) -> Region:
    fields = [field.strip() for field in fields]
    if len(fields) < 3:
        raise RegionError(f"has {len(fields)} columns; at least chromosome, start and end are needed.")
    if not (_is_number(fields[1]) and _is_number(fields[2])):
        raise RegionError(
            f"start and end must be whole numbers of at least 0; got {fields[1]!r} and {fields[2]!r} "
            f"(a header line must start with '#')."
        )
    name = fields[3] if len(fields) > 3 and fields[3] not in ("", ".") else None
    strand = fields[5] if len(fields) > 5 and fields[5] in ("+", "-") else "."
    return Region(fields[0], int(fields[1]), int(fields[2]), name, strand)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def regions_of(obj: Regions) -> list[Region]:
    """The regions that something stands for, in its order.

    Parameters
    ----------
    obj
        A region string (1-based inclusive), a :class:`Region`, a tuple ``(chrom, start, end[, name[, strand]])``
        (0-based half-open), any iterable of these, the path of a BED file, or a table with the columns chrom, start
        and end (0-based half-open; also chr or chromosome, stop, chromStart ...) and perhaps name and strand.

    Raises
    ------
    RegionError
        If an item is no region: lists all of them by 0-based index, up to ten.

    Examples
    --------
    >>> [str(region) for region in regions_of(["chr1:1-100", ("chr2", 0, 100)])]
    ['chr1:1-100', 'chr2:1-100']
    """
    items: Iterable[Any]
    if isinstance(obj, os.PathLike):
        return read_bed(obj)
    if isinstance(obj, str):
        return _of_text(obj)
    if isinstance(obj, Region) or _is_triple(obj):
        return [_of_item(obj)]
    if hasattr(obj, "columns"):
        items, what = _rows(obj), "Row"
    elif isinstance(obj, Iterable) and not isinstance(obj, (bytes, dict)):
        items, what = obj, "Item"
    else:
        raise RegionError(_not_a_region(obj))
    regions, problems = [], []
    for index, item in enumerate(items):
        try:
            regions.append(_of_item(item))
        except RegionError as error:
            problems.append(f"{what} {index:,}: {error}")
    if problems:
        raise RegionError(f"Not all regions can be read:\n{listed(problems)}")
    return regions


def _of_text(text: str) -> list[Region]:
    is_bed = text.lower().endswith(_BED_ENDINGS)
    if not is_bed and _REGION.fullmatch(text.strip()):
        return [parse_region(text)]
    if is_bed or os.path.isfile(os.path.expanduser(text)):
        return read_bed(text)
    shown = repr(text) if len(text) <= 60 else f"{text[:60]!r}..."
    raise RegionError(
        f"{shown} is neither a region such as 'chr1:1,001-2,000' (counted from 1, both ends included) "
        f"nor the path of a BED file."
    )


def _is_triple(item: Any) -> bool:
    return (
        isinstance(item, (tuple, list))
        and 3 <= len(item) <= 5
        and isinstance(item[0], str)
        and not any(isinstance(value, (str, tuple, list, Region)) for value in item[1:3])
    )


def _of_item(item: Any) -> Region:
    if isinstance(item, Region):
        return item
    if isinstance(item, str):
        return parse_region(item)
    if _is_triple(item):
        return Region(*item)
    raise RegionError(_not_a_region(item))


def _not_a_region(item: Any) -> str:
    return (
        f"{reprlib.repr(item)} is no region. Give a string such as 'chr1:1,001-2,000', a Region, "
        f"or a tuple (chrom, start, end), 0-based half-open."
    )


def _rows(table: Any) -> Iterator[tuple[Any, ...]]:
    by_spelling = {str(column).lower().lstrip("#"): column for column in table.columns}
    found = {
        field: next((by_spelling[spelling] for spelling in spellings if spelling in by_spelling), None)
        for field, spellings in _COLUMNS.items()
    }
    missing = [field for field in ("chrom", "start", "end") if found[field] is None]
    if missing:
        raise RegionError(
            f"The table of regions has no column {' or '.join(map(repr, missing))}; its columns are "
            f"{', '.join(map(str, table.columns)) or 'none'}. Needed are chrom, start and end, 0-based half-open."
        )
    size = len(table)
    columns = [[None] * size if column is None else table[column] for column in found.values()]
    for chrom, start, end, name, strand in zip(*columns, strict=True):
        yield (
            str(chrom),  # a table read without types has 1 for the chromosome "1"
            start,
            end,
            None if _is_missing(name) else str(name),
            "." if _is_missing(strand) else strand,
        )


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and value != value)


def check_regions(regions: Iterable[Region], genome: Genome) -> None:
    """Make sure that every region has at least one base on the genome.

    Raises
    ------
    RegionError
        If a chromosome is unknown, or a region lies wholly before the start or beyond the end of its chromosome:
        lists all of them by 0-based index, up to ten.
    """
    sizes = genome.chromosomes
    problems = []
    for index, region in enumerate(regions):
        size = sizes.get(region.chrom)
        if size is None:
            problems.append(f"Region {index:,} ({region}): {unknown_chromosome(region.chrom, sizes, genome.name)}")
        elif region.start >= size:
            problems.append(f"Region {index:,} ({region}) starts beyond the end of {region.chrom}, {size:,} bp.")
        elif region.end <= 0:
            problems.append(f"Region {index:,} ({region}) ends before the start of {region.chrom}.")
    if problems:
        raise RegionError(f"Regions do not lie on the genome {genome.name!r}:\n{listed(problems)}")
