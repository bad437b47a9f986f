"""The folder in which a result grows, with what is needed to go on after an interruption."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crested_like._atomic import atomic_path
from crested_like._errors import CrestedLikeError, DatasetError


class Unfinished:
    """``<out>.partial``: the result as far as it goes, the settings of the run, and a line for every part done.

    Parameters
    ----------
    out
        Where the result belongs when it is complete.
    error
        Raised where another run stands in the way.
    replaces
        Whether what is at ``out`` may be replaced, in the end.

    Attributes
    ----------
    folder
        What there is until then.
    path
        Place in it for the result itself, a file or folder with the name that it will have.
    """

    def __init__(self, out: Path, *, error: type[CrestedLikeError] = DatasetError, replaces: bool = False):
        self.out = Path(os.path.realpath(out))
        self._error, self._replaces = error, replaces
        self.folder = self.out.with_name(f"{self.out.name}.partial")
        self.path = self.folder / self.out.name
        self._settings = self.folder / "settings.json"
        self._marks = self.folder / "done.jsonl"
        self._lock = FileLock(self.folder / "lock")

    def check(self) -> None:
        """Make sure that there is a place for the result.

        Raises
        ------
        FileExistsError
            If something is there already that may not be replaced.
        FileNotFoundError
            If the folder that is to hold it is not there.
        """
        self._refuse_existing()
        if not self.out.parent.is_dir():
            raise FileNotFoundError(f"Cannot write {self.out}: the folder {self.out.parent} does not exist.")

    def open(self, settings: Mapping[str, Any], *, resume: bool) -> list[Any]:
        """Make the folder, or take up the one of an interrupted run.

        Parameters
        ----------
        settings
            All that the content depends on, as plain values.
        resume
            Whether an interrupted run may be taken up; otherwise it is thrown away.

        Returns
        -------
        list
            What the interrupted run marked.

        Raises
        ------
        FileExistsError, FileNotFoundError
            As for :meth:`check`.
        CrestedLikeError
            The ``error``, if another process is writing it, or the interrupted run had other settings.
        """
        self.check()
        self.folder.mkdir(exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise self._error(f"Another process is writing {self.out} (it holds {self.folder}).") from None
        wanted = json.loads(json.dumps(settings))
        if resume and self._settings.is_file():
            try:
                self._refuse_other(self.settings(), wanted)
                return self._marked()
            except BaseException:
                self._lock.release()
                raise
        try:
            self._empty()
            with atomic_path(self._settings) as path:
                path.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
        except BaseException:
            self._remove()
            raise
        return []

    def settings(self) -> dict[str, Any]:
        """Settings of the interrupted run, if there is one."""
        if not self._settings.is_file():
            return {}
        found: dict[str, Any] = json.loads(self._settings.read_text(encoding="utf-8"))
        return found

    def mark(self, entry: Mapping[str, Any]) -> None:
        """Note that a part is done, so that the next run need not do it again."""
        with self._marks.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def commit(self) -> None:
        """Give the result its name, and remove the folder."""
        self._refuse_existing()
        if self.out.is_dir():
            os.replace(self.out, self.folder / "replaced")
        os.replace(self.path, self.out)
        self._remove()

    def leave(self, *, keep: bool) -> None:
        """Stop working on it; without ``keep``, remove what there is."""
        if keep:
            self._lock.release()
        else:
            self._remove()

    def _refuse_existing(self) -> None:
        if self._replaces:
            return
        if self.out.is_file() or (self.out.is_dir() and any(self.out.iterdir())):
            raise FileExistsError(f"{self.out} is there already. Remove it or choose another name.")

    def _refuse_other(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        differing = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
        if differing:
            first = "; ".join(f"{name} was {found.get(name)!r}, now {wanted.get(name)!r}" for name in differing[:3])
            raise self._error(
                f"{self.folder} holds an interrupted run with other settings ({first}). Run it with those to go on, "
                f"start anew with resume=False, or delete that folder."
            )

    def _marked(self) -> list[Any]:
        if not self._marks.is_file():
            return []
        text = self._marks.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # the last line may have been cut off
        if whole != text:
            with atomic_path(self._marks) as path:
                path.write_text(whole, encoding="utf-8")
        return [json.loads(line) for line in whole.splitlines()]

    def _empty(self) -> None:
        for path in self.folder.iterdir():
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _remove(self) -> None:
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)
