"""Which bins of a variant's window are compared: all, those near it, the exons of genes, or those of a readout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like._card import attach, card_of
from crested_like._errors import GeneError, RegionError
from crested_like.genome import Gene
from crested_like.tl._geometry import Geometry
from crested_like.tl.readout._bins import bases_in_bins, weights_of
from crested_like.tl.variants._statistics import scores_of_bins, scores_of_numbers
from crested_like.tl.variants._windows import Job

if TYPE_CHECKING:
    from crested_like.tl.readout._bound import BoundReadout
    from crested_like.tl.readout._readout import Readout


@dataclass(frozen=True)
class Scope:
    """All bins of the window, or with ``local`` those that lie at most so many bp from the variant."""

    geometry: Geometry
    local: int | None = None

    def genes_of(self, job: Job) -> list[Gene | None]:
        """One item a row of the result: genes, or None where rows are not about genes.

        Raises
        ------
        RegionError, GeneError
            If nothing of what is asked for lies in the window.
        """
        return [None]

    def scores(
        self, names: Sequence[str], job: Job, gene: Gene | None, ref: NDArray[np.float32], alt: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Statistics of a row: ``(statistics, tracks)`` of predictions ``(bins, tracks)`` or ``(values,)``."""
        if self.geometry.bin_size is None:
            return scores_of_bins(names, ref[None], alt[None], np.ones(1))
        return scores_of_bins(names, ref, alt, self._weights(job, gene))

    def identity(self, job: Job) -> list[Any]:
        """What the scores of a variant depend on, besides its predictions and its genes, as plain values."""
        return [self.local]

    def _weights(self, job: Job, gene: Gene | None) -> NDArray[np.float64]:
        if self.local is None:
            return np.ones(self.geometry.output_bins)
        start, end = job.changed()
        near = (start - self.local, max(end, start + 1) + self.local)
        return self._touched([near], self.geometry.crop)

    def _touched(self, intervals: Sequence[tuple[int, int]], origin: int) -> NDArray[np.float64]:
        bin_size = self.geometry.bin_size or 1
        return weights_of(bases_in_bins(intervals, origin, bin_size, self.geometry.output_bins), bin_size, "any")


@dataclass(frozen=True)
class GeneScope(Scope):
    """The bins that touch an exon, for each gene with exons in the window's bins."""

    genes: Sequence[Gene] = ()

    @cached_property
    def _by_chrom(self) -> dict[str, tuple[list[Gene], NDArray[np.int64], NDArray[np.int64]]]:
        members: dict[str, list[Gene]] = {}
        for gene in self.genes:
            members.setdefault(gene.chrom, []).append(gene)
        return {
            chrom: (found, np.array([gene.start for gene in found]), np.array([gene.end for gene in found]))
            for chrom, found in members.items()
        }

    def genes_of(self, job: Job) -> list[Gene | None]:
        first = job.start + self.geometry.crop
        last = first + self.geometry.output_length
        genes, starts, ends = self._by_chrom.get(job.placed.chrom, ([], np.zeros(0), np.zeros(0)))
        near = [genes[i] for i in np.flatnonzero((starts < last) & (ends > first))]
        inside: list[Gene | None] = [g for g in near if any(start < last and end > first for start, end in g.exons)]
        if not inside:
            raise GeneError("no exon of the genes lies in the window")
        return inside

    def _weights(self, job: Job, gene: Gene | None) -> NDArray[np.float64]:
        return self._touched(gene.exons, job.start + self.geometry.crop)


@dataclass(frozen=True)
class ReadoutScope(Scope):
    """The number of a readout."""

    readout: Readout | None = None
    models: tuple[Any, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """For other processes, where models would have no cards, which the readout's tracks are found by."""
        told = {name: value for name, value in self.__dict__.items() if name != "_everywhere"}
        return {**told, "models": [(model, card_of(model)) for model in self.models]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        models = [model if card is None else attach(model, card) for model, card in state["models"]]
        self.__dict__.update({**state, "models": tuple(models)})

    @cached_property
    def _everywhere(self) -> BoundReadout:
        return self.readout.bind(self.models)

    def bound(self, job: Job) -> BoundReadout:
        """The readout in a variant's window."""
        if not self.readout.needs_window:
            return self._everywhere
        return self.readout.bind(self.models, job.window(self.geometry.input_length))

    def genes_of(self, job: Job) -> list[Gene | None]:
        self.bound(job)
        return [None]

    def identity(self, job: Job) -> list[Any]:
        bound = self.bound(job)
        against = None if bound.against is None else bound.against.tolist()
        return [bound.describe(), bound.tracks.tolist(), against, bound.weights.tolist()]

    def scores(
        self, names: Sequence[str], job: Job, gene: Gene | None, ref: NDArray[np.float32], alt: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        values = self.bound(job).of_array(np.stack([ref, alt]))
        return scores_of_numbers(names, *values)


#: What a scope raises where nothing of it lies in a window.
NOT_IN_WINDOW = (RegionError, GeneError)
