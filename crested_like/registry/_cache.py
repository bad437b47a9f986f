"""Where fetched files lie: the user's cache, shared ones in front of it, locks, and what is said when storing fails."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crested_like._errors import FetchError
from crested_like.registry._entry import FIRST_USE

log = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)
_ELSEWHERE = "set CRESTED_LIKE_DATA_DIR to another folder"


def own_cache() -> Path:
    """The user's cache: ``CRESTED_LIKE_DATA_DIR``, or the operating system's place for caches."""
    told = os.environ.get("CRESTED_LIKE_DATA_DIR")
    if told:
        return Path(told).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("crested_like", appauthor=False))


def shared_caches() -> list[Path]:
    """Read-only caches that are looked into first: the folders of ``CRESTED_LIKE_SHARED_CACHE``."""
    told = os.environ.get("CRESTED_LIKE_SHARED_CACHE", "")
    return [Path(part).expanduser() for part in told.split(os.pathsep) if part.strip()]


def caches() -> list[Path]:
    """Every cache, in the order it is looked into."""
    return [*shared_caches(), own_cache()]


def offline() -> bool:
    """Whether ``CRESTED_LIKE_OFFLINE`` forbids the network."""
    return os.environ.get("CRESTED_LIKE_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


def key_of(sources: Sequence[str], sha256: str) -> str:
    """Short folder name for a file: by its hash, or by its addresses where no hash is published."""
    if sha256 != FIRST_USE:
        return sha256[:16]
    return "u" + hashlib.sha256("\n".join(sources).encode()).hexdigest()[:15]


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON file so that it is never seen half written."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    unfinished.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(unfinished, path)


def read_record(path: Path) -> dict[str, Any] | None:
    """Content of a JSON file, or None where it is missing or unreadable."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def size_of(path: Path) -> int | None:
    """Size of a file, or None where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return None


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a lock of the user's cache, waiting for another process that fetches the same thing."""
    import filelock

    folder = own_cache() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock: filelock.BaseFileLock = filelock.FileLock(folder / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        log.warning("Another process is fetching %s; waiting for it", name)
        lock.acquire()
    except NotImplementedError:  # a network file system without locks
        lock = filelock.SoftFileLock(folder / f"{name}.softlock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Turn an error of the file system into one that says what could not be stored, where, and what to do."""
    try:
        yield
    except FetchError:
        raise
    except OSError as error:
        root = own_cache()
        if error.errno in _FULL:
            raise FetchError(
                f"The disk that holds the cache {root} is full: {what} cannot be stored. Free some space (what was "
                f"downloaded so far is kept and resumed), or {_ELSEWHERE}."
            ) from error
        if error.errno in _REFUSED:
            raise FetchError(
                f"The cache {root} cannot be written to, so {what} cannot be stored ({error}). "
                f"Make it writable, or {_ELSEWHERE}."
            ) from error
        raise FetchError(f"{what} cannot be stored in the cache {root}: {error}") from error
