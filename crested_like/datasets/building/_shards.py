"""Targets of all windows track by track, as they are read: a few tracks in each of at most 256 files.

A coverage file is read once, along the genome; an example needs all tracks at once. Between the two lies this copy on
disk, which also makes known what only a whole track tells: its extreme quantile. Each file (HDF5) is done or not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crested_like._atomic import atomic_path
from crested_like._errors import CrestedLikeError, DatasetError
from crested_like._hdf5 import new_file
from crested_like.datasets.building._cleaning import UpperQuantile, cleaned
from crested_like.datasets.building._coverage import open_coverage
from crested_like.datasets.building._intervals import Intervals
from crested_like.datasets.building._transform import TargetTransform
from crested_like.datasets.building._windows import in_genomic_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_FILES = 256  # that are open at once
_DATASET = "targets"


@dataclass(frozen=True)
class Reading:
    """How coverage is read and made into targets; the same for all tracks.

    Attributes
    ----------
    windows
        Columns ``chrom``, ``target_start`` and ``target_end``.
    pool_width
        Bases of a bin.
    blacklist
        Regions of artefacts, with their margins.
    missing
        As for :func:`crested_like.datasets.building._cleaning.cleaned`.
    quantile
        The one of a whole track that is to be found, or None.
    options
        As for :func:`crested_like.datasets.building._coverage.open_coverage`.
    """

    windows: pd.DataFrame
    pool_width: int
    blacklist: Intervals
    missing: str
    quantile: float | None
    options: Mapping[str, str]

    @property
    def bins(self) -> int:
        """Bins of an example."""
        first = self.windows.iloc[0]
        return int(first["target_end"] - first["target_start"]) // self.pool_width


@dataclass(frozen=True)
class Shard:
    """Some tracks that are kept in one file: their positions, coverage files and transform."""

    path: Path
    tracks: Sequence[int]
    files: Sequence[Path]
    transform: TargetTransform


def shards_of(folder: Path, files: Sequence[Path], transform: TargetTransform) -> list[Shard]:
    """Divide tracks into at most 256 shards of nearly one size."""
    parts = np.array_split(np.arange(len(files)), min(len(files), _MOST_FILES))
    return [
        Shard(folder / f"{number}.h5", part.tolist(), [files[i] for i in part], transform.take(part))
        for number, part in enumerate(parts)
    ]


def write_shard(shard: Shard, reading: Reading) -> dict[str, list[float]]:
    """Read the tracks of a shard; the file appears when it is complete.

    Returns
    -------
    dict
        By track: ``missing``, the fraction of bases without data, and, where a quantile is asked for, ``ceiling``.

    Raises
    ------
    DatasetError
        If coverage cannot be used; names the track and the window.
    """
    count, bins = len(reading.windows), reading.bins
    facts: dict[str, list[float]] = {"missing": []} | ({} if reading.quantile is None else {"ceiling": []})
    with atomic_path(shard.path) as path, new_file(path) as new:
        stored = new.root.create_dataset(
            _DATASET,
            (len(shard.tracks), count, bins),
            np.float16,
            chunks=(1, 1, bins),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        for number, source in enumerate(shard.files):
            top = None if reading.quantile is None else UpperQuantile(reading.quantile, count * bins)
            gaps = 0
            for row, targets, missing in _targets(source, shard.transform.take([number]), reading):
                stored[number, row] = targets
                gaps += missing
                if top is not None:
                    top.add(targets)
            new.check()
            facts["missing"].append(gaps / (count * bins * reading.pool_width))
            if top is not None:
                facts["ceiling"].append(top.value())
    return facts


def _targets(
    source: Path, transform: TargetTransform, reading: Reading
) -> Iterator[tuple[int, NDArray[np.float16], int]]:
    """Row, targets and number of bases without data, window by window along the genome."""
    with open_coverage(source, **reading.options) as coverage:
        for row, chrom, start, end in in_genomic_order(reading.windows):
            try:
                values = coverage.read(chrom, start, end)
                missing = int(np.isnan(values).sum())
                blacklisted = reading.blacklist.mask(chrom, start, end)
                values = cleaned(values, reading.bins, blacklisted, reading.missing)
                yield row, transform.apply(values[:, None], reading.pool_width)[:, 0], missing
            except (CrestedLikeError, OSError) as error:  # any other OSError is of what is written
                place = f"{chrom}:{start + 1:,}-{end:,}"
                raise DatasetError(
                    f"Track {transform.identifiers[0]!r} ({source}) in window {place}: {error}"
                ) from error


class Shards:
    """Shards that are written, to be read by example.

    Parameters
    ----------
    shards
        All of a dataset.
    """

    def __init__(self, shards: Sequence[Shard]):
        import h5py

        self._tracks = sum(len(shard.tracks) for shard in shards)
        with ExitStack() as stack:
            self._stored: list[tuple[Sequence[int], Any]] = [
                (shard.tracks, stack.enter_context(h5py.File(shard.path, "r"))[_DATASET]) for shard in shards
            ]
            self._stack = stack.pop_all()

    def __enter__(self) -> Shards:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, start: int, stop: int) -> NDArray[np.float16]:
        """Targets of the windows from row ``start`` to ``stop``: ``(windows, bins, tracks)``."""
        bins = self._stored[0][1].shape[2]
        targets = np.empty((stop - start, bins, self._tracks), np.float16)
        for tracks, stored in self._stored:
            targets[..., tracks[0] : tracks[-1] + 1] = np.moveaxis(stored[:, start:stop], 0, -1)
        return targets
