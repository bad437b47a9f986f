"""Where a run keeps what it has: in a folder, from where it can go on, or in memory."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import keras

from crested_like._atomic import atomic_path
from crested_like._card import ModelCard
from crested_like._errors import TrainingError
from crested_like.checkpoints._keras import load_keras, save_keras
from crested_like.tl.training._log import Events, write_history
from crested_like.tl.training._state import Progress, changed, read_progress, read_state, write_state
from crested_like.tl.training._toml import flat, to_toml

#: Settings that a run may go on with changed: they decide when it ends and how it is watched.
FREE = ("training.rounds", "training.patience", "training.min_rounds", "training.workers", "output.", "card.")


class Keeper(Protocol):
    """What training asks of the place where it keeps things."""

    def resume(self, trainee: keras.Model, settings: Mapping[str, Any]) -> Progress:
        """Set the network to where an earlier run was interrupted, and tell where that was."""

    def keep_best(self, model: keras.Model, card: ModelCard, number: int) -> None:
        """Keep a model that is better than those before, after round ``number``."""

    def checkpoint(self, trainee: keras.Model, progress: Progress) -> None:
        """Note where the run stands after a round."""

    def finish(self, model: keras.Model, progress: Progress) -> None:
        """Give the model the weights of the best round."""


class InMemory:
    """For a run without a folder, which cannot be resumed."""

    def __init__(self) -> None:
        self._best: list[Any] = []

    def resume(self, trainee: keras.Model, settings: Mapping[str, Any]) -> Progress:
        return Progress(settings=dict(settings))

    def keep_best(self, model: keras.Model, card: ModelCard, number: int) -> None:
        self._best = model.get_weights()

    def checkpoint(self, trainee: keras.Model, progress: Progress) -> None:
        pass

    def finish(self, model: keras.Model, progress: Progress) -> None:
        model.set_weights(self._best)


class RunFolder:
    """The folder of a run.

    ========================  =====================================================================
    ``config.toml``           the recipe with every default; ``crested-like train`` takes it
    ``environment.json``      versions
    ``history.csv``           figures, one line a round
    ``tensorboard/``          the same for TensorBoard
    ``checkpoint.zip``        everything that the run needs to go on
    ``best-0012.keras``       the best model so far, its round in the name, its figures in the card
    ``<name>.keras``          the same, once the run has ended
    ========================  =====================================================================

    Parameters
    ----------
    path
        Made where it does not exist.
    tables
        The recipe, as it is written to ``config.toml``.
    """

    def __init__(self, path: Path, tables: Mapping[str, Any]) -> None:
        self.path, self.tables = path, tables
        self.name = tables["output"]["name"]
        self.state = path / "checkpoint.zip"
        self._events: Events | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder, and keep other processes from training in it.

        Raises
        ------
        TrainingError
            If one does.
        """
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / ".lock", timeout=0):
                yield
        except Timeout:
            raise TrainingError(
                f"Another process is training in {self.path}. Wait, or choose another folder."
            ) from None

    def resume(self, trainee: keras.Model, settings: Mapping[str, Any]) -> Progress:
        settings = {**settings, "backend": keras.backend.backend()}
        if self.state.exists():
            progress = read_progress(self.state)
            if lines := changed(progress.settings, settings, FREE):
                raise TrainingError(
                    f"{self.path} holds a run of another configuration, which this one cannot go on with: "
                    f"{'; '.join(lines)}. Choose another folder, or set these back."
                )
            read_state(self.state, trainee)
            progress.settings = settings
        else:
            progress = Progress(settings=settings)
            self._refuse_others()
            self._write("environment.json", json.dumps(environment(), indent=2) + "\n")
        self._write("config.toml", to_toml(self.tables))
        return progress

    def _refuse_others(self) -> None:
        others = [path.name for path in self.path.glob("*.keras") if not path.match("best-*")]
        if others:
            raise TrainingError(
                f"{self.path} holds {others[0]}, but no checkpoint to go on from. Choose another folder, or empty it."
            )

    def _write(self, name: str, text: str) -> None:
        with atomic_path(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def best_path(self, number: int) -> Path:
        """File of the model that was best after a round."""
        return self.path / f"best-{number:04d}.keras"

    def keep_best(self, model: keras.Model, card: ModelCard, number: int) -> None:
        _check_room(self.path, 4 * model.count_params())
        plain = keras.Model(model.input, model.output, name=model.name)  # without optimizer and loss
        save_keras(plain, self.best_path(number), card)

    def checkpoint(self, trainee: keras.Model, progress: Progress) -> None:
        # the best model is there by now; earlier ones go when nothing refers to them any more
        write_state(self.state, trainee, progress)
        for path in self.path.glob("best-*.keras"):
            if path != self.best_path(progress.best or 0):
                path.unlink()
        write_history(self.path / "history.csv", progress.history)
        if self.tables["output"]["tensorboard"]:
            self._events = self._events or Events(self.path / "tensorboard")
            self._events.add(progress.rounds, {k: v for k, v in progress.history[-1].items() if k != "round"})

    def finish(self, model: keras.Model, progress: Progress) -> None:
        best = self.best_path(progress.best or 0)
        model.set_weights(load_keras(best).get_weights())
        write_history(self.path / "history.csv", progress.history)  # the run may have been killed before it was
        with atomic_path(self.path / f"{self.name}.keras") as temporary:
            try:
                os.link(best, temporary)
            except OSError:  # a file system without links
                shutil.copyfile(best, temporary)


def _check_room(folder: Path, size: int) -> None:
    """Raise an OSError where a model of so many bytes will not fit: HDF5 may end the process where a disk is full."""
    needed = size + size // 10 + 2**20
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"{folder} has room for {free / 2**20:,.0f} MiB; the best model needs {needed / 2**20:,.0f}. Make room and "
            f"give the same command again",
        )


def environment() -> dict[str, str]:
    """Versions of what computes."""
    backend = keras.backend.backend()
    packages = {"crested_like": "crested_like", "keras": "keras", backend: backend, "numpy": "numpy"}
    found = {"python": platform.python_version(), "platform": platform.platform(), "backend": backend}
    for name, package in packages.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:  # TensorFlow goes by several names
            found[name] = getattr(__import__(package), "__version__", "unknown")
    return found


def settings_of(tables: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """What a run must have in common with the one it goes on with, by dotted key."""
    return {**flat({key: value for key, value in tables.items() if key != "card"}), **facts}
