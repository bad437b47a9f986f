"""Writing a dataset block by block, in any of its formats: whole, or nothing that looks complete."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import pandas as pd

from crested_like._checks import one_of, positive_int
from crested_like._errors import DatasetError, DatasetWriteError
from crested_like._unfinished import Unfinished
from crested_like.datasets._layout import Layout, check_windows, digest

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

#: Codes ``(L,)`` uint8, targets ``(bins, tracks)`` float16, and ``(bins,)`` bool or None.
Written: TypeAlias = "tuple[NDArray[np.uint8], NDArray[np.float16], NDArray[np.bool_] | None]"

#: Formats, in the order in which they are listed to users.
FORMATS = ("tfrecord", "zarr", "hdf5", "text-hdf5")


@dataclass(frozen=True)
class Block:
    """Examples that are written together: rows ``start`` to ``stop`` of the table of windows, of one label."""

    label: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class Container(Protocol):
    """One format: how a dataset lies in a file or folder."""

    #: Whether a run that was interrupted can go on where it stopped.
    resumable: bool
    #: Examples of a block.
    per_block: int

    def open(self, path: Path, *, fresh: bool) -> None:
        """Make an empty dataset at a path, or open the unfinished one that is there."""

    def write(self, block: Block, number: int, examples: Iterator[Written]) -> None:
        """Write a block, the ``number``-th of its label. Several threads may do so for different blocks."""

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Add what belongs to the dataset as a whole."""

    def close(self) -> None:
        """Release files, whether finished or not."""


def open_writer(
    out: str | os.PathLike[str],
    format: str,
    layout: Layout,
    windows: pd.DataFrame,
    *,
    attributes: Mapping[str, Any] | None = None,
    per_file: int = 256,
    resume: bool = True,
) -> Writer:
    """A writer for a new dataset, to be used as a context manager.

    Parameters
    ----------
    out
        Folder or file to write. Until it is complete the dataset is in a folder ``<out>.partial`` beside it.
    format
        ``"tfrecord"``: the folder of Basenji and Baskerville; ``"zarr"`` or ``"hdf5"``: arrays; ``"text-hdf5"``:
        sequences as text, one group an example.
    layout, windows
        What is going to be written. The rows of a label follow each other, in the order of its examples.
    attributes
        Facts to keep with the dataset, as plain values: where it is from, and how it was made.
    per_file
        Examples of a TFRecord file.
    resume
        Whether to go on where an interrupted run with the same settings stopped, if the format allows it. HDF5 files
        start anew.

    Raises
    ------
    FileExistsError
        If ``out`` is there already.
    DatasetError
        If layout and windows do not fit each other or the format, or an unfinished run had other settings.

    Examples
    --------
    >>> with open_writer("out.zarr", "zarr", layout, windows) as writer:  # doctest: +SKIP
    ...     for block in writer.missing():
    ...         writer.write_block(block, examples(block))
    """
    one_of("format", format, FORMATS)
    windows = check_windows(windows, layout)
    container = _container(format, layout, windows, positive_int("per_file", per_file))
    return Writer(Path(out).expanduser(), format, container, layout, windows, dict(attributes or {}), resume)


def _container(format: str, layout: Layout, windows: pd.DataFrame, per_file: int) -> Container:
    if format == "tfrecord":
        from crested_like.datasets.formats._folder_write import Folder

        return Folder(layout, windows, per_file)
    if format == "text-hdf5":
        from crested_like.datasets.formats._text_hdf5 import TextFiles

        return TextFiles(layout, windows)
    from crested_like.datasets.formats import _arrays_write

    return (_arrays_write.ZarrArrays if format == "zarr" else _arrays_write.Hdf5Arrays)(layout, windows)


