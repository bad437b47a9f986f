"""Labelled predictions in memory and in files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like._atomic import atomic_path
from crested_like.genome import write_bigwig

if TYPE_CHECKING:
    import xarray as xr

Blocks = Iterable[tuple[int, NDArray[np.float32]]]

#: Name of the array in a file.
NAME = "prediction"
#: Tracks in a Zarr chunk; with all bins of one region.
CHUNK_TRACKS = 256


@dataclass(frozen=True)
class Layout:
    """Everything about an array of predictions but the values."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    coords: Mapping[str, Any]
    attrs: Mapping[str, Any]
    chrom_sizes: Mapping[str, int]

    def array(self, values: Any) -> xr.DataArray:
        """The labelled array of some values."""
        import xarray as xr

        return xr.DataArray(values, dims=self.dims, coords=self.coords, attrs=dict(self.attrs), name=NAME)


def keep(blocks: Blocks, layout: Layout) -> xr.DataArray:
    """Labelled array in memory."""
    values = np.empty(layout.shape, np.float32)
    for start, block in blocks:
        values[start : start + len(block)] = block
    return layout.array(values)


def check_path(path: str | os.PathLike[str]) -> Path:
    """Path to write to, after a check that its ending stands for a format and nothing would be lost.

    Raises
    ------
    ValueError
        If the ending is none of those known.
    FileExistsError
        If a Zarr store, which is a folder, is there already.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise ValueError(
            f"Cannot tell a format from the name {path.name!r}: it must end in one of {', '.join(WRITERS)}."
        )
    if path.is_dir() and any(path.iterdir()):
        raise FileExistsError(f"{path} is there already; remove it or choose another name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write(blocks: Blocks, layout: Layout, path: str | os.PathLike[str]) -> xr.DataArray:
    """Write values in the format of the path's ending, as they come where the format allows it.

    An interrupted write leaves nothing behind.

    Returns
    -------
    xarray.DataArray
        What was written: read lazily from Zarr and HDF5, in memory otherwise.
    """
    path = check_path(path)
    return WRITERS[path.suffix.lower()](blocks, layout, path)


def _write_zarr(blocks: Blocks, layout: Layout, path: Path) -> xr.DataArray:
    import xarray as xr
    import zarr

    with atomic_path(path) as unfinished:
        # Zarr format 2: every reader in use understands it, and its strings need no extension
        empty = xr.Dataset(coords=layout.coords, attrs=dict(layout.attrs))
        empty.to_zarr(unfinished, zarr_format=2, consolidated=False)
        chunks = (1, *layout.shape[1:-1], min(layout.shape[-1], CHUNK_TRACKS))
        array = zarr.open_group(unfinished, mode="r+", zarr_format=2).create_array(
            NAME,
            shape=layout.shape,
            chunks=chunks,
            dtype="float32",
            fill_value=float("nan"),  # readers take the fill value for missing, and 0 is a prediction
            attributes={"_ARRAY_DIMENSIONS": list(layout.dims), **layout.attrs},
        )
        for start, block in blocks:
            array[start : start + len(block)] = block
        zarr.consolidate_metadata(unfinished, zarr_format=2)
    written = xr.open_zarr(path, chunks=None, mask_and_scale=False)[NAME]
    written.attrs.pop("_FillValue", None)
    return written


def _write_hdf5(blocks: Blocks, layout: Layout, path: Path) -> xr.DataArray:
    import h5py

    with atomic_path(path) as unfinished, h5py.File(unfinished, "w") as file:
        file.attrs.update(layout.attrs)
        for name, (dims, values) in layout.coords.items():
            text = values.dtype.kind == "U"
            file.create_dataset(name, data=values.astype(object) if text else values)
            file[name].attrs["dimensions"] = [dims] if isinstance(dims, str) else list(dims)
        data = file.create_dataset(NAME, layout.shape, "float32")
        data.attrs["dimensions"] = list(layout.dims)
        for start, block in blocks:
            data[start : start + len(block)] = block
        offset = data.id.get_offset()
    # one contiguous block of the file: mapped, not read
    return layout.array(np.memmap(path, np.float32, "r", offset, layout.shape))


def _write_npz(blocks: Blocks, layout: Layout, path: Path) -> xr.DataArray:
    array = keep(blocks, layout)
    with atomic_path(path) as unfinished:
        coords = {name: values for name, (_, values) in layout.coords.items()}
        np.savez_compressed(unfinished, **{NAME: array.to_numpy()}, **coords)
    return array


def _write_bigwig(blocks: Blocks, layout: Layout, path: Path) -> xr.DataArray:
    if "bin" not in layout.dims:
        raise ValueError(
            "bigWig files hold coverage along a chromosome, and this model gives one value per sequence. "
            "Choose .zarr, .h5 or .npz."
        )
    array = keep(blocks, layout)
    tracks = [str(track) for track in array["track"].to_numpy()]
    for i, target in enumerate(bigwig_paths(path, tracks)):
        with atomic_path(target) as unfinished:
            write_bigwig(unfinished, _sorted_sizes(layout.chrom_sizes), _intervals(array, i, layout.chrom_sizes))
    return array


def bigwig_paths(path: Path, tracks: list[str]) -> list[Path]:
    """File of each track: the path itself for one, ``name.<identifier>.bw`` beside it for several."""
    if len(tracks) == 1:
        return [path]
    clean = ["".join(c if c.isalnum() or c in "+-._" else "_" for c in track) for track in tracks]
    return [path.with_name(f"{path.stem}.{track}{path.suffix}") for track in clean]


def _sorted_sizes(sizes: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(sizes.items()))


def _intervals(array: xr.DataArray, track: int, sizes: Mapping[str, int]) -> Iterator[tuple[str, int, int, float]]:
    """Bins of one track in genomic order, cut at chromosome ends and halfway between overlapping windows."""
    chroms, starts, ends = (array[name].to_numpy() for name in ("chrom", "start", "end"))
    bin_size = int(array.attrs["bin_size"])
    for chrom in sorted(set(chroms.tolist())):
        here = np.flatnonzero(chroms == chrom)
        here = here[np.argsort(starts[here], kind="stable")]
        here = here[np.r_[True, np.diff(starts[here]) > 0]]  # a window given twice counts once
        # halfway between the centres of neighbours, the windows being equally long
        between = (starts[here][:-1] + ends[here][1:]) // 2
        lows = np.maximum(starts[here], np.r_[0, between])
        highs = np.minimum(ends[here], np.r_[between, sizes[chrom]])
        for row, low, high in zip(here, np.maximum(lows, 0), np.minimum(highs, sizes[chrom]), strict=True):
            values = array[int(row), :, track].to_numpy()
            for i in range(len(values)):
                start = int(starts[row]) + i * bin_size
                begin, stop = max(start, int(low)), min(start + bin_size, int(high))
                if begin < stop:
                    yield chrom, begin, stop, float(values[i])


#: One writer a file ending.
WRITERS: dict[str, Callable[[Blocks, Layout, Path], xr.DataArray]] = {
    ".zarr": _write_zarr,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
    ".npz": _write_npz,
    ".bw": _write_bigwig,
    ".bigwig": _write_bigwig,
}
