"""All units of a plan, in memory or in a folder beside the result that an interrupted run goes on with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crested_like._atomic import atomic_path
from crested_like._checks import positive_int
from crested_like._errors import VariantError
from crested_like._unfinished import Unfinished
from crested_like.tl._memory import batch_size_for
from crested_like.tl.variants._engine import score_unit
from crested_like.tl.variants._plan import Plan

Scores = NDArray[np.float32]


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
    """

    def __init__(self, out: Path | None, *, resume: bool = True, overwrite: bool = False) -> None:
        self._resume = resume
        self.unfinished = None if out is None else Unfinished(out, error=VariantError, replaces=overwrite)
        if self.unfinished is not None:
            self.unfinished.check()
            self._values = self.unfinished.folder / "scores.npy"

    def batch_size(self, plan: Plan, wanted: int | None) -> int:
        """Windows at a time: that of the run that is gone on with, whose numbers must not change in the last digit."""
        if wanted is not None:
            return positive_int("batch_size", wanted)
        kept = self.unfinished.settings() if self.unfinished is not None and self._resume else {}
        if "batch_size" in kept:
            return int(kept["batch_size"])
        return batch_size_for(plan.predictor.models, max(1, sum(1 + len(job.alternatives) for job, _ in plan.jobs)))

    @contextmanager
    def scores(self, plan: Plan, batch_size: int | None, progress: bool | None) -> Iterator[Scores]:
        """All scores, ``(rows, statistics, columns)``; what is computed already is not computed again."""
        size = self.batch_size(plan, batch_size)
        if self.unfinished is None:
            values = np.full(plan.shape, np.nan, np.float32)
            self._compute(plan, size, values, set(), progress)
            yield values
            return
        marks = self.unfinished.open({**plan.identity, "batch_size": size}, resume=self._resume)
        done = {mark["unit"] for mark in marks}
        try:
            values = self._file(plan, fresh=not done)
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

    def _file(self, plan: Plan, *, fresh: bool) -> Any:
        """The scores as a file in memory, whose place on the disk is taken beforehand."""
        if fresh:
            empty = np.full(plan.shape[1:], np.nan, np.float32).tobytes()
            header = {"descr": "<f4", "fortran_order": False, "shape": plan.shape}
            with atomic_path(self._values) as path, path.open("wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                for _ in range(plan.shape[0]):
                    file.write(empty)
        return np.lib.format.open_memmap(self._values, mode="r+")

    def _compute(self, plan: Plan, size: int, values: Scores, done: set[int], progress: bool | None) -> None:
        from tqdm.auto import tqdm

        disable = (None if len(plan.jobs) > size else True) if progress is None else not progress
        with tqdm(total=len(plan.jobs), desc="scoring", unit="variant", disable=disable) as bar:
            for number, unit in enumerate(plan.units(size)):
                if number in done:
                    bar.update(len(unit))
                    continue
                for rows, scores in score_unit(plan, unit, size):
                    values[rows] = scores
                    bar.update()
                if self.unfinished is not None:
                    values.flush()  # type: ignore[attr-defined]
                    self.unfinished.mark({"unit": number})
                    done.add(number)
