"""Attention logits that depend on the distance between key and query, for blocks of queries."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


class RelativeTerm:
    """Logits ``queries[i] . keys[j - i + T - 1]`` for blocks of queries ``i`` and all keys ``j``.

    Parameters
    ----------
    queries
        ``(B or 1, H, T, K)``.
    keys
        ``(H, K, 2 T - 1)``, or ``(1, K, 2 T - 1)`` if all heads have the same: column m belongs to distance
        ``m - (T - 1)``.
    heads, length
        H and T.
    first
        Position of the first query.
    """

    def __init__(self, queries: Any, keys: Any, heads: int, length: int, first: int = 0) -> None:
        self.queries, self.keys = queries, keys
        self.heads, self.length, self.first = heads, length, first

    def __call__(self, start: int, stop: int) -> Any:
        """Logits of the queries from ``start`` to before ``stop`` for all keys: ``(B or 1, H, stop - start, T)``."""
        # queries start..stop-1 meet distances 1-stop .. T-1-start only
        queries = self.queries[:, :, start - self.first : stop - self.first]
        logits = ops.matmul(queries, self.keys[:, :, self.length - stop : 2 * self.length - 1 - start])
        return relative_shift(logits, self.heads, stop - start, self.length)

    def filled_up(self, count: int) -> RelativeTerm:
        """The same for so many queries, of which those beyond the ones there are mean nothing."""
        more = count - self.queries.shape[2]
        keys = ops.pad(self.keys, [[0, 0], [0, 0], [more, 0]]) if more else self.keys
        return RelativeTerm(filled_up(self.queries, count), keys, self.heads, self.length, self.first)

    def of_block(self, head: Any, begin: Any, rows: int) -> Any:
        """Logits of one head, of some queries from the ``begin``-th on: ``(B or 1, rows, T)``; both may be traced."""
        more = self.keys.shape[2] - 2 * self.length + 1
        column = self.length + more - self.first - rows - begin
        owner = head if self.keys.shape[0] > 1 else 0
        keys = ops.slice(self.keys, (owner, 0, column), (1, self.keys.shape[1], self.length + rows - 1))
        logits = ops.matmul(block_of(self.queries, head, begin, rows), keys[0])
        return relative_shift(ops.expand_dims(logits, 1), 1, rows, self.length)[:, 0]


class RunsTerm:
    """The same where few distances have features of their own: a column for each distinct row of the features.

    Parameters
    ----------
    queries
        ``(B or 1, H, T, K)``.
    keys
        ``(H, K, rows)``: of the distinct rows.
    runs
        Row of every distance ``-(T - 1), ..., T - 1``.
    first
        Position of the first query.
    """

    def __init__(self, queries: Any, keys: Any, runs: NDArray[np.intp], first: int = 0) -> None:
        self.queries, self.keys, self.runs, self.first = queries, keys, runs, first
        self.length = (len(runs) + 1) // 2

    def __call__(self, start: int, stop: int) -> Any:
        """Logits of the queries from ``start`` to before ``stop`` for all keys: ``(B or 1, H, stop - start, T)``."""
        of_rows = ops.matmul(self.queries[:, :, start - self.first : stop - self.first], self.keys)
        rows = stop - start
        places = runs_met(self.runs.tobytes(), rows)[:, self.length - stop : 2 * self.length - stop]
        return _picked(of_rows, places)


@lru_cache(maxsize=8)
def runs_met(runs: bytes, rows: int) -> NDArray[np.int64]:
    """Row of the features by query (of so many in a row) and distance from the last of them: one table for all blocks.

    Key ``j`` of the block that ends before ``stop`` is in column ``j + T - stop``.
    """
    of_distance = np.frombuffer(runs, np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(of_distance, len(of_distance) - rows + 1)
    return windows[::-1].copy()


def _picked(values: Any, places: NDArray[np.int64]) -> Any:
    """``(B, H, rows, R)`` and ``(rows, T)`` to ``(B, H, rows, T)``: of each row the columns that are named."""
    if keras.backend.backend() == "torch":
        import torch

        index = torch.from_numpy(places).to(values.device)
        return torch.gather(values, 3, index.expand(*values.shape[:2], *index.shape))
    return ops.take_along_axis(values, places[None, None], axis=-1)


def relative_shift(logits: Any, heads: int, rows: int, length: int) -> Any:
    """Move column ``j - i + rows - 1`` of row ``i`` to column ``j``.

    ``(B, heads, rows, length + rows - 1) -> (B, heads, rows, length)``. Dropping the first ``rows - 1`` of the
    flattened entries and reading rows that are one shorter slides each row by one against the one before: no gather.
    """
    if rows == 1:
        return logits
    width = length + rows - 1
    flat = ops.reshape(logits, (-1, heads, rows * width))[:, :, rows - 1 : rows * width - 1]
    return ops.reshape(flat, (-1, heads, rows, width - 1))[:, :, :, :length]


def filled_up(x: Any, count: int) -> Any:
    """``(B, H, T, K)`` with zeros behind, up to so many positions."""
    return ops.pad(x, [[0, 0], [0, 0], [0, count - x.shape[2]], [0, 0]]) if count > x.shape[2] else x


def block_of(x: Any, head: Any, begin: Any, rows: int) -> Any:
    """``(B, H, T, K) -> (B, rows, K)``: some positions of one head, which may be known in a loop only."""
    return ops.slice(x, (0, head, begin, 0), (ops.shape(x)[0], 1, rows, x.shape[3]))[:, 0]
