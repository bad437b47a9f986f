"""One alternative allele at one place."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Letters of an allele: the bases, N, and the IUPAC letters that some files hold.
LETTERS = re.compile(r"[ACGTNRYSWKMBDHV]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Variant:
    """An alternative allele; a record of several is several variants.

    Examples
    --------
    >>> insertion = Variant("chr1", 999, "A", "AGG")
    >>> str(insertion), insertion.kind, insertion.trimmed
    ('chr1:1000:A:AGG', 'insertion', (1000, '', 'GG'))
    """

    chrom: str
    position: int
    """0-based place of the first base of ``ref``."""
    ref: str
    """Reference allele, upper case."""
    alt: str
    """Alternative allele, upper case; or what stands for one, such as ``<DEL>``."""
    name: str = ""
    """Identifier where it has one."""
    line: int | None = None
    """Line of the file it comes from, counted from 1."""

    def __str__(self) -> str:
        return f"{self.chrom}:{self.position + 1}:{self.ref}:{self.alt}"

    @property
    def kind(self) -> str:
        """``"SNV"``, ``"MNV"``, ``"insertion"``, ``"deletion"``, ``"indel"``, or ``"symbolic"`` without letters."""
        if self.no_sequence is not None:
            return "symbolic"
        _, ref, alt = self.trimmed
        if len(ref) == len(alt):
            return "SNV" if len(ref) <= 1 else "MNV"
        if not ref or not alt:
            return "deletion" if not alt else "insertion"
        return "indel"

    @property
    def no_sequence(self) -> str | None:
        """Why there is no sequence to be written for the alternative allele; None where there is one."""
        alt = self.alt
        if LETTERS.fullmatch(alt):
            return None
        if alt in (".", ""):
            return "no alternative allele"
        if alt == "*":
            return "the allele * is part of another deletion"
        if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
            return f"breakend {alt}"
        return f"symbolic allele {alt}"

    @property
    def trimmed(self) -> tuple[int, str, str]:
        """Place and alleles without the bases that both have in common at their starts, then at their ends."""
        ref, alt = self.ref, self.alt
        first = 0
        while first < min(len(ref), len(alt)) and ref[first] == alt[first]:
            first += 1
        ref, alt = ref[first:], alt[first:]
        last = 0
        while last < min(len(ref), len(alt)) and ref[-1 - last] == alt[-1 - last]:
            last += 1
        return self.position + first, ref[: len(ref) - last], alt[: len(alt) - last]
