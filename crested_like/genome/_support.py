"""Optional packages, compressed text and the wording of errors, once for this room."""

from __future__ import annotations

import gzip
import importlib
import io
import os
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from crested_like._checks import did_you_mean
from crested_like._errors import BackendError, RegionError

#: How many bad items of a batch an error spells out.
SHOWN = 10
#: First bytes of a gzip file (bgzip included), whatever it is called.
GZIP = b"\x1f\x8b"


def genomics_package(name: str, purpose: str) -> Any:
    """Import an optional package of the ``genomics`` extra, or say how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackendError(
            f"{name} is needed to {purpose} and could not be imported ({error}). "
            f"Install it with: pip install 'crested_like[genomics]'"
        ) from error


def listed(problems: Sequence[str]) -> str:
    """The first few problems, one a line, and how many more there are."""
    more = [f"... and {len(problems) - SHOWN:,} more"] if len(problems) > SHOWN else []
    return "\n".join(f"  {line}" for line in [*problems[:SHOWN], *more])


def existing_file(path: str | os.PathLike[str], what: str) -> Path:
    """``path`` with ``~`` expanded, if a file is there."""
    found = Path(path).expanduser()
    if found.is_dir():
        raise IsADirectoryError(f"{what} {found} is a folder; give the file in it.")
    if not found.exists():
        raise FileNotFoundError(f"{what} {found} does not exist.")
    return found


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file or pipe, compressed or not; any line ending, a byte order mark is dropped."""
    with ExitStack() as stack:
        raw: Any = stack.enter_context(path.open("rb"))
        if raw.peek(2)[:2] == GZIP:
            raw = stack.enter_context(gzip.GzipFile(fileobj=raw))
        try:
            yield stack.enter_context(io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace"))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise OSError(f"{path} is damaged or was cut off: {error}") from error


def unknown_chromosome(chrom: str, known: Collection[str], where: str) -> RegionError:
    """The error for a chromosome that ``where`` does not have, with the name that was probably meant."""
    hint = _other_naming(chrom, known) or did_you_mean(chrom, known)
    if not hint:
        some = ", ".join(list(known)[:5]) + (", ..." if len(known) > 5 else "")
        hint = f" It has {len(known):,}: {some}." if known else " It has none."
    return RegionError(f"Chromosome {chrom!r} is not in {where}.{hint}")


def _other_naming(chrom: str, known: Collection[str]) -> str:
    bare = chrom[3:] if chrom.lower().startswith("chr") else chrom
    names = ["M", "MT"] if bare.upper() in ("M", "MT") else [bare]
    for other in [prefix + name for name in names for prefix in ("chr", "")]:
        if other in known and other != chrom:
            return f" Did you mean {other!r}?"
    return ""
