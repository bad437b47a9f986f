"""A run to a file that goes on where it was stopped: finished units of windows are never computed again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like._errors import ResumeError
from crested_like._unfinished import Unfinished
from crested_like.tl._inputs import Windows
from crested_like.tl._memory import batch_size_for
from crested_like.tl._stream import stream
from crested_like.tl.regions import _files
from crested_like.tl.regions._layout import Layout
from crested_like.tl.regions._rows import Rows
from crested_like.tl.regions._stores import Memory, Spool, Store, ZarrStore, open_zarr

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger(__name__)

_UNIT = "windows of a unit"


class Work:
    """Windows, what computes them, and where their values belong.

    Parameters
    ----------
    compute
        ``(B, L, 4)`` to the kept bins ``(B, bins, tracks)``.
    models
        The networks that it runs, for the estimate of memory.
    windows, rows, layout
        What is computed, and how it is arranged.
    batch_size, progress
        As for :func:`crested_like.tl.predict`.
    """

    def __init__(
        self,
        compute: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        models: Sequence[keras.Model],
        windows: Windows,
        rows: Rows,
        layout: Layout,
        *,
        batch_size: int | None,
        progress: bool | None,
    ) -> None:
        self.compute, self.models, self.windows, self.rows, self.layout = compute, models, windows, rows, layout
        self.batch_size, self.progress = batch_size, progress

    def in_memory(self) -> xr.DataArray:
        """All of it, as an array in memory."""
        memory = Memory(self.layout)
        for _ in self._units(memory, self.batch_size, ()):
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
        size = self._unit_size(unfinished.settings() if resume else {})
        marks = unfinished.open({**settings, _UNIT: size}, resume=resume)
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
                    total = -(-len(self.windows) // size)
                    log.warning(
                        "%s is not complete. %s of %s parts are kept in %s: run the same again to go on, or delete "
                        "that folder.",
                        *(out, f"{len(done):,}", f"{total:,}", unfinished.folder),
                    )
        return result

    def _unit_size(self, earlier: Mapping[str, Any]) -> int:
        """Windows of a unit, which are one batch: other batches would round otherwise."""
        if self.batch_size is not None:
            return min(self.batch_size, len(self.windows))
        return int(earlier.get(_UNIT) or batch_size_for(list(self.models), len(self.windows)))

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

    def _units(self, store: Store, size: int | None, done: Any) -> Any:
        """Compute what is not done yet, and give the number of each unit when it is stored."""
        values = stream(
            self.compute,
            self.windows,
            self.models,
            batch_size=size,
            progress=self.progress,
            done=frozenset(done),
        )
        for start, block in values:
            for window, found in enumerate(block, start):
                row, first, count = self.rows.tile(window)
                store.put(row, first, found[:count])
            yield start // (size or 1)
