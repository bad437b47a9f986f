"""Softmax attention for PyTorch on a processor, where no gradients are wanted.

PyTorch makes every intermediate result anew. Logits of one head and few queries, in buffers that are used again,
stay in the processor's cache: three to four times as fast as whole arrays of logits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crested_like.kernels.relative import RunsTerm, runs_met

#: Logits at a time: 8 MB.
ENTRIES = 2**21
#: Queries at a time at least; matrix products of fewer rows are slow.
LEAST_ROWS = 128


def attend(queries: Any, keys: Any, values: Any, first: int, relative: Any, real: Any, forbidden: float) -> Any:
    """What :func:`crested_like.kernels.attention.attend` computes, for queries from position ``first`` on."""
    import torch

    batch, heads, count, _ = queries.shape
    length = keys.shape[2]
    padded = None if real is None or bool(real.all()) else ~real.bool()
    if relative is None and padded is None and queries.shape[-1] == values.shape[-1]:
        # PyTorch's own, whose blocks of keys stay in the processor's own cache
        return torch.nn.functional.scaled_dot_product_attention(queries, keys, values, scale=1.0)
    rows = min(count, max(LEAST_ROWS, ENTRIES // length))
    # as the heads are merged afterwards, so that nothing is moved then
    out = values.new_empty(batch, count, heads, values.shape[-1]).permute(0, 2, 1, 3)
    all_logits, all_weights = (values.new_empty(rows, length) for _ in range(2))
    put_relative = None if relative is None else _putting(relative, rows, length)
    for sequence in range(batch):
        for head in range(heads):
            for begin in range(0, count, rows):
                end = min(begin + rows, count)
                logits, weights = all_logits[: end - begin], all_weights[: end - begin]
                start, stop = first + begin, first + end
                some, all_keys = queries[sequence, head, begin:end], keys[sequence, head].T
                if put_relative is None:
                    torch.mm(some, all_keys, out=logits)
                else:
                    put_relative(logits, sequence, head, start, stop)
                    logits.addmm_(some, all_keys)
                if padded is not None:
                    logits.masked_fill_(padded[sequence, start:stop, None] | padded[sequence], forbidden)
                torch.softmax(logits, -1, out=weights)
                torch.mm(weights, values[sequence, head], out=out[sequence, head, begin:end])
    return out


def _putting(relative: Any, rows: int, length: int) -> Callable[[Any, int, int, int, int], None]:
    """What writes the relative logits of some queries of a head."""
    import torch

    def queries_of(sequence: int, head: int, start: int, stop: int) -> Any:
        some = relative.queries[sequence if len(relative.queries) > 1 else 0, head]
        return some[start - relative.first : stop - relative.first]

    if isinstance(relative, RunsTerm):
        places = torch.from_numpy(runs_met(relative.runs.tobytes(), rows))

        def put(logits: Any, sequence: int, head: int, start: int, stop: int) -> None:
            of_rows = queries_of(sequence, head, start, stop) @ relative.keys[head]
            there = places[rows - (stop - start) :, length - stop : 2 * length - stop]
            torch.gather(of_rows, 1, there, out=logits)

        return put

    room = relative.keys.new_empty(rows * (length + rows - 1))

    def put(logits: Any, sequence: int, head: int, start: int, stop: int) -> None:
        count = stop - start
        width = length + count - 1
        of_distance = room[: count * width].view(count, width)
        keys = relative.keys[head, :, length - stop : 2 * length - 1 - start]
        torch.mm(queries_of(sequence, head, start, stop), keys, out=of_distance)
        # each row begins one column further to the left than the one above: see relative_shift
        logits.copy_(of_distance.as_strided((count, length), (width - 1, 1), of_distance.storage_offset() + count - 1))

    return put
