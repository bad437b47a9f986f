"""Blocks that the architectures share: tensor in, tensor out, every layer with a stable name.

Tensors are ``(batch, positions, channels)``. A block called ``tower_1`` makes layers ``tower_1_norm``,
``tower_1_conv`` and so on; weight maps, taps and head swaps address layers by these names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from crested_like import layers
from crested_like._checks import positive_int
from crested_like.layers._initializers import fresh

#: Activations by name. ``gelu`` alone is not among them: three functions go by it.
ACTIVATIONS: dict[str, Callable | str] = {
    "gelu_tanh": layers.gelu_tanh,
    "gelu_erf": layers.gelu_erf,
    "gelu_sigmoid": layers.gelu_sigmoid,
    **{name: name for name in ("relu", "sigmoid", "tanh", "softplus", "linear", "exponential")},
    "swish": "silu",
}

NORMS = ("batch", "batch-sync", "layer")


@dataclass(frozen=True, kw_only=True)
class Style:
    """What the convolutional blocks of one network have in common."""

    activation: str = "gelu_tanh"
    norm: str | None = "batch"
    norm_epsilon: float = 1e-3
    norm_momentum: float = 0.9
    kernel_initializer: Any = "he_normal"
    l2_scale: float = 0.0

    def but(self, **changes: Any) -> Style:
        """A copy with some values changed."""
        return replace(self, **changes)

    def penalty(self) -> keras.regularizers.Regularizer | None:
        """The L2 penalty on kernels, if there is one."""
        return keras.regularizers.L2(self.l2_scale) if self.l2_scale else None


def activate(x: Any, activation: str, name: str) -> Any:
    """Apply a named activation; linear ones leave no layer behind."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}; got {activation!r}.")
    return x if activation == "linear" else keras.layers.Activation(ACTIVATIONS[activation], name=name)(x)


def normalise(x: Any, style: Style, name: str, gamma_initializer: str = "ones") -> Any:
    """Batch or layer normalisation, or nothing, as the style says."""
    if style.norm is None:
        return x
    if style.norm == "layer":
        return keras.layers.LayerNormalization(
            epsilon=style.norm_epsilon, gamma_initializer=gamma_initializer, name=name
        )(x)
    # statistics synchronised over devices are a matter of training; TensorFlow alone has them
    return keras.layers.BatchNormalization(
        momentum=style.norm_momentum,
        epsilon=style.norm_epsilon,
        gamma_initializer=gamma_initializer,
        synchronized=style.norm == "batch-sync" and keras.backend.backend() == "tensorflow",
        name=name,
    )(x)


def convolve(
    x: Any,
    filters: int,
    width: int,
    style: Style,
    name: str,
    *,
    use_bias: bool = True,
    dilation: int = 1,
    stride: int = 1,
    separable: bool = False,
) -> Any:
    """A convolution with "same" padding."""
    common = {"strides": stride, "dilation_rate": dilation, "padding": "same", "use_bias": use_bias, "name": name}
    if separable:  # the original's initialiser and penalty do not reach separable kernels
        return keras.layers.SeparableConv1D(filters, width, **common)(x)
    return keras.layers.Conv1D(
        filters, width, kernel_initializer=fresh(style.kernel_initializer), kernel_regularizer=style.penalty(), **common
    )(x)


def max_pool(x: Any, size: int, name: str) -> Any:
    """Max pooling over ``size`` positions; 1 leaves no layer behind."""
    return x if size == 1 else keras.layers.MaxPooling1D(size, padding="same", name=name)(x)


def drop(x: Any, rate: float, name: str) -> Any:
    """Dropout; rate 0 leaves no layer behind."""
    return keras.layers.Dropout(rate, name=name)(x) if rate else x


def norm_act_conv(x: Any, filters: int, width: int, style: Style, name: str, **convolution: Any) -> Any:
    """Norm, activation, convolution with bias: the block of Enformer and Borzoi."""
    x = normalise(x, style, f"{name}_norm")
    x = activate(x, style.activation, f"{name}_activation")
    return convolve(x, filters, width, style, f"{name}_conv", **convolution)


