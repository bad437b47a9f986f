"""The same network once more, from new layers, some of which may be of another kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras

from crested_like import _graph
from crested_like._card import attach, card_of
from crested_like.checkpoints._keras import portable

#: Gives the layer that takes the place of one, or None for one of the same kind.
Change = Callable[[keras.layers.Layer], keras.layers.Layer | None]
#: Fills the weights of a new layer, given the old one and the new.
Move = Callable[[keras.layers.Layer, keras.layers.Layer], None]


def rebuilt(model: keras.Model, change: Change | None = None, move: Move | None = None) -> keras.Model:
    """A copy of a functional model with its own layers, of the same names, weights and card.

    Parameters
    ----------
    model
        Any functional model.
    change
        What takes the place of a layer; the layers of models inside the model are asked for, too.
    move
        How weights get from a layer to the one that took its place; as they are by default.
    """
    _graph.require_functional(model)
    copier = _Copier(change or (lambda layer: None), move or _same_weights)
    made = copier.model(model)
    card = card_of(model)
    return made if card is None else attach(made, card)


def replayed(
    inputs: Iterable[Any], outputs: Any, values: dict[int, Any], layer_of: Callable[[Any], Any] | None = None
) -> Any:
    """Call once more what leads from some symbolic tensors to others, on other tensors.

    Parameters
    ----------
    inputs
        Tensors of the old graph to start from.
    outputs
        Tensors of the old graph to end at, in any structure.
    values
        What stands for the tensors of ``inputs``, by their id. Filled with all others on the way.
    layer_of
        What to call in place of a layer; by default the layer itself.
    """
    for step in _graph.steps(list(inputs), keras.tree.flatten(outputs)):
        layer = step.layer if layer_of is None else layer_of(step.layer)
        values |= step.compute(values, symbolic=True, layer=layer)
    return keras.tree.map_structure(lambda tensor: values[id(tensor)], outputs)


def structure(model: keras.Model) -> tuple[Any, Any]:
    """Symbolic inputs and outputs of a model as it takes and gives them: a tensor, a list or a dict of them."""
    if isinstance(model, keras.Sequential):  # its .input is that of the model around it
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


class _Copier:
    """New layers for old ones; one that is called twice is copied once."""

    def __init__(self, change: Change, move: Move) -> None:
        self.change, self.move = change, move
        self.made: dict[int, Any] = {}

    def model(self, model: keras.Model) -> keras.Model:
        """The copy of a functional model."""
        values: dict[int, Any] = {}

        def placeholder(old: Any) -> Any:
            values[id(old)] = keras.Input(batch_shape=old.shape, dtype=old.dtype, name=_graph.producer(old).layer.name)
            return values[id(old)]

        old_inputs, old_outputs = structure(model)
        inputs = keras.tree.map_structure(placeholder, old_inputs)
        old_layers: list[tuple[Any, Any]] = []

        def layer_of(old: Any) -> Any:
            if id(old) not in self.made:
                self.made[id(old)] = self.layer(old)
                old_layers.append((old, self.made[id(old)]))
            return self.made[id(old)]

        outputs = replayed(model.inputs, old_outputs, values, layer_of)
        for old, new in old_layers:
            if isinstance(old, keras.layers.Layer) and not _is_graph(old):
                self.move(old, new)
        return keras.Model(inputs, outputs, name=model.name)

    def layer(self, old: Any) -> Any:
        """What takes the place of a layer, without its weights yet; operations have none and stay themselves."""
        if not isinstance(old, keras.layers.Layer):
            return old
        if _is_graph(old):
            return self.model(old)
        return self.change(old) or plain_copy(old)


def plain_copy(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A layer of the same configuration; its initial weights are not drawn, as they are filled anyway."""
    return type(layer).from_config(portable(layer.get_config()))


def _is_graph(layer: Any) -> bool:
    return isinstance(layer, keras.Model) and bool(getattr(layer, "inputs", None))


def _same_weights(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    new.set_weights(old.get_weights())
