"""Haiku's parameter trees: the Nucleotide Transformer, SegmentNT, SegmentEnformer and SegmentBorzoi."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keras

from crested_like._errors import CheckpointError
from crested_like.checkpoints._joblib_file import joblib_tree
from crested_like.checkpoints._npz_file import npz_tree
from crested_like.checkpoints._state_dict import build_and_fill

#: Parameter files, in the order in which they are looked for; the first is the published one.
CONFIGS = ("hyperparams.json", "config.json")
#: Running statistics lie beside the parameters, in a file of their own.
STATE = {"params.joblib": "state.joblib", "params.npz": "state.npz"}

_SPELLINGS = (
    ("/mha/", "/self_attention/"),
    ("/mha_layer_norm/", "/self_attention_layer_norm/"),
    ("/esm_roberta_lm_head/", "/roberta_lm_head/"),
)


def convert_haiku(path: Path, **request: Any) -> keras.Model:
    """Model of a ``.joblib`` or flat ``.npz`` file and, where there is one, the state file beside it."""
    read = npz_tree if path.suffix == ".npz" else joblib_tree
    state = path.with_name(STATE[path.name]) if path.name in STATE else path
    with ExitStack() as files:
        arrays = _renamed(files.enter_context(read(path)), path)
        if state != path and state.is_file():
            arrays |= _renamed(files.enter_context(read(state)), state)
        return build_and_fill(path, arrays, ("haiku",), configs=CONFIGS, **request)


def _renamed(tree: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Names without the model's, in their newer spelling, with one slash before the array."""
    found: dict[str, Any] = {}
    for name, array in tree.items():
        _, _, inner = name.replace("//", "/").partition("/")
        for old, new in _SPELLINGS:
            inner = f"/{inner}".replace(old, new)[1:]
        if inner in found:
            raise CheckpointError(f"{path} holds two arrays that are {inner} once the model's name is left out.")
        found[inner] = array
    return found
