"""A new head on the trunk of a model that was trained for something else."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import keras

from crested_like._card import ModelCard, attach, card_of
from crested_like._checks import one_of, positive_int
from crested_like._errors import GeometryError, TrackError
from crested_like._tracks import tracks_of
from crested_like.tl._geometry import geometry
from crested_like.tl._tokens import tokenizer_of
from crested_like.tl.rewriting._rebuild import structure
from crested_like.tl.trunks._trunk import trunk_of
from crested_like.tl.zoo import segmentation_head
from crested_like.tl.zoo._blocks import crop_to

if TYPE_CHECKING:
    import pandas as pd

#: What a head predicts, and what it is called by default.
KINDS = {"tracks": "tracks", "scalar": "regions", "segmentation": "segment"}
ACTIVATIONS = ("softplus", "sigmoid", "softmax", "linear", "relu", "exponential")
_POOLS = {
    "mean": keras.layers.GlobalAveragePooling1D,
    "max": keras.layers.GlobalMaxPooling1D,
    "flatten": keras.layers.Flatten,
}
#: What a card says of the trunk too.
_OF_THE_TRUNK = ("architecture", "license", "citation")


def replace_head(
    model: keras.Model,
    tracks: int | Iterable[str] | str | os.PathLike[str] | pd.DataFrame,
    *,
    kind: str = "tracks",
    name: str | None = None,
    activation: str = "softplus",
    bins: int | None = None,
    pool: str = "mean",
    at: str | None = None,
) -> keras.Model:
    """A model with the trunk of another and a new, untrained head in place of all of its own.

    Parameters
    ----------
    model
        Any functional model: of the zoo, a published one, one of CREsted, your own. The trunk's layers are shared with
        it: training one trains the other. :func:`crested_like.tl.finetune` takes a copy.
    tracks
        What the new outputs are: a track table, the path of one, a list of names, or just their number.
    kind
        ``"tracks"``: a value for every bin and track, ``(B, bins, tracks)``. ``"scalar"``: a value for every sequence
        and track, as in the regression of peaks or the classification of topics, ``(B, tracks)``. ``"segmentation"``:
        the probability of every feature at every base, ``(B, bases, features)``, by
        :func:`crested_like.tl.zoo.segmentation_head`.
    name
        The output layer is ``head_{name}``, that of a segmentation head ``{name}``. Default ``"tracks"``, ``"regions"``
        or ``"segment"``.
    activation
        Of tracks and scalars: ``"softplus"`` for what is counted, ``"sigmoid"`` for several labels, ``"softmax"`` for
        shares, ``"linear"`` for logarithms, ``"relu"`` or ``"exponential"``.
    bins
        Bins of the trunk to keep from the centre; default all.
    pool
        How a scalar head joins them: ``"mean"``, ``"max"``, or ``"flatten"``, which tells them apart.
    at
        Layer at which the trunk ends, where it cannot be told from the graph.

    Returns
    -------
    keras.Model
        Its card names the new tracks; licence and citation are those of the trunk.

    Raises
    ------
    LayerError
        If the trunk cannot be told from the graph, or there is no layer ``at``.
    TrackError
        If there are no tracks, or a segmentation head gets a number in place of names.
    GeometryError
        If the trunk has not so many bins, or none at all.

    Examples
    --------
    >>> from crested_like.tl import replace_head, zoo
    >>> model = zoo.borzoi(input_length=2048, output_bins=32, stem_filters=8, tower_filters=(8, 8, 8, 8, 16, 16),
    ...                    attention_heads=2, transformer_blocks=1, heads={"human": 3})
    >>> replace_head(model, ["liver", "brain"]).output_shape
    (None, 32, 2)
    >>> replace_head(model, 10, kind="scalar", activation="softmax", bins=4, pool="flatten").output_shape
    (None, 10)
    >>> replace_head(model, ["exon"], kind="segmentation").output_shape
    (None, 1024, 1)
    """
    one_of("kind", kind, KINDS)
    one_of("activation", activation, ACTIVATIONS)
    one_of("pool", pool, _POOLS)
    name = name or KINDS[kind]
    table = None if isinstance(tracks, int) else tracks_of(tracks)
    count = positive_int("tracks", tracks) if table is None else len(table)
    if kind == "segmentation" and table is None:
        raise TrackError("A segmentation head needs the names of its features, which its last layer keeps.")
    if not count:
        raise TrackError("A head needs at least one track; got none.")
    trunk = trunk_of(model, at)
    x = trunk if len(trunk.shape) == 2 and kind == "scalar" else _centre(model, trunk, bins, name)
    if kind == "segmentation":
        output = _segmentation(model, trunk, x, table["identifier"].tolist(), name)
    else:
        if kind == "scalar" and len(x.shape) == 3:
            x = _POOLS[pool](name=f"head_{name}_pool")(x)
        output = keras.layers.Dense(
            count,
            activation=activation,
            kernel_initializer="lecun_normal",
            dtype="float32",  # 16 bits round counts
            name=f"head_{name}",
        )(x)
    made = keras.Model(structure(model)[0], output, name=model.name)
    return attach(made, _card(model, made, name, table))


def _centre(model: keras.Model, trunk: Any, bins: int | None, name: str) -> Any:
    """The positions of the trunk that stand for bases, or those of them in the centre."""
    if len(trunk.shape) != 3:
        raise GeometryError(
            f"The trunk of model {model.name!r} ends in one vector a sequence, of shape {tuple(trunk.shape)}: it has "
            f"no bins. Give it a head of kind='scalar', or say with at= where it still has bins."
        )
    words = tokenizer_of(model)
    if words is not None and words.adds_special:
        trunk = keras.layers.Cropping1D((words.adds_special, 0), name=f"head_{name}_bases")(trunk)
    try:
        return crop_to(trunk, bins, f"head_{name}_crop")
    except ValueError as error:
        raise GeometryError(f"bins={bins} does not fit the trunk of model {model.name!r}: {error}") from error


def _segmentation(model: keras.Model, trunk: Any, x: Any, features: list[str], name: str) -> Any:
    bin_size = geometry(keras.Model(structure(model)[0], trunk)).bin_size
    try:
        return segmentation_head(x, bases=bin_size, features=features, name=name)
    except ValueError as error:
        raise GeometryError(f"No segmentation head fits the trunk of model {model.name!r}: {error}") from error


def _card(model: keras.Model, made: keras.Model, name: str, table: pd.DataFrame | None) -> ModelCard:
    """What is known of the new model: the trunk's origin, the new tracks, and its dimensions."""
    old = card_of(model) or ModelCard(name=model.name)
    kept = {key: getattr(old, key) for key in _OF_THE_TRUNK}
    channels = made.outputs[0].shape[-1]
    card = ModelCard(name=f"{old.name}_{name}", recipe={"trunk": old.name}, num_tracks=channels, **kept)
    try:
        found = geometry(made)
    except GeometryError:  # any length
        found = None
    if found is not None:
        card = card.replace(input_length=found.input_length, bin_size=found.bin_size, output_bins=found.output_bins)
    return card if table is None else card.with_tracks(table)
