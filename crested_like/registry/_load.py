"""From a model's name to its file, its card, its tracks, and the model itself."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crested_like._card import FIELDS, ModelCard, attach, card_of, find_tracks, output_channels
from crested_like._checks import did_you_mean
from crested_like._errors import CrestedLikeError, FetchError, ModelFileError, TrackError
from crested_like._track_fields import described, with_fields
from crested_like.registry._entry import all_entries, find, read_registry
from crested_like.registry._fetch import fetch_reference
from crested_like.registry._models import model_file

if TYPE_CHECKING:
    import keras
    import pandas as pd

#: Columns of ``list_models()``.
_NUMBERS = ("replicate", "input_length", "bin_size", "output_bins", "num_tracks", "parameters")
_COLUMNS = (
    *("name", "aliases", "architecture", "species", "genome", "task"),
    *_NUMBERS,
    *("size", "license", "citation", "format", "page"),
)


def get_model(name: str, *, progressbar: bool = True) -> tuple[str, list[str]]:
    """Fetch a model, if it is not in the cache yet, and say where it lies.

    Parameters
    ----------
    name
        Name or alias, in any case; :func:`list_models` shows them.
    progressbar
        Whether to show one while downloading.

    Returns
    -------
    Path of a ``.keras`` file, for ``keras.models.load_model``, and the names of its outputs (empty if nobody names
    them).

    Raises
    ------
    UnknownModelError
        If there is no such model.
    FetchError
        If it cannot be downloaded, verified, unpacked or stored.

    Examples
    --------
    >>> path, names = get_model("borzoiprime_human_rep0")  # doctest: +SKIP
    """
    card = find(name).card
    found = model_file(card, progressbar=progressbar)
    return str(found.path), found.names() or _identifiers(card, found.path)


def _identifiers(card: ModelCard, path: Path) -> list[str]:
    """Names of the outputs from the card inside the file or, failing that, from the registry's."""
    from crested_like.checkpoints._keras import read_card

    inside = read_card(path)
    for known in (inside, card):
        if known is not None and not known.heads:
            table = known.track_table()
            if table is not None:
                return table["identifier"].tolist()
    return []


def list_models(query: str | None = None, **fields: Any) -> pd.DataFrame:
    """Table of the models there are.

    Parameters
    ----------
    query
        Words that all have to occur somewhere in a model's entry; case does not matter.
    **fields
        Values that fields of the card must have, for example ``species="human"`` or ``architecture="borzoi"``;
        several allowed ones as a list.

    Returns
    -------
    One row a model, sorted by name.

    Raises
    ------
    ValueError
        If there is no such field.

    Examples
    --------
    >>> list_models("baskerville", species="mouse", replicate=0)["name"].tolist()
    ['baskerville_borzoi_mouse_rep0', 'baskerville_borzoi_prime_mouse_rep0']
    """
    import pandas as pd

    for key in fields:
        if key not in FIELDS:
            raise ValueError(f"Models have no field {key!r}.{did_you_mean(key, FIELDS)} Fields: {', '.join(FIELDS)}.")
    words = (query or "").lower().split()
    cards = [entry.card for entry in all_entries()]
    chosen = [
        card
        for card in cards
        if all(word in _text(card) for word in words)
        and all(_agrees(getattr(card, key), wanted) for key, wanted in fields.items())
    ]
    table = pd.DataFrame([[getattr(card, key) for key in _COLUMNS] for card in chosen], columns=_COLUMNS)
    table["aliases"] = [", ".join(aliases) for aliases in table["aliases"]]
    return table.astype(dict.fromkeys(_NUMBERS, "Int64"))


def _text(card: ModelCard) -> str:
    said = (card.name, *card.aliases, card.architecture, card.species, card.genome, card.task, card.notes, card.format)
    return " ".join(part for part in said if part).lower()


def _agrees(value: object, wanted: object) -> bool:
    if isinstance(wanted, Collection) and not isinstance(wanted, str):
        return any(_agrees(value, item) for item in wanted)
    if isinstance(value, tuple):
        return any(_agrees(item, wanted) for item in value)
    if isinstance(value, str) and isinstance(wanted, str):
        return value.lower() == wanted.lower()
    return value == wanted


