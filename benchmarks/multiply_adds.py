"""Multiply-adds of a network's matrix products and convolutions, as its layers compute them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def multiply_adds(model: Any) -> int:
    """Those of one window: every kernel at every position, and attention; sums of few terms are left out."""
    from crested_like import _graph

    return sum(_of_layer(step.layer, step.inputs, step.outputs) for step in _graph.steps(model.inputs, model.outputs))


def _of_layer(layer: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Those of one layer in a graph: others may call it, too, so shapes are those of its tensors here."""
    from crested_like import layers

    if isinstance(layer, layers.Blockwise):
        return math.ceil(outputs[0].shape[1] / layer.keep) * multiply_adds(layer.network)
    if isinstance(layer, layers.CookToomConv1D):
        return _of_tiles(layer.layer, inputs[0].shape[1])
    if isinstance(layer, layers.SomeAttention):
        return _of_attention(layer.layer, inputs[0].shape[1], layer.last - layer.first)
    if isinstance(layer, layers.SelfAttention | layers.MultiheadAttention | layers.RotaryAttention):
        return _of_attention(layer, inputs[0].shape[1], inputs[0].shape[1])
    kernels = [weight for weight in getattr(layer, "weights", []) if len(weight.shape) >= 2]
    if isinstance(layer, layers.TokenEmbedding | layers.LearnedPositions) or not kernels:
        return 0
    positions = max(inputs[0].shape[1], outputs[0].shape[1])
    return sum(positions * math.prod(weight.shape) for weight in kernels)


def _of_tiles(layer: Any, positions: int) -> int:
    """A convolution by F(4, 5): 8 products for 4 positions."""
    return -(-positions // 4) * 8 * math.prod(layer.kernel.shape[1:])


def _of_attention(layer: Any, tokens: int, queries: int) -> int:
    """Projections, logits, sums of values, and the relative logits of all distances or of their distinct ones."""
    import keras

    from crested_like import layers
    from crested_like.layers.attention import PICKED_ON

    key_size = getattr(layer, "key_size", None) or layer.head_size
    value_size = getattr(layer, "value_size", key_size)
    total = queries * tokens * layer.heads * (key_size + value_size)
    distances = 0
    if isinstance(layer, layers.MultiheadAttention) and layer.num_position_features:
        distances = len(layer._distinct) if layer.in_runs else 2 * tokens - 1
        if not layer.in_runs:
            total += queries * layer.heads * key_size * tokens
        else:
            by_product = 0 if keras.backend.backend() in PICKED_ON else tokens
            total += queries * layer.heads * distances * (key_size + by_product)
    for weight in layer.weights:
        if not weight.path.endswith("kernel") or len(weight.shape) < 2:
            continue
        if "r_k_layer" in weight.path:
            rows = distances
        else:
            rows = queries if "q_layer" in weight.path or "embedding_layer" in weight.path else tokens
        total += rows * math.prod(weight.shape)
    return total
