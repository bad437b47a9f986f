"""Softmax attention over blocks of queries, so that no array of (heads, T, 2 T) ever exists."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from crested_like.kernels import attention_torch, loops
from crested_like.kernels.device import no_gradients_on_processor, on_processor
from crested_like.kernels.relative import RelativeTerm, RunsTerm, block_of, filled_up

#: Queries in a block: large enough for full-speed matrix products, small enough for the logits to stay near the cache.
QUERY_BLOCK = 512
#: Logits of all heads, above which they are made in a loop.
LOGITS_IN_CACHE = 2**22
#: Logits of all heads, up to which OpenVINO gets them as one block, 4 GB where it has to write them down.
LOGITS_OF_ONE_BLOCK = 2**30
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
    span: tuple[int, int] | None = None,
    relative: RelativeTerm | RunsTerm | None = None,
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
    span
        Positions that the queries are of, if not all T: ``(first, after the last)``.
    relative
        Adds logits that depend on the distance between key and query.
    real
        Which positions are not padding, ``(B, T)``. Padding is no key; as a query it attends to all positions alike.
    dropout
        Applied to the attention weights.

    Returns
    -------
    tensor
        ``(B, H, T, V)``, or as many positions as there are queries. The softmax is taken in float32.
    """
    first, last = (0, length) if span is None else span
    if keras.backend.backend() == "torch" and dropout is None and no_gradients_on_processor(queries, keys, values):
        return attention_torch.attend(queries, keys, values, first, relative, real, FORBIDDEN)
    if _pays_in_loop(queries, keys, dropout):
        return _in_loop(queries, keys, values, first, relative, real)
    keys = ops.transpose(keys, (0, 1, 3, 2))
    outputs = []
    rows = last - first if last is not None and relative is None and _fused_if_whole(queries, keys) else QUERY_BLOCK
    blocks = [0] if last is None else range(first, last, rows)
    for start in blocks:
        stop = None if last is None else min(start + rows, last)
        logits = ops.matmul(queries if stop is None else queries[:, :, start - first : stop - first], keys)
        if relative is not None:
            logits = logits + relative(start, stop)
        if real is not None:
            there = real if length is None else real[:, start:stop]
            allowed = ops.logical_and(ops.expand_dims(there, (1, 3)), ops.expand_dims(real, (1, 2)))
            logits = ops.where(allowed, ops.cast(logits, "float32"), FORBIDDEN)
        # Keras warns of a softmax over one key, whose weight is 1
        weights = ops.softmax(ops.cast(logits, "float32"), axis=-1) if length != 1 else ops.ones_like(logits)
        weights = ops.cast(weights, values.dtype)
        if dropout is not None:
            weights = dropout(weights)
        outputs.append(ops.matmul(weights, values))
    return outputs[0] if len(outputs) == 1 else ops.concatenate(outputs, axis=2)


def _pays_in_loop(queries: Any, keys: Any, dropout: Any) -> bool:
    """Whether a compiled loop over heads and blocks is faster: with logits that do not fit into a processor's cache."""
    if keras.backend.backend() not in ("jax", "tensorflow") or dropout is not None or not on_processor():
        return False
    entries = queries.shape[1], queries.shape[2], keys.shape[2]
    return None not in entries and math.prod(entries) > LOGITS_IN_CACHE


def _fused_if_whole(queries: Any, keys: Any) -> bool:
    """Whether the compiler makes one kernel of all queries' attention, which then keeps no logits.

    OpenVINO does, where nothing stands between the logits and their softmax but padding.
    """
    entries = queries.shape[1], queries.shape[2], keys.shape[2]
    return keras.backend.backend() == "openvino" and None not in entries and math.prod(entries) <= LOGITS_OF_ONE_BLOCK


def _in_loop(queries: Any, keys: Any, values: Any, first: int, relative: RelativeTerm | None, real: Any) -> Any:
    """Attention of one block of one head's queries after the other; queries are from position ``first`` on."""
    heads, count = queries.shape[1], queries.shape[2]
    blocks = -(-count // QUERY_BLOCK)
    rows = -(-count // blocks)
    queries = filled_up(queries, blocks * rows)
    keys = ops.transpose(keys, (0, 1, 3, 2))
    relative = None if relative is None else relative.filled_up(blocks * rows)
    columns = None if real is None else ops.expand_dims(real, 1)
    if real is not None:  # of the queries
        real = filled_up(ops.expand_dims(real[:, first : first + count], (1, 3)), blocks * rows)[:, 0]

    def one(place: Any) -> Any:
        head, begin = place[0], place[1]
        logits = ops.matmul(block_of(queries, head, begin, rows), ops.take(keys, head, axis=1))
        if relative is not None:
            logits = logits + relative.of_block(head, begin, rows)
        if real is not None:
            there = ops.slice(real, (0, begin, 0), (ops.shape(real)[0], rows, 1))
            logits = ops.where(ops.logical_and(there, columns), ops.cast(logits, "float32"), FORBIDDEN)
        logits = ops.cast(logits, "float32")
        weights = ops.exp(logits - ops.max(logits, axis=-1, keepdims=True))
        total = ops.sum(weights, axis=-1, keepdims=True)
        mixed = ops.matmul(ops.cast(weights, values.dtype), ops.take(values, head, axis=1))
        return mixed / ops.cast(total, values.dtype)  # fewer numbers to divide than weights

    places = np.stack(np.meshgrid(range(heads), range(0, blocks * rows, rows), indexing="ij"), -1).reshape(-1, 2)
    found = loops.one_by_one(one, places.astype(np.int32))  # (heads * blocks, B, rows, V)
    found = ops.reshape(found, (heads, blocks, -1, rows, values.shape[-1]))
    found = ops.reshape(ops.transpose(found, (2, 0, 1, 3, 4)), (-1, heads, blocks * rows, values.shape[-1]))
    return found if blocks * rows == count else found[:, :, :count]
