"""Files that runs leave behind, as what a report is made of."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crested_like.genome import Region, regions_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_TABLES = (".tsv", ".tsv.gz", ".txt", ".csv", ".parquet")
_ARRAYS = (".zarr", ".h5", ".hdf5", ".npz")
#: Columns that are text whatever stands in them.
_TEXTS = ("chrom", "ref", "alt", "name", "status", "genome_ref", "gene", "gene_id")
#: Names of the fields of variants in HDF5, and of the same columns of a table.
_FIELDS = {
    "chr": "chrom",
    "pos": "position",
    "ref_allele": "ref",
    "alt_allele": "alt",
    "snp": "name",
    "status": "status",
}
_PREDICTION, _BASES = {"bin", "track"}, {"position", "base"}
#: What arrays of runs are called in files.
_NAMES = ("prediction", "attribution")


def read_run(paths: Iterable[str | os.PathLike[str]]) -> dict[str, Any]:
    """Arguments of :func:`report` from files: predictions, scores of variants, contributions of bases.

    What a file holds is told by its contents: predictions have bins and tracks, contributions positions and bases; a
    table, or HDF5 with the field's names, holds variants.

    Parameters
    ----------
    paths
        ``.zarr``, ``.h5`` or ``.npz`` of ``tl.predict_regions``, ``tl.explain`` and ``tl.ism``; ``.tsv``, ``.csv``,
        ``.parquet`` or ``.h5`` of ``tl.score_variants``. Of several with one kind of content each is named by its file.

    Returns
    -------
    dict
        ``tracks`` and ``logos`` by name, read when needed, and ``variants``; those that there are.

    Raises
    ------
    FileNotFoundError
        If a file does not exist; all of them are named.
    ValueError
        If a file holds none of these, or there are two tables of variants.
    """
    found = [Path(path).expanduser() for path in paths]
    missing = [str(path) for path in found if not path.exists()]
    if missing:
        raise FileNotFoundError(f"There is no {' and no '.join(missing)}.")
    run: dict[str, Any] = {}
    for path in found:
        kind, content = _read(path)
        if kind == "variants":
            if "variants" in run:
                raise ValueError(f"A report has one table of variants; {path} is the second.")
            run["variants"] = content
        else:
            run.setdefault(kind, {})[_stem(path)] = content
    for kind in ("tracks", "logos"):  # a name tells one of several apart, and one needs none
        if len(run.get(kind, ())) == 1:
            run[kind] = next(iter(run[kind].values()))
    return run


def chosen_regions(array: xr.DataArray, wanted: Iterable[str]) -> xr.DataArray:
    """Regions of predictions by name, or those that overlap a place such as ``chr1:1,001-2,000``.

    Raises
    ------
    ValueError
        If one of the texts fits none.
    RegionError
        If it is neither a name nor a place.
    """
    names = [str(name) for name in array["region"].to_numpy()]
    rows: list[int] = []
    for text in wanted:
        if text in names:
            rows.append(names.index(text))
            continue
        (place,) = regions_of(text)
        here = _overlapping(array, place)
        if not here:
            raise ValueError(f"No region of the predictions overlaps {text}; there are {len(names):,}.")
        rows += here
    return array.isel(region=list(dict.fromkeys(rows)))


def _overlapping(array: xr.DataArray, place: Region) -> list[int]:
    chroms, starts, ends = (array[name].to_numpy() for name in ("chrom", "start", "end"))
    return np.flatnonzero((chroms == place.chrom) & (starts < place.end) & (ends > place.start)).tolist()


def _stem(path: Path) -> str:
    return path.name.split(".")[0] or path.name


def _read(path: Path) -> tuple[str, Any]:
    name = path.name.lower()
    if name.endswith(_TABLES):
        return "variants", _table(path)
    if not name.endswith(_ARRAYS):
        raise ValueError(f"{path} cannot be shown: files of a run end in {', '.join((*_ARRAYS, *_TABLES))}.")
    readers = {".zarr": _zarr, ".npz": _npz}
    content = readers.get(path.suffix.lower(), _hdf5)(path)
    if not hasattr(content, "dims"):
        return "variants", content
    dims = set(content.dims)
    if dims >= _PREDICTION:
        return "tracks", content
    if dims >= _BASES:
        return "logos", content
    raise ValueError(
        f"{path} has the dimensions {', '.join(map(str, content.dims))}; a report shows predictions along the genome "
        f"(region, bin, track) and contributions of bases (sequence, position, base)."
    )


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    if path.suffix.lower() == ".parquet":
        table = pd.read_parquet(path)
    else:
        separator = "," if path.suffix.lower() == ".csv" else "\t"
        types = dict.fromkeys(_TEXTS, str)
        table = pd.read_csv(path, sep=separator, dtype=types, keep_default_na=False, na_values=["NA", "nan", ""])
    if not {"chrom", "position"} <= set(table.columns):
        raise ValueError(
            f"{path} is no table of variants: it has the columns {', '.join(map(str, table.columns[:10]))}, and needs "
            f"chrom and position."
        )
    return table


def _zarr(path: Path) -> xr.DataArray:
    import xarray as xr

    data = xr.open_zarr(path, chunks=None, mask_and_scale=False)
    return _main({str(name): data[name] for name in data.data_vars}, path, data.attrs)


def _main(arrays: dict[str, xr.DataArray], path: Path, attrs: Any) -> xr.DataArray:
    """The array that a file is about."""
    fit = [a for a in arrays.values() if set(a.dims) >= _PREDICTION or set(a.dims) >= _BASES] or list(arrays.values())
    if not fit:
        raise ValueError(f"{path} holds no array.")
    main = max(fit, key=lambda array: (array.name in _NAMES, array.ndim, array.size))
    main.attrs = {**dict(attrs), **main.attrs}
    main.attrs.pop("_FillValue", None)
    return main


def _hdf5(path: Path) -> Any:
    import h5py
    import xarray as xr

    with h5py.File(path, "r") as file:
        if "chr" in file and "pos" in file:
            return _variants_of_hdf5(file)
        dims = {name: list(item.attrs["dimensions"]) for name, item in file.items() if "dimensions" in item.attrs}
        values = {name: _texts(item[()]) for name, item in file.items() if isinstance(item, h5py.Dataset)}
        attrs = {name: value.item() if hasattr(value, "item") else value for name, value in file.attrs.items()}
    main = _name_of_main(values, path)
    if main not in dims:
        return _labelled(main, values, attrs, path)
    coords = {name: (dims[name], values[name]) for name in dims if name != main}
    return xr.DataArray(values[main], dims=dims[main], coords=coords, attrs=attrs, name=main)


def _npz(path: Path) -> xr.DataArray:
    with np.load(path, allow_pickle=False) as archive:
        values = {name: archive[name] for name in archive.files}
    attrs = json.loads(str(values.pop("attrs"))) if "attrs" in values else {}
    return _labelled(_name_of_main(values, path), values, attrs, path)


def _name_of_main(values: dict[str, Any], path: Path) -> str:
    if not values:
        raise ValueError(f"{path} holds no array.")
    return max(values, key=lambda name: (name in _NAMES, values[name].ndim, values[name].size))


def _labelled(main: str, values: dict[str, Any], attrs: dict[str, Any], path: Path) -> xr.DataArray:
    """The array of a file that names its coordinates but not what they belong to."""
    import xarray as xr

    array = values[main]
    if array.ndim != 3:
        raise ValueError(f"{path} holds no array of three dimensions, so nothing along a sequence.")
    dims = ("sequence", "position", "base") if "base" in values else ("region", "bin", "track")
    starts = values.get("bin_start", np.empty(0))
    if starts.ndim == 2 and starts.shape[1] > 1:
        attrs.setdefault("bin_size", int(starts[0, 1] - starts[0, 0]))
    of = {"description": "track", "chrom": dims[0], "start": dims[0], "end": dims[0]}
    sizes = dict(zip(dims, array.shape, strict=True))
    coords = {
        name: (dim, item)
        for name, item in values.items()
        if (dim := name if name in dims else of.get(name)) and item.shape == (sizes[dim],)
    }
    return xr.DataArray(array, dims=dims, coords=coords, attrs=attrs, name=main)


def _texts(values: Any) -> Any:
    return values.astype(str) if values.dtype.kind == "S" else _decoded(values) if values.dtype.kind == "O" else values


def _decoded(values: Any) -> Any:
    return np.array([v.decode() if isinstance(v, bytes) else str(v) for v in values.ravel()]).reshape(values.shape)


def _variants_of_hdf5(file: Any) -> pd.DataFrame:
    import pandas as pd

    rows = file["si"][()] if "si" in file else slice(None)
    columns = {column: _texts(file[name][()])[rows] for name, column in _FIELDS.items() if name in file}
    if "gene_name" in file:
        columns["gene"] = _texts(file["gene_name"][()])
    labels = _texts(file["target_ids"][()]).tolist() if "target_ids" in file else [""]
    for name, item in file.items():
        if item.ndim == 2 and item.shape[1] == len(labels) and item.dtype.kind == "f":
            plain = labels in (["readout"], [""])
            columns |= {name if plain else f"{name}:{label}": item[:, i] for i, label in enumerate(labels)}
    return pd.DataFrame({name: values if len(values) else [] for name, values in columns.items()})
