"""Multiply-adds of a network's matrix products and convolutions, as its layers compute them."""

from __future__ import annotations

import math
from typing import Any


def multiply_adds(model: Any) -> int:
    """Those of one window: every kernel at every position, and attention; sums of few terms are left out."""
    return sum(of_layer(layer) for layer in model.layers)


def of_layer(layer: Any) -> int:
    """Those of one layer of a functional model."""
    from crested_like import layers

    if isinstance(layer, layers.Blockwise):
        return layer.output.shape[1] // layer.keep * multiply_adds(layer.network)
    if isinstance(layer, layers.CookToomConv1D):
        return _of_tiles(layer)
    symbols = layer.input if isinstance(layer.input, list) else [layer.input]
    if isinstance(layer, layers.SomeAttention):
        return _of_attention(layer.layer, symbols[0].shape[1], layer.last - layer.first)
    if isinstance(layer, layers.SelfAttention | layers.MultiheadAttention):
        return _of_attention(layer, symbols[0].shape[1], symbols[0].shape[1])
    kernels = [weight for weight in layer.weights if len(weight.shape) >= 2]
    if isinstance(layer, layers.TokenEmbedding | layers.LearnedPositions) or not kernels:
        return 0
    positions = max(symbols[0].shape[1], layer.output.shape[1])
    return sum(positions * math.prod(weight.shape) for weight in kernels)


def _of_tiles(layer: Any) -> int:
    """A convolution by F(4, 5): 8 products for 4 positions, and the kernel's transformation where it is not shared."""
    channels, filters = layer.layer.kernel.shape[1:]
    return -(-layer.input.shape[1] // 4) * 8 * channels * filters


def _of_attention(layer: Any, tokens: int, queries: int) -> int:
    """Projections, logits, sums of values, and the direct algorithm's relative logits."""
    from crested_like import layers

    value_size = getattr(layer, "value_size", layer.key_size)
    relative = isinstance(layer, layers.MultiheadAttention)
    total = queries * tokens * layer.heads * (layer.key_size * (1 + relative) + value_size)
    for weight in layer.weights:
        if not weight.path.endswith("kernel") or len(weight.shape) < 2:
            continue
        if "r_k_layer" in weight.path:
            rows = 2 * tokens - 1
        else:
            rows = tokens if "k_layer" in weight.path or "v_layer" in weight.path else queries
        total += rows * math.prod(weight.shape)
    return total
