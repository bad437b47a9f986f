"""Networks of weights without a parameter file: a published layout with the widths of the arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from crested_like._checks import one_of, positive_int
from crested_like._errors import CheckpointError
from crested_like.checkpoints._readers import FileLayer, LegacyKerasFile
from crested_like.checkpoints._sizes import Shapes, head_of, sizes_of
from crested_like.tl import zoo

Kinds = Mapping[str, list[FileLayer]]


def _numbered(path: str, kernels: list[tuple[int, ...]]) -> Shapes:
    return {path.format(i): shape for i, shape in enumerate(kernels, 1)}


def _basenji2_shapes(kinds: Kinds) -> Shapes:
    """Stem, tower, pairs of a dilated and a pointwise convolution, final convolution."""
    stem, *middle, final = _kernels(kinds["convolution"])
    blocks = sum(width == 1 for width, _, _ in middle)
    tower, dilated = middle[: len(middle) - 2 * blocks], middle[len(middle) - 2 * blocks :: 2]
    return {
        "stem_conv/kernel": stem,
        **_numbered("tower_{}_conv/kernel", tower),
        **_numbered("residual_{}_dilated_conv/kernel", dilated),
        "final_conv/kernel": final,
    }


def _borzoi_shapes(kinds: Kinds) -> Shapes:
    """Stem, tower, transformer, U-Net stages, perhaps a pointwise convolution."""
    stem, *tower = _kernels(kinds["convolution"])
    final = {"final_conv/kernel": tower.pop()} if tower[-1][0] == 1 else {}
    attention = kinds["attention"]
    return {
        "stem_conv/kernel": stem,
        **_numbered("tower_{}_conv/kernel", tower),
        **_numbered("transformer_{}_attention_norm/gamma", [()] * len(attention)),
        **{f"transformer_1_attention/{name}": tuple(array.shape) for name, array in attention[0].arrays.items()},
        **_numbered("upsample_{}/depthwise_kernel", _kernels(kinds["separable convolution"], "depthwise_kernel")),
        **final,
    }


def _kernels(layers: list[FileLayer], array: str = "kernel") -> list[tuple[int, ...]]:
    return [tuple(layer.arrays[array].shape) for layer in layers]


@dataclass(frozen=True)
class Published:
    """A published architecture: its builder, and how the shapes of its weights are found by the order of layers."""

    builder: Callable[..., keras.Model]
    shapes: Callable[[Kinds], Shapes]
    stages: int = 0
    """U-Net stages, by which Borzoi and Borzoi Prime differ."""


ARCHITECTURES: dict[str, Published] = {
    "basenji2": Published(zoo.basenji2, _basenji2_shapes),
    "borzoi": Published(zoo.borzoi, _borzoi_shapes, stages=2),
    "borzoi_prime": Published(zoo.borzoi_prime, _borzoi_shapes, stages=3),
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
        settings = sizes_of(architecture, published.shapes(kinds))
        if len(kinds.get("separable convolution", ())) != published.stages:
            raise ValueError(f"it has {len(kinds.get('separable convolution', ()))} U-Net stages")
        tracks = int(kinds["dense"][-1].arrays["kernel"].shape[1])
    except (KeyError, IndexError, ValueError, TypeError) as error:
        counts = ", ".join(f"{len(layers)} {kind}" for kind, layers in kinds.items())
        raise CheckpointError(f"{path} is no {architecture} ({error!r}); its layers are: {counts}.") from error
    settings["heads"] = {_head_name(architecture, head, path, tracks): tracks}
    settings |= _lengths(file, settings, given.get("input_length"))
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


def _head_name(architecture: str, head: str | None, path: Path, tracks: int) -> str:
    """What the head is called: as said, else by its tracks, else by the file's name."""
    known = head_of(architecture, tracks)
    if head is not None:
        if known not in (None, head):
            raise CheckpointError(f"{path.name} has {tracks} tracks, so it holds the head {known!r}, not {head!r}.")
        return head
    signs = {"human": ("model0", "human"), "mouse": ("model1", "mouse")}
    named = (name for name, marks in signs.items() if any(mark in path.stem.lower() for mark in marks))
    return known or next(named, "tracks")
