"""One call that makes a network cheaper to compute."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from crested_like import _graph
from crested_like._card import ModelCard, attach, card_of, resolve_tracks
from crested_like._checks import did_you_mean, one_of
from crested_like._errors import GeometryError, ModelFileError, TrackError
from crested_like.tl._channels import are_numbers, common_table
from crested_like.tl._geometry import geometry, named_outputs
from crested_like.tl._heads import check_head, reduced
from crested_like.tl.rewriting._needed import only_needed
from crested_like.tl.rewriting._passes import PASSES, that_pay
from crested_like.tl.rewriting._precision import FULL, REDUCED, in_precision

log = logging.getLogger(__name__)


def accelerate(
    model: keras.Model,
    *,
    head: str | None = None,
    tracks: Any = None,
    bins: Any = None,
    precision: str = FULL,
    passes: Iterable[str] | None = None,
) -> keras.Model:
    """The same network with less work: fewer products, nothing computed that no output hangs on, less memory.

    Predictions of :func:`~crested_like.tl.predict` and of what builds on it are made in this way by themselves. Call
    it to get a model of some tracks and bins alone, to save a fast model, or to use one with plain Keras.

    Parameters
    ----------
    model
        Any functional Keras model. It is not changed, and the result uses its weights: what is trained or loaded into
        the model later is in the result, too. Only the last layer of chosen tracks is a copy.
    head
        Which output of a model with several; default all of them, or the only one.
    tracks
        Output channels to compute, as for :func:`~crested_like.tl.predict`; default all.
    bins
        Output bins to compute: a ``range`` or a slice without steps, or ``(first, after the last)``; default all.
    precision
        Type that the network keeps its weights in and computes in: ``"float32"``, or ``"bfloat16"`` or ``"float16"``,
        all but its last layers, for half the memory, and for more speed where a processor or card has such numbers.
        With ``"int8"`` kernels are kept in a byte a number, with a factor for each output channel, and all is computed
        in float32: a quarter of the memory and of the file, at the same speed. The result then has weights of its own.
        How far its predictions are from those in float32 is measured on a random sequence, logged, and noted on its
        card in ``metrics["precision"]``: the largest error over bins in parts of a track's range, of the worst track
        and of the median one. Predictions are float32 all the same.
    passes
        Names of the rewritings to make, in any order; default all that pay on the current backend and device:

        - ``"needed"``: crops move towards the input as far as receptive fields allow.
        - ``"norms"``: batch normalisations become one factor and one summand.
        - ``"pooling"``: max pooling becomes the maximum of slices.
        - ``"cook_toom"``: wide convolutions of width 5 by the Cook-Toom algorithm F(4, 5), 8 products in place of 20;
          in float32.
        - ``"unfolded"``: convolutions over few channels, and those of width 1, become one matrix product.
        - ``"blocks"``: the layers next to the sequence run over one block of it after the other.

    Returns
    -------
    keras.Model
        A functional model with its own card, or ``model`` itself where nothing was found to do, which is logged as a
        warning. Results differ by rounding: in float32 by at most 2e-5 of a track's range.

    Raises
    ------
    ValueError
        If a pass or the precision is unknown.
    GeometryError
        If the bins are not consecutive bins of the model.
    TrackError
        If tracks or a head are unknown, or tracks are asked for by name and nobody named them.

    Examples
    --------
    >>> import crested_like as crested
    >>> model = crested.load_model("borzoi_mini_human")
    >>> crested.tl.accelerate(model, tracks=[0, 5], bins=range(1000, 1064)).output_shape
    (None, 64, 2)
    """
    names = _checked_passes(passes)
    one_of("precision", precision, (FULL, *REDUCED))
    try:
        _graph.require_functional(model)
    except ModelFileError:
        if tracks is not None or bins is not None or head is not None or precision != FULL:
            raise
        log.warning("%r is no functional Keras model, so nothing is known of its graph: it stays as it is.", model)
        return model
    made, card = _of_tracks(model, head, tracks)
    span = None if bins is None else _span(bins, geometry(made).output_bins)
    if span is not None:
        made = only_needed(made, span)
        card = None if card is None else _with_bins(card, span[1] - span[0])
    done = []
    if precision != FULL:
        made, found = in_precision(made, precision)
        done.append(precision)
        card = None if card is None else card.replace(metrics={**card.metrics, "precision": found})
    for name in names:
        rewritten = PASSES[name].rewrite(made)
        if rewritten is not None:
            made = rewritten
            done.append(name)
    if made is model:
        log.warning("Nothing in model %r can be made faster by %s: it stays as it is.", model.name, ", ".join(names))
        return model
    log.info("model %r: %s", model.name, ", ".join(done))
    return made if card is None else attach(made, card)


#: Fast form of each model that was predicted with, or None where it has none.
_FAST: weakref.WeakKeyDictionary[keras.Model, keras.Model | None] = weakref.WeakKeyDictionary()


def fast_form(model: keras.Model) -> keras.Model:
    """What computes a model's outputs, made once: with all passes that pay on this backend."""
    if model not in _FAST:
        made = model
        for name in _checked_passes(None):
            made = PASSES[name].rewrite(made) or made
        _FAST[model] = None if made is model else made
    return _FAST[model] or model


