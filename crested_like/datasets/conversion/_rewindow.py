"""Windows of another length around the same centres, and the bins that stay."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crested_like._checks import positive_int
from crested_like._errors import DatasetError
from crested_like.datasets._layout import Layout
from crested_like.genome._support import listed, unknown_chromosome

if TYPE_CHECKING:
    from numpy.typing import NDArray

EDGES = ("pad", "drop", "error")


@dataclass(frozen=True, eq=False)
class Rewindowed:
    """Windows of a dataset after a change of length.

    Attributes
    ----------
    layout
        That of the new dataset.
    shift
        Bases from the start of an old window to that of the new one; negative where it grows.
    bins
        First bin kept, and the one after the last.
    """

    layout: Layout
    shift: int
    bins: tuple[int, int]

    def windows(self, old: pd.DataFrame) -> pd.DataFrame:
        """The table of windows with the new intervals."""
        start = old["start"] + self.shift
        target_start = start + self.layout.crop_bp
        return old.assign(
            start=start,
            end=start + self.layout.seq_length,
            target_start=target_start,
            target_end=target_start + self.layout.target_bp,
        )


def rewindow(layout: Layout, length: int | None, *, crop_targets: bool = False) -> Rewindowed:
    """How windows of a layout become windows of another length around the same centres.

    The centre is ``(start + end) // 2`` and the new start ``length // 2`` before it, so odd lengths are exact.

    Parameters
    ----------
    layout
        What is there.
    length
        Bases of the new windows; None for those there are.
    crop_targets
        Whether to leave out bins that are not wholly inside the new window.

    Raises
    ------
    DatasetError
        If no bin would be left.
    """
    length = layout.seq_length if length is None else positive_int("sequence_length", length)
    shift = layout.seq_length // 2 - length // 2
    crop, first, last = layout.crop_bp - shift, 0, layout.target_length
    if crop_targets:
        first = max(first, -(crop // layout.pool_width))  # rounded up
        last = min(last, (length - crop) // layout.pool_width)
        if first >= last:
            raise DatasetError(
                f"No bin of {layout.pool_width:,} bp lies wholly inside a window of {length:,} bp. Ask for longer ones."
            )
    crop += first * layout.pool_width
    return Rewindowed(
        replace(layout, seq_length=length, crop_bp=crop, target_length=last - first), shift, (first, last)
    )


def check_chromosomes(windows: pd.DataFrame, sizes: Mapping[str, int], genome: str) -> None:
    """Raise a DatasetError that names all chromosomes of the windows which a genome does not have."""
    if missing := [chrom for chrom in windows["chrom"].unique() if chrom not in sizes]:
        lines = [str(unknown_chromosome(chrom, sizes, f"genome {genome!r}")) for chrom in missing]
        raise DatasetError(f"The dataset has windows on chromosomes that the genome lacks:\n{listed(lines)}")


def beyond_ends(windows: pd.DataFrame, sizes: Mapping[str, int]) -> NDArray[np.bool_]:
    """Which windows reach beyond an end of their chromosome."""
    return ((windows["start"] < 0) | (windows["end"] > windows["chrom"].map(sizes))).to_numpy()


def refuse_beyond(windows: pd.DataFrame, beyond: NDArray[np.bool_], sizes: Mapping[str, int]) -> None:
    """Raise a DatasetError that lists windows beyond the ends of their chromosomes, if there are any."""
    if beyond.any():
        lines = [
            f"{row.label} {row.source_index}: {row.chrom}:{row.start:,}-{row.end:,} of {sizes[row.chrom]:,} bp"
            for row in windows[beyond].itertuples()
        ]
        raise DatasetError(
            f"{len(lines):,} of {len(windows):,} windows reach beyond an end of their chromosome "
            f"(0-based):\n{listed(lines)}\nAsk for shorter windows, or for edge='pad' or 'drop'."
        )


def chosen_tracks(table: pd.DataFrame, channels: Collection[int]) -> tuple[pd.DataFrame, list[str]]:
    """Rows of a track table with strand pairs renumbered, and the tracks whose other strand was not chosen.

    Raises
    ------
    DatasetError
        If a track was chosen twice.
    """
    place = {channel: row for row, channel in enumerate(channels)}
    if len(place) < len(channels):
        twice = pd.Series(channels).duplicated().sum()
        raise DatasetError(f"Every track can be chosen once; {twice:,} were chosen again.")
    chosen = table.iloc[list(channels)].reset_index(drop=True)
    if "index" not in chosen:
        chosen["index"] = list(channels)
    if "strand_pair" not in chosen:
        return chosen, []
    before = chosen["strand_pair"].tolist()
    chosen["strand_pair"] = [place.get(channel, -1) for channel in before]
    alone = (chosen["strand_pair"] < 0).to_numpy() & (np.asarray(before) >= 0)
    return chosen, chosen["identifier"][alone].tolist()
