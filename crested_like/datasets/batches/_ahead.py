"""Batches made before they are asked for, by threads or processes."""

from __future__ import annotations

import multiprocessing
import threading
import weakref
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

from crested_like._checks import positive_int
from crested_like.datasets.batches._feed import Feed

Number = tuple[int, int]


class Ahead:
    """The batches of a feed; those that follow the one asked for are begun at once.

    Parameters
    ----------
    feed
        What makes batches.
    workers
        Threads or processes; with one thread nothing is made ahead.
    processes
        Whether to use processes.
    most
        Batches that are made or wait, at most.
    """

    def __init__(self, feed: Feed, workers: int, *, processes: bool, most: int):
        self.feed, self.processes = feed, bool(processes)
        self.workers, self.most = positive_int("workers", workers), positive_int("max_queue_size", most)
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._pool: Executor | None = None
        self._waiting: dict[Number, Future[Any]] = {}
        self._expected: Number = (0, 0)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("feed", "processes", "workers", "most")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def batch(self, round_: int, step: int) -> Any:
        """Return a batch."""
        if self.workers == 1 and not self.processes:
            return self.feed.batch(round_, step)
        with self._lock:
            future = self._waiting.pop((round_, step), None)
            if future is None and (step == 0 or self._expected == (round_, step)):
                future = self._submit(round_, step)
            if future is not None:
                self._look_ahead(round_, step)
        # what comes out of order is made here, and nothing is guessed of what comes next
        return self.feed.batch(round_, step) if future is None else future.result()

    def _look_ahead(self, round_: int, step: int) -> None:
        """Begin the batches that come next in this round, and drop what waits of others."""
        self._expected = (round_, step + 1)
        wanted = [(round_, later) for later in range(step + 1, min(step + 1 + self.most, len(self.feed)))]
        for number in self._waiting.keys() - set(wanted):
            self._waiting.pop(number).cancel()
        for number in wanted:
            if number not in self._waiting:
                self._waiting[number] = self._submit(*number)

    def _submit(self, round_: int, step: int) -> Future[Any]:
        if self._pool is None:
            if self.processes:
                spawned = multiprocessing.get_context("spawn")  # a fork of a process with threads may wait for ever
                self._pool = ProcessPoolExecutor(self.workers, spawned, _keep, (self.feed,))
            else:
                self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="batches")
            weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        return self._pool.submit(_kept_batch if self.processes else self.feed.batch, round_, step)


_FEED: Feed | None = None


def _keep(feed: Feed) -> None:
    """Run at the start of a process: what it makes batches of comes once, not with every task."""
    global _FEED
    _FEED = feed


def _kept_batch(round_: int, step: int) -> Any:
    assert _FEED is not None
    return _FEED.batch(round_, step)
