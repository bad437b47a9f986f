"""Low-rank adaptation of any functional model: put adapters on, fold them in, take them off."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import keras
from keras import ops
from numpy.typing import NDArray

from crested_like import _graph, layers
from crested_like._checks import one_of, positive_int
from crested_like._errors import LayerError
from crested_like.checkpoints._keras import portable
from crested_like.layers.lora import adaptable, adapters, base_weights
from crested_like.tl.finetuning._freeze import let_learn, matching
from crested_like.tl.rewriting._rebuild import plain_copy, rebuilt
from crested_like.tl.trunks._trunk import head_layers, trunk_of

#: Attention layers and what they are with adapters.
_ADAPTED = {
    layers.MultiheadAttention: layers.LoraMultiheadAttention,
    layers.RotaryAttention: layers.LoraRotaryAttention,
    layers.SelfAttention: layers.LoraSelfAttention,
}
_PLAIN = {adapted: plain for plain, adapted in _ADAPTED.items()}
#: What adapters can be put on, in the words of ``where``.
_KINDS = {
    "attention": tuple(_ADAPTED),
    "convolution": (keras.layers.Conv1D,),
    "dense": (keras.layers.Dense,),
}


def add_lora(
    model: keras.Model,
    rank: int = 8,
    alpha: float | None = None,
    *,
    where: str | Collection[str] = ("attention", "convolution"),
    patterns: str | Iterable[str] | None = None,
    at: str | None = None,
) -> keras.Model:
    """A copy of a model with low-rank adapters on its trunk, which learn in place of its weights (Hu et al. 2021).

    Its output is that of the given model until it is trained. Of the trunk the adapters alone learn; batch
    normalisation keeps its statistics. The heads get none, and learn. The copy is a plain Keras model: it trains,
    predicts and saves as any other.

    Parameters
    ----------
    model
        Any functional model; it is not changed.
    rank
        Channels of an adapter. One on a layer from C to D channels has ``rank * (C + D)`` weights, and on a convolution
        of width k ``rank * (k * C + D)``.
    alpha
        The adapter's term is multiplied by ``alpha / rank``; default 1.
    where
        Which layers get one: of ``"attention"`` (the projections inside :class:`MultiheadAttention`,
        :class:`RotaryAttention` and :class:`SelfAttention`), ``"convolution"`` and ``"dense"`` (as between attention
        layers) one or several.
    patterns
        Only layers whose name fits one of these patterns, such as ``"transformer_*"``.
    at
        Layer at which the trunk ends, where it cannot be told from the graph.

    Raises
    ------
    LayerError
        If no layer is left to put one on, a pattern fits none, or the model has adapters already.

    Examples
    --------
    >>> from crested_like.tl import add_lora, freeze, zoo
    >>> model = zoo.borzoi(input_length=2048, output_bins=32, stem_filters=8, tower_filters=(8, 8, 8, 8, 16, 16),
    ...                    attention_heads=2, transformer_blocks=1, heads={"human": 3})
    >>> adapted = add_lora(model, rank=2, where="attention")
    >>> [layer.name for layer in adapted.layers if layer.trainable_weights]
    ['transformer_1_attention', 'head_human']
    """
    _graph.require_functional(model)
    positive_int("rank", rank)
    if lora_layers(model):
        raise LayerError(
            f"Model {model.name!r} has adapters already. Fold them in with merge_lora(), or take them off with "
            f"unmerge_lora()."
        )
    heads = {layer.name for layer in head_layers(model, trunk_of(model, at))}
    chosen = _chosen([layer for layer in model.layers if layer.name not in heads], where, patterns)
    made = with_adapters(model, {layer.name: (rank, alpha) for layer in chosen})
    train_adapters(made, heads)
    return made


def _chosen(candidates: list[Any], where: str | Collection[str], patterns: str | Iterable[str] | None) -> list[Any]:
    kinds = [where] if isinstance(where, str) else list(where)
    types = tuple(kind for name in kinds for kind in _KINDS[one_of("where", name, _KINDS)])
    found = [layer for layer in candidates if type(layer) in types and (type(layer) in _ADAPTED or adaptable(layer))]
    if found and patterns is not None:
        found = matching(found, [patterns] if isinstance(patterns, str) else list(patterns))
    if not found:
        raise LayerError(f"The trunk has no layer of the kind {' or '.join(kinds) or 'asked for'} to adapt.")
    return found


def with_adapters(model: keras.Model, chosen: dict[str, tuple[int, float | None]]) -> keras.Model:
    """A copy with new adapters on the layers of these names, each of a rank and alpha."""

    def change(layer: keras.layers.Layer) -> keras.layers.Layer | None:
        if layer.name not in chosen:
            return None
        rank, alpha = chosen[layer.name]
        if type(layer) in _ADAPTED:
            config = {**portable(layer.get_config()), "rank": rank, "alpha": alpha}
            return _ADAPTED[type(layer)].from_config(config)
        return layers.Lora(plain_copy(layer), rank, alpha)

    return rebuilt(model, change, lambda old, new: _fill(new, old.get_weights()))


def train_adapters(model: keras.Model, also: Collection[str] = ()) -> None:
    """Let the adapters learn, and the layers of some names, and nothing else."""
    let_learn(model, {*also, *(layer.name for layer in lora_layers(model))})


def lora_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Layers of a model that have adapters."""
    return [layer for layer in model.layers if adapters(layer)]


