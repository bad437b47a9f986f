"""Weights of Baskerville and Basenji (HDF5 files of Keras 2) into Keras models."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from crested_like._checks import did_you_mean, one_of
from crested_like._errors import CheckpointError
from crested_like.checkpoints._apply import Pair, fill, layers_in_order
from crested_like.checkpoints._baskerville_build import GELUS, build
from crested_like.checkpoints._baskerville_params import PARAMS, Network, read_params
from crested_like.checkpoints._baskerville_published import ARCHITECTURES, build_published
from crested_like.checkpoints._readers import FileLayer, LegacyKerasFile, legacy_keras_h5

SETTINGS = ("input_length", "output_bins", "activation", "position_length")

_ATTENTION_BIASES = ("r_w_bias", "r_r_bias")


def convert_baskerville(
    path: Path,
    *,
    params: str | Path | Mapping[str, Any] | None,
    head: str | None,
    architecture: str | None,
    settings: Mapping[str, Any],
) -> keras.Model:
    """Model of one weight file: the trunk and the one head that it holds.

    Its network is that of the parameter file, or else of a published architecture with the widths of the arrays.
    """
    for name in settings:
        if name not in SETTINGS:
            raise CheckpointError(
                f"{name!r} is no setting of a Baskerville file.{did_you_mean(name, SETTINGS)} "
                f"Settings are: {', '.join(SETTINGS)}."
            )
    if params is not None and architecture is not None:
        raise CheckpointError("Give params or architecture, not both: each says what the network is.")
    if params is None and architecture is None:
        params = _params_beside(path)
    network = None if params is None else read_params(params)
    with legacy_keras_h5(path) as file:
        kinds = layers_by_kind(file.layers, path)
        given = {name: value for name, value in settings.items() if value is not None}
        given.update(_activation(given.get("activation"), file, network, path))
        if network is not None:
            model = build(network, [_head_of(network, head, path, _units(kinds, path))], **given)
        else:
            model = build_published(str(architecture), file, kinds, head, path, given)
        arrays = {f"{layer.name}/{name}": array for layer in file.layers for name, array in layer.arrays.items()}
        fill(model, arrays, _pairs(kinds, model), source=str(path))
    return model


def _params_beside(path: Path) -> Path:
    folder = path.absolute().parent
    for candidate in (folder / PARAMS, folder.parent / PARAMS):
        if candidate.is_file():
            return candidate
    raise CheckpointError(
        f"There is no {PARAMS} in {folder} or the folder above it, and the weights alone do not say what the network "
        f"is. Give params=, or architecture= for a published one: {', '.join(ARCHITECTURES)}."
    )


def _units(kinds: Mapping[str, list[FileLayer]], path: Path) -> int:
    """Tracks of the head: units of the last dense layer."""
    if not kinds.get("dense"):
        raise CheckpointError(f"{path} has no dense layer, so no head.")
    return int(kinds["dense"][-1].arrays["kernel"].shape[1])


def _head_of(network: Network, head: str | None, path: Path, units: int) -> str:
    """Which head a file holds: as said, else by its name, else by its units."""
    tracks = {name: blocks[-1].values.get("units") for name, blocks in network.heads.items()}
    listed = ", ".join(f"{name!r} ({n} units)" for name, n in tracks.items())
    numbered = re.fullmatch(r"model(\d+)(_best|_check)?", path.stem)
    if head is not None:
        if head not in tracks:
            raise CheckpointError(f"There is no head {head!r}.{did_you_mean(head, tracks)} Heads are: {listed}.")
        found, why = head, "asked for"
    elif numbered:
        number = int(numbered[1])
        if number >= len(tracks):
            raise CheckpointError(f"{path.name} should hold head {number}, counted from 0; heads are: {listed}.")
        found, why = list(tracks)[number], f"that the name {path.name} stands for"
    else:
        fitting = [name for name, n in tracks.items() if n == units]
        if len(fitting) != 1:
            many = "several heads have" if fitting else "no head has"
            raise CheckpointError(
                f"{path.name} ends in {units} units, and {many} as many: {listed}. "
                f"{'Say which one with head=.' if fitting else 'Is this the right parameter file?'}"
            )
        return fitting[0]
    if tracks[found] != units:
        raise CheckpointError(
            f"{path.name} ends in {units} units, but the head {why}, {found!r}, has {tracks[found]}. "
            f"Heads are: {listed}."
        )
    return found


def _activation(wanted: str | None, file: LegacyKerasFile, network: Network | None, path: Path) -> dict[str, str]:
    """Which GELU the network has: as said, else as the file's own configuration shows."""
    if wanted is not None:
        if network is not None and not network.uses_gelu:
            raise CheckpointError(f"activation={wanted!r} has no effect: no block of this network uses gelu.")
        return {"activation": one_of("activation", wanted, GELUS)}
    found = {gelu for layer in file.config if (gelu := _gelu_of(layer))}
    if len(found) > 1:
        raise CheckpointError(
            f"{path} uses several forms of GELU: {', '.join(sorted(found))}. Say which one is meant with activation=."
        )
    return {"activation": found.pop()} if found else {}


