"""Records of VCF text, also of files too old or too careless for a strict reader."""

from __future__ import annotations

from pathlib import Path

from crested_like._errors import VariantError
from crested_like.genome._regions import Region
from crested_like.genome._support import listed
from crested_like.genome.variants._lines import vcf_lines
from crested_like.genome.variants._variant import LETTERS, Variant


def read_vcf(path: Path, region: str | Region | None = None) -> list[Variant]:
    """Variants of a VCF or BCF file in its order, one an alternative allele.

    Five columns are enough, and the header may be missing or have another number of columns than the records.

    Raises
    ------
    VariantError
        If lines are no records: gives all of them, up to ten, with their numbers.
    """
    variants: list[Variant] = []
    problems: list[str] = []
    for number, line in vcf_lines(path, region):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            variants += variants_of_record(line, number)
        except VariantError as error:
            problems.append(f"line {number:,}: {error}")
    if problems:
        raise VariantError(
            f"{len(problems):,} lines of {path} are no VCF records (CHROM, POS, ID, REF, ALT, ... with tabs between):\n"
            f"{listed(problems)}"
        )
    return variants


def fields_of(line: str) -> list[str]:
    """Columns of a record: separated by tabs, or by blanks in files that were never real VCF."""
    return line.split("\t") if "\t" in line else line.split()


def variants_of_record(line: str, number: int | None = None) -> list[Variant]:
    """Variants of one record, in the order of its alternative alleles.

    Raises
    ------
    VariantError
        If it is none.
    """
    fields = fields_of(line)
    if len(fields) < 5:
        raise VariantError(f"it has {len(fields)} of the 5 columns that are needed")
    chrom, place, name, ref, alts = (field.strip() for field in fields[:5])
    if not chrom:
        raise VariantError("it names no chromosome")
    if not place.isdecimal():
        raise VariantError(f"the position must be a number counted from 1; got {place!r}")
    name = "" if name == "." else name
    made = [Variant(chrom, int(place) - 1, ref.upper(), _allele(alt), name, number) for alt in alts.split(",")]
    for variant in made:
        check_alleles(variant)
    return made


def _allele(alt: str) -> str:
    return alt.upper() if LETTERS.fullmatch(alt) else alt


def check_alleles(variant: Variant) -> None:
    """Raise a VariantError where a variant's place or letters cannot be."""
    if not LETTERS.fullmatch(variant.ref):
        raise VariantError(f"REF must be letters of DNA; got {variant.ref!r}")
    if variant.no_sequence is None:
        if variant.position < 0:
            raise VariantError("the position must be at least 1")
        return
    alt = variant.alt
    told = alt in (".", "*") or "[" in alt or "]" in alt or (alt.startswith("<") and alt.endswith(">"))
    if not told and not LETTERS.fullmatch(alt.strip(".")):
        raise VariantError(f"ALT must be letters of DNA, an allele such as <DEL>, '*' or '.'; got {alt!r}")
