"""A genome: a FASTA file read at random positions, and the ones registered for use by name."""

from __future__ import annotations

import hashlib
import logging
import operator
import os
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from crested_like._atomic import atomic_path
from crested_like._errors import RegionError, SequenceError
from crested_like.genome._support import GZIP, existing_file, genomics_package, unknown_chromosome

logger = logging.getLogger(__name__)


class Genome:
    """A reference genome in a FASTA file, plain or compressed with bgzip.

    The file is opened at the first use. An index that is missing (``.fai``, and ``.gzi`` for bgzip) is built once:
    beside the file, or, where that folder cannot be written, in ``CRESTED_LIKE_DATA_DIR`` or the user's cache folder.
    A genome can be pickled, and used by several threads and after a fork: each has a handle of its own.

    Parameters
    ----------
    fasta
        Path of a ``.fa`` or a bgzip-compressed ``.fa.gz`` file.
    name
        What to call it; by default the file's name without its endings.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    SequenceError
        If it is no FASTA file, or compressed with plain gzip.
    BackendError
        At the first use, if pysam is not installed.

    Examples
    --------
    >>> genome = Genome("hg38.fa.gz")  # doctest: +SKIP
    >>> genome.fetch("chr1", 10_000, 10_010)  # doctest: +SKIP
    'TAACCCTAAC'
    """

    def __init__(self, fasta: str | os.PathLike[str], *, name: str | None = None):
        self.path = Path(os.path.abspath(existing_file(fasta, "FASTA file")))
        self.name = name or _name_of(self.path)
        self._compressed = _is_bgzip(self.path)
        self._sizes: dict[str, int] | None = None
        self._local = threading.local()

    def __repr__(self) -> str:
        return f"Genome({str(self.path)!r}, name={self.name!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._local = threading.local()

    @property
    def chromosomes(self) -> dict[str, int]:
        """Length in bp of each chromosome, in the file's order."""
        return dict(self._chromosomes())

    def fetch(self, chrom: str, start: int, end: int) -> str:
        """Letters of a stretch of a chromosome, in the file's case.

        Parameters
        ----------
        chrom
            Name as in the file.
        start, end
            0-based half-open; bases before 0 and beyond the chromosome's end are N.

        Returns
        -------
        str
            ``end - start`` letters.

        Raises
        ------
        RegionError
            If the genome does not have the chromosome, or ``end`` is before ``start``.
        """
        start, end = operator.index(start), operator.index(end)
        if end < start:
            raise RegionError(f"A stretch must not end before it starts; got {chrom}, start {start:,}, end {end:,}.")
        sizes = self._chromosomes()
        if chrom not in sizes:
            raise unknown_chromosome(str(chrom), sizes, f"genome {self.name!r}")
        low, high = (min(max(position, 0), sizes[chrom]) for position in (start, end))
        if low == high:  # wholly before the start or beyond the end
            return "N" * (end - start)
        return "N" * (low - start) + self._read(chrom, low, high) + "N" * (end - high)

    def _read(self, chrom: str, low: int, high: int) -> str:
        problem: Exception | None = None
        try:
            letters: str = self._handle().fetch(chrom, low, high)
            if len(letters) == high - low:
                return letters
        except ValueError as error:
            problem = error
        raise SequenceError(
            f"{self.path} does not have the {high - low:,} bases {chrom}:{low + 1}-{high} where its index says. "
            f"It was cut off, or the index belongs to another version of it: delete {self.path.name}.fai (and .gzi)."
        ) from problem

    def _chromosomes(self) -> dict[str, int]:
        if self._sizes is None:
            handle = self._handle()
            self._sizes = dict(zip(handle.references, handle.lengths, strict=True))
        return self._sizes

    def _handle(self) -> Any:
        """The open file of this thread; a child process must not share its parent's position in the file."""
        pid, handle = getattr(self._local, "opened", (None, None))
        if pid != os.getpid():
            handle = _open(self.path, self._compressed)
            self._local.opened = (os.getpid(), handle)
        return handle


def _name_of(path: Path) -> str:
    name = path.name.removesuffix(".gz").removesuffix(".bgz")
    for ending in (".fasta", ".fna", ".fa"):
        name = name.removesuffix(ending)
    return name


