"""Convolutions from fewer products."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from keras import ops

from crested_like.kernels.cook_toom import WIDTH, convolved, kernel_at_points
from crested_like.layers._register import serializable
from crested_like.layers._stand_in import StandIn
from crested_like.layers.unfolded import keeps_positions

#: Channels on either side of the kernel, below which the sums take longer than the products that they save.
LEAST_CHANNELS = 64


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
        """Whether a layer is a convolution that gains from it: a wide one, in numbers of enough digits."""
        if not keeps_positions(layer) or layer.kernel_size != (WIDTH,):
            return False
        return min(layer.kernel.shape[1:]) >= LEAST_CHANNELS and layer.compute_dtype in ("float32", "float64")

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
        return kernel_at_points(ops.cast(self.layer.kernel, self.compute_dtype))


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
