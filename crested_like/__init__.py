"""DNA sequence-to-function networks as plain Keras models, and the tools to use them.

Importing this package imports neither keras nor a backend. It chooses an installed backend and leaves a hook that
registers the custom layers the moment keras is imported, so that ``keras.models.load_model`` reads our files (and
CREsted's) without ``custom_objects``, whichever of the two is imported first.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import wrapt

from crested_like import _backend

if TYPE_CHECKING:
    from crested_like import checkpoints, datasets, genome, pl, tl
    from crested_like._card import ModelCard, attach, card_of
    from crested_like.genome import Genome, register_genome
    from crested_like.registry import get_model, get_tracks, list_models, load_model, model_card

__version__ = "0.1.0"

_ROOMS = ("tl", "pl", "genome", "datasets", "checkpoints", "registry", "engine")
_HOMES = {
    "Genome": "genome",
    "register_genome": "genome",
    "ModelCard": "_card",
    "attach": "_card",
    "card_of": "_card",
    "get_model": "registry",
    "get_tracks": "registry",
    "list_models": "registry",
    "load_model": "registry",
    "model_card": "registry",
}

__all__ = [*_HOMES, *_ROOMS, "__version__"]


def _register_layers(_keras: object) -> None:
    importlib.import_module("crested_like._registration")


_backend.choose_backend()
wrapt.register_post_import_hook(_register_layers, "keras")


def __getattr__(name: str) -> object:
    """Import a room, or the room a public name lives in, at its first use."""
    if name in _ROOMS:
        return importlib.import_module(f"crested_like.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"crested_like.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'crested_like' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