def _path_of(name_or_path: str | os.PathLike[str]) -> Path | None:
    """Path that was meant, or None for a model's name. A name of the registry is never taken for a file."""
    if not isinstance(name_or_path, str):
        return Path(name_or_path)
    if name_or_path.lower() in read_registry():
        return None
    looks_like_a_path = os.sep in name_or_path or name_or_path.endswith(".keras")
    return Path(name_or_path) if looks_like_a_path or Path(name_or_path).is_file() else None


def model_card(name_or_path: str | os.PathLike[str]) -> ModelCard:
    """Everything known of a model: its registry entry, or the card inside a ``.keras`` file.

    Raises
    ------
    UnknownModelError
        If there is no such model.
    ModelFileError
        If the file has no card.

    Examples
    --------
    >>> model_card("borzoiprime_human").num_tracks
    5431
    """
    path = _path_of(name_or_path)
    if path is None:
        return find(str(name_or_path)).card
    from crested_like.checkpoints._keras import read_card

    card = read_card(path)
    if card is None:
        raise ModelFileError(
            f"{path} holds no card. Load it and tell what it is with crested_like.attach(model, card_or_tracks)."
        )
    return card


def get_tracks(
    name: str | os.PathLike[str], query: str | None = None, *, head: str | None = None, **fields: Any
) -> pd.DataFrame:
    """Table of a model's output channels.

    Parameters
    ----------
    name
        Name of a model, or path of a ``.keras`` file with a card.
    query
        Keep the tracks with this text in their identifier or description; failing that, with all of its words. Words
        such as ``assay=RNA`` choose by field, ``assay=RNA|CAGE`` by one of several values. A query means the same
        wherever ``tracks=`` is taken.
    head
        Which head, for a model with several.
    **fields
        Values that columns must have, for example ``assay="RNA"`` or ``strand="+"``; several allowed ones as a list.
        Case does not matter.

    Returns
    -------
    Index: output channel. Columns, text that is empty where nothing is known: ``identifier``, ``description``,
    ``assay`` (``CAGE``, ``RNA``, ``DNASE``, ... before the description's first colon), ``target`` (of ChIP-seq),
    ``sample`` (the rest), ``strand`` (``+``, ``-`` or ``.``), ``pair`` (identifier of the opposite strand's track) and
    ``transform`` (how coverage was squashed); then, where known, those that these are made of: ``strand_pair`` (channel
    of the opposite strand), ``sum_stat``, ``clip``, ``clip_soft``, ``scale``. A slice of the table can be given
    wherever ``tracks=`` is taken.

    Raises
    ------
    TrackError
        If nobody describes this model's tracks, or there is no such field or value.

    Examples
    --------
    >>> get_tracks("borzoi_mini_human", "muscle", assay="DNASE")[["identifier", "sample"]].values.tolist()
    [['ENCFF810XTS', 'SK-MEL-5']]
    """
    card = model_card(name)
    table = card.track_table(head)
    if table is None and _path_of(name) is None:
        names = model_file(card).names()  # they come with the model's archive
        table = card.with_tracks(names).track_table() if names else None
    if table is None:
        raise TrackError(f"Nobody describes the tracks of {card.name!r}: neither its card nor its files name them.")
    table = described(table)
    chosen = table if query is None else find_tracks(table, query)
    return chosen if not fields else chosen.loc[chosen.index.isin(with_fields(table, fields).index)]


def load_model(name_or_path: str | os.PathLike[str], *, head: str | None = None) -> keras.Model:
    """Load a model, and remember its card.

    Parameters
    ----------
    name_or_path
        Name or alias of a model in the registry, or path of a ``.keras`` file.
    head
        Which output to keep of a model that has several; all if not given.

    Returns
    -------
    A plain ``keras.Model``.

    Raises
    ------
    ModelFileError
        If the file is no Keras model, or not the one its name promises.

    Examples
    --------
    >>> model = load_model("borzoi_human_rep0")  # doctest: +SKIP
    """
    from crested_like.checkpoints._keras import load_keras, read_card

    path = _path_of(name_or_path)
    if path is not None:
        model, card = load_keras(path), read_card(path)
    else:
        entry = find(str(name_or_path)).card
        found = model_file(entry)
        model, card = load_keras(found.path), _fullest(entry, read_card(found.path), found.names())
        _check_identity(model, card, found.path)
    if card is not None:
        try:
            attach(model, card)
        except TrackError as error:
            raise ModelFileError(f"{path} and the card inside it do not belong together: {error}") from error
    return model if head is None else _pick(model, head)


