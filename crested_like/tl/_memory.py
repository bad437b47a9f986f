"""How many windows fit into memory at once."""

from __future__ import annotations

import math
from typing import Any

import keras

from crested_like import _graph
from crested_like._memory import free_bytes
from crested_like.layers import Blockwise

#: Activations may take this part of the free memory.
SHARE = 0.25
#: Working space beside the activations themselves: layout changes, unfolded convolutions, attention logits.
OVERHEAD = 2.0
#: More windows at a time bring no speed.
LARGEST_BATCH = 64


def activation_bytes(model: keras.Model) -> int:
    """Memory that one window's activations take at their peak, in bytes, as the graph is computed step by step.

    A tensor counts from the step that makes it to the last step that reads it, and the largest block of a layer that
    computes one after the other while that layer is at work.
    """
    order = list(_graph.steps(model.inputs, model.outputs))
    last_use = {id(tensor): i for i, step in enumerate(order) for tensor in step.inputs}
    last_use.update({id(tensor): len(order) for tensor in model.outputs})
    live = {id(tensor): _bytes(tensor) for tensor in model.inputs}
    total = peak = sum(live.values())
    for i, step in enumerate(order):
        made = {id(tensor): _bytes(tensor) for tensor in step.outputs}
        total += sum(size for key, size in made.items() if key not in live)
        live.update(made)
        inside = activation_bytes(step.layer.network) if isinstance(step.layer, Blockwise) else 0
        peak = max(peak, total + inside)
        for key in {id(tensor) for tensor in (*step.inputs, *step.outputs)}:
            if key in live and last_use.get(key, -1) <= i:
                total -= live.pop(key)
    return peak


def _bytes(tensor: Any) -> int:
    return 4 * math.prod(size or 1 for size in tensor.shape[1:])


def batch_size_for(models: list[keras.Model], windows: int) -> int:
    """Largest safe batch: 1 whenever one window's activations are estimated above a quarter of the free memory."""
    per_window = OVERHEAD * max(activation_bytes(model) for model in models)
    fitting = max(1, min(int(SHARE * free_bytes() / per_window), LARGEST_BATCH))
    return math.ceil(windows / math.ceil(windows / fitting))  # batches of even size: the last one is padded
