"""Windows of genes to values of genes, in memory or in a folder that an interrupted run goes on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crested_like._errors import GeneError
from crested_like._unfinished import Unfinished
from crested_like.tl._growing import growing_file, steady_batch_size
from crested_like.tl._predict import Predictor
from crested_like.tl._stream import stream
from crested_like.tl.genes._columns import Columns
from crested_like.tl.genes._plan import GeneWindows

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Job:
    """What is to be computed.

    Attributes
    ----------
    predictor
        Windows to predictions ``(B, bins, tracks)``.
    windows
        Of all genes.
    columns
        Of the table.
    reduce
        ``"sum"``, ``"mean"`` or ``"max"`` over the bins that count.
    undo
        Takes predictions ``(bins, tracks)`` back to coverage.
    identity
        All that the values depend on, as plain values.
    """

    predictor: Predictor
    windows: GeneWindows
    columns: Columns
    reduce: str
    undo: Callable[[Any], Any] | None
    identity: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, int]:
        """Genes and columns."""
        return len(self.windows.genes), len(self.columns.labels)

    def genes(self, start: int, size: int, progress: bool | None) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
        """Genes as they are complete: number of the last window, number of the gene, and its values ``(columns,)``.

        Parameters
        ----------
        start
            Number of the first window to compute.
        size
            Windows at a time.
        """
        windows, total, weight = self.windows, None, 0.0
        for number, y in self._predictions(start, size, progress):
            gene = int(windows.gene_of[number])
            value, own = self._over_bins(number, y)
            if total is None:
                total, weight = value, own
            else:
                total = np.maximum(total, value) if self.reduce == "max" else total + value
                weight += own
            if number + 1 == len(windows) or windows.gene_of[number + 1] != gene:
                found = total / weight if self.reduce == "mean" else total
                strand = windows.genes[gene].strand
                yield number, gene, self.columns.of_gene(found, strand, largest=self.reduce == "max")
                total = None

    def _predictions(self, start: int, size: int, progress: bool | None) -> Iterator[tuple[int, Values]]:
        later = self.windows.after(start)
        if not len(later):
            return

        def compute(batch: Values) -> Values:  # of one size throughout: the same last digits wherever it is begun
            missing = np.repeat(batch[-1:], size - len(batch), axis=0)
            return self.predictor(np.concatenate([batch, missing]))[: len(batch)]

        models, doing = self.predictor.models, "predicting genes"
        for first, predictions in stream(compute, later, models, batch_size=size, progress=progress, doing=doing):
            yield from enumerate(predictions, start + first)

    def _over_bins(self, window: int, y: Values) -> tuple[NDArray[np.float64], float]:
        counted, weights = self.windows.weights(window)
        chosen = y[counted].astype(np.float64)
        if self.undo is not None:
            chosen = self.undo(chosen)
        return (chosen.max(axis=0) if self.reduce == "max" else weights @ chosen), float(weights.sum())


class Run:
    """Where the values of a run grow.

    Parameters
    ----------
    out
        File of the result; None to keep everything in memory.
    resume
        Whether a run that was cut off is gone on with; otherwise what it left is thrown away.
    overwrite
        Whether a file that is there may be replaced.
    """

    def __init__(self, out: Path | None, *, resume: bool, overwrite: bool) -> None:
        self._resume = resume
        self.unfinished = None if out is None else Unfinished(out, error=GeneError, replaces=overwrite)
        if self.unfinished is not None:
            self.unfinished.check()

    @contextmanager
    def values(self, job: Job, batch_size: int | None, progress: bool | None) -> Iterator[Values]:
        """Values of all genes, ``(genes, columns)``; what is computed already is not computed again."""
        before = self.unfinished if self._resume else None
        size = steady_batch_size(batch_size, before, job.predictor.models, len(job.windows))
        if self.unfinished is None:
            values = np.full(job.shape, np.nan, np.float32)
            for _, gene, found in job.genes(0, size, progress):
                values[gene] = found
            yield values
            return
        marks = self.unfinished.open({**job.identity, "batch_size": size}, resume=self._resume)
        done = int(marks[-1]["window"]) if marks else -1  # the last window of the last gene that is complete
        try:
            kept = growing_file(self.unfinished.folder / "values.npy", job.shape, fresh=not marks)
            # from the batch that the next gene begins in: the same windows side by side give the same last digits
            for number, gene, found in job.genes((done + 1) // size * size, size, progress):
                if number <= done:
                    continue
                kept[gene] = found
                if (number + 1) // size > (done + 1) // size or number + 1 == len(job.windows):  # less saves no work
                    kept.flush()
                    self.unfinished.mark({"window": number})
                    done = number
            yield kept
        finally:
            self.unfinished.leave(keep=done >= 0)

    def commit(self) -> None:
        """Give the result its name, and remove what was needed to go on."""
        if self.unfinished is not None:
            self.unfinished.commit()
