"""Which parts of a network learn and which stay as they are."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import keras

from crested_like import _graph, layers
from crested_like._checks import did_you_mean
from crested_like._errors import LayerError
from crested_like.tl.trunks._trunk import TRUNK, trunk_of

#: ``tower_3_norm`` is of the block ``tower_3``.
_NUMBERED = re.compile(r"(.*?_\d+)(?:_|$)")
#: Blocks of which a network has one: ``final_conv`` is of ``final``.
_SINGLE = ("stem", "final", "language")


def blocks(model: keras.Model) -> dict[str, tuple[str, ...]]:
    """Blocks of a network, in the order of its graph, and the layers with weights in each.

    Blocks go by the names of layers: ``tower_3_norm`` and ``tower_3_conv`` are of the block ``tower_3``. A segmentation
    head is one block, and so is a layer of any other name.

    Parameters
    ----------
    model
        Any functional model.

    Examples
    --------
    >>> from crested_like.tl import blocks, zoo
    >>> model = zoo.borzoi(input_length=2048, output_bins=32, stem_filters=8, tower_filters=(8, 8, 8, 8, 16, 16),
    ...                    attention_heads=2, transformer_blocks=1, heads={"human": 3})
    >>> blocks(model)["tower_1"]
    ('tower_1_norm', 'tower_1_conv')
    >>> list(blocks(model))[-4:]
    ['upsample_2', 'skip_2', 'final', 'head_human']
    """
    found: dict[str, list[str]] = {}
    for step, block in _steps_with_blocks(model):
        if getattr(step.layer, "weights", None) and step.layer.name not in found.setdefault(block, []):
            found[block].append(step.layer.name)
    return {block: tuple(names) for block, names in found.items() if names}


def freeze(
    model: keras.Model,
    *,
    until: str | None = None,
    blocks: str | Iterable[str] | None = None,
    patterns: str | Iterable[str] | None = None,
) -> tuple[str, ...]:
    """Let parts of a network stay as they are in training, and all others learn.

    What is frozen keeps its weights, and its batch normalisation works with its stored statistics and keeps them.
    Each call starts anew: what it does not name learns. Compile the model afterwards.

    Parameters
    ----------
    model
        Any functional model; its layers are changed.
    until
        A block, such as ``"transformer_4"``: frozen with everything that it is computed from. ``"trunk"`` is all but
        the heads, in any model.
    blocks
        One block or several, as :func:`crested_like.tl.blocks` lists them.
    patterns
        One pattern or several of layer names, such as ``"*_norm"``.

    Returns
    -------
    tuple
        Names of the layers that learn, in the order of the graph. Of layers with adapters those alone do.

    Raises
    ------
    LayerError
        If a block is unknown, or a pattern fits no layer.

    Examples
    --------
    >>> from crested_like.tl import freeze, zoo
    >>> model = zoo.basenji2(input_length=1024, output_bins=48, stem_filters=6, tower_filters=(6, 7, 8),
    ...                      residual_blocks=2, residual_filters=4, final_filters=8, heads={"human": 5})
    >>> freeze(model, until="residual_2")
    ('final_conv', 'final_norm', 'head_human')
    """
    _graph.require_functional(model)
    frozen = set() if until is None else _computed_from(model, until)
    frozen |= _in_blocks(model, _listed(blocks))
    frozen |= _fitting(model, _listed(patterns))
    let_learn(model, {layer.name for layer in model.layers} - frozen)
    return learning(model)


def let_learn(model: keras.Model, names: Collection[str]) -> None:
    """Let the layers of some names learn, and no others; of layers with adapters those alone."""
    for value in (False, True):  # on TensorFlow nothing happens, further down either, where the value is set already
        model.trainable = value
    for layer in model.layers:
        if layer.name not in names:
            layer.trainable = False


def learning(model: keras.Model) -> tuple[str, ...]:
    """Names of the layers that have weights which learn, in the order of the graph."""
    return tuple(layer.name for layer in model.layers if layer.trainable_weights)


def _listed(given: str | Iterable[str] | None) -> list[str]:
    return [given] if isinstance(given, str) else list(given or ())


def _steps_with_blocks(model: keras.Model) -> Iterator[tuple[_graph.Step, str]]:
    _graph.require_functional(model)
    outputs = [_graph.producer(tensor).layer for tensor in model.outputs]
    segmenting = [layer.name for layer in outputs if isinstance(layer, layers.FeatureProbability)]
    for step in _graph.steps(model.inputs, model.outputs):
        yield step, _block_of(step.layer.name, segmenting)


def _block_of(name: str, segmenting: list[str]) -> str:
    for block in (*segmenting, *_SINGLE):
        if f"{name}_".startswith(f"{block}_"):
            return block
    numbered = _NUMBERED.match(name)
    return numbered[1] if numbered else name


def _computed_from(model: keras.Model, block: str) -> set[str]:
    """Layers of a block and of all it is computed from."""
    found = _steps_with_blocks(model)
    ends = [tensor for step, its_block in found if its_block == block for tensor in step.outputs]
    if block == TRUNK:
        ends = [trunk_of(model)]
    if not ends:
        raise _unknown(model, [block])
    return {step.layer.name for step in _graph.steps(model.inputs, ends)}


def _in_blocks(model: keras.Model, wanted: list[str]) -> set[str]:
    known = blocks(model)
    unknown = [block for block in wanted if block not in known]
    if unknown:
        raise _unknown(model, unknown)
    return {name for block in wanted for name in known[block]}


def _unknown(model: keras.Model, wanted: list[str]) -> LayerError:
    known = list(blocks(model))
    return LayerError(
        f"Model {model.name!r} has no block {', '.join(map(repr, wanted))}; it has {', '.join(known)}."
        f"{did_you_mean(wanted[0], known)}"
    )


def _fitting(model: keras.Model, patterns: list[str]) -> set[str]:
    return {layer.name for layer in matching(model.layers, patterns)}


def matching(candidates: Iterable[Any], patterns: list[str]) -> list[Any]:
    """Those of some layers whose name fits one of several patterns.

    Raises
    ------
    LayerError
        If one of the patterns fits none.
    """
    candidates = list(candidates)
    idle = [p for p in patterns if not any(fnmatchcase(layer.name, p) for layer in candidates)]
    if idle:
        known = [layer.name for layer in candidates]
        raise LayerError(
            f"No layer fits {', '.join(map(repr, idle))}; there are {', '.join(known[:8])}"
            f"{' ...' if len(known) > 8 else ''}.{did_you_mean(idle[0], known)}"
        )
    return [layer for layer in candidates if any(fnmatchcase(layer.name, p) for p in patterns)]
