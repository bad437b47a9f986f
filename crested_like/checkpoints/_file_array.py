"""Arrays that stay in their file until somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from crested_like._errors import CheckpointError


@dataclass(frozen=True)
class FileArray:
    """An array that lies in one piece in a file, read when NumPy asks for it."""

    path: Path
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]
    order: Literal["C", "F"] = "C"
    source: Path | None = None
    """The file that was opened, where ``path`` is an unpacked copy."""
    is_whole: Callable[[bytes], bool] = lambda data: True
    """Whether its bytes are what was stored, where the file has a checksum of them."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        source, size = self.source or self.path, prod(self.shape) * self.dtype.itemsize
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                data = file.read(size)
        except OSError as error:
            raise CheckpointError(f"{source} is no longer open: {error.strerror or error}.") from error
        if len(data) < size:
            raise CheckpointError(f"{source} is truncated, or was changed: an array ends beyond the end of the file.")
        if not self.is_whole(data):
            raise CheckpointError(f"{source} is damaged: the checksum of an array is wrong. Fetch it again.")
        values = np.frombuffer(data, self.dtype).reshape(self.shape, order=self.order)
        return values.astype(dtype or self.dtype, copy=bool(copy))
