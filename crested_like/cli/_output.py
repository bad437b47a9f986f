"""Where results go: the format, a name that is free, and what was there before."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path


class Format(StrEnum):
    """Formats of predictions."""

    zarr = "zarr"
    h5 = "h5"
    npz = "npz"
    bw = "bw"


#: How to go on in Python, by ending.
READING = {
    ".zarr": 'xarray.open_zarr("{path}")["prediction"]',
    ".h5": 'h5py.File("{path}")["prediction"]',
    ".hdf5": 'h5py.File("{path}")["prediction"]',
    ".npz": 'numpy.load("{path}")["prediction"]',
}


def result_path(out: Path | None, wanted: Format | None, *, overwrite: bool) -> Path:
    """Path to write to: as given, with the ending of ``--format`` where it has none, or ``predictions.zarr`` here.

    Raises
    ------
    ValueError
        If ending and format contradict each other, or there is neither.
    FileExistsError
        If something is there and may not be replaced.
    """
    path = out or Path("predictions")
    ending = f".{wanted or Format.zarr}"
    if not path.suffix and (wanted or out is None):
        path = path.with_name(path.name + ending)
    elif wanted and _canonical(path.suffix) != ending:
        raise ValueError(f"--format {wanted} and --out {path.name} contradict each other; leave out --format.")
    if _canonical(path.suffix) not in {f".{known}" for known in Format}:
        raise ValueError(
            f"Cannot tell a format from --out {path.name}: it must end in .zarr, .h5, .npz or .bw, or give --format."
        )
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} is there already. Choose another name with --out, or give --overwrite.")
    if path.is_dir() and any(path.iterdir()) and not (path / ".zgroup").exists() and not (path / "zarr.json").exists():
        raise FileExistsError(f"{path} is a folder that holds something else than predictions; it is not replaced.")
    return path


def _canonical(suffix: str) -> str:
    return {".hdf5": ".h5", ".bigwig": ".bw"}.get(suffix.lower(), suffix.lower())


def written_paths(path: Path, tracks: list[str]) -> list[Path]:
    """Files that were written: for bigWig one a track."""
    from crested_like.tl.regions._files import bigwig_paths

    return bigwig_paths(path, tracks) if _canonical(path.suffix) == ".bw" else [path]
