"""Layers that work on large tensors, a block of positions at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from crested_like import _graph, layers
from crested_like.tl.rewriting._needed import spans_needed
from crested_like.tl.rewriting._rebuild import replayed, structure

#: Entries of the largest tensor of a block, about: 16 MB in single precision.
ENTRIES = 2**22
#: Margins may add so much to a block.
MOST_MARGIN = 0.02


@dataclass(frozen=True)
class Section:
    """Consecutive steps of a graph that see only their neighbourhood, and how they are cut into blocks."""

    steps: list[_graph.Step]
    source: Any
    """The only tensor from elsewhere that they use."""
    last: Any
    """The only one of their tensors that is used elsewhere."""
    step: int
    """Positions of the source in one after them."""
    keep: int
    """Positions of a block, after them."""
    margin: int
    """Positions to compute on either side of a block and throw away."""

    def as_layer(self) -> layers.Blockwise:
        """A layer that computes the last tensor from the source."""
        shape = self.step * (self.keep + 2 * self.margin), *self.source.shape[2:]
        slab = keras.Input(shape, dtype=self.source.dtype)
        network = keras.Model(slab, replayed([self.source], self.last, {id(self.source): slab}), name="block")
        name = f"{self.steps[-1].layer.name}_in_blocks"
        return layers.Blockwise(network, self.step, self.keep, self.margin, name=name)


def in_blocks(model: keras.Model, entries: int | None = None) -> keras.Model | None:
    """A model that shares the layers of another, those that work locally on large tensors in blocks of positions.

    Parameters
    ----------
    model
        Any functional model.
    entries
        Entries of the largest tensor of a block, about; smaller tensors stay whole.

    Returns
    -------
    keras.Model or None
        None where the model has no such layers.
    """
    order = list(_graph.steps(model.inputs, model.outputs))
    sections = {id(section.steps[0]): section for section in _sections(order, model.outputs, entries or ENTRIES)}
    if not sections:
        return None
    values = {id(tensor): tensor for tensor in model.inputs}
    inside: set[int] = set()
    for step in order:
        if id(step) in inside:
            continue
        section = sections.get(id(step))
        if section is None:
            values |= step.compute(values, symbolic=True)
        else:
            values[id(section.last)] = section.as_layer()(values[id(section.source)])
            inside |= {id(one) for one in section.steps}
    inputs, outputs = structure(model)
    return keras.Model(inputs, keras.tree.map_structure(lambda y: values[id(y)], outputs), name=model.name)


def _sections(order: list[_graph.Step], outputs: list[Any], entries: int) -> Iterator[Section]:
    """Longest sections that are worth cutting into blocks, in their order."""
    last_use = {id(tensor): number for number, step in enumerate(order) for tensor in step.inputs}
    last_use |= {id(tensor): len(order) for tensor in outputs}
    begin = 0
    while begin < len(order):
        found = None
        for end in _ends(order, begin, last_use):
            section = _planned(order[begin:end], entries)
            if section is None:
                break
            found = section
        if found is not None and _largest(found.steps[:-1]) > entries:
            yield found
            begin += len(found.steps)
        else:
            begin += 1


def _ends(order: list[_graph.Step], begin: int, last_use: Mapping[int, int]) -> Iterator[int]:
    """Numbers of steps before which those from one on have a single source and a single result."""
    inside, sources = set(), {id(tensor) for tensor in order[begin].inputs}
    for number in range(begin, len(order)):
        sources |= {id(tensor) for tensor in order[number].inputs} - inside
        if len(sources) != 1:
            return
        if all(last_use.get(key, -1) <= number for key in inside) and len(order[number].outputs) == 1:
            yield number + 1
        inside |= {id(tensor) for tensor in order[number].outputs}


def _planned(steps: list[_graph.Step], entries: int) -> Section | None:
    """Blocks of some layers; None where blocks would not pay."""
    source, last = steps[0].inputs[0], steps[-1].outputs[0]
    if len(source.shape) != 3 or len(last.shape) != 3 or not source.shape[1] or not last.shape[1]:
        return None
    length = last.shape[1]
    if source.shape[1] % length:
        return None
    step = source.shape[1] // length
    most = min(max(entries * length // _largest(steps), 1), length)
    keep = math.ceil(length / math.ceil(length / most))  # blocks alike
    middle = length // keep // 2 * keep
    first, end = spans_needed(steps, {id(last): (middle, middle + keep)})[id(source)]
    margin = math.ceil(max(middle * step - first, end - (middle + keep) * step, 0) / step)
    if 2 * margin > MOST_MARGIN * keep or keep + 2 * margin > length // 2:
        return None
    return Section(steps, source, last, step, keep, margin)


def _largest(steps: list[_graph.Step]) -> int:
    """Entries of the largest tensor that some layers make."""
    return max((math.prod(tensor.shape[1:]) for step in steps for tensor in step.outputs), default=0)
