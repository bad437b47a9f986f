"""Regions that are an AnnData's variables."""

from __future__ import annotations

from typing import Any

from crested_like._errors import SequenceError
from crested_like.genome._regions import Region, regions_of


def regions_of_anndata(adata: Any) -> list[Region]:
    """Regions of an AnnData's variables.

    Columns ``chrom``, ``start``, ``end`` of ``.var`` where they are there (0-based, half-open); else the variables'
    names ``chrom:start-end``, which tools write from such columns and are therefore read as 0-based, too.

    Raises
    ------
    SequenceError
        If the variables are no regions.
    """
    columns = {str(name).lower(): name for name in adata.var.columns}
    chrom = next((columns[name] for name in ("chrom", "chr", "chromosome") if name in columns), None)
    if chrom is not None and "start" in columns and "end" in columns:
        table = adata.var[[chrom, columns["start"], columns["end"]]]
        return regions_of([(str(c), int(s), int(e)) for c, s, e in table.itertuples(index=False)])
    regions = []
    for name in map(str, adata.var_names):
        place, _, span = name.rpartition(":")
        start, _, end = span.partition("-")
        if not (place and start.isdigit() and end.isdigit()):
            raise SequenceError(
                f"The AnnData's variables are no regions: {name!r} is not of the form chrom:start-end, and .var has no "
                "columns chrom, start, end."
            )
        regions.append(Region(place, int(start), int(end), name))
    return regions
