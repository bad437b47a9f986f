"""HDF5 files written by several threads, on disks that may become full."""

from __future__ import annotations

import io
import itertools
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Level of gzip, for datasets that :func:`write` is going to fill.
LEVEL = 4


def lock() -> Any:
    """The lock of h5py, for what it forgets to lock itself.

    Writing a chunk directly, until h5py 3.16 (https://github.com/h5py/h5py/pull/2764), and reading texts of variable
    length (https://github.com/h5py/h5py/issues/2920).
    """
    from h5py._objects import phil

    return phil


class NewFile:
    """A new HDF5 file, whose failures to write are errors rather than the end of the process.

    HDF5 crashes where it cannot write what it still has to when a file is closed. So it is given a file that takes
    everything, and keeps the first failure for :meth:`check`.

    Attributes
    ----------
    root
        The ``h5py.File``.
    """

    def __init__(self, path: Path):
        import h5py

        self._raw = _Unfailing(path)
        try:
            self.root = h5py.File(self._raw, "w")
        except BaseException:
            self._raw.close()
            raise

    def check(self) -> None:
        """Raise the first error there was in writing."""
        if self._raw.problem is not None:
            raise self._raw.problem

    def close(self) -> None:
        """Close the file, then :meth:`check` it."""
        try:
            self.root.close()
        finally:
            self._raw.close()
        self.check()


@contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """A :class:`NewFile` to be filled in the block, in which ``check`` is called after every large part.

    Raises
    ------
    OSError
        If a write failed, as on a full disk.
    """
    new = NewFile(path)
    try:
        yield new
    finally:
        new.close()


class _Unfailing(io.FileIO):
    """A new file that takes everything; after a failure in memory, so that it still reads as it was written."""

    def __init__(self, path: Path):
        super().__init__(path, "w+b")
        self.problem: OSError | None = None
        self._kept: list[tuple[int, bytes]] = []

    def write(self, data: bytes) -> int:
        place, rest = self.tell(), memoryview(data).cast("B")
        size = len(rest)
        while rest and self.problem is None:  # a file without a buffer may take a part
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.problem = error
        if rest:
            self._kept.append((place + size - len(rest), bytes(rest)))
            self.seek(place + size)
        return size

    def readinto(self, buffer: Any) -> int:
        place, view = self.tell(), memoryview(buffer).cast("B")
        found = super().readinto(view)
        for start, piece in self._kept:
            low, high = max(start, place), min(start + len(piece), place + len(view))
            if low < high:
                view[low - place : high - place] = piece[low - start : high - start]
                found = max(found, high - place)
        return found

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.problem = self.problem or error
            return size or 0


def write(dataset: Any, offset: tuple[int, ...], values: NDArray) -> None:
    """Write an array into a chunked dataset with gzip and no other filter.

    It is compressed here: inside the library only one thread at a time could do it.

    Parameters
    ----------
    dataset
        An ``h5py.Dataset``.
    offset
        Where the array goes along the first axes, 0 along the others; whole chunks.
    values
        With as many axes as the dataset and its type.
    """
    chunk = dataset.chunks
    start = (*offset, *(0 for _ in chunk[len(offset) :]))
    values = values.astype(dataset.dtype, copy=False)
    for corner in itertools.product(*(range(0, size, step) for size, step in zip(values.shape, chunk, strict=True))):
        piece = values[tuple(slice(low, low + step) for low, step in zip(corner, chunk, strict=True))]
        if piece.shape != chunk:  # at the far edge; the rest of the chunk is never read
            piece = np.pad(piece, [(0, step - size) for step, size in zip(chunk, piece.shape, strict=True)])
        place = tuple(first + low for first, low in zip(start, corner, strict=True))
        packed = zlib.compress(np.ascontiguousarray(piece), LEVEL)
        with lock():
            dataset.id.write_direct_chunk(place, packed)
