"""Training data in arrays, in a Zarr store or an HDF5 file."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crested_like import _hdf5
from crested_like._errors import DatasetError
from crested_like.datasets._layout import FORMAT_VERSION, N_CODE, WINDOW_COLUMNS, Layout
from crested_like.datasets._source import as_labels, check_label
from crested_like.datasets.formats._basenji import Example, one_hot_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DIMENSIONS = ("seq_length", "pool_width", "target_length", "crop_bp")
_REQUIRED = {*_DIMENSIONS, "format_version", "track_columns"}


class ArrayDataset:
    """Training data in arrays: a Zarr store or an HDF5 file.

    Nothing but the tables is kept in memory. Examples may be read by several threads; a dataset can be pickled, and
    used after a fork.

    Parameters
    ----------
    path
        The store or file, written by :func:`convert` or :func:`open_writer` with the format ``"zarr"`` or ``"hdf5"``.

    Attributes
    ----------
    layout
        What all examples have in common.
    attributes
        Facts that were kept with the dataset: where it is from, and how it was made.

    Raises
    ------
    DatasetError
        If it is something else, or was written by a newer version.

    Examples
    --------
    >>> data = ArrayDataset("hg38.zarr")  # doctest: +SKIP
    >>> codes, targets = data.read("train", 0)  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path).expanduser()
        self._handle: _Handle | None = None
        self._opening = threading.Lock()
        self.attributes = self._opened().attributes
        self._check()
        self.layout = Layout(
            **{name: int(self.attributes[name]) for name in _DIMENSIONS},
            tracks=self._opened().table(self.attributes["track_columns"], "tracks/"),
            assembly=self.attributes.get("assembly"),
            transform=self.attributes.get("transform"),
        )

    def __repr__(self) -> str:
        return f"ArrayDataset({str(self.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_handle", "_opening")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _handle=None, _opening=threading.Lock())

    @cached_property
    def _table(self) -> pd.DataFrame:
        return self._opened().table(WINDOW_COLUMNS)

    @cached_property
    def _rows(self) -> dict[str, NDArray[np.intp]]:
        return dict(self._table.groupby("label", sort=False).indices)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The splits, in stored order."""
        return tuple(map(str, self._table["label"].unique()))

    @property
    def targets(self) -> pd.DataFrame:
        """The track table: row i describes the last axis of the targets at i; ``strand_pair`` refers to rows."""
        return self.layout.tracks

    @property
    def strand_pairs(self) -> NDArray[np.intp] | None:
        """For every track the one of the opposite strand (its own where unstranded), or None if not known."""
        return self.layout.strand_pairs

    def windows(self, label: str) -> pd.DataFrame:
        """Where the examples of a split lie, 0-based half-open, in their order: ``chrom``, ``start`` and ``end`` of the
        sequence, ``target_start`` and ``target_end``, ``label``, and ``source_index``, the number in the split of the
        dataset that this one was made from.
        """  # noqa: D205 - one sentence that does not fit two lines
        return self._table.iloc[self._of(label)].reset_index(drop=True)

    def count(self, label: str) -> int:
        """How many examples a split has."""
        return len(self._of(label))

    def read(self, label: str, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Return one example: index codes ``(L,)``, uint8, 0 to 4 for A, C, G, T, N, and targets ``(bins, tracks)``,
        float16, on the stored (transformed) scale.

        Raises
        ------
        DatasetError
            If a part of it is missing from the file.
        """  # noqa: D205 - one sentence that does not fit two lines
        row, opened = self._row(label, index), self._opened()
        codes, targets = opened.arrays["sequence"][row], opened.arrays["target"][row]
        if codes.max() > N_CODE or np.isnan(targets[:, 0]).any():
            raise DatasetError(f"{self.path}: example {index} of {label} is not, or not wholly, there. Copy it again.")
        return codes, targets

    def unmappable(self, label: str, index: int) -> NDArray[np.bool_] | None:
        """Which bins of an example are unmappable, ``(bins,)``, or None where it was not stored."""
        row, array = self._row(label, index), self._opened().arrays.get("unmappable")
        return None if array is None else array[row]

    def iter(self, label: str, *, one_hot: bool = False, start: int = 0, stop: int | None = None) -> Iterator[Example]:
        """Yield the examples of a split in stored order, or those from ``start`` to ``stop``.

        Parameters
        ----------
        label
            One of ``labels``.
        one_hot
            Whether sequences come as one-hot rows rather than index codes.
        start, stop
            Examples, counted from 0 in the split.
        """
        for index in range(*slice(start, stop).indices(self.count(label))):
            codes, targets = self.read(label, index)
            sequence = one_hot_rows(codes) if one_hot else codes
            yield Example(sequence, targets, label, index, self.unmappable(label, index))

    def order(self, labels: str | Sequence[str], rng: np.random.Generator) -> NDArray[np.intp]:
        """A shuffled order of the examples of one or several splits: positions in them, put one after the other."""
        return rng.permutation(sum(map(self.count, as_labels(labels))))

    def _of(self, label: str) -> NDArray[np.intp]:
        return self._rows[check_label(label, self.labels, self.path)]

    def _row(self, label: str, index: int) -> int:
        rows = self._of(label)
        if not 0 <= index < len(rows):
            raise IndexError(f"{self.path} has {len(rows):,} {label} examples; got the number {index:,}.")
        return int(rows[index])

    def _opened(self) -> _Handle:
        """The open dataset of this process; a child must not share its parent's."""
        with self._opening:
            if self._handle is None or self._handle.process != os.getpid():
                self._handle = _open(self.path)
            return self._handle

    def _check(self) -> None:
        if missing := _REQUIRED - self.attributes.keys():
            raise DatasetError(f"{self.path} is no dataset in arrays: it lacks the attributes {sorted(missing)}.")
        if (version := self.attributes["format_version"]) > FORMAT_VERSION:
            raise DatasetError(
                f"{self.path} was written by a newer version (format {version}; this one knows {FORMAT_VERSION}). "
                f"Update crested_like."
            )


