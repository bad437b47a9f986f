"""Widths of a network, read off the shapes of its weights: settings of the builders in ``tl.zoo``."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count, takewhile
from math import prod
from typing import Any

from crested_like.tl.zoo import FEATURES

#: Tracks of the heads of published networks, by which a head without a name is known.
TRACKS: dict[str, dict[str, int]] = {
    "basenji2": {"human": 5_313, "mouse": 1_643},
    "enformer": {"human": 5_313, "mouse": 1_643},
    "borzoi": {"human": 7_611, "mouse": 2_608},
    "borzoi_prime": {"human": 5_431, "mouse": 1_774},
    "flashzoi": {"human": 7_611, "mouse": 2_608},
}

#: Bases of a token of SegmentNT.
TOKEN_BASES = 6

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of weights by their path in a zoo model, such as ``stem_conv/kernel``."""

#: The weight that shows a setting, for messages.
SHOWN_BY = {
    "stem_filters": "stem_conv/kernel",
    "stem_width": "stem_conv/kernel",
    "tower_filters": "tower_{last}_conv/kernel",
    "tower_width": "tower_1_conv/kernel",
    "attention_heads": "transformer_1_attention/r_w_bias",
    "key_size": "transformer_1_attention/r_w_bias",
    "value_size": "transformer_1_attention/v_layer/kernel",
    "position_features": "transformer_1_attention/r_k_layer/kernel",
    "upsampling_width": "upsample_1/depthwise_kernel",
    "final_filters": "final_conv/kernel",
    "residual_filters": "residual_1_dilated_conv/kernel",
    "residual_width": "residual_1_dilated_conv/kernel",
    "width": "embedding/embeddings",
    "feedforward_width": "transformer_1_contract/kernel",
    "max_positions": "positions/embeddings",
    "features": "segment_dense/kernel",
}


def sizes_of(architecture: str, shapes: Shapes) -> dict[str, Any]:
    """Every setting of a builder that the shapes of its weights show.

    Raises
    ------
    KeyError
        If a weight is missing without which the network cannot be this architecture.
    """
    return _SIZES[architecture](shapes)


def head_of(architecture: str, tracks: int) -> str | None:
    """What a published head with so many tracks is called."""
    return next((name for name, count in TRACKS[architecture].items() if count == tracks), None)


def _track_heads(shapes: Shapes) -> dict[str, Any]:
    heads = {path.split("/")[0]: shape[-1] for path, shape in shapes.items() if path.startswith("head_")}
    return {"heads": {name.removeprefix("head_"): tracks for name, tracks in heads.items()}}


def _stem_and_tower(shapes: Shapes) -> dict[str, Any]:
    stem, tower = shapes["stem_conv/kernel"], series(shapes, "tower_{}_conv/kernel")
    return {
        "stem_width": stem[0],
        "stem_filters": stem[2],
        "tower_width": tower[0][0],
        "tower_filters": tuple(shape[2] for shape in tower),
    }


def _basenji2(shapes: Shapes) -> dict[str, Any]:
    dilated = series(shapes, "residual_{}_dilated_conv/kernel")
    return {
        **_stem_and_tower(shapes),
        **_track_heads(shapes),
        "residual_blocks": len(dilated),
        "residual_width": dilated[0][0],
        "residual_filters": dilated[0][2],
        "final_filters": shapes["final_conv/kernel"][2],
    }


def _transformer(shapes: Shapes) -> dict[str, Any]:
    blocks = {"transformer_blocks": len(series(shapes, "transformer_{}_attention_norm/gamma"))}
    first = "transformer_1_attention/"
    if f"{first}r_w_bias" not in shapes:
        return blocks
    *_, key_size = biases = shapes[f"{first}r_w_bias"]
    heads = prod(biases) // key_size  # some files leave out the axes of length one
    return {
        **blocks,
        "attention_heads": heads,
        "key_size": key_size,
        "value_size": shapes[f"{first}v_layer/kernel"][1] // heads,
        "position_features": shapes.get(f"{first}r_k_layer/kernel", (0,))[0],
    }


