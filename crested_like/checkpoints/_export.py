"""Keras models into other people's weight files, so that weights trained here can be used elsewhere."""

from __future__ import annotations

import json
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crested_like._backend import require_backend
from crested_like._checks import one_of
from crested_like._errors import CheckpointError

if TYPE_CHECKING:
    import keras

    from crested_like.checkpoints._maps import NameMap


def export(model: keras.Model, format: str, out: str | os.PathLike[str]) -> Path:
    """Write a model's weights as another package reads them, or its graph for another runtime.

    Parameters
    ----------
    model
        For the first three a model of ``tl.zoo``, or one that :func:`convert` made; any Keras model for the others.
    format
        ``"borzoi-pytorch"`` or ``"enformer-pytorch"``: safetensors, with their ``config.json`` beside it;
        ``"baskerville-h5"``: weights of a Basenji2, Borzoi or Borzoi Prime of one head, with ``params.json``;
        ``"onnx"`` (from PyTorch; one window a batch), ``"openvino"`` (from TensorFlow or PyTorch), ``"tf_saved_model"``
        (from TensorFlow or JAX): the network itself, for prediction, through Keras' own export.
    out
        The file to write (``*.safetensors``, ``*.h5``, ``*.onnx``, ``*.xml``); for ``"tf_saved_model"`` a folder.

    Returns
    -------
    pathlib.Path
        What was written; an unfinished file is never left under its name.

    Raises
    ------
    CheckpointError
        If the format cannot hold this network, with what of it has no place there.
    """
    require_backend()
    writer, out = WRITERS[one_of("format", format, tuple(WRITERS))], Path(out)
    if out.suffix != writer.suffix:
        called = f"*{writer.suffix}" if writer.suffix else "by a name without an ending, as it is a folder"
        raise CheckpointError(f"out must be called {called} for the format {format!r}; got {str(out)!r}.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.stem}-") as folder:
        writer.write(model, Path(folder) / out.name)
        if out.is_dir():
            raise CheckpointError(f"{out} is there already; choose another name or remove it.")
        for path in sorted(Path(folder).iterdir(), key=lambda path: path.name == out.name):  # the file itself last
            os.replace(path, out.with_name(path.name))
    return out


def _arrays_for(model: keras.Model, form: str) -> tuple[NameMap, dict[str, np.ndarray]]:
    """The map of a format that holds a network, and its arrays by their name there."""
    from crested_like.checkpoints._maps import maps_of

    weights = {weight.path: weight for weight in model.weights}
    head = next((path.split("/")[0].removeprefix("head_") for path in weights if path.startswith("head_")), "")
    closest: list[str] = []
    for names in maps_of(form):
        pairs = names.to_file(weights)
        without = sorted(set(weights) - {pair.source for pair in pairs})
        arrays = {pair.target: _array(weights[pair.source], pair.change) for pair in pairs} if not without else {}
        # two architectures may have weights of the same names
        if arrays and names.fits(arrays) and set(weights) == {pair.target for pair in names.to_ours(arrays, head)}:
            return names, arrays
        closest = without if not closest or len(without) < len(closest) else closest
    raise CheckpointError(
        f"{form.replace('_', '-')} has no place for the network {model.name!r}: nothing in it corresponds to "
        f"{', '.join(closest[:4]) or 'its layers'}{', ...' if len(closest) > 4 else ''}. Known are: "
        f"{', '.join(names.architecture for names in maps_of(form))}."
    )


def _array(weight: Any, change: Callable[[np.ndarray], np.ndarray] | None) -> np.ndarray:
    import keras

    value = np.asarray(keras.ops.convert_to_numpy(weight))
    return np.ascontiguousarray(change(value) if change else value)


def _write_safetensors(model: keras.Model, out: Path, form: str) -> None:
    from safetensors.numpy import save_file

    names, arrays = _arrays_for(model, form)
    counts = {f"{rule}.num_batches_tracked": np.zeros((), np.int64) for rule in _batch_norms(arrays)}
    config = {"borzoi_pytorch": _borzoi_config, "enformer_pytorch": _enformer_config}[form](model, names.architecture)
    save_file({**arrays, **counts}, out, metadata={"format": "pt"})  # as transformers demands
    out.with_name("config.json").write_text(json.dumps(config, indent=2) + "\n")


def _batch_norms(arrays: Mapping[str, Any]) -> list[str]:
    return [name.removesuffix(".running_mean") for name in arrays if name.endswith(".running_mean")]