def act_conv_norm(
    x: Any, filters: int, width: int, style: Style, name: str, *, gamma_initializer: str = "ones", **convolution: Any
) -> Any:
    """Activation, convolution (with bias only if no norm follows), norm: the block of Basenji2."""
    x = activate(x, style.activation, f"{name}_activation")
    x = convolve(x, filters, width, style, f"{name}_conv", use_bias=style.norm is None, **convolution)
    return normalise(x, style, f"{name}_norm", gamma_initializer)


@dataclass(frozen=True, kw_only=True)
class TransformerStyle:
    """What the transformer blocks of one network have in common."""

    attention: Callable[[str], keras.layers.Layer]
    """Makes the attention layer of a given name."""
    dropout: float
    """Rate after the attention and after each of the two dense layers."""
    expansion: float = 2.0
    """Width of the feed-forward part over that of the trunk; 0 leaves it out."""
    norm_epsilon: float = 1e-3
    kernel_initializer: Any = "he_normal"
    l2_scale: float = 0.0


def transformer_block(x: Any, style: TransformerStyle, name: str) -> Any:
    """Attention and feed-forward halves, each normed first and added to its input (Avsec et al. 2021, Fig. 1).

    The feed-forward dropout comes before the ReLU.
    """
    channels = x.shape[-1]
    y = keras.layers.LayerNormalization(epsilon=style.norm_epsilon, name=f"{name}_attention_norm")(x)
    y = style.attention(f"{name}_attention")(y)
    y = drop(y, style.dropout, f"{name}_attention_dropout")
    x = keras.layers.Add(name=f"{name}_attention_add")([x, y])
    if not style.expansion:
        return x
    dense = Style(kernel_initializer=style.kernel_initializer, l2_scale=style.l2_scale)
    y = keras.layers.LayerNormalization(epsilon=style.norm_epsilon, name=f"{name}_feedforward_norm")(x)
    y = pointwise(y, int(style.expansion * channels), dense, f"{name}_expand")
    y = drop(y, style.dropout, f"{name}_expand_dropout")
    y = activate(y, "relu", f"{name}_relu")
    y = pointwise(y, channels, dense, f"{name}_contract")
    y = drop(y, style.dropout, f"{name}_contract_dropout")
    return keras.layers.Add(name=f"{name}_add")([x, y])


def pointwise(x: Any, units: int, style: Style, name: str) -> Any:
    """A dense layer on every position."""
    return keras.layers.Dense(
        units, kernel_initializer=fresh(style.kernel_initializer), kernel_regularizer=style.penalty(), name=name
    )(x)


def upsample_with_skip(
    x: Any,
    skip: Any,
    style: Style,
    n: int | str,
    *,
    width: int = 3,
    project_low: bool = True,
    use_bias: bool = True,
    prefix: str = "",
) -> Any:
    """A U-Net stage: norm, activation and dense layer on both paths, then :class:`SeparableUpsampling1D`.

    Dense layers come before the upsampling; width is that of ``x``. Layers are ``upsample_n*`` and ``skip_n*``,
    numbered in order of execution (Linder et al. 2025, Methods).
    """
    channels = x.shape[-1]
    up_name, skip_name = f"{prefix}upsample_{n}", f"{prefix}skip_{n}"
    x = activate(normalise(x, style, f"{up_name}_norm"), style.activation, f"{up_name}_activation")
    skip = activate(normalise(skip, style, f"{skip_name}_norm"), style.activation, f"{skip_name}_activation")
    if project_low:
        x = pointwise(x, channels, style, f"{up_name}_dense")
    skip = pointwise(skip, channels, style, f"{skip_name}_dense")
    return layers.SeparableUpsampling1D(kernel_size=width, use_bias=use_bias, name=up_name)([x, skip])


