"""Where tiles of predictions go while they come, in any order: memory, a Zarr store, or one plain file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crested_like.tl.regions._layout import NAME, Layout, lazy

if TYPE_CHECKING:
    import xarray as xr

#: Tracks in a chunk of a file; with the bins of one tile.
CHUNK_TRACKS = 256
#: Starts of bins in a chunk of a file.
CHUNK_STARTS = 1 << 18


class Store(Protocol):
    """Takes the tiles of an array."""

    def put(self, row: int, first: int, values: NDArray[np.float32]) -> None:
        """Take ``(bins, tracks)`` of a region from a bin on; from the start of a chunk to its end, or the region's."""

    def close(self) -> None:
        """Release files."""


class Memory:
    """Values in memory."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        # uninitialised where every value is going to be put
        whole = bool((layout.bins == layout.full_shape[1]).all())
        self._values = np.empty(layout.full_shape, np.float32)
        if not whole:
            self._values.fill(np.nan)

    def put(self, row: int, first: int, values: NDArray[np.float32]) -> None:
        """Take a tile."""
        self._values[row, first : first + len(values)] = values

    def close(self) -> None:
        """Nothing to release."""

    def array(self) -> xr.DataArray:
        """The labelled array."""
        return self._layout.array(self._values.reshape(self._layout.shape))


class ZarrStore:
    """Values in a Zarr store whose chunks are whole tiles, so that none is written twice; NaN takes no room."""

    def __init__(self, path: Path, layout: Layout, *, fresh: bool) -> None:
        self._path, self._layout = path, layout
        if fresh:
            self._create()
        else:
            for torn in list(path.rglob("*.partial")):  # what zarr was writing when it was killed
                torn.unlink()
        self._open()

    def _open(self) -> None:
        import zarr

        # Zarr format 2: every reader in use understands it, and its strings need no extension
        self._values: Any = zarr.open_group(self._path, mode="r+", zarr_format=2)[NAME]

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_layout": self._layout}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open it once more, as one of several that write into it."""
        self.__dict__.update(state)
        self._open()

    def _create(self) -> None:
        import xarray as xr
        import zarr

        layout = self._layout
        empty = xr.Dataset(coords=layout.coords, attrs=dict(layout.attrs))
        empty.to_zarr(self._path, zarr_format=2, consolidated=False, mode="w")
        group = zarr.open_group(self._path, mode="r+", zarr_format=2)
        regions, bins, tracks = layout.full_shape
        chunks = (1, min(bins, layout.chunk), min(tracks, CHUNK_TRACKS))
        group.create_array(
            NAME,
            shape=layout.shape,
            chunks=chunks if len(layout.shape) == 3 else chunks[::2],
            dtype="float32",
            fill_value=float("nan"),  # readers take the fill value for missing, and 0 is a prediction
            attributes={"_ARRAY_DIMENSIONS": list(layout.dims), **layout.attrs},
        )
        if layout.placed:
            starts = group.create_array(
                "bin_start",
                shape=(regions, bins),
                chunks=(1, min(bins, CHUNK_STARTS)),
                dtype="int64",
                fill_value=None,
                attributes={"_ARRAY_DIMENSIONS": ["region", "bin"]},
            )
            for row in range(regions):
                starts[row] = layout.bin_starts(row)
            group.attrs["coordinates"] = f"{group.attrs['coordinates']} bin_start"

    def put(self, row: int, first: int, values: NDArray[np.float32]) -> None:
        """Write a tile."""
        if len(self._layout.shape) == 2:
            self._values[row] = values[0]
            return
        # whole chunks: of a part, zarr would read the rest, which may be torn
        missing = min(-len(values) % self._layout.chunk, self._layout.full_shape[1] - first - len(values))
        if missing:
            values = np.pad(values, ((0, missing), (0, 0)), constant_values=np.nan)
        self._values[row, first : first + len(values)] = values

    def finish(self) -> None:
        """Add what makes the store quick to open."""
        import zarr

        zarr.consolidate_metadata(self._path, zarr_format=2)

    def close(self) -> None:
        """Nothing to release."""


