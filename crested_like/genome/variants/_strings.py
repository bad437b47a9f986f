"""Variants written as text in the dialects of browsers, biobanks and catalogues."""

from __future__ import annotations

import re

from crested_like._errors import VariantError
from crested_like.genome.variants._variant import Variant

_PLACE = r"(?P<position>\d{1,3}(?:,\d{3})+|\d+)"
_REF = r"(?P<ref>[ACGTNRYSWKMBDHV]+)"
_ALT = r"(?P<alt>[ACGTNRYSWKMBDHV]+|<[^<>\s]+>|\*)"
#: Builds that names of variants end in, as GTEx writes them.
_BUILD = r"(?:_(?:b3[678]|hg(?:18|19|38)|GRCh3[678]))?"
_DIALECTS = tuple(
    re.compile(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        rf"(?P<chrom>[^\s:]+):g\.{_PLACE}{_REF}>{_ALT}",  # HGVS
        rf"(?P<chrom>\S+):{_PLACE}:{_REF}:{_ALT}",
        rf"(?P<chrom>\S+):{_PLACE}[:_]?{_REF}[>/]{_ALT}",
        rf"(?P<chrom>\S+)-{_PLACE}-{_REF}-{_ALT}",  # gnomAD
        rf"(?P<chrom>\S+)_{_PLACE}_{_REF}[_/]{_ALT}{_BUILD}",  # GTEx, VEP
        rf"(?P<chrom>\S+)\s+{_PLACE}\s+{_REF}\s+{_ALT}",
    )
)
#: Accession, place from 0, deleted and inserted letters: the one dialect that counts from 0.
_SPDI = re.compile(rf"(?P<chrom>N[CTGW]_\d+\.\d+):{_PLACE}:{_REF}:{_ALT}", re.IGNORECASE | re.ASCII)
_HOW = "Write chromosome:position:REF:ALT, such as chr1:12345:A:G, the position counted from 1"


def parse_variant(text: str, name: str | None = None) -> Variant:
    """Variant of a string, in any of the common dialects.

    ``chr1:12345:A:G``, ``chr1-12345-A-G``, ``chr1_12345_A_G_b38``, ``chr1:12345A>G``, ``chr1:12345_A/G``,
    ``chr1:g.12345A>G`` and ``chr1 12345 A G`` count from 1. SPDI, ``NC_000001.11:12344:A:G``, counts from 0, and is
    known by the accession.

    Parameters
    ----------
    text
        One alternative allele.
    name
        What to call it; by default the text itself.

    Raises
    ------
    VariantError
        If the text has no such form.

    Examples
    --------
    >>> parse_variant("chr1-12,345-A-G")
    Variant(chrom='chr1', position=12344, ref='A', alt='G', name='chr1-12,345-A-G', line=None)
    """
    text = text.strip()
    spdi = _SPDI.fullmatch(text)
    found = spdi or next(filter(None, (dialect.fullmatch(text) for dialect in _DIALECTS)), None)
    if not found:
        raise VariantError(f"{text!r} is no variant. {_hint(text)}.")
    position = int(found["position"].replace(",", "")) - (spdi is None)
    if position < 0:
        raise VariantError(f"{text!r} lies at position 0; positions count from 1.")
    return Variant(found["chrom"], position, found["ref"].upper(), found["alt"].upper(), name or text)


def _hint(text: str) -> str:
    if re.fullmatch(r"rs\d+", text):
        return f"It is a name, and says nothing of place and alleles. {_HOW}, or give a VCF file that has it"
    if re.search(r"g\.\d+.*(?:del|ins|dup|inv)", text):
        return f"Of HGVS, only substitutions are read. {_HOW}, with the base before an insertion or deletion"
    return _HOW
