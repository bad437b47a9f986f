"""All units of a plan, in memory or in a folder beside the result that an interrupted run goes on with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crested_like._errors import VariantError
from crested_like._unfinished import Unfinished
from crested_like.tl._growing import growing_file, steady_batch_size
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
