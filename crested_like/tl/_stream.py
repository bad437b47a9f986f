"""Windows through a network, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like._checks import positive_int
from crested_like.tl._inputs import Windows
from crested_like.tl._memory import batch_size_for

#: A batch to its values: an array, or several in any structure.
Forward = Callable[[NDArray[np.float32]], Any]


def stream(
    compute: Forward,
    windows: Windows,
    models: Sequence[keras.Model],
    *,
    batch_size: int | None = None,
    progress: bool | None = None,
    doing: str = "predicting",
    batches: Sequence[int] | None = None,
) -> Iterator[tuple[int, Any]]:
    """Compute windows batch by batch: pairs of the first window's index and the values.

    The last batch is padded to the size of the others, so that a backend compiles once. While one batch is computed,
    the sequences of the next are read.

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
    batches
        Numbers of the batches that are wanted, in this order; default all. All have ``batch_size`` then, also where
        there are fewer windows.
    """
    total = len(windows)
    size = batch_size_for(models, total) if batch_size is None else positive_int("batch_size", batch_size)
    size = min(size, total) if batches is None else size
    starts = list(range(0, total, size)) if batches is None else [number * size for number in batches]
    read = _read_ahead(windows, [(start, min(start + size, total)) for start in starts])
    for start, batch in zip(_with_progress(starts, total, size, progress, doing), read, strict=False):
        real = len(batch)
        if real < size:
            batch = np.concatenate([batch, np.repeat(batch[-1:], size - real, axis=0)])
        yield start, keras.tree.map_structure(lambda values, real=real: values[:real], compute(batch))


def _read_ahead(windows: Windows, spans: Sequence[tuple[int, int]]) -> Iterator[NDArray[np.float32]]:
    """Windows of each span, read while those of the one before are in use."""
    with ThreadPoolExecutor(1) as reader:
        following: Future[NDArray[np.float32]] | None = None
        for span in spans:
            now, following = following, reader.submit(windows.batch, *span)
            if now is not None:
                yield now.result()
        if following is not None:
            yield following.result()


def collect(
    compute: Forward, windows: Windows, models: Sequence[keras.Model], shape: tuple[int, ...], **options: Any
) -> NDArray[np.float32]:
    """All values in one array ``(N, *shape)``, float32; ``options`` as for :func:`stream`."""
    return collect_all(lambda batch: {"": compute(batch)}, windows, models, {"": shape}, **options)[""]


def collect_all(
    compute: Forward, windows: Windows, models: Sequence[keras.Model], shapes: Mapping[str, tuple], **options: Any
) -> dict[str, NDArray[np.float32]]:
    """The same for several arrays by name, as ``compute`` gives them."""
    results = {name: np.empty((len(windows), *shape), np.float32) for name, shape in shapes.items()}
    for start, values in stream(compute, windows, models, **options):
        for name, result in results.items():
            result[start : start + len(values[name])] = values[name]
    return results


def _with_progress(starts: Sequence[int], total: int, size: int, progress: bool | None, doing: str) -> Iterator[int]:
    counts = [min(size, total - start) for start in starts]
    with progress_bar(sum(counts), total - sum(counts), len(starts), progress, doing) as bar:
        for start, count in zip(starts, counts, strict=True):
            yield start
            bar.update(count)


def progress_bar(windows: int, before: int, units: int, progress: bool | None, doing: str) -> Any:
    """A bar of windows, those of before as done; if nobody says, for several units on a terminal only."""
    from tqdm.auto import tqdm

    disable = (None if units > 1 else True) if progress is None else not progress
    return tqdm(total=before + windows, initial=before, desc=doing, unit="window", disable=disable)
