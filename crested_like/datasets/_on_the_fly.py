"""Training data that are not stored: targets made from coverage files when they are asked for."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import one_of, positive_int
from crested_like._errors import DatasetError
from crested_like.datasets._layout import Layout
from crested_like.datasets._letters import codes_at
from crested_like.datasets._source import as_labels, check_label
from crested_like.datasets.building._cleaning import BLACKLIST_MARGIN, MISSING, cleaned, finished
from crested_like.datasets.building._coverage import AnyTracks, Coverage, check_files, open_coverage, track_files
from crested_like.datasets.building._folds import AnyGenome
from crested_like.datasets.building._intervals import Intervals
from crested_like.datasets.building._transform import TargetTransform
from crested_like.datasets.building._windows import Windows, crop_of, given_windows
from crested_like.genome import Regions, resolve_genome

if TYPE_CHECKING:
    import pandas as pd


class OnTheFly:
    """Windows of a genome with targets that are made from coverage files whenever they are read.

    Targets are those that :func:`build` stores with the same arguments and ``track_quantile=None``, for a quantile of a
    whole track is known only when all of it was read. With many tracks this takes long: build a dataset where you train
    for more than a few rounds.

    Parameters
    ----------
    tracks, genome
        As for :func:`build`; with ``genome=None``, the one registered last.
    windows
        A ``sequences.bed`` (chromosome, start, end, label), or a table as :func:`split_genome` gives it. Intervals span
        the sequences or the targets.
    seq_length, pool_width, crop_bp, target_length, version, blacklist, missing, missing_chromosomes, nan, decimals
        As for :func:`build`.

    Attributes
    ----------
    layout
        What all examples have in common.
    labels
        The splits.

    Raises
    ------
    TrackError, RegionError, DatasetError
        As for :func:`build`.

    Examples
    --------
    >>> data = OnTheFly("targets.txt", "hg38.fa", "sequences.bed", seq_length=131_072, pool_width=32)  # doctest: +SKIP
    >>> codes, targets = data.read("train", 0)  # doctest: +SKIP
    """

    def __init__(
        self,
        tracks: AnyTracks,
        genome: AnyGenome | None,
        windows: Windows,
        *,
        seq_length: int,
        pool_width: int,
        crop_bp: int | None = None,
        target_length: int | None = None,
        version: str = "new",
        blacklist: Regions | None = None,
        missing: str = "baseline",
        missing_chromosomes: str = "error",
        nan: str = "error",
        decimals: int | None = None,
    ):
        self._missing, self._decimals = one_of("missing", missing, MISSING), decimals
        self.genome = resolve_genome(genome)
        crop_bp = crop_of(seq_length, positive_int("pool_width", pool_width), crop_bp, target_length)
        table, files = track_files(tracks)
        transform = TargetTransform.of(table, version)
        self._transforms = [transform.take([track]) for track in range(len(table))]
        places = given_windows(windows, self.genome, seq_length, crop_bp)
        options = {"missing_chromosomes": missing_chromosomes, "nan": nan}
        check_files(files, table["identifier"], self.genome, dict.fromkeys(places["chrom"]), **options)
        self._files = _Files(files, options)
        self._windows = {str(label): rows.reset_index(drop=True) for label, rows in places.groupby("label", sort=False)}
        self.labels = tuple(self._windows)
        bins = (seq_length - 2 * crop_bp) // pool_width
        self.layout = Layout(seq_length, pool_width, bins, table, crop_bp, self.genome.name, version)
        self._blacklist = Intervals.of(blacklist, margin=BLACKLIST_MARGIN)
        self._blacklist.check(self.genome.chromosomes, "the blacklist")

    def windows(self, label: str) -> pd.DataFrame:
        """Where the examples of a split lie, 0-based half-open: ``chrom``, ``start`` and ``end`` of the sequence,
        ``target_start`` and ``target_end``, ``label``, and ``source_index``, the number in the split.
        """  # noqa: D205 - one sentence that does not fit two lines
        return self._windows[check_label(label, self.labels, type(self).__name__)]

    def count(self, label: str) -> int:
        """How many examples a split has."""
        return len(self.windows(label))

    def read(self, label: str, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Make one example: index codes ``(L,)``, uint8, 0 to 4 for A, C, G, T, N, and targets ``(bins, tracks)``."""
        names = ["chrom", "start", "end", "target_start", "target_end"]
        chrom, start, end, target_start, target_end = self.windows(label).loc[index, names]
        blacklisted = self._blacklist.mask(chrom, target_start, target_end)
        targets = np.empty((self.layout.target_length, self.layout.num_targets), np.float16)
        for track, transform in enumerate(self._transforms):
            coverage = self._files.of_this_thread(track).read(chrom, target_start, target_end)
            try:
                coverage = cleaned(coverage, len(targets), blacklisted, self._missing)
                targets[:, track] = transform.apply(coverage[:, np.newaxis], self.layout.pool_width)[:, 0]
            except ValueError as error:
                place = f"{chrom}:{target_start + 1:,}-{target_end:,}"
                raise DatasetError(f"Track {transform.identifiers[0]!r} in window {place}: {error}") from error
        return codes_at(self.genome, chrom, start, end), finished(targets, decimals=self._decimals)

    def order(self, labels: str | Sequence[str], rng: np.random.Generator) -> NDArray[np.intp]:
        """A shuffled order of the examples of one or several splits: positions in them, put one after the other."""
        return rng.permutation(sum(map(self.count, as_labels(labels))))


class _Files:
    """Coverage files, opened once by each thread that reads them."""

    def __init__(self, paths: Sequence[Path], options: Mapping[str, str]):
        self._paths, self._options = list(paths), dict(options)
        self._local = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _local=threading.local())

    def of_this_thread(self, track: int) -> Coverage:
        """The open file of a track; neither threads nor a child process share one."""
        opened = getattr(self._local, "opened", None)
        if opened is None or opened.process != os.getpid():
            opened = self._local.opened = _Opened()
        path = self._paths[track]
        if path not in opened:
            opened[path] = open_coverage(path, **self._options)
        return opened[path]


class _Opened(dict[Path, Coverage]):
    """Files that are closed when the thread ends, or the dataset is no longer used."""

    def __init__(self) -> None:
        super().__init__()
        self.process = os.getpid()

    def __del__(self) -> None:
        for coverage in self.values():
            coverage.close()
