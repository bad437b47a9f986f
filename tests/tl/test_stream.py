"""Batches are computed in order, padded, and read while the one before is computed."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from crested_like.tl._inputs import Windows
from crested_like.tl._stream import collect_all, stream


class Counted(Windows):
    """Windows that hold their number, and note which were read."""

    def __init__(self, count, fails_at=None):
        super().__init__(3, [str(i) for i in range(count)], [], {})
        self.read, self.fails_at = [], fails_at
        self.second = threading.Event()

    def batch(self, start, stop):
        if start == self.fails_at:
            raise OSError("cut off")
        self.read.append(start)
        if start:
            self.second.set()
        return np.arange(start, stop, dtype="float32")[:, None, None] * np.ones((1, 3, 4), "float32")


def test_the_next_batch_is_read_while_one_is_computed():
    windows = Counted(6)

    def compute(batch):
        if batch[0, 0, 0] == 0:
            assert windows.second.wait(timeout=30)
        return batch.sum(axis=(1, 2))

    found = list(stream(compute, windows, [], batch_size=2))
    assert [start for start, _ in found] == [0, 2, 4]
    np.testing.assert_array_equal(np.concatenate([y for _, y in found]), 12 * np.arange(6))
    assert windows.read == [0, 2, 4]


def test_batches_have_one_size():
    sizes = []
    windows = Counted(5)
    found = collect_all(
        lambda batch: sizes.append(len(batch)) or {"a": batch[:, 0], "b": batch[:, 0, :2]},
        windows,
        [],
        {"a": (4,), "b": (2,)},
        batch_size=3,
    )
    assert sizes == [3, 3]
    assert {name: y.shape for name, y in found.items()} == {"a": (5, 4), "b": (5, 2)}
    np.testing.assert_array_equal(found["a"][:, 0], np.arange(5))


def test_only_what_is_wanted_is_read():
    windows = Counted(6)
    assert [start for start, _ in stream(lambda x: x, windows, [], batch_size=2, batches=[0, 2])] == [0, 4]
    assert windows.read == [0, 4]


def test_what_cannot_be_read_is_said_after_the_batches_before_it():
    found = stream(lambda x: x, Counted(6, fails_at=4), [], batch_size=2)
    assert [next(found)[0], next(found)[0]] == [0, 2]
    with pytest.raises(OSError, match="cut off"):
        next(found)


def test_nothing_goes_on_after_a_run_that_is_left():
    windows = Counted(100)
    found = stream(lambda x: x, windows, [], batch_size=2)
    next(found)
    found.close()
    assert len(windows.read) <= 2
    assert not any(thread.name.startswith("ThreadPoolExecutor") for thread in threading.enumerate())
