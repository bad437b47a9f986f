"""Softmax attention over blocks of queries, so that no array of (heads, T, 2 T) ever exists."""

from __future__ import annotations

from typing import Any

from keras import ops

#: Queries in a block: large enough for full-speed matrix products, small enough for the logits to stay near the cache.
QUERY_BLOCK = 512
#: Logit of a key that is padding.
FORBIDDEN = -1e30


def split_heads(x: Any, length: int | None, heads: int) -> Any:
    """``(B, T, heads * D) -> (B, heads, T, D)``; the head is the outer part of the channel axis."""
    length = ops.shape(x)[1] if length is None else length
    return ops.transpose(ops.reshape(x, (-1, length, heads, x.shape[-1] // heads)), (0, 2, 1, 3))


def merge_heads(x: Any, length: int | None, width: int) -> Any:
    """``(B, heads, T, D) -> (B, T, heads * D)``."""
    length = ops.shape(x)[2] if length is None else length
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (-1, length, width))


def attend(
    queries: Any,
    keys: Any,
    values: Any,
    length: int | None,
    *,
    relative: RelativeTerm | None = None,
    real: Any = None,
    dropout: Any = None,
) -> Any:
    """Attention ``softmax(queries keys' + relative) values``, a block of queries at a time.

    Parameters
    ----------
    queries, keys, values
        ``(B, H, T, K)``, ``(B, H, T, K)`` and ``(B, H, T, V)``; queries already scaled.
    length
        T; given, because not every backend still knows it inside a graph. Where nobody knows it, all queries are one
        block.
    relative
        Adds logits that depend on the distance between key and query.
    real
        Which positions are not padding, ``(B, T)``. Padding is no key; as a query it attends to all positions alike.
    dropout
        Applied to the attention weights.

    Returns
    -------
    tensor
        ``(B, H, T, V)``. The softmax is taken in float32.
    """
    keys = ops.transpose(keys, (0, 1, 3, 2))
    outputs = []
    blocks = range(0, length, QUERY_BLOCK) if length is not None else [0]
    for start in blocks:
        stop = length if length is None else min(start + QUERY_BLOCK, length)
        logits = ops.matmul(queries[:, :, start:stop], keys)
        if relative is not None:
            logits = logits + relative(start, stop)
        if real is not None:
            rows = real if length is None else real[:, start:stop]
            allowed = ops.logical_and(ops.expand_dims(rows, (1, 3)), ops.expand_dims(real, (1, 2)))
            logits = ops.where(allowed, ops.cast(logits, "float32"), FORBIDDEN)
        # Keras warns of a softmax over one key, whose weight is 1
        weights = ops.softmax(ops.cast(logits, "float32"), axis=-1) if length != 1 else ops.ones_like(logits)
        weights = ops.cast(weights, values.dtype)
        if dropout is not None:
            weights = dropout(weights)
        outputs.append(ops.matmul(weights, values))
    return outputs[0] if len(outputs) == 1 else ops.concatenate(outputs, axis=2)


class RelativeTerm:
    """Logits ``queries[i] . keys[j - i + T - 1]`` for blocks of queries ``i`` and all keys ``j``.

    Parameters
    ----------
    queries
        ``(B or 1, H, T, K)``.
    keys
        ``(H, K, 2 T - 1)``: column m belongs to distance ``m - (T - 1)``.
    heads, length
        H and T.
    """

    def __init__(self, queries: Any, keys: Any, heads: int, length: int) -> None:
        self.queries, self.keys = queries, keys
        self.heads, self.length = heads, length

    def __call__(self, start: int, stop: int) -> Any:
        # queries start..stop-1 meet distances 1-stop .. T-1-start only
        first = self.length - stop
        logits = ops.matmul(self.queries[:, :, start:stop], self.keys[:, :, first : 2 * self.length - 1 - start])
        return relative_shift(logits, self.heads, stop - start, self.length)


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
