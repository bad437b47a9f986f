"""Variants on a genome: their chromosome's name there, and whether it has their reference allele."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crested_like._checks import one_of
from crested_like._errors import VariantError
from crested_like.genome._support import listed, unknown_chromosome
from crested_like.genome.variants._variant import Variant

if TYPE_CHECKING:
    from crested_like.genome._fasta import Genome

log = logging.getLogger(__name__)

#: What is done with a variant whose REF is not what the genome has.
ON_MISMATCH = ("flag", "skip", "error")
OK, MISMATCH, SKIPPED = "ok", "ref_mismatch", "skipped: "
_SEX = {23: "X", 24: "Y"}


@dataclass(frozen=True, slots=True)
class PlacedVariant:
    """A variant and what a genome says of it."""

    variant: Variant
    chrom: str
    """Name of the chromosome in the genome; the variant's own where it has none."""
    genome_ref: str
    """Letters of the genome, upper case, where REF lies; empty where it lies nowhere."""
    status: str
    """``"ok"``, ``"ref_mismatch"``, or ``"skipped: "`` and the reason."""

    @property
    def scored(self) -> bool:
        """Whether there is a sequence to be predicted."""
        return not self.status.startswith(SKIPPED)


def place_variants(variants: Sequence[Variant], genome: Genome, *, on_mismatch: str = "flag") -> list[PlacedVariant]:
    """Find variants on a genome and compare their REF with it.

    ``1`` is found as ``chr1``, ``chrM`` as ``MT``, ``NC_000001.11`` as either, and the other way round.

    Parameters
    ----------
    variants, genome
        What, and on what.
    on_mismatch
        ``"flag"`` notes a REF that the genome does not have and goes on, ``"skip"`` leaves such variants out,
        ``"error"`` refuses them.

    Raises
    ------
    VariantError
        If no variant lies on a chromosome of the genome; or, with ``"error"``, for every REF that is not the genome's.

    Examples
    --------
    >>> place_variants(read_variants("eqtl.vcf"), Genome("hg38.fa"))  # doctest: +SKIP
    """
    one_of("on_mismatch", on_mismatch, ON_MISMATCH)
    sizes = genome.chromosomes
    names = {chrom: _known_as(chrom, sizes) for chrom in dict.fromkeys(v.chrom for v in variants)}
    if names and not any(names.values()):
        first = next(iter(names))
        raise VariantError(
            f"None of the variants lies on the genome. {unknown_chromosome(first, sizes, f'genome {genome.name!r}')}"
        )
    placed = [_place(variant, names[variant.chrom], genome, sizes) for variant in variants]
    wrong = [item for item in placed if item.status == MISMATCH]
    if wrong and on_mismatch == "error":
        raise VariantError(
            f"REF is not what genome {genome.name!r} has for {len(wrong):,} of {len(placed):,} variants"
            f"{_swapped(wrong)}. Give the genome they were called on, or on_mismatch='flag':\n"
            + listed([f"{_named(item.variant)}: the genome has {item.genome_ref}" for item in wrong])
        )
    if wrong:
        log.warning(
            "REF is not what genome %r has for %s of %s variants%s; they are %s.",
            genome.name,
            f"{len(wrong):,}",
            f"{len(placed):,}",
            _swapped(wrong),
            "flagged, and scored with their own REF" if on_mismatch == "flag" else "skipped",
        )
    return [_skipped_mismatch(item) if on_mismatch == "skip" else item for item in placed]


def _place(variant: Variant, chrom: str | None, genome: Genome, sizes: dict[str, int]) -> PlacedVariant:
    if chrom is None:
        return PlacedVariant(variant, variant.chrom, "", f"{SKIPPED}chromosome {variant.chrom} is not in the genome")
    start, end = variant.position, variant.position + len(variant.ref)
    inside = start >= 0 and end <= sizes[chrom]
    found = genome.fetch(chrom, start, end).upper() if inside else ""
    if variant.no_sequence is not None:
        return PlacedVariant(variant, chrom, found, SKIPPED + variant.no_sequence)
    if not inside:
        return PlacedVariant(variant, chrom, "", f"{SKIPPED}beyond the end of {chrom}, {sizes[chrom]:,} bp")
    return PlacedVariant(variant, chrom, found, OK if found == variant.ref else MISMATCH)


def _skipped_mismatch(item: PlacedVariant) -> PlacedVariant:
    if item.status != MISMATCH:
        return item
    reason = f"{SKIPPED}REF is {item.variant.ref}, the genome has {item.genome_ref}"
    return PlacedVariant(item.variant, item.chrom, item.genome_ref, reason)


def _swapped(wrong: Sequence[PlacedVariant]) -> str:
    swapped = sum(item.genome_ref == item.variant.alt for item in wrong)
    return f" ({swapped:,} of them have the genome's allele as ALT: REF and ALT may be swapped)" if swapped else ""


def _named(variant: Variant) -> str:
    line = "" if variant.line is None else f"line {variant.line:,}: "
    return f"{line}{variant}"


def _known_as(chrom: str, sizes: dict[str, int]) -> str | None:
    """Name of a chromosome in the genome, which may spell it otherwise."""
    if chrom in sizes:
        return chrom
    bare = chrom[3:] if chrom.lower().startswith("chr") else chrom
    if bare.startswith("NC_"):
        number = int(digits) if (digits := bare[3:].partition(".")[0]).isdecimal() else 0
        bare = "M" if number == 12920 else _SEX.get(number, str(number))
    others = ["M", "MT"] if bare.upper() in ("M", "MT") else [bare, bare.upper()]
    return next((name for other in others for name in (f"chr{other}", other) if name in sizes), None)
