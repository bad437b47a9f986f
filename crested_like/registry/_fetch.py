"""Verified files: from a cache or from the first source that has them. No keras here."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from crested_like._errors import FetchError
from crested_like.registry._cache import (
    caches,
    key_of,
    locked,
    offline,
    own_cache,
    read_record,
    size_of,
    storing,
    write_record,
)
from crested_like.registry._download import SourceError, download
from crested_like.registry._entry import FIRST_USE, PACKAGE

log = logging.getLogger(__name__)

_FILES = Path(__file__).parent / "files"


def fetch_reference(reference: Mapping[str, Any], what: str, *, progressbar: bool = True) -> Path:
    """File of a reference ``{"sources": [...], "sha256": ...}`` as cards hold them."""
    return fetch_file(reference["sources"], reference["sha256"], what, progressbar=progressbar)


def fetch_file(sources: Sequence[str], sha256: str, what: str, *, progressbar: bool = True) -> Path:
    """Path of a file that was verified, from a cache or fetched now.

    Parameters
    ----------
    sources
        Addresses or paths, tried in order.
    sha256
        Its hash, or ``"first-use"``: recorded at the first download, enforced from then on.
    what
        What it is, for messages and the progress bar.
    progressbar
        Whether to show one.

    Raises
    ------
    FetchError
        If no source gives it, it is not what the hash says, or it cannot be stored.
    """
    if sources[0].startswith(PACKAGE):
        return packaged(sources[0], sha256)
    place = Path("files") / key_of(sources, sha256) / file_name(sources[0])
    for root in caches():
        if _is_complete(root / place):
            return root / place
    with storing(what):
        path = own_cache() / place
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.parent.name):
            if not _is_complete(path):
                _fetch(sources, _expected(sha256, place), path, what, progressbar)
            return path


def packaged(source: str, sha256: str) -> Path:
    """Path of a file that comes with this package."""
    path = _FILES / source.removeprefix(PACKAGE)
    if not path.is_file():
        raise FetchError(f"The file {path.name!r} that should come with this package is missing: reinstall it.")
    if sha256 not in (FIRST_USE, hash_of(path)):
        raise FetchError(f"{path} was changed: its sha256 is {hash_of(path)}, it should be {sha256}. Reinstall.")
    return path


def file_name(source: str) -> str:
    """Last part of an address or path, safe to use in a cache."""
    path = source if Path(source).is_absolute() else unquote(urlsplit(source).path)
    name = PurePosixPath(path.replace(os.sep, "/")).name
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name).lstrip(".") or "file"


def hash_of(path: Path) -> str:
    """Hash of a file's content, sha256 in hexadecimal."""
    import pooch

    return pooch.file_hash(str(path), alg="sha256")


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256.json")


def _is_complete(path: Path) -> bool:
    record = read_record(_record_of(path))
    return record is not None and size_of(path) == record.get("size")


def _expected(sha256: str, place: Path) -> str | None:
    """Hash the file must have; for "first-use" the one recorded in any cache, or None at the very first."""
    if sha256 != FIRST_USE:
        return sha256
    records = [read_record(_record_of(root / place)) for root in caches()]
    return next((record["sha256"] for record in records if record and "sha256" in record), None)


def _fetch(sources: Sequence[str], expected: str | None, path: Path, what: str, progressbar: bool) -> None:
    """Get a file from the first source that has the right one; report what every source answered."""
    failures = []
    for source in sources:
        try:
            _from_source(source, expected, path, what, progressbar)
        except SourceError as error:
            failures.append(f"{source}: {error}")
        else:
            for failure in failures:
                log.warning("%s came from %s; before that, %s", what, source, failure)
            return
    if offline():
        looked = ", ".join(map(str, caches()))
        raise FetchError(
            f"{what} is not in the cache ({looked}), and CRESTED_LIKE_OFFLINE forbids downloading it. Unset it, or "
            f"fetch the model on a machine with a network (crested-like fetch) and copy or share that cache "
            f"(CRESTED_LIKE_SHARED_CACHE)." + "".join(f"\n  {failure}" for failure in failures)
        )
    raise FetchError(f"{what} could not be fetched:" + "".join(f"\n  {failure}" for failure in failures))


def _from_source(source: str, expected: str | None, path: Path, what: str, progressbar: bool) -> None:
    part = path.with_name(f"{path.name}.part")
    continued = download(source, part, trusted=expected is not None, label=what, progressbar=progressbar)
    found = hash_of(part)
    if continued and expected not in (None, found):  # the part begun was of another file: once more, from the start
        _discard(part)
        download(source, part, trusted=True, label=what, progressbar=progressbar)
        found = hash_of(part)
    if expected not in (None, found):
        _discard(part)
        raise SourceError(
            f"wrong file: its sha256 is {found}, it should be {expected}; nothing of it was kept. Where the publisher "
            f"changed it, correct the registry entry (or, for 'first-use', delete {_record_of(path)})"
        )
    os.replace(part, path)
    _discard(part)
    write_record(_record_of(path), {"sha256": found, "size": size_of(path), "source": source})
    if expected is None:
        log.warning(
            "Nobody publishes a hash of %s: sha256 %s was recorded in %s and is enforced from now on",
            what,
            found,
            _record_of(path),
        )


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    part.with_name(f"{part.name}.json").unlink(missing_ok=True)
