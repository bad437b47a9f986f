"""Registry files: one TOML table a model, parsed strictly.

A file may hold ``base`` (put before relative sources; otherwise the file's own folder), ``[defaults]`` for all its
models, ``[templates.NAME]`` and ``[models.NAME]``; a model or template says ``like = "TEMPLATE"`` to start from one.
Sources may contain ``{name}`` (lower case) and ``{replicate}``.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from crested_like._card import FIELDS, ModelCard
from crested_like._checks import did_you_mean
from crested_like._errors import RegistryError, UnknownModelError

#: Formats that are a Keras model already, and those that ``checkpoints.convert`` makes into one.
KERAS_FORMATS = ("keras", "keras-tar", "keras-zip")
FOREIGN_FORMATS = ("baskerville-h5", "sonnet", "safetensors", "torch", "haiku-joblib")

FIRST_USE = "first-use"
PACKAGE = "package:"

_REQUIRED = ("sources", "sha256", "format", "license")
_OWN_KEYS = frozenset(FIELDS) - {"name"} | {"like"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HASH = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """One model of a registry file: its card, and the file that says so."""

    card: ModelCard
    file: Path

    @property
    def names(self) -> tuple[str, ...]:
        """Every name it is found under, in lower case."""
        return tuple(dict.fromkeys(name.lower() for name in (self.card.name, *self.card.aliases)))


def find(name: str) -> Entry:
    """Entry of a name or alias, whatever its case.

    Raises
    ------
    UnknownModelError
        If there is none; near names are suggested.
    """
    entries = read_registry()
    try:
        return entries[name.lower()]
    except KeyError:
        spellings = {spelling for entry in entries.values() for spelling in (entry.card.name, *entry.card.aliases)}
        raise UnknownModelError(
            f"There is no model {name!r} in the registry.{did_you_mean(name, spellings)} "
            f"list_models() shows all {len({entry.card.name for entry in entries.values()})}."
        ) from None


def read_registry() -> dict[str, Entry]:
    """Entries by name and alias, in lower case: the built-in ones, and over them those of ``CRESTED_LIKE_REGISTRY``.

    Aliases of a built-in model that was replaced lead to what replaced it.
    """
    users = _by_name(_parse_all(_user_files()))
    replaced = {entry.card.name.lower(): entry for entry in users.values()}
    built_in = {name: replaced.get(entry.card.name.lower(), entry) for name, entry in _built_in().items()}
    return {**built_in, **users}


def all_entries() -> list[Entry]:
    """Every entry once, sorted by name. A built-in one whose name a user's registry takes is gone."""
    entries = read_registry()
    own = {entry.card.name: entry for key, entry in entries.items() if key == entry.card.name.lower()}
    return [own[name] for name in sorted(own, key=str.lower)]


@lru_cache(maxsize=1)
def _built_in() -> dict[str, Entry]:
    return _by_name(_parse_all(sorted(Path(__file__).parent.glob("*.toml"))))


def _user_files() -> list[Path]:
    files: list[Path] = []
    for part in os.environ.get("CRESTED_LIKE_REGISTRY", "").split(os.pathsep):
        if not part.strip():
            continue
        path = Path(part).expanduser()
        if path.is_dir():
            files += sorted(path.glob("*.toml"))
        elif path.is_file():
            files.append(path)
        else:
            raise RegistryError(f"CRESTED_LIKE_REGISTRY names {part!r}, where there is neither a file nor a folder.")
    return list(dict.fromkeys(files))


def _parse_all(files: Iterable[Path]) -> list[Entry]:
    return [entry for file in files for entry in parse_file(file)]


