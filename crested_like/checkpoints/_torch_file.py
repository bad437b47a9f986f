"""PyTorch's weight files (``.bin``, ``.pt``) without PyTorch: tensors are read, nothing in the file is ever run.

Such a file is a zip archive of raw arrays and one pickle that describes them. The pickle is read by an interpreter that
knows the five names a plain state dict needs and refuses every other.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from crested_like._errors import CheckpointError

#: Element types by the name of their storage class.
_STORAGES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("<i1"),
    "ByteStorage": np.dtype("<u1"),
    "BoolStorage": np.dtype("?"),
}
#: Where a training framework keeps the state dict beside other things.
_NESTED = ("state_dict", "model_state_dict", "model")


@dataclass(frozen=True)
class _Storage:
    """A raw array of the archive."""

    key: str
    dtype: np.dtype


@dataclass(frozen=True)
class TorchArray:
    """A tensor left in its file until NumPy asks for it."""

    archive: zipfile.ZipFile
    entry: str
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """Offset and strides are in elements."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        stored = np.frombuffer(self.archive.read(self.entry), self.dtype)
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if 0 not in self.shape and not 0 <= last < stored.size:
            raise CheckpointError(f"{self.archive.filename} is damaged: {self.entry} is shorter than its tensor.")
        steps = tuple(step * self.dtype.itemsize for step in self.strides)
        view = np.lib.stride_tricks.as_strided(stored[self.offset :], self.shape, steps, writeable=False)
        return np.array(view, dtype=dtype)


@contextmanager
def torch_file(path: Path) -> Iterator[dict[str, TorchArray]]:
    """Tensors of a PyTorch file by name, open while the context lasts.

    Raises
    ------
    CheckpointError
        If the file holds anything but tensors by name, is of the form of before PyTorch 1.6, or is damaged.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise CheckpointError(
            f"{path} is no file of PyTorch 1.6 or newer (a zip archive), or it is damaged ({error}). A bare pickle is "
            "never opened: loading one can run any code. Load it with the program it came from and save its "
            "state dict as safetensors."
        ) from error
    with archive:
        found = [name for name in archive.namelist() if name.rsplit("/", 1)[-1] == "data.pkl"]
        if len(found) != 1:
            raise CheckpointError(f"{path} is a zip archive, but not one of PyTorch: it holds no data.pkl.")
        folder = found[0].removesuffix("data.pkl")
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:  # PyTorch never does; small files could unpack to huge ones
                raise CheckpointError(f"{path} is refused: its entry {entry.filename!r} is compressed.")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise CheckpointError(f"{path} was written on a big-endian machine, which is not supported.")
        if f"{folder}constants.pkl" in archive.namelist():
            raise CheckpointError(f"{path} holds a program (TorchScript), not weights alone. Save its state dict.")
        try:
            with archive.open(found[0]) as stream:
                content = _Tensors(stream, archive, folder, path).load()
        except (pickle.UnpicklingError, EOFError, zipfile.BadZipFile, *_MALFORMED) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        yield _state_dict(content, path)


#: What a pickle that is not well formed makes of Python's interpreter for it.
_MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)


class _Tensors(pickle.Unpickler):
    """An interpreter of pickles that can make tensors and dicts, and nothing else."""

    def __init__(self, stream: Any, archive: zipfile.ZipFile, folder: str, path: Path) -> None:
        super().__init__(stream)
        self._archive, self._folder, self._path = archive, folder, path

    def find_class(self, module: str, name: str) -> Any:
        """The few names of a plain state dict; an error for any other, before anything is called."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return self._tensor
        if module == "torch._utils" and name == "_rebuild_parameter":
            return lambda tensor, *_: tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise CheckpointError(
            f"{self._path} is refused: beside tensors it holds {module}.{name}, and opening that could run code. "
            "Only plain state dicts are read; save the weights alone, best as safetensors."
        )

    def persistent_load(self, pid: Any) -> _Storage:
        """A reference to a raw array of the archive."""
        kind, dtype, key, *_ = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise pickle.UnpicklingError(f"unknown reference {kind!r}")
        return _Storage(str(key), dtype)

    def _tensor(self, storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> TorchArray:
        entry = f"{self._folder}data/{storage.key}"
        return TorchArray(self._archive, entry, storage.dtype, int(offset), tuple(shape), tuple(strides))


def _state_dict(content: Any, path: Path) -> dict[str, TorchArray]:
    if isinstance(content, Mapping):
        for key in _NESTED:
            if isinstance(content.get(key), Mapping):
                content = content[key]
        tensors = {str(name): value for name, value in content.items() if isinstance(value, TorchArray)}
        if tensors:
            return tensors
    raise CheckpointError(f"{path} holds no tensors by name: it is no state dict.")
