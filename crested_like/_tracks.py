"""Track tables: reading them, finding tracks in them, strand pairs. No keras here."""

from __future__ import annotations

import operator
import os
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crested_like._checks import did_you_mean
from crested_like._errors import TrackError
from crested_like._track_fields import FIELDS, described, fields_in, with_fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Columns of published tables that say nothing outside the publisher's own cluster.
_PRIVATE = ("file", "genome", "index")
#: What makes pandas read the very numbers that are written; from 3.1 on it always does.
_EXACT = {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}


def tracks_of(tracks: object) -> pd.DataFrame:
    """Track table from a table, the path of one, or a list of names."""
    if isinstance(tracks, pd.DataFrame):
        return normalise(tracks)
    if isinstance(tracks, str | os.PathLike):
        return read_tracks(tracks)
    if isinstance(tracks, Iterable):
        names = list(tracks)
        if not all(isinstance(name, str) for name in names):
            raise TrackError(f"Track names must be strings; got {next(n for n in names if not isinstance(n, str))!r}.")
        return from_columns({"identifier": names})
    raise TrackError(f"Tracks must be a table, the path of one, or a list of names; got {type(tracks).__name__}.")


def read_tracks(path: str | os.PathLike[str], *, keep: Collection[str] = ()) -> pd.DataFrame:
    """Track table from a ``targets.txt`` (tab-separated, first column the index) or a file with one name a line.

    Parameters
    ----------
    path
        The file.
    keep
        As for :func:`normalise`.

    Raises
    ------
    TrackError
        If the file cannot be read as either.
    """
    try:
        with open(path, encoding="utf-8") as file:
            header = file.readline().rstrip("\r\n").split("\t")
            if "identifier" in header:
                file.seek(0)
                own_index = header[0] in ("", "index")
                table = pd.read_csv(
                    file,
                    sep="\t",
                    index_col=0 if own_index else None,
                    dtype={"identifier": str, "description": str},
                    **_EXACT,
                )
                return normalise(table, keep=keep)
            file.seek(0)
            names = [line.rstrip("\r\n") for line in file]
    except (OSError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise TrackError(f"Cannot read a track table from {os.fspath(path)}: {error}") from error
    names = [name for name in names if name.strip()]
    if not names or any("\t" in name for name in names):
        raise TrackError(
            f"{os.fspath(path)} is no track table: it needs a tab-separated header with the column 'identifier', "
            f"or exactly one name a line."
        )
    return from_columns({"identifier": names})


def normalise(table: pd.DataFrame, *, keep: Collection[str] = ()) -> pd.DataFrame:
    """Table with output channels 0, 1, ... as index and strand pairs that refer to them.

    The index of a published table is the track's number in the whole experiment, and so is ``strand_pair``: a table
    of chosen rows, or of the second species, keeps those numbers. In the folder of a dataset ``strand_pair`` may count
    the rows instead. A partner outside the table becomes -1.

    Parameters
    ----------
    table
        As published, or made by a user.
    keep
        Columns to keep although they mean nothing outside the experiment: ``"index"``, which becomes a column of
        the numbers that are the table's index here, and ``"file"``.

    Raises
    ------
    TrackError
        If there is no column ``identifier``, or pairs are not mutual.
    """
    if "identifier" not in table.columns:
        raise TrackError(f"A track table needs the column 'identifier'; it has {', '.join(map(str, table.columns))}.")
    original = table.index
    if "index" in keep:
        table = table.assign(index=table["index"] if "index" in table.columns else original)
    dropped = [name for name in _PRIVATE if name in table.columns and name not in keep]
    clean = table.drop(columns=dropped).reset_index(drop=True)
    clean["identifier"] = clean["identifier"].astype(str)
    if "description" not in clean:
        clean["description"] = clean["identifier"]
    clean["description"] = clean["description"].fillna(clean["identifier"]).astype(str)
    if "strand_pair" in clean:
        clean["strand_pair"] = _renumbered(original, clean)
    clean.index.name = None
    return clean[["identifier", "description", *(c for c in clean if c not in ("identifier", "description"))]]


def _renumbered(original: pd.Index, table: pd.DataFrame) -> list[int]:
    """Strand pairs as positions in the table; -1 where the partner is not in it."""
    numbers = [-1 if pd.isna(number) else int(number) for number in table["strand_pair"]]
    position = {number: i for i, number in enumerate(original)}
    pairs = [position.get(number, -1) for number in numbers]
    one_sided = _one_sided(pairs)
    if (one_sided or -1 in pairs) and _are_positions(numbers, table["identifier"]):
        return numbers
    if one_sided:
        first = one_sided[0]
        raise TrackError(
            f"strand_pair of track {table['identifier'][first]!r} names {table['identifier'][pairs[first]]!r}, which "
            f"does not name it back ({len(one_sided)} such rows). strand_pair refers to the table's own index: keep "
            f"that column when you choose rows."
        )
    return pairs


def _are_positions(numbers: list[int], identifiers: Iterable[str]) -> bool:
    """Whether pairs make sense as rows of the table: mutual, and no track of one strand is its own partner.

    Numbers of a larger experiment can be mutual by chance: those of the minus strands alone, where these were its
    second half, are 0, 1, 2 and so on.
    """
    if not all(-1 <= number < len(numbers) for number in numbers) or _one_sided(numbers):
        return False
    stranded = [name.endswith(("+", "-")) for name in identifiers]
    return not any(i == number and stranded[i] for i, number in enumerate(numbers))


def _one_sided(pairs: list[int]) -> list[int]:
    """Rows whose partner has another partner."""
    return [i for i, j in enumerate(pairs) if j >= 0 and pairs[j] != i]


def from_columns(columns: Mapping[str, list[Any]]) -> pd.DataFrame:
    """Table from its columns as a card keeps them."""
    return normalise(pd.DataFrame(dict(columns)))


def to_columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    """Columns of a table as a card keeps them: lists of plain values; a description that repeats is left out."""
    same = "description" in table and (table["description"] == table["identifier"]).all()
    kept = table.drop(columns=["description"]) if same else table
    return {str(name): [_plain(value) for value in kept[name].tolist()] for name in kept.columns}


def _plain(value: Any) -> Any:
    if value is None or (isinstance(value, float) and value != value):
        return None
    return value if isinstance(value, str | int | float | bool) else str(value)


def strand_pairs(table: pd.DataFrame | None) -> NDArray[np.intp] | None:
    """For every output channel the channel of the opposite strand (its own where unstranded), or None if not known.

    Raises
    ------
    TrackError
        If a track's partner is not in the table.
    """
    if table is None or "strand_pair" not in table:
        return None
    pairs = table["strand_pair"].to_numpy(dtype=np.intp)
    alone = table["identifier"].to_numpy()[pairs < 0]
    if alone.size:
        raise TrackError(
            f"The opposite strand of {alone.size} tracks is not in the track table: "
            f"{', '.join(alone[:3])}{' ...' if alone.size > 3 else ''}."
        )
    return pairs


def find_tracks(table: pd.DataFrame, query: str) -> pd.DataFrame:
    """Rows whose identifier or description contains a text; failing that, all of its words. Case does not matter.

    Words such as ``assay=RNA`` or ``strand=+`` choose by a column, or by what :func:`described` makes of the table.

    Examples
    --------
    >>> table = from_columns({"identifier": ["a", "b"], "description": ["CAGE:adult liver", "RNA:brain"]})
    >>> find_tracks(table, "liver").index.tolist()
    [0]
    >>> find_tracks(table, "assay=rna|dnase brain").index.tolist()
    [1]
    """
    query, fields = fields_in(query, (*FIELDS, *map(str, table.columns)))
    if fields:
        table = table.loc[with_fields(described(table), fields).index]
        if not query:
            return table
    text = (table["identifier"] + "\t" + table["description"]).str.lower()
    found = text.str.contains(query.lower(), regex=False)
    if not found.any() and query.strip():
        found = np.logical_and.reduce([text.str.contains(word, regex=False) for word in query.lower().split()])
    return table[found]


def resolve_tracks(
    tracks: object, table: pd.DataFrame | None, num_tracks: int, *, owner: str = "model"
) -> NDArray[np.intp]:
    """Output channels that were asked for, in that order.

    Parameters
    ----------
    tracks
        None for all; a channel or several, a slice or a mask; an identifier or several; a text to search identifiers
        and descriptions for; or rows of ``get_tracks``.
    table
        The model's track table, or None where none is known; then only channels can be asked for.
    num_tracks
        Number of the model's output channels.
    owner
        What has the tracks, for errors.

    Raises
    ------
    TrackError
        If something asked for is not there, or nothing is.

    Examples
    --------
    >>> table = from_columns({"identifier": ["a", "b", "c"], "description": ["liver", "brain", "adult liver"]})
    >>> resolve_tracks("liver", table, 3).tolist()
    [0, 2]
    >>> resolve_tracks(["c", "a"], table, 3).tolist()
    [2, 0]
    """
    if table is not None and len(table) != num_tracks:
        raise TrackError(f"The track table has {len(table):,} rows; the {owner} has {num_tracks:,} output channels.")
    if tracks is None:
        return np.arange(num_tracks, dtype=np.intp)
    if isinstance(tracks, slice):
        chosen = np.arange(num_tracks, dtype=np.intp)[tracks]
    elif isinstance(tracks, pd.DataFrame):
        chosen = _rows(tracks, table, num_tracks, owner)
    elif isinstance(tracks, str):
        chosen = _named(tracks, _known(table))
    elif isinstance(tracks, Iterable):
        chosen = _several(list(tracks), table, num_tracks, owner)
    else:
        chosen = _channels([tracks], num_tracks, owner)
    if not chosen.size:
        raise TrackError(f"No tracks were chosen: {tracks!r} selects none of {num_tracks:,}.")
    return chosen


def _known(table: pd.DataFrame | None) -> pd.DataFrame:
    if table is None:
        raise TrackError(
            "Tracks were asked for by name, but none are known for this model. Give their numbers, or tell them with "
            "crested_like.attach(model, tracks), where tracks is a table, a targets.txt or a list of names."
        )
    return table


def _channels(wanted: list[Any], num_tracks: int, owner: str) -> NDArray[np.intp]:
    try:
        numbers = [operator.index(number) for number in wanted]
    except TypeError:
        odd = next(number for number in wanted if not hasattr(number, "__index__"))
        raise TrackError(
            f"Tracks are given as channel numbers, identifiers, a text query, a slice or rows of get_tracks(); "
            f"got {odd!r}."
        ) from None
    off = [number for number in numbers if not 0 <= number < num_tracks]
    if off:
        raise TrackError(
            f"No such track: {', '.join(map(str, off[:5]))}{' ...' if len(off) > 5 else ''}. "
            f"The {owner} has {num_tracks:,}, numbered 0 to {num_tracks - 1:,}."
        )
    return np.asarray(numbers, dtype=np.intp)


def _several(wanted: list[Any], table: pd.DataFrame | None, num_tracks: int, owner: str) -> NDArray[np.intp]:
    if wanted and all(isinstance(item, bool | np.bool_) for item in wanted):
        if len(wanted) != num_tracks:
            raise TrackError(f"A mask of tracks needs {num_tracks:,} values; got {len(wanted):,}.")
        return np.flatnonzero(wanted)
    if not any(isinstance(item, str) for item in wanted):
        return _channels(wanted, num_tracks, owner)
    channel = {name: i for i, name in reversed(list(enumerate(_known(table)["identifier"])))}
    unknown = [item for item in wanted if item not in channel]
    if unknown:
        hints = [f"{item!r}.{did_you_mean(str(item), channel)}" for item in unknown[:5]]
        raise TrackError(
            f"{len(unknown)} of {len(wanted)} tracks are not among the {owner}'s {num_tracks:,}: {' '.join(hints)}"
        )
    return np.asarray([channel[item] for item in wanted], dtype=np.intp)


def _named(name: str, table: pd.DataFrame) -> NDArray[np.intp]:
    """Channels of an identifier or, if there is none, of a text query."""
    exact = np.flatnonzero((table["identifier"] == name).to_numpy())
    if exact.size:
        return exact
    found = find_tracks(table, name).index.to_numpy(dtype=np.intp)
    if not found.size:
        words = {word.strip(",;()") for text in table["description"] for word in text.replace(":", " ").split()}
        hint = did_you_mean(name, table["identifier"]) or did_you_mean(name, {word for word in words if word})
        raise TrackError(f"No track has {name!r} in its identifier or description.{hint}")
    return found


def _rows(rows: pd.DataFrame, table: pd.DataFrame | None, num_tracks: int, owner: str) -> NDArray[np.intp]:
    """Channels of rows of the table; the identifiers must agree, lest rows of another model's table be taken."""
    chosen = _channels(rows.index.tolist(), num_tracks, owner)
    if table is not None and "identifier" in rows:
        told, known = rows["identifier"].to_numpy(), table["identifier"].to_numpy()[chosen]
        wrong = np.flatnonzero(told != known)
        if wrong.size:
            raise TrackError(
                f"Row {chosen[wrong[0]]} of the given tracks is {told[wrong[0]]!r}, but that channel of the {owner} is "
                f"{known[wrong[0]]!r}: take the rows from this {owner}'s own table and keep their index."
            )
    return chosen
