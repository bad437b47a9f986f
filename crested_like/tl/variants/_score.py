"""Scores of variants."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import int_at_least, one_of
from crested_like._errors import FetchError, GeometryError, TrackError
from crested_like.engine import Engine, Local, engine_of
from crested_like.genome import read_genes, resolve_genome
from crested_like.genome.variants import place_variants, read_variants
from crested_like.genome.variants._read import vcf_path
from crested_like.tl._predict import Predictor, heads_of
from crested_like.tl._untransform import undoing
from crested_like.tl.variants._background import is_table, quantiles, scores_in
from crested_like.tl.variants._plan import Plan, rows_and_jobs
from crested_like.tl.variants._run import Run
from crested_like.tl.variants._scope import GeneScope, ReadoutScope, Scope
from crested_like.tl.variants._statistics import check_statistics
from crested_like.tl.variants._table import table_of
from crested_like.tl.variants._write import Result, check_out, write

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from crested_like.genome import Gene, Genome, Transcript
    from crested_like.tl.readout._readout import Readout

log = logging.getLogger(__name__)


def score_variants(
    variants: Any,
    model: keras.Model | Sequence[keras.Model],
    genome: Genome | str | os.PathLike[str] | None = None,
    *,
    readout: Readout | None = None,
    statistics: Sequence[str] | str | None = None,
    genes: str | os.PathLike[str] | Sequence[Gene | Transcript] | None = None,
    local: int | None = None,
    head: str | None = None,
    tracks: Any = None,
    rc: bool = False,
    shifts: Sequence[int] = (0,),
    unstranded: bool = False,
    untransform: bool | str = False,
    on_mismatch: str = "flag",
    compensate: bool = True,
    share: int = 0,
    background: Any = None,
    batch_size: int | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    resume: bool = True,
    engine: str | Engine = "local",
    progress: bool | None = None,
) -> pd.DataFrame:
    """Say how much each alternative allele changes what a model predicts.

    Each variant is put in a window of the model's input length, centred on it, and both alleles are predicted. Where
    their lengths differ, ALT is predicted with the left and with the right flank in its place, and each bin is taken
    from the prediction in which it lies where the reference's bin lies.

    Parameters
    ----------
    variants
        A VCF or BCF file, variant strings, a table or more: see :func:`crested_like.genome.read_variants`.
    model
        A Keras model, or several of one architecture, whose mean prediction is scored.
    genome
        As for :func:`predict`.
    readout
        The number to compare, instead of bins: a :class:`Readout`, whose region or gene must lie in the windows.
    statistics
        Names of the statistics. Of the bins: ``"SAD"`` (also called ``"SUM"``), ``"logSAD"`` (``"logSUM"``), ``"SAX"``,
        ``"D1"``, ``"D2"``, ``"logD1"``, ``"logD2"``, ``"JS"``, ``"JSD"``, ``"REF"``, ``"ALT"``; over exons also
        ``"SED"`` and ``"logSED"``. Default SAD, logSAD and D2; with ``genes`` SED and logSED; with ``readout`` SAD and
        logSAD.
    genes
        Path of a GTF file, or genes: each gene with exons in the window's bins is a row of its own, and only the bins
        that touch its exons count.
    local
        Only bins within so many bp of the variant count.
    head, tracks, rc, shifts, unstranded, batch_size, progress
        As for :func:`predict`.
    untransform
        Compare coverage instead of the squashed values that a model was trained on: ``"old"``, ``"new"``, or True for
        what the model's card says.
    on_mismatch
        What to do where the genome does not have a variant's REF: ``"flag"`` it and score it, with its own REF and ALT
        written into the sequence; ``"skip"`` it; or stop with an ``"error"`` that lists all of them.
    compensate
        Whether to compensate for the shift of an insertion or deletion, which needs a second prediction.
    share
        Variants that lie within so many bp use one window and one prediction of the reference. 0: only those at the
        same position.
    background
        Scores of other variants, as a table or a file that was written before; or those variants, to be scored in the
        same way. Adds for each statistic its quantile among them, from 0 to 1.
    out
        File to write, by its ending: ``.tsv``, ``.tsv.gz``, ``.parquet``, ``.h5`` with the field's names, or ``.vcf``
        or ``.vcf.gz`` with the scores in the INFO column.
    overwrite
        Whether a file that is there may be replaced, in the end.
    resume
        Go on with what a run of the same call left when it was cut off, in ``<out>.partial``; otherwise start anew.
    engine
        What runs the work: ``"local"``, this process, or ``"ray"``, the workers of a Ray cluster, as for
        :func:`predict_regions`; these need an ``out``, in a folder that all of them can see.

    Returns
    -------
    pandas.DataFrame
        One row an alternative allele (and gene) in the order given: ``chrom``, ``position`` (counted from 1), ``ref``,
        ``alt``, ``name``, ``status`` (``"ok"``, ``"ref_mismatch"``, or ``"skipped: "`` and why), ``genome_ref``, with
        genes ``gene`` and ``gene_id``; then a column for each statistic and track, ``"SAD:<track>"``, or ``"SAD"``
        with a readout. float32, NaN for what was skipped.

    Raises
    ------
    VariantError
        If lines or items are no variants, none lies on the genome, or REF is wrong and ``on_mismatch="error"``; or if
        ``out`` was begun by a run with other settings.
    TrackError, GeometryError, RegionError, GeneError
        As for :func:`predict` and :class:`Readout`.
    FileExistsError
        If ``out`` is there already, without ``overwrite``.
    ValueError
        If choices exclude each other, or the ending of ``out`` stands for no format.

    Examples
    --------
    >>> import crested_like as crested
    >>> model = crested.load_model("borzoi_mini_human")
    >>> table = crested.tl.score_variants(["chr1:200100:A:G"], model, "hg38.fa", tracks="DNASE")  # doctest: +SKIP
    >>> table.filter(like="logSAD")  # doctest: +SKIP
    """
    runner = engine_of(engine)
    if not isinstance(runner, Local) and out is None:
        raise ValueError("The workers of a cluster need a place for what they compute: give out=, the file to write.")
    models = list(model) if isinstance(model, list | tuple) else [model]
    _check_choices(readout, genes, local, head, tracks, untransform)
    is_log = readout is not None and readout.log
    names = check_statistics(statistics, genes=genes is not None, readout=readout is not None, log=is_log)
    share = int_at_least("share", share, 0)
    if out is not None:
        check_out(out, 0, genes=genes is not None)
    found = resolve_genome(genome)
    placed = place_variants(read_variants(variants), found, on_mismatch=on_mismatch)
    views = {"rc": rc, "shifts": tuple(shifts), "unstranded": unstranded}
    predictor, scope, head, channels = _what(models, readout, genes, local, head, tracks, views)
    _check_share(share, predictor)
    settings = {
        **views,
        "shifts": list(views["shifts"]),
        "untransform": untransform,
        "compensate": compensate,
        "share": share,
        "local": local,
        "readout": _told(scope),
    }
    rows, jobs = rows_and_jobs(placed, scope, compensate=compensate, share=share)
    undo = undoing(untransform, models, head, predictor.tracks)
    plan = Plan(rows, jobs, names, *_labels(predictor, channels), predictor, scope, found, undo, settings)
    path = None if out is None else check_out(out, plan.shape[1] * plan.shape[2], genes=genes is not None)
    others = _background(background, plan, batch_size, progress)
    run = Run(path, resume=resume, overwrite=overwrite, engine=runner)
    with run.scores(plan, batch_size, progress) as scores:
        _warn_of_missing(plan, scores)
        places = None if others is None else quantiles(scores, others)
        table = table_of(plan, scores, places)
        if path is not None:
            write(Result(plan, table, scores, places, vcf_path(variants)), run.target)
            run.commit()
    return table


def _check_choices(
    readout: Any, genes: Any, local: int | None, head: str | None, tracks: Any, untransform: bool | str
) -> None:
    given = [name for name, value in (("readout", readout), ("genes", genes), ("local", local)) if value is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} say in two ways what is compared. Leave one of them.")
    if readout is not None and (tracks is not None or head is not None):
        raise ValueError("A readout says itself which tracks of which head it is about: leave out tracks= and head=.")
    if local is not None:
        int_at_least("local", local, 0)
    if isinstance(untransform, str):
        one_of("untransform", untransform, ("old", "new"))


def _what(
    models: list[Any], readout: Any, genes: Any, local: int | None, head: str | None, tracks: Any, views: dict[str, Any]
) -> tuple[Predictor, Scope, str, NDArray[np.intp] | None]:
    """How alleles are predicted, what of that is compared, the head, and the columns' channels if there are several."""
    if readout is not None:
        anywhere = replace(readout, region=None, gene=None, gtf=None).bind(models)
        predictor = Predictor(models, anywhere.head, tracks=anywhere.channels, **views)
        scope = ReadoutScope(predictor.geometry, readout=readout, models=tuple(models))
        return predictor, scope, anywhere.head, None if anywhere.is_scalar else anywhere.tracks
    heads = heads_of(models, head)
    if len(heads) > 1:
        raise TrackError(f"The model has the heads {', '.join(map(repr, heads))}: pick one with head=.")
    predictor = Predictor(models, heads[0], tracks=tracks, **views)
    geometry = predictor.geometry
    if geometry.bin_size is None and (genes is not None or local is not None):
        raise GeometryError(
            f"Model {models[0].name!r} has one value per sequence and no bins: leave out genes= and local=."
        )
    scope = Scope(geometry, local) if genes is None else GeneScope(geometry, genes=tuple(read_genes(genes)))
    return predictor, scope, heads[0], predictor.tracks


