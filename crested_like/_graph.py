"""Walking a functional Keras graph, the one place that knows how Keras stores it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from crested_like._errors import ModelFileError


@dataclass(frozen=True)
class Step:
    """One call of a layer or operation: what went in and what came out."""

    layer: Any
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    arguments: Any

    def compute(self, values: dict[int, Any], *, symbolic: bool = False, layer: Any = None) -> dict[int, Any]:
        """Call the layer as for inference: tensors by the id of the symbolic tensor they stand for.

        Parameters
        ----------
        values
            What goes in, in the same way.
        symbolic
            Whether these are symbolic tensors of another graph, whose training is not settled.
        layer
            Layer to call in its place.
        """
        args, kwargs = self.arguments.fill_in(values)
        if not symbolic and getattr(self.layer, "_call_has_training_arg", False):
            kwargs["training"] = False
        results = keras.tree.flatten((layer or self.layer)(*args, **kwargs))
        return {id(tensor): result for tensor, result in zip(self.outputs, results, strict=True)}


def require_functional(model: Any) -> None:
    """Raise where something is no Keras model with a graph of fixed inputs and outputs.

    Raises
    ------
    ModelFileError
        If it is no ``keras.Model``, or one without a graph (subclassed, or not built yet).
    """
    if not isinstance(model, keras.Model):
        raise ModelFileError(
            f"A keras.Model is needed; got {type(model).__name__}. "
            "Load one with crested_like.load_model(name or path) or keras.models.load_model(path)."
        )
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise ModelFileError(
            f"Model {model.name!r} has no graph to read: build it as a functional model with a keras.Input."
        )


def producer(tensor: Any) -> Step:
    """The step that made a symbolic tensor."""
    history = tensor._keras_history
    node = history.operation._inbound_nodes[history.node_index]
    return Step(history.operation, tuple(node.input_tensors), tuple(node.outputs), node.arguments)


def steps(inputs: list[Any], outputs: list[Any]) -> Iterator[Step]:
    """Steps from inputs to outputs, each after the ones it needs."""
    known = {id(tensor) for tensor in inputs}
    pending = list(reversed(outputs))
    while pending:  # depth first, without recursion: graphs are deep
        tensor = pending[-1]
        if id(tensor) in known:
            pending.pop()
            continue
        step = producer(tensor)
        missing = [source for source in step.inputs if id(source) not in known]
        if missing:
            pending.extend(reversed(missing))
            continue
        known.update(id(output) for output in step.outputs)
        yield step


def computed(inputs: list[Any], outputs: list[Any], given: list[Any]) -> list[Any]:
    """Values of some symbolic tensors for values of others; each is let go of after its last use.

    Parameters
    ----------
    inputs, outputs
        Symbolic tensors of one graph.
    given
        Values of the inputs.
    """
    order = list(steps(inputs, outputs))
    last = {id(tensor): number for number, step in enumerate(order) for tensor in step.inputs}
    last |= {id(tensor): len(order) for tensor in outputs}
    values = {id(tensor): value for tensor, value in zip(inputs, given, strict=True)}
    for number, step in enumerate(order):
        values |= step.compute(values)
        values = {key: value for key, value in values.items() if last.get(key, -1) > number}
    return [values[id(tensor)] for tensor in outputs]
