"""Tables of plain values: read from TOML, changed, and written as TOML."""

from __future__ import annotations

import copy
import json
import os
import tomllib
from collections.abc import Mapping
from typing import Any

from crested_like._errors import RecipeError

Table = Mapping[str, Any]


def read_tables(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises
    ------
    RecipeError
        If it cannot be read, or is no TOML.
    """
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise RecipeError(f"Cannot read the recipe {os.fspath(path)}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{os.fspath(path)} is no TOML: {error}") from error


def with_changes(tables: Table, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Tables with some values replaced.

    Parameters
    ----------
    changes
        Values by dotted key, such as ``{"training.rounds": 3}``.

    Raises
    ------
    RecipeError
        If a key leads through something that is no table.

    Examples
    --------
    >>> with_changes({"training": {"rounds": 9}}, {"training.rounds": 3, "data.mouse.path": "mm10"})
    {'training': {'rounds': 3}, 'data': {'mouse': {'path': 'mm10'}}}
    """
    changed = copy.deepcopy(dict(tables))
    for key, value in changes.items():
        *folders, last = key.split(".")
        place = changed
        for name in folders:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise RecipeError(f"{key} cannot be set: {name} is a value and no table.")
        place[last] = value
    return changed


def flat(tables: Table, prefix: str = "") -> dict[str, Any]:
    """Values by dotted key.

    Examples
    --------
    >>> flat({"training": {"rounds": 3}})
    {'training.rounds': 3}
    """
    found = {}
    for key, value in tables.items():
        if isinstance(value, Mapping) and value:
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = value
    return found


def to_toml(tables: Table) -> str:
    """Plain values as TOML.

    Examples
    --------
    >>> print(to_toml({"data": {"human": {"path": "hg38"}}}), end="")
    [data.human]
    path = "hg38"
    """
    lines: list[str] = []

    def write(name: str, table: Table) -> None:
        values = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
        if name and (values or not table):
            lines.extend([""] * bool(lines) + [f"[{name}]"])
        lines.extend(f"{_key(key)} = {_value(value)}" for key, value in values.items())
        for key, value in table.items():
            if isinstance(value, Mapping):
                write(f"{name}.{_key(key)}" if name else _key(key), value)

    write("", tables)
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    bare = key.replace("_", "").replace("-", "")
    return key if bare.isascii() and bare.isalnum() else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
