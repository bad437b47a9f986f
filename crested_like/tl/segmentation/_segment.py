"""Genomic elements along sequences and regions of any length."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from crested_like import layers
from crested_like._card import card_of
from crested_like._checks import fraction, positive_int
from crested_like._errors import GeometryError, SequenceError, TrackError
from crested_like.engine import Engine, engine_of
from crested_like.genome import write_intervals
from crested_like.genome._annotations import COLUMNS
from crested_like.tl._fingerprint import of_model
from crested_like.tl._geometry import named_outputs
from crested_like.tl._lengths import with_input_length
from crested_like.tl._predict import Predictor, heads_of
from crested_like.tl._tokens import input_bases, tokenizer_of
from crested_like.tl.regions._files import check_bigwig, check_path, is_bigwig
from crested_like.tl.regions._job import Work, check_engine
from crested_like.tl.regions._layout import Layout
from crested_like.tl.regions._stores import CHUNK_STARTS
from crested_like.tl.segmentation._items import Item, fingerprint, items_of
from crested_like.tl.segmentation._windows import Stretches, Tiles

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

#: Window of a model that takes any length, in bp: that of the published SegmentNT.
ANY_LENGTH_WINDOW = 30_000
#: Tokens that the head needs a multiple of.
LEAST_WORDS = 4


def segment(
    input: Any,
    model: keras.Model,
    genome: Any = None,
    *,
    overlap: int | None = None,
    out: str | os.PathLike[str] | None = None,
    threshold: float = 0.5,
    head: str | None = None,
    batch_size: int | None = None,
    resume: bool = True,
    overwrite: bool = False,
    engine: str | Engine = "local",
    progress: bool | None = None,
) -> xr.DataArray:
    """Probability of every genomic element at every base, for sequences and regions of any length.

    What is longer than the model's output is computed in windows that overlap; each base is taken from the window
    whose centre is nearest. What is shorter gets the sequence around it, of a region its chromosome's.

    Parameters
    ----------
    input, genome, batch_size, progress
        As for :func:`predict`, but of any length.
    model
        A segmentation model: one value per base and feature.
    overlap
        Bases that neighbouring windows share; default a quarter of the model's output.
    out
        File to write in the format of its ending: ``.zarr``, ``.h5``, ``.npz``, or ``.bw`` for one bigWig file a
        feature; ``.bed`` or ``.gff3`` for :func:`intervals`.
    threshold
        Probability from which on a base belongs to an interval of a feature.
    head
        Which output, for a model with several.
    resume, overwrite, engine
        As for :func:`predict_regions`; a run to intervals begins anew where it was interrupted.

    Returns
    -------
    xarray.DataArray
        Dimensions ``(sequence, position, feature)``; float32. Coordinates: ``chrom``, ``start``, ``end`` of each
        sequence (0-based, half-open, in bp) and the names of the features. Sequences that are shorter than the longest
        end in NaN.

    Raises
    ------
    GeometryError
        If the model has no output per base, or ``overlap`` is not smaller than that output.
    SequenceError
        If a model of tokens gets N, or a sequence of fewer than 24 bp.

    Examples
    --------
    >>> from crested_like import tl
    >>> model = tl.zoo.segment_nt(input_length=240, width=16, attention_heads=2, key_size=8, feedforward_width=24,
    ...                           transformer_blocks=1)
    >>> found = tl.segment("ACGTTGCA" * 100, model)
    >>> found.dims, found.shape
    (('sequence', 'position', 'feature'), (1, 800, 14))
    """
    as_intervals = out is not None and Path(out).suffix in (".bed", ".gff3")
    path = None if out is None or as_intervals else check_path(out, overwrite=overwrite)
    runner = engine_of(engine)
    check_engine(runner, path)
    fraction("threshold", threshold)
    items, given = items_of(input, genome), model
    model = _for_items(model, items)
    named = named_outputs(model)
    heads = heads_of([model], "segment" if head is None and "segment" in named else head)
    if len(heads) > 1:
        raise TrackError(f"The model has the heads {', '.join(map(repr, heads))}: pick one with head=.")
    predictor = Predictor([model], heads[0])
    if predictor.geometry.bin_size != 1:
        raise GeometryError(
            f"Model {model.name!r} has bins of {predictor.geometry.bin_size} bp: segment() needs a model with a value "
            "for every base, such as those of crested_like.tl.zoo.segment_nt()."
        )
    tiles = Tiles(items, predictor.geometry, overlap, inside=tokenizer_of(model) is not None)
    layout = _layout(items, model, predictor)
    units = Stretches(predictor, tiles, layout.chunk)
    size = None if batch_size is None else positive_int("batch_size", batch_size)
    work = Work(units, predictor.models, layout, batch_size=size, progress=progress, engine=runner, doing="segmenting")
    if path is None:
        array = work.in_memory()
    else:
        if is_bigwig(path):
            check_bigwig(layout, path)
        settings = {
            "model": of_model(given),
            "sequences": fingerprint(items),
            "head": heads[0],
            "overlap": tiles.overlap,
            "backend": keras.backend.backend(),
        }
        array = work.to_file(path, settings, resume=resume, overwrite=overwrite)
    found = array.rename(region="sequence", bin="position", track="feature")
    if out is not None and as_intervals:
        write_intervals(out, intervals(found, threshold), source=str(found.attrs["model"]))
    return found


def intervals(found: xr.DataArray, threshold: float = 0.5) -> pd.DataFrame:
    """Stretches of bases that are likely to be of a feature.

    Parameters
    ----------
    found
        As :func:`segment` gives it.
    threshold
        Probability from which on a base belongs to one.

    Returns
    -------
    pandas.DataFrame
        Columns ``chrom``, ``start``, ``end`` (0-based, half-open, in bp), ``feature``, and ``score``, the mean
        probability; sorted by sequence, feature and place.

    Raises
    ------
    ValueError
        If the threshold is no probability.
    """
    import pandas as pd

    fraction("threshold", threshold)
    rows: list[tuple[str, int, int, str, float]] = []
    chroms, starts = found["chrom"].to_numpy(), found["start"].to_numpy()
    for i, (chrom, origin) in enumerate(zip(chroms, starts, strict=True)):
        values = found[i].to_numpy()
        for j, feature in enumerate(found["feature"].to_numpy()):
            inside = np.r_[False, values[:, j] >= threshold, False]
            edges = np.flatnonzero(inside[1:] != inside[:-1]).reshape(-1, 2)
            rows += [
                (str(chrom), int(origin + start), int(origin + end), str(feature), float(values[start:end, j].mean()))
                for start, end in edges
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _for_items(model: keras.Model, items: Sequence[Item]) -> keras.Model:
    """The model, with a fixed length, and for tokens one that no chromosome or sequence is shorter than."""
    window, words = input_bases(model), tokenizer_of(model)
    if words is None:
        return model
    shortest, step = min(item.size for item in items), words.k * LEAST_WORDS
    if window is not None and shortest >= window:
        return model
    if shortest < step:
        raise SequenceError(
            f"Model {model.name!r} reads {LEAST_WORDS} words of {words.k} bases at the least; the shortest sequence "
            f"has {shortest:,}."
        )
    return with_input_length(model, min(shortest, window or ANY_LENGTH_WINDOW) // step * step)


def feature_names(model: keras.Model, count: int) -> list[str]:
    """What the outputs of a segmentation model are: as its last layer says, else as its card does."""
    found = [layer for layer in model.layers if isinstance(layer, layers.FeatureProbability)]
    if found and len(found[-1].features) == count:
        return list(found[-1].features)
    card = card_of(model)
    table = None if card is None else card.track_table()
    return [f"feature_{i}" for i in range(count)] if table is None else table["identifier"].tolist()


def _layout(items: Sequence[Item], model: keras.Model, predictor: Predictor) -> Layout:
    starts = np.array([item.start for item in items], np.int64)
    lengths = np.array([item.length for item in items], np.int64)
    longest, count = int(lengths.max()), predictor.output_shape[-1]
    card = card_of(model)
    coords: dict[str, Any] = {
        "region": ("region", np.array([item.label for item in items], dtype=str)),
        "chrom": ("region", np.array([item.chrom for item in items], dtype=str)),
        "start": ("region", starts),
        "end": ("region", starts + lengths),
        "bin": ("bin", np.arange(longest)),
        "track": ("track", np.array(feature_names(model, count), dtype=str)),
    }
    attrs = {"model": card.name if card else model.name, "bin_size": 1, "units": "probability"}
    shape = (len(items), longest, count)
    sizes = {item.chrom: item.size for item in items}
    return Layout(("region", "bin", "track"), shape, coords, attrs, sizes, lengths, min(longest, CHUNK_STARTS))
