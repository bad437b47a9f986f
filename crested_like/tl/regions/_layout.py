"""A labelled array but for its values, which may be in memory or in files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

#: Name of the array in a file.
NAME = "prediction"
#: Up to how many values the starts of bins are kept in memory.
_FEW = 1 << 22

#: Values of a part of an array: a slice with a positive step, or a number, for each dimension.
Read = Callable[[tuple[Any, ...]], NDArray[Any]]


@dataclass(frozen=True)
class Layout:
    """Everything about an array of predictions but the values.

    Attributes
    ----------
    dims, shape
        ``(region, bin, track)``, or ``(region, track)``.
    coords
        Dimensions and values by name, but for ``bin_start``.
    attrs, chrom_sizes
        What else there is to know.
    bins
        Bins that each region has; up to the longest one's, NaN follows.
    chunk
        Bins that come, and are stored, together.
    placed
        Whether the start of every bin is a coordinate.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    coords: Mapping[str, Any]
    attrs: Mapping[str, Any]
    chrom_sizes: Mapping[str, int]
    bins: NDArray[np.int64]
    chunk: int
    placed: bool = False

    @property
    def full_shape(self) -> tuple[int, int, int]:
        """Regions, bins and tracks, also where there is no dimension of bins."""
        return self.shape[0], self.shape[1] if len(self.shape) == 3 else 1, self.shape[-1]

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return 4 * int(np.prod(self.full_shape, dtype=np.int64))

    def bin_starts(self, row: int) -> NDArray[np.int64]:
        """First base of every bin of a region."""
        size = int(self.attrs["bin_size"])
        return int(self.coords["start"][1][row]) + np.arange(self.shape[1], dtype=np.int64) * size

    def array(self, values: Any) -> xr.DataArray:
        """The labelled array of some values."""
        import xarray as xr

        coords = dict(self.coords)
        if self.placed:
            coords["bin_start"] = (("region", "bin"), self._all_bin_starts())
        return xr.DataArray(values, dims=self.dims, coords=coords, attrs=dict(self.attrs), name=NAME)

    def _all_bin_starts(self) -> Any:
        shape = self.shape[:2]
        if shape[0] * shape[1] <= _FEW:
            return np.stack([self.bin_starts(row) for row in range(shape[0])])

        def read(key: tuple[Any, ...]) -> NDArray[Any]:
            rows = range(shape[0])[key[0]]
            if isinstance(rows, int):
                return self.bin_starts(rows)[key[1]]
            return np.stack([self.bin_starts(row)[key[1]] for row in rows])

        return lazy(shape, np.dtype(np.int64), read)


def lazy(shape: tuple[int, ...], dtype: np.dtype[Any], read: Read) -> Any:
    """An array for ``xarray`` that is read part by part, when it is needed."""
    from xarray.backends import BackendArray
    from xarray.core import indexing

    class Lazy(BackendArray):
        def __init__(self) -> None:
            self.shape, self.dtype = shape, dtype

        def __getitem__(self, key: Any) -> Any:
            return indexing.explicit_indexing_adapter(key, shape, indexing.IndexingSupport.BASIC, read)

    return indexing.LazilyIndexedArray(Lazy())
