"""Writing a file or folder so that it is either whole or not there."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(target: str | os.PathLike[str], *, suffix: str = "") -> Iterator[Path]:
    """A path beside ``target`` to write to, which takes its name if the block ends well.

    The block makes a file or a folder at the path it gets. An existing file is replaced in one step, so that no reader
    ever sees half of either. If the block raises, whatever it wrote is removed and ``target`` is as it was.

    Parameters
    ----------
    target
        Where the result belongs. A link is followed: the file it points to is replaced. The temporary name ends like
        this one, for writers that choose a format by it.
    suffix
        Added to the temporary name, for a writer that insists on another ending than the target has.

    Raises
    ------
    FileNotFoundError
        If the folder of ``target`` does not exist, or the block wrote nothing.
    FileExistsError
        If ``target`` is a folder that is not empty: it may hold more than our own output, so only files are replaced.
    NotADirectoryError
        If the block made a folder and ``target`` is a file.

    Examples
    --------
    >>> with atomic_path("scores.tsv") as path:  # doctest: +SKIP
    ...     table.to_csv(path)
    """
    final = Path(os.path.realpath(Path(target).expanduser()))
    if not final.parent.is_dir():
        raise FileNotFoundError(f"Cannot write {final}: the folder {final.parent} does not exist. Make it first.")
    _refuse_full_folder(final)
    temporary = final.with_name(f".part-{secrets.token_hex(4)}-{final.name}{suffix}")
    try:
        yield temporary
        _move(temporary, final)
    finally:
        _remove(temporary)


def _move(temporary: Path, final: Path) -> None:
    if not temporary.exists():
        raise FileNotFoundError(f"Nothing was written for {final}: no file or folder appeared at {temporary}.")
    _refuse_full_folder(final)  # it may have been filled meanwhile
    if temporary.is_dir() and final.is_file():
        raise NotADirectoryError(f"Cannot write the folder {final}: a file has that name. Remove it or choose another.")
    if temporary.is_file() and final.is_dir():
        final.rmdir()
    os.replace(temporary, final)


def _refuse_full_folder(final: Path) -> None:
    if final.is_dir() and any(final.iterdir()):
        raise FileExistsError(
            f"Cannot write {final}: it is a folder that is not empty. Remove it or choose another name."
        )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