def _enformer(shapes: Shapes) -> dict[str, Any]:
    return {
        **_stem_and_tower(shapes),
        **_transformer(shapes),
        "final_filters": shapes["final_conv/kernel"][2],
        **_track_heads(shapes),
    }


def _borzoi(shapes: Shapes) -> dict[str, Any]:
    return {**_borzoi_trunk(shapes), **_track_heads(shapes)}


def _borzoi_trunk(shapes: Shapes) -> dict[str, Any]:
    stages = series(shapes, "upsample_{}/depthwise_kernel")
    final = shapes.get("final_conv/kernel")
    return {
        **_stem_and_tower(shapes),
        **_transformer(shapes),
        "upsampling_stages": len(stages),
        "upsampling_width": stages[0][0],
        "final_filters": final and final[2],
    }


def _segment_enformer(shapes: Shapes) -> dict[str, Any]:
    trunk = {**_stem_and_tower(shapes), **_transformer(shapes)}
    return {**trunk, **_segmentation_head(shapes, 2 ** (len(trunk["tower_filters"]) + 1))}


def _segment_borzoi(shapes: Shapes) -> dict[str, Any]:
    trunk = _borzoi_trunk(shapes)
    bases = 2 ** (len(trunk["tower_filters"]) + 1 - trunk["upsampling_stages"])
    return {**trunk, **_segmentation_head(shapes, bases)}


def _segmentation_head(shapes: Shapes, bases: int) -> dict[str, Any]:
    width, logits = shapes["segment_dense/kernel"]
    return {"head_width": width, "features": _features(logits // (2 * bases))}


def _features(count: int) -> tuple[str, ...]:
    """Names of the published elements where there are as many."""
    return FEATURES if count == len(FEATURES) else tuple(f"feature_{n}" for n in range(1, count + 1))


def _nucleotide_transformer(shapes: Shapes) -> dict[str, Any]:
    vocabulary, width = shapes["embedding/embeddings"]
    expanded, contracted = shapes["transformer_1_expand/kernel"][1], shapes["transformer_1_contract/kernel"][0]
    learned = shapes.get("positions/embeddings")
    return {
        "vocabulary_size": vocabulary,
        "width": width,
        "transformer_blocks": len(series(shapes, "transformer_{}_attention_norm/gamma")),
        "feedforward": "swish_gate" if expanded == 2 * contracted else "gelu_erf",
        "feedforward_width": contracted,
        "feedforward_bias": "transformer_1_expand/bias" in shapes,
        "norm_embeddings": "embedding_norm/gamma" in shapes,
        **({"positions": "learned", "max_positions": learned[0] - 2} if learned else {"positions": "rotary"}),
    }


def _segment_nt(shapes: Shapes) -> dict[str, Any]:
    return {
        **_nucleotide_transformer(shapes),
        "features": _features(shapes["segment_dense/kernel"][1] // (2 * TOKEN_BASES)),
    }


_SIZES = {
    "basenji2": _basenji2,
    "enformer": _enformer,
    "borzoi": _borzoi,
    "borzoi_prime": _borzoi,
    "flashzoi": _borzoi,
    "nucleotide_transformer": _nucleotide_transformer,
    "segment_nt": _segment_nt,
    "segment_enformer": _segment_enformer,
    "segment_borzoi": _segment_borzoi,
}


def series(shapes: Shapes, path: str) -> list[tuple[int, ...]]:
    """Shapes of numbered weights, from 1 up to the first that is missing.

    Raises
    ------
    KeyError
        If there is none.
    """
    paths = takewhile(lambda name: name in shapes, (path.format(i) for i in count(1)))
    found = [shapes[name] for name in paths]
    if not found:
        raise KeyError(path.format(1))
    return found
