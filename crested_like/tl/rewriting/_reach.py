"""Which positions of its inputs a layer needs for some positions of its output."""

from __future__ import annotations

from typing import Any

import keras

from crested_like import layers
from crested_like.layers._stand_in import StandIn

#: Consecutive positions, ``(first, after the last)``.
Span = tuple[int, int]

#: Layers that look at each position alone.
_POINTWISE = (
    keras.layers.Activation,
    keras.layers.BatchNormalization,
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.ELU,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ReLU,
    keras.layers.SpatialDropout1D,
    layers.ChannelScale,
    layers.SwishGate,
)
_MERGING = (keras.layers.Add, keras.layers.Average, keras.layers.Maximum, keras.layers.Multiply, keras.layers.Subtract)
_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.SeparableConv1D, keras.layers.DepthwiseConv1D)
_POOLINGS = (keras.layers.AveragePooling1D, keras.layers.MaxPooling1D, layers.AttentionPool1D)


def is_pointwise(layer: Any, shapes: list[tuple]) -> bool:
    """Whether every position of the output hangs on the same one of each input, and on no other."""
    if any(len(shape) != 3 for shape in shapes):
        return False
    layer = _plain(layer)
    if isinstance(layer, keras.layers.LayerNormalization):
        return layer.axis in (-1, 2, [-1], [2], (-1,), (2,))
    if isinstance(layer, keras.layers.BatchNormalization):
        return layer.axis in (-1, 2)
    if isinstance(layer, keras.layers.PReLU):
        return 1 in (layer.shared_axes or ())
    if isinstance(layer, keras.layers.Concatenate):
        return layer.axis in (-1, 2)
    if isinstance(layer, keras.layers.Softmax):
        return layer.axis in (-1, 2)
    return isinstance(layer, (*_POINTWISE, *_MERGING))


def margins(layer: Any) -> Span | None:
    """Positions before and after one that a convolution without stride needs; None for another layer."""
    layer = _plain(layer)
    if not isinstance(layer, _CONVOLUTIONS) or layer.padding != "same" or set(layer.strides) != {1}:
        return None
    reach = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
    return reach // 2, reach - reach // 2


def pooled(layer: Any, length: int) -> int | None:
    """Positions that a pooling without overlap takes together; None for another layer."""
    layer = _plain(layer)
    if not isinstance(layer, _POOLINGS):
        return None
    size = _scalar(layer.pool_size)
    if not isinstance(layer, layers.AttentionPool1D) and _scalar(layer.strides) != size:
        return None
    return size if length % size == 0 else None


def _plain(layer: Any) -> Any:
    """The layer that another one stands in for, or the layer itself."""
    return layer.layer if isinstance(layer, StandIn) else layer


def _scalar(value: Any) -> int:
    return int(value[0]) if isinstance(value, list | tuple) else int(value)


def needed(layer: Any, shapes: list[tuple], wanted: Span) -> list[Span] | None:
    """Spans of the inputs that a span of the output hangs on; None where it hangs on all of them.

    Parameters
    ----------
    layer
        Any layer or operation.
    shapes
        Of its inputs, ``(B, L, C)`` each.
    wanted
        Positions of its output.
    """
    if is_pointwise(layer, shapes):
        return [wanted] * len(shapes)
    if not shapes or any(len(shape) != 3 or shape[1] is None for shape in shapes):
        return None
    first, last = wanted
    length = shapes[0][1]
    reach, size = margins(layer), pooled(layer, length)
    if reach is not None:
        return [(max(0, first - reach[0]), min(length, last + reach[1]))]
    if size is not None:
        return [(first * size, last * size)]
    if isinstance(layer, keras.layers.Cropping1D):
        return [(first + layer.cropping[0], last + layer.cropping[0])]
    if isinstance(layer, keras.layers.UpSampling1D):
        return [(first // layer.size, -(-last // layer.size))]
    if isinstance(layer, layers.SeparableUpsampling1D):
        before = (layer.kernel_size - 1) // 2
        first, last = max(0, first - before), min(shapes[1][1], last + layer.kernel_size - 1 - before)
        low = first // layer.factor, -(-last // layer.factor)
        return [low, (low[0] * layer.factor, low[1] * layer.factor)]
    return None


def given(layer: Any, shapes: list[tuple], held: list[Span]) -> Span:
    """Positions of its output that a layer gives for spans of its inputs, as :func:`needed` says them.

    Parameters
    ----------
    layer, shapes
        As for :func:`needed`; the shapes are those of whole inputs.
    held
        Spans of the inputs that it is given.
    """
    first, last = held[0]
    size = pooled(layer, shapes[0][1])
    if size is not None:
        return first // size, last // size
    if isinstance(layer, keras.layers.Cropping1D):
        return first - layer.cropping[0], last - layer.cropping[0]
    if isinstance(layer, keras.layers.UpSampling1D):
        return first * layer.size, last * layer.size
    if isinstance(layer, layers.SeparableUpsampling1D):
        return held[1]
    return first, last
