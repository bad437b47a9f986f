"""Everything that is to be computed, settled before any of it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from crested_like._errors import VariantError
from crested_like.genome import Gene, Genome
from crested_like.genome.variants import PlacedVariant
from crested_like.genome.variants._place import SKIPPED
from crested_like.tl._fingerprint import of_model, of_values
from crested_like.tl._predict import Predictor
from crested_like.tl.variants._scope import NOT_IN_WINDOW, ReadoutScope, Scope
from crested_like.tl.variants._windows import Job, window_starts

#: Batches in a unit of work, which is computed as a whole or not at all.
BATCHES_IN_UNIT = 4


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the result: a variant, and the gene it is scored for where it is about genes."""

    placed: PlacedVariant
    gene: Gene | None = None


@dataclass(frozen=True)
class Plan:
    """What is to be computed of which variants.

    Parameters
    ----------
    rows
        Of the result, in the order given.
    jobs
        Variants that are scored, in the order of the work, each with its rows.
    names
        Statistics.
    labels, descriptions
        Of the columns that each statistic has: tracks; one empty label for a single number.
    predictor, scope, genome
        How alleles are predicted, what is compared of the predictions, and where windows are read.
    undo
        What takes predictions back to coverage; None for the values that the model was trained on.
    settings
        Everything else that was chosen, as plain values.
    """

    rows: Sequence[Row]
    jobs: Sequence[tuple[Job, Sequence[int]]]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    descriptions: tuple[str, ...]
    predictor: Predictor
    scope: Scope
    genome: Genome
    undo: Callable[[np.ndarray], np.ndarray] | None = None
    settings: Mapping[str, Any] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of all scores: rows, statistics, columns of each."""
        return len(self.rows), len(self.names), len(self.labels)

    def count_units(self, batch_size: int) -> int:
        """Number of fixed groups of jobs: a unit is predicted by the same batches whatever was done before."""
        return -(-len(self.jobs) // (BATCHES_IN_UNIT * batch_size))

    def unit(self, number: int, batch_size: int) -> Sequence[tuple[Job, Sequence[int]]]:
        """One of them."""
        size = BATCHES_IN_UNIT * batch_size
        return self.jobs[number * size : (number + 1) * size]

    def coverage(self, y: np.ndarray) -> np.ndarray:
        """Predictions in the units that are compared."""
        return y if self.undo is None else self.undo(y)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that the scores depend on, as plain values: a run that was cut off is gone on with only if it is this."""
        told = [[str(row.placed.variant), row.placed.status, row.gene and row.gene.identifier] for row in self.rows]
        return {
            "variants": of_values([*told, [row.placed.genome_ref for row in self.rows]]),
            "genes": of_values([row.gene and row.gene.exons for row in self.rows]),
            "genome": [self.genome.name, of_values(self.genome.chromosomes)],
            "models": [of_model(model) for model, _ in self.predictor.parts],
            "statistics": list(self.names),
            "tracks": of_values(self.predictor.tracks.tolist()),
            "compared": of_values([self.scope.identity(job) for job, _ in self.jobs[:1]]),
            **(self.settings or {}),
        }


def rows_and_jobs(
    placed: Sequence[PlacedVariant], scope: Scope, *, compensate: bool, share: int
) -> tuple[list[Row], list[tuple[Job, list[int]]]]:
    """Rows of the result, and the jobs in the order of the work: by window, so that those that share one follow.

    Raises
    ------
    VariantError
        If variants could be scored, but the readout or the genes lie in the window of none.
    """
    length = scope.geometry.input_length
    rows: list[Row] = []
    jobs: list[tuple[Job, list[int]]] = []
    outside: list[Exception] = []
    for item, start in zip(placed, window_starts(placed, length, share), strict=True):
        item = _fitting(item, start, length)
        if not item.scored:
            rows.append(Row(item))
            continue
        job = Job(item, start, compensate)
        try:
            genes = scope.genes_of(job)
        except NOT_IN_WINDOW as error:
            outside.append(error)
            rows.append(Row(replace(item, status=f"{SKIPPED}{_outside(scope)} not in the window")))
            continue
        jobs.append((job, list(range(len(rows), len(rows) + len(genes)))))
        rows += [Row(item, gene) for gene in genes]
    if outside and not jobs:
        raise VariantError(f"No variant can be scored, {len(outside):,} of them because: {outside[0]}")
    rank = {chrom: i for i, chrom in enumerate(dict.fromkeys(item.chrom for item in placed))}
    jobs.sort(key=lambda job: (rank[job[0].placed.chrom], job[0].start, job[0].reference.written or "", job[1]))
    return rows, jobs


def _outside(scope: Scope) -> str:
    return "the readout is" if isinstance(scope, ReadoutScope) else "exons of the genes are"


def _fitting(item: PlacedVariant, start: int, length: int) -> PlacedVariant:
    """The variant; skipped where an allele reaches beyond the window."""
    variant = item.variant
    longest = max(len(variant.ref), len(variant.alt))
    if not item.scored or variant.position - start + longest <= length:
        return item
    return replace(item, status=f"{SKIPPED}an allele of {longest:,} bases reaches beyond the window of {length:,}")
