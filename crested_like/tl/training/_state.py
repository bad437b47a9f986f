"""Where a run stands, in one file: weights, optimiser, seeds, history. Whole or not there."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from crested_like._atomic import atomic_path
from crested_like._errors import TrainingError
from crested_like.tl.training._random import generator_states, set_generator_states

_FACTS = "progress.json"


@dataclass
class Progress:
    """What there is to know of a run besides its arrays."""

    rounds: int = 0
    """Rounds that are done."""
    best: int | None = None
    """The best of them, counted from 1."""
    seconds: float = 0.0
    """Of work so far."""
    history: list[dict[str, float]] = field(default_factory=list)
    """Figures of each round."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What the run was started with, by dotted key."""

    @property
    def best_figures(self) -> dict[str, float]:
        """Figures of the best round; empty before there is one."""
        return {} if self.best is None else self.history[self.best - 1]

    @property
    def rounds_since_best(self) -> int:
        """Rounds that were no better than the best."""
        return self.rounds - (self.best or 0)


def variables_of(model: keras.Model) -> list[Any]:
    """Everything that changes in training: weights, statistics and states of seeds, then those of the optimiser.

    ``save_weights`` leaves the seeds of dropout out.
    """
    return [*model.variables, *model.optimizer.variables]


def write_state(path: Path, model: keras.Model, progress: Progress) -> None:
    """Write a checkpoint; if that fails, an earlier one at the path is as it was."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_FACTS, json.dumps(asdict(progress)))
        for number, variable in enumerate(variables_of(model)):
            _write_array(archive, f"{number}.npy", host_array(variable))
        for number, state in enumerate(generator_states()):
            _write_array(archive, f"generator_{number}.npy", state)


def _write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(name, "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def read_progress(path: Path) -> Progress:
    """The facts of a checkpoint.

    Raises
    ------
    TrainingError
        If the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return Progress(**json.loads(archive.read(_FACTS)))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error


def read_state(path: Path, model: keras.Model) -> None:
    """Set everything that changes in training to what a checkpoint says.

    Raises
    ------
    TrainingError
        If the file is damaged, or of another network.
    """
    variables = variables_of(model)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            generators = [name for name in names if name.startswith("generator_")]
            stored = len(names) - len(generators) - 1
            if stored != len(variables):
                raise TrainingError(
                    f"{path} is a checkpoint of another network or optimizer: it has {stored:,} arrays, this run "
                    f"{len(variables):,}."
                )
            for number, variable in enumerate(variables):
                _assign(variable, _read_array(archive, f"{number}.npy"), path)
            set_generator_states([_read_array(archive, name) for name in generators])
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> TrainingError:
    return TrainingError(
        f"{path} is damaged ({error}). Remove the folder to start anew, or restore the file from a copy."
    )


def _assign(variable: Any, value: np.ndarray, path: Path) -> None:
    if tuple(variable.shape) != value.shape:
        raise TrainingError(
            f"{path} is a checkpoint of another network: {variable.path} has shape {tuple(variable.shape)}, stored is "
            f"{value.shape}."
        )
    variable.assign(value)


def host_array(variable: Any) -> np.ndarray:
    """Value of a variable as a NumPy array of its own."""
    return np.array(keras.ops.convert_to_numpy(variable.value))


def changed(before: Mapping[str, Any], now: Mapping[str, Any], free: Sequence[str]) -> list[str]:
    """Lines on settings that differ, but for those that start with one of ``free``."""
    lines = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if old != new and not key.startswith(tuple(free)):
            lines.append(f"{key} was {_said(old)}, now {_said(new)}")
    return lines


def _said(value: Any) -> str:
    return "not given" if value is None else json.dumps(value)
