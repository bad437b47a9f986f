"""Datasets from coverage: bigWig, BED and w5 files and a genome become windows of sequence and binned targets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from crested_like._checks import int_at_least, one_of, positive_int
from crested_like._errors import DatasetError
from crested_like.datasets._layout import Layout
from crested_like.datasets._writing import open_writer
from crested_like.datasets.building._build_stages import Engine, Examples, Sources, fingerprint, run
from crested_like.datasets.building._cleaning import BLACKLIST_MARGIN, MISSING
from crested_like.datasets.building._coverage import AnyTracks, check_files, track_files
from crested_like.datasets.building._folds import AnyGenome, split_genome
from crested_like.datasets.building._intervals import Intervals
from crested_like.datasets.building._shards import Reading
from crested_like.datasets.building._transform import TargetTransform
from crested_like.datasets.building._windows import Windows, crop_of, given_windows
from crested_like.genome import Genome, Regions, resolve_genome


@dataclass(frozen=True)
class BuildSummary:
    """What was built; printed, it is a few lines.

    Attributes
    ----------
    out
        The dataset.
    layout
        What all its examples have in common.
    counts
        Examples by label.
    tracks
        By track ``identifier``, the fraction ``missing`` of bases for which its file has no data, and, where a
        quantile of the whole track was asked for, that ``ceiling``.
    """

    out: Path
    layout: Layout
    counts: dict[str, int]
    tracks: pd.DataFrame

    def rows(self) -> dict[str, str]:
        """Everything in words, by what it is."""
        layout = self.layout
        return {
            "written": str(self.out),
            "examples": ", ".join(f"{count:,} {label}" for label, count in self.counts.items()),
            "sequence": f"{layout.seq_length:,} bp of {layout.assembly}",
            "targets": f"{layout.target_length:,} bins of {layout.pool_width} bp, {layout.num_targets:,} tracks",
            "bases without data": f"{self.tracks['missing'].mean():.1%}",
        }

    def __str__(self) -> str:
        rows = self.rows()
        width = max(map(len, rows))
        return "\n".join(f"{name:<{width}}  {text}" for name, text in rows.items())


def build(
    tracks: AnyTracks,
    genome: AnyGenome,
    out: str | os.PathLike[str],
    *,
    seq_length: int,
    pool_width: int,
    crop_bp: int | None = None,
    target_length: int | None = None,
    format: str = "zarr",
    version: str = "new",
    windows: Windows | None = None,
    blacklist: Regions | None = None,
    unmappable: Regions | None = None,
    missing: str = "baseline",
    missing_chromosomes: str = "error",
    nan: str = "error",
    track_quantile: float | None = 0.9999999,
    unmappable_quantile: float = 1.0,
    store_unmappable: bool = False,
    decimals: int | None = None,
    per_file: int = 256,
    workers: int = 1,
    resume: bool = True,
    progress: bool | None = None,
    **splitting: Any,
) -> BuildSummary:
    """Build a dataset from files of coverage.

    The files are read one after the other into a folder ``<out>.coverage.partial``, from which the examples are then
    put together. Run the same again after an interruption, and both go on where they stopped. Memory does not grow
    with the number of examples.

    Parameters
    ----------
    tracks
        A ``targets.txt`` or a table with the columns ``identifier`` and ``file``, and perhaps ``sum_stat``, ``scale``,
        ``clip_soft``, ``clip``, ``strand_pair`` and ``description``; or files by identifier. Files are bigWig, BED,
        or w5.
    genome
        A :class:`crested_like.Genome`, its name, or a FASTA file.
    out
        Folder or file to write.
    seq_length, pool_width
        Bases of a sequence and of a bin.
    crop_bp, target_length
        Bases at each side of a sequence that have no bins, or how many bins there are; by default nothing is cropped.
    format
        ``"zarr"``, ``"tfrecord"``, ``"hdf5"`` or ``"text-hdf5"``.
    version
        Formulas of the targets: ``"new"``, or ``"old"`` as in the published Borzoi.
    windows
        A prepared ``sequences.bed``, or a table as :func:`split_genome` gives it. By default the genome is split here,
        as ``splitting`` says.
    blacklist
        Regions of artefacts; their bases, and 20 bp beside them, are clipped to the example's median.
    unmappable
        Regions where reads cannot be placed.
    missing
        What bases without data become: the ``"baseline"``, which is the example's median with such bases counted as
        0; ``"zero"``; ``"interpolate"``; or an ``"error"``.
    missing_chromosomes, nan
        Whether it is an ``"error"`` if a bigWig file lacks a chromosome (or ``"zero"``), and if a file holds NaN
        (or ``"missing"`` data).
    track_quantile
        Values of a track above this quantile of all its bins are taken down to it; None leaves them.
    unmappable_quantile
        Unmappable bins are taken down to this quantile of the track in the example; 1 leaves them. A bin is unmappable
        if half of its bases are.
    store_unmappable
        Whether to keep with each example which bins are unmappable.
    decimals
        To how many decimals targets are rounded, so that they take less space (2 in published data); None for all of
        float16.
    per_file
        Examples of a TFRecord file.
    workers
        Processes that read coverage, and then threads that write. With more than one, a script needs its
        ``if __name__ == "__main__":``.
    resume
        Whether to go on with what an interrupted run left; otherwise start anew.
    progress
        Whether to show a progress bar; by default in a terminal.
    splitting
        As for :func:`split_genome`: ``folds``, ``valid``, ``test``, ``stride``, ``chromosomes``, ``gaps``,
        ``break_length``, ``homology``, ``min_aligned``, ``separate``, ``limit``, ``seed``.

    Raises
    ------
    TrackError
        If the track table has no files, or asks for what there is not.
    RegionError
        If chromosomes are named in another way, or not there.
    DatasetError
        If a file is damaged or of another assembly, lengths do not fit, a set would be empty, or an unfinished run had
        other settings.
    FileExistsError
        If ``out`` is there already.

    Examples
    --------
    >>> build("targets.txt", "hg38.fa", "mine.zarr", seq_length=131_072, pool_width=32)  # doctest: +SKIP
    """
    engine = Engine(positive_int("workers", workers), resume, progress)
    _check_options(missing, track_quantile, unmappable_quantile, decimals)
    genome = resolve_genome(genome)
    crop_bp = crop_of(seq_length, positive_int("pool_width", pool_width), crop_bp, target_length)
    table, files = track_files(tracks)
    transform = TargetTransform.of(table, version)
    artefacts = _intervals(blacklist, genome, "the blacklist", BLACKLIST_MARGIN)
    hidden = _intervals(unmappable, genome, "the unmappable regions")
    if unmappable is None and (store_unmappable or unmappable_quantile < 1):
        raise DatasetError("store_unmappable and unmappable_quantile need the regions: give unmappable=.")
    places = _places(windows, genome, seq_length, crop_bp, unmappable, splitting)
    options = {"missing_chromosomes": missing_chromosomes, "nan": nan}
    check_files(files, table["identifier"], genome, dict.fromkeys(places["chrom"]), **options)
    bins = (seq_length - 2 * crop_bp) // pool_width
    layout = Layout(seq_length, pool_width, bins, table, crop_bp, genome.name, version)
    reading = Reading(places, pool_width, artefacts, missing, track_quantile, options)
    finish = {"unmappable_quantile": unmappable_quantile, "decimals": decimals}
    facts = {
        "made_from": "coverage",
        "coverage": fingerprint([(file.name, file.stat().st_size) for file in files]),
        "blacklist": fingerprint(list(artefacts)),
        "unmappable": fingerprint(list(hidden)),
        "missing": missing,
        "track_quantile": track_quantile,
        **finish,
    }
    writer = open_writer(out, format, layout, places, attributes=facts, per_file=per_file, resume=resume)
    examples = Examples(genome, layout, places, hidden, store_unmappable, **finish)
    by_track = run(Path(out).expanduser(), writer, Sources(files, transform, reading), examples, engine)
    counts = places.groupby("label", sort=False).size().to_dict()
    return BuildSummary(Path(out), layout, counts, table[["identifier"]].assign(**by_track))


def _check_options(
    missing: str, track_quantile: float | None, unmappable_quantile: float, decimals: int | None
) -> None:
    one_of("missing", missing, MISSING)
    for name, quantile in (("track_quantile", track_quantile), ("unmappable_quantile", unmappable_quantile)):
        if quantile is not None and not 0 <= quantile <= 1:
            raise ValueError(f"{name} must be from 0 to 1; got {quantile!r}.")
    if decimals is not None:
        int_at_least("decimals", decimals, 0)


def _intervals(regions: Regions | None, genome: Genome, what: str, margin: int = 0) -> Intervals:
    found = Intervals.of(regions, margin=margin)
    found.check(genome.chromosomes, what)
    return found


def _places(
    windows: Windows | None,
    genome: Genome,
    seq_length: int,
    crop_bp: int,
    unmappable: Regions | None,
    splitting: dict[str, Any],
) -> pd.DataFrame:
    if windows is None:
        return split_genome(genome, seq_length=seq_length, crop_bp=crop_bp, unmappable=unmappable, **splitting)
    if splitting:
        raise DatasetError(f"windows are given, so {', '.join(splitting)} would have no effect. Leave one out.")
    return given_windows(windows, genome, seq_length, crop_bp)