def _by_name(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Entries by name and alias; two that claim one name are an error."""
    table: dict[str, Entry] = {}
    for entry in entries:
        for name in entry.names:
            if name in table:
                other = table[name]
                raise RegistryError(
                    f"{entry.file}: [models.{entry.card.name}]: the name or alias {name!r} is already that of "
                    f"[models.{other.card.name}] in {other.file}."
                )
            table[name] = entry
    return table


def parse_file(file: Path) -> list[Entry]:
    """Entries of one registry file.

    Raises
    ------
    RegistryError
        If it is no TOML, or an entry has unknown or missing keys or wrong values; names file, entry and key.
    """
    try:
        with file.open("rb") as stream:
            data = tomllib.load(stream)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise RegistryError(f"{file}: cannot be read as TOML: {error}") from error
    for key in data:
        if key not in ("base", "defaults", "templates", "models"):
            raise RegistryError(f"{file}: {key}: no such key; a registry file holds base, defaults, templates, models.")
    for key in ("defaults", "templates", "models"):
        _check_table(data.get(key, {}), f"{file}: {key}")
    base = data.get("base", f"{file.parent.resolve()}{os.sep}")
    models = data.get("models", {})
    return [Entry(_card(name, models[name], data, base, f"{file}: [models.{name}]"), file) for name in models]


def _check_table(value: Any, where: str) -> None:
    if not isinstance(value, Mapping):
        raise RegistryError(f"{where}: must be a table; got {value!r}.")


def _card(name: str, own: Any, data: Mapping[str, Any], base: str, where: str) -> ModelCard:
    if not _NAME.fullmatch(name):
        raise RegistryError(f"{where}: a model's name is made of letters, digits, '.', '_' and '-'.")
    merged = {**data.get("defaults", {}), **_with_template(own, data.get("templates", {}), where)}
    for key in merged:
        if key not in _OWN_KEYS:
            raise RegistryError(f"{where} {key}: no such key.{did_you_mean(key, _OWN_KEYS)}")
    for key in _REQUIRED:
        if key not in merged:
            raise RegistryError(f"{where} {key}: this key is missing.")
    try:
        card = ModelCard.from_dict({**merged, "name": name})
    except ValueError as error:
        raise RegistryError(f"{where} {error}") from error
    known = (*KERAS_FORMATS, *FOREIGN_FORMATS)
    if card.format not in known:
        raise RegistryError(f"{where} format: must be one of {', '.join(known)}; got {card.format!r}.")
    located = _Locator(base, card, where)
    references: dict[str, Any] = {key: located.reference(key, getattr(card, key)) for key in ("tracks", "params")}
    references["beside"] = tuple(located.reference("beside", item) for item in card.beside)
    heads = {
        head: {**told, **({"tracks": located.reference("tracks", told["tracks"])} if told.get("tracks") else {})}
        for head, told in card.heads.items()
    }
    sources, _ = located.checked("", card.sources, card.sha256)
    return card.replace(sources=tuple(sources), heads=heads, **references)


def _with_template(own: Any, templates: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Keys of a table over those of the template it is like, and of the one that is like."""
    merged: dict[str, Any] = {}
    table, seen = own, []
    while True:
        _check_table(table, where)
        merged = {**{key: value for key, value in table.items() if key != "like"}, **merged}
        like = table.get("like")
        if like is None:
            return merged
        if like not in templates or like in seen:
            raise RegistryError(f"{where} like: there is no template {like!r}.{did_you_mean(str(like), templates)}")
        seen.append(like)
        table = templates[like]


@dataclass(frozen=True)
class _Locator:
    """Makes sources absolute and checks them and their hash."""

    base: str
    card: ModelCard
    where: str

    def checked(self, key: str, sources: Any, sha256: Any) -> tuple[list[str], str]:
        prefix = f"{key}." if key else ""
        if not sources or not all(isinstance(source, str) and source for source in sources):
            raise RegistryError(f"{self.where} {prefix}sources: must be a list of addresses or paths; got {sources!r}.")
        if not isinstance(sha256, str) or not (sha256 == FIRST_USE or _HASH.fullmatch(sha256)):
            raise RegistryError(
                f"{self.where} {prefix}sha256: must be 64 hexadecimal digits in lower case, or {FIRST_USE!r}; "
                f"got {sha256!r}."
            )
        return [self._absolute(source, f"{prefix}sources") for source in sources], sha256

    def reference(self, key: str, value: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if value is None or "columns" in value:
            return None if value is None else dict(value)
        sources, sha256 = self.checked(key, value["sources"], value["sha256"])
        return {"sources": sources, "sha256": sha256}

    def _absolute(self, source: str, key: str) -> str:
        try:
            filled = source.format(name=self.card.name.lower(), replicate=self.card.replicate)
        except (KeyError, IndexError, ValueError) as error:
            raise RegistryError(
                f"{self.where} {key}: {source!r} may hold {{name}} and {{replicate}} only ({error!r})."
            ) from error
        alone = _ADDRESS.match(filled) or Path(filled).is_absolute() or filled.startswith("~")
        return filled if alone else f"{self.base}{filled}"
