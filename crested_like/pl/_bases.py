"""Values for every base of a sequence, however they are given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crested_like.pl._letters import BASES
from crested_like.pl._tracks import Span

_HOW = "Values of bases are drawn from what tl.explain() and tl.ism() give, (sequence, position, base), or from (L, 4)"


def rows_of(data: Any, sequence: int | str, start: int, chrom: str) -> dict[str, Span]:
    """Rows by name, each with values ``(L, 4)`` at its place, from one array or several by name.

    Raises
    ------
    ValueError
        If an array has other axes, there is no such sequence, or rows lie at different places.
    """
    named = data if isinstance(data, Mapping) else {"": data}
    if not named:
        raise ValueError("There is nothing to draw: no array was given.")
    rows = {str(name): _row(array, sequence, start, chrom) for name, array in named.items()}
    places = {(row.chrom, row.start, len(row.values)) for row in rows.values()}
    if len(places) > 1:
        told = "; ".join(f"{name}: {row.chrom} {row.start:,}, {len(row.values):,} bp" for name, row in rows.items())
        raise ValueError(f"Rows of one figure must cover the same bases; got {told}.")
    return rows


def method_of(array: Any) -> str:
    """What an array says of how it was made."""
    return str(getattr(array, "attrs", {}).get("method", "")).replace("_", " ")


def _row(array: Any, sequence: int | str, start: int, chrom: str) -> Span:
    if not hasattr(array, "dims"):
        values = np.asarray(array)
        values = values[0] if values.ndim == 3 and len(values) == 1 else values
        if values.ndim != 2 or values.shape[1] != 4 or not len(values):
            raise ValueError(f"{_HOW}; got shape {np.shape(array)}.")
        return Span("", chrom, start, 1, values)
    if "position" not in array.dims or "base" not in array.dims:
        raise ValueError(f"{_HOW}; got the dimensions {', '.join(map(str, array.dims))}.")
    if "sequence" in array.dims:
        array = array.isel(sequence=_which(array, sequence))
    array = array.transpose("position", "base")
    if "base" in array.coords:
        array = array.sel(base=list(BASES))

    def told(name: str, default: Any) -> Any:
        return array[name].item() if name in array.coords else default

    place, first, title = str(told("chrom", chrom)), int(told("start", start)), str(told("sequence", ""))
    if place and re.fullmatch(r"\S+:\d+-\d+", title):  # the region that was asked for, of which this may be a part
        title = f"{place}:{first + 1}-{first + array.sizes['position']}"
    return Span(title, place, first, 1, array.to_numpy())


def _which(array: Any, sequence: int | str) -> int:
    count = array.sizes["sequence"]
    names = [str(name) for name in array["sequence"].to_numpy()] if "sequence" in array.coords else []
    if isinstance(sequence, str):
        if sequence not in names:
            raise ValueError(f"There is no sequence {sequence!r}; there are {', '.join(names) or f'{count}, unnamed'}.")
        return names.index(sequence)
    if not 0 <= sequence < count:
        raise ValueError(f"There are {count} sequences, numbered from 0; got {sequence}.")
    return sequence


def strongest_window(values: NDArray, width: int) -> tuple[int, int]:
    """The window of a row with the largest sum of absolute values: first base and end."""
    total = np.abs(np.nan_to_num(values)).sum(axis=1)
    sums = np.concatenate([[0.0], np.cumsum(total)])
    width = min(width, len(total))
    first = int(np.argmax(sums[width:] - sums[:-width]))
    return first, first + width
