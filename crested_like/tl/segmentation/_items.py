"""Sequences that are to be segmented."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crested_like._errors import SequenceError
from crested_like.genome import check_one_hot, check_regions, one_hot
from crested_like.tl._inputs import GenomeRegions, Sequences, contents_of

#: Bases that are read at a time.
PIECE = 1 << 20


@dataclass(frozen=True)
class Item:
    """A sequence to be segmented, of its own or a part of a chromosome."""

    label: str
    chrom: str
    start: int
    length: int
    size: int
    """Bases of the chromosome, or of the sequence itself."""
    fetch: Callable[[int, int], NDArray[np.float32]] = field(repr=False)
    """One-hot bases from a start to an end on the chromosome; zeros beyond its ends."""


def items_of(source: Any, genome: Any) -> list[Item]:
    found = contents_of(source, genome)
    if isinstance(found, GenomeRegions):
        check_regions(found.regions, found.genome)

        def fetch_of(chrom: str) -> Callable[[int, int], NDArray[np.float32]]:
            return lambda start, end: one_hot(found.genome.fetch(chrom, start, end))

        return [
            Item(
                r.name or str(r),
                r.chrom,
                r.start,
                r.end - r.start,
                found.genome.chromosomes[r.chrom],
                fetch_of(r.chrom),
            )
            for r in found.regions
        ]
    if isinstance(found, Sequences):
        names = found.names or [f"sequence_{i}" for i in range(len(found.sequences))]
        arrays = [one_hot(sequence) for sequence in found.sequences]
    else:
        arrays = list(check_one_hot(found).astype(np.float32))
        names = [f"sequence_{i}" for i in range(len(arrays))]
    empty = [name for name, array in zip(names, arrays, strict=True) if not len(array)]
    if empty:
        raise SequenceError(f"Sequence {empty[0]!r} is empty.")
    return [
        Item(name, name, 0, len(array), len(array), _part_of(array)) for name, array in zip(names, arrays, strict=True)
    ]


def _part_of(array: NDArray[np.float32]) -> Callable[[int, int], NDArray[np.float32]]:
    def fetch(start: int, end: int) -> NDArray[np.float32]:
        part = array[max(start, 0) : max(end, 0)]
        before = min(max(-start, 0), end - start)
        return np.pad(part, ((before, end - start - before - len(part)), (0, 0)))

    return fetch


def fingerprint(items: Sequence[Item]) -> str:
    """Number and digest of sequences: names, places, and the bases themselves."""
    found = hashlib.sha256()
    for item in items:
        found.update(f">{item.label} {item.chrom}:{item.start}+{item.length} of {item.size}".encode())
        end = item.start + item.length
        for start in range(item.start, end, PIECE):
            bases = item.fetch(start, min(start + PIECE, end))
            found.update(np.ascontiguousarray(bases @ np.array([1, 2, 3, 4], np.float32)).tobytes())
    return f"{len(items):,} with {sum(item.length for item in items):,} bases, {found.hexdigest()[:16]}"
