"""The two stages of building: coverage files to targets by track on disk, and those to examples in a dataset."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crested_like._errors import DatasetWriteError
from crested_like._unfinished import Unfinished
from crested_like.datasets._layout import Layout, digest
from crested_like.datasets._letters import codes_at
from crested_like.datasets.building._cleaning import finished
from crested_like.datasets.building._intervals import Intervals
from crested_like.datasets.building._shards import Reading, Shard, Shards, shards_of, write_shard
from crested_like.datasets.building._transform import TargetTransform
from crested_like.datasets.building._windows import unmappable_bins

if TYPE_CHECKING:
    import pandas as pd

    from crested_like.datasets._writing import Block, Writer, Written
    from crested_like.genome import Genome

log = logging.getLogger(__name__)

_BATCH_BYTES = 1 << 26  # of targets that a writing thread holds


@dataclass(frozen=True)
class Engine:
    """How the work is done, of which the result is independent: workers, resuming, a progress bar."""

    workers: int = 1
    resume: bool = True
    progress: bool | None = None

    @contextmanager
    def bar(self, total: int, done: int, what: str, unit: str) -> Iterator[Any]:
        """A progress bar, by default where the output is a terminal."""
        from tqdm.auto import tqdm

        disable = None if self.progress is None else not self.progress
        with tqdm(total=total, initial=done, desc=what, unit=unit, disable=disable) as bar:
            yield bar

    def each(self, function: Callable[[Any], Any], items: Iterable[Any], pool: type[Executor]) -> Iterator[Any]:
        """Results of a function, in any order; after a failure nothing more is begun."""
        if self.workers == 1:
            yield from map(function, items)
            return
        spawned = {"mp_context": multiprocessing.get_context("spawn")} if pool is ProcessPoolExecutor else {}
        with pool(self.workers, **spawned) as executor:
            futures = [executor.submit(function, item) for item in items]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                executor.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class Sources:
    """Where targets come from: the coverage file of each track, what becomes of it, and how it is read."""

    files: Sequence[Path]
    transform: TargetTransform
    reading: Reading

    def settings(self, tracks: pd.DataFrame) -> dict[str, Any]:
        """All that the values depend on, as plain values."""
        stats = [(str(file.resolve()), stat.st_size, stat.st_mtime_ns) for file in self.files for stat in [file.stat()]]
        return {
            "files": fingerprint(stats),
            "tracks": digest(tracks),
            "transform": self.transform.version,
            "windows": digest(self.reading.windows),
            "pool_width": self.reading.pool_width,
            "blacklist": fingerprint(list(self.reading.blacklist)),
            "missing": self.reading.missing,
            "track_quantile": self.reading.quantile,
            **self.reading.options,
        }


def fingerprint(values: Any) -> str:
    """Of plain values."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Examples:
    """Puts examples together from a genome and targets by track.

    Attributes
    ----------
    genome, layout, windows
        Of the dataset.
    hidden
        Unmappable regions.
    store_unmappable
        Whether examples say which bins are unmappable.
    unmappable_quantile, decimals
        As for :func:`crested_like.datasets.building._cleaning.finished`.
    """

    genome: Genome
    layout: Layout
    windows: pd.DataFrame
    hidden: Intervals
    store_unmappable: bool
    unmappable_quantile: float
    decimals: int | None

    def of(self, block: Block, shards: Shards, ceiling: Any, tick: Callable[[], Any]) -> Iterator[Written]:
        """The examples of a block; ``tick`` is called for each."""
        layout = self.layout
        step = max(1, _BATCH_BYTES // (2 * layout.target_length * layout.num_targets))
        for first in range(block.start, block.stop, step):
            last = min(first + step, block.stop)
            for row, targets in zip(range(first, last), shards.read(first, last), strict=True):
                window = self.windows.iloc[row]
                chrom, start, end = window["chrom"], int(window["start"]), int(window["end"])
                unmappable = unmappable_bins(
                    self.hidden, chrom, int(window["target_start"]), layout.target_length, layout.pool_width
                )
                values = finished(targets, ceiling, unmappable, self.unmappable_quantile, self.decimals)
                yield codes_at(self.genome, chrom, start, end), values, unmappable if self.store_unmappable else None
                tick()


def run(out: Path, writer: Writer, sources: Sources, examples: Examples, engine: Engine) -> dict[str, list[float]]:
    """Build a dataset; the targets by track lie in ``<out>.coverage.partial`` until it is complete.

    Returns
    -------
    dict
        Facts by track, as :func:`crested_like.datasets.building._shards.write_shard` gives them.
    """
    kept = Unfinished(out.with_name(f"{out.name}.coverage"))
    marks = kept.open(sources.settings(examples.layout.tracks), resume=engine.resume)
    done = {mark["shard"]: mark["facts"] for mark in marks}
    complete = False
    try:
        with writer:
            kept.path.mkdir(exist_ok=True)
            shards = shards_of(kept.path, sources.files, sources.transform)
            _read_coverage(shards, sources.reading, done, kept, engine)
            facts = {name: [x for n in range(len(shards)) for x in done[n][name]] for name in done[0]}
            _write_examples(writer, shards, facts.get("ceiling"), examples, engine)
        complete = True
    finally:
        kept.leave(keep=not complete and bool(done))
        if done and not complete:
            log.warning("Coverage that was read is kept in %s: run the same again, or delete it.", kept.folder)
    return facts


def _read_coverage(
    shards: Sequence[Shard], reading: Reading, done: dict[int, Any], kept: Unfinished, engine: Engine
) -> None:
    waiting = [(number, shard) for number, shard in enumerate(shards) if number not in done]
    read_before = sum(len(shards[number].tracks) for number in done)
    total = sum(len(shard.tracks) for shard in shards)
    results = engine.each(partial(_numbered, reading), waiting, ProcessPoolExecutor)
    with engine.bar(total, read_before, "reading coverage", "track") as bar, closing(results):
        try:
            for number, facts in results:
                kept.mark({"shard": number, "facts": facts})
                done[number] = facts
                bar.update(len(shards[number].tracks))
        except OSError as error:  # what goes wrong with the coverage files themselves is a DatasetError
            raise DatasetWriteError(f"Cannot write to {kept.folder}: {error.strerror or error}.") from error


def _numbered(reading: Reading, item: tuple[int, Shard]) -> tuple[int, Mapping[str, list[float]]]:
    return item[0], write_shard(item[1], reading)


def _write_examples(
    writer: Writer, shards: Sequence[Shard], ceiling: list[float] | None, examples: Examples, engine: Engine
) -> None:
    missing = writer.missing()
    total = len(examples.windows)
    limits = None if ceiling is None else np.array(ceiling)
    with (
        Shards(shards) as stored,
        engine.bar(total, total - sum(map(len, missing)), "writing examples", "example") as bar,
    ):

        def write(block: Block) -> None:
            writer.write_block(block, examples.of(block, stored, limits, bar.update))

        with closing(engine.each(write, missing, ThreadPoolExecutor)) as results:
            for _ in results:
                pass
