"""Keras models as Baskerville keeps them: weights in an HDF5 file, and ``params.json``, which describes the network."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from crested_like._errors import CheckpointError
from crested_like._hdf5 import new_file
from crested_like.checkpoints._apply import layers_in_order
from crested_like.checkpoints._baskerville_build import build
from crested_like.checkpoints._baskerville_params import PARAMS, read_params
from crested_like.checkpoints._sizes import sizes_of
from crested_like.layers._initializers import nothing_drawn
from crested_like.tl.zoo import _blocks as blocks

log = logging.getLogger(__name__)

#: Kinds of layers, as Keras 2 numbers them, by our classes.
_KERAS_2 = {
    "Conv1D": "conv1d",
    "Dense": "dense",
    "BatchNormalization": "batch_normalization",
    "LayerNormalization": "layer_normalization",
    "MultiheadAttention": "multihead_attention",
    "SeparableUpsampling1D": "separable_conv1d",
    "SeparableConv1D": "separable_conv1d",
    "ChannelScale": "scale",
}
#: Growths of dilation that are tried where only the rounded rates are known.
_GROWTHS = (1.5, *(n / 20 for n in range(20, 81)))


def write_baskerville(model: keras.Model, out: Path) -> None:
    """Weights of a model with one head, and beside them its ``params.json`` where that can describe the network.

    Raises
    ------
    CheckpointError
        If it has several heads, or a layer that Baskerville has not.
    """
    if len(model.outputs) != 1:
        raise CheckpointError(
            f"A file of Baskerville holds the trunk and one head; {model.name!r} has {len(model.outputs)}. "
            "Take one with crested_like.load_model(path, head=...)."
        )
    write_weights(layers_in_order(model), out)
    params = params_of(model)
    if params is None:
        log.warning(
            "No %s is written beside %s: its grammar cannot describe the network %r in full. The weights go into the "
            "network of the parameter file that they came from.",
            PARAMS,
            out.name,
            model.name,
        )
    else:
        activation = _activation(model.get_layer("trunk"))
        if activation in ("gelu_erf", "gelu_sigmoid"):
            log.warning(
                "Baskerville computes the tanh form of GELU, and this network was made with %s: its numbers there will "
                "differ a little. Here, convert(..., activation=%r) brings it back.",
                activation,
                activation,
            )
        out.with_name(PARAMS).write_text(json.dumps(params, indent=2) + "\n")


def write_weights(layers: Iterable[keras.layers.Layer], out: Path, first: int = 0) -> None:
    """Weights of layers as Baskerville's Keras 2 writes them: an HDF5 file whose layers are numbered in this order.

    Parameters
    ----------
    layers
        In the order in which they were made.
    out
        The file.
    first
        Number of the first layer of every kind.
    """
    counts: Counter[str] = Counter()
    with new_file(out) as new:
        weights = new.root.create_group("model_weights")
        written = []
        for layer in layers:
            if not layer.weights:
                continue
            kind = _KERAS_2.get(type(layer).__name__)
            if kind is None:
                raise CheckpointError(f"Baskerville has no layer like {layer.name!r} ({type(layer).__name__}).")
            number = counts[kind] + first
            counts[kind] += 1
            name = f"{kind}_{number}" if number else kind
            inside = [f"{name}/{weight.path.split('/', 1)[1]}:0" for weight in layer.weights]
            group = weights.create_group(name)
            group.attrs["weight_names"] = inside
            for path, weight in zip(inside, layer.weights, strict=True):
                group[path] = np.asarray(keras.ops.convert_to_numpy(weight))
            new.check()
            written.append(name)
        weights.attrs["layer_names"] = written


def params_of(model: keras.Model) -> dict[str, Any] | None:
    """The parameter file of a Basenji2, Borzoi or Borzoi Prime; None where a network built from it is not the model."""
    layers = {layer.name: layer for layer in model.layers}
    describe = _basenji2 if "residual_1_add" in layers else _borzoi
    try:
        params = describe(layers, {weight.path: tuple(weight.shape) for weight in model.weights})
    except (KeyError, AttributeError):  # a layer that these have is not there, or is another
        return None
    with nothing_drawn():
        built = build(read_params(params), activation=_activation(layers["trunk"]))
    return params if _described(built) == _described(model) else None


def _described(model: keras.Model) -> dict[str, Any]:
    """Layers by name, with all of their configuration but how weights start and the policy they run under."""

    def kept(config: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in config.items() if key != "dtype" and not key.endswith("_initializer")}

    shapes = {weight.path: tuple(weight.shape) for weight in model.weights}
    return {layer.name: kept(layer.get_config()) for layer in model.layers} | shapes


def _activation(layer: Any) -> str:
    return next(name for name, known in blocks.ACTIVATIONS.items() if keras.activations.get(known) == layer.activation)


def _params(layers: Mapping[str, Any], trunk: list[dict[str, Any]]) -> dict[str, Any]:
    activation = _activation(layers["trunk"])
    head = next(name for name in layers if name == "head" or name.startswith("head_"))
    return {
        # what trains it is not in the graph
        "train": {"batch_size": 1, "loss": "poisson_mn", "optimizer": "adam"},
        "model": {
            "seq_length": layers["sequence"].batch_shape[1],
            "activation": "gelu" if activation.startswith("gelu") else activation,
            "norm_type": "batch",
            "bn_momentum": layers["tower_1_norm"].momentum,
            "l2_scale": _penalty(layers["tower_1_conv"]),
            "trunk": [{key: value for key, value in entry.items() if value is not None} for entry in trunk],
            head: {"name": "final", "units": layers[head].units, "activation": "softplus"},
        },
    }


def _penalty(layer: Any) -> float:
    return float(layer.kernel_regularizer.l2) if layer.kernel_regularizer else 0.0


def _rate(layers: Mapping[str, Any], name: str) -> float:
    return float(layers[name].rate) if name in layers else 0.0


def _crop(layers: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "crop" not in layers:
        return []
    left, right = layers["crop"].cropping
    return [{"name": "Cropping1D", "cropping": left if left == right else [left, right]}]


def _basenji2(layers: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    sizes = sizes_of("basenji2", shapes)
    count = sizes["residual_blocks"]
    rates = tuple(layers[f"residual_{i}_dilated_conv"].dilation_rate[0] for i in range(1, count + 1))
    tower = [
        {"name": "conv_tower", "filters_init": filters, "filters_mult": 1, "kernel_size": sizes["tower_width"]}
        | {"pool_size": 2, "repeat": 1, "dropout": _rate(layers, f"tower_{i}_dropout")}
        for i, filters in enumerate(sizes["tower_filters"], 1)
    ]
    trunk = [
        {"name": "conv_block", "filters": sizes["stem_filters"], "kernel_size": sizes["stem_width"], "pool_size": 2},
        *tower,
        {
            "name": "dilated_residual",
            "filters": sizes["residual_filters"],
            "kernel_size": sizes["residual_width"],
            "rate_mult": next((growth for growth in _GROWTHS if blocks.dilations(count, growth) == rates), 1.5),
            "repeat": count,
            "dropout": _rate(layers, "residual_1_dropout"),
            "round": True,
        },
        *_crop(layers),
        {"name": "conv_block", "filters": sizes["final_filters"], "dropout": _rate(layers, "final_dropout")},
    ]
    return _params(layers, trunk)


def _borzoi(layers: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    sizes = sizes_of("borzoi", shapes)
    attention, expand = layers["transformer_1_attention"], layers["transformer_1_expand"]
    trunk = [
        {
            "name": "conv_dna",
            "filters": sizes["stem_filters"],
            "kernel_size": sizes["stem_width"],
            "activation": "linear",
            "pool_size": 2,
        },
        # one entry a stage: widths need not grow by one factor
        *(
            {"name": "res_tower", "filters_init": filters, "filters_mult": 1, "kernel_size": sizes["tower_width"]}
            | {"num_convs": 1, "pool_size": 2, "repeat": 1}
            for filters in sizes["tower_filters"]
        ),
        {
            "name": "transformer_tower",
            "key_size": sizes["key_size"],
            "heads": sizes["attention_heads"],
            "num_position_features": sizes["position_features"],
            "seqlen_train": attention.position_length,
            "dropout": _rate(layers, "transformer_1_expand_dropout"),
            "attention_dropout": attention.attention_dropout,
            "position_dropout": attention.position_dropout,
            "dense_expansion": expand.units / sizes["tower_filters"][-1],
            "mha_l2_scale": attention.l2_scale,
            "l2_scale": _penalty(expand),
            "kernel_initializer": "he_normal",
            "repeat": sizes["transformer_blocks"],
        },
        *(
            {
                "name": "unet_conv",
                "kernel_size": sizes["upsampling_width"],
                "upsample_conv": f"upsample_{n}_dense" in layers,
            }
            for n in range(1, sizes["upsampling_stages"] + 1)
        ),
        *_crop(layers),
    ]
    if sizes["final_filters"] is not None:
        trunk.append({"name": "conv_nac", "filters": sizes["final_filters"], "dropout": _rate(layers, "final_dropout")})
    params = _params(layers, trunk)
    params["model"]["kernel_initializer"] = "lecun_normal"
    params["model"]["trunk"][0]["norm_type"] = None  # the model's is not for the first convolution
    return params