def _shapes(model: keras.Model) -> dict[str, tuple[int, ...]]:
    return {weight.path: tuple(weight.shape) for weight in model.weights}


def _borzoi_config(model: keras.Model, architecture: str) -> dict[str, Any]:
    """``config.json`` of borzoi-pytorch."""
    from crested_like.checkpoints._sizes import sizes_of

    shapes = _shapes(model)
    sizes = sizes_of(architecture, shapes)
    attention = model.get_layer("transformer_1_attention")
    prime = architecture == "borzoi_prime"
    config = {
        "architectures": ["Prime" if prime else "Borzoi"],
        "model_type": "prime" if prime else "borzoi",
        "dim": sizes["tower_filters"][-1],
        "depth": sizes["transformer_blocks"],
        "heads": attention.heads,
        "attn_dim_key": sizes.get("key_size", 64),
        "attn_dim_value": sizes.get("value_size", 192),
        "dropout_rate": _rate(model, "transformer_1_expand_dropout"),
        "attn_dropout": attention.attention_dropout,
        "pos_dropout": getattr(attention, "position_dropout", 0.01),
        "return_center_bins_only": True,
        "bins_to_return": model.get_layer("trunk").output.shape[1],
        "enable_human_head": "human" in sizes["heads"],
        "enable_mouse_head": "mouse" in sizes["heads"],
        "dtype": "float32",
    }
    return {**config, "flashed": True} if architecture == "flashzoi" else config


def _enformer_config(model: keras.Model, architecture: str) -> dict[str, Any]:
    """``config.json`` of enformer-pytorch."""
    from crested_like.checkpoints._sizes import sizes_of

    sizes = sizes_of(architecture, _shapes(model))
    attention = model.get_layer("transformer_1_attention")
    return {
        "architectures": ["Enformer"],
        "model_type": "enformer",
        "dim": sizes["tower_filters"][-1],
        "depth": sizes["transformer_blocks"],
        "heads": sizes["attention_heads"],
        "output_heads": sizes["heads"],
        "target_length": model.get_layer("trunk").output.shape[1],
        "attn_dim_key": sizes["key_size"],
        "dropout_rate": _rate(model, "transformer_1_expand_dropout"),
        "attn_dropout": attention.attention_dropout,
        "pos_dropout": attention.position_dropout,
        "use_checkpointing": False,
        "num_downsamples": len(sizes["tower_filters"]) + 1,
        "dim_divisible_by": math.gcd(*sizes["tower_filters"]),
        "use_tf_gamma": attention.gamma_axis == "positions",
        "dtype": "float32",
    }


def _rate(model: keras.Model, name: str) -> float:
    """Rate of a dropout layer; none where there is no such layer."""
    found = [layer for layer in model.layers if layer.name == name]
    return float(found[0].rate) if found else 0.0


def _write_baskerville(model: keras.Model, out: Path) -> None:
    from crested_like.checkpoints._baskerville_write import write_baskerville

    write_baskerville(model, out)


# --- other runtimes --------------------------------------------------------------------------------------------------


def _write_graph(model: keras.Model, out: Path, form: str) -> None:
    import keras

    batch = 1 if form == "onnx" else None  # with an open one, PyTorch's exporter of ONNX gives up
    signature = [keras.InputSpec(shape=(batch, *x.shape[1:]), dtype=x.dtype) for x in model.inputs]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of these tools about one another
            model.export(str(out), format=form, verbose=False, input_signature=signature)
    except Exception as error:  # the exporters below Keras raise whatever their own tools do
        raise CheckpointError(
            f"{form} cannot be written with the backend in use, {keras.backend.backend()} "
            f"({type(error).__name__}: {error}). Try another one with KERAS_BACKEND."
        ) from error


@dataclass(frozen=True)
class Writer:
    """A format that models are written in: what its files are called, and what writes one."""

    suffix: str
    write: Callable[[keras.Model, Path], None]


WRITERS: dict[str, Writer] = {
    "borzoi-pytorch": Writer(".safetensors", partial(_write_safetensors, form="borzoi_pytorch")),
    "enformer-pytorch": Writer(".safetensors", partial(_write_safetensors, form="enformer_pytorch")),
    "baskerville-h5": Writer(".h5", _write_baskerville),
    "onnx": Writer(".onnx", partial(_write_graph, form="onnx")),
    "openvino": Writer(".xml", partial(_write_graph, form="openvino")),
    "tf_saved_model": Writer("", partial(_write_graph, form="tf_saved_model")),
}
