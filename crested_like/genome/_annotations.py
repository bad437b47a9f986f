"""Named intervals along a genome as BED and GFF3 files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from crested_like._atomic import atomic_path

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("chrom", "start", "end", "feature", "score")
#: Terms of the Sequence Ontology for the features of segmentation models; others keep their own name.
TERMS = {
    "lncRNA": "lncRNA_gene",
    "splice_donor": "five_prime_cis_splice_site",
    "splice_acceptor": "three_prime_cis_splice_site",
    "5UTR": "five_prime_UTR",
    "3UTR": "three_prime_UTR",
    "CTCF-bound": "CTCF_binding_site",
    "polyA_signal": "polyA_signal_sequence",
    "enhancer_Tissue_specific": "enhancer",
    "enhancer_Tissue_invariant": "enhancer",
    "promoter_Tissue_specific": "promoter",
    "promoter_Tissue_invariant": "promoter",
}


def write_intervals(path: str | os.PathLike[str], table: pd.DataFrame, source: str = "crested_like") -> None:
    """Write named intervals, sorted by place, as ``.bed`` (0-based, half-open) or ``.gff3`` (1-based, inclusive).

    The file appears only when it is complete.

    Parameters
    ----------
    path
        File to write, in the format of its ending; an existing one is replaced.
    table
        Columns ``chrom``, ``start``, ``end`` (0-based, half-open, in bp), ``feature`` and ``score`` (0 to 1).
    source
        What GFF3 names as the program or model.

    Raises
    ------
    ValueError
        If the ending is another, or a column is missing.

    Examples
    --------
    >>> write_intervals("exons.bed", table)  # doctest: +SKIP
    """
    path = Path(path)
    check_interval_path(path)
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise ValueError(f"The table of intervals lacks the column {missing[0]!r}; it needs {', '.join(COLUMNS)}.")
    rows = table.sort_values(["chrom", "start", "end", "feature"])[list(COLUMNS)]
    with atomic_path(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        if path.suffix == ".gff3":
            file.write("##gff-version 3\n")
        for chrom, start, end, feature, score in rows.itertuples(index=False):
            file.write(_FORMATS[path.suffix](chrom, int(start), int(end), feature, float(score), source) + "\n")


def check_interval_path(path: Path) -> None:
    """Raise unless a name ends as one of the formats does."""
    if path.suffix not in _FORMATS:
        raise ValueError(f"Intervals are written to {' or '.join('*' + s for s in _FORMATS)}; got {path.name!r}.")


def _bed(chrom: str, start: int, end: int, feature: str, score: float, source: str) -> str:
    return f"{chrom}\t{start}\t{end}\t{feature}\t{round(1000 * score)}\t."


def _gff3(chrom: str, start: int, end: int, feature: str, score: float, source: str) -> str:
    place = quote(chrom, safe="/:.^*$@!+_?-|")
    name = quote(feature, safe=" ")
    term = TERMS.get(feature, feature.replace(" ", "_"))
    return f"{place}\t{source}\t{term}\t{start + 1}\t{end}\t{score:.3f}\t.\t.\tName={name}"


#: A line by ending of the file.
_FORMATS: dict[str, Callable[[str, int, int, str, float, str], str]] = {".bed": _bed, ".gff3": _gff3}
