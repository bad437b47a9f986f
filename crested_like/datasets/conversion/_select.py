"""What a conversion starts from: a dataset in any form, or some of its files, and the examples that are asked for."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from crested_like._errors import DatasetError
from crested_like.datasets._layout import Layout
from crested_like.datasets._open import open_dataset
from crested_like.datasets._source import Source, as_labels, check_label
from crested_like.datasets.formats._basenji import BasenjiDataset, Example

if TYPE_CHECKING:
    from numpy.typing import NDArray

Dataset: TypeAlias = BasenjiDataset | Source
Given: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Dataset"


@dataclass(frozen=True, eq=False)
class Selection:
    """Examples of a dataset: their windows, where ``source_index`` is the number within the label."""

    data: Dataset
    windows: pd.DataFrame

    @property
    def name(self) -> str:
        """Where the dataset is, as an absolute path; what it is, where it is in no file."""
        return str(path.resolve()) if (path := _path(self.data)) else type(self.data).__name__

    def examples(self, label: str, start: int, stop: int) -> Iterator[Example]:
        """The examples of a label from ``start`` to ``stop``."""
        if hasattr(self.data, "iter"):
            yield from self.data.iter(label, start=start, stop=stop)
            return
        for index in range(start, stop):
            codes, values = self.data.read(label, index)
            with np.errstate(over="ignore"):
                targets = values.astype(np.float16, copy=False)
            if not np.isfinite(targets).all():
                raise DatasetError(f"{self.name}: example {index} of {label} has targets that are no float16 numbers.")
            yield Example(codes, targets, label, index)

    def file_of(self) -> NDArray[np.intp]:
        """For each window the number of its file within the label, for those that are read together."""
        numbers = np.empty(len(self.windows), dtype=np.intp)
        for label, rows in self.windows.groupby("label", sort=False).indices.items():
            wanted = self.windows["source_index"].to_numpy()[rows]
            if isinstance(self.data, BasenjiDataset):
                numbers[rows] = np.searchsorted(self.data.file_starts(str(label)), wanted, side="right") - 1
            else:  # nothing is saved by reading some examples together
                numbers[rows] = wanted
        return numbers


def select(source: Given, subset: str | Sequence[str] | None, records_per_file: int | None) -> Selection:
    """The examples of a source, all or those of some splits.

    Parameters
    ----------
    source
        The folder of a dataset, a Zarr store, an HDF5 file, an opened dataset; or one or several TFRecord files of a
        dataset's folder, or a pattern that matches such.
    subset
        Splits to take, in that order; None for all.
    records_per_file
        Examples of a TFRecord file, as for :class:`BasenjiDataset`.

    Raises
    ------
    DatasetError
        If there is no such data or split, or files are of another split.
    """
    files = _record_files(source)
    if files:
        return _of_files(files, None if subset is None else as_labels(subset), records_per_file)
    data = open_any(source[0] if isinstance(source, list | tuple) else source, records_per_file)
    if not isinstance(data.layout, Layout):
        raise DatasetError(f"{_path(data) or data} has one value a track and no bins; it is read as it is.")
    labels = data.labels if subset is None else as_labels(subset)
    if len(set(labels)) < len(labels) or not labels:
        raise DatasetError(f"Name every split once, and one at least; got {', '.join(labels) or 'none'}.")
    tables = [data.windows(check_label(label, data.labels, _path(data) or data)) for label in labels]
    numbered = [table.assign(source_index=np.arange(len(table))) for table in tables]
    return Selection(data, pd.concat(numbered, ignore_index=True))


def open_any(source: Any, records_per_file: int | None = None) -> Dataset:
    """Open a dataset in whatever form it is; an opened one is returned.

    Raises
    ------
    DatasetError
        If it is none that is known.
    """
    if isinstance(source, str | os.PathLike) and (Path(source).expanduser() / "statistics.json").is_file():
        return BasenjiDataset(source, records_per_file=records_per_file)
    return source if isinstance(source, BasenjiDataset) else open_dataset(source)


def _record_files(source: Any) -> list[Path]:
    """TFRecord files that were named; none where a dataset was."""
    if not isinstance(source, str | os.PathLike | list | tuple):
        return []
    items = source if isinstance(source, list | tuple) else [source]
    matches = [_matches(Path(item).expanduser()) for item in items]
    files = [path for paths in matches for path in paths if path.suffix == ".tfr"]
    others = sum(map(len, matches)) - len(files)
    if not items or (others and (files or len(items) > 1)):
        raise DatasetError(f"Give one dataset, or TFRecord files (*.tfr) of one; got {', '.join(map(str, items))}.")
    return files


def _matches(path: Path) -> list[Path]:
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    found = [Path(name) for name in sorted(glob.glob(str(path)))]
    if not found:
        raise DatasetError(f"No file matches {path}.")
    return found


def _of_files(files: list[Path], labels: tuple[str, ...] | None, records_per_file: int | None) -> Selection:
    """The examples of some files of one dataset."""
    folders = {path.resolve().parent for path in files}
    folder = folders.pop().parent
    if folders or not (folder / "statistics.json").is_file():
        raise DatasetError(
            f"TFRecord files must lie in the folder tfrecords of one dataset, beside whose statistics.json and "
            f"sequences.bed they belong; {files[0]} and the others do not."
        )
    data = BasenjiDataset(folder, records_per_file=records_per_file)
    wanted: dict[str, set[int]] = {}
    for path in files:
        label, _, number = path.stem.rpartition("-")
        if labels is not None and label not in labels:
            raise DatasetError(f"{path.name} holds examples of {label!r}; {', '.join(labels)} were asked for.")
        if not number.isdecimal() or not path.is_file():
            raise DatasetError(f"There is no TFRecord file {path}, or it is not called like train-0.tfr.")
        wanted.setdefault(label, set()).add(int(number))
    tables = []
    for label, numbers in wanted.items():
        owner = np.repeat(np.arange(len(data.files(label))), data.record_counts(label))
        table = data.windows(label)
        tables.append(table[np.isin(owner, list(numbers))])
    return Selection(data, pd.concat(tables, ignore_index=True))


def _path(data: Dataset) -> Path | None:
    return data.folder if isinstance(data, BasenjiDataset) else getattr(data, "path", None)