def _fullest(entry: ModelCard, inside: ModelCard | None, names: list[str]) -> ModelCard:
    """Card of the registry, with the tracks that came with the file where it has none or only an address."""
    if inside is not None and inside.tracks is not None:
        return entry.replace(tracks=inside.tracks)
    if entry.tracks is None and not entry.heads and names and entry.num_tracks in (None, len(names)):
        return entry.with_tracks(names)
    return entry


def _check_identity(model: keras.Model, card: ModelCard, path: Path) -> None:
    """Refuse a file that is not the model its name promises."""
    wrong = []
    inputs = model.inputs
    length = inputs[0].shape[1] if len(inputs) == 1 and len(inputs[0].shape) == 3 else None
    if card.input_length is not None and length not in (None, card.input_length):
        wrong.append(f"it takes {length:,} bp, the card says {card.input_length:,}")
    promised = {head: told.get("num_tracks") for head, told in card.heads.items()} or {"": card.num_tracks}
    found = list(output_channels(model).values())
    wanted = list(promised.values())
    if None not in (*wanted, *found) and sorted(size or 0 for size in wanted) != sorted(size or 0 for size in found):
        wrong.append(f"it gives {_listed(found)} tracks, the card says {_listed(wanted)}")
    if wrong:
        raise ModelFileError(
            f"{path} is not the model {card.name!r}: {'; '.join(wrong)}. It was refused. Delete it to have it fetched "
            f"again, or correct the registry entry."
        )


def _listed(sizes: Iterable[int | None]) -> str:
    return " and ".join("unknown" if size is None else f"{size:,}" for size in sizes)


def _pick(model: keras.Model, head: str) -> keras.Model:
    """Model with one output of several, and that head's card."""
    channels = output_channels(model)
    card = card_of(model)
    if len(channels) == 1 and (head in channels or (card is not None and card.head == head)):
        return model
    if head not in channels:
        raise ModelFileError(
            f"Model {model.name!r} has no head {head!r}; its outputs are {', '.join(map(repr, channels))}."
        )
    import keras

    outputs = model.output
    tensor = outputs[head] if isinstance(outputs, dict) else model.outputs[list(channels).index(head)]
    picked = keras.Model(model.inputs, tensor, name=f"{model.name}_{head}")
    if card is not None:
        attach(picked, card.for_head(head) if head in card.heads else card.replace(head=head))
    return picked


def fetch_all(names: Iterable[str], *, progressbar: bool = True) -> dict[str, Path]:
    """Fetch models and their track tables ahead of use, for a machine that will have no network.

    Parameters
    ----------
    names
        Names or aliases. All are looked up before anything is fetched.
    progressbar
        Whether to show one for each file.

    Returns
    -------
    Path of the ``.keras`` file by the model's name.

    Raises
    ------
    UnknownModelError
        If one of them does not exist.
    FetchError
        After everything else was fetched, if some could not be; lists them all.
    """
    cards = [find(name).card for name in names]
    paths: dict[str, Path] = {}
    failures = []
    for card in cards:
        try:
            paths[card.name] = model_file(card, progressbar=progressbar).path
            for described in (card, *(card.for_head(head) for head in card.heads)):
                if described.tracks is not None and "columns" not in described.tracks:
                    fetch_reference(described.tracks, f"tracks of {card.name}", progressbar=False)
        except CrestedLikeError as error:
            failures.append(f"{card.name}: {error}")
    if failures:
        listed = "\n".join(failures)
        raise FetchError(f"{len(failures)} of {len(cards)} models could not be fetched:\n{listed}")
    return paths
