"""A registry entry's model as a plain ``.keras`` file in the cache: fetched, unpacked or converted once."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crested_like._card import ModelCard
from crested_like._errors import FetchError
from crested_like.registry._cache import (
    caches,
    key_of,
    locked,
    own_cache,
    read_record,
    size_of,
    storing,
    write_record,
)
from crested_like.registry._entry import FOREIGN_FORMATS, PACKAGE
from crested_like.registry._fetch import fetch_file, fetch_reference, file_name, packaged
from crested_like.registry._unpack import NAMES_SUFFIX, unpack

log = logging.getLogger(__name__)

_CONTENTS = "contents.json"  # written last, so a folder without it is unfinished
_CONVERSION = 1  # raised when converted files have to be made anew


@dataclass(frozen=True)
class ModelFile:
    """Where a model lies: the ``.keras`` file and, where its publisher gives them, the names of its outputs."""

    path: Path
    names_file: Path | None = None

    def names(self) -> list[str]:
        """Names of the outputs, one a line in the file; empty where there is none."""
        if self.names_file is None:
            return []
        lines = self.names_file.read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip()]


def model_file(card: ModelCard, *, progressbar: bool = True) -> ModelFile:
    """Model of a registry entry, from a cache or fetched now.

    Raises
    ------
    FetchError
        If it cannot be fetched, verified, unpacked or stored.
    CheckpointError
        If a foreign file cannot be converted.
    """
    if (found := cached_file(card)) is not None:
        return found
    with storing(card.name):
        folder = own_cache() / _place(card)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.name):
            return _complete(folder) or _make(card, folder, progressbar)


def cached_file(card: ModelCard) -> ModelFile | None:
    """Model of a registry entry where it lies already, in this package or a cache; None if it has to be fetched."""
    if card.sources[0].startswith(PACKAGE) and card.format == "keras":
        return ModelFile(packaged(card.sources[0], str(card.sha256)))
    found = (_complete(root / _place(card)) for root in caches())
    return next((file for file in found if file is not None), None)


def _place(card: ModelCard) -> Path:
    """Folder of a model below a cache."""
    made = f"-c{_CONVERSION}" if card.format in FOREIGN_FORMATS else ""
    return Path("models") / f"{card.name.lower()}-{key_of(card.sources, str(card.sha256))}{made}"


def _complete(folder: Path) -> ModelFile | None:
    """What a finished folder holds, or None where it is missing, unfinished or damaged."""
    record = read_record(folder / _CONTENTS) or {}
    sizes: dict[str, int] = record.get("files", {})
    if not sizes or any(size_of(folder / name) != size for name, size in sizes.items()):
        return None
    names = next((folder / name for name in sizes if name.endswith(NAMES_SUFFIX)), None)
    return ModelFile(next(folder / name for name in sizes if name.endswith(".keras")), names)


def _make(card: ModelCard, folder: Path, progressbar: bool) -> ModelFile:
    """Fill a folder beside the final one and move it into place."""
    makers: dict[str, Callable[[ModelCard, Path, bool], None]] = {
        "keras": _copy,
        "keras-tar": _unpack,
        "keras-zip": _unpack,
    }
    if card.license and "-NC" in card.license:
        log.warning("The weights of %s are for non-commercial use only (%s): %s", card.name, card.license, card.page)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as unfinished:
        work = Path(unfinished) / folder.name
        work.mkdir()
        makers.get(card.format, _convert)(card, work, progressbar)
        write_record(work / _CONTENTS, {"name": card.name, "files": {p.name: size_of(p) for p in work.iterdir()}})
        shutil.rmtree(folder, ignore_errors=True)  # what is there is damaged
        os.replace(work, folder)
    found = _complete(folder)
    if found is None:
        raise FetchError(f"{card.name} was stored in {folder}, but is not complete there. Try again.")
    return found


def _source(card: ModelCard, progressbar: bool) -> Path:
    return fetch_file(card.sources, str(card.sha256), card.name, progressbar=progressbar)


def _copy(card: ModelCard, work: Path, progressbar: bool) -> None:
    _link_or_copy(_source(card, progressbar), work / f"{card.name.lower()}.keras")


def _unpack(card: ModelCard, work: Path, progressbar: bool) -> None:
    archive = _source(card, progressbar)
    unpack(archive, work, card.name)
    if archive.is_relative_to(own_cache()):
        archive.unlink(missing_ok=True)  # its record stays, so the hash is still enforced


def _convert(card: ModelCard, work: Path, progressbar: bool) -> None:
    from crested_like.checkpoints import convert
    from crested_like.checkpoints._keras import save_keras

    log.info("Converting %s from %s", card.name, card.format)
    source = work.parent / file_name(card.sources[0])  # a folder of its own: convert() looks for params beside it
    _link_or_copy(_source(card, progressbar), source)
    for reference in card.beside:
        name = file_name(reference["sources"][0])
        other = fetch_reference(reference, f"{name} of {card.name}", progressbar=progressbar)
        _link_or_copy(other, work.parent / name)
    if card.params is None:
        model = convert(source, head=card.head, architecture=card.architecture, **card.settings)
    else:
        params = fetch_reference(card.params, f"architecture of {card.name}", progressbar=False)
        model = convert(source, params=params, head=card.head, **card.settings)
    save_keras(model, work / f"{card.name.lower()}.keras", card.embed_tracks())


def _link_or_copy(source: Path, target: Path) -> None:
    """Hard link where the file system can, which costs no space."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
