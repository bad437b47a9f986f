"""Predictions with coordinates."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like._card import card_of
from crested_like._checks import positive_int
from crested_like._errors import FetchError, TrackError
from crested_like.engine import Engine, engine_of
from crested_like.tl._fingerprint import of_model, of_numbers
from crested_like.tl._inputs import Windows
from crested_like.tl._predict import Predictor, heads_of
from crested_like.tl._untransform import undoing
from crested_like.tl.regions import _files, _fingerprint
from crested_like.tl.regions._job import Batches, Work, check_engine
from crested_like.tl.regions._layout import Layout
from crested_like.tl.regions._rows import Rows, plan

if TYPE_CHECKING:
    import keras
    import pandas as pd
    import xarray as xr

    from crested_like.genome import Genome

log = logging.getLogger(__name__)


def predict_regions(
    regions: Any,
    model: keras.Model | Sequence[keras.Model],
    genome: Genome | str | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    head: str | None = None,
    batch_size: int | None = None,
    tracks: Any = None,
    rc: bool = False,
    shifts: Sequence[int] = (0,),
    unstranded: bool = False,
    untransform: bool | str = False,
    tile: bool = True,
    kept_bins: int | None = None,
    resume: bool = True,
    overwrite: bool = False,
    engine: str | Engine = "local",
    progress: bool | None = None,
) -> xr.DataArray:
    """Predict regions of any width, and say where each bin lies and what each track is.

    A region that is no wider than the model's output is recentred in it, and the whole output is given. A wider one is
    cut into bins from its start on, and predicted in windows whose kept bins lie side by side, so that every base has
    one value, from a window that it lies in the middle of.

    Parameters
    ----------
    regions
        As the input of :func:`predict`: regions, a BED file, an AnnData; or sequences without coordinates, also as
        ``(name, sequence)`` pairs. Besides, a whole chromosome (``"chr1"``), all of a genome (``"all"``), the path of
        a GTF file for its genes, genes (:class:`crested_like.genome.Gene`), and lists of all these.
    model, genome, head, batch_size, tracks, rc, shifts, unstranded, progress
        As for :func:`predict`; of several heads one has to be picked.
    out
        File to write while predicting, in the format of its ending: ``.zarr``, ``.h5``, ``.npz``, or ``.bw``: one
        bigWig file a track, ``name.<identifier>.bw`` if there are several. Where regions overlap, each base of a
        bigWig file is taken from the window whose centre is nearest. The array is never in memory as a whole. Until
        the file is complete, what is done lies in the folder ``<out>.partial``.
    untransform
        Whether to undo how targets were squashed, as :func:`untransform` does, in the mean of models and strands. A
        version (``"old"``, ``"new"``) where the card does not know it.
    tile
        Whether wider regions get several windows; otherwise each is recentred and gets one.
    kept_bins
        Bins in the middle of each window that are kept; default all, which most models have trimmed already.
    resume
        Whether to go on with an interrupted run of the same request to the same file. No window that was finished is
        computed again, and the file is the same, byte for byte.
    overwrite
        Whether a Zarr store that is there is replaced, once the new one is complete; files always are.
    engine
        What runs the work: ``"local"``, this process, or ``"ray"``, the workers of a Ray cluster, which
        :class:`crested_like.engine.Ray` describes. These write a ``.zarr`` store, the same one byte for byte where
        they have the backend and the number of threads of this process. A run may be taken up by another engine.

    Returns
    -------
    xarray.DataArray
        Dimensions ``(region, bin, track)``, or ``(region, track)`` for a model with one value per sequence; float32.
        Regions with fewer bins than the longest end in NaN. Coordinates: ``chrom``, ``start``, ``end`` of the bins'
        span and ``bin_start`` of every bin (0-based, half-open, in bp), ``track`` and ``description``. The units are in
        its attributes. Read when it is needed, if there is an ``out``.

    Raises
    ------
    SequenceError, RegionError, TrackError, ModelFileError
        As for :func:`predict`.
    ResumeError
        If an interrupted run to this file was another request, or is still going on.
    ValueError
        If ``out`` has an ending that stands for no format, or is not given for more than fits into memory.

    Examples
    --------
    >>> import crested_like as crested
    >>> model = crested.load_model("borzoi_mini_human")
    >>> cage = crested.tl.predict_regions("chr1", model, "hg38.fa", tracks="CAGE", out="chr1.zarr")  # doctest: +SKIP
    >>> cage.sel(track="CNhs10853+").isel(region=0, bin=slice(1000, 2000)).mean()  # doctest: +SKIP
    """
    runner = engine_of(engine)
    path = None if out is None else _files.check_path(out, overwrite=overwrite)
    check_engine(runner, path)
    models = list(model) if isinstance(model, list | tuple) else [model]
    heads = heads_of(models, head)
    if len(heads) > 1:
        raise TrackError(f"The model has the heads {', '.join(map(repr, heads))}: pick one with head=.")
    predictor = Predictor(models, heads[0], tracks=tracks, rc=rc, shifts=shifts, unstranded=unstranded)
    undo = undoing(untransform, models, heads[0], predictor.tracks)
    rows, windows = plan(regions, predictor.geometry, genome, tile=tile, kept_bins=kept_bins)
    layout = _layout(predictor, rows, windows, models, untransformed=undo is not None)
    size = None if batch_size is None else positive_int("batch_size", batch_size)
    units = Batches(Kept(predictor, rows.left, rows.kept, undo), windows, rows)
    work = Work(units, predictor.models, layout, batch_size=size, progress=progress, engine=runner)
    if path is None:
        return work.in_memory()
    if _files.is_bigwig(path):
        _files.check_bigwig(layout, path)
    settings = {
        "models": [of_model(each) for each in models],
        "genome": _fingerprint.of_dna(windows),
        "regions": _fingerprint.of_rows(rows, layout),
        "head": heads[0],
        "tracks": of_numbers(predictor.tracks),
        "rc": rc and ("unstranded" if unstranded else True),
        "shifts": [shift for reverse, shift in predictor.views if not reverse],
        "untransform": untransform,
        "backend": _backend(),
    }
    return work.to_file(path, settings, resume=resume, overwrite=overwrite)


def _backend() -> str:
    import keras

    return keras.backend.backend()


@dataclass(frozen=True)
class Kept:
    """The kept bins of a batch, ``(B, bins, tracks)``; one bin for a model with one value a sequence."""

    predictor: Predictor
    first: int
    count: int
    undo: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        values = self.predictor(batch)
        values = values[:, None] if values.ndim == 2 else values[:, self.first : self.first + self.count]
        return values if self.undo is None else self.undo(values)


def _layout(
    predictor: Predictor, rows: Rows, windows: Windows, models: Sequence[keras.Model], *, untransformed: bool
) -> Layout:
    geometry, cards = predictor.geometry, [card_of(model) for model in models]
    has_bins = geometry.bin_size is not None
    coords: dict[str, Any] = {
        "region": ("region", np.array(rows.labels, dtype=str)),
        "chrom": ("region", np.array(rows.chroms, dtype=str)),
        "start": ("region", rows.starts),
        "end": ("region", rows.starts + (rows.bins * geometry.bin_size if has_bins else geometry.input_length)),
        "track": ("track", predictor.tracks),
    }
    table = _table_or_none(predictor)
    if table is not None:
        told = table.iloc[predictor.tracks]
        coords["track"] = ("track", told["identifier"].to_numpy(dtype=str))
        coords["description"] = ("track", told["description"].to_numpy(dtype=str))
    most = int(rows.bins.max())
    if has_bins:
        coords["bin"] = ("bin", np.arange(most))
    card = cards[0]
    units = f"coverage, {card.transform} transform" if card and card.transform else "model output"
    attrs = {
        "model": ", ".join(card.name if card else each.name for card, each in zip(cards, models, strict=True)),
        "genome": getattr(getattr(windows, "genome", None), "name", None) or "",
        "input_length": geometry.input_length,
        "bin_size": geometry.bin_size or 0,
        "units": "coverage" if untransformed else units,
    }
    shape = (len(rows.labels), most, len(predictor.tracks)) if has_bins else (len(rows.labels), len(predictor.tracks))
    dims = ("region", "bin", "track") if has_bins else ("region", "track")
    return Layout(dims, shape, coords, attrs, dict(windows.chrom_sizes), rows.bins, rows.kept, placed=has_bins)


def _table_or_none(predictor: Predictor) -> pd.DataFrame | None:
    """Track table for labels; without it tracks go by their numbers, which is no reason to fail."""
    try:
        return predictor.table
    except FetchError as error:
        log.warning("Tracks are labelled by number, because their table cannot be fetched: %s", error)
        return None
