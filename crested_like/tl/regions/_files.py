"""Predictions in files: one format an ending."""

from __future__ import annotations

import heapq
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like._atomic import atomic_path
from crested_like._hdf5 import new_file
from crested_like.genome import write_bigwig
from crested_like.genome._support import genomics_package
from crested_like.tl.regions._layout import NAME, Layout, lazy
from crested_like.tl.regions._stores import CHUNK_STARTS, CHUNK_TRACKS, Spool

if TYPE_CHECKING:
    import xarray as xr

ENDINGS = (".zarr", ".h5", ".hdf5", ".npz", ".bw", ".bigwig")


def check_path(path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Path to write to, after a check that its ending stands for a format and nothing would be lost.

    Raises
    ------
    ValueError
        If the ending is none of those known.
    FileExistsError
        If a Zarr store, which is a folder, is there already and may not be replaced.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(
            f"Cannot tell a format from the name {path.name!r}: it must end in one of {', '.join(ENDINGS)}."
        )
    if path.is_dir() and any(path.iterdir()) and not (overwrite and is_store(path)):
        raise FileExistsError(f"{path} is there already; remove it or choose another name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def is_store(path: Path) -> bool:
    """Whether a folder is a Zarr store, and not something else that has its name."""
    return (path / ".zgroup").exists() or (path / "zarr.json").exists()


def is_zarr(path: Path) -> bool:
    """Whether a path stands for a Zarr store, which is filled directly; other formats are made of a spool."""
    return path.suffix.lower() == ".zarr"


def is_bigwig(path: Path) -> bool:
    """Whether a path stands for bigWig files, one a track."""
    return path.suffix.lower() in (".bw", ".bigwig")


def finish(spool: Spool, layout: Layout, path: Path) -> xr.DataArray:
    """Make the file, or files, of what lies in a spool.

    Returns
    -------
    xarray.DataArray
        What was written, read when it is needed: of HDF5 from the file, else from the spool, which may be deleted.
    """
    return _FINISH[path.suffix.lower()](spool, layout, path)


def _tiles(layout: Layout) -> Iterator[tuple[int, int]]:
    for row, bins in enumerate(layout.bins.tolist()):
        for first in range(0, bins, layout.chunk):
            yield row, first


def _finish_hdf5(spool: Spool, layout: Layout, path: Path) -> xr.DataArray:
    regions, bins, tracks = layout.full_shape
    with atomic_path(path) as unfinished, new_file(unfinished) as new:
        file = new.root
        file.attrs.update(layout.attrs)
        for name, (dims, values) in layout.coords.items():
            file.create_dataset(name, data=values.astype(object) if values.dtype.kind == "U" else values)
            file[name].attrs["dimensions"] = [dims] if isinstance(dims, str) else list(dims)
        if layout.placed:
            chunks = (1, min(bins, CHUNK_STARTS))
            starts = file.create_dataset(
                "bin_start", (regions, bins), np.int64, chunks=chunks, compression="gzip", shuffle=True
            )
            starts.attrs["dimensions"] = ["region", "bin"]
            for row in range(regions):
                starts[row] = layout.bin_starts(row)
            new.check()
        chunks = (1, min(bins, layout.chunk), min(tracks, CHUNK_TRACKS))
        chunks = chunks if len(layout.shape) == 3 else chunks[::2]
        data = file.create_dataset(NAME, layout.shape, np.float32, chunks=chunks, fillvalue=np.nan)
        data.attrs["dimensions"] = list(layout.dims)
        for row, first in _tiles(layout):
            values = spool.tile(row, first).T
            if len(layout.shape) == 2:
                data[row] = values[0]
            else:
                data[row, first : first + len(values)] = values
            new.check()
    return layout.array(lazy(layout.shape, np.dtype(np.float32), _reader(path)))


def _reader(path: Path) -> Callable[[tuple[Any, ...]], NDArray[Any]]:
    place = path.absolute()

    def read(key: tuple[Any, ...]) -> NDArray[Any]:
        import h5py

        with h5py.File(place, "r") as file:
            values: NDArray[Any] = file[NAME][key]
            return values

    return read


def _finish_npz(spool: Spool, layout: Layout, path: Path) -> xr.DataArray:
    regions, bins, _ = layout.full_shape
    coords = {name: values for name, (_, values) in layout.coords.items()}
    with atomic_path(path) as unfinished, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in coords.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)
        if layout.placed:
            with archive.open("bin_start.npy", "w", force_zip64=True) as member:
                _write_header(member, (regions, bins), "<i8")
                for row in range(regions):
                    member.write(layout.bin_starts(row).astype("<i8").tobytes())
        with archive.open(f"{NAME}.npy", "w", force_zip64=True) as member:
            _write_header(member, layout.shape, "<f4")
            for row in range(regions):
                for first in range(0, bins, layout.chunk):
                    values = spool.read(row, first, min(first + layout.chunk, bins))
                    member.write(values.T.astype("<f4").tobytes())
    return spool.array()


def _write_header(member: Any, shape: tuple[int, ...], kind: str) -> None:
    np.lib.format.write_array_header_1_0(member, {"descr": kind, "fortran_order": False, "shape": shape})


def check_bigwig(layout: Layout, path: Path) -> None:
    """Raise, before any work, where predictions cannot become bigWig files.

    Raises
    ------
    ValueError
        If they do not lie along a chromosome, or two tracks would have one file.
    BackendError
        If pybigtools is not installed.
    """
    if "bin" not in layout.dims:
        raise ValueError(
            "bigWig files hold coverage along a chromosome, and this model gives one value per sequence. "
            "Choose .zarr, .h5 or .npz."
        )
    genomics_package("pybigtools", "write bigWig files")
    names = [str(name) for name in layout.coords["track"][1]]
    known: dict[Path, str] = {}
    for name, target in zip(names, bigwig_paths(path, names), strict=True):
        if target in known:
            raise ValueError(
                f"The tracks {known[target]!r} and {name!r} would both be written to {target.name}. Choose each track "
                f"once, or another format."
            )
        known[target] = name


def _finish_bigwig(spool: Spool, layout: Layout, path: Path) -> xr.DataArray:
    names = [str(name) for name in layout.coords["track"][1]]
    sizes = dict(sorted(layout.chrom_sizes.items()))
    parts = list(_parts(layout, sizes))
    for track, target in enumerate(bigwig_paths(path, names)):
        write_bigwig(target, sizes, _intervals(spool, layout, track, parts))
    return spool.array()


def bigwig_paths(path: Path, tracks: list[str]) -> list[Path]:
    """File of each track: the path itself for one, ``name.<identifier>.bw`` beside it for several."""
    if len(tracks) == 1:
        return [path]
    clean = ["".join(c if c.isalnum() or c in "+-._" else "_" for c in track) for track in tracks]
    return [path.with_name(f"{path.stem}.{track}{path.suffix}") for track in clean]


def _parts(layout: Layout, sizes: Mapping[str, int]) -> Iterator[tuple[str, int, int, int, int]]:
    """Chromosome, row, first bin of a tile, and the bases that it gives: where tiles overlap, the nearest centre's."""
    size = int(layout.attrs["bin_size"])
    starts, chroms = layout.coords["start"][1], layout.coords["chrom"][1].tolist()
    span = layout.chunk * size
    by_chrom: dict[str, list[tuple[int, int, int, int]]] = {}
    for row, first in _tiles(layout):
        start = int(starts[row]) + first * size
        end = min(start + span, int(starts[row]) + int(layout.bins[row]) * size, sizes[chroms[row]])
        if max(start, 0) < end:
            by_chrom.setdefault(chroms[row], []).append((start, end, row, first))
    for chrom in sorted(by_chrom):
        for row, first, low, high in _nearest(sorted(by_chrom[chrom]), span):
            yield chrom, row, first, low, high


def _nearest(tiles: list[tuple[int, int, int, int]], span: int) -> Iterator[tuple[int, int, int, int]]:
    """Row, first bin, start and end: every base from the tile that covers it with the nearest centre.

    Tiles are sorted by start; all would be ``span`` wide, but some end early.
    """
    edges = sorted({max(edge, 0) for start, end, _, _ in tiles for edge in (start, end)})
    waiting, active, last = 0, [], None
    for low, high in pairwise(edges):
        while waiting < len(tiles) and tiles[waiting][0] <= low:
            start, end, row, first = tiles[waiting]
            heapq.heappush(active, (end, start, row, first))
            waiting += 1
        while active and active[0][0] <= low:
            heapq.heappop(active)
        here: dict[int, tuple[int, int]] = {}  # by start, which a centre goes with; a tile given twice counts once
        for _, start, row, first in sorted(active, key=lambda item: item[1:]):
            here.setdefault(start, (row, first))
        order = sorted(here)
        bounds = [low, *((a + b + span) // 2 for a, b in pairwise(order)), high]
        for start, begin, stop in zip(order, bounds, bounds[1:], strict=False):
            begin, stop = max(begin, low), min(stop, high)
            if begin < stop:
                piece = (*here[start], begin, stop)
                if last is not None and last[:2] == piece[:2] and last[3] == begin:
                    last = (*last[:3], stop)
                    continue
                if last is not None:
                    yield last
                last = piece
    if last is not None:
        yield last


def _intervals(
    spool: Spool, layout: Layout, track: int, parts: Iterable[tuple[str, int, int, int, int]]
) -> Iterator[tuple[str, int, int, float]]:
    """Bins of one track in genomic order."""
    size = int(layout.attrs["bin_size"])
    starts = layout.coords["start"][1]
    for chrom, row, first, low, high in parts:
        origin = int(starts[row]) + first * size
        begin, stop = (low - origin) // size, -(-(high - origin) // size)
        edges = origin + np.arange(begin, stop + 1, dtype=np.int64) * size
        edges[0], edges[-1] = low, high
        places = edges.tolist()
        for start, end, value in zip(
            places, places[1:], spool.tile(row, first)[track, begin:stop].tolist(), strict=False
        ):
            yield chrom, start, end, value


#: What makes a file of a spool, by ending.
_FINISH: dict[str, Callable[[Spool, Layout, Path], Any]] = {
    ".h5": _finish_hdf5,
    ".hdf5": _finish_hdf5,
    ".npz": _finish_npz,
    ".bw": _finish_bigwig,
    ".bigwig": _finish_bigwig,
}
