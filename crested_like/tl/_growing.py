"""Results that grow in a file while they are computed, so that a run that was cut off can be gone on with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crested_like._atomic import atomic_path
from crested_like._checks import positive_int
from crested_like.tl._memory import batch_size_for

if TYPE_CHECKING:
    import keras

    from crested_like._unfinished import Unfinished


def growing_file(path: Path, shape: tuple[int, ...], *, fresh: bool) -> Any:
    """Values in a file as an array ``shape``, float32, NaN where none have come.

    Their place on the disk is taken beforehand: a full disk is an error then, and not where they are written.

    Parameters
    ----------
    path
        The file, ``.npy``.
    fresh
        Whether to make it anew rather than open what is there.
    """
    if fresh:
        empty = np.full(math.prod(shape[1:]), np.nan, "<f4").tobytes()
        with atomic_path(path) as unfinished, unfinished.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            for _ in range(shape[0]):
                file.write(empty)
    return np.lib.format.open_memmap(path, mode="r+")


def steady_batch_size(
    wanted: int | None, unfinished: Unfinished | None, models: Sequence[keras.Model], windows: int
) -> int:
    """Windows at a time: that of the run that is gone on with, whose numbers must not change in the last digit.

    Parameters
    ----------
    wanted
        What was asked for, if anything.
    unfinished
        The run that is gone on with; None for a new one.
    models, windows
        What is computed, and of how many windows: for as many as fit into memory.
    """
    if wanted is not None:
        return min(positive_int("batch_size", wanted), max(1, windows))
    kept = {} if unfinished is None else unfinished.settings()
    return int(kept.get("batch_size") or batch_size_for(models, max(1, windows)))
