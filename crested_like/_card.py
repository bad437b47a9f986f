"""Model cards: what is known of a published model that is not in its graph. No keras here.

A card is one entry of the registry, one ``card.json`` inside a ``.keras`` file, or what a user attached to a model.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from crested_like._checks import did_you_mean
from crested_like._errors import TrackError
from crested_like._tracks import (
    find_tracks,
    from_columns,
    read_tracks,
    resolve_tracks,
    strand_pairs,
    to_columns,
    tracks_of,
)

if TYPE_CHECKING:
    import os

    import pandas as pd

__all__ = ["ModelCard", "attach", "card_of", "find_tracks", "resolve_tracks", "strand_pairs"]

Model = TypeVar("Model")  # a keras.Model; keras is not imported here


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Everything known of one model; only the name is certain to be there.

    Parameters
    ----------
    name, aliases
        What the model is called; case does not matter when it is looked up.
    architecture
        Family: ``"borzoi"``, ``"borzoi_prime"``, ``"enformer"``, ``"basenji2"``, ``"dilated_cnn"`` ...
    format
        Of the file at the source: ``"keras"``, ``"keras-tar"``, ``"baskerville-h5"`` ...
    sources, sha256
        Addresses or paths, tried in order, and the hash of the file there; ``"first-use"`` where nobody publishes one.
    beside
        For formats of several files: references to the others, ``{"sources": [...], "sha256": ...}`` each.
    params, head, settings
        For foreign formats: the architecture file (a reference like ``tracks``), the head the file holds, and the
        constants no file holds, as ``checkpoints.convert`` takes them.
    license, citation, data_source, page, notes
        Licence of the weights, DOI of the paper, DOI of the data, web page, remarks.
    species, genome, replicate, task
        What it was trained on and for.
    input_length, bin_size, output_bins, num_tracks
        In bp, bp, bins and channels. Models with one value per sequence have one bin and no bin size.
    tracks
        A reference ``{"sources": [...], "sha256": ...}`` to a targets table, or the table itself as
        ``{"columns": {"identifier": [...], ...}}``.
    heads
        For a model with a dict of outputs: what differs by head, for example its ``num_tracks`` and ``tracks``.
    transform
        Version of the target transform, ``"old"`` or ``"new"``, where targets were squashed.
    parameters, size
        Number of parameters, and the size of the file as its publisher states it.
    recipe, metrics
        For models trained by this project: how, on what, and how good.
    """

    name: str
    aliases: tuple[str, ...] = ()
    architecture: str | None = None
    format: str = "keras"
    sources: tuple[str, ...] = ()
    sha256: str | None = None
    beside: tuple[Mapping[str, Any], ...] = ()
    params: Mapping[str, Any] | None = None
    head: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    license: str | None = None
    citation: str | None = None
    data_source: str | None = None
    page: str | None = None
    notes: str | None = None
    species: str | None = None
    genome: str | None = None
    replicate: int | None = None
    task: str | None = None
    input_length: int | None = None
    bin_size: int | None = None
    output_bins: int | None = None
    num_tracks: int | None = None
    tracks: Mapping[str, Any] | None = None
    heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    transform: str | None = None
    parameters: int | None = None
    size: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, strict: bool = True) -> ModelCard:
        """Card from plain values, checked key by key.

        Parameters
        ----------
        data
            As :meth:`to_dict` gives it, or a TOML table.
        strict
            Refuse unknown keys; otherwise they are left out, so that files of newer versions stay readable.

        Raises
        ------
        ValueError
            If a key is unknown, missing, or its value of the wrong kind; the message starts with the key.
        """
        unknown = [key for key in data if key not in FIELDS]
        if unknown and strict:
            raise ValueError(f"{unknown[0]}: no such key.{did_you_mean(unknown[0], FIELDS)}")
        if "name" not in data:
            raise ValueError("name: this key is missing.")
        return cls(**{key: _checked(key, data[key]) for key in data if key in FIELDS})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, without what is not known."""
        plain = {key: getattr(self, key) for key in FIELDS}
        return {key: _plain(value) for key, value in plain.items() if value not in (None, (), {})}

    def replace(self, **changes: Any) -> ModelCard:
        """Copy of the card with some fields changed."""
        return dataclasses.replace(self, **changes)

    def for_head(self, head: str) -> ModelCard:
        """Card of one head of a model that has several.

        Raises
        ------
        TrackError
            If the card knows no such head.
        """
        if head not in self.heads:
            known = ", ".join(map(repr, self.heads)) or "none"
            raise TrackError(f"The card of {self.name!r} has no head {head!r}; it has {known}.")
        return self.replace(**{"heads": {}, "head": head, **self.heads[head]})

    def track_table(self, head: str | None = None) -> pd.DataFrame | None:
        """Table of the output channels, or None where nobody described them.

        Parameters
        ----------
        head
            Which head, for a card of several.

        Returns
        -------
        Index: output channel, from 0. Columns: ``identifier``, ``description`` and, where known, ``strand_pair``
        (channel of the opposite strand), ``sum_stat``, ``clip``, ``clip_soft``, ``scale``.

        Raises
        ------
        FetchError
            If the table has to be downloaded and cannot be.
        """
        if head is not None:
            return self.for_head(head).track_table()
        if self.heads and self.tracks is None:
            names = ", ".join(map(repr, self.heads))
            raise TrackError(f"The card of {self.name!r} has a table for each head: {names}. Say which with head=.")
        return None if self._table is None else self._table.copy()

    @cached_property
    def _table(self) -> pd.DataFrame | None:
        if self.tracks is None:
            return None
        if "columns" in self.tracks:
            return from_columns(self.tracks["columns"])
        from crested_like.registry._fetch import fetch_reference

        return read_tracks(fetch_reference(self.tracks, f"tracks of {self.name}", progressbar=False))

    def with_tracks(self, tracks: object, head: str | None = None) -> ModelCard:
        """Copy of the card that holds the table itself.

        Parameters
        ----------
        tracks
            A table, a list of names, or the path of a targets file.
        head
            Which head the table describes, for a model with several.
        """
        table = tracks_of(tracks)
        known = {"tracks": {"columns": to_columns(table)}, "num_tracks": len(table)}
        if head is None:
            return self.replace(**known)
        return self.replace(heads={**self.heads, head: {**self.heads.get(head, {}), **known}})

    def embed_tracks(self) -> ModelCard:
        """Copy of the card whose track tables are in it instead of referred to, so that it can travel."""
        card = self if self.tracks is None else self.with_tracks(self.track_table())
        for head, own in self.heads.items():
            if own.get("tracks") is not None:
                card = card.with_tracks(self.track_table(head), head)
        return card


FIELDS: dict[str, str] = {f.name: str(f.type) for f in dataclasses.fields(ModelCard)}


def _checked(key: str, value: Any) -> Any:
    """Value of one field as the card keeps it, or a ValueError that starts with the key."""
    kind = FIELDS[key]
    if value is None and "None" in kind:
        return None
    if key == "beside":
        if not isinstance(value, list | tuple) or not all(isinstance(item, Mapping) for item in value):
            raise ValueError(f"{key}: must be a list of tables; got {value!r}.")
        for item in value:
            _check_reference(key, item)
        return tuple(dict(item) for item in value)
    if kind.startswith("tuple"):
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise ValueError(f"{key}: must be a list of strings; got {value!r}.")
    if kind.startswith("Mapping"):
        if not isinstance(value, Mapping):
            raise ValueError(f"{key}: must be a table; got {value!r}.")
        if key in ("tracks", "params"):
            _check_reference(key, value)
        if key == "heads":
            _check_heads(value)
        return dict(value)
    wanted = int if kind.startswith("int") else str
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise ValueError(f"{key}: must be {'an integer' if wanted is int else 'a string'}; got {value!r}.")
    return value


def _check_reference(key: str, value: Mapping[str, Any]) -> None:
    if key == "tracks" and set(value) == {"columns"} and isinstance(value["columns"], Mapping):
        return
    if set(value) != {"sources", "sha256"} or not isinstance(value["sources"], list | tuple):
        raise ValueError(
            f"{key}: must hold the keys 'sources' (a list) and 'sha256'"
            f"{' or the key columns (a table)' if key == 'tracks' else ''}; got {', '.join(value) or 'nothing'}."
        )


def _check_heads(value: Mapping[str, Any]) -> None:
    for head, own in value.items():
        if not isinstance(own, Mapping):
            raise ValueError(f"heads: {head!r} must be a table; got {own!r}.")
        for key, item in own.items():
            if key not in FIELDS or key in ("name", "aliases", "heads"):
                raise ValueError(f"heads: {head!r} cannot have the key {key!r}.{did_you_mean(key, FIELDS)}")
            _checked(key, item)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


#: Cards by model; a model that is gone takes its card along.
_CARDS: weakref.WeakKeyDictionary[Any, ModelCard] = weakref.WeakKeyDictionary()


def card_of(model: object) -> ModelCard | None:
    """Card that was attached to a model by :func:`attach` or ``load_model``, or None."""
    try:
        return _CARDS.get(model)
    except TypeError:  # something that cannot be weakly referenced never got a card
        return None


def attach(
    model: Model,
    card_or_tracks: ModelCard | pd.DataFrame | str | os.PathLike[str] | Iterable[str] | Mapping[str, Any],
) -> Model:
    """Tell this package what a model's outputs are, and give the model back.

    Parameters
    ----------
    model
        A ``keras.Model``; it is not changed.
    card_or_tracks
        A card; or the tracks alone: a table with the column ``identifier``, the path of a ``targets.txt`` or of a
        file with one name a line, or a list of names. For a model with a dict of outputs, a dict of those by head.

    Raises
    ------
    TrackError
        If the number of tracks is not the number of the model's output channels.

    Examples
    --------
    >>> class Stub:
    ...     name, outputs, output_names = "stub", (), ()
    >>> model = attach(Stub(), ["liver", "brain"])
    >>> card_of(model).track_table().identifier.tolist()
    ['liver', 'brain']
    """
    channels = output_channels(model)
    name = str(getattr(model, "name", "model"))
    if isinstance(card_or_tracks, ModelCard):
        card = card_or_tracks
    elif isinstance(card_or_tracks, Mapping):
        known = card_of(model) or ModelCard(name=name)
        card = known.replace(tracks=None, num_tracks=None)
        for head, tracks in card_or_tracks.items():
            card = card.with_tracks(tracks, head)
    else:
        if len(channels) > 1:
            raise TrackError(
                f"Model {name!r} has the outputs {', '.join(map(repr, channels))}: give attach() a dict of tracks by "
                f"output, or pick one output with load_model(..., head=...)."
            )
        card = (card_of(model) or ModelCard(name=name)).replace(heads={}).with_tracks(card_or_tracks)
    check_tracks(name, card, channels)
    _CARDS[model] = card
    return model


def output_channels(model: object) -> dict[str, int | None]:
    """Number of channels of each output of a model, by output name; empty where the model does not say."""
    outputs = getattr(model, "output", None)
    if isinstance(outputs, Mapping):
        return {str(head): tensor.shape[-1] for head, tensor in outputs.items()}
    tensors = getattr(model, "outputs", None) or ()
    names = getattr(model, "output_names", None) or [str(i) for i in range(len(tensors))]
    return {str(name): tensor.shape[-1] for name, tensor in zip(names, tensors, strict=False)}


def check_tracks(name: str, card: ModelCard, channels: Mapping[str, int | None]) -> None:
    """Raise a TrackError where a card's number of tracks is not that of the model's outputs."""
    if card.heads and len(channels) > 1:
        unknown = [head for head in card.heads if head not in channels]
        if unknown:
            raise TrackError(
                f"Tracks were given for {', '.join(map(repr, unknown))}, but model {name!r} has the outputs "
                f"{', '.join(map(repr, channels))}."
            )
        pairs = [(told.get("num_tracks"), channels[head], f"output {head!r}") for head, told in card.heads.items()]
    elif len(channels) == 1:
        pairs = [(card.num_tracks, next(iter(channels.values())), "its output")]
    else:
        pairs = []
    for told, size, where in pairs:
        if told is not None and size is not None and told != size:
            raise TrackError(f"{told:,} tracks were given for model {name!r}, but {where} has {size:,} channels.")
