"""The sequences of a variant's alleles, and what of their predictions is compared with what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crested_like.genome import Genome, Region
from crested_like.genome.variants import PlacedVariant
from crested_like.tl._geometry import Geometry


@dataclass(frozen=True, slots=True)
class Stretch:
    """A window whose sequence is the genome's but for one allele: ``removed`` bases from ``position`` on become it."""

    chrom: str
    start: int
    """First base of the window, where its left flank lies; 0-based."""
    position: int = 0
    removed: int = 0
    written: str | None = None
    """The allele; None for the genome as it is."""
    anchor: str = "left"
    """Which flank lies where it does in the genome; the other is moved where the allele's length differs."""

    def letters(self, genome: Genome, length: int) -> str:
        """The sequence, ``length`` letters."""
        end = self.start + length
        if self.written is None:
            return genome.fetch(self.chrom, self.start, end)
        after = self.position + self.removed
        if self.anchor == "left":
            before = genome.fetch(self.chrom, self.start, self.position)
            missing = max(length - len(before) - len(self.written), 0)
            return (before + self.written + genome.fetch(self.chrom, after, after + missing))[:length]
        behind = genome.fetch(self.chrom, after, max(end, after))
        missing = max(length - len(behind) - len(self.written), 0)
        return (genome.fetch(self.chrom, self.position - missing, self.position) + self.written + behind)[-length:]


@dataclass(frozen=True, slots=True)
class Job:
    """A variant in its window, and the sequences that have to be predicted."""

    placed: PlacedVariant
    start: int
    """First base of the window."""
    compensate: bool = True

    @property
    def reference(self) -> Stretch:
        """The window with REF: as the file has it, where the genome has something else."""
        variant, chrom = self.placed.variant, self.placed.chrom
        if self.placed.genome_ref == variant.ref:
            return Stretch(chrom, self.start)
        return Stretch(chrom, self.start, variant.position, len(variant.ref), variant.ref)

    @property
    def alternatives(self) -> tuple[Stretch, ...]:
        """The window with ALT; twice where its length differs, with either flank in its place."""
        variant, chrom = self.placed.variant, self.placed.chrom
        anchors = ("left", "right") if self.compensate and len(variant.ref) != len(variant.alt) else ("left",)
        place = chrom, self.start, variant.position, len(variant.ref), variant.alt
        return tuple(Stretch(*place, anchor) for anchor in anchors)

    def changed(self) -> tuple[int, int]:
        """Bases of the window that ALT replaces, half-open; an insertion lies between two, at an empty stretch."""
        position, ref, _ = self.placed.variant.trimmed
        return position - self.start, position - self.start + len(ref)

    def window(self, length: int) -> Region:
        """The window on the genome."""
        return Region(self.placed.chrom, self.start, self.start + length)


def stitched(
    left: NDArray[np.float32], right: NDArray[np.float32], geometry: Geometry, changed: tuple[int, int]
) -> NDArray[np.float32]:
    """Prediction of an allele of another length, bin by bin where the reference's bins lie.

    Bins before the variant are those of the prediction with the left flank in place, bins behind it those with the
    right flank in place. The bins that hold the variant are the mean of both, and so is one value per sequence.

    Parameters
    ----------
    left, right
        ``(bins, tracks)`` or ``(values,)`` with the left and with the right flank in place.
    geometry
        Where the bins lie.
    changed
        Half-open stretch of the window that the allele replaces, in bp.
    """
    mean = (left + right) * np.float32(0.5)
    if geometry.bin_size is None:
        return mean
    starts = geometry.crop + geometry.bin_size * np.arange(geometry.output_bins)
    before = starts + geometry.bin_size <= changed[0]
    behind = starts >= changed[1]
    mean[before] = left[before]
    mean[behind] = right[behind]
    return mean


def window_starts(placed: Sequence[PlacedVariant], length: int, share: int) -> list[int]:
    """First base of every variant's window.

    A window is centred on its variant: ``length // 2`` bases lie before it. With ``share``, variants that lie at most
    so many bp behind the first of a group have the window around the middle of the group.
    """
    centres = [item.variant.position for item in placed]
    for group in _neighbours(placed, share) if share else ():
        middle = (centres[group[0]] + centres[group[-1]]) // 2
        for i in group:
            centres[i] = middle
    return [centre - length // 2 for centre in centres]


def _neighbours(placed: Sequence[PlacedVariant], share: int) -> Iterator[list[int]]:
    """Numbers of variants in groups along the chromosomes, whatever their order."""
    places = {i: (item.chrom, item.variant.position) for i, item in enumerate(placed) if item.scored}
    group: list[int] = []
    for i in sorted(places, key=lambda i: places[i]):
        chrom, position = places[group[0]] if group else places[i]
        if places[i][0] != chrom or places[i][1] - position > share:
            yield group
            group = []
        group.append(i)
    if group:
        yield group
