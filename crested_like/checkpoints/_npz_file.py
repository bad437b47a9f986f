"""Trees of Haiku's parameters as flat ``.npz`` files, read without evaluating or unpickling anything in them."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from crested_like._errors import CheckpointError
from crested_like.checkpoints._compressed import refuse_bomb
from crested_like.checkpoints._joblib_file import TYPES, bytes_of

#: Header of an array in an ``.npz`` file: type, whether in Fortran's order, shape.
_NPY = re.compile(rb"\{'descr': '([^']+)', 'fortran_order': (True|False), 'shape': \(([0-9, ]*)\), ?\}\s*")
_NPY_1 = b"\x93NUMPY\x01\x00"
#: What a zip archive that is not well formed makes of Python's reader for it.
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, IndexError, OSError, RuntimeError, ValueError)


@dataclass(frozen=True)
class NpzArray:
    """An array left in its archive until NumPy asks for it."""

    archive: zipfile.ZipFile
    entry: str
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]
    order: Literal["C", "F"]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        try:
            with self.archive.open(self.entry) as file:
                file.read(self.offset)
                values = np.frombuffer(file.read(), self.dtype)
            return values.reshape(self.shape, order=self.order).astype(dtype or self.dtype)
        except _BAD_ZIP as error:
            raise CheckpointError(f"{self.archive.filename}: {self.entry} cannot be read ({error}).") from error


@contextmanager
def npz_tree(path: Path) -> Iterator[dict[str, NpzArray]]:
    """Arrays of a parameter tree in an ``.npz`` file, by ``module//parameter``, open while the context lasts.

    Raises
    ------
    CheckpointError
        If the file holds anything but float32 and int32 arrays by such names, is damaged, or unpacks to more than
        200 times its size.
    """
    try:
        archive = zipfile.ZipFile(path)
    except _BAD_ZIP as error:
        raise CheckpointError(f"{path} cannot be read, or is no .npz file: {error}.") from error
    with archive:
        try:
            arrays = _npz_arrays(archive, path)
        except CheckpointError:
            raise
        except (pickle.UnpicklingError, *_BAD_ZIP) as error:
            raise CheckpointError(f"{path} is damaged ({error!r}). Fetch it again.") from error
        yield arrays


def _npz_arrays(archive: zipfile.ZipFile, path: Path) -> dict[str, NpzArray]:
    entries = archive.infolist()
    refuse_bomb(path, sum(entry.file_size for entry in entries))
    arrays: dict[str, NpzArray] = {}
    for entry in entries:
        name = entry.filename.removesuffix(".npy")
        if "//" not in name or name == entry.filename:
            raise CheckpointError(f"{path} is refused: its entry {entry.filename!r} is no 'module//parameter'.")
        if name in arrays:
            raise CheckpointError(f"{path} is refused: its entry {entry.filename!r} is there twice.")
        arrays[name] = _npz_array(archive, entry, path)
    if not arrays:
        raise CheckpointError(f"{path} holds no arrays: it is no parameter tree of Haiku.")
    return arrays


def _npz_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> NpzArray:
    """What the header of an entry describes. It is no Python here, and no pickle can follow it."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CheckpointError(f"{path} is refused: its entry {entry.filename!r} is compressed as NumPy never does.")
    with archive.open(entry) as file:
        start = file.read(len(_NPY_1) + 2)
        header = file.read(int.from_bytes(start[-2:], "little"))
    found = _NPY.fullmatch(header)
    if not start.startswith(_NPY_1) or found is None:
        raise CheckpointError(f"{path} is refused: its entry {entry.filename!r} is no plain array of NumPy.")
    letters, fortran, dimensions = (part.decode("latin-1") for part in found.groups())
    if letters not in {f"<{known}" for known in TYPES}:
        raise CheckpointError(
            f"{path} is refused: its entry {entry.filename!r} is of type {letters[:20]!r}; parameters are float32 "
            "('<f4') or int32 ('<i4'), and arrays of objects ('|O') could run code."
        )
    shape = tuple(int(n) for n in dimensions.split(",") if n.strip())
    offset = len(start) + len(header)
    if offset + bytes_of(shape) != entry.file_size:
        raise ValueError(f"{entry.filename}: {entry.file_size:,} bytes are wrong for an array of shape {shape}")
    return NpzArray(archive, entry.filename, offset, TYPES[letters[1:]], shape, "F" if fortran == "True" else "C")