class Writer:
    """Writes the blocks of a dataset; made by :func:`open_writer`.

    Left without an error, the dataset gets its name in one step. Otherwise what was done stays in ``<out>.partial`` for
    the next run, or is removed where the format cannot be resumed or nothing was done.

    Attributes
    ----------
    blocks
        All blocks of the dataset, in the order of its windows.
    """

    def __init__(
        self,
        out: Path,
        format: str,
        container: Container,
        layout: Layout,
        windows: pd.DataFrame,
        attributes: dict[str, Any],
        resume: bool,
    ):
        self.out, self.layout, self.windows = out, layout, windows
        self._container, self._attributes, self._resume = container, attributes, resume and container.resumable
        self._numbered = dict(_blocks(windows["label"], container.per_block))
        self.blocks = list(self._numbered)
        self._settings = {
            **attributes,
            **layout.facts(),
            "format": format,
            "examples of a block": container.per_block,
            "tracks": digest(layout.tracks),
            "windows": digest(windows),
        }
        self._unfinished = Unfinished(out)
        self._done: dict[Block, Any] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Writer:
        try:
            marks = self._unfinished.open(self._settings, resume=self._resume)
            self._done = {Block(**mark["block"]): mark["note"] for mark in marks}
            self._open()
        except (FileExistsError, FileNotFoundError):  # which say what is in the way
            raise
        except OSError as problem:
            raise self._failure(problem) from problem
        return self

    def _open(self) -> None:
        try:
            self._container.open(self._unfinished.path, fresh=not self._done)
        except BaseException:
            with contextlib.suppress(OSError):  # it would be the same one
                self._container.close()
            self._unfinished.leave(keep=self._kept)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        complete = False
        try:
            try:
                if kind is None:
                    self._finish()
            finally:
                self._container.close()
            if kind is None:
                self._unfinished.commit()
                complete = True
        except (FileExistsError, DatasetWriteError):
            raise
        except OSError as problem:
            raise self._failure(problem) from problem
        finally:
            if not complete:
                self._unfinished.leave(keep=self._kept)
                if self._kept and not isinstance(error, DatasetWriteError):  # which says so itself
                    logger.warning("%s is not complete. %s", self.out, self._going_on())

    def _going_on(self) -> str:
        folder = self._unfinished.folder
        return f"What is done is kept in {folder}: run the same again to go on, or delete that folder."

    @property
    def _kept(self) -> bool:
        """Whether there is something that a later run could go on from."""
        return self._container.resumable and bool(self._done)

    def _failure(self, error: OSError) -> DatasetWriteError:
        kept = self._going_on() if self._kept else "Nothing is left of it."
        return DatasetWriteError(f"Cannot write {self.out}: {error.strerror or error}. {kept}")

    def _finish(self) -> None:
        if missing := self.missing():
            raise DatasetError(
                f"{self.out}: {len(missing):,} of {len(self.blocks):,} blocks were not written, the first of label "
                f"{missing[0].label!r} from row {missing[0].start:,}."
            )
        self._container.finish(self._attributes)

    def missing(self) -> list[Block]:
        """Blocks that neither this run nor an earlier, interrupted one has written."""
        return [block for block in self.blocks if block not in self._done]

    def notes(self) -> list[Any]:
        """What was noted of the blocks that are written, by earlier runs too."""
        return [self._done[block] for block in self.blocks if block in self._done]

    def record(self, **facts: Any) -> None:
        """Add facts, as plain values, to those that are kept with the dataset."""
        self._attributes.update(facts)

    def write_block(
        self, block: Block, examples: Iterable[Written], *, note: Callable[[], Mapping[str, Any]] | None = None
    ) -> None:
        """Write a block and mark it as done. Different blocks may be written by different threads.

        Parameters
        ----------
        block
            One of ``missing()``.
        examples
            For each row of the block, in order: index codes ``(L,)`` uint8, targets ``(bins, tracks)`` float16, and
            which bins are unmappable, ``(bins,)`` bool, or None. They are taken one at a time.
        note
            Called when the block is written, for plain values that :meth:`notes` gives back, in a later run too.

        Raises
        ------
        DatasetError
            If there are more or fewer examples than rows, or one has another shape or type.
        OSError
            If the disk is full, or for another reason cannot be written to.
        """
        try:
            self._container.write(block, self._numbered[block], self._checked(block, _read(examples)))
            noted = dict(note()) if note else {}
            with self._lock:
                self._unfinished.mark({"block": asdict(block), "note": noted})
                self._done[block] = noted
        except _ReadError as error:
            raise error.problem  # noqa: B904 - it has its own cause
        except OSError as error:
            raise self._failure(error) from error

    def _checked(self, block: Block, examples: Iterator[Written]) -> Iterator[Written]:
        count = 0
        for count, (codes, targets, unmappable) in enumerate(examples, start=1):
            if count > len(block):
                break
            problem = (
                _mismatch("sequence", codes, np.uint8, (self.layout.seq_length,))
                or _mismatch("targets", targets, np.float16, (self.layout.target_length, self.layout.num_targets))
                or (unmappable is not None and _mismatch("unmappable", unmappable, bool, (self.layout.target_length,)))
            )
            if problem:
                raise DatasetError(f"{self._place(block.start + count - 1)}: {problem}")
            yield codes, targets, unmappable
        if count != len(block):
            more = f"more than {len(block):,}" if count > len(block) else f"only {count:,}"
            raise DatasetError(f"{self._place(block.start)}: {more} examples were given for {len(block):,} windows.")

    def _place(self, row: int) -> str:
        window = self.windows.iloc[row]
        return f"Window {window['chrom']}:{window['start']:,}-{window['end']:,} ({window['label']}, row {row:,})"


class _ReadError(Exception):
    """An example could not be read, which is no failure to write."""

    def __init__(self, problem: OSError):
        self.problem = problem


def _read(examples: Iterable[Written]) -> Iterator[Written]:
    try:
        yield from examples
    except OSError as error:
        raise _ReadError(error) from error


def _blocks(labels: pd.Series, size: int) -> Iterator[tuple[Block, int]]:
    """Each block with its number within the label."""
    start = 0
    for label, count in labels.groupby(labels, sort=False).size().items():
        for number, first in enumerate(range(start, start + count, size)):
            yield Block(str(label), first, min(first + size, start + count)), number
        start += count


def _mismatch(name: str, array: NDArray, dtype: Any, shape: tuple[int, ...]) -> str:
    if array.shape == shape and array.dtype == dtype:
        return ""
    return f"{name} must be {np.dtype(dtype).name} of shape {shape}; got {array.dtype} of shape {array.shape}."