def _check_share(share: int, predictor: Predictor) -> None:
    most = predictor.geometry.output_length // 2
    if share > most:
        raise ValueError(f"share must be at most {most:,} bp, half of what the model's bins cover; got {share:,}.")


def _labels(predictor: Predictor, channels: NDArray[np.intp] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the columns that each statistic has, and what they are; one empty name for a single number."""
    if channels is None:
        return ("",), ("",)
    numbers = [str(channel) for channel in channels.tolist()]
    try:
        table = predictor.table
    except FetchError as error:
        log.warning("Tracks are labelled by number, because their table cannot be fetched: %s", error)
        table = None
    if table is None:
        return tuple(numbers), tuple(numbers)
    rows = table.iloc[channels]
    names = rows["identifier"].tolist()
    times = Counter(names)
    unique = [name if times[name] == 1 else f"{name}#{i}" for name, i in zip(names, numbers, strict=True)]
    return tuple(unique), tuple(rows["description"].tolist())


def _told(scope: Scope) -> str | None:
    """What a readout reads, as text for the attributes of the result."""
    if not isinstance(scope, ReadoutScope):
        return None
    own = scope.readout
    return f"{own.where}, {own.reduce}, overlap={own.overlap}, log={own.log}, over_tracks={own.over_tracks}"


def _background(background: Any, plan: Plan, batch_size: int | None, progress: bool | None) -> Any:
    """Scores of the background, ``(others, statistics, columns)``; None without one."""
    if background is None:
        return None
    if is_table(background):
        return scores_in(background, plan.names, plan.labels)
    placed = place_variants(read_variants(background), plan.genome)
    settings = plan.settings or {}
    rows, jobs = rows_and_jobs(placed, plan.scope, compensate=settings["compensate"], share=settings["share"])
    others = replace(plan, rows=rows, jobs=jobs)
    with Run(None).scores(others, batch_size, progress) as scores:
        return scores


def _warn_of_missing(plan: Plan, scores: NDArray[np.float32]) -> None:
    computed = [row for _, rows in plan.jobs for row in rows]
    missing = np.isnan(scores[computed]).any(axis=(0, 2)) if computed else np.zeros(len(plan.names), bool)
    if missing.any():
        log.warning(
            "Some values of %s are NaN: a logarithm or a profile needs predictions of at least 0, not all 0.",
            ", ".join(name for name, some in zip(plan.names, missing, strict=True) if some),
        )
