"""VCF text with fields added to the INFO column of its records."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crested_like.genome._support import genomics_package
from crested_like.genome.variants._lines import vcf_lines
from crested_like.genome.variants._variant import Variant
from crested_like.genome.variants._vcf import fields_of

_COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
_INFO = len(_COLUMNS) - 1


@dataclass(frozen=True, slots=True)
class InfoField:
    """A field of the INFO column with one value an alternative allele."""

    key: str
    kind: str
    """``"Float"``, ``"Integer"`` or ``"String"``."""
    description: str

    def __str__(self) -> str:
        told = self.description.replace("\\", "/").replace('"', "'")
        return f'##INFO=<ID={self.key},Number=A,Type={self.kind},Description="{told}">'


def annotate_vcf(
    source: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    fields: Sequence[InfoField],
    variants: Sequence[Variant],
    values: Sequence[Sequence[Any]],
    contigs: Mapping[str, int | None] | None = None,
) -> None:
    """Write VCF text with fields added: the records of a file as they are, or records made of variants.

    Old files get what they lack: a first line, a line of column names, and the columns up to INFO.

    Parameters
    ----------
    source
        The VCF or BCF file that the variants were read from; None to make records of the variants.
    out
        Where to write; compressed with bgzip if the name ends in ``.gz``.
    fields, values
        What is added: one value a field and variant; None and NaN are missing.
    variants
        All of the file's, in its order.
    contigs
        Length of each chromosome, or None where it is not known; told where the file tells nothing of chromosomes.
    """
    lines = [(0, "##fileformat=VCFv4.2")] if source is None else list(vcf_lines(Path(source)))
    header = [line for _, line in lines if line.startswith("##")]
    names = next((line for _, line in lines if line.startswith("#CHROM")), None)
    records = _made(variants) if source is None else [(n, s) for n, s in lines if s.strip() and s[0] != "#"]
    by_line: dict[int, list[Sequence[Any]]] = {}
    for number, (variant, row) in enumerate(zip(variants, values, strict=True)):
        by_line.setdefault(number if source is None else variant.line or 0, []).append(row)
    width = max([len(_COLUMNS), *(len(fields_of(line)) for _, line in records[:1])])
    with _writer(Path(out)) as write:
        for line in (*_header(header, fields, contigs or {}), _names(names, width)):
            write(line)
        for number, line in records:
            write(_with_fields(line, fields, by_line[number]))


def _made(variants: Sequence[Variant]) -> list[tuple[int, str]]:
    return [
        (number, "\t".join([v.chrom, str(v.position + 1), _identifier(v.name), v.ref, v.alt, ".", ".", "."]))
        for number, v in enumerate(variants)
    ]


def _identifier(name: str) -> str:
    return re.sub(r"[\s;]", "_", name) or "."


def _header(old: list[str], fields: Sequence[InfoField], contigs: Mapping[str, int | None]) -> Iterator[str]:
    """The file's own header, without what is written anew, and the new fields after it."""
    if not old or not old[0].startswith("##fileformat="):
        yield "##fileformat=VCFv4.2"
    again = tuple(f"##INFO=<ID={field.key}," for field in fields)
    kept = [line for line in old if not line.startswith(again)]
    yield from kept
    if not any(line.startswith("##contig=") for line in kept):
        for chrom, length in contigs.items():
            yield f"##contig=<ID={chrom}>" if length is None else f"##contig=<ID={chrom},length={length}>"
    if not any(line.startswith("##FILTER=<ID=PASS,") for line in kept):
        yield '##FILTER=<ID=PASS,Description="All filters passed">'
    yield from map(str, fields)


def _names(old: str | None, width: int) -> str:
    """The line of column names: the file's own, completed."""
    given = fields_of(old) if old else []
    extra = ["FORMAT", *(f"SAMPLE{i}" for i in range(1, width))][: width - len(_COLUMNS)]
    return "\t".join(given if len(given) >= width else [*_COLUMNS, *given[len(_COLUMNS) :], *extra][:width])


def _with_fields(line: str, fields: Sequence[InfoField], rows: list[Sequence[Any]]) -> str:
    columns = fields_of(line)
    columns += ["."] * (len(_COLUMNS) - len(columns))
    ours = {field.key for field in fields}
    kept = [part for part in columns[_INFO].split(";") if part not in ("", ".") and part.partition("=")[0] not in ours]
    new = [f"{f.key}={','.join(_text(row[i]) for row in rows)}" for i, f in enumerate(fields)]
    columns[_INFO] = ";".join([*kept, *new])
    return "\t".join(columns)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "."
    if isinstance(value, float):
        return f"{value:.7g}"
    return re.sub(r"[\s;=,]+", "_", str(value).replace("<", "").replace(">", "")) or "."


@contextmanager
def _writer(path: Path) -> Iterator[Any]:
    """Write lines to a file, compressed with bgzip if its name says so."""
    if path.suffix == ".gz":
        pysam = genomics_package("pysam", "compress with bgzip")
        with pysam.BGZFile(str(path), "wb") as packed:
            yield lambda line: packed.write(f"{line}\n".encode())
    else:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield lambda line: file.write(f"{line}\n")