def merge_lora(model: keras.Model) -> keras.Model:
    """A plain model that does what a model with adapters does, which are folded into its kernels.

    Parameters
    ----------
    model
        What :func:`add_lora` gave, trained or not; it is not changed, so that its adapters can still be saved, trained
        or taken off.

    Returns
    -------
    keras.Model
        Of the layers that the model had without adapters; all of them may learn. Outputs are equal to the rounding of
        the kernels.

    Raises
    ------
    LayerError
        If the model has no adapters.

    Examples
    --------
    >>> import numpy as np
    >>> from crested_like.tl import add_lora, merge_lora, zoo
    >>> model = zoo.borzoi(input_length=2048, output_bins=32, stem_filters=8, tower_filters=(8, 8, 8, 8, 16, 16),
    ...                    attention_heads=2, transformer_blocks=1, heads={"human": 3})
    >>> merged = merge_lora(add_lora(model))
    >>> all(np.array_equal(a, b) for a, b in zip(merged.get_weights(), model.get_weights()))
    True
    """
    return _plain(model, merge=True)


def unmerge_lora(model: keras.Model) -> keras.Model:
    """The plain model below a model with adapters: as :func:`merge_lora`, but without them.

    Kernels below adapters never change, so those of the result have exactly the values that they had before
    :func:`add_lora`. Heads are as trained.

    Parameters
    ----------
    model
        What :func:`add_lora` gave, trained or not; it is not changed.

    Raises
    ------
    LayerError
        If the model has no adapters, also as they were merged: rounding does not let them be taken out again.
    """
    return _plain(model, merge=False)


def _plain(model: keras.Model, merge: bool) -> keras.Model:
    _graph.require_functional(model)
    if not lora_layers(model):
        raise LayerError(
            f"Model {model.name!r} has no adapters. If they were merged, load the model that they were put on, and put "
            f"them on it with load_lora()."
        )
    made = rebuilt(model, _without_adapters, lambda old, new: _fill(new, _plain_weights(old, merge)))
    let_learn(made, {layer.name for layer in made.layers})
    return made


def _without_adapters(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    if not adapters(layer):
        return None
    plain = type(layer.layer) if isinstance(layer, layers.Lora) else _PLAIN[type(layer)]
    return plain.from_config(portable(layer.plain_config()))


def _plain_weights(layer: keras.layers.Layer, merge: bool) -> list[NDArray]:
    merged = {id(lora.layer.kernel): lora.merged_kernel() for lora in adapters(layer)} if merge else {}
    return [
        merged[id(weight)] if id(weight) in merged else ops.convert_to_numpy(weight) for weight in base_weights(layer)
    ]


def _fill(layer: keras.layers.Layer, values: list[NDArray]) -> None:
    for weight, value in zip(base_weights(layer), values, strict=True):
        weight.assign(value)
