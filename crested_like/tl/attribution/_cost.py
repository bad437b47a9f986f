"""What gradients take of memory, and how they are taken so that it is enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras

from crested_like import _graph
from crested_like._checks import positive_int
from crested_like._memory import free_bytes
from crested_like.layers import MultiheadAttention, SelfAttention
from crested_like.tl._memory import LARGEST_BATCH, OVERHEAD, SHARE

#: Arrays of the size of attention's logits that its gradient keeps: content, relative, their sum, weights.
ATTENTION_ARRAYS = 4


@dataclass(frozen=True)
class Plan:
    """How gradients are taken."""

    batch_size: int
    staged: bool
    """Stretch by stretch, each computed twice."""


def gradient_plan(
    network: keras.Model, sequences: int, batch_size: int | None = None, staged: bool | None = None
) -> Plan:
    """As many sequences at a time as fit; stretch by stretch where not even one does.

    Parameters
    ----------
    network
        The network to be differentiated.
    sequences
        How many there are.
    batch_size, staged
        What is settled already.
    """
    if batch_size is not None:
        batch_size = min(positive_int("batch_size", batch_size), max(sequences, 1))
    fitting = SHARE * free_bytes() / (OVERHEAD * kept_bytes(network))
    if staged is None:
        staged = fitting < (batch_size or 1)
    if batch_size is None:
        most = 1 if staged else max(1, min(int(fitting), LARGEST_BATCH))
        rounds = math.ceil(max(sequences, 1) / most)
        batch_size = math.ceil(max(sequences, 1) / rounds)  # batches of even size: the last one is padded
    return Plan(batch_size, staged)


def kept_bytes(network: keras.Model) -> int:
    """Memory of all activations of one sequence, which a gradient taken at once keeps, in bytes."""
    return max(1, sum(_bytes(step) for step in _graph.steps(network.inputs, network.outputs)))


def _bytes(step: Any) -> int:
    found = sum(4 * math.prod(size or 1 for size in tensor.shape[1:]) for tensor in step.outputs)
    layer = step.layer
    if isinstance(layer, MultiheadAttention | SelfAttention):
        positions = step.inputs[0].shape[1] or 1
        found += 4 * ATTENTION_ARRAYS * layer.heads * positions**2
    if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):  # a model used as a layer
        found += kept_bytes(layer)
    return found
