"""The text of VCF files, whatever they are packed in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crested_like._errors import VariantError
from crested_like.genome._regions import Region, parse_region
from crested_like.genome._support import GZIP, genomics_package, open_text

_BCF = b"BCF"


def is_bcf(path: Path) -> bool:
    """Whether a file is BCF, packed with bgzip or not."""
    import gzip

    with path.open("rb") as file:
        head = file.read(3)
    if head.startswith(GZIP):
        try:
            with gzip.open(path) as unpacked:
                head = unpacked.read(3)
        except (OSError, EOFError):
            return False
    return head == _BCF


def is_vcf(path: Path) -> bool:
    """Whether a file's first line or its name says that it is VCF or BCF."""
    if path.name.lower().endswith((".vcf", ".vcf.gz", ".vcf.bgz", ".bcf")) or is_bcf(path):
        return True
    with open_text(path) as lines:
        return lines.readline().startswith(("##fileformat=VCF", "#CHROM\t"))


def vcf_lines(path: Path, region: str | Region | None = None) -> Iterator[tuple[int, str]]:
    """Lines of a VCF or BCF file with their numbers from 1, header included, without line ends.

    Parameters
    ----------
    path
        Text, plain or compressed with gzip or bgzip; or BCF.
    region
        Only records that overlap it: through the index where the file has one, else by going through the file.

    Raises
    ------
    VariantError
        If a BCF file is damaged.
    """
    wanted = parse_region(region) if isinstance(region, str) else region
    if is_bcf(path):
        yield from enumerate(_of_bcf(path, wanted), start=1)
    elif wanted is not None and any(path.with_name(path.name + ending).is_file() for ending in (".tbi", ".csi")):
        yield from enumerate(_of_tabix(path, wanted), start=1)
    else:
        with open_text(path) as lines:
            for number, line in enumerate(lines, start=1):
                if wanted is None or line.startswith("#") or _overlaps(line, wanted):
                    yield number, line.rstrip("\r\n")


def _of_bcf(path: Path, wanted: Region | None) -> Iterator[str]:
    pysam = genomics_package("pysam", "read BCF files")
    try:
        with pysam.VariantFile(str(path)) as file:
            yield from str(file.header).splitlines()
            records: Any = file
            if wanted is not None and file.index is not None:
                records = file.fetch(wanted.chrom, max(wanted.start, 0), wanted.end)
            for record in records:
                line = str(record).rstrip("\n")
                if wanted is None or _overlaps(line, wanted):
                    yield line
    except (OSError, ValueError) as error:
        raise VariantError(f"{path} cannot be read as BCF: {error}") from error


def _of_tabix(path: Path, wanted: Region) -> Iterator[str]:
    pysam = genomics_package("pysam", "read a part of an indexed VCF file")
    with pysam.TabixFile(str(path)) as file:
        yield from file.header
        if wanted.chrom in file.contigs:
            yield from file.fetch(wanted.chrom, max(wanted.start, 0), wanted.end)


def _overlaps(line: str, wanted: Region) -> bool:
    """Whether a record's REF lies on a part of the region; a line that is none is let through to be complained of."""
    fields = line.split("\t", 4)
    if len(fields) < 4 or not fields[1].isdecimal():
        return True
    start = int(fields[1]) - 1
    return fields[0] == wanted.chrom and start < wanted.end and start + len(fields[3]) > wanted.start
