"""Convolutions of width 5 by the Cook-Toom algorithm F(4, 5): 8 products for 4 outputs in place of 20.

``A^T [(G g) * (B^T d)]`` for a kernel ``g`` and a tile ``d`` of 8 inputs, at the points 0, 1, -1, 2, -2, 1/2, -1/2 and
infinity (Winograd 1980, Arithmetic Complexity of Computations, chapter 4; Blahut 2010, Fast Algorithms for Signal
Processing, section 5.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from crested_like.kernels import cook_toom_torch
from crested_like.kernels.device import no_gradients_on_processor
from crested_like.kernels.fused import plus

#: Width of the kernel, outputs of a tile, and inputs of one.
WIDTH, TILE, SEEN = 5, 4, 8
#: Polynomials are evaluated at 0, at these and their opposites, and at infinity.
POINTS = (1.0, 2.0, 0.5)
#: Tiles computed at a time, about, so that what is made of them stays in a processor's cache: as measured.
TILES_AT_A_TIME = {"jax": 1_024}
TILES_ELSEWHERE = 512


def kernel_at_points(kernel: Any) -> Any:
    """``G g`` of a convolution's kernel: ``(5, C, filters) -> (8, C, filters)``."""
    transform = ops.convert_to_tensor(kernel_transform(), dtype=kernel.dtype)
    return ops.reshape(ops.matmul(transform, ops.reshape(kernel, (WIDTH, -1))), (SEEN, *kernel.shape[1:]))


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
    at_a_time = TILES_AT_A_TIME.get(keras.backend.backend(), TILES_ELSEWHERE)
    chunks = max(round(tiles / at_a_time), 1)
    ends = [tiles * (number + 1) // chunks for number in range(chunks)]  # of even size: small ones are slow
    if keras.backend.backend() == "torch" and no_gradients_on_processor(x, kernel):
        return cook_toom_torch.convolved(x, kernel, bias, ends, input_transform(), output_transform())
    before = WIDTH // 2
    x = ops.pad(x, [[0, 0], [before, TILE * (tiles + 1) - before - length], [0, 0]])
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
    points = _finite_points()
    gaps = points[:, None] - points + np.eye(len(points))
    finite = points[:, None] ** np.arange(WIDTH) / gaps.prod(axis=1, keepdims=True)
    return np.concatenate([finite, np.eye(WIDTH)[-1:]])


def _at_points(d: Sequence[Any]) -> list[Any]:
    """``B^T d``: even and odd powers apart, so that opposite points share both sums."""
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
    """``A^T m``, from sums and differences of opposite points."""
    sums = [m[i] + m[i + 1] for i in (1, 3, 5)]
    differences = [m[i] - m[i + 1] for i in (1, 3, 5)]

    def powers(k: int, first: Any) -> Any:
        for p, terms in zip(POINTS, differences if k % 2 else sums, strict=True):
            first = p**k * terms if first is None else plus(first, p**k, terms)
        return first

    return [powers(0, m[0]), powers(1, None), powers(2, None), powers(3, m[7])]


def _pairs(values: Sequence[float]) -> float:
    return sum(a * b for i, a in enumerate(values) for b in values[:i])


def input_transform() -> NDArray[np.float64]:
    """``B^T``, ``(8, 8)``: row i holds the coefficients of the product of ``x - p_j`` over the other finite points."""
    points = _finite_points()
    rows = [np.poly(np.delete(points, i))[::-1] for i in range(len(points))]
    return np.stack([*(np.append(row, 0) for row in rows), np.poly(points)[::-1]])


def output_transform() -> NDArray[np.float64]:
    """``A^T``, ``(4, 8)``: ``p_i^k`` in row k; infinity's product belongs to the last."""
    powers = _finite_points() ** np.arange(TILE)[:, None]
    return np.concatenate([powers, np.eye(TILE)[:, -1:]], axis=1)


def _finite_points() -> NDArray[np.float64]:
    return np.array([0.0, *(sign * p for p in POINTS for sign in (1, -1))])
