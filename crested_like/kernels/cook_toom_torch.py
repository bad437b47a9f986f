"""The Cook-Toom algorithm for PyTorch on a processor, where no gradients are wanted.

PyTorch makes every intermediate result anew, so that the sums before and after the products take half as long as these.
Here they are small matrix products of a tile each, in buffers that are used again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray


def convolved(x: Any, kernel: Any, bias: Any, ends: Sequence[int], before: NDArray, after: NDArray) -> Any:
    """What :func:`crested_like.kernels.cook_toom.convolved` computes.

    Parameters
    ----------
    x
        ``(B, L, C)``.
    kernel
        The kernel at the points, ``(8, C, filters)``.
    bias
        ``(filters,)`` or None.
    ends
        Numbers of tiles at which chunks end.
    before, after
        ``B^T``, ``(8, 8)``, and ``A^T``, ``(4, 8)``.
    """
    import torch

    batch, length, channels = x.shape
    (tile, seen), filters = after.shape, kernel.shape[-1]
    before, after = (torch.as_tensor(transform, dtype=x.dtype) for transform in (before, after))
    out = x.new_empty(batch, ends[-1], tile, filters)
    most = max(end - start for start, end in zip([0, *ends], ends, strict=False))
    all_points, all_products = x.new_empty(most, seen, channels), x.new_empty(most, seen, filters)
    for sequence in range(batch):
        start = 0
        for end in ends:
            points, products = all_points[: end - start], all_products[: end - start]
            tiles = _tiles(x[sequence], start, end, tile, seen)
            torch.bmm(before.expand(len(tiles), -1, -1), tiles, out=points)
            for point in range(seen):
                torch.mm(points[:, point], kernel[point], out=products[:, point])
            torch.bmm(after.expand(len(tiles), -1, -1), products, out=out[sequence, start:end])
            if bias is not None:
                out[sequence, start:end] += bias
            start = end
    return out.view(batch, -1, filters)[:, :length]


def _tiles(x: Any, start: int, end: int, tile: int, seen: int) -> Any:
    """Overlapping tiles of ``(L, C)`` with zeros beyond its ends: ``(end - start, seen, C)``, without a copy inside."""
    import torch

    margin = (seen - tile) // 2
    first, last = tile * start - margin, tile * end + margin
    x_of_chunk = x[max(first, 0) : last]
    missing = max(-first, 0), max(last - len(x), 0)
    if any(missing):
        x_of_chunk = torch.nn.functional.pad(x_of_chunk, (0, 0, *missing))
    if x_of_chunk.stride(1) != 1:
        x_of_chunk = x_of_chunk.contiguous()
    row = x_of_chunk.stride(0)
    shape = end - start, seen, x.shape[1]
    return x_of_chunk.as_strided(shape, (tile * row, row, 1), x_of_chunk.storage_offset())
