"""Basenji and Baskerville training data: a folder of TFRecords with the tables beside them.

Two encodings of the sequence exist. ``statistics.json`` says ``seq_1hot: true`` where a base is *one index byte*
(0 to 3 for A, C, G, T, 4 for N), and false, or nothing, where it is stored one-hot.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from crested_like._checks import did_you_mean
from crested_like._errors import DatasetError
from crested_like._tracks import read_tracks, strand_pairs
from crested_like.datasets._tfrecord import byte_features, read_records

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_CODE = 4
_ONE_HOT = np.vstack([np.eye(4, dtype=np.uint8), np.zeros((1, 4), dtype=np.uint8)])
_DIMENSIONS = ("num_targets", "seq_length", "pool_width", "crop_bp", "target_length")


@dataclass(frozen=True)
class Statistics:
    """Dimensions of a dataset, as its ``statistics.json`` gives them; lengths in bp, ``target_length`` in bins."""

    num_targets: int
    seq_length: int
    pool_width: int
    crop_bp: int
    target_length: int
    index_bytes: bool
    counts: dict[str, int]

    @classmethod
    def read(cls, path: Path) -> Statistics:
        """Read and check a ``statistics.json``."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path}: no readable statistics of a dataset ({error}).") from None
        if missing := [key for key in _DIMENSIONS if not isinstance(raw.get(key), int)]:
            raise DatasetError(f"{path}: needs whole numbers for {', '.join(missing)}.")
        if raw.get("seq_depth", 4) != 4:
            raise DatasetError(f"{path}: seq_depth is {raw['seq_depth']}; only DNA, with 4, is understood.")
        counts = {key.removesuffix("_seqs"): n for key, n in raw.items() if key.endswith("_seqs")}
        dimensions = {key: raw[key] for key in _DIMENSIONS}
        found = cls(**dimensions, index_bytes=bool(raw.get("seq_1hot", False)), counts=counts)
        bins = (found.seq_length - 2 * found.crop_bp) // found.pool_width
        if bins != found.target_length:
            raise DatasetError(
                f"{path}: target_length is {found.target_length}, but {found.seq_length:,} bp less {found.crop_bp:,} "
                f"at each side are {bins} bins of {found.pool_width} bp."
            )
        return found


@dataclass(frozen=True)
class Example:
    """One window of a dataset.

    Attributes
    ----------
    sequence
        ``(L,)`` index codes 0 to 4 for A, C, G, T, N, or ``(L, 4)`` one-hot with N an all-zero row; uint8.
    targets
        ``(bins, tracks)``, float16, on the stored (transformed) scale.
    label, index
        The split, and the example's place in it.
    unmappable
        ``(bins,)`` bool, or None where it was not stored.
    """

    sequence: NDArray[np.uint8]
    targets: NDArray[np.float16]
    label: str
    index: int
    unmappable: NDArray[np.bool_] | None = None