def crop_to(x: Any, output_bins: int | None, name: str = "crop") -> Any:
    """Keep the central bins; ``None`` keeps all.

    Raises
    ------
    ValueError
        If there are fewer bins, or the surplus does not halve.
    """
    bins = x.shape[1]
    if output_bins is None or output_bins == bins:
        return x
    positive_int("output_bins", output_bins)
    surplus = bins - output_bins
    if surplus < 0 or surplus % 2:
        raise ValueError(
            f"output_bins must be at most the {bins} bins that this input length gives, and leave an even number of "
            f"bins to crop; got {output_bins}. Give output_bins=None to keep all."
        )
    return keras.layers.Cropping1D(surplus // 2, name=name)(x)


def track_heads(x: Any, heads: Mapping[str, int], style: Style) -> Any:
    """One dense softplus layer a head: an array for one head, a dict by head name for several."""
    if not heads:
        raise ValueError("heads must name at least one head, for example {'human': 5313}; got none.")
    outputs = {
        name: track_head(x, positive_int(f"heads[{name!r}]", tracks), style, f"head_{name}")
        for name, tracks in heads.items()
    }
    return outputs if len(outputs) > 1 else next(iter(outputs.values()))


def track_head(x: Any, tracks: int, style: Style, name: str, activation: str = "softplus") -> Any:
    """A dense layer on every position with its activation inside, in float32."""
    return keras.layers.Dense(
        tracks,
        activation=ACTIVATIONS[activation],
        kernel_initializer=fresh(style.kernel_initializer),
        kernel_regularizer=style.penalty(),
        dtype="float32",
        name=name,
    )(x)


def sequence_input(input_length: int, pooled: int) -> Any:
    """The one-hot input ``(B, input_length, 4)``, order A, C, G, T.

    Parameters
    ----------
    input_length
        In bp.
    pooled
        Positions that end up in one at the trunk's coarsest level.

    Raises
    ------
    ValueError
        If the length is not a multiple of ``pooled``.
    """
    length = positive_int("input_length", input_length)
    if length % pooled:
        below = length // pooled * pooled
        nearest = f"{below:,} or {below + pooled:,}" if below else f"{pooled:,}"
        raise ValueError(
            f"input_length must be a multiple of {pooled}, the network's total pooling; got {length:,}. "
            f"Nearest: {nearest}."
        )
    return keras.Input((length, 4), name="sequence")


def tower_widths(
    first: float, *, last: float | None = None, factor: float | None = None, count: int, divisible_by: int = 1
) -> tuple[int, ...]:
    """Widths that grow geometrically, each rounded (half to even) to a multiple of ``divisible_by``.

    Either the ``last`` width or the ``factor`` between two is given; the running product is not rounded.
    """
    if factor is None:
        if last is None:
            raise ValueError("tower_widths needs either last or factor; got neither.")
        factor = np.exp(np.log(last / first) / (count - 1)) if count > 1 else 1.0
    widths, width = [], float(first)
    for _ in range(count):
        widths.append(int(np.rint(width / divisible_by) * divisible_by))
        width *= factor
    return tuple(widths)


def dilations(count: int, factor: float, *, rounded: bool = True) -> tuple[int, ...]:
    """Dilation rates that grow by ``factor`` from 1, rounded half to even (4.5 to 4, 13.5 to 14).

    ``rounded`` carries the rounded rate on to the next block; otherwise only the rate in use is rounded.
    """
    rates, rate = [], 1.0
    for _ in range(count):
        rates.append(int(np.rint(rate)))
        rate *= factor
        rate = float(np.rint(rate)) if rounded else rate
    return tuple(rates)


def dilated_residual(
    x: Any,
    filters: int,
    dilation: int,
    style: Style,
    name: str,
    *,
    dropout: float,
    width: int = 3,
    separable: bool = False,
) -> Any:
    """A narrow dilated convolution and a return to full width whose scale starts at zero, added to the input."""
    y = act_conv_norm(x, filters, width, style, f"{name}_dilated", dilation=dilation, separable=separable)
    y = act_conv_norm(y, x.shape[-1], 1, style, f"{name}_return", gamma_initializer="zeros")
    y = drop(y, dropout, f"{name}_dropout")
    if style.norm is None:
        y = layers.ChannelScale(name=f"{name}_scale")(y)
    return keras.layers.Add(name=f"{name}_add")([x, y])
