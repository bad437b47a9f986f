"""The same network for sequences of another length."""

from __future__ import annotations

from typing import Any, Literal

import keras

from crested_like import _graph, layers
from crested_like._card import attach, card_of
from crested_like._checks import positive_int
from crested_like._errors import GeometryError
from crested_like.tl._tokens import tokenizer_of
from crested_like.tl.zoo._blocks import crop_to

#: Layers that are built for one number of positions.
_FOR_ONE_LENGTH = (layers.MultiheadAttention, layers.RotaryAttention)


def with_input_length(
    model: keras.Model, input_length: int | None, *, output_bins: int | Literal["all"] | None = None
) -> keras.Model:
    """A model of the same weights for sequences of another length.

    No weight of these networks depends on the length. Layers are shared with the given model, but for attention with
    relative positions, which is built for one length and gets copies of its weights.

    Parameters
    ----------
    model
        Any functional Keras model of one input.
    input_length
        In bp; ``None`` for any length, where the network allows it (Nucleotide Transformer, SegmentNT). Rotary
        positions of SegmentNT are stretched as its authors do for more than 5,001 tokens.
    output_bins
        Bins to keep from the centre, or ``"all"``, for a network with a crop; by default as many bases are cropped at
        either side as before.

    Returns
    -------
    keras.Model
        With the card of the given model, if it has one.

    Raises
    ------
    GeometryError
        If the network cannot take such a length, has no crop to change, or fewer bins than are to be kept.

    Examples
    --------
    >>> from crested_like.tl import with_input_length, zoo
    >>> model = zoo.segment_nt(width=16, attention_heads=2, key_size=8, feedforward_width=24, transformer_blocks=1)
    >>> with_input_length(model, 48).output_shape
    (None, 48, 14)
    """
    _graph.require_functional(model)
    if len(model.inputs) != 1:
        raise GeometryError(f"with_input_length() needs a model of one input; {model.name!r} has {len(model.inputs)}.")
    old = model.inputs[0]
    x = keras.Input((_positions(model, input_length), *old.shape[2:]), dtype=old.dtype, name=old.name.split(":")[0])
    values: dict[int, Any] = {id(old): x}
    crop = None if output_bins is None else crop_of(model)
    if output_bins is not None and crop is None:
        raise GeometryError(f"output_bins changes a network's one crop; model {model.name!r} has none, or several.")
    kept = None if output_bins == "all" else output_bins
    try:
        for step in _graph.steps(model.inputs, model.outputs):
            if step.layer is crop:
                values[id(step.outputs[0])] = crop_to(values[id(step.inputs[0])], kept, crop.name)
            else:
                values |= _again(step, values)
    except ValueError as error:
        length = "any number of" if input_length is None else f"{input_length:,}"
        raise GeometryError(f"Model {model.name!r} cannot take {length} bp: {error}") from error
    outputs = keras.tree.map_structure(lambda tensor: values[id(tensor)], model.output)
    made = keras.Model(x, outputs, name=model.name)
    card = card_of(model)
    if card is not None:
        attach(made, card.replace(input_length=input_length, output_bins=None))
    return made


def crop_of(model: keras.Model) -> keras.layers.Layer | None:
    """The one layer of a graph that takes as many positions off either side; None without one, or with several."""
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Cropping1D)]
    found = [layer for layer in found if layer.cropping[0] == layer.cropping[1]]
    return found[0] if len(found) == 1 else None


def _positions(model: keras.Model, input_length: int | None) -> int | None:
    """Positions of the input: bases, or tokens."""
    if input_length is None:
        return None
    words = tokenizer_of(model)
    length = positive_int("input_length", input_length)
    if words is None:
        return length
    if length % words.k:
        raise GeometryError(f"Model {model.name!r} reads words of {words.k} bases; {length:,} bp are no multiple.")
    return length // words.k + words.adds_special


def _again(step: _graph.Step, values: dict[int, Any]) -> dict[int, Any]:
    layer = step.layer
    if not isinstance(layer, _FOR_ONE_LENGTH):
        return step.compute(values, symbolic=True)
    fresh = type(layer).from_config(layer.get_config())
    result = step.compute(values, symbolic=True, layer=fresh)
    fresh.set_weights(layer.get_weights())
    return result
