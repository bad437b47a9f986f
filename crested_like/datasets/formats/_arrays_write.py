"""Writing a dataset as arrays: one of sequences, one of targets, and the tables as columns; Zarr or HDF5.

``sequence`` is ``(n, L)`` uint8, 0 to 4 for A, C, G, T, N; ``target`` is ``(n, bins, tracks)`` float16; ``unmappable``
is ``(n, bins)`` bool where it is known. ``chrom``, ``start``, ``end``, ``target_start``, ``target_end``, ``label`` and
``source_index`` are ``(n,)``, and the group ``tracks`` has one array for each column of the track table.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crested_like import _hdf5
from crested_like.datasets._layout import FORMAT_VERSION, Layout

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from crested_like.datasets._writing import Block, Written

#: Bytes of targets in a chunk, at most, before compression. Larger examples are cut into blocks of bins.
CHUNK_BYTES = 1 << 24
#: What a base or bin reads as that was never written; neither can be data.
NEVER_WRITTEN = {"sequence": 255, "target": float("nan"), "unmappable": False}
_PER_BLOCK = 16


class Arrays(ABC):
    """A container of arrays; see :class:`crested_like.datasets._writing.Container`."""

    resumable: bool
    per_block = _PER_BLOCK

    def __init__(self, layout: Layout, windows: pd.DataFrame):
        self._layout, self._windows = layout, windows
        self._lock = threading.Lock()

    def open(self, path: Path, *, fresh: bool) -> None:
        self._open(path, fresh)
        if not fresh:
            return
        count, layout = len(self._windows), self._layout
        self._create("sequence", (count, layout.seq_length), np.uint8, ("example", "base"))
        self._create("target", (count, *self._target_shape), np.float16, ("example", "bin", "track"))
        for name in self._windows:
            self._add_column("", name, self._windows[name], "example")
        for name in layout.tracks:
            self._add_column("tracks/", name, layout.tracks[name], "track")
        columns = {"track_columns": list(layout.tracks)}  # groups keep no order
        self._describe({"format_version": FORMAT_VERSION, **layout.facts(), **columns})

    @property
    def _target_shape(self) -> tuple[int, int]:
        return self._layout.target_length, self._layout.num_targets

    def write(self, block: Block, number: int, examples: Iterator[Written]) -> None:
        for row, (codes, targets, unmappable) in enumerate(examples, start=block.start):
            self._put("sequence", row, codes)
            self._put("target", row, targets)
            if unmappable is not None:
                with self._lock:
                    if not self._has("unmappable"):
                        shape = (len(self._windows), self._layout.target_length)
                        self._create("unmappable", shape, np.bool_, ("example", "bin"))
                self._put("unmappable", row, unmappable)

    def finish(self, facts: Mapping[str, Any]) -> None:
        self._describe(facts)

    def _chunks(self, shape: tuple[int, ...], dtype: Any) -> tuple[int, ...]:
        """One example, or as many bins of it as ``CHUNK_BYTES`` hold, in blocks of nearly one size."""
        bins, width = shape[1], int(np.prod(shape[2:], dtype=int)) * np.dtype(dtype).itemsize
        pieces = -(-bins * width // CHUNK_BYTES)
        return (1, max(1, -(-bins // pieces)), *shape[2:])

    @abstractmethod
    def _open(self, path: Path, fresh: bool) -> None: ...

    @abstractmethod
    def _has(self, name: str) -> bool: ...

    @abstractmethod
    def _create(self, name: str, shape: tuple[int, ...], dtype: Any, dims: tuple[str, ...]) -> None: ...

    @abstractmethod
    def _put(self, name: str, row: int, values: NDArray) -> None: ...

    @abstractmethod
    def _add_column(self, prefix: str, name: str, values: pd.Series, dim: str) -> None: ...

    @abstractmethod
    def _describe(self, facts: Mapping[str, Any]) -> None: ...


class ZarrArrays(Arrays):
    """Arrays in a Zarr store of format 3."""

    resumable = True

    def _open(self, path: Path, fresh: bool) -> None:
        import zarr

        self._root = zarr.open_group(path, mode="w" if fresh else "r+", zarr_format=3)
        self._arrays: dict[str, Any] = {} if fresh else dict(self._root.arrays())

    def _has(self, name: str) -> bool:
        return name in self._arrays

    def _create(self, name: str, shape: tuple[int, ...], dtype: Any, dims: tuple[str, ...]) -> None:
        from zarr.codecs import BloscCodec, ZstdCodec

        # of a base three of eight bits are in use; targets, often rounded and repeated, shrink best as they are
        bits = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=1)
        self._arrays[name] = self._root.create_array(
            name,
            shape=shape,
            dtype=dtype,
            chunks=self._chunks(shape, dtype),
            fill_value=NEVER_WRITTEN[name],
            dimension_names=dims,
            compressors=ZstdCodec(level=3) if name == "target" else bits,
        )

    def _put(self, name: str, row: int, values: NDArray) -> None:
        self._arrays[name][row] = values

    def _add_column(self, prefix: str, name: str, values: pd.Series, dim: str) -> None:
        array, text = _column(values)
        made = self._root.create_array(
            prefix + name, shape=array.shape, dtype="string" if text else array.dtype, dimension_names=(dim,)
        )
        made[:] = array

    def _describe(self, facts: Mapping[str, Any]) -> None:
        self._root.update_attributes(dict(facts))

    def close(self) -> None:
        """Do nothing: a store has no open files."""


class Hdf5Arrays(Arrays):
    """Arrays in an HDF5 file."""

    resumable = False

    def __init__(self, layout: Layout, windows: pd.DataFrame):
        super().__init__(layout, windows)
        self._new: _hdf5.NewFile | None = None
        self._datasets: dict[str, Any] = {}

    def _open(self, path: Path, fresh: bool) -> None:
        self._new = _hdf5.NewFile(path)
        self._file = self._new.root

    def _has(self, name: str) -> bool:
        return name in self._datasets

    def _create(self, name: str, shape: tuple[int, ...], dtype: Any, dims: tuple[str, ...]) -> None:
        made = self._file.create_dataset(
            name,
            shape,
            dtype,
            chunks=self._chunks(shape, dtype),
            compression="gzip",
            compression_opts=_hdf5.LEVEL,
            fillvalue=NEVER_WRITTEN[name],
        )
        made.attrs["dimensions"] = list(dims)
        self._datasets[name] = made

    def _put(self, name: str, row: int, values: NDArray) -> None:
        _hdf5.write(self._datasets[name], (row,), values[np.newaxis])
        self._new.check()

    def _add_column(self, prefix: str, name: str, values: pd.Series, dim: str) -> None:
        array, _ = _column(values)
        made = self._file.create_dataset(prefix + name, data=array)
        made.attrs["dimensions"] = [dim]

    def _describe(self, facts: Mapping[str, Any]) -> None:
        describe(self._file, facts)
        self._new.check()

    def close(self) -> None:
        if self._new is not None:
            self._new.close()


def describe(group: Any, facts: Mapping[str, Any]) -> None:
    """Add facts as attributes of an HDF5 file or group; what is no text or number becomes JSON."""
    for name, value in facts.items():
        if value is not None:
            group.attrs[name] = value if isinstance(value, str | int | float) else json.dumps(value)


def _column(values: pd.Series) -> tuple[NDArray, bool]:
    """A column as an array, and whether it is text."""
    if values.dtype.kind in "biuf":
        return values.to_numpy(), False
    return values.fillna("").astype(str).to_numpy(dtype=object), True
