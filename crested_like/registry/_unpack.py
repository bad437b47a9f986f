"""Model archives: one ``.keras`` file and its output names, taken out without trusting the archive."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from crested_like._errors import FetchError

NAMES_SUFFIX = "_output_classes.tsv"


def unpack(archive: Path, folder: Path, what: str) -> None:
    """Take the model and its output names out of an archive.

    Only these two are written, under their own names in ``folder``; the whole archive is refused if any entry leads
    out of its folder or is a link or a device.

    Parameters
    ----------
    archive
        A tar (of any compression) or zip file.
    folder
        An existing empty folder.
    what
        For messages.

    Raises
    ------
    FetchError
        If the archive is damaged, unsafe, or does not hold exactly one model and one file of names.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                _write(_zip_entries(opened, what), folder, what)
        else:
            with tarfile.open(archive) as tar:
                _write(_tar_entries(tar, what), folder, what)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise FetchError(f"The archive of {what} ({archive}) is damaged: {error}") from error


Entries = Iterator[tuple[str, Callable[[], IO[bytes]]]]


def _tar_entries(archive: tarfile.TarFile, what: str) -> Entries:
    for member in archive.getmembers():
        _refuse_outside(member.name, what)
        if not (member.isreg() or member.isdir()):
            raise _unsafe(member.name, "is a link or a device", what)
        if member.isreg():
            yield member.name, lambda member=member: archive.extractfile(member)  # type: ignore[misc]


def _zip_entries(archive: zipfile.ZipFile, what: str) -> Entries:
    for member in archive.infolist():
        _refuse_outside(member.filename, what)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _unsafe(member.filename, "is a link or a device", what)
        if not member.is_dir():
            yield member.filename, lambda member=member: archive.open(member)  # type: ignore[misc]


def _refuse_outside(name: str, what: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0]:
        raise _unsafe(name, "leads out of its folder", what)


def _unsafe(name: str, why: str, what: str) -> FetchError:
    return FetchError(f"The archive of {what} is not safe: its entry {name!r} {why}. Nothing was unpacked.")


def _write(entries: Entries, folder: Path, what: str) -> None:
    """Check every entry first, then write the wanted ones."""
    files = [(PurePosixPath(name).name, opened) for name, opened in entries]
    files = [(name, opened) for name, opened in files if not name.startswith("._")]  # shadows that macOS leaves
    models = [item for item in files if item[0].endswith(".keras")]
    names = [item for item in files if item[0].endswith(NAMES_SUFFIX)]
    if len(models) != 1 or len(names) != 1:
        raise FetchError(
            f"The archive of {what} should hold exactly one .keras file and one *{NAMES_SUFFIX}; it holds "
            f"{len(models)} and {len(names)}: {', '.join(name for name, _ in files[:6]) or 'nothing'}."
        )
    for name, opened in models + names:
        with opened() as source, (folder / name).open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
