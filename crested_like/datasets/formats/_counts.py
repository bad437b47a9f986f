"""How many records TFRecord files have: counted once, for a compressed file must be read to its end for that."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from crested_like._atomic import atomic_path
from crested_like.datasets._workers import processors
from crested_like.datasets.formats._tfrecord import count_records

logger = logging.getLogger(__name__)


def counted(files: Sequence[Path]) -> tuple[int, ...]:
    """Count the records of files of one folder, those that are new or changed since the last time.

    Counts are kept in ``CRESTED_LIKE_DATA_DIR`` or the user's cache folder, because a dataset's own may not be ours to
    write in; where neither can be written to they are counted each time.

    Raises
    ------
    DatasetError
        If a file is truncated or damaged.
    """
    if not files:
        return ()
    store = _store(files[0].parent)
    known = _read(store)
    keys = [_key(path) for path in files]
    new = {key: path for key, path in zip(keys, files, strict=True) if key not in known}
    if new:
        from tqdm.auto import tqdm

        logger.info("Counting the records of %d files in %s", len(new), files[0].parent)
        with ThreadPoolExecutor(processors()) as pool:
            # disable=None: shown only where the output is a terminal
            found = tqdm(pool.map(count_records, new.values()), "counting records", len(new), unit="file", disable=None)
            known |= dict(zip(new, found, strict=True))
        _keep(store, known)
    return tuple(known[key] for key in keys)


def _key(path: Path) -> str:
    stat = path.stat()
    return f"{path.name} {stat.st_size} {stat.st_mtime_ns}"


def _store(folder: Path) -> Path:
    from platformdirs import user_cache_dir

    base = os.environ.get("CRESTED_LIKE_DATA_DIR") or user_cache_dir("crested_like")
    name = hashlib.sha256(os.path.realpath(folder).encode()).hexdigest()[:16]
    return Path(base).expanduser() / "record-counts" / f"{name}.json"


def _read(store: Path) -> dict[str, int]:
    try:
        return json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _keep(store: Path, known: dict[str, int]) -> None:
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(store) as path:
            path.write_text(json.dumps(known), encoding="utf-8")
    except OSError as error:
        logger.info("Cannot keep the counts in %s (%s)", store, error)
