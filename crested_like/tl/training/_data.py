"""Batches made ahead of time."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import keras

from crested_like._checks import positive_int

#: Batches that wait for each thread.
_AHEAD = 2


class Prefetched(keras.utils.PyDataset):
    """A dataset whose batches are made by threads before they are asked for, and come in their order.

    Keras can do that too (``workers=``), but what its threads made and nobody took, it hands out at the start of the
    next round, before the batches of that round: then a training that was resumed sees others than one that was not.

    Parameters
    ----------
    data
        The dataset. Where its batches differ by round, its attribute ``round`` is set; one that has none is only told
        that a round ended, and cannot be resumed exactly if it changes then.
    workers
        Threads.

    Raises
    ------
    ValueError
        If ``workers`` is below 1.
    """

    def __init__(self, data: keras.utils.PyDataset, workers: int = 1) -> None:
        super().__init__()
        self.data = data
        self._ahead = _AHEAD * positive_int("workers", workers)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
        self._waiting: dict[int, Future] = {}
        self._started = False

    def __enter__(self) -> Prefetched:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __len__(self) -> int:
        return len(self.data)

    def start(self, number: int) -> None:
        """Go to a round, counted from 0, whose batches are wanted next."""
        for future in self._waiting.values():
            future.cancel()
        for future in self._waiting.values():  # none may be under way while the round changes
            if not future.cancelled():
                future.exception()
        self._waiting.clear()
        if hasattr(self.data, "round"):
            self.data.round = number
        elif self._started:
            self.data.on_epoch_end()
        self._started = True

    def __getitem__(self, step: int) -> Any:
        for later in range(step, min(step + self._ahead, len(self))):
            if later not in self._waiting:
                self._waiting[later] = self._pool.submit(self.data.__getitem__, later)
        return self._waiting.pop(step).result()
