"""Convolutions from fewer products."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from crested_like.kernels.fused import plus
from crested_like.layers._register import serializable
from crested_like.layers._stand_in import StandIn
from crested_like.layers.unfolded import keeps_positions

#: Width of the kernel, and outputs of a tile.
WIDTH, TILE = 5, 4
#: Polynomials are evaluated at 0, at these and their opposites, and at infinity.
POINTS = (1.0, 2.0, 0.5)
#: Tiles computed at a time, about, so that what is made of them stays in a processor's cache.
TILES_AT_A_TIME = 512


@serializable("CookToomConv1D")
class CookToomConv1D(StandIn):
    """A convolution of width 5, with "same" padding and no stride, from 8 products for 4 outputs in place of 20.

    ``(B, L, C) -> (B, L, filters)``. The Cook-Toom algorithm F(4, 5) at the points 0, 1, -1, 2, -2, 1/2, -1/2 and
    infinity: ``A^T [(G g) * (B^T d)]`` for a kernel ``g`` and a tile ``d`` of 8 inputs (Winograd 1980, Arithmetic
    Complexity of Computations, chapter 4; Blahut 2010, Fast Algorithms for Signal Processing, section 5.2). It rounds
    otherwise than the direct algorithm: by about 1e-6 of the result's scale in float32.
    """

    @staticmethod
    def fits(layer: Any) -> bool:
        """Whether a layer is a convolution that can be computed in this way."""
        return keeps_positions(layer) and layer.kernel_size == (WIDTH,)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        if input_shape[1] is None:
            raise ValueError(f"CookToomConv1D '{self.name}' needs a known number of positions; got {input_shape}.")
        return super().compute_output_shape(input_shape)

    def call(self, x: Any) -> Any:
        kernel = (_READY.get() or {}).get(id(self))
        bias = ops.cast(self.layer.bias, self.compute_dtype) if self.layer.use_bias else None
        return self.layer.activation(convolved(x, self.kernel_at_points() if kernel is None else kernel, bias))

    def kernel_at_points(self) -> Any:
        """``G g``, ``(8, C, filters)``."""
        kernel = ops.cast(self.layer.kernel, self.compute_dtype)
        transform = ops.convert_to_tensor(kernel_transform(), dtype=self.compute_dtype)
        at_points = ops.matmul(transform, ops.reshape(kernel, (WIDTH, -1)))
        return ops.reshape(at_points, (TILE + WIDTH - 1, *kernel.shape[1:]))


#: Kernels at the points by the id of their layer, as long as they are valid.
_READY: ContextVar[Mapping[int, Any] | None] = ContextVar("_READY", default=None)


@contextmanager
def transformed_once(layers: Iterable[Any]) -> Iterator[None]:
    """Transform the kernels of some layers now, rather than in each of their calls inside the block."""
    ready = {id(layer): layer.kernel_at_points() for layer in layers if isinstance(layer, CookToomConv1D)}
    before = _READY.set({**(_READY.get() or {}), **ready})
    try:
        yield
    finally:
        _READY.reset(before)


def convolved(x: Any, kernel: Any, bias: Any = None) -> Any:
    """A "same" convolution of width 5 by F(4, 5), some tiles at a time.

    Parameters
    ----------
    x
        ``(B, L, C)``.
    kernel
        The kernel at the points, ``G g``: ``(8, C, filters)``.
    bias
        ``(filters,)``.
    """
    length = x.shape[1]
    tiles = -(-length // TILE)
    before = WIDTH // 2
    x = ops.pad(x, [[0, 0], [before, TILE * (tiles + 1) - before - length], [0, 0]])
    chunks = max(round(tiles / TILES_AT_A_TIME), 1)
    ends = [tiles * (number + 1) // chunks for number in range(chunks)]  # of even size: small ones are slow
    parts, start = [], 0
    for end in ends:
        parts.append(_tiles(x[:, TILE * start : TILE * (end + 1)], end - start, kernel, bias))
        start = end
    y = parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1)
    return y if TILE * tiles == length else y[:, :length]


def _tiles(x: Any, tiles: int, kernel: Any, bias: Any) -> Any:
    """Outputs of consecutive tiles: ``(B, 4 tiles + 4, C) -> (B, 4 tiles, filters)``."""
    x = ops.reshape(x, (-1, tiles + 1, TILE, x.shape[-1]))
    inputs = [x[:, :-1, i] for i in range(TILE)] + [x[:, 1:, i] for i in range(TILE)]
    products = [ops.matmul(values, kernel[i]) for i, values in enumerate(_at_points(inputs))]
    outputs = [y if bias is None else y + bias for y in _outputs(products)]
    return ops.reshape(ops.stack(outputs, axis=2), (-1, TILE * tiles, kernel.shape[-1]))


def kernel_transform() -> NDArray[np.float64]:
    """``G``, ``(8, 5)``: row i is ``p_i^k`` over the product of ``p_i - p_j``; that of infinity takes the last tap."""
    points = np.array([0.0, *(sign * p for p in POINTS for sign in (1, -1))])
    gaps = points[:, None] - points + np.eye(len(points))
    finite = points[:, None] ** np.arange(WIDTH) / gaps.prod(axis=1, keepdims=True)
    return np.concatenate([finite, np.eye(WIDTH)[-1:]])


def _at_points(d: Sequence[Any]) -> list[Any]:
    """``B^T d``: row i holds the coefficients of the product of ``x - p_j`` over the other finite points.

    Even and odd powers apart, so that opposite points share both sums.
    """
    squares = [p * p for p in POINTS]
    one, two, three = sum(squares), _pairs(squares), float(np.prod(squares))

    def whole(i: int) -> Any:  # of the product over all points but 0, times x^i
        return plus(plus(plus(d[6 + i], -one, d[4 + i]), two, d[2 + i]), -three, d[i])

    found = [whole(0)]
    for p, square in zip(POINTS, squares, strict=True):
        rest = [other for other in squares if other != square]
        even, odd = (plus(plus(d[6 - i], -sum(rest), d[4 - i]), rest[0] * rest[1], d[2 - i]) for i in (0, 1))
        found += [plus(even, p, odd), plus(even, -p, odd)]
    return [*found, whole(1)]


def _outputs(m: Sequence[Any]) -> list[Any]:
    """``A^T m``: output k is the sum of ``p_i^k m_i``, and infinity's product belongs to the last."""
    sums = [m[i] + m[i + 1] for i in (1, 3, 5)]
    differences = [m[i] - m[i + 1] for i in (1, 3, 5)]

    def powers(k: int, first: Any) -> Any:
        for p, terms in zip(POINTS, differences if k % 2 else sums, strict=True):
            first = p**k * terms if first is None else plus(first, p**k, terms)
        return first

    return [powers(0, m[0]), powers(1, None), powers(2, None), powers(3, m[7])]


def _pairs(values: Sequence[float]) -> float:
    return sum(a * b for i, a in enumerate(values) for b in values[:i])
