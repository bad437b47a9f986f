"""Labelled scores of bases, in memory or in a file that grows and goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like._errors import ResumeError
from crested_like._unfinished import Unfinished
from crested_like.tl._fingerprint import of_model
from crested_like.tl._inputs import Windows
from crested_like.tl.attribution._question import Question
from crested_like.tl.readout._bound import BoundReadout

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger(__name__)

#: Name of the array in a file.
NAME = "attribution"
FORMATS = (".zarr", ".h5", ".hdf5", ".npz")
DIMS = ("sequence", "position", "base")
#: Tracks that are named one by one.
_NAMED_TRACKS = 20
_LETTERS = np.array(list("ACGTN"))


@dataclass(frozen=True)
class Unit:
    """Scores that are computed together: rows ``rows`` at the positions ``first`` to ``last - 1`` of their parts."""

    rows: range
    first: int
    last: int


#: Scores ``(rows, positions, 4)`` of a unit, and numbers by name, one a row: the same from each unit of a row.
Compute = Callable[[Unit], tuple[NDArray[np.float32], dict[str, list[float]]]]


class Layout:
    """Everything about a result but its scores.

    Parameters
    ----------
    windows, parts
        Inputs, and the bases of each that are told of.
    attrs
        What is said of the whole, in plain values.
    """

    def __init__(self, windows: Windows, parts: Sequence[tuple[int, int]], attrs: Mapping[str, Any]) -> None:
        self.attrs = {**attrs, "input_length": windows.length}
        width = parts[0][1] - parts[0][0]
        self.shape = (len(windows), width, 4)
        letters, digest = np.empty(self.shape[:2], "U1"), hashlib.sha256()
        for row, (start, stop) in enumerate(parts):
            x = windows.batch(row, row + 1)[0]
            digest.update(np.ascontiguousarray(x).tobytes())
            letters[row] = letters_of(x[start:stop])
        #: Of the very numbers that the models are given.
        self.digest = digest.hexdigest()[:16]
        starts = [region.start + part[0] for region, part in zip(windows.regions, parts, strict=True)]
        self.coords: dict[str, tuple[Any, NDArray]] = {
            "sequence": ("sequence", np.array([str(label) for label in windows.labels])),
            "chrom": ("sequence", np.array([region.chrom for region in windows.regions])),
            "start": ("sequence", np.array(starts, np.int64)),
            "end": ("sequence", np.array(starts, np.int64) + width),
            "position": ("position", np.arange(width)),
            "base": ("base", np.array(list("ACGT"))),
            "letter": (("sequence", "position"), letters),
        }

    def array(self, values: Any, numbers: Mapping[str, NDArray]) -> xr.DataArray:
        """The labelled array."""
        import xarray as xr

        own = {name: ("sequence", found) for name, found in numbers.items()}
        attrs = {**self.attrs, **_worst(numbers)}
        return xr.DataArray(values, dims=DIMS, coords={**self.coords, **own}, attrs=attrs, name=NAME)


def letters_of(x: NDArray) -> NDArray[np.str_]:
    """A, C, G and T where rows ``(L, 4)`` are one of them, else N."""
    certain = (x.max(axis=-1) == 1) & (x.sum(axis=-1) == 1)
    return _LETTERS[np.where(certain, x.argmax(axis=-1), 4)]


def told(bound: BoundReadout) -> str:
    """A readout as text for the attributes of a result."""
    facts = bound.describe()
    for name in ("tracks", "against"):
        if len(facts.get(name, ())) > _NAMED_TRACKS:
            facts[name] = f"{len(facts[name]):,} tracks"
    return json.dumps(facts)


def check_out(out: str | os.PathLike[str] | None, *, overwrite: bool) -> Path | None:
    """Path to write to, after a check that it stands for a format and nothing would be lost.

    Raises
    ------
    ValueError
        If the ending stands for no format.
    FileExistsError
        If something is there already that is not to be replaced.
    """
    if out is None:
        return None
    path = Path(out)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"Cannot tell a format from the name {path.name!r}: scores of bases are written to {', '.join(FORMATS)}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    Unfinished(path, error=ResumeError, replaces=overwrite).check()
    return path


def run(
    units: Sequence[Unit],
    compute: Compute,
    layout: Layout,
    question: Question,
    out: Path | None,
    *,
    resume: bool,
    overwrite: bool,
    progress: bool | None,
    doing: str,
) -> xr.DataArray:
    """Compute all units, and give the array that they make, or the one that an earlier run has begun."""
    if out is None:
        values, numbers = np.zeros(layout.shape, np.float32), _Numbers()
        for number in _with_progress(units, (), progress, doing):
            _put(values, numbers, units[number], *compute(units[number]))
        return layout.array(values, numbers.arrays(layout.shape[0]))
    unfinished = Unfinished(out, error=ResumeError, replaces=overwrite)
    marks = unfinished.open(_settings(layout, question, units), resume=resume)
    spool, numbers, complete = unfinished.folder / "scores.npy", _Numbers(), False
    for mark in marks:
        numbers.add(units[mark["unit"]], mark["numbers"])
    done = {mark["unit"] for mark in marks}
    try:
        mode = "r+" if done else "w+"
        values = np.lib.format.open_memmap(spool, mode, np.float32, None if done else layout.shape)
        for number in _with_progress(units, done, progress, doing):
            found, own = compute(units[number])
            _put(values, numbers, units[number], found, own)
            values.flush()
            unfinished.mark({"unit": number, "numbers": own})
            done.add(number)
        _write(layout, values, numbers.arrays(layout.shape[0]), unfinished.path)
        del values
        unfinished.commit()
        complete = True
    finally:
        if not complete:
            unfinished.leave(keep=bool(done))
            if done:
                log.warning("%s is not complete: run the same again to go on.", out)
    return read(out)


def read(path: str | os.PathLike[str]) -> xr.DataArray:
    """Scores of bases that were written to a file."""
    import xarray as xr

    path = Path(path)
    if path.suffix.lower() == ".zarr":
        found = xr.open_zarr(path, chunks=None, mask_and_scale=False)[NAME]
        found.attrs.pop("_FillValue", None)
        return found
    if path.suffix.lower() == ".npz":
        with np.load(path) as file:
            held, attrs = {name: file[name] for name in file.files if name != "attrs"}, json.loads(str(file["attrs"]))
    else:
        import h5py

        with h5py.File(path) as file:
            held = {name: data.asstr()[()] if data.dtype.kind == "O" else data[()] for name, data in file.items()}
            attrs = {name: value.item() if hasattr(value, "item") else value for name, value in file.attrs.items()}
    values = held.pop(NAME)
    coords = {name: (_dims_of(name), value.astype(str) if value.dtype.kind in "OSU" else value)
              for name, value in held.items()}  # fmt: skip
    return xr.DataArray(values, dims=DIMS, coords=coords, attrs=attrs, name=NAME)


def _dims_of(name: str) -> Any:
    return {"position": "position", "base": "base", "letter": ("sequence", "position")}.get(name, "sequence")


class _Numbers:
    """Numbers by name, one a row."""

    def __init__(self) -> None:
        self._found: dict[str, dict[int, float]] = {}

    def add(self, unit: Unit, numbers: Mapping[str, Sequence[float]]) -> None:
        """Take those of a unit."""
        for name, own in numbers.items():
            self._found.setdefault(name, {}).update(zip(unit.rows, own, strict=True))

    def arrays(self, rows: int) -> dict[str, NDArray[np.float64]]:
        """One array a name."""
        return {name: np.array([own[row] for row in range(rows)]) for name, own in self._found.items()}


def _put(values: NDArray, numbers: _Numbers, unit: Unit, found: NDArray, own: Mapping[str, Sequence[float]]) -> None:
    values[unit.rows.start : unit.rows.stop, unit.first : unit.last] = found
    numbers.add(unit, own)


def _worst(numbers: Mapping[str, NDArray]) -> dict[str, float]:
    return {"completeness_gap": float(numbers["gap"].max())} if "gap" in numbers else {}


def _settings(layout: Layout, question: Question, units: Sequence[Unit]) -> dict[str, Any]:
    """All that the scores hang on, to be compared with an earlier run's."""
    weights = hashlib.sha256()
    for row in range(layout.shape[0]):
        weights.update(question.bound(row).weights.tobytes())
    return {
        **layout.attrs,
        "models": [of_model(model) for model in question.models],
        "sequences": f"{layout.shape[0]:,} of {layout.digest}",
        "weights of bins": weights.hexdigest()[:16],
        "places": hashlib.sha256(layout.coords["start"][1].tobytes()).hexdigest()[:16],
        "units": [len(units), *layout.shape],
    }