class _Handle:
    """An open store or file: its arrays of examples by name, its attributes, and its tables."""

    def __init__(self, root: Any, attributes: Mapping[str, Any], column: Callable[[Any], NDArray]):
        self.process, self.attributes = os.getpid(), dict(attributes)
        self._root, self._column = root, column
        self.arrays = {name: root[name] for name in ("sequence", "target", "unmappable") if name in root}

    def table(self, columns: Sequence[str], prefix: str = "") -> pd.DataFrame:
        """Columns that lie under a prefix."""
        return pd.DataFrame({name: self._column(self._root[prefix + name]) for name in columns})


def _open(path: Path) -> _Handle:
    if not path.exists():
        raise DatasetError(f"{path} does not exist.")
    try:
        return _open_zarr(path) if path.is_dir() else _open_hdf5(path)
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(f"{path} is no Zarr store or HDF5 file with arrays of a dataset ({error}).") from None


def _open_zarr(path: Path) -> _Handle:
    import zarr

    root = zarr.open_group(path, mode="r")
    return _Handle(root, root.attrs.asdict(), _zarr_column)


def _zarr_column(array: Any) -> NDArray:
    values = array[:]
    return values if values.dtype.kind in "biuf" else values.astype(object)  # text, in whatever type this Zarr reads it


def _open_hdf5(path: Path) -> _Handle:
    import h5py

    root = h5py.File(path, "r")
    if "sequence" not in root or "target" not in root:
        raise ValueError("it has no arrays 'sequence' and 'target'")
    return _Handle(root, attributes_of(root), _hdf5_column)


def _hdf5_column(array: Any) -> NDArray:
    with _hdf5.lock():
        return array.asstr()[:] if array.dtype == object else array[:]


def attributes_of(group: Any) -> dict[str, Any]:
    """Attributes of an HDF5 file or group as plain values; the counterpart of ``describe``."""
    return {name: _value(value) for name, value in group.attrs.items()}


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return json.loads(value) if value[:1] in ("{", "[") else value
    return value.item() if isinstance(value, np.generic) else value
