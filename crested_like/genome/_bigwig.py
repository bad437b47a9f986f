"""Numbers along a genome: bigWig files, through pybigtools."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain
from operator import index as index_of
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crested_like._atomic import atomic_path
from crested_like._errors import RegionError
from crested_like.genome._support import existing_file, genomics_package, unknown_chromosome

_MAGIC = (b"\x26\xfc\x8f\x88", b"\x88\x8f\xfc\x26")  # of either byte order

Interval = tuple[str, int, int, float]


def write_bigwig(path: str | os.PathLike[str], chrom_sizes: Mapping[str, int], intervals: Iterable[Interval]) -> None:
    """Write values along a genome as a bigWig file.

    Intervals are taken one at a time, so they may come from a generator. The file appears only when it is complete.

    Parameters
    ----------
    path
        File to write; an existing one is replaced.
    chrom_sizes
        Length of each chromosome in bp, for example ``genome.chromosomes``.
    intervals
        ``(chrom, start, end, value)``, 0-based half-open. All of one chromosome must come together and in order; they
        must not overlap. Chromosomes may come in any order, but sorted by name if there are more than 256. NaN means
        no data and is left out.

    Raises
    ------
    RegionError
        If an interval is empty, off its chromosome, out of order or overlaps the one before, a value is infinite or
        too large for a 32-bit float, or there is nothing to write.
    BackendError
        If pybigtools is not installed.

    Examples
    --------
    >>> write_bigwig("coverage.bw", {"chr1": 1000}, [("chr1", 0, 32, 1.5), ("chr1", 32, 64, 0.25)])  # doctest: +SKIP
    """
    pybigtools = genomics_package("pybigtools", "write bigWig files")
    sizes = {chrom: int(size) for chrom, size in chrom_sizes.items()}
    stream = _Checked(intervals, sizes)
    records = iter(stream)
    # pybigtools prints what it does not like to stderr and returns as if all were well (0.3.0), or waits for ever at
    # an empty interval. So it is given nothing that it could refuse, and what stopped the stream is raised afterwards.
    first = next(records, None)
    if stream.error is not None:
        raise stream.error
    if first is None:
        raise RegionError(
            f"There are no values to write to {os.fspath(path)}: a bigWig file needs at least one interval."
        )
    with atomic_path(path, suffix=".bw") as temporary:
        try:
            pybigtools.open(str(temporary), "w").write(sizes, chain([first], records))
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # a Rust thread died; no Exception, and not importable
                raise _incomplete(path) from error
            raise
        if stream.error is not None:
            raise stream.error
        _check_written(pybigtools, temporary, stream, path)


class _Checked:
    """An iterator that ends at the first bad interval and remembers why."""

    def __init__(self, intervals: Iterable[Interval], sizes: Mapping[str, int]):
        self.intervals = intervals
        self.sizes = sizes
        self.done: set[str] = set()
        self.last: Interval | None = None
        self.ended = False
        self.by_name = True
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[Interval]:
        try:
            yield from self._valid()
            self.ended = True
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - the Rust caller would swallow it; write_bigwig raises it
            self.error = error

    def _valid(self) -> Iterator[Interval]:
        chrom, size, end = "", 0, 0
        for index, (new_chrom, new_start, new_end, number) in enumerate(self.intervals):
            start, stop, value = index_of(new_start), index_of(new_end), float(number)
            if new_chrom != chrom:
                self.done.add(chrom)
                chrom, size, end = str(new_chrom), self._size(new_chrom, index), 0
            if not end <= start < stop <= size or not abs(value) <= _LARGEST:
                if value != value and 0 <= start < stop <= size and start >= end:
                    continue
                raise RegionError(
                    f"Interval {index:,} ({chrom}, {start}, {stop}, {value}) {_why(start, stop, end, size)}"
                )
            end = stop
            self.last = (chrom, start, stop, value)
            yield self.last

    def _size(self, chrom: str, index: int) -> int:
        if chrom not in self.sizes:
            raise RegionError(f"Interval {index:,}: {unknown_chromosome(chrom, self.sizes, 'chrom_sizes')}")
        if chrom in self.done:
            raise RegionError(f"Interval {index:,} is on {chrom}, which was left before. Sort intervals by chromosome.")
        self.by_name = self.by_name and chrom > max(self.done)
        if len(self.done) > _LEAF and not self.by_name:  # done also holds the "" from before the first one
            raise RegionError(
                f"Interval {index:,} is on {chrom}, the chromosome number {len(self.done):,}, and they are not sorted "
                f"by name. A bigWig file of more than {_LEAF} chromosomes can only be searched if they are."
            )
        return self.sizes[chrom]


_LEAF = 256  # chromosomes in a node of the file's tree of names; within one, readers look at all of them
_LARGEST = float(np.finfo(np.float32).max)


def _why(start: int, stop: int, end: int, size: int) -> str:
    if start >= stop:
        return "has no bases: its end must be greater than its start."
    if start < 0 or stop > size:
        return f"is not within its chromosome, {size:,} bp."
    if start < end:
        return (
            f"overlaps or comes before the one before it, which ends at {end}. Sort intervals; each base has one value."
        )
    return "has a value that a bigWig file (32-bit floats) cannot hold."


def _check_written(pybigtools: Any, temporary: Path, stream: _Checked, path: str | os.PathLike[str]) -> None:
    """Read the end back: the writer reports no error of its own, such as a full disk."""
    last = stream.last
    problem: Exception | None = None
    if stream.ended and last is not None:
        chrom, _, stop, value = last
        try:
            with BigWig(temporary) as file:
                if file.read(chrom, stop - 1, stop)[0] == np.float32(value):
                    return
        except (OSError, LookupError, ValueError, pybigtools.BBIReadError) as error:
            problem = error
    raise _incomplete(path) from problem


def _incomplete(path: str | os.PathLike[str]) -> OSError:
    return OSError(f"The bigWig file {os.fspath(path)} could not be written completely. Is the disk full?")


def read_bigwig(path: str | os.PathLike[str], chrom: str, start: int, end: int) -> NDArray[np.float32]:
    """Values of a bigWig file at each base of a stretch of a chromosome.

    Parameters
    ----------
    path
        bigWig file.
    chrom, start, end
        0-based half-open; may reach beyond the chromosome.

    Returns
    -------
    numpy.ndarray
        ``(end - start,)``, float32; NaN where the file has no value, and beyond the chromosome.

    Raises
    ------
    RegionError
        If the file does not have the chromosome, or ``end`` is before ``start``.
    OSError
        If there is no such file, or it is no bigWig file.
    BackendError
        If pybigtools is not installed.

    Examples
    --------
    >>> read_bigwig("coverage.bw", "chr1", 0, 64).mean()  # doctest: +SKIP
    0.875
    """
    with BigWig(path) as file:
        return file.read(chrom, start, end)


class BigWig:
    """A bigWig file that stays open for many reads, by one thread at a time.

    Attributes
    ----------
    path
        The file.
    chromosomes
        Length in bp of each chromosome.

    Raises
    ------
    OSError
        If there is no such file, or it is no bigWig file.
    BackendError
        If pybigtools is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]):
        pybigtools = genomics_package("pybigtools", "read bigWig files")
        self.path = existing_file(path, "bigWig file")
        with ExitStack() as stack:
            raw = stack.enter_context(self.path.open("rb"))
            if raw.read(4) not in _MAGIC:  # pybigtools would also say so on stderr
                raise OSError(f"{self.path} is no bigWig file.")
            raw.seek(0)  # handed over as it is where its name has another ending than pybigtools wants
            self._file: Any = pybigtools.open(str(self.path) if self.path.suffix in (".bw", ".bigWig") else raw)
            stack.callback(self._file.close)
            self.chromosomes: dict[str, int] = dict(self._file.chroms())
            self._stack = stack.pop_all()

    def __enter__(self) -> BigWig:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    @property
    def finite(self) -> bool:
        """Whether all values are finite, as far as the file's own summary says."""
        summary = self._file.info().get("summary") or {}
        return all(math.isfinite(summary.get(name, 0.0)) for name in ("sum", "min", "max"))

    def read(self, chrom: str, start: int, end: int) -> NDArray[np.float32]:
        """Values at each base of a stretch, as :func:`read_bigwig` gives them."""
        if end < start:
            raise RegionError(f"A stretch must not end before it starts; got {chrom}, start {start:,}, end {end:,}.")
        if chrom not in self.chromosomes:
            raise unknown_chromosome(chrom, self.chromosomes, str(self.path))
        out = np.full(end - start, math.nan, np.float32)
        low, high = max(start, 0), min(end, self.chromosomes[chrom])
        if low < high:
            out[low - start : high - start] = self._values(chrom, low, high)
        return out

    def _values(self, chrom: str, low: int, high: int) -> Any:
        try:
            return self._file.values(chrom, low, high, fillna=None)  # leaves NaN where the file has no value
        except TypeError:  # before 0.3
            return self._file.values(chrom, low, high, missing=math.nan)
