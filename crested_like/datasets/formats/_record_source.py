"""A folder of TFRecords to train on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import positive_int
from crested_like.datasets._source import as_labels, check_label, merged
from crested_like.datasets.formats._basenji import BasenjiDataset
from crested_like.datasets.formats._cursor import Cursors

if TYPE_CHECKING:
    import pandas as pd

    from crested_like.datasets._layout import Layout

INTERLEAVE = 8


class RecordSource:
    """The examples of a folder of TFRecords by label and number.

    Compressed files are read from their start, so any example can be had but those of one file best come in its order;
    :meth:`order` gives such orders. Zarr and HDF5 can be shuffled wholly: see :func:`crested_like.datasets.convert`.

    Parameters
    ----------
    folder
        As for :class:`BasenjiDataset`.
    records_per_file
        How many examples a file has, the last one of a label fewer. Without it the records of every file are counted,
        once: the counts are kept in the user's cache folder.
    interleave
        Files that :meth:`order` mixes. Twice as many are kept ready to be read on.

    Attributes
    ----------
    layout
        What all examples have in common.
    labels
        The splits.
    path
        The folder.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, records_per_file: int | None = None, interleave: int = INTERLEAVE
    ):
        self._data = BasenjiDataset(folder, records_per_file=records_per_file)
        self.path, self.labels = self._data.folder, self._data.labels
        self._interleave = positive_int("interleave", interleave)
        self._cursors = Cursors(2 * interleave)
        self._files: dict[str, tuple[list[Path], NDArray[np.intp]]] = {}

    @cached_property
    def layout(self) -> Layout:
        """What all examples have in common."""
        return self._data.layout

    def windows(self, label: str) -> pd.DataFrame:
        """Where the examples of a split lie, in their order; see :attr:`BasenjiDataset.sequences`."""
        return self._data.windows(check_label(label, self.labels, self.path))

    def count(self, label: str) -> int:
        """How many examples a split has."""
        return self._data.count(check_label(label, self.labels, self.path))

    def read(self, label: str, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """One example: index codes ``(L,)`` and targets ``(bins, tracks)``; the arrays cannot be written to.

        Raises
        ------
        DatasetError
            If its file is damaged, or has another number of records than was counted or told.
        """
        if not 0 <= index < self.count(label):
            raise IndexError(f"{self.path} has {self.count(label):,} {label} examples; got the number {index:,}.")
        paths, ends = self._ends(label)
        file = int(np.searchsorted(ends, index, side="right"))
        first = int(ends[file - 1]) if file else 0
        payload = self._cursors.read(paths[file], index - first, int(ends[file]) - first)
        example = self._data.decode(payload, label, index, False, paths[file], index - first)
        return example.sequence, example.targets

    def order(self, labels: str | Sequence[str], rng: np.random.Generator) -> NDArray[np.intp]:
        """A shuffled order of the examples of one or several splits: positions in them, put one after the other.

        Files come in a random order, some of them mixed at random, each from its start to its end. So examples of one
        file stay near each other.
        """
        counts = [count for label in as_labels(labels) for count in np.diff(self._ends(label)[1], prepend=0)]
        return merged(counts, self._interleave, rng)

    def _ends(self, label: str) -> tuple[list[Path], NDArray[np.intp]]:
        """Files of a split, and the number of examples up to the end of each."""
        if label not in self._files:
            self._files[label] = self._data.files(label), np.cumsum(self._data.record_counts(label), dtype=np.intp)
        return self._files[label]
