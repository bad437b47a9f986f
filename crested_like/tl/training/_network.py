"""The network that is trained, where it has to differ from the model that is wanted in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from crested_like import _graph, layers
from crested_like._errors import GeometryError
from crested_like.tl._geometry import geometry, named_outputs


def twin(
    model: keras.Model,
    *,
    bins: int | None = None,
    flank: int | None = None,
    precision: str = "float32",
) -> keras.Model:
    """A copy of a model with layers and weights of its own, for pieces of its windows or in another precision.

    Parameters
    ----------
    model
        A functional Keras model of one input.
    bins, flank
        Output bins of a piece, and bases of its sequence beyond them at each side; default those of the model.
    precision
        Policy of all layers but the heads, which stay float32.

    Returns
    -------
    keras.Model
        With the model's weights in the same order, and its names of layers and outputs.

    Raises
    ------
    GeometryError
        If the network cannot be cut to such pieces.
    """
    _graph.require_functional(model)
    changes = [_in_precision(precision, _heads(model))]
    if bins is None:
        made = _copied(model, None, changes)
    else:
        made = _for_pieces(model, bins, geometry(model).crop if flank is None else flank, changes)
    made.set_weights(model.get_weights())
    return made


Change = Callable[[Any, dict], None]


def _copied(model: keras.Model, inputs: Any, changes: Sequence[Change]) -> keras.Model:
    """A network of layers whose configurations were changed, with fresh weights."""

    def again(layer: Any) -> Any:
        config = layer.get_config()
        for change in changes:
            change(layer, config)
        return type(layer).from_config(config)

    return keras.models.clone_model(model, input_tensors=inputs, clone_function=again)


def _for_pieces(model: keras.Model, bins: int, flank: int, changes: Sequence[Change]) -> keras.Model:
    """A copy for another input length that leaves out the flanks, wherever the model itself crops."""
    bin_size, entrance = geometry(model).bin_size, model.inputs[0]
    crop = _bins_beyond(flank, bin_size, model.name)
    length = bins * bin_size + 2 * flank
    inputs = keras.Input((length, *entrance.shape[2:]), dtype=entrance.dtype, name="sequence")
    problem = (
        f"Model {model.name!r} cannot be trained on pieces of {bins:,} bins with {flank:,} bp beyond them, {length:,} "
        f"bp in all. Choose flank and bins so that this is a multiple of what the network pools."
    )
    try:
        made = _cropped_at_the_end(_copied(model, inputs, [*changes, _with_positions, _with_crop(crop)]), bins)
    except ValueError as error:
        raise GeometryError(f"{problem} {error}") from error
    found = geometry(made)
    if (found.output_bins, found.crop) != (bins, flank):
        raise GeometryError(f"{problem} It makes {found.output_bins:,} bins, the first after {found.crop:,} bp.")
    return made


def _bins_beyond(flank: int, bin_size: int | None, name: str) -> int:
    if bin_size is None:
        raise GeometryError(f"Model {name!r} gives one value per sequence, so it cannot be trained on pieces.")
    if flank % bin_size:
        raise GeometryError(f"The flank of a piece must be a multiple of the bin size, {bin_size} bp; got {flank:,}.")
    return flank // bin_size


def _with_positions(layer: Any, config: dict) -> None:
    """Position features as whole windows have them: trained on pieces, a network is used on windows."""
    if isinstance(layer, layers.MultiheadAttention) and config["position_length"] is None:
        config["position_length"] = layer.input_spec.axes[1]


def _with_crop(crop: int) -> Change:
    def change(layer: Any, config: dict) -> None:
        if isinstance(layer, keras.layers.Cropping1D):
            config["cropping"] = (crop, crop)

    return change


def _cropped_at_the_end(model: keras.Model, bins: int) -> keras.Model:
    """For a network without a crop of its own, whose pieces have flanks all the same."""

    def cropped(name: str, tensor: Any) -> Any:
        surplus = tensor.shape[1] - bins
        if surplus <= 0 or surplus % 2:
            return tensor
        return keras.layers.Cropping1D(surplus // 2, name=f"{name}_crop")(tensor)

    if all(tensor.shape[1] == bins for tensor in model.outputs):
        return model
    outputs = {name: cropped(name, tensor) for name, tensor in named_outputs(model).items()}
    return keras.Model(
        model.inputs[0], outputs if isinstance(model.output, dict) else next(iter(outputs.values())), name=model.name
    )


def _in_precision(precision: str, heads: set[int]) -> Change:
    def change(layer: Any, config: dict) -> None:
        if precision != "float32" and id(layer) not in heads and "dtype" in config:
            config["dtype"] = precision

    return change


def _heads(model: keras.Model) -> set[int]:
    """Ids of the layers between an output and the last weights before it, those included."""
    found = set()
    for tensor in model.outputs:
        step = _graph.producer(tensor)
        found.add(id(step.layer))
        while not getattr(step.layer, "weights", None) and len(step.inputs) == 1:
            step = _graph.producer(step.inputs[0])
            found.add(id(step.layer))
    return found


def layers_of(model: keras.Model, kind: type) -> Iterator[Any]:
    """Layers of a kind, in nested models too."""
    for layer in model.layers:
        if isinstance(layer, kind):
            yield layer
        elif isinstance(layer, keras.Model):
            yield from layers_of(layer, kind)
