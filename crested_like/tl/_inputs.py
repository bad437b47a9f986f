"""What a user may give to be predicted, as a sequence of one-hot windows that are made when they are needed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like._errors import SequenceError
from crested_like.genome import Region, check_one_hot, check_regions, one_hot, one_hot_batch, regions_of, resolve_genome
from crested_like.genome._anndata import regions_of_anndata

if TYPE_CHECKING:
    from crested_like.genome import Genome

_FASTA_ENDINGS = (".fa", ".fasta", ".fna", ".fa.gz", ".fasta.gz", ".fna.gz")


class Windows:
    """One-hot windows of one length, made when they are asked for.

    Parameters
    ----------
    length
        Bases of every window.
    labels
        What the user called each.
    regions
        Where each lies: on a chromosome, or on a sequence of its own that starts at 0.
    chrom_sizes
        Lengths of these chromosomes or sequences, in bp.
    """

    def __init__(
        self, length: int, labels: Sequence[str], regions: Sequence[Region], chrom_sizes: Mapping[str, int]
    ) -> None:
        self.length, self.labels, self.regions, self.chrom_sizes = length, labels, regions, chrom_sizes

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, start: int, stop: int) -> NDArray[np.float32]:
        """Windows ``start`` to ``stop - 1``: ``(stop - start, length, 4)``, float32, order A, C, G, T."""
        raise NotImplementedError


class ArrayWindows(Windows):
    """Windows that somebody has encoded already."""

    def __init__(self, array: NDArray, length: int) -> None:
        self.array = check_one_hot(array)
        check_lengths([self.array.shape[1]], length)
        super().__init__(length, *_alone([f"sequence_{i}" for i in range(len(self.array))], length))

    def batch(self, start: int, stop: int) -> NDArray[np.float32]:
        return np.asarray(self.array[start:stop], np.float32)


class SequenceWindows(Windows):
    """Windows given as DNA strings, with names where they have any."""

    def __init__(self, sequences: Sequence[str], length: int, names: Sequence[str] | None = None) -> None:
        super().__init__(length, *_alone(names or [f"sequence_{i}" for i in range(len(sequences))], length))
        check_lengths([len(sequence) for sequence in sequences], length, names)
        one_hot_batch(sequences, np.uint8)  # complains of every bad letter before any work is done
        self.sequences = sequences

    def batch(self, start: int, stop: int) -> NDArray[np.float32]:
        return one_hot_batch(self.sequences[start:stop])


class RegionWindows(Windows):
    """Windows of a genome around regions: recentred on ``(start + end) // 2``; N beyond a chromosome's ends."""

    def __init__(self, regions: Sequence[Region], length: int, genome: Genome) -> None:
        check_regions(regions, genome)
        labels = [region.name or str(region) for region in regions]
        super().__init__(length, labels, [region.resize(length) for region in regions], genome.chromosomes)
        self.genome = genome

    def batch(self, start: int, stop: int) -> NDArray[np.float32]:
        return np.stack([one_hot(self.genome.fetch(r.chrom, r.start, r.end)) for r in self.regions[start:stop]])


def _alone(names: Sequence[str], length: int) -> tuple[Sequence[str], list[Region], dict[str, int]]:
    """Labels, regions and sizes of windows that lie on no genome."""
    return names, [Region(name, 0, length) for name in names], dict.fromkeys(names, length)


def check_lengths(lengths: Sequence[int], expected: int, names: Sequence[str] | None = None) -> None:
    """Raise where sequences do not have the length a model takes: says which is the first, and how many there are.

    Raises
    ------
    SequenceError
        If any length differs.
    """
    wrong = [i for i, length in enumerate(lengths) if length != expected]
    if not wrong:
        return
    first = wrong[0]
    if names is not None:
        which = f"Sequence {names[first]!r}"
    else:
        which = "The sequence" if len(lengths) == 1 else f"Sequence {first}"
    others = f" ({len(wrong):,} of {len(lengths):,} sequences have another length.)" if len(wrong) > 1 else ""
    raise SequenceError(
        f"{which} has {lengths[first]:,} bases; the model takes exactly {expected:,}.{others} "
        "Pad or trim it, or give a region and a genome to let predict() centre the window."
    )


@dataclass(frozen=True)
class Sequences:
    """DNA strings, with names where they have any."""

    sequences: Sequence[str]
    names: Sequence[str] | None = None


@dataclass(frozen=True)
class GenomeRegions:
    """Regions of a genome."""

    regions: list[Region]
    genome: Genome


def windows_of(source: Any, length: int, genome: Any = None) -> Windows:
    """Windows of whatever :func:`crested_like.tl.predict` accepts.

    Raises
    ------
    SequenceError
        If there is nothing in it, or it is nothing that can be predicted.
    """
    if isinstance(source, Windows):
        return source
    found = contents_of(source, genome)
    if isinstance(found, Sequences):
        return SequenceWindows(found.sequences, length, found.names)
    if isinstance(found, GenomeRegions):
        return RegionWindows(found.regions, length, found.genome)
    return ArrayWindows(found, length)


def contents_of(source: Any, genome: Any = None) -> Sequences | GenomeRegions | NDArray:
    """What an input is: sequences, regions of a genome, or an array that is one-hot already.

    Raises
    ------
    SequenceError
        If there is nothing in it, or it is nothing that can be predicted.
    """
    if isinstance(source, str):
        return _of_texts([source], genome)
    if isinstance(source, np.ndarray) and source.dtype.kind in "US":
        source = source.tolist()
    if isinstance(source, list | tuple) and source and all(isinstance(item, str) for item in source):
        return _of_texts(list(source), genome)
    if isinstance(source, list) and source and all(map(_is_named_sequence, source)):
        names, sequences = zip(*source, strict=True)
        return Sequences(sequences, names)
    if isinstance(source, list) and source and all(isinstance(item, np.ndarray) for item in source):
        return np.concatenate([check_one_hot(item) for item in source])
    if hasattr(source, "__array__") and not hasattr(source, "columns"):  # arrays, also of torch, jax, tensorflow
        return np.asarray(source)
    if hasattr(source, "var_names") and hasattr(source, "var"):
        source = regions_of_anndata(source)
    regions = regions_of(source)
    if not regions:
        raise SequenceError(
            "There is nothing to predict: the input holds no sequence and no region. Give DNA strings, a one-hot "
            "array (N, L, 4), regions such as 'chr1:1001-2000' with a genome, or a BED file."
        )
    return GenomeRegions(regions, resolve_genome(genome))


def _of_texts(texts: list[str], genome: Any) -> Sequences | GenomeRegions:
    regions = [_names_region(text) for text in texts]
    if any(regions) and not all(regions):
        raise SequenceError(
            f"Item {regions.index(not regions[0])} is a {'sequence' if regions[0] else 'region'}, item 0 is not: "
            "give either DNA sequences or regions, not both in one call."
        )
    if not regions[0]:
        return Sequences(texts)
    if len(texts) == 1 and texts[0].lower().endswith(_FASTA_ENDINGS):
        from crested_like.genome import read_fasta

        names, sequences = zip(*read_fasta(texts[0]), strict=True)
        return Sequences(sequences, names)
    return GenomeRegions([region for text in texts for region in regions_of(text)], resolve_genome(genome))


def _is_named_sequence(item: Any) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and all(isinstance(part, str) for part in item)


def _names_region(text: str) -> bool:
    """Whether a text is a region or a file rather than DNA."""
    if ":" in text or os.sep in text or "." in text:
        return True
    return len(text) < 256 and Path(text).is_file()
