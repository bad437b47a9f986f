"""Adapters and heads in a small file of their own, to be put on the model that they were trained on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from crested_like import _graph
from crested_like._atomic import atomic_path
from crested_like._card import ModelCard, attach, card_of
from crested_like._errors import LayerError, ModelFileError
from crested_like.checkpoints._keras import portable
from crested_like.layers import Lora
from crested_like.layers.lora import adapters, base_weights
from crested_like.tl.finetuning._lora import lora_layers, train_adapters, with_adapters
from crested_like.tl.rewriting._rebuild import replayed, structure
from crested_like.tl.trunks._trunk import head_layers, trunk_of

#: In the metadata of a file, which says what it is.
FORMAT = "crested_like lora 1"


def save_lora(model: keras.Model, path: str | os.PathLike[str], *, at: str | None = None) -> Path:
    """Write the adapters and heads of a model, without the trunk below them.

    Parameters
    ----------
    model
        What :func:`crested_like.tl.add_lora` gave, or :func:`crested_like.tl.finetune` with ``lora=``.
    path
        A ``.safetensors`` file. It holds the adapters, the heads with their graph, whatever else of the trunk learns,
        and the card.
    at
        Layer at which the trunk ends, where it cannot be told from the graph.

    Returns
    -------
    The path written.

    Raises
    ------
    LayerError
        If the model has no adapters.
    ModelFileError
        If the name does not end in ``.safetensors``.

    Examples
    --------
    >>> save_lora(tuned, "liver.safetensors")  # doctest: +SKIP
    >>> again = load_lora(crested_like.load_model("borzoi_human_rep0"), "liver.safetensors")  # doctest: +SKIP
    """
    from safetensors.numpy import save_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ModelFileError(f"A file of adapters must be called *.safetensors; got {path.name!r}.")
    _graph.require_functional(model)
    if not lora_layers(model):
        raise LayerError(f"Model {model.name!r} has no adapters to save; put some on it with add_lora().")
    trunk = trunk_of(model, at)
    heads = head_layers(model, trunk)
    arrays = {key: ops.convert_to_numpy(weight) for key, weight in _stored(model, heads)}
    card = card_of(model)
    told = {
        "at": _graph.producer(trunk).layer.name,
        "adapters": {layer.name: _rank(layer) for layer in lora_layers(model)},
        "kernels": {key: _fingerprint(lora) for key, lora in _adapters(model)},
        "trunk": [layer.name for layer in _also_learning(model, heads)],
        "head": portable(keras.saving.serialize_keras_object(_head_graph(model, trunk))),
        "card": None if card is None else card.to_dict(),
    }
    with atomic_path(path) as unfinished:
        save_file(_plain_types(arrays), unfinished, metadata={"format": FORMAT, "crested_like": json.dumps(told)})
    return path


def load_lora(model: keras.Model, path: str | os.PathLike[str]) -> keras.Model:
    """A copy of a model with the adapters and heads of a file, as they were saved.

    Parameters
    ----------
    model
        The model that the adapters were trained on, with any heads; it may have another input length. It is not
        changed.
    path
        What :func:`save_lora` wrote.

    Returns
    -------
    keras.Model
        As :func:`crested_like.tl.add_lora` gives it; fold the adapters in with :func:`crested_like.tl.merge_lora`.

    Raises
    ------
    ModelFileError
        If the file is no such file, or its adapters were trained on other weights.
    LayerError
        If the model lacks a layer that has an adapter, or has adapters already.
    """
    _graph.require_functional(model)
    path = Path(path)
    arrays, told = _read(path)
    names = {layer.name for layer in model.layers}
    lacking = [name for name in (told["at"], *told["adapters"], *told["trunk"]) if name not in names]
    if lacking or lora_layers(model):
        reason = f"lacks the layers {', '.join(lacking[:5])}" if lacking else "has adapters already"
        raise LayerError(
            f"{path} cannot be put on model {model.name!r}, which {reason}. Load the one it was made from."
        )
    made = with_adapters(_with_head(model, told), {name: tuple(rank) for name, rank in told["adapters"].items()})
    heads = head_layers(made, trunk_of(made, told["at"]))
    train_adapters(made, [*told["trunk"], *(layer.name for layer in heads)])
    differing = [key for key, lora in _adapters(made) if _fingerprint(lora) != told["kernels"].get(key)]
    if differing:
        raise ModelFileError(
            f"{path} was trained on other weights than those of model {model.name!r}: {len(differing)} kernels below "
            f"its adapters differ, {differing[0]} first. Load the model it was made from, in the precision of then."
        )
    for key, weight in _stored(made, heads):
        if key not in arrays or arrays[key].shape != tuple(weight.shape):
            raise ModelFileError(f"{path} is damaged: {key} is missing or of another shape.")
        weight.assign(arrays[key])
    return made if told["card"] is None else attach(made, ModelCard.from_dict(told["card"], strict=False))


def _rank(layer: keras.layers.Layer) -> tuple[int, float]:
    first = adapters(layer)[0]
    return first.rank, first.alpha


def _adapters(model: keras.Model) -> Iterator[tuple[str, Lora]]:
    """Adapters of a model by the names of their layer and their place in it."""
    for layer in lora_layers(model):
        for lora in adapters(layer):
            yield f"{layer.name}/{lora.name}", lora


def _stored(model: keras.Model, heads: list[keras.layers.Layer]) -> Iterator[tuple[str, keras.Variable]]:
    """Weights that belong into the file, by their keys in it."""
    for key, lora in _adapters(model):
        yield f"adapters/{key}/down", lora.down.kernel
        yield f"adapters/{key}/up", lora.up.kernel
    for layer in (*_also_learning(model, heads), *heads):
        for number, weight in enumerate(base_weights(layer)):
            yield f"layers/{layer.name}/{number}", weight


def _also_learning(model: keras.Model, heads: list[keras.layers.Layer]) -> list[keras.layers.Layer]:
    """Layers of the trunk that learn in full."""
    own = {id(layer) for layer in heads}
    return [layer for layer in model.layers if layer.trainable_weights and not adapters(layer) and id(layer) not in own]


def _fingerprint(lora: Lora) -> str:
    """What tells the kernel below an adapter from any other."""
    kernel = ops.convert_to_numpy(lora.layer.kernel).astype("float32")
    return hashlib.sha256(np.ascontiguousarray(kernel).tobytes()).hexdigest()[:16]


def _plain_types(arrays: dict[str, NDArray]) -> dict[str, NDArray]:
    """Arrays as every reader of safetensors knows them: bfloat16 becomes float32, which loses nothing."""
    return {
        key: np.ascontiguousarray(array, "float32" if array.dtype.name == "bfloat16" else None)
        for key, array in arrays.items()
    }


def _head_graph(model: keras.Model, trunk: Any) -> keras.Model:
    """The heads alone, from the trunk's output and, where they take it, the model's input."""
    used = {id(tensor) for step in _graph.steps([trunk, *model.inputs], model.outputs) for tensor in step.inputs}
    sources = [trunk, *(tensor for tensor in model.inputs if id(tensor) in used and tensor is not trunk)]
    values = {id(old): keras.Input(batch_shape=old.shape, dtype=old.dtype) for old in sources}
    inputs = list(values.values())
    return keras.Model(inputs, replayed(sources, structure(model)[1], values), name="head")


def _with_head(model: keras.Model, told: dict[str, Any]) -> keras.Model:
    """The model with the heads that a file describes in place of its own."""
    try:
        head = keras.saving.deserialize_keras_object(told["head"], safe_mode=True)
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"The head of this file of adapters cannot be made: {str(error)[:300]}") from error
    trunk = trunk_of(model, told["at"])
    values = {id(new): old for new, old in zip(head.inputs, [trunk, *model.inputs], strict=False)}
    return keras.Model(structure(model)[0], replayed(head.inputs, head.output, values), name=model.name)


def _read(path: Path) -> tuple[dict[str, NDArray], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
    except FileNotFoundError:
        raise ModelFileError(f"There is no file {path}.") from None
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path} cannot be read as a file of adapters: {error}") from error
    if metadata.get("format") != FORMAT:
        raise ModelFileError(
            f"{path} is no file of adapters that save_lora() wrote. Whole models are read by "
            f"crested_like.load_model() and weights of other packages by crested_like.checkpoints.convert()."
        )
    return arrays, json.loads(metadata["crested_like"])
