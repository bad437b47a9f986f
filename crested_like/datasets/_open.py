"""One door to training data, whatever they are stored in."""

from __future__ import annotations

import inspect
import os
import tomllib
from pathlib import Path
from typing import Any

from crested_like._checks import did_you_mean
from crested_like._errors import DatasetError
from crested_like.datasets._source import Source

#: Tables of a TOML file, which say how targets are made when they are read; keys in them that may be files.
_MADE = {"coverage": ("tracks", "windows", "genome", "blacklist"), "values": ("regions", "values", "genome")}


def open_dataset(source: Source | str | os.PathLike[str], *, genome: Any = None, **options: Any) -> Source:
    """Open training data to read any example by its label and number.

    Parameters
    ----------
    source
        A folder of TFRecords with its tables, as published for Basenji, Enformer and Borzoi; a Zarr store or HDF5 file
        with arrays; an HDF5 file with sequences as text, or a folder with one for each split; or a ``.toml`` file that
        says how targets are made when they are read: its one table, ``[coverage]`` or ``[values]``, holds the arguments
        of :class:`OnTheFly` or :class:`ScalarTargets`, with paths relative to the file. An opened dataset is returned
        as it is.
    genome
        For a ``.toml`` file, the genome to use instead of the one that it names.
    **options
        Further arguments of what reads the format, such as ``records_per_file`` and ``interleave`` for TFRecords.

    Returns
    -------
    Source
        With ``layout``, ``labels``, ``windows(label)``, ``count(label)``, ``read(label, index)`` and
        ``order(labels, rng)``.

    Raises
    ------
    DatasetError
        If it is nothing of that kind.

    Examples
    --------
    >>> data = open_dataset("data/hg38")  # doctest: +SKIP
    >>> codes, targets = data.read("valid", 3)  # doctest: +SKIP
    """
    if not isinstance(source, str | os.PathLike):
        if not callable(getattr(source, "read", None)) or not hasattr(source, "layout"):
            raise TypeError(f"A dataset is a path or an opened dataset; got {type(source).__name__}.")
        return source
    path = Path(source).expanduser()
    if not path.exists():
        raise DatasetError(f"There is no dataset at {path}: no such file or folder.")
    if path.suffix == ".toml":
        return _made(path, genome, options)
    return _stored(path, options)


def _stored(path: Path, options: dict[str, Any]) -> Source:
    from crested_like.datasets.formats._arrays import ArrayDataset
    from crested_like.datasets.formats._text_hdf5 import TextDataset

    if path.is_file():
        return (TextDataset if _is_text(path) else ArrayDataset)(path, **options)
    if (path / "statistics.json").is_file():
        from crested_like.datasets.formats._record_source import RecordSource

        return RecordSource(path, **options)
    if any((path / name).is_file() for name in ("zarr.json", ".zgroup")):
        return ArrayDataset(path, **options)
    if files := sorted(path.glob("*.h5")):
        from crested_like.datasets._joined import Joined

        return Joined({file.name: open_dataset(file, **options) for file in files})
    raise DatasetError(
        f"{path} is no dataset: as a folder of TFRecords it would hold statistics.json, as a Zarr store zarr.json, and "
        f"as a folder of text files one .h5 file a split."
    )


def _is_text(path: Path) -> bool:
    """Whether an HDF5 file has a group an example rather than arrays."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "sequence" not in file
    except OSError as error:
        raise DatasetError(f"{path} is no readable HDF5 file ({error}).") from None


def _made(path: Path, genome: Any, options: dict[str, Any]) -> Source:
    """What a TOML file describes."""
    from crested_like.datasets._on_the_fly import OnTheFly
    from crested_like.datasets._scalar import ScalarTargets

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read as TOML ({error}).") from None
    if len(tables) != 1 or next(iter(tables)) not in _MADE:
        raise DatasetError(f"{path} must have exactly one table, [coverage] or [values]; it has {', '.join(tables)}.")
    [(kind, given)] = tables.items()
    make, files = OnTheFly if kind == "coverage" else ScalarTargets, _MADE[kind]
    parameters = inspect.signature(make).parameters
    if unknown := [key for key in given if key not in parameters]:
        raise DatasetError(
            f"{path}: [{kind}] has no {unknown[0]!r}, only {', '.join(parameters)}."
            f"{did_you_mean(unknown[0], parameters)}"
        )
    beside = {key: path.parent / given[key] for key in files if isinstance(given.get(key), str)}
    arguments = {**given, **{key: found for key, found in beside.items() if found.is_file()}, **options}
    if genome is not None:
        arguments["genome"] = genome
    needed = [name for name, parameter in parameters.items() if parameter.default is parameter.empty]
    if missing := [name for name in needed if name not in arguments]:
        raise DatasetError(f"{path}: [{kind}] must also say {', '.join(missing)}.")
    return make(**arguments)
