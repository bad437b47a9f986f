"""A network that computes some of its positions only: what others would need is left out as early as can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from crested_like import _graph, layers
from crested_like.tl.rewriting import _reach
from crested_like.tl.rewriting._reach import Span
from crested_like.tl.rewriting._rebuild import structure

#: A layer is called with so many times the positions it needs, rather than with a copy of these alone.
MOST_SURPLUS = 1.05


def spans_needed(order: list[_graph.Step], wanted: Mapping[int, Span]) -> dict[int, Span]:
    """Positions of every tensor that some positions of others hang on.

    Parameters
    ----------
    order
        Steps of a graph.
    wanted
        Positions of tensors by their id.

    Returns
    -------
    dict
        Spans by id; tensors without positions are left out.
    """
    found = dict(wanted)
    for step in reversed(order):
        spans = [found[id(tensor)] for tensor in step.outputs if id(tensor) in found]
        if not spans and all(_has_positions(tensor) for tensor in step.outputs):
            continue  # nobody asks for it
        parts = None
        if len(step.outputs) == 1 and spans:
            parts = _reach.needed(step.layer, [tensor.shape for tensor in step.inputs], spans[0])
        for number, tensor in enumerate(step.inputs):
            if not _has_positions(tensor):
                continue
            span = (0, tensor.shape[1]) if parts is None else parts[number]
            old = found.get(id(tensor), span)
            found[id(tensor)] = min(old[0], span[0]), max(old[1], span[1])
    return found


def _has_positions(tensor: Any) -> bool:
    return len(tensor.shape) >= 2 and tensor.shape[1] is not None


class Replay:
    """A graph called once more on parts of its tensors.

    Parameters
    ----------
    order
        Steps of the graph.
    values
        What stands for the tensors it starts from, by their id.
    held
        Positions of these that the values have.
    wanted
        Positions of the tensors that are wanted in the end, by their id.
    """

    def __init__(
        self, order: list[_graph.Step], values: dict[int, Any], held: dict[int, Span], wanted: Mapping[int, Span]
    ) -> None:
        self.values, self.held = values, held
        self._cropped: dict[tuple[int, Span], Any] = {}
        needs = spans_needed(order, wanted)
        for step in order:
            self._call(step, needs)

    def take(self, tensor: Any, span: Span) -> Any:
        """The value of a tensor at some positions."""
        first, last = self.held[id(tensor)]
        if span == (first, last):
            return self.values[id(tensor)]
        key = id(tensor), span
        if key not in self._cropped:
            crop = keras.layers.Cropping1D((span[0] - first, last - span[1]))
            self._cropped[key] = crop(self.values[id(tensor)])
        return self._cropped[key]

    def _call(self, step: _graph.Step, needs: Mapping[int, Span]) -> None:
        shapes = [tensor.shape for tensor in step.inputs]
        output = step.outputs[0]
        if self._call_attention(step, needs):
            return
        parts = None
        if len(step.outputs) == 1 and id(output) in needs:
            parts = _reach.needed(step.layer, shapes, needs[id(output)])
        if parts is None:
            parts = [(0, tensor.shape[1]) if id(tensor) in self.held else None for tensor in step.inputs]
            spans = [(0, tensor.shape[1]) for tensor in step.outputs]
        else:
            parts = self._as_held(step, parts, needs)
            spans = [_reach.given(step.layer, shapes, parts)]
        inputs = {
            id(tensor): self.values[id(tensor)] if part is None else self.take(tensor, part)
            for tensor, part in zip(step.inputs, parts, strict=True)
        }
        if isinstance(step.layer, keras.layers.Cropping1D):  # its positions are counted from elsewhere, that is all
            self.values[id(output)] = inputs[id(step.inputs[0])]
        else:
            self.values |= step.compute(inputs, symbolic=True)
        for tensor, span in zip(step.outputs, spans, strict=True):
            if len(tensor.shape) >= 2:
                self.held[id(tensor)] = span

    def _call_attention(self, step: _graph.Step, needs: Mapping[int, Span]) -> bool:
        """Attention, which takes all positions, asked for some; whether that was to be done."""
        output = step.outputs[0]
        wanted = needs.get(id(output))
        if not layers.SomeAttention.fits(step.layer) or wanted is None:
            return False
        if wanted[1] - wanted[0] > (output.shape[1] or 0) / MOST_SURPLUS:
            return False
        source = step.inputs[0]
        some = layers.SomeAttention(step.layer, *wanted, name=step.layer.name, dtype=step.layer.dtype_policy)
        self.values[id(output)] = some(self.take(source, (0, source.shape[1])))
        self.held[id(output)] = wanted
        return True

    def _as_held(self, step: _graph.Step, parts: list[Span], needs: Mapping[int, Span]) -> list[Span]:
        """The spans to call a layer with: what is held, where a little more does no harm and spares a copy."""
        layer, (source, *others) = step.layer, step.inputs
        if others or _reach.pooled(layer, source.shape[1]) is not None:
            return parts
        held = self.held[id(source)]
        if isinstance(layer, keras.layers.Cropping1D):  # what follows takes its ends for the ends of the sequence
            start = layer.cropping[0]
            held = max(held[0], start), min(held[1], start + step.outputs[0].shape[1])
        part = parts[0]
        return [held if held[1] - held[0] <= MOST_SURPLUS * (part[1] - part[0]) else part]


def only_needed(model: keras.Model, bins: Span | None = None) -> keras.Model | None:
    """A model that shares the layers of another, and computes no position that its outputs do not hang on.

    None where the model computes no other.

    Parameters
    ----------
    model
        Any functional model.
    bins
        Positions of the outputs that are wanted, as a span; all of them by default.
    """
    order = list(_graph.steps(model.inputs, model.outputs))
    if any(len(tensor.shape) < 2 or tensor.shape[1] is None for tensor in (*model.inputs, *model.outputs)):
        return None
    wanted = {id(tensor): (0, tensor.shape[1]) if bins is None else bins for tensor in model.outputs}
    held = {id(tensor): (0, tensor.shape[1]) for tensor in model.inputs}
    needs = spans_needed(order, wanted)
    produced = [tensor for step in order for tensor in step.outputs if id(tensor) in needs]
    if all(needs[id(tensor)] == (0, tensor.shape[1]) for tensor in produced):
        return None
    replay = Replay(order, {id(tensor): tensor for tensor in model.inputs}, held, wanted)
    inputs, outputs = structure(model)
    found = keras.tree.map_structure(lambda tensor: replay.take(tensor, wanted[id(tensor)]), outputs)
    return keras.Model(inputs, found, name=model.name)
