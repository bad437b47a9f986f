"""Networks of weights without a parameter file: a published layout with the widths of the arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from crested_like._checks import one_of, positive_int
from crested_like._errors import CheckpointError
from crested_like.checkpoints._readers import FileLayer, LegacyKerasFile
from crested_like.tl import zoo

Kinds = Mapping[str, list[FileLayer]]


def _widths(layers: list[FileLayer], array: str = "kernel") -> list[tuple[int, ...]]:
    return [tuple(layer.arrays[array].shape) for layer in layers]


def _basenji2_settings(kinds: Kinds) -> dict[str, Any]:
    """Stem, tower, pairs of a dilated and a pointwise convolution, final convolution."""
    stem, *middle, final = _widths(kinds["convolution"])
    blocks = sum(width == 1 for width, _, _ in middle)
    tower, dilated = middle[: len(middle) - 2 * blocks], middle[len(middle) - 2 * blocks :]
    return {
        "stem_width": stem[0],
        "stem_filters": stem[2],
        "tower_width": tower[0][0],
        "tower_filters": tuple(shape[2] for shape in tower),
        "residual_blocks": blocks,
        "residual_width": dilated[0][0],
        "residual_filters": dilated[0][2],
        "final_filters": final[2],
    }


def _borzoi_settings(kinds: Kinds) -> dict[str, Any]:
    """Stem, tower, transformer, U-Net stages, perhaps a pointwise convolution."""
    stem, *tower = _widths(kinds["convolution"])
    final = tower.pop() if tower[-1][0] == 1 else None
    attention, separable = kinds["attention"], kinds["separable convolution"]
    first = attention[0].arrays
    key_size = int(first["r_w_bias"].shape[-1])
    heads = int(np.prod(first["r_w_bias"].shape)) // key_size
    return {
        "stem_width": stem[0],
        "stem_filters": stem[2],
        "tower_width": tower[0][0],
        "tower_filters": tuple(shape[2] for shape in tower),
        "transformer_blocks": len(attention),
        "attention_heads": heads,
        "key_size": key_size,
        "value_size": first["v_layer/kernel"].shape[1] // heads,
        "position_features": first["r_k_layer/kernel"].shape[0] if "r_k_layer/kernel" in first else 0,
        "upsampling_stages": len(separable),
        "upsampling_width": separable[0].arrays["depthwise_kernel"].shape[0],
        "final_filters": final and final[2],
    }


@dataclass(frozen=True)
class Published:
    """A published architecture: its builder, how its widths are read off the arrays, and the tracks of its heads."""

    builder: Callable[..., keras.Model]
    settings: Callable[[Kinds], dict[str, Any]]
    tracks: Mapping[str, int]
    stages: int = 0
    """U-Net stages, by which Borzoi and Borzoi Prime differ."""


ARCHITECTURES: dict[str, Published] = {
    "basenji2": Published(zoo.basenji2, _basenji2_settings, {"human": 5_313, "mouse": 1_643}),
    "borzoi": Published(zoo.borzoi, _borzoi_settings, {"human": 7_611, "mouse": 2_608}, stages=2),
    "borzoi_prime": Published(zoo.borzoi_prime, _borzoi_settings, {"human": 5_431, "mouse": 1_774}, stages=3),
}


def build_published(
    architecture: str, file: LegacyKerasFile, kinds: Kinds, head: str | None, path: Path, given: Mapping[str, Any]
) -> keras.Model:
    """The architecture with the widths of the file's arrays and, where the file has them, its input length and crop.

    Raises
    ------
    CheckpointError
        If the file's layers are not those of the architecture, or the head is not the file's.
    """
    published = ARCHITECTURES[one_of("architecture", architecture, tuple(ARCHITECTURES))]
    try:
        settings = published.settings(kinds)
        if len(kinds.get("separable convolution", ())) != published.stages:
            raise ValueError(f"it has {len(kinds.get('separable convolution', ()))} U-Net stages")
        tracks = int(kinds["dense"][-1].arrays["kernel"].shape[1])
    except (KeyError, IndexError, ValueError, TypeError) as error:
        counts = ", ".join(f"{len(layers)} {kind}" for kind, layers in kinds.items())
        raise CheckpointError(f"{path} is no {architecture} ({error!r}); its layers are: {counts}.") from error
    settings |= _lengths(file, settings, given.get("input_length"))
    settings["heads"] = {_head_name(published, head, path, tracks): tracks}
    if "position_length" in given and not published.stages:
        raise CheckpointError(f"position_length has no effect on {architecture}: it has no transformer. Leave it out.")
    return published.builder(**{**settings, **given})


def _lengths(file: LegacyKerasFile, settings: Mapping[str, Any], input_length: int | None) -> dict[str, Any]:
    """Input length and output bins that the file's configuration shows; nothing where it has none."""
    if not file.config:
        return {}
    shapes = [layer["config"]["batch_input_shape"] for layer in file.config if layer["class_name"] == "InputLayer"]
    crops = [layer["config"]["cropping"] for layer in file.config if layer["class_name"] == "Cropping1D"]
    length = shapes[0][1] if input_length is None else positive_int("input_length", input_length)
    bins = length // 2 ** (len(settings["tower_filters"]) + 1) * 2 ** settings.get("upsampling_stages", 0)
    return {"input_length": length, "output_bins": bins - sum(sum(crop) for crop in crops)}


def _head_name(published: Published, head: str | None, path: Path, tracks: int) -> str:
    """What the head is called: as said, else by its tracks, else by the file's name."""
    known = next((name for name, n in published.tracks.items() if n == tracks), None)
    if head is not None:
        if known not in (None, head):
            raise CheckpointError(f"{path.name} has {tracks} tracks, so it holds the head {known!r}, not {head!r}.")
        return head
    signs = {"human": ("model0", "human"), "mouse": ("model1", "mouse")}
    named = (name for name, marks in signs.items() if any(mark in path.stem.lower() for mark in marks))
    return known or next(named, "tracks")
