"""The rewritings that :func:`crested_like.tl.accelerate` is made of, in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from crested_like import layers
from crested_like.kernels.device import on_processor
from crested_like.layers._stand_in import StandIn
from crested_like.tl.rewriting._blocks import in_blocks
from crested_like.tl.rewriting._needed import only_needed
from crested_like.tl.rewriting._rebuild import replayed, structure


@dataclass(frozen=True)
class Pass:
    """One rewriting of a graph that leaves its numbers as they were, up to rounding."""

    rewrite: Callable[[keras.Model], keras.Model | None]
    """Makes a new model that shares the layers of the one given, or None where there is nothing to do."""
    pays_on: frozenset[str]
    """Backends on which it was measured to make a prediction on a processor faster or smaller."""
    pays_on_accelerators: bool = False
    """Whether it does so on any other device."""


def standing_in(kind: type[StandIn]) -> Callable[[keras.Model], keras.Model | None]:
    """A rewriting that puts layers of another kind in the place of those that it fits."""

    def swap(model: keras.Model) -> keras.Model | None:
        made: dict[int, Any] = {}

        def layer_of(layer: Any) -> Any:
            if id(layer) not in made:
                made[id(layer)] = kind.of(layer) if kind.fits(layer) else layer
            return made[id(layer)]

        inputs, outputs = structure(model)
        found = replayed(model.inputs, outputs, {id(tensor): tensor for tensor in model.inputs}, layer_of)
        changed = any(type(new) is kind for new in made.values())
        return keras.Model(inputs, found, name=model.name) if changed else None

    return swap


def that_pay() -> list[str]:
    """Names of the rewritings that pay where the backend computes now."""
    backend, processor = keras.backend.backend(), on_processor()
    return [
        name for name, known in PASSES.items() if backend in known.pays_on and (processor or known.pays_on_accelerators)
    ]


_COMPILED = {"tensorflow", "jax"}
_ALL = {*_COMPILED, "torch"}

#: Rewritings by name, in the order in which they are made.
PASSES = {
    "needed": Pass(only_needed, frozenset({*_ALL, "openvino"}), pays_on_accelerators=True),
    "norms": Pass(standing_in(layers.ChannelAffine), frozenset({"torch"})),
    "pooling": Pass(standing_in(layers.SlicedMaxPool1D), frozenset(_ALL)),
    "cook_toom": Pass(standing_in(layers.CookToomConv1D), frozenset(_ALL)),
    "unfolded": Pass(standing_in(layers.UnfoldedConv1D), frozenset({"torch"})),
    "blocks": Pass(in_blocks, frozenset(_ALL)),
}
