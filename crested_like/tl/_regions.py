"""Predictions with coordinates."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from crested_like._card import card_of
from crested_like._errors import FetchError, TrackError
from crested_like.tl import _store
from crested_like.tl._inputs import Windows, windows_of
from crested_like.tl._predict import Predictor, heads_of
from crested_like.tl._stream import stream

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
    progress: bool | None = None,
) -> xr.DataArray:
    """Predict regions and say where each bin lies and what each track is.

    Parameters
    ----------
    regions
        As the input of :func:`predict`: regions, a BED file, an AnnData; or sequences without coordinates, also as
        ``(name, sequence)`` pairs.
    model, genome, head, batch_size, tracks, rc, shifts, unstranded, progress
        As for :func:`predict`; of several heads one has to be picked.
    out
        File to write while predicting, in the format of its ending: ``.zarr`` or ``.h5`` (streamed), ``.npz``, or
        ``.bw``: one bigWig file a track, ``name.<identifier>.bw`` if there are several. Where windows overlap, each
        base is taken from the window whose centre is nearest.

    Returns
    -------
    xarray.DataArray
        Dimensions ``(region, bin, track)``, or ``(region, track)`` for a model with one value per sequence; float32.
        Coordinates: ``chrom``, ``start``, ``end`` of the bins' span and ``bin_start`` of every bin (0-based,
        half-open, in bp), ``track`` and ``description``. Read lazily from ``out`` if that is ``.zarr`` or ``.h5``.

    Raises
    ------
    SequenceError, RegionError, TrackError, ModelFileError
        As for :func:`predict`.
    ValueError
        If ``out`` has an ending that stands for no format.
    """
    if out is not None:
        _store.check_path(out)
    models = list(model) if isinstance(model, list | tuple) else [model]
    heads = heads_of(models, head)
    if len(heads) > 1:
        raise TrackError(f"The model has the heads {', '.join(map(repr, heads))}: pick one with head=.")
    predictor = Predictor(models, heads[0], tracks=tracks, rc=rc, shifts=shifts, unstranded=unstranded)
    windows = windows_of(regions, predictor.geometry.input_length, genome)
    layout = _layout(predictor, windows, models[0])
    blocks = stream(predictor, windows, predictor.models, batch_size=batch_size, progress=progress)
    return _store.keep(blocks, layout) if out is None else _store.write(blocks, layout, out)


def _layout(predictor: Predictor, windows: Windows, model: keras.Model) -> _store.Layout:
    geometry, card = predictor.geometry, card_of(model)
    starts = np.array([region.start for region in windows.regions], np.int64) + geometry.crop
    coords: dict[str, Any] = {
        "region": ("region", np.array(windows.labels, dtype=str)),
        "chrom": ("region", np.array([region.chrom for region in windows.regions], dtype=str)),
        "start": ("region", starts),
        "end": ("region", starts + geometry.output_length),
        "track": ("track", predictor.tracks),
    }
    table = _table_or_none(predictor)
    if table is not None:
        rows = table.iloc[predictor.tracks]
        coords["track"] = ("track", rows["identifier"].to_numpy(dtype=str))
        coords["description"] = ("track", rows["description"].to_numpy(dtype=str))
    dims: tuple[str, ...] = ("region", "track")
    if geometry.bin_size is not None:
        dims = ("region", "bin", "track")
        offsets = np.arange(geometry.output_bins, dtype=np.int64) * geometry.bin_size
        coords["bin"] = ("bin", np.arange(geometry.output_bins))
        coords["bin_start"] = (("region", "bin"), starts[:, None] + offsets)
    attrs = {
        "model": card.name if card else model.name,
        "genome": getattr(getattr(windows, "genome", None), "name", None) or "",
        "input_length": geometry.input_length,
        "bin_size": geometry.bin_size or 0,
        "units": f"coverage, {card.transform} transform" if card and card.transform else "model output",
    }
    return _store.Layout(dims, (len(windows), *predictor.output_shape), coords, attrs, dict(windows.chrom_sizes))


def _table_or_none(predictor: Predictor) -> pd.DataFrame | None:
    """Track table for labels; without it tracks go by their numbers, which is no reason to fail."""
    try:
        return predictor.table
    except FetchError as error:
        log.warning("Tracks are labelled by number, because their table cannot be fetched: %s", error)
        return None
