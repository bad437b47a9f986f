"""HDF5 files for text models: a group an example, with the bases as text. GENA-LM's converter made this layout.

Groups are called ``0``, ``1``, ``2`` and so on; each holds ``seq``, a text, and ``target``, ``(bins, tracks)`` float32,
and has the attribute ``coordinates``, ``chrom:start-end``, counted from 1 with the end included. That is all that the
original has. Here the file and its groups carry more attributes, which its readers pass over.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crested_like import _hdf5
from crested_like._errors import DatasetError
from crested_like._tracks import tracks_of
from crested_like.datasets._layout import FORMAT_VERSION, WINDOW_COLUMNS, Layout
from crested_like.datasets._letters import codes_of
from crested_like.datasets._source import as_labels, check_label
from crested_like.datasets.formats._arrays import attributes_of
from crested_like.datasets.formats._arrays_write import describe
from crested_like.datasets.formats._basenji import Example, one_hot_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crested_like.datasets._writing import Block, Written

_LETTERS = np.frombuffer(b"ACGTN", dtype="S1")
_ENDINGS = (".h5", ".hdf5")


class TextFiles:
    """A container of the format ``"text-hdf5"``: one file for one label, or a folder with a file for each."""

    resumable = False
    per_block = 16

    def __init__(self, layout: Layout, windows: pd.DataFrame):
        self._layout, self._windows = layout, windows
        self._files: dict[str, _hdf5.NewFile] = {}
        self._lock = threading.Lock()
        self._first = {str(label): int(rows[0]) for label, rows in windows.groupby("label", sort=False).indices.items()}

    def open(self, path: Path, *, fresh: bool) -> None:
        if len(self._first) == 1:
            places = dict.fromkeys(self._first, path)
        elif path.suffix.lower() in _ENDINGS:
            raise DatasetError(
                f"{path.name} would be one file, and a text file holds one split; here are {', '.join(self._first)}. "
                f"Choose one (subset=...), or give the name of a folder for one file a split."
            )
        else:
            path.mkdir()
            places = {label: path / f"{label}.h5" for label in self._first}
        for label, place in places.items():
            self._files[label] = file = _hdf5.NewFile(place)
            describe(file.root, {"format_version": FORMAT_VERSION, **self._layout.facts(), "label": label})

    def write(self, block: Block, number: int, examples: Iterator[Written]) -> None:
        file = self._files[block.label]
        for row, (codes, targets, _) in enumerate(examples, start=block.start):
            with self._lock:
                group = file.root.create_group(str(row - self._first[block.label]))
                describe(group, _attributes(self._windows.iloc[row]))
                group.create_dataset("seq", data=_LETTERS[codes].tobytes().decode())
                stored = group.create_dataset(
                    "target", targets.shape, np.float32, compression="gzip", compression_opts=_hdf5.LEVEL
                )
            _hdf5.write(stored, (), targets)
            file.check()

    def finish(self, facts: Mapping[str, Any]) -> None:
        for file in self._files.values():
            describe(file.root, facts)

    def close(self) -> None:
        with ExitStack() as stack:  # all of them, though one fails
            for file in self._files.values():
                stack.callback(file.close)


def _attributes(window: pd.Series) -> dict[str, Any]:
    found = {name: window[name] for name in WINDOW_COLUMNS if name != "label"}
    plain = {name: value if isinstance(value, str) else int(value) for name, value in found.items()}
    return {"coordinates": f"{plain['chrom']}:{plain['start'] + 1}-{plain['end']}", **plain}


class TextDataset:
    """Training data as text in one HDF5 file, made here or by GENA-LM's converter.

    Parameters
    ----------
    path
        The file.
    pool_width
        Bases of a bin, for a file that does not say it; the targets are taken to lie in the middle of the sequence.
    tracks
        Track table, or the path of one: the file names no tracks, which are otherwise called ``track_0`` and so on.
    label
        Name of the split, for a file that does not say it.

    Attributes
    ----------
    layout
        What all examples have in common.
    attributes
        Facts that were kept with the dataset.

    Raises
    ------
    DatasetError
        If the file has another layout, or lacks the width of a bin and none is given.

    Examples
    --------
    >>> data = TextDataset("train.h5", tracks="targets.txt")  # doctest: +SKIP
    >>> codes, targets = data.read("train", 0)  # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        pool_width: int | None = None,
        tracks: object = None,
        label: str | None = None,
    ):
        self.path = Path(path).expanduser()
        self._opened: tuple[int, Any] = (0, None)
        self._lock = threading.Lock()
        file = self._file()
        self.attributes = attributes_of(file)
        self._numbers = sorted(int(name) for name in file if name.isdecimal())  # by name, 10 comes before 2
        self.labels = (str(label or self.attributes.get("label", "train")),)
        pool_width = self.attributes.get("pool_width", pool_width)
        if not self._numbers or pool_width is None:
            problem = (
                "has no groups 0, 1, 2 ..." if not self._numbers else "does not say how wide a bin is: pool_width="
            )
            raise DatasetError(f"{self.path} {problem}.")
        self.layout = self._layout(file, int(pool_width), tracks)

    def __repr__(self) -> str:
        return f"TextDataset({str(self.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_opened", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _opened=(0, None), _lock=threading.Lock())

    def _file(self) -> Any:
        """The open file of this process; a child must not share its parent's."""
        import h5py

        with self._lock:
            if self._opened[0] != os.getpid():
                try:
                    self._opened = (os.getpid(), h5py.File(self.path, "r"))
                except OSError as error:
                    raise DatasetError(f"{self.path} is no HDF5 file that can be read ({error}).") from None
            return self._opened[1]

    def _layout(self, file: Any, pool_width: int, tracks: object) -> Layout:
        first = file[str(self._numbers[0])]
        if missing := [name for name in ("seq", "target") if name not in first]:
            raise DatasetError(f"{self.path}: group {self._numbers[0]} has no {' and no '.join(missing)}.")
        bins, count = first["target"].shape
        names = [f"track_{number}" for number in range(count)] if tracks is None else tracks
        window = _window(first, pool_width * bins)
        layout = Layout(
            seq_length=len(first["seq"][()]),
            pool_width=pool_width,
            target_length=bins,
            tracks=tracks_of(names),
            crop_bp=window["target_start"] - window["start"],
            assembly=self.attributes.get("assembly"),
            transform=self.attributes.get("transform"),
        )
        if layout.num_targets != count:
            raise DatasetError(f"{self.path} has {count:,} tracks; {layout.num_targets:,} names were given.")
        return layout

    @cached_property
    def _table(self) -> pd.DataFrame:
        file = self._file()
        with _hdf5.lock():
            rows = [_window(file[str(number)], self.layout.target_bp) for number in self._numbers]
        table = pd.DataFrame(rows).assign(label=self.labels[0])
        if "source_index" not in table:
            table["source_index"] = self._numbers
        return table[list(WINDOW_COLUMNS)]

    def windows(self, label: str) -> pd.DataFrame:
        """Where the examples lie, 0-based half-open, in their order."""
        check_label(label, self.labels, self.path)
        return self._table

    def count(self, label: str) -> int:
        """How many examples there are."""
        check_label(label, self.labels, self.path)
        return len(self._numbers)

    def read(self, label: str, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Return one example: index codes ``(L,)``, uint8, and targets ``(bins, tracks)``, float16.

        Raises
        ------
        DatasetError
            If it has another size than the first one.
        """
        check_label(label, self.labels, self.path)
        file = self._file()
        with _hdf5.lock():
            group = file[str(self._numbers[index])]
            text, values = group["seq"][()], group["target"][()]
        codes, targets = codes_of(text.decode()), values.astype(np.float16)
        if codes.shape != (self.layout.seq_length,) or targets.shape != (
            self.layout.target_length,
            self.layout.num_targets,
        ):
            raise DatasetError(
                f"{self.path}: group {self._numbers[index]} has another size than group {self._numbers[0]}."
            )
        return codes, targets

    def iter(self, label: str, *, one_hot: bool = False, start: int = 0, stop: int | None = None) -> Iterator[Example]:
        """Yield the examples in stored order, or those from ``start`` to ``stop``; see :class:`ArrayDataset`."""
        for index in range(*slice(start, stop).indices(self.count(label))):
            codes, targets = self.read(label, index)
            yield Example(one_hot_rows(codes) if one_hot else codes, targets, label, index)

    def order(self, labels: str | Sequence[str], rng: np.random.Generator) -> NDArray[np.intp]:
        """A shuffled order of the examples."""
        return rng.permutation(sum(map(self.count, as_labels(labels))))


def _window(group: Any, target_bp: int) -> dict[str, Any]:
    """Where an example lies, from the attributes of our own files or, failing that, from its coordinates."""
    found = {name: group.attrs[name] for name in WINDOW_COLUMNS if name in group.attrs}
    if not found:
        chrom, _, positions = str(group.attrs["coordinates"]).rpartition(":")
        start, end = (int(number) for number in re.fullmatch(r"(-?\d+)-(\d+)", positions).groups())
        centre = (start - 1 + end) // 2
        target_start = centre - target_bp // 2
        found = {"chrom": chrom, "start": start - 1, "end": end, "target_start": target_start}
        found["target_end"] = target_start + target_bp
    return {name: value if isinstance(value, str) else int(value) for name, value in found.items()}
