"""A network in two: what sees only its neighbourhood on the sequence, and what sees all of it."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import keras

from crested_like import _graph
from crested_like.tl.rewriting import _reach
from crested_like.tl.rewriting._accelerate import fast_form
from crested_like.tl.rewriting._needed import Replay, spans_needed
from crested_like.tl.rewriting._reach import Span
from crested_like.tl.rewriting._rebuild import replayed

#: A stretch that is computed anew may take this part of the sequence.
LARGEST_SLAB = 0.5


@dataclass(frozen=True)
class Tensor:
    """A tensor where the local part of a network ends, and how it hangs on the sequence."""

    symbol: Any
    step: int
    """Bases of a position."""
    reach: Span
    """Bases before and after its own that a position hangs on, at most."""
    held: Span
    """Positions that the rest of the network asks for."""

    def touched(self, changed: Span) -> Span:
        """Positions held that hang on some bases; empty where none does."""
        first = (changed[0] - self.reach[1]) // self.step
        last = -(-(changed[1] + self.reach[0]) // self.step)
        return max(first, self.held[0]), min(last, self.held[1])


class Split:
    """A network with one output as a local front and the rest.

    Parameters
    ----------
    model
        A functional model, whose layers are shared.
    tensors
        Where its local part ends.
    """

    def __init__(self, model: keras.Model, tensors: list[Tensor]) -> None:
        self.tensors = tensors
        self.dna = model.inputs[0]
        self.length = int(self.dna.shape[1])
        symbols = [tensor.symbol for tensor in tensors]
        wanted = {id(tensor.symbol): tensor.held for tensor in tensors}
        order = list(_graph.steps([self.dna], symbols))
        replay = Replay(order, {id(self.dna): self.dna}, {id(self.dna): (0, self.length)}, wanted)
        #: DNA to the positions held of every tensor.
        self.front = fast_form(keras.Model(self.dna, [replay.take(t.symbol, t.held) for t in tensors], name="front"))
        inputs = [keras.Input((t.held[1] - t.held[0], *t.symbol.shape[2:]), dtype=t.symbol.dtype) for t in tensors]
        values = {id(symbol): value for symbol, value in zip(symbols, inputs, strict=True)}
        output = model.outputs[0]
        whole = {id(output): (0, output.shape[1])} if len(output.shape) == 3 else {}
        replay = Replay(list(_graph.steps(symbols, [output])), values, dict(wanted), whole)
        #: These to the output.
        result = replay.take(output, whole[id(output)]) if whole else values[id(output)]
        self.back = fast_form(keras.Model(inputs, result, name="back"))
        self._slabs: dict[int, keras.Model] = {}
        self.grid = max(tensor.step for tensor in tensors)

    def slab(self, changed: Span) -> tuple[int, int] | None:
        """First base and length of a stretch to compute anew where some bases changed; None where it would not pay."""
        before = max(t.reach[0] + t.reach[1] + t.step for t in self.tensors)
        size = self.grid
        while size < changed[1] - changed[0] + 2 * (before + self.grid):
            size *= 2
        if size > LARGEST_SLAB * self.length:
            return None
        middle = (changed[0] + changed[1]) // 2
        start = min(max(middle - size // 2, 0), self.length - size)
        return start // self.grid * self.grid, size

    def slab_network(self, size: int) -> keras.Model:
        """DNA of a stretch to the tensors over it."""
        if size not in self._slabs:
            slab = keras.Input((size, *self.dna.shape[2:]), dtype=self.dna.dtype)
            found = replayed([self.dna], [t.symbol for t in self.tensors], {id(self.dna): slab})
            self._slabs[size] = keras.Model(slab, found, name="slab")
        return self._slabs[size]


_SPLITS: weakref.WeakKeyDictionary[keras.Model, Split | None] = weakref.WeakKeyDictionary()


def split_of(model: keras.Model) -> Split | None:
    """The parts of a model with one output, made once; None where no part of it is local."""
    if model not in _SPLITS:
        tensors = _tensors(model)
        _SPLITS[model] = Split(model, tensors) if tensors else None
    return _SPLITS[model]


def _tensors(model: keras.Model) -> list[Tensor]:
    """Where the local part of a network ends; empty where it has none, or one that sees half of the sequence."""
    dna = model.inputs[0]
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(dna.shape) != 3 or dna.shape[1] is None:
        return []
    order = list(_graph.steps(model.inputs, model.outputs))
    local = {id(dna)}
    ends: dict[int, Any] = {}
    for step in order:
        if all(id(tensor) in local for tensor in step.inputs) and _is_local(step):
            local.update(id(tensor) for tensor in step.outputs)
        else:
            ends |= {id(tensor): tensor for tensor in step.inputs if id(tensor) in local}
    if id(model.outputs[0]) in local:
        ends = {id(model.outputs[0]): model.outputs[0]}
    ends = {key: tensor for key, tensor in ends.items() if not _follows(tensor, ends)}
    if not ends or id(dna) in ends:
        return []
    output = model.outputs[0]
    rest = list(_graph.steps(list(ends.values()), model.outputs))
    held = spans_needed(rest, {id(output): (0, output.shape[1])} if len(output.shape) == 3 else {})
    steps = list(_graph.steps([dna], list(ends.values())))
    found = [_measured(dna, tensor, steps, held.get(id(tensor), (0, tensor.shape[1]))) for tensor in ends.values()]
    return [] if any(tensor is None for tensor in found) else found


def _is_local(step: _graph.Step) -> bool:
    shapes = [tensor.shape for tensor in step.inputs]
    if len(step.outputs) != 1 or len(step.outputs[0].shape) != 3 or not step.outputs[0].shape[1]:
        return False
    if isinstance(step.layer, keras.layers.Cropping1D):  # what follows is counted from elsewhere
        return False
    return _reach.needed(step.layer, shapes, (0, 1)) is not None


def _follows(tensor: Any, ends: dict[int, Any]) -> bool:
    """Whether a tensor is made from others of these at next to no cost."""
    step = _graph.producer(tensor)
    cheap = not isinstance(step.layer, keras.layers.Dense) and _reach.is_pointwise(
        step.layer, [source.shape for source in step.inputs]
    )
    return cheap and bool(step.inputs) and all(id(source) in ends for source in step.inputs)


def _measured(dna: Any, tensor: Any, steps: list[_graph.Step], held: Span) -> Tensor | None:
    """How a tensor hangs on the sequence, looked up for all places that it can have on a coarser tensor's grid."""
    length, positions = dna.shape[1], tensor.shape[1]
    if length % positions:
        return None
    step = length // positions
    coarsest = min(source.shape[1] for one in steps for source in one.outputs)
    before = after = 0
    middle = positions // 2
    for position in range(middle, min(middle + max(positions // coarsest, 1), positions)):
        first, last = spans_needed(steps, {id(tensor): (position, position + 1)})[id(dna)]
        if first == 0 or last == length:  # sees an end from the middle: nothing to be gained
            return None
        before, after = max(before, position * step - first), max(after, last - (position + 1) * step)
    return Tensor(tensor, step, (max(before, 0), max(after, 0)), held)
