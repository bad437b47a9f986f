"""Conversion of training data: other windows, other tracks, other containers."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

from crested_like._checks import one_of, positive_int
from crested_like._unfinished import Unfinished
from crested_like.datasets._workers import processors
from crested_like.datasets._writing import FORMATS, Block, Writer, open_writer
from crested_like.datasets.conversion._assembly import Compared, refuse_another
from crested_like.datasets.conversion._job import Job, plan
from crested_like.datasets.conversion._rewindow import EDGES
from crested_like.datasets.conversion._select import Given, select
from crested_like.datasets.conversion._summary import Summary
from crested_like.genome import Genome, resolve_genome

if TYPE_CHECKING:
    from crested_like.datasets._writing import Written

logger = logging.getLogger(__name__)


def convert(
    source: Given,
    out: str | os.PathLike[str],
    *,
    format: str,
    sequence_length: int | None = None,
    genome: Genome | str | os.PathLike[str] | None = None,
    subset: str | Sequence[str] | None = None,
    tracks: object = None,
    edge: str = "pad",
    crop_targets: bool = False,
    check_assembly: bool = True,
    assembly: str | None = None,
    transform: str | None = None,
    records_per_file: int | None = None,
    per_file: int = 256,
    workers: int | None = None,
    resume: bool = True,
    progress: bool | None = None,
) -> Summary:
    """Write training data in another form: with windows of another length, some of its splits or tracks.

    Targets keep their values and, unless cropped, their bins. Windows of another length have the same centres. Examples
    are read and written one at a time by each worker, so memory does not grow with their number. Until everything is
    written it is in a folder ``<out>.partial``, from where an interrupted conversion to TFRecords or Zarr goes on.

    Parameters
    ----------
    source
        Folder of a Basenji, Enformer or Borzoi dataset, a Zarr store or HDF5 file that this function wrote, or an open
        dataset. Or TFRecord files of one dataset: a path, a pattern, or a list.
    out
        What to write: a folder for ``"tfrecord"`` and ``"zarr"``, a file for ``"hdf5"``, and for ``"text-hdf5"`` a
        file, or a folder with a file for each of several splits. It must not be there yet.
    format
        ``"tfrecord"``, ``"zarr"``, ``"hdf5"``, or ``"text-hdf5"`` for text models.
    sequence_length
        Bases of the new windows; by default as many as now. More than there are need a genome.
    genome
        A :class:`~crested_like.Genome`, the path of a FASTA file, or the name of a registered one, of the assembly that
        the dataset was made from. All sequences are then taken from it.
    subset
        Splits to write, such as ``"valid"`` or ``["fold3", "fold4"]``; all if not given.
    tracks
        Which tracks to write, as for :func:`crested_like.tl.predict`: numbers, identifiers, or words to search for.
    edge
        What becomes of windows that reach beyond an end of their chromosome: ``"pad"`` with N, ``"drop"``, or
        ``"error"``. The last two need a genome.
    crop_targets
        Whether to leave out bins that are not wholly inside the new window.
    check_assembly
        Whether to compare stored sequences with the genome, and to refuse one that differs.
    assembly, transform
        Facts that a dataset does not know about itself, to be kept with the new one: the name of its genome, and
        the version of its target transform, ``"old"`` or ``"new"``.
    records_per_file
        Examples of a TFRecord file of the source, which otherwise have to be counted first.
    per_file
        Examples of a TFRecord file to write.
    workers
        Files to work on at the same time; by default up to four, as there are processors.
    resume
        Whether to go on where an interrupted conversion stopped; otherwise start anew.
    progress
        Whether to show a progress bar; by default in a terminal.

    Raises
    ------
    DatasetError
        If the source is damaged or contradicts itself, if the genome is another one, or if the target format cannot
        hold what was asked for.
    DatasetWriteError
        If the disk is full.
    FileExistsError
        If ``out`` is there.

    Examples
    --------
    >>> convert("hg38", "longer", format="tfrecord", sequence_length=393_216, genome="hg38.fa")  # doctest: +SKIP
    """
    one_of("format", format, FORMATS)
    one_of("edge", edge, EDGES)
    workers = min(4, processors()) if workers is None else positive_int("workers", workers)
    Unfinished(Path(out).expanduser()).check()
    selection = select(source, subset, records_per_file)
    fasta = None if genome is None else resolve_genome(genome)
    job = plan(
        selection,
        fasta,
        tracks=tracks,
        edge=edge,
        sequence_length=sequence_length,
        crop_targets=crop_targets,
        check_assembly=check_assembly,
    )
    layout = replace(
        job.new.layout,
        assembly=assembly or job.new.layout.assembly or (fasta.name if fasta else None),
        transform=transform or job.new.layout.transform,
    )
    facts = {
        "source": selection.name,
        "genome": fasta and str(fasta.path),
        "edge": edge,
        "kept_bins": list(job.new.bins),
    }
    writer = open_writer(out, format, layout, job.windows, attributes=facts, per_file=per_file, resume=resume)
    job.refuse_another_genome()
    with writer:
        _write(job, writer, workers, progress)
        summary = _summary(job, writer, selection.name, os.fspath(out), format)
        writer.record(summary=summary.to_dict())
    logger.info("Converted:\n%s", summary)
    return summary


def _write(job: Job, writer: Writer, workers: int, progress: bool | None) -> None:
    """Write the blocks that are missing, those that begin in one file of the source by one thread."""
    from tqdm.auto import tqdm

    missing = writer.missing()
    tasks = [list(blocks) for _, blocks in groupby(missing, key=lambda block: (block.label, job.files[block.start]))]
    total = len(job.windows)
    done = total - sum(map(len, missing))
    stop = threading.Event()
    # disable=None: shown only where the output is a terminal
    bar = tqdm(
        total=total, initial=done, desc="converting", unit="example", disable=None if progress is None else not progress
    )
    with bar, ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(_write_blocks, job, writer, blocks, stop, bar.update) for blocks in tasks]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise


class _StoppedError(Exception):
    """Another thread failed."""


class _Tally:
    """Passes examples on, and adds up what comparing them has found."""

    def __init__(self, job: Job, stop: threading.Event, done: Callable[[], object]):
        self._job, self._stop, self._done = job, stop, done
        self.bases = self.agreeing = 0

    def through(self, examples: Iterable[tuple[Written, Compared | None]]) -> Iterator[Written]:
        for written, compared in examples:
            if self._stop.is_set():
                raise _StoppedError
            if compared is not None:
                refuse_another([compared], self._job.genome, others_agree=True)
                self.bases += compared.bases
                self.agreeing += compared.agreeing
            yield written
            self._done()

    def note(self) -> dict[str, int]:
        return {"bases": self.bases, "agreeing": self.agreeing}


def _write_blocks(
    job: Job, writer: Writer, blocks: Sequence[Block], stop: threading.Event, done: Callable[[], object]
) -> None:
    examples = job.examples(blocks)
    for block in blocks:
        tally = _Tally(job, stop, done)
        writer.write_block(block, tally.through(islice(examples, len(block))), note=tally.note)
    next(examples, None)  # reads on to the end of the file, where its number of records is checked


def _summary(job: Job, writer: Writer, source: str, out: str, format: str) -> Summary:
    notes, layout = writer.notes(), job.new.layout
    return Summary(
        source=source,
        out=out,
        format=format,
        read=job.read,
        written={label: job.read[label] - job.dropped.get(label, 0) for label in job.read},
        padded=job.padded,
        dropped=job.dropped,
        seq_length=layout.seq_length,
        target_length=layout.target_length,
        num_targets=layout.num_targets,
        bins=job.new.bins,
        bases_compared=sum(note["bases"] for note in notes),
        bases_agreeing=sum(note["agreeing"] for note in notes),
        unpaired=tuple(job.unpaired),
    )