def _is_bgzip(path: Path) -> bool:
    """Whether the file is bgzip (else plain text); anything that cannot be read at random positions is an error."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(GZIP):
        if head[3] & 4 and head[12:14] == b"BC":  # bgzip notes its block's size in an extra field called BC
            return True
        plain = path.name.removesuffix(".gz")
        raise SequenceError(
            f"{path} is compressed with plain gzip, which cannot be read at random positions. "
            f"Compress it with bgzip instead: gunzip -c {path.name} | bgzip > {plain}.bgz (or only unpack it)."
        )
    if not head.lstrip().startswith(b">"):
        raise SequenceError(f"{path} is no FASTA file: it must start with '>', but starts with {head[:20]!r}.")
    return False


def _open(path: Path, compressed: bool) -> Any:
    pysam = genomics_package("pysam", "read a genome's FASTA file")
    fai, gzi = _index(pysam, path, compressed)
    return pysam.FastaFile(str(path), filepath_index=str(fai), filepath_index_compressed=str(gzi) if gzi else None)


_INDEXING = threading.Lock()  # samtools inside pysam works with global state


def _index(pysam: Any, path: Path, compressed: bool) -> tuple[Path, Path | None]:
    """Paths of the index files, which are built where there are none."""
    for folder in (path.parent, elsewhere := _index_folder(path)):
        fai, gzi = _index_files(folder, path, compressed)
        if fai.is_file() and (gzi is None or gzi.is_file()):
            if fai.stat().st_mtime < path.stat().st_mtime:
                logger.warning("%s is older than %s; if the file was changed, delete its index.", fai, path)
            return fai, gzi
    folder = path.parent if _writable(path.parent) else elsewhere
    fai, gzi = _index_files(folder, path, compressed)
    logger.info("Building the index of %s in %s", path, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _build(pysam, path, fai, gzi)
    except OSError as error:
        raise PermissionError(
            f"{path} has no index, and none can be written beside it or in {elsewhere} ({error}). "
            f"Run 'samtools faidx' on it, or set CRESTED_LIKE_DATA_DIR to a folder that can be written."
        ) from error
    return fai, gzi


def _index_files(folder: Path, path: Path, compressed: bool) -> tuple[Path, Path | None]:
    return folder / f"{path.name}.fai", folder / f"{path.name}.gzi" if compressed else None


def _index_folder(path: Path) -> Path:
    """Folder for the index of a file whose own folder cannot be written; another one if the file changes."""
    from platformdirs import user_cache_dir

    stat = path.stat()
    key = hashlib.sha256(f"{os.path.realpath(path)}|{stat.st_size}|{stat.st_mtime_ns}".encode()).hexdigest()[:16]
    base = os.environ.get("CRESTED_LIKE_DATA_DIR") or user_cache_dir("crested_like")
    return Path(base).expanduser() / "fasta-index" / key


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def _build(pysam: Any, path: Path, fai: Path, gzi: Path | None) -> None:
    with (
        _INDEXING,
        ExitStack() as stack,
    ):  # left in reverse: the .fai, without which nobody looks for the .gzi, comes last
        options = ["--fai-idx", str(stack.enter_context(atomic_path(fai)))]
        if gzi is not None:
            options += ["--gzi-idx", str(stack.enter_context(atomic_path(gzi)))]
        try:
            pysam.faidx(str(path), *options)
        except pysam.SamtoolsError as error:
            raise SequenceError(
                f"{path} cannot be indexed: {str(error).strip()}. In each record, all lines but the last must have "
                f"one length, and names must differ."
            ) from error


_REGISTERED: dict[str, Genome] = {}


def register_genome(genome: Genome | str | os.PathLike[str]) -> None:
    """Make a genome the one that is used where none is given, and known by its name.

    Parameters
    ----------
    genome
        A :class:`Genome`, or the path of a FASTA file. One with the same name is replaced.

    Examples
    --------
    >>> register_genome(Genome("hg38.fa", name="hg38"))  # doctest: +SKIP
    """
    genome = genome if isinstance(genome, Genome) else Genome(genome)
    _REGISTERED.pop(genome.name, None)  # the last one registered is the default
    _REGISTERED[genome.name] = genome


def registered_genome() -> Genome:
    """The genome that was registered last.

    Raises
    ------
    RegionError
        If there is none.
    """
    if not _REGISTERED:
        raise RegionError(
            "A genome is needed, and none was given or registered. Pass genome=..., the path of a FASTA file, "
            "or call crested_like.register_genome(crested_like.Genome('hg38.fa')) first."
        )
    return next(reversed(_REGISTERED.values()))


def resolve_genome(genome: Genome | str | os.PathLike[str] | None) -> Genome:
    """The genome that a user means.

    Parameters
    ----------
    genome
        A :class:`Genome`, the name of a registered one, the path of a FASTA file, or None for the one registered last.

    Raises
    ------
    RegionError
        If there is no such genome.
    """
    if genome is None:
        return registered_genome()
    if isinstance(genome, Genome):
        return genome
    if isinstance(genome, str) and genome in _REGISTERED:
        return _REGISTERED[genome]
    if not isinstance(genome, (str, os.PathLike)):
        raise TypeError(f"genome must be a Genome, a name, a path or None; got {type(genome).__name__}.")
    if not Path(genome).expanduser().is_file():
        known = ", ".join(map(repr, _REGISTERED)) or "none"
        raise RegionError(
            f"{os.fspath(genome)!r} is neither a FASTA file nor a registered genome (registered: {known}). "
            f"Pass a path, or call crested_like.register_genome() first."
        )
    return Genome(genome)