def _checked_passes(passes: Iterable[str] | None) -> list[str]:
    if passes is None:
        return that_pay()
    wanted = [passes] if isinstance(passes, str) else list(passes)
    unknown = [name for name in wanted if name not in PASSES]
    if unknown:
        raise ValueError(
            f"passes must be among {', '.join(PASSES)}; got {unknown[0]!r}.{did_you_mean(str(unknown[0]), PASSES)}"
        )
    return [name for name in PASSES if name in wanted]


def _of_tracks(model: keras.Model, head: str | None, tracks: Any) -> tuple[keras.Model, ModelCard | None]:
    """A model of some outputs, and its card."""
    card, name = card_of(model), check_head(model, head)
    if head is None and tracks is None:
        return model, card
    if name is None:
        raise TrackError(
            f"tracks= needs one head, and the model has {', '.join(map(repr, named_outputs(model)))}: pick one "
            "with head=."
        )
    if card is not None and name in card.heads:
        card = card.for_head(name)
    table = None if are_numbers(tracks) and card is None else common_table([model], name)
    chosen = resolve_tracks(tracks, table, named_outputs(model)[name].shape[-1])
    made, rest = reduced(model, name, chosen)
    if rest is not None:
        made = keras.Model(made.inputs, _columns(made.outputs[0], rest), name=model.name)
    if card is not None and tracks is not None:
        known = {"tracks": None, "num_tracks": len(chosen)} if table is None else {}
        card = card.replace(**known) if table is None else card.with_tracks(table.loc[chosen])
    return made, card


def _columns(output: Any, chosen: np.ndarray) -> Any:
    return keras.ops.take(output, chosen.tolist(), axis=-1)


def _span(bins: Any, total: int) -> tuple[int, int]:
    """Consecutive bins as ``(first, after the last)``."""
    given = bins
    if isinstance(bins, slice):
        bins = range(*bins.indices(total))
    if isinstance(bins, range):
        bins = (bins.start, bins.stop) if bins.step == 1 else ()
    span = tuple(bins)
    if len(span) != 2 or not 0 <= int(span[0]) < int(span[1]) <= total:
        raise GeometryError(
            f"bins must be consecutive bins of 0 to {total - 1:,}, such as range(0, {min(total, 64)}); got {given!r}."
        )
    return int(span[0]), int(span[1])


def _with_bins(card: ModelCard, count: int) -> ModelCard:
    heads = {name: {**told, "output_bins": count} for name, told in card.heads.items() if told}
    return card.replace(output_bins=count, heads=heads)
