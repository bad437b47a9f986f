"""One file from one address into a partial file that the next attempt resumes."""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from crested_like.registry._cache import offline, read_record, size_of, write_record

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)

#: Seconds to wait after each failure that made no headway; then the next source is tried.
PAUSES: tuple[float, ...] = (1, 3, 9)
_TIMEOUT = (15, 60)  # seconds to connect, and between two pieces
_PIECE = 1 << 16  # bytes; at most so many are lost when a transfer breaks off
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


class SourceError(Exception):
    """Raised where one source cannot give the file; another may."""


class _InterruptedError(Exception):
    """Raised where the transfer broke off; what arrived is kept, and trying again makes sense."""


def download(source: str, part: Path, *, trusted: bool, label: str, progressbar: bool) -> bool:
    """Bring a file to ``part``, going on from what is there.

    Parameters
    ----------
    source
        ``http(s)://``, ``file://``, a path, or what pooch knows besides (``ftp://``, ``sftp://``, ``doi:``).
    part
        Where it goes; what lies there from an earlier attempt is continued.
    trusted
        Whether a hash will prove the result, so that a part from another source may be continued.
    label
        For the progress bar.
    progressbar
        Whether to show one.

    Returns
    -------
    Whether an earlier part was continued.

    Raises
    ------
    SourceError
        If this source cannot give the file.
    """
    scheme = urlsplit(source).scheme.lower()
    if scheme in ("http", "https"):
        if offline():
            raise SourceError("CRESTED_LIKE_OFFLINE is set, so the network is not touched")
        return _http(source, part, trusted, label, progressbar)
    if scheme in ("ftp", "sftp", "doi"):
        if offline():
            raise SourceError("CRESTED_LIKE_OFFLINE is set, so the network is not touched")
        return _by_pooch(source, part, progressbar)
    path = Path(unquote(urlsplit(source).path)) if scheme == "file" else Path(source).expanduser()
    if not path.is_file():
        raise SourceError("there is no such file")
    if not os.access(path, os.R_OK):
        raise SourceError("the file cannot be read (permission denied)")
    shutil.copyfile(path, part)
    return False


def _by_pooch(source: str, part: Path, progressbar: bool) -> bool:
    import pooch

    try:
        pooch.downloaders.choose_downloader(source, progressbar=progressbar)(source, str(part), None)
    except Exception as error:  # each protocol has errors of its own
        raise SourceError(f"{type(error).__name__}: {error}") from error
    return False


def _http(source: str, part: Path, trusted: bool, label: str, progressbar: bool) -> bool:
    """Download with resume; failures that make headway do not count."""
    continued, furthest, failures = bool(size_of(part)), size_of(part) or 0, 0
    while True:
        try:
            _http_once(source, part, trusted, label, progressbar)
            return continued
        except _InterruptedError as error:
            reached = size_of(part) or 0
            failures = 1 if reached > furthest else failures + 1
            furthest, continued = max(furthest, reached), continued or reached > 0
            if failures > len(PAUSES):
                raise SourceError(f"{error} ({failures} attempts)") from error
            pause = PAUSES[failures - 1]
            log.info("%s: %s; trying again in %s s", source, error, pause)
            time.sleep(pause)


def _http_once(source: str, part: Path, trusted: bool, label: str, progressbar: bool) -> None:
    import requests

    note = part.with_name(f"{part.name}.json")
    known = read_record(note) or {}
    headers = {"Accept-Encoding": "identity", "User-Agent": "crested_like"}
    have = size_of(part) or 0
    same_source = known.get("source") == source and known.get("validator")
    if have and (same_source or trusted):
        headers["Range"] = f"bytes={have}-"
        if same_source:
            headers["If-Range"] = str(known["validator"])
    try:
        with requests.get(source, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
            start, total = _placed(answer, have, part)
            if start == total:
                return
            write_record(note, {"source": source, "validator": _validator(answer)})
            _check_space(part, start, total)
            _receive(answer, part, start, total, label, progressbar)
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _InterruptedError(_first_cause(error)) from error
    except requests.RequestException as error:
        raise SourceError(str(error)) from error


def _placed(answer: requests.Response, have: int, part: Path) -> tuple[int, int | None]:
    """Offset at which this answer goes on, and the size of the whole file where the server says it."""
    status = answer.status_code
    told = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
    total = int(told[2]) if told and told[2] != "*" else None
    if status == 416:
        if have and total == have:
            return have, total
        part.unlink(missing_ok=True)
        raise _InterruptedError("the server has another file than the one begun")
    if status == 206:
        if not told or told[1] is None or int(told[1]) != have:
            part.unlink(missing_ok=True)
            raise _InterruptedError("the server sent another piece than was asked for")
        return have, total
    if status in _TRANSIENT:
        raise _InterruptedError(f"HTTP {status} {answer.reason}")
    if status != 200:
        raise SourceError(f"HTTP {status} {answer.reason}")
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise SourceError("the server sent a web page instead of the file")
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _validator(answer: requests.Response) -> str | None:
    """What proves later that the file on the server is still the same one."""
    tag = answer.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")


def _check_space(part: Path, start: int, total: int | None) -> None:
    if total is not None and shutil.disk_usage(part.parent).free < total - start:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(part))


def _receive(
    answer: requests.Response, part: Path, start: int, total: int | None, label: str, progressbar: bool
) -> None:
    from tqdm import tqdm

    bar: Any = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=label, disable=not progressbar)
    with bar, part.open("ab" if start else "wb") as file:
        for piece in answer.iter_content(_PIECE):
            file.write(piece)
            bar.update(len(piece))
    arrived = size_of(part) or 0
    if total is not None and arrived != total:
        if arrived > total:
            part.unlink()
        raise _InterruptedError(f"the transfer ended after {arrived:,} of {total:,} bytes")


def _first_cause(error: BaseException) -> str:
    """The innermost of the errors that network libraries wrap around each other, in one line."""
    seen = error
    while (inner := seen.__cause__ or seen.__context__) is not None and str(inner):
        seen = inner
    return f"{type(seen).__name__}: {seen}"[:300]
