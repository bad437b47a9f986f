"""Windows through a network, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like._checks import positive_int
from crested_like.tl._inputs import Windows
from crested_like.tl._memory import batch_size_for

Forward = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def stream(
    compute: Forward,
    windows: Windows,
    models: Sequence[keras.Model],
    *,
    batch_size: int | None = None,
    progress: bool | None = None,
    doing: str = "predicting",
    done: Collection[int] = (),
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Compute windows batch by batch: pairs of the first window's index and the values.

    The last batch is padded to the size of the others, so that a backend compiles once.

    Parameters
    ----------
    compute
        ``(B, L, 4)`` to the values of a batch.
    models
        The networks that ``compute`` runs, for the estimate of memory.
    batch_size, progress
        As for :func:`crested_like.tl.predict`.
    doing
        What the progress bar says.
    done
        Numbers of batches that are not needed any more.
    """
    total = len(windows)
    size = batch_size_for(models, total) if batch_size is None else min(positive_int("batch_size", batch_size), total)
    starts = [start for number, start in enumerate(range(0, total, size)) if number not in done]
    for start in _with_progress(starts, total, size, progress, doing):
        batch = windows.batch(start, min(start + size, total))
        missing = size - len(batch)
        if missing:
            batch = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
        yield start, compute(batch)[: size - missing]


def collect(
    compute: Forward, windows: Windows, models: Sequence[keras.Model], shape: tuple[int, ...], **options: object
) -> NDArray[np.float32]:
    """All values in one array ``(N, *shape)``, float32; ``options`` as for :func:`stream`."""
    result = np.empty((len(windows), *shape), np.float32)
    for start, values in stream(compute, windows, models, **options):  # type: ignore[arg-type]
        result[start : start + len(values)] = values
    return result


def _with_progress(starts: Sequence[int], total: int, size: int, progress: bool | None, doing: str) -> Iterator[int]:
    from tqdm.auto import tqdm

    # disable=None: shown only where the output is a terminal
    disable = (None if len(starts) > 1 else True) if progress is None else not progress
    before = total - sum(min(size, total - start) for start in starts)
    with tqdm(total=total, initial=before, desc=doing, unit="window", disable=disable) as bar:
        for start in starts:
            yield start
            bar.update(min(size, total - start))