def open_zarr(path: Path) -> xr.DataArray:
    """What a finished store holds, read when it is needed."""
    import xarray as xr

    written = xr.open_zarr(path, chunks=None, mask_and_scale=False)[NAME]
    written.attrs.pop("_FillValue", None)
    return written


class Spool:
    """Values in one plain file, tile after tile, in each of them track after track: one track is read quickly.

    Rows have their own width in it, without NaN at the end.
    """

    def __init__(self, path: Path, layout: Layout, *, fresh: bool) -> None:
        self._path, self._layout = path, layout
        self._tracks = layout.full_shape[2]
        self._firsts = np.concatenate([[0], np.cumsum(layout.bins)])
        mode = os.O_RDWR | os.O_CREAT | (os.O_TRUNC if fresh else 0) | getattr(os, "O_BINARY", 0)
        self._file: Any = os.fdopen(os.open(path, mode, 0o666), "r+b", buffering=0)
        self._mapped: NDArray[np.float32] | None = None

    def put(self, row: int, first: int, values: NDArray[np.float32]) -> None:
        """Write a tile, or several that follow each other."""
        step = self._layout.chunk
        for low in range(0, len(values), step):
            part = np.ascontiguousarray(values[low : low + step].T, np.float32)
            self._file.seek(4 * self._place(row, first + low))
            rest = memoryview(part).cast("B")
            while rest:  # a file without a buffer may take a part
                rest = rest[self._file.write(rest) :]

    def _place(self, row: int, first: int) -> int:
        return (int(self._firsts[row]) + first) * self._tracks

    def close(self) -> None:
        """Release the file; what :meth:`array` gave stays readable."""
        self._file.close()

    def tile(self, row: int, first: int) -> NDArray[np.float32]:
        """The tile ``(tracks, bins)`` that starts at a bin."""
        if self._mapped is None:  # stays readable where the file is deleted
            self._mapped = np.memmap(self._path, np.float32, "r")
        count = min(self._layout.chunk, int(self._layout.bins[row]) - first)
        start = self._place(row, first)
        return self._mapped[start : start + count * self._tracks].reshape(self._tracks, count)

    def read(self, row: int, low: int, high: int, tracks: Any = slice(None)) -> NDArray[np.float32]:
        """``(tracks, high - low)`` of a region; NaN beyond its end. A single track has one dimension."""
        bins, step = int(self._layout.bins[row]), self._layout.chunk
        found = [
            self.tile(row, first)[tracks, max(low - first, 0) : high - first]
            for first in range(low // step * step, min(high, bins), step)
        ]
        missing = max(high - max(bins, low), 0)
        if missing or not found:
            width = np.empty(self._tracks)[tracks].shape
            found.append(np.full((*width, missing), np.nan, np.float32))
        return np.concatenate(found, axis=-1)

    def array(self) -> xr.DataArray:
        """The labelled array, read when it is needed."""
        return self._layout.array(lazy(self._layout.shape, np.dtype(np.float32), self._get))

    def _get(self, key: tuple[Any, ...]) -> NDArray[np.float32]:
        regions, bins, _ = self._layout.full_shape
        rows, tracks = range(regions)[key[0]], key[-1]
        chosen = range(bins)[key[1]] if len(key) == 3 else 0
        if isinstance(chosen, int):
            low, high, inside = chosen, chosen + 1, 0
        else:
            low, high = (chosen[0], chosen[-1] + 1) if chosen else (0, 0)
            inside = slice(None, None, chosen.step)

        def of(row: int) -> NDArray[np.float32]:
            values = self.read(row, low, high, tracks)[..., inside]
            return values.T  # bins, tracks; either or both may be gone

        if isinstance(rows, int):
            return np.asarray(of(rows))
        if not rows:
            return np.empty((0, *of(0).shape), np.float32)
        return np.stack([of(row) for row in rows])
