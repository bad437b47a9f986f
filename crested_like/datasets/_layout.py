"""What all examples of a dataset have in common, and the table of their windows."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from crested_like._checks import one_of, positive_int
from crested_like._errors import DatasetError
from crested_like._tracks import normalise, read_tracks, strand_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Index code of N and of every base that is not known; A, C, G and T are 0 to 3.
N_CODE = 4
#: Version of what we add to a format: the attributes of arrays and text files, and ``dataset.json`` of a folder.
FORMAT_VERSION = 1
#: Versions of the target transform, see :func:`crested_like.tl.untransform`.
TRANSFORMS = ("new", "old")
#: Columns of a table of windows; positions are 0-based half-open.
WINDOW_COLUMNS = ("chrom", "start", "end", "target_start", "target_end", "label", "source_index")


@dataclass(frozen=True, eq=False)
class Layout:
    """What all examples of a dataset have in common.

    Attributes
    ----------
    seq_length
        Bases of a sequence.
    pool_width
        Bases of a bin.
    target_length
        Bins of an example.
    tracks
        The track table: row i describes the last axis of the targets at i, and ``strand_pair`` refers to rows, -1 where
        the other strand is not in the table. A column ``index`` keeps the numbers of a larger experiment.
    crop_bp
        Bases from the start of the sequence to that of the targets; negative where the targets begin before the
        sequence.
    assembly
        Name of the genome, or None if not known.
    transform
        How coverage was squashed into targets: ``"old"``, ``"new"``, or None if not known.

    Raises
    ------
    DatasetError
        If the table has no tracks.
    """

    seq_length: int
    pool_width: int
    target_length: int
    tracks: pd.DataFrame
    crop_bp: int
    assembly: str | None = None
    transform: str | None = None

    def __post_init__(self):
        for name in ("seq_length", "pool_width", "target_length"):
            positive_int(name, getattr(self, name))
        if self.transform is not None:
            one_of("transform", self.transform, TRANSFORMS)
        if not len(self.tracks):
            raise DatasetError("A dataset needs at least one track; the track table has none.")

    @property
    def num_targets(self) -> int:
        """Number of tracks."""
        return len(self.tracks)

    @property
    def target_bp(self) -> int:
        """Bases that the bins of an example span."""
        return self.target_length * self.pool_width

    @property
    def strand_pairs(self) -> NDArray | None:
        """For every track the one of the opposite strand (its own where unstranded), or None if not known.

        Raises
        ------
        TrackError
            If the opposite strand of a track is not in the table.
        """
        return strand_pairs(self.tracks)

    def facts(self) -> dict[str, Any]:
        """Everything but the tracks, as plain values; what is not known is left out."""
        facts = {
            "seq_length": self.seq_length,
            "target_length": self.target_length,
            "num_targets": self.num_targets,
            "pool_width": self.pool_width,
            "crop_bp": self.crop_bp,
            "assembly": self.assembly,
            "transform": self.transform,
        }
        return {name: value for name, value in facts.items() if value is not None}


def read_track_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Track table of a dataset, with the columns that only datasets keep: ``index`` and ``file``.

    Raises
    ------
    TrackError
        If the file is no track table.
    """
    return read_tracks(path, keep=("index", "file"))


def with_own_columns(table: pd.DataFrame) -> pd.DataFrame:
    """A normalised track table that keeps ``index`` and ``file``, for a table that a user gives."""
    return normalise(table, keep=("index", "file"))


def check_windows(windows: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """Return the table of windows with its columns in order and rows numbered, or say what does not fit.

    Raises
    ------
    DatasetError
        If columns or rows are missing, a label's rows are not together, or an interval has another width.
    """
    if missing := [name for name in WINDOW_COLUMNS if name not in windows.columns]:
        raise DatasetError(f"A table of windows needs the columns {', '.join(WINDOW_COLUMNS)}; missing: {missing}.")
    if not len(windows):
        raise DatasetError("A dataset needs at least one window; the table of windows has none.")
    table = windows[list(WINDOW_COLUMNS)].reset_index(drop=True)
    labels = table["label"]
    if (labels != labels.shift()).sum() != labels.nunique():
        raise DatasetError("The windows of a label must follow each other; sort the table by label, stably.")
    for first, second, width in (
        ("start", "end", layout.seq_length),
        ("start", "target_start", layout.crop_bp),
        ("target_start", "target_end", layout.target_bp),
    ):
        wrong = table[table[second] - table[first] != width]
        if len(wrong):
            row = wrong.iloc[0]
            raise DatasetError(
                f"{len(wrong):,} of {len(table):,} windows have another distance from {first} to {second} than "
                f"{width:,} bp, the first {row['chrom']}:{row['start']:,}-{row['end']:,} (row {wrong.index[0]:,})."
            )
    return table


def digest(table: pd.DataFrame) -> str:
    """A fingerprint of a table's values and column names."""
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()[:16]
