"""A run to a file that goes on where it was stopped: finished units of windows are never computed again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like._errors import ResumeError
from crested_like._unfinished import Unfinished
from crested_like.engine import Engine, Local, Task
from crested_like.tl._inputs import Windows
from crested_like.tl._memory import batch_size_for
from crested_like.tl._stream import progress_bar, stream
from crested_like.tl.regions import _files
from crested_like.tl.regions._layout import Layout
from crested_like.tl.regions._rows import Rows
from crested_like.tl.regions._stores import Memory, Spool, Store, ZarrStore, open_zarr

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger(__name__)

_BATCH = "windows of a batch"


def check_engine(engine: Engine, out: Path | None) -> None:
    """Make sure that an engine can write to a file, or None for memory.

    Raises
    ------
    ValueError
        If it is one of several processes, and the file no Zarr store.
    """
    if not isinstance(engine, Local) and (out is None or not _files.is_zarr(out)):
        raise ValueError(
            f"The workers of a cluster write into a Zarr store; got out={out and str(out)!r}. Give out= a name that "
            f"ends in .zarr, in a folder that all of them can see."
        )


class Units(Protocol):
    """Work on windows, in parts that are computed as a whole or not at all."""

    windows: int
    """How many there are in all."""

    def counts(self, size: int) -> list[int]:
        """Windows of every unit, where a batch has so many."""

    def task(self, store: Store, size: int) -> Task:
        """What computes units and puts them into a store."""


class Batches:
    """Windows of regions, a batch a unit.

    Parameters
    ----------
    compute
        ``(B, L, 4)`` to the kept bins ``(B, bins, tracks)``.
    windows, rows
        What is computed, and where its values belong.
    """

    def __init__(
        self, compute: Callable[[NDArray[np.float32]], NDArray[np.float32]], windows: Windows, rows: Rows
    ) -> None:
        self._compute, self._windows, self._rows = compute, windows, rows
        self.windows = len(windows)

    def counts(self, size: int) -> list[int]:
        """As many as a batch has; of the last one the rest."""
        return [min(size, self.windows - start) for start in range(0, self.windows, size)]

    def task(self, store: Store, size: int) -> Predicting:
        """What computes them and puts them into a store."""
        return Predicting(self._compute, self._windows, self._rows, store, size)


class Predicting:
    """Batches, for an engine."""

    def __init__(
        self,
        compute: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        windows: Windows,
        rows: Rows,
        store: Store,
        size: int,
    ) -> None:
        self._compute, self._windows, self._rows, self._store, self._size = compute, windows, rows, store, size

    def do(self, units: Sequence[int]) -> Iterator[int]:
        """Compute and store batches; says how many windows each has."""
        batches = stream(self._compute, self._windows, (), batch_size=self._size, progress=False, batches=units)
        for start, block in batches:
            for window, found in enumerate(block, start):
                row, first, count = self._rows.tile(window)
                self._store.put(row, first, found[:count])
            yield len(block)


class Work:
    """Units of windows, and where their values belong.

    Parameters
    ----------
    units
        What is computed.
    models
        The networks that it runs, for the estimate of memory.
    layout
        How the values are arranged.
    batch_size, progress
        As for :func:`crested_like.tl.predict`.
    engine
        What runs it.
    doing
        What the progress bar says.
    """

    def __init__(
        self,
        units: Units,
        models: Sequence[keras.Model],
        layout: Layout,
        *,
        batch_size: int | None,
        progress: bool | None,
        engine: Engine,
        doing: str = "predicting",
    ) -> None:
        self.units, self.models, self.layout = units, models, layout
        self.batch_size, self.progress, self.engine, self.doing = batch_size, progress, engine, doing

    def in_memory(self) -> xr.DataArray:
        """All of it, as an array in memory.

        Raises
        ------
        ValueError
            If there is not enough of that.
        """
        _refuse_too_large(self.layout)
        memory = Memory(self.layout)
        for _ in self._units(memory, self._batch_size({}), ()):
            pass
        return memory.array()

    def to_file(self, out: Path, settings: Mapping[str, Any], *, resume: bool, overwrite: bool) -> xr.DataArray:
        """All of it, in a file; until it is complete in the folder ``<out>.partial``.

        Parameters
        ----------
        out
            The file, whose ending says the format.
        settings
            Everything that the values hang on.
        resume
            Whether to go on with an interrupted run.
        overwrite
            Whether a Zarr store that is there is replaced; files always are.

        Raises
        ------
        ResumeError
            If the interrupted run had other settings, or is still going on.
        """
        unfinished = Unfinished(out, error=ResumeError, replaces=overwrite or not _files.is_zarr(out))
        size = self._batch_size(unfinished.settings() if resume else {})
        marks = unfinished.open({**settings, _BATCH: size}, resume=resume)
        done = {int(mark["unit"]) for mark in marks}
        complete = False
        try:
            store = self._open(unfinished, fresh=not done)
            try:
                for unit in self._units(store, size, done):
                    unfinished.mark({"unit": unit})
                    done.add(unit)
                result = self._finish(store, unfinished, out)
                complete = True
            finally:
                store.close()
        finally:
            if not complete:
                unfinished.leave(keep=bool(done))
                if done:
                    total = len(self.units.counts(size))
                    log.warning(
                        "%s is not complete. %s of %s parts are kept in %s: run the same again to go on, or delete "
                        "that folder.",
                        *(out, f"{len(done):,}", f"{total:,}", unfinished.folder),
                    )
        return result

    def _batch_size(self, earlier: Mapping[str, Any]) -> int:
        """Windows of a batch, the same in all units: other batches would round otherwise."""
        if self.batch_size is not None:
            return min(self.batch_size, self.units.windows)
        return int(earlier.get(_BATCH) or batch_size_for(list(self.models), self.units.windows))

    def _open(self, unfinished: Unfinished, *, fresh: bool) -> ZarrStore | Spool:
        if _files.is_zarr(unfinished.out):
            return ZarrStore(unfinished.path, self.layout, fresh=fresh)
        return Spool(unfinished.folder / "values", self.layout, fresh=fresh)

    def _finish(self, store: ZarrStore | Spool, unfinished: Unfinished, out: Path) -> xr.DataArray:
        if isinstance(store, ZarrStore):
            store.finish()
            unfinished.commit()
            return open_zarr(out)
        found = _files.finish(store, self.layout, out)
        unfinished.leave(keep=False)
        return found

    def _units(self, store: Store, size: int, done: Collection[int]) -> Iterator[int]:
        """Compute what is not done yet, and give the number of each unit when it is stored."""
        counts = self.units.counts(size)
        todo = [unit for unit in range(len(counts)) if unit not in done]
        waiting = sum(counts[unit] for unit in todo)
        with (
            progress_bar(waiting, sum(counts) - waiting, len(todo), self.progress, self.doing) as bar,
            closing(self.engine.run(self.units.task(store, size), todo)) as answers,
        ):
            for unit, windows in answers:
                bar.update(windows)
                yield unit


def _refuse_too_large(layout: Layout) -> None:
    import psutil

    free = psutil.virtual_memory().available
    if layout.nbytes > free:
        raise ValueError(
            f"The predictions take {layout.nbytes / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB of memory are free. Give "
            f"out= to write them to a file as they come, or choose tracks=."
        )
