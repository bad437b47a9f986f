"""A network's graph cut into consecutive stretches where little is alive, for gradients in bounded memory."""

from __future__ import annotations

import math
from typing import Any

import keras

from crested_like import _graph

#: Symbolic tensors that a stretch needs from before, and those that are needed of it afterwards.
Stretch = tuple[list[Any], list[Any]]


def stretches(model: keras.Model) -> list[Stretch]:
    """The graph in stretches that end after a pooling, after a residual sum: wherever least has to be handed on."""
    order = list(_graph.steps(model.inputs, model.outputs))
    last_use = {id(tensor): number for number, step in enumerate(order) for tensor in step.inputs}
    last_use |= {id(tensor): len(order) for tensor in model.outputs}
    found, start = [], 0
    for end in _ends(order, last_use):
        steps = order[start:end]
        made = {id(tensor): tensor for step in steps for tensor in step.outputs}
        needed = {id(tensor): tensor for step in steps for tensor in step.inputs if id(tensor) not in made}
        handed_on = [tensor for key, tensor in made.items() if last_use.get(key, -1) >= end]
        found.append((list(needed.values()), handed_on))
        start = end
    return found


def _ends(order: list[_graph.Step], last_use: dict[int, int]) -> list[int]:
    """Where stretches end: after every step with less alive than before it, and no more than after the next."""
    alive: list[int] = []
    live: dict[int, int] = {}
    for number, step in enumerate(order):
        live |= {id(tensor): math.prod(size or 1 for size in tensor.shape[1:]) for tensor in step.outputs}
        live = {key: size for key, size in live.items() if last_use.get(key, -1) > number}
        alive.append(sum(live.values()))
    inner = [i + 1 for i in range(1, len(alive) - 1) if alive[i] < alive[i - 1] and alive[i] <= alive[i + 1]]
    return [*inner, len(order)]
