"""Where a model's trunk ends and its heads begin."""

from __future__ import annotations

from typing import Any

import keras

from crested_like import _graph, layers
from crested_like._checks import did_you_mean
from crested_like._errors import LayerError

#: Layer at which the trunks of the zoo end.
TRUNK = "trunk"
_LAST_OF_HEAD = (keras.layers.Dense, keras.layers.Conv1D, layers.Lora)


def trunk_of(model: keras.Model, at: str | None = None) -> Any:
    """The symbolic tensor that the heads of a model stand on.

    That is the output of the layer ``trunk``, if there is one; else what goes into a segmentation head, or into the
    last dense or convolution layer before the outputs.

    Parameters
    ----------
    model
        Any functional model.
    at
        The layer whose output it is, where that is not what is wanted.

    Raises
    ------
    LayerError
        If there is no such layer, or several outputs stand on different tensors.
    """
    _graph.require_functional(model)
    steps = {step.layer.name: step for step in _graph.steps(model.inputs, model.outputs)}
    if at is not None and at not in steps:
        raise LayerError(f"Model {model.name!r} has no layer {at!r}.{did_you_mean(at, steps)}")
    if at is not None or TRUNK in steps:
        return steps[at or TRUNK].outputs[0]
    found = {id(tensor): tensor for tensor in (_under_head(model, output, steps) for output in model.outputs)}
    if len(found) > 1:
        names = ", ".join(repr(_graph.producer(tensor).layer.name) for tensor in found.values())
        raise LayerError(
            f"The outputs of model {model.name!r} stand on different layers ({names}): say with at= where its trunk "
            f"ends."
        )
    return next(iter(found.values()))


def head_layers(model: keras.Model, trunk: Any) -> list[keras.layers.Layer]:
    """Layers with weights between the trunk and the outputs."""
    steps = _graph.steps([trunk, *model.inputs], model.outputs)
    return list({id(step.layer): step.layer for step in steps if getattr(step.layer, "weights", None)}.values())


def _under_head(model: keras.Model, output: Any, steps: dict[str, _graph.Step]) -> Any:
    """What goes into the head that makes an output."""
    step = _graph.producer(output)
    if isinstance(step.layer, layers.FeatureProbability):
        first = steps.get(f"{step.layer.name}_down_1_conv_1")
        if first is not None:
            return first.inputs[0]
    while step.inputs and not getattr(step.layer, "weights", None):
        step = _graph.producer(step.inputs[0])
    if not isinstance(step.layer, _LAST_OF_HEAD):
        raise LayerError(
            f"The last layer of model {model.name!r} that has weights is {step.layer.name!r}, a "
            f"{type(step.layer).__name__}, which is no head: say with at= where its trunk ends."
        )
    return step.inputs[0]
