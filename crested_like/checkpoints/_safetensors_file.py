"""Safetensors files, tensor by tensor: not mapped into memory, where every page that was read would count."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from crested_like._errors import CheckpointError
from crested_like.checkpoints._file_array import FileArray

_TYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("<i1"),
    "U8": np.dtype("<u1"),
    "BOOL": np.dtype("?"),
}


@contextmanager
def safetensors_file(path: Path) -> Iterator[dict[str, FileArray]]:
    """Tensors of a safetensors file by name.

    Raises
    ------
    CheckpointError
        If the file is damaged, or of a type that no weights have.
    """
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np"):
            pass  # its own check of the header and the sizes
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path} is no safetensors file, or it is damaged ({error}). Fetch it again.") from error
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    yield {name: _array(path, 8 + size, name, told) for name, told in header.items() if name != "__metadata__"}


def _array(path: Path, data: int, name: str, told: dict[str, Any]) -> FileArray:
    """What an entry of the header describes: type, shape, and where it lies after the header."""
    if told["dtype"] not in _TYPES:
        raise CheckpointError(f"{path}: {name} is of type {told['dtype']}, which weights of these networks never have.")
    return FileArray(path, data + told["data_offsets"][0], _TYPES[told["dtype"]], tuple(told["shape"]))
