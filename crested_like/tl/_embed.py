"""What a model computes on its way."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like import _graph
from crested_like._checks import did_you_mean
from crested_like._errors import ModelFileError
from crested_like.tl._forward import forward
from crested_like.tl._inputs import windows_of
from crested_like.tl._stream import collect
from crested_like.tl._tokens import encoder, fixed_length


def embed(
    input: Any,
    model: keras.Model,
    layer: str,
    genome: Any = None,
    *,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> NDArray[np.float32]:
    """Compute the output of any named layer of a model.

    Parameters
    ----------
    input, genome, batch_size, progress
        As for :func:`predict`.
    model
        A functional Keras model.
    layer
        Name of a layer: in this package's models for example ``stem_pool``, ``tower_3_pool``, ``transformer_8_add``,
        ``upsample_1``, ``crop`` or ``trunk`` (the last representation before the heads).

    Returns
    -------
    numpy.ndarray
        ``(N, positions, channels)``, or whatever shape the layer has; float32.

    Raises
    ------
    ModelFileError
        If the model has no such layer, or the layer has several outputs.
    SequenceError, RegionError
        As for :func:`predict`.
    """
    _graph.require_functional(model)
    names = [known.name for known in model.layers]
    if layer not in names:
        raise ModelFileError(
            f"Model {model.name!r} has no layer {layer!r}.{did_you_mean(layer, names)} "
            f"Its layers are listed by [layer.name for layer in model.layers]; the last are {', '.join(names[-4:])}."
        )
    output = model.get_layer(layer).output
    if isinstance(output, list | tuple | dict):
        raise ModelFileError(f"Layer {layer!r} has several outputs; name a layer with one.")
    part = keras.Model(model.inputs[0], output, name=model.name)
    windows = windows_of(input, fixed_length(model), genome)
    shape, encode = tuple(output.shape[1:]), encoder(model)
    return collect(
        lambda batch: forward(part, encode(batch)), windows, [part], shape, batch_size=batch_size, progress=progress
    )
