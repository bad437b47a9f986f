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
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crested_like._checks import did_you_mean, positive_int
from crested_like._errors import DatasetError
from crested_like.datasets._layout import N_CODE, WINDOW_COLUMNS, Layout, read_track_table
from crested_like.datasets.formats._counts import counted
from crested_like.datasets.formats._tfrecord import byte_features, read_records

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Facts that the format has no place for, in a file of our own beside the others.
FACTS = "dataset.json"
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
    file, position
        The TFRecord file it is from, and its place in it, or None.
    """

    sequence: NDArray[np.uint8]
    targets: NDArray[np.float16]
    label: str
    index: int
    unmappable: NDArray[np.bool_] | None = None
    file: Path | None = None
    position: int | None = None


class BasenjiDataset:
    """Training data of Basenji, Enformer or Borzoi as published: one folder an organism.

    Parameters
    ----------
    folder
        Holds ``statistics.json``, ``sequences.bed``, ``targets.txt`` and ``tfrecords/<label>-<n>.tfr``.
    records_per_file
        How many examples a file has, the last one of a label fewer. Without it files are counted where one is not read
        from the first example on, which takes as long as reading them; the counts are kept in the user's cache folder.

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

    def __init__(self, folder: str | Path, *, records_per_file: int | None = None):
        self.folder = Path(folder).expanduser()
        self.records_per_file = None if records_per_file is None else positive_int("records_per_file", records_per_file)
        self.statistics = Statistics.read(self.folder / "statistics.json")
        self._counts: dict[str, tuple[int, ...]] = {}

    def __repr__(self) -> str:
        return f"BasenjiDataset({str(self.folder)!r})"

    @property
    def labels(self) -> tuple[str, ...]:
        """The splits, such as train, valid and test, or fold0, fold1, ..."""
        return tuple(self.statistics.counts)

    @cached_property
    def layout(self) -> Layout:
        """What all examples have in common."""
        given = self.statistics
        dimensions = {name: getattr(given, name) for name in ("seq_length", "pool_width", "target_length", "crop_bp")}
        known = {name: self.attributes.get(name) for name in ("assembly", "transform")}
        return Layout(**dimensions, **known, tracks=self.targets)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Facts that were kept with a dataset which this package wrote; none for others."""
        path = self.folder / FACTS
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except ValueError as error:
            raise DatasetError(f"{path} cannot be read ({error}).") from None

    @cached_property
    def targets(self) -> pd.DataFrame:
        """The track table: row i describes the last axis of the targets at i; ``strand_pair`` refers to rows."""
        path = self.folder / "targets.txt"
        table = read_track_table(path)
        if len(table) != self.statistics.num_targets:
            raise DatasetError(f"{path}: has {len(table):,} tracks; the records hold {self.statistics.num_targets:,}.")
        return table

    @property
    def strand_pairs(self) -> NDArray[np.intp] | None:
        """For every track the one of the opposite strand (its own where unstranded), or None if not known."""
        return self.layout.strand_pairs

    @cached_property
    def sequences(self) -> pd.DataFrame:
        """The windows: ``chrom``, ``label`` and, 0-based half-open, ``start`` to ``end`` of what the sequence covers
        and ``target_start`` to ``target_end`` of what the targets cover. Within a label in the order of the records.
        """  # noqa: D205 - one sentence that does not fit a line
        path = self.folder / "sequences.bed"
        names = ["chrom", "start", "end", "label"]
        types = {"chrom": str, "start": np.int64, "end": np.int64, "label": str}
        try:
            table = pd.read_csv(
                path, sep="\t", header=None, names=names, usecols=range(4), dtype=types, keep_default_na=False
            )
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path}: no table of chromosome, start, end and label ({error}).") from None
        lines = {str(label): int(n) for label, n in table.groupby("label", sort=False).size().items()}
        for label in [*lines, *self.labels]:
            if lines.get(label, 0) != self.statistics.counts.get(label, 0):
                raise DatasetError(
                    f"{path}: has {lines.get(label, 0):,} windows labelled {label!r}; statistics.json says "
                    f"{self.statistics.counts.get(label, 0):,}."
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
        bins = self.statistics.target_length * self.statistics.pool_width
        return table.assign(start=start, end=end, target_start=start + crop, target_end=start + crop + bins)

    @property
    def bed_spans(self) -> str:
        """What the intervals of ``sequences.bed`` span: ``"sequences"`` or ``"targets"``."""
        with (self.folder / "sequences.bed").open(encoding="utf-8") as file:
            _, start, end, *_ = file.readline().split("\t")
        return "sequences" if int(end) - int(start) == self.statistics.seq_length else "targets"

    def windows(self, label: str) -> pd.DataFrame:
        """The windows of one split, in the order of its examples; ``source_index`` is their number."""
        self._check_label(label)
        table = self.sequences[self.sequences["label"] == label].reset_index(drop=True)
        return table.assign(source_index=np.arange(len(table)))[list(WINDOW_COLUMNS)]

    def count(self, label: str) -> int:
        """How many examples a split has."""
        self._check_label(label)
        return self.statistics.counts[label]

    def _check_label(self, label: str) -> None:
        if label not in self.statistics.counts:
            known = ", ".join(self.labels)
            raise DatasetError(f"{self.folder} has no split {label!r}, only {known}.{did_you_mean(label, self.labels)}")

    def files(self, label: str) -> list[Path]:
        """The TFRecord files of a split in the order in which its windows are listed: by their number."""
        self._check_label(label)
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

    def record_counts(self, label: str) -> tuple[int, ...]:
        """How many examples each file of a split has: counted once, or as ``records_per_file`` says.

        Raises
        ------
        DatasetError
            If they do not add up to the number of examples.
        """
        if label in self._counts:
            return self._counts[label]
        files, total = self.files(label), self.count(label)
        if self.records_per_file is None:
            counts = counted(files) if len(files) > 1 else (total,) * len(files)
        else:
            starts = range(0, len(files) * self.records_per_file, self.records_per_file)
            counts = tuple(min(max(total - start, 0), self.records_per_file) for start in starts)
        if sum(counts) != total:
            told = "" if self.records_per_file is None else f" with {self.records_per_file:,} a file"
            raise self._miscounted(label, sum(counts), told)
        self._counts[label] = counts
        return counts

    def file_starts(self, label: str) -> NDArray[np.intp]:
        """The first example of each file of a split."""
        return np.cumsum([0, *self.record_counts(label)])[:-1]

    def iter(self, label: str, *, one_hot: bool = False, start: int = 0, stop: int | None = None) -> Iterator[Example]:
        """Yield the examples of a split in stored order, or those from ``start`` to ``stop``.

        Parameters
        ----------
        label
            One of ``labels``.
        one_hot
            Whether sequences come as one-hot rows rather than index codes.
        start, stop
            Examples, counted from 0 in the split. Only the files that hold them are read.

        Raises
        ------
        DatasetError
            If a record is damaged, has another size than ``statistics.json`` says, or the number of records differs.
        """
        total = self.count(label)
        first, last, _ = slice(start, stop).indices(total)
        if (first, last) == (0, total):
            yield from self._all(label, one_hot)
            return
        counts, files, begin = self.record_counts(label), self.files(label), 0
        for path, count in zip(files, counts, strict=True):
            if begin < last and begin + count > first:
                position = -1
                for position, payload in enumerate(read_records(path)):
                    if position == count:
                        raise DatasetError(f"{path}: has more than the {count:,} records expected of it.")
                    if begin + position >= last:
                        break
                    if begin + position >= first:
                        yield self.decode(payload, label, begin + position, one_hot, path, position)
                else:
                    if position + 1 < count:
                        raise DatasetError(f"{path}: has {position + 1:,} records; {count:,} are expected of it.")
            begin += count

    def _all(self, label: str, one_hot: bool) -> Iterator[Example]:
        """All examples of a split; nothing has to be counted before."""
        index = 0
        for path in self.files(label):
            for position, payload in enumerate(read_records(path)):
                yield self.decode(payload, label, index, one_hot, path, position)
                index += 1
        if index != self.count(label):
            raise self._miscounted(label, index)

    def _miscounted(self, label: str, found: int, told: str = "") -> DatasetError:
        return DatasetError(
            f"{self.folder}/tfrecords: holds {found:,} {label} examples{told}; statistics.json says "
            f"{self.count(label):,}. Are files missing?"
        )

    def arrays(self, label: str, *, one_hot: bool = False) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Return all sequences and targets of a split as two arrays; for data that fit in memory."""
        examples = list(self.iter(label, one_hot=one_hot))
        return np.stack([e.sequence for e in examples]), np.stack([e.targets for e in examples])

    def decode(self, payload: bytes, label: str, index: int, one_hot: bool, path: Path, position: int) -> Example:
        """Make an example of a record, which is the ``position``-th of the file at ``path``.

        Raises
        ------
        DatasetError
            If the record is damaged or has another size than ``statistics.json`` says.
        """
        try:
            sequence, targets, unmappable = self._decoded(payload, one_hot)
        except DatasetError as error:
            raise DatasetError(f"{path}: record {position}: {error}") from None
        return Example(sequence, targets, label, index, unmappable, path, position)

    def _decoded(self, payload: bytes, one_hot: bool) -> tuple[NDArray, NDArray, NDArray | None]:
        features, shape = byte_features(payload), (self.statistics.target_length, self.statistics.num_targets)
        if missing := [name for name in ("sequence", "target") if name not in features]:
            raise DatasetError(f"has no feature {' nor '.join(missing)}, only {', '.join(sorted(features)) or 'none'}.")
        targets = _sized(features["target"], np.dtype("<f2"), shape, "target")
        unmappable = _sized(features["umap"], np.dtype(bool), shape[:1], "umap") if "umap" in features else None
        return self._sequence(features["sequence"], one_hot), targets, unmappable

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
            return one_hot_rows(values) if one_hot else values
        rows = values.reshape(length, 4)
        if one_hot:
            return rows
        return np.where(rows.any(axis=1), rows.argmax(axis=1), N_CODE).astype(np.uint8)


def one_hot_rows(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Index codes ``(L,)`` as ``(L, 4)``, with N an all-zero row."""
    return _ONE_HOT[codes]


def _sized(stored: memoryview, dtype: np.dtype, shape: tuple[int, ...], name: str) -> NDArray:
    """Return bytes as an array of a shape, or say which sizes disagree."""
    expected = int(np.prod(shape)) * dtype.itemsize
    if len(stored) != expected:
        hint = " It may hold float32 values; targets are float16." if len(stored) == 2 * expected else ""
        by = " x ".join(f"{n:,}" for n in shape)
        raise DatasetError(f"{name} has {len(stored):,} bytes; {by} values of {dtype} are {expected:,}.{hint}")
    return np.frombuffer(stored, dtype=dtype).reshape(shape)
