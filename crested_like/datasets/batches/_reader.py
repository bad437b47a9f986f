"""The examples of one head: read, cut to a piece, and augmented."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crested_like._errors import DatasetError
from crested_like.datasets._source import Source, as_labels, check_label
from crested_like.datasets.batches._augment import Augmentation, bases_of, substituted, targets_of


class Reader:
    """Examples of some splits of a source by their position, as a model takes them.

    Parameters
    ----------
    source
        Where they are.
    labels
        One split or several, which are put one after the other.
    augmentation
        What may be done to an example.
    unstranded
        Whether to turn examples although opposite strands are not known.

    Raises
    ------
    DatasetError
        If a split is unknown, there are no examples, a piece does not fit, or strands are not known but needed.
    """

    def __init__(
        self, source: Source, labels: str | Sequence[str], augmentation: Augmentation, *, unstranded: bool = False
    ):
        self.source, self.augmentation = source, augmentation
        self.labels = tuple(check_label(label, source.labels, _name(source)) for label in as_labels(labels))
        if len(set(self.labels)) < len(self.labels) or not self.labels:
            raise DatasetError(f"Name every split once, and one at least; got {', '.join(self.labels) or 'none'}.")
        self._ends = np.cumsum([source.count(label) for label in self.labels])
        self.count = int(self._ends[-1])
        if not self.count:
            raise DatasetError(f"{_name(source)} has no examples of {', '.join(self.labels)}.")
        self.has_bins = source.layout.target_length is not None
        self.bins, self.flank = _piece(source, augmentation)
        self._pairs = _pairs(source, unstranded) if augmentation.rc and self.has_bins else None

    @property
    def input_length(self) -> int:
        """Bases of an example."""
        layout = self.source.layout
        if self.augmentation.bins is None:
            return layout.seq_length
        return self.bins * layout.pool_width + 2 * self.flank

    @property
    def target_shape(self) -> tuple[int, ...]:
        """``(bins, tracks)``, or ``(tracks,)``."""
        tracks = self.source.layout.num_targets
        return (self.bins, tracks) if self.has_bins else (tracks,)

    def order(self, rng: np.random.Generator) -> NDArray[np.intp]:
        """All positions in a shuffled order that the source reads fast."""
        return self.source.order(self.labels, rng)

    def place(self, position: int) -> tuple[str, int]:
        """Label of an example, and its number within the label."""
        number = int(np.searchsorted(self._ends, position, side="right"))
        return self.labels[number], int(position - (self._ends[number - 1] if number else 0))

    def example(
        self, position: int, rng: np.random.Generator, strand_and_shift: tuple[bool, int] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Index codes ``(input_length,)`` and targets of an example, augmented.

        Parameters
        ----------
        position
            Which example.
        rng
            Where all draws for this example come from.
        strand_and_shift
            Whether it is turned, and by how much it is moved, if that was drawn for a whole batch.
        """
        codes, targets = self.source.read(*self.place(position))
        own = self.augmentation.strand_and_shift(rng)
        flip, shift = own if strand_and_shift is None else strand_and_shift
        first = 0
        if self.augmentation.bins is not None:
            first = int(rng.integers(0, self.source.layout.target_length - self.bins + 1))
            targets = targets[first : first + self.bins]
        found = bases_of(codes, self._start(first, flip), self.input_length, flip=flip, shift=shift)
        if self.augmentation.mutate:
            found = substituted(found, self.augmentation.mutate, rng)
        return found, targets_of(targets, flip, self._pairs)

    def _start(self, first: int, flip: bool) -> int:
        """Where in the window the bases of a piece start that begins with a bin.

        In the turned piece as many bases come before the bins as in the other; they lie behind them in the window,
        which may have one base more on one side than on the other.
        """
        if not self.has_bins:
            return 0
        layout = self.source.layout
        low = layout.crop_bp + first * layout.pool_width
        return low + self.bins * layout.pool_width + self.flank - self.input_length if flip else low - self.flank


def _name(source: Source) -> str:
    return str(getattr(source, "path", type(source).__name__))


def _piece(source: Source, augmentation: Augmentation) -> tuple[int, int]:
    """Bins of an example, and the bases before them."""
    layout = source.layout
    if layout.target_length is None:
        if augmentation.bins is not None:
            raise DatasetError(f"{_name(source)} has one value a track, so no pieces of bins= can be taken.")
        return 0, 0
    if augmentation.bins is None:
        return layout.target_length, layout.crop_bp
    if augmentation.bins > layout.target_length:
        raise DatasetError(
            f"Pieces of {augmentation.bins:,} bins were asked for; the windows of {_name(source)} have "
            f"{layout.target_length:,}."
        )
    flank = layout.crop_bp if augmentation.flank is None else augmentation.flank
    if flank < 0:
        raise DatasetError(
            f"The targets of {_name(source)} reach {-layout.crop_bp:,} bp beyond the sequence at each side. Say how "
            f"many bases flank= a piece is to have beyond its bins."
        )
    return augmentation.bins, flank


def _pairs(source: Source, unstranded: bool) -> NDArray[np.intp] | None:
    """For every track the one of the opposite strand; None where each is its own."""
    pairs = source.layout.strand_pairs
    if pairs is None:
        if unstranded:
            return None
        raise DatasetError(
            f"rc=True needs to know which tracks of {_name(source)} are each other's opposite strand, and its track "
            f"table has no column strand_pair. Add one, or pass unstranded=True if no track has a strand."
        )
    return None if np.array_equal(pairs, np.arange(len(pairs))) else pairs
