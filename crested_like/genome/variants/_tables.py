"""Variants in the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crested_like._errors import VariantError
from crested_like.genome._support import listed, open_text
from crested_like.genome.variants._strings import parse_variant
from crested_like.genome.variants._variant import LETTERS, Variant
from crested_like.genome.variants._vcf import check_alleles

if TYPE_CHECKING:
    import pandas as pd

#: Spellings of columns, in lower case.
_COLUMNS = {
    "chrom": ("chrom", "#chrom", "chr", "#chr", "chromosome", "contig"),
    "position": ("position", "pos", "bp", "base_pair_location"),
    "ref": ("ref", "ref_allele", "reference", "reference_allele", "other_allele"),
    "alt": ("alt", "alt_allele", "alternate", "alternative", "alternate_allele", "effect_allele"),
    "name": ("name", "id", "snp", "rsid", "rs_id", "variant_id", "variant"),
}
_NEEDED = ("chrom", "position", "ref", "alt")


def columns_of(names: Sequence[Any]) -> dict[str, int]:
    """Which column holds what; a mapping without the columns that are not there."""
    lower = [str(name).strip().lower() for name in names]
    return {
        what: next(lower.index(spelling) for spelling in spellings if spelling in lower)
        for what, spellings in _COLUMNS.items()
        if any(spelling in lower for spelling in spellings)
    }


def of_table(table: pd.DataFrame) -> list[Variant]:
    """Variants of a table with columns for chromosome, position (from 1), REF and ALT, and perhaps a name.

    Raises
    ------
    VariantError
        If columns are missing, or rows are no variants: gives all of these, up to ten.
    """
    place = _checked_columns(list(table.columns), "The table")
    columns = {what: table.iloc[:, i].tolist() for what, i in place.items()}
    names = columns.get("name") or [""] * len(table)
    rows = zip(*(columns[what] for what in _NEEDED), names, strict=True)
    return _of_rows(rows, "row", "the table", first=0)


def of_text(path: Path) -> list[Variant]:
    """Variants of a text file: a table with a header, or one variant a line and perhaps a name after it.

    Raises
    ------
    VariantError
        If lines are no variants: gives all of them, up to ten, with their numbers.
    """
    with open_text(path) as lines:
        kept = [(number, line.rstrip("\r\n")) for number, line in enumerate(lines, start=1) if line.strip()]
    comments = [(number, line) for number, line in kept if line.startswith("##")]
    kept = kept[len(comments) :] if comments == kept[: len(comments)] else kept
    if not kept:
        return []
    separator = next((mark for mark in ("\t", ",") if mark in kept[0][1]), None)
    header = kept[0][1].split(separator)
    if set(columns_of(header)) & {"position", "ref", "alt"}:
        place = _checked_columns(header, str(path))
        cells = [(number, line.split(separator)) for number, line in kept[1:]]
        rows = [[_cell(row, place, what) for what in (*_NEEDED, "name")] for _, row in cells]
        return _of_rows(rows, "line", str(path), numbers=[number for number, _ in cells])
    return _of_strings(kept, path)


def _cell(row: list[str], place: dict[str, int], what: str) -> str:
    return row[place[what]].strip() if what in place and place[what] < len(row) else ""


def _of_strings(lines: list[tuple[int, str]], path: Path) -> list[Variant]:
    variants, problems = [], []
    for number, line in lines:
        if line.startswith("#"):
            continue
        text, _, name = line.strip().partition("\t")
        try:
            found = parse_variant(text if name.count("\t") < 2 else line, name.split("\t")[0].strip() or None)
        except VariantError as error:
            problems.append(f"line {number:,}: {error}")
        else:
            variants.append(_with_line(found, number))
    if problems:
        raise VariantError(f"{len(problems):,} lines of {path} are no variants:\n{listed(problems)}")
    return variants


def _with_line(variant: Variant, number: int) -> Variant:
    return Variant(variant.chrom, variant.position, variant.ref, variant.alt, variant.name, number)


def _checked_columns(names: list[Any], where: str) -> dict[str, int]:
    place = columns_of(names)
    missing = [what for what in _NEEDED if what not in place]
    if missing:
        raise VariantError(
            f"{where} has no column for {', '.join(missing)}; its columns are {', '.join(map(str, names))}. Needed are "
            f"chrom, position (counted from 1), ref and alt; name is read where it is there."
        )
    return place


def _of_rows(
    rows: Any, word: str, where: str, *, first: int = 1, numbers: Sequence[int] | None = None
) -> list[Variant]:
    variants, problems = [], []
    for i, (chrom, position, ref, alt, name) in enumerate(rows):
        number = numbers[i] if numbers is not None else None
        try:
            variants.append(_of_row(chrom, position, ref, alt, name, number))
        except VariantError as error:
            problems.append(f"{word} {i + first if number is None else number:,}: {error}")
    if problems:
        raise VariantError(f"{len(problems):,} {word}s of {where} are no variants:\n{listed(problems)}")
    return variants


def _of_row(chrom: Any, position: Any, ref: Any, alt: Any, name: Any, number: int | None) -> Variant:
    place = _whole(position)
    letters = [str(allele).strip() for allele in (ref, alt)]
    ref, alt = (allele.upper() if LETTERS.fullmatch(allele) else allele for allele in letters)
    missing = name is None or name != name or name in ("", ".")  # NaN is unlike itself
    variant = Variant(str(chrom).strip(), place - 1, ref, alt, "" if missing else str(name), number)
    check_alleles(variant)
    return variant


def _whole(value: Any) -> int:
    try:
        number = float(str(value).replace(",", ""))
    except ValueError:
        number = float("nan")
    if not number.is_integer():
        raise VariantError(f"the position must be a number counted from 1; got {value!r}")
    return int(number)
