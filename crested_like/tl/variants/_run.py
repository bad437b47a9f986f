"""All units of a plan, in memory or in a folder beside the result that an interrupted run goes on with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crested_like._atomic import atomic_path
from crested_like._errors import VariantError
from crested_like._unfinished import Unfinished
from crested_like.engine import Engine, Local
from crested_like.tl._growing import growing_file, steady_batch_size
from crested_like.tl.variants._plan import Plan
from crested_like.tl.variants._unit import score_unit

Scores = NDArray[np.float32]
#: Numbers of rows, and their scores.
Found = tuple[NDArray[np.int64], Scores]


class Parts(Protocol):
    """Takes the scores of units where they are computed, and gives them where they are put together."""

    def put(self, unit: int, found: Found) -> None:
        """Keep the scores of a unit."""

    def take(self, unit: int) -> Found:
        """Give them back, and forget them."""


class InMemory(dict[int, Found]):
    """Parts of one process."""

    put, take = dict.__setitem__, dict.pop


class Files:
    """Parts in a file each, which any process with the same folder can read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def put(self, unit: int, found: Found) -> None:
        """Write the file."""
        with atomic_path(self._path(unit)) as unfinished, unfinished.open("wb") as file:
            np.savez(file, rows=found[0], scores=found[1])

    def take(self, unit: int) -> Found:
        """Read the file, and delete it."""
        with np.load(self._path(unit)) as file:
            found = file["rows"], file["scores"]
        self._path(unit).unlink()
        return found

    def _path(self, unit: int) -> Path:
        return self._folder / f"{unit}.npz"


class Scoring:
    """Units of variants, for an engine."""

    def __init__(self, plan: Plan, size: int, parts: Parts) -> None:
        self._plan, self._size, self._parts = plan, size, parts

    def do(self, units: Sequence[int]) -> Iterator[int]:
        """Score units; says how many variants each has."""
        for number in units:
            unit = self._plan.unit(number, self._size)
            rows, scores = zip(*score_unit(self._plan, unit, self._size), strict=True)
            self._parts.put(number, (np.concatenate(rows).astype(np.int64), np.concatenate(scores)))
            yield len(unit)


class Run:
    """Where the scores of a run grow.

    Parameters
    ----------
    out
        File of the result; None to keep everything in memory.
    resume
        Whether a run that was cut off is gone on with; otherwise what it left is thrown away.
    overwrite
        Whether a file that is there may be replaced, in the end.
    engine
        What computes it; of several processes only where there is a file.
    """

    def __init__(
        self, out: Path | None, *, resume: bool = True, overwrite: bool = False, engine: Engine | None = None
    ) -> None:
        self._resume, self._engine = resume, engine or Local()
        self.unfinished = None if out is None else Unfinished(out, error=VariantError, replaces=overwrite)
        if self.unfinished is not None:
            self.unfinished.check()

    @contextmanager
    def scores(self, plan: Plan, batch_size: int | None, progress: bool | None) -> Iterator[Scores]:
        """All scores, ``(rows, statistics, columns)``; what is computed already is not computed again."""
        before = self.unfinished if self._resume else None
        windows = sum(1 + len(job.alternatives) for job, _ in plan.jobs)
        size = steady_batch_size(batch_size, before, plan.predictor.models, windows)
        if self.unfinished is None:
            values = np.full(plan.shape, np.nan, np.float32)
            self._compute(plan, size, values, set(), progress)
            yield values
            return
        marks = self.unfinished.open({**plan.identity, "batch_size": size}, resume=self._resume)
        done = {mark["unit"] for mark in marks}
        try:
            values = growing_file(self.unfinished.folder / "scores.npy", plan.shape, fresh=not done)
            self._compute(plan, size, values, done, progress)
            yield values
        finally:
            self.unfinished.leave(keep=bool(done))

    def commit(self) -> None:
        """Give the result its name, and remove what was needed to go on."""
        if self.unfinished is not None:
            self.unfinished.commit()

    @property
    def target(self) -> Path | None:
        """Where the result is written before it gets its name."""
        return None if self.unfinished is None else self.unfinished.path

    def _compute(self, plan: Plan, size: int, values: Scores, done: set[int], progress: bool | None) -> None:
        from tqdm.auto import tqdm

        parts = InMemory() if self.unfinished is None else Files(self.unfinished.folder / "parts")
        todo = [number for number in range(plan.count_units(size)) if number not in done]
        before = len(plan.jobs) - sum(len(plan.unit(number, size)) for number in todo)
        disable = (None if len(plan.jobs) > size else True) if progress is None else not progress
        with (
            tqdm(total=len(plan.jobs), initial=before, desc="scoring", unit="variant", disable=disable) as bar,
            closing(self._engine.run(Scoring(plan, size, parts), todo)) as answers,
        ):
            for number, variants in answers:
                rows, scores = parts.take(number)
                values[rows] = scores
                if self.unfinished is not None:
                    values.flush()  # type: ignore[attr-defined]
                    self.unfinished.mark({"unit": number})
                    done.add(number)
                bar.update(variants)