def _gelu_of(layer: Mapping[str, Any]) -> str | None:
    """GELU that a layer of the file's configuration computes, if it is one."""
    if layer.get("class_name") == "GELU":  # the Basenji repository's own layer, until 2022
        return "gelu_sigmoid"
    if not str(layer.get("config", {}).get("function", "")).endswith("nn.gelu"):
        return None
    arguments = [part for node in layer.get("inbound_nodes", []) for part in node if isinstance(part, Mapping)]
    # without a word on it, what every version of that code has asked Keras for
    return "gelu_erf" if any(part.get("approximate") is False for part in arguments) else "gelu_tanh"


def layers_by_kind(layers: Iterable[FileLayer], path: Path) -> dict[str, list[FileLayer]]:
    """Layers of a file by what they are, each kind in the order in which the layers were made.

    The number at the end of a name tells the order. It counts from the first model of a process, so it may start
    anywhere and skip the heads of other files.
    """
    kinds = defaultdict(list)
    for layer in layers:
        kinds[_kind(layer.arrays, f"{path}: layer {layer.name!r}")].append(layer)
    for kind, found in kinds.items():
        parts = [re.fullmatch(r"(.*?)(?:_(\d+))?", layer.name) for layer in found]
        stems = {part[1] for part in parts if part}
        if len(stems) == 1:
            order = {layer.name: int(part[2] or 0) for layer, part in zip(found, parts, strict=True) if part}
            kinds[kind] = sorted(found, key=lambda layer, order=order: order[layer.name])  # type: ignore[misc]
    return dict(kinds)


def _kind(arrays: Mapping[str, Any], where: str) -> str:
    """What a layer is, by its weights: the names of layers differ between releases."""
    if "r_w_bias" in arrays:
        return "attention"
    if "depthwise_kernel" in arrays:
        return "separable convolution"
    if "moving_mean" in arrays:
        return "batch norm"
    if "gamma" in arrays:
        return "layer norm"
    if "kernel" in arrays:
        return {2: "dense", 3: "convolution"}.get(len(arrays["kernel"].shape), "other")
    if len(arrays) == 1 and all(len(array.shape) == 1 for array in arrays.values()):
        return "scale"
    raise CheckpointError(f"{where} is of no kind known here; its weights are {', '.join(arrays)}.")


def _pairs(kinds: Mapping[str, list[FileLayer]], model: keras.Model) -> Iterable[Pair]:
    """The k-th layer of a kind in the file goes to the k-th of this kind in the model."""
    targets = defaultdict(list)
    for layer in layers_in_order(model):
        weights = {weight.path.split("/", 1)[1]: weight for weight in layer.weights}
        if weights:
            targets[_kind(weights, f"layer {layer.name!r}")].append(weights)
    for kind, layers in kinds.items():
        for source, weights in zip(layers, targets[kind], strict=False):  # what is left over, fill() reports
            for name, array in source.arrays.items():
                weight = next(iter(weights.values())) if kind == "scale" else weights.get(name)
                if weight is not None:
                    yield Pair(f"{source.name}/{name}", weight.path, _change(name, array.shape, tuple(weight.shape)))


def _change(name: str, shape: tuple[int, ...], wanted: tuple[int, ...]) -> Any:
    """Some files have attention biases (H, K) for (1, H, 1, K)."""
    same = [n for n in shape if n > 1] == [n for n in wanted if n > 1]
    if name not in _ATTENTION_BIASES or not same or shape == wanted:
        return None
    return lambda array: np.reshape(array, wanted)
