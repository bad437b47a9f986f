"""Units of work through the network: each sequence once, each prediction kept no longer than it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from crested_like.genome import one_hot
from crested_like.tl.variants._plan import Plan
from crested_like.tl.variants._windows import Job, Stretch, stitched

Prediction = NDArray[np.float32]


def score_unit(
    plan: Plan, unit: Sequence[tuple[Job, Sequence[int]]], batch_size: int
) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Scores of a unit's variants as they become known: numbers of their rows, ``(rows, statistics, columns)``.

    A sequence that several variants need, as the reference of a window they share, is predicted once.
    """
    wanted = {number: _stretches(job) for number, (job, _) in enumerate(unit)}
    last_use = {stretch: number for number, stretches in wanted.items() for stretch in stretches}
    known: dict[Stretch, Prediction] = {}
    waiting = 0
    sequences = list(dict.fromkeys(stretch for stretches in wanted.values() for stretch in stretches))
    for stretches, predictions in _predicted(plan, sequences, batch_size):
        known.update(zip(stretches, predictions, strict=True))
        while waiting < len(unit) and all(stretch in known for stretch in wanted[waiting]):
            job, rows = unit[waiting]
            ref, alt = _alleles(plan, job, known)
            scores = [plan.scope.scores(plan.names, job, plan.rows[row].gene, ref, alt) for row in rows]
            yield list(rows), np.stack(scores)
            for stretch in set(wanted[waiting]):
                if last_use[stretch] == waiting:
                    del known[stretch]
            waiting += 1


def _stretches(job: Job) -> tuple[Stretch, ...]:
    return (job.reference, *job.alternatives)


def _alleles(plan: Plan, job: Job, known: dict[Stretch, Prediction]) -> tuple[Prediction, Prediction]:
    """Predictions of both alleles, bin by bin in the same places."""
    left, *right = (known[stretch] for stretch in job.alternatives)
    alt = stitched(left, right[0], plan.predictor.geometry, job.changed()) if right else left
    return known[job.reference], alt


def _predicted(plan: Plan, stretches: list[Stretch], batch_size: int) -> Iterator[tuple[list[Stretch], Prediction]]:
    """Predict sequences batch by batch; the last batch is filled up, so that a backend compiles once."""
    length = plan.predictor.geometry.input_length
    with plan.predictor.reusing():  # alleles differ in a few bases
        for start in range(0, len(stretches), batch_size):
            part = stretches[start : start + batch_size]
            batch = np.zeros((batch_size, length, 4), np.float32)
            for i, stretch in enumerate(part):
                batch[i] = one_hot(stretch.letters(plan.genome, length))
            yield part, plan.coverage(plan.predictor(batch))[: len(part)]
