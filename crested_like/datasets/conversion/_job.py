"""The examples of a conversion: which they are, and each as it is to be written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from crested_like._errors import DatasetError
from crested_like._tracks import resolve_tracks
from crested_like.datasets._letters import codes_at
from crested_like.datasets.conversion._assembly import Compared, compare, refuse_another
from crested_like.datasets.conversion._rewindow import (
    Rewindowed,
    beyond_ends,
    check_chromosomes,
    chosen_tracks,
    refuse_beyond,
    rewindow,
)
from crested_like.datasets.conversion._select import Selection

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from crested_like.datasets._writing import Block, Written
    from crested_like.datasets.formats._basenji import Example
    from crested_like.genome import Genome

#: Examples of a label, from different files, that are compared with the genome before anything is written.
SAMPLE = 4


@dataclass(frozen=True, eq=False)
class Job:
    """What is converted, and how; made by :func:`plan`.

    Attributes
    ----------
    selection
        Examples to write.
    new
        Their new windows and bins; its layout has the chosen tracks.
    channels
        Tracks to write, or None for all as they are.
    genome
        Where sequences are taken from, or None for the stored ones.
    check
        Whether to compare the stored sequences with the genome.
    read, padded, dropped
        Examples by label.
    unpaired
        Tracks whose opposite strand was not chosen.
    """

    selection: Selection
    new: Rewindowed
    channels: NDArray[np.intp] | None
    genome: Genome | None
    check: bool
    read: dict[str, int]
    padded: dict[str, int]
    dropped: dict[str, int]
    unpaired: list[str]

    @cached_property
    def windows(self) -> pd.DataFrame:
        """The table of the windows to write."""
        return self.new.windows(self.selection.windows)

    @cached_property
    def files(self) -> NDArray[np.intp]:
        """For each window the number of its file within the label."""
        return self.selection.file_of()

    def refuse_another_genome(self) -> None:
        """Compare the first examples of a few files of each label with the genome."""
        if self.genome is None or not self.check:
            return
        windows, sample = self.selection.windows, []
        for rows in windows.groupby("label", sort=False).indices.values():
            firsts = rows[np.unique(self.files[rows], return_index=True)[1]]
            chosen = firsts[np.unique(np.linspace(0, len(firsts) - 1, SAMPLE).round().astype(int))]
            for row in chosen.tolist():
                sample += [compared for _, compared in self._examples(range(row, row + 1)) if compared]
        refuse_another(sample, self.genome)

    def examples(self, blocks: Sequence[Block]) -> Iterator[tuple[Written, Compared | None]]:
        """The examples of blocks of one label, in order, each with what comparing it has found."""
        return self._examples([row for block in blocks for row in range(block.start, block.stop)])

    def _examples(self, rows: Sequence[int]) -> Iterator[tuple[Written, Compared | None]]:
        wanted = {window.source_index: window for window in self.selection.windows.iloc[list(rows)].itertuples()}
        label = self.selection.windows["label"].iat[rows[0]]
        for example in self.selection.examples(label, min(wanted), max(wanted) + 1):
            window = wanted.get(example.index)
            if window is not None:
                yield self._written(example, window), self._compared(example, window)

    def _written(self, example: Example, window: Any) -> Written:
        start = window.start + self.new.shift
        length = self.new.layout.seq_length
        if self.genome is None:
            codes = np.ascontiguousarray(example.sequence[self.new.shift : self.new.shift + length])
        else:
            codes = codes_at(self.genome, window.chrom, start, start + length)
        bins = slice(*self.new.bins)
        targets = example.targets[bins] if self.channels is None else example.targets[bins, self.channels]
        return codes, targets, None if example.unmappable is None else example.unmappable[bins]

    def _compared(self, example: Example, window: Any) -> Compared | None:
        if self.genome is None or not self.check:
            return None
        name = f"{example.label} {example.index}" + ("" if example.file is None else f" ({example.file.name})")
        return compare(example.sequence, self.genome, window.chrom, window.start, window.end, name)


def plan(
    selection: Selection,
    genome: Genome | None,
    *,
    tracks: object,
    edge: str,
    sequence_length: int | None,
    crop_targets: bool,
    check_assembly: bool,
) -> Job:
    """Work out what is to be written, and refuse what cannot be; arguments as for :func:`convert`.

    Raises
    ------
    DatasetError
        If a genome is needed and none given, it lacks a chromosome, or nothing would be left.
    TrackError
        If there are no such tracks.
    """
    layout, windows = selection.data.layout, selection.windows
    new = rewindow(layout, sequence_length, crop_targets=crop_targets)
    if genome is None and (edge != "pad" or new.layout.seq_length > layout.seq_length):
        raise DatasetError(
            f"genome= is needed for windows longer than the stored {layout.seq_length:,} bp, and to find those beyond "
            f"the ends of chromosomes (edge='drop' or 'error')."
        )
    counts: dict[str, dict[str, int]] = {"read": _by_label(windows, windows["label"]), "padded": {}, "dropped": {}}
    if genome is not None:
        check_chromosomes(windows, genome.chromosomes, genome.name)
        beyond = beyond_ends(new.windows(windows), genome.chromosomes)
        if edge == "error":
            refuse_beyond(new.windows(windows), beyond, genome.chromosomes)
        counts["padded" if edge == "pad" else "dropped"] = _by_label(windows, windows["label"][beyond])
        if edge == "drop":
            selection = replace(selection, windows=windows[~beyond].reset_index(drop=True))
    if not len(selection.windows):
        raise DatasetError(f"No example is left to write, of {len(windows):,} that were chosen.")
    channels: NDArray[np.intp] | None = None
    unpaired: list[str] = []
    if tracks is not None:
        channels = resolve_tracks(tracks, layout.tracks, layout.num_targets, owner="dataset")
        table, unpaired = chosen_tracks(layout.tracks, channels.tolist())
        new = replace(new, layout=replace(new.layout, tracks=table))
    return Job(selection, new, channels, genome, check_assembly, **counts, unpaired=unpaired)


def _by_label(windows: pd.DataFrame, chosen: pd.Series) -> dict[str, int]:
    counts = chosen.value_counts()
    return {str(label): int(counts.get(label, 0)) for label in windows["label"].unique()}