class BasenjiDataset:
    """Training data of Basenji, Enformer or Borzoi as published: one folder an organism.

    Parameters
    ----------
    folder
        Holds ``statistics.json``, ``sequences.bed``, ``targets.txt`` and ``tfrecords/<label>-<n>.tfr``.

    Raises
    ------
    DatasetError
        If something of that is missing or does not fit together; records are checked as they are read.

    Examples
    --------
    >>> data = BasenjiDataset("tiny/hg38")  # doctest: +SKIP
    >>> data.labels  # doctest: +SKIP
    ('train', 'valid', 'test')
    >>> example = next(data.iter("train"))  # doctest: +SKIP
    >>> example.sequence.shape, example.targets.shape  # doctest: +SKIP
    ((131072,), (2048, 74))
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.statistics = Statistics.read(self.folder / "statistics.json")

    @property
    def labels(self) -> tuple[str, ...]:
        """The splits, such as train, valid and test, or fold0, fold1, ..."""
        return tuple(self.statistics.counts)

    @cached_property
    def targets(self) -> pd.DataFrame:
        """The track table: row i describes the last axis of the targets at i; ``strand_pair`` refers to rows."""
        path = self.folder / "targets.txt"
        table = read_tracks(path)
        if len(table) != self.statistics.num_targets:
            raise DatasetError(f"{path}: has {len(table):,} tracks; the records hold {self.statistics.num_targets:,}.")
        return table

    @property
    def strand_pairs(self) -> NDArray[np.intp] | None:
        """For every track the one of the opposite strand (its own where unstranded), or None if not known."""
        return strand_pairs(self.targets)

    @cached_property
    def sequences(self) -> pd.DataFrame:
        """The windows: ``chrom``, ``label`` and, 0-based half-open, ``start`` to ``end`` of what the sequence covers
        and ``target_start`` to ``target_end`` of what the targets cover. Within a label in the order of the records.
        """  # noqa: D205 - one sentence that does not fit a line
        path = self.folder / "sequences.bed"
        try:
            table = pd.read_csv(path, sep="\t", header=None, names=["chrom", "start", "end", "label"], dtype={0: str})
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path}: no table of chromosome, start, end and label ({error}).") from None
        for label, lines in table.groupby("label", sort=False).size().items():
            if lines != self.statistics.counts.get(str(label)):
                raise DatasetError(
                    f"{path}: has {lines:,} windows labelled {label!r}; statistics.json says "
                    f"{self.statistics.counts.get(str(label), 0):,}."
                )
        return self._with_both_intervals(table, path)

    def _with_both_intervals(self, table: pd.DataFrame, path: Path) -> pd.DataFrame:
        """Tell whether the file gives the sequences or the targets by the width, and add the other."""
        length, crop = self.statistics.seq_length, self.statistics.crop_bp
        widths = set(table["end"] - table["start"])
        if not widths <= {length} and not widths <= {length - 2 * crop}:
            raise DatasetError(
                f"{path}: windows are {', '.join(f'{width:,}' for width in sorted(widths)[:3])} bp wide; all must span "
                f"the sequence ({length:,}) or all the targets ({length - 2 * crop:,})."
            )
        flank = 0 if widths <= {length} else crop
        start, end = table["start"] - flank, table["end"] + flank
        return table.assign(start=start, end=end, target_start=start + crop, target_end=end - crop)

    def files(self, label: str) -> list[Path]:
        """The TFRecord files of a split in the order in which its windows are listed: by their number."""
        if label not in self.statistics.counts:
            known = ", ".join(self.labels)
            raise DatasetError(f"{self.folder} has no split {label!r}, only {known}.{did_you_mean(label, self.labels)}")
        numbered = []
        for path in (self.folder / "tfrecords").glob("*.tfr"):
            name, _, number = path.stem.rpartition("-")
            if name == label and number.isdecimal():
                numbered.append((int(number), path))
        numbered.sort()
        if [number for number, _ in numbered] != list(range(len(numbered))):
            missing = sorted(set(range(numbered[-1][0])) - {number for number, _ in numbered})
            raise DatasetError(f"{self.folder}/tfrecords: {label}-{missing[0]}.tfr is missing ({len(missing)} in all).")
        return [path for _, path in numbered]

    def iter(self, label: str, *, one_hot: bool = False) -> Iterator[Example]:
        """Yield the examples of a split in stored order.

        Parameters
        ----------
        label
            One of ``labels``.
        one_hot
            Whether sequences come as one-hot rows rather than index codes.

        Raises
        ------
        DatasetError
            If a record is damaged, has another size than ``statistics.json`` says, or the number of records differs.
        """
        index = 0
        for path in self.files(label):
            for number, payload in enumerate(read_records(path)):
                try:
                    example = self._example(payload, label, index, one_hot)
                except DatasetError as error:
                    raise DatasetError(f"{path}: record {number}: {error}") from None
                yield example
                index += 1
        if index != self.statistics.counts[label]:
            raise DatasetError(
                f"{self.folder}/tfrecords: holds {index:,} {label} examples; statistics.json says "
                f"{self.statistics.counts[label]:,}. Are files missing?"
            )

    def arrays(self, label: str, *, one_hot: bool = False) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Return all sequences and targets of a split as two arrays; for data that fit in memory."""
        examples = list(self.iter(label, one_hot=one_hot))
        return np.stack([e.sequence for e in examples]), np.stack([e.targets for e in examples])

    def _example(self, payload: bytes, label: str, index: int, one_hot: bool) -> Example:
        features, shape = byte_features(payload), (self.statistics.target_length, self.statistics.num_targets)
        if missing := [name for name in ("sequence", "target") if name not in features]:
            raise DatasetError(f"has no feature {' nor '.join(missing)}, only {', '.join(sorted(features)) or 'none'}.")
        targets = _sized(features["target"], np.dtype("<f2"), shape, "target")
        unmappable = _sized(features["umap"], np.dtype(bool), shape[:1], "umap") if "umap" in features else None
        return Example(self._sequence(features["sequence"], one_hot), targets, label, index, unmappable)

    def _sequence(self, stored: memoryview, one_hot: bool) -> NDArray[np.uint8]:
        length, index_bytes = self.statistics.seq_length, self.statistics.index_bytes
        if len(stored) != (length if index_bytes else 4 * length):
            other = len(stored) == (4 * length if index_bytes else length)
            raise DatasetError(
                f"sequence has {len(stored):,} bytes; {length:,} bases stored "
                f"{'as index bytes' if index_bytes else 'one-hot'} (seq_1hot in statistics.json is "
                f"{str(index_bytes).lower()}) are {length if index_bytes else 4 * length:,}."
                + (" Its size is that of the other encoding: correct seq_1hot." if other else "")
            )
        values = np.frombuffer(stored, dtype=np.uint8)
        top = N_CODE if index_bytes else 1
        if values.max(initial=0) > top:
            raise DatasetError(f"sequence has the byte {values.max()}; only 0 to {top} are understood.")
        if index_bytes:
            return _ONE_HOT[values] if one_hot else values
        rows = values.reshape(length, 4)
        if one_hot:
            return rows
        return np.where(rows.any(axis=1), rows.argmax(axis=1), N_CODE).astype(np.uint8)


def _sized(stored: memoryview, dtype: np.dtype, shape: tuple[int, ...], name: str) -> NDArray:
    """Return bytes as an array of a shape, or say which sizes disagree."""
    expected = int(np.prod(shape)) * dtype.itemsize
    if len(stored) != expected:
        hint = " It may hold float32 values; targets are float16." if len(stored) == 2 * expected else ""
        by = " x ".join(f"{n:,}" for n in shape)
        raise DatasetError(f"{name} has {len(stored):,} bytes; {by} values of {dtype} are {expected:,}.{hint}")
    return np.frombuffer(stored, dtype=dtype).reshape(shape)
