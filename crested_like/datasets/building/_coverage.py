"""Coverage along a genome, whatever file it is in: bigWig, BED or w5."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from crested_like._checks import one_of
from crested_like._errors import DatasetError, TrackError
from crested_like.datasets._layout import read_track_table, with_own_columns
from crested_like.datasets.building._intervals import Intervals
from crested_like.genome._bigwig import BigWig
from crested_like.genome._support import existing_file, listed, unknown_chromosome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crested_like.genome import Genome

log = logging.getLogger(__name__)

#: A track table, its path, or files by identifier.
AnyTracks: TypeAlias = "str | os.PathLike[str] | pd.DataFrame | Mapping[str, str | os.PathLike[str]]"

_HOW_TO_ALLOW = "Leave it out with chromosomes=, or take its coverage for 0 with missing_chromosomes='zero'."


class Coverage(ABC):
    """A file of coverage that stays open; made by :func:`open_coverage`, used by one thread at a time.

    Attributes
    ----------
    path
        The file.
    chromosomes
        Length in bp of each chromosome, as the file has it; None where it does not know, as a BED file.
    """

    def __init__(self, path: Path, chromosomes: Mapping[str, int] | None, *, lacking: str, nan: str):
        self.path = path
        self.chromosomes = None if chromosomes is None else MappingProxyType(dict(chromosomes))
        self._lacking, self._nan = lacking, nan
        self._told: set[str] = set()

    def __enter__(self) -> Coverage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def read(self, chrom: str, start: int, end: int) -> NDArray[np.float32]:
        """Coverage at each base of a stretch of a chromosome, 0-based half-open.

        Returns
        -------
        numpy.ndarray
            ``(end - start,)``, float32, the caller's own. NaN where the file has no data; 0 beyond the chromosome.

        Raises
        ------
        RegionError
            If the file does not have the chromosome, and such chromosomes do not count as zero.
        DatasetError
            If a value is infinite, or NaN where that is not taken for a lack of data; says where.
        """
        out = np.zeros(end - start, np.float32)
        size = end if self.chromosomes is None else self._size(chrom)
        low, high = max(start, 0), min(end, size)
        if low < high:
            out[low - start : high - start] = self._checked(self._values(chrom, low, high), chrom, low)
        return out

    def unlike(self, sizes: Mapping[str, int], genome: str) -> Iterator[str]:
        """What speaks against the file being of a genome with these chromosomes."""
        known = self.chromosomes or {}
        lacking = [chrom for chrom in sizes if chrom not in known]
        if lacking and (self._lacking != "zero" or len(lacking) == len(sizes)):
            yield f"{unknown_chromosome(lacking[0], known, str(self.path))} {_HOW_TO_ALLOW}"
        for chrom in (chrom for chrom in sizes if known.get(chrom, sizes[chrom]) != sizes[chrom]):
            yield (
                f"{self.path} has {known[chrom]:,} bp of {chrom}; genome {genome!r} has {sizes[chrom]:,}. "
                f"Is it of another assembly?"
            )
            return

    @abstractmethod
    def _values(self, chrom: str, low: int, high: int) -> NDArray[Any]:
        """Values of a stretch that lies on the chromosome."""

    def _size(self, chrom: str) -> int:
        known = self.chromosomes or {}
        if chrom not in known:
            if self._lacking != "zero":
                raise unknown_chromosome(chrom, known, str(self.path))
            if chrom not in self._told:
                log.warning("%s has no chromosome %s; its coverage there counts as 0.", self.path, chrom)
                self._told.add(chrom)
        return known.get(chrom, 0)

    def _checked(self, values: NDArray[Any], chrom: str, low: int) -> NDArray[Any]:
        bad = np.isinf(values)
        if bad.any():
            raise DatasetError(f"{self.path} is infinite at {chrom}:{low + int(bad.argmax()) + 1:,}.")
        return values


class _BigWigCoverage(Coverage):
    def __init__(self, path: Path, *, lacking: str, nan: str):
        self._file = BigWig(path)
        if nan == "error" and not self._file.finite:
            self._file.close()
            raise DatasetError(
                f"{path} holds values that are NaN or infinite, as its own summary shows. Write it anew without them, "
                f"or give nan='missing' to take NaN for a lack of data."
            )
        super().__init__(path, self._file.chromosomes, lacking=lacking, nan=nan)

    def _values(self, chrom: str, low: int, high: int) -> NDArray[np.float32]:
        return self._file.read(chrom, low, high)

    def close(self) -> None:
        self._file.close()


class _BedCoverage(Coverage):
    """1 in the intervals of a BED file and 0 elsewhere; the chromosomes it does not name have no intervals."""

    def __init__(self, path: Path, *, lacking: str, nan: str):
        self.intervals = Intervals.of(path)
        super().__init__(path, None, lacking=lacking, nan=nan)

    def unlike(self, sizes: Mapping[str, int], genome: str) -> Iterator[str]:
        if not set(self.intervals.chromosomes) & set(sizes):
            first = next(iter(self.intervals.chromosomes), "none")
            yield f"{self.path} has no intervals on {next(iter(sizes))} or any other chromosome used, but on {first}."
        for chrom, _, end in self.intervals:
            if end > sizes.get(chrom, end):
                yield (
                    f"{self.path} has an interval to {chrom}:{end:,}; {chrom} of genome {genome!r} has "
                    f"{sizes[chrom]:,} bp. Is it of another assembly?"
                )
                return

    def _values(self, chrom: str, low: int, high: int) -> NDArray[np.bool_]:
        return self.intervals.mask(chrom, low, high)

    def close(self) -> None:
        """Do nothing: the intervals are in memory."""


class _W5Coverage(Coverage):
    """HDF5 with one dataset a chromosome, of a value a base."""

    def __init__(self, path: Path, *, lacking: str, nan: str):
        import h5py

        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise DatasetError(f"{path} is no readable HDF5 file ({error}).") from None
        sizes = {
            name: len(item) for name, item in self._file.items() if isinstance(item, h5py.Dataset) and item.ndim == 1
        }
        if not sizes:
            self._file.close()
            raise DatasetError(f"{path} holds no coverage: a w5 file has one array of values a chromosome.")
        super().__init__(path, sizes, lacking="zero", nan=nan)

    def _values(self, chrom: str, low: int, high: int) -> NDArray[Any]:
        return self._file[chrom][low:high]

    def _checked(self, values: NDArray[Any], chrom: str, low: int) -> NDArray[Any]:
        bad = np.isnan(values)
        if self._nan == "error" and bad.any():
            raise DatasetError(
                f"{self.path} is NaN at {chrom}:{low + int(bad.argmax()) + 1:,}. Write it anew without such values, or "
                f"give nan='missing' to take them for a lack of data."
            )
        return super()._checked(values, chrom, low)

    def close(self) -> None:
        self._file.close()


#: Endings, in lower case and without that of gzip, and what reads such files.
_READERS: dict[str, Callable[..., Coverage]] = {
    **dict.fromkeys((".bw", ".bigwig"), _BigWigCoverage),
    **dict.fromkeys((".bed", ".narrowpeak", ".broadpeak"), _BedCoverage),
    **dict.fromkeys((".w5", ".h5", ".hdf5", ".wdf5"), _W5Coverage),
}


def open_coverage(path: str | os.PathLike[str], *, missing_chromosomes: str = "error", nan: str = "error") -> Coverage:
    """Open a file of coverage, known by its ending.

    Parameters
    ----------
    path
        bigWig (``.bw``, ``.bigwig``); intervals that count 1 (``.bed``, ``.narrowpeak``, ``.broadpeak``, also with
        ``.gz``); or w5 (``.w5``, ``.h5``, ``.hdf5``, ``.wdf5``): HDF5 with one array a chromosome.
    missing_chromosomes
        What reading a chromosome does that a bigWig file does not have: an ``"error"``, or ``"zero"`` with a warning.
        In a BED file such chromosomes have no intervals; in a w5 file they always are zero, with a warning.
    nan
        What a NaN is that is stored in the file: an ``"error"``, or ``"missing"`` data, as bases are that a bigWig
        file leaves out. In bigWig files it is looked for in their own summary only, which counts the whole file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DatasetError
        If the ending stands for no format, the file is damaged, or a bigWig file has values that are not finite.

    Examples
    --------
    >>> with open_coverage("liver.bw") as coverage:  # doctest: +SKIP
    ...     coverage.read("chr1", 1000, 1032).shape
    (32,)
    """
    one_of("missing_chromosomes", missing_chromosomes, ("error", "zero"))
    one_of("nan", nan, ("error", "missing"))
    found = existing_file(path, "Coverage file")
    ending = Path(found.name.lower().removesuffix(".gz").removesuffix(".bgz")).suffix
    if ending not in _READERS:
        raise DatasetError(f"{found} has no ending of coverage; known are {', '.join(_READERS)}.")
    return _READERS[ending](found, lacking=missing_chromosomes, nan=nan)


def track_files(tracks: AnyTracks) -> tuple[pd.DataFrame, list[Path]]:
    """Track table, and the coverage file of each track.

    Parameters
    ----------
    tracks
        A ``targets.txt`` or a table with the columns ``identifier`` and ``file``, or files by identifier. Paths are
        relative to the folder of ``targets.txt``, else to the working directory.

    Raises
    ------
    TrackError
        If there is no table, no column ``file``, or a track without one.
    """
    folder = Path()
    if isinstance(tracks, pd.DataFrame):
        table = with_own_columns(tracks)
    elif isinstance(tracks, Mapping):
        table = with_own_columns(pd.DataFrame({"identifier": list(tracks), "file": list(map(str, tracks.values()))}))
    else:
        table, folder = read_track_table(tracks), Path(tracks).expanduser().parent
    if "file" not in table or table["file"].isna().any():
        lacking = (
            "no column 'file'" if "file" not in table else f"{int(table['file'].isna().sum()):,} empty cells in it"
        )
        raise TrackError(
            f"The track table must name the coverage file of each track in a column 'file'; it has {lacking}. Its "
            f"columns are {', '.join(map(str, table.columns))}."
        )
    return table, [folder / Path(str(file)).expanduser() for file in table["file"]]


def check_files(
    files: Sequence[Path], names: Sequence[str], genome: Genome, chromosomes: Iterable[str], **options: str
) -> None:
    """Open each file once, and make sure that it is of the genome.

    Parameters
    ----------
    files, names
        Of the tracks.
    genome, chromosomes
        What is going to be read.
    options
        As for :func:`open_coverage`.

    Raises
    ------
    DatasetError
        If a file is missing or damaged, lacks a chromosome, or has one of another length; lists the first ten.
    """
    wanted = {chrom: genome.chromosomes[chrom] for chrom in chromosomes}
    problems = []
    for file, name in zip(files, names, strict=True):
        try:
            with open_coverage(file, **options) as coverage:
                problems += [f"{name}: {problem}" for problem in coverage.unlike(wanted, genome.name)]
        except (OSError, ValueError) as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise DatasetError(f"Coverage files cannot be used:\n{listed(problems)}")