def _with_progress(units: Sequence[Unit], done: Any, progress: bool | None, doing: str) -> Any:
    from tqdm.auto import tqdm

    waiting = [number for number in range(len(units)) if number not in done]
    disable = (None if len(waiting) > 1 else True) if progress is None else not progress
    with tqdm(total=len(units), initial=len(units) - len(waiting), desc=doing, unit="part", disable=disable) as bar:
        for number in waiting:
            yield number
            bar.update()


def _write(layout: Layout, values: NDArray, numbers: Mapping[str, NDArray], path: Path) -> None:
    array = layout.array(values, numbers)
    ending = path.suffix.lower()
    if ending == ".zarr":
        chunks = (1, min(layout.shape[1], 1 << 16), 4)
        encoding = {NAME: {"chunks": chunks}, "letter": {"chunks": chunks[:2]}}
        array.to_dataset().to_zarr(path, mode="w", zarr_format=2, encoding=encoding, consolidated=True)
        return
    held = {name: coord.to_numpy() for name, coord in array.coords.items()}
    if ending == ".npz":
        np.savez_compressed(path, **{NAME: values}, **held, attrs=np.array(json.dumps(array.attrs)))
        return
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs.update(array.attrs)
        file.create_dataset(NAME, data=values)
        for name, own in held.items():
            text = own.astype("S1") if name in ("letter", "base") else own.astype(object)
            file.create_dataset(name, data=text if own.dtype.kind == "U" else own)
