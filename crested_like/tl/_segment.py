"""Genomic elements along sequences and regions of any length."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like import layers
from crested_like._card import card_of
from crested_like._checks import fraction, int_at_least
from crested_like._errors import GeometryError, SequenceError, TrackError
from crested_like.genome import check_one_hot, check_regions, one_hot, write_intervals
from crested_like.genome._annotations import COLUMNS
from crested_like.tl._geometry import Geometry, named_outputs
from crested_like.tl._inputs import GenomeRegions, Sequences, Windows, contents_of
from crested_like.tl._lengths import with_input_length
from crested_like.tl._predict import Predictor, heads_of
from crested_like.tl._stream import stream
from crested_like.tl._tokens import input_bases, tokenizer_of
from crested_like.tl.regions._files import assemble, check_path
from crested_like.tl.regions._layout import Layout
from crested_like.tl.regions._stores import CHUNK_STARTS

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
    if out is not None and not as_intervals:
        check_path(out)
    fraction("threshold", threshold)
    items = _items_of(input, genome)
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
    windows = stream(predictor, tiles, predictor.models, batch_size=batch_size, progress=progress, doing="segmenting")
    array = assemble(_assembled(windows, tiles), layout, None if as_intervals else out)
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


@dataclass(frozen=True)
class Item:
    """A sequence to be segmented, of its own or a part of a chromosome."""

    label: str
    chrom: str
    start: int
    length: int
    size: int
    """Bases of the chromosome, or of the sequence itself."""
    fetch: Callable[[int, int], NDArray[np.float32]] = field(repr=False)
    """One-hot bases from a start to an end on the chromosome; zeros beyond its ends."""


def _items_of(source: Any, genome: Any) -> list[Item]:
    found = contents_of(source, genome)
    if isinstance(found, GenomeRegions):
        check_regions(found.regions, found.genome)

        def fetch_of(chrom: str) -> Callable[[int, int], NDArray[np.float32]]:
            return lambda start, end: one_hot(found.genome.fetch(chrom, start, end))

        return [
            Item(
                r.name or str(r),
                r.chrom,
                r.start,
                r.end - r.start,
                found.genome.chromosomes[r.chrom],
                fetch_of(r.chrom),
            )
            for r in found.regions
        ]
    if isinstance(found, Sequences):
        names = found.names or [f"sequence_{i}" for i in range(len(found.sequences))]
        arrays = [one_hot(sequence) for sequence in found.sequences]
    else:
        arrays = list(check_one_hot(found).astype(np.float32))
        names = [f"sequence_{i}" for i in range(len(arrays))]
    empty = [name for name, array in zip(names, arrays, strict=True) if not len(array)]
    if empty:
        raise SequenceError(f"Sequence {empty[0]!r} is empty.")
    return [
        Item(name, name, 0, len(array), len(array), _part_of(array)) for name, array in zip(names, arrays, strict=True)
    ]


def _part_of(array: NDArray[np.float32]) -> Callable[[int, int], NDArray[np.float32]]:
    def fetch(start: int, end: int) -> NDArray[np.float32]:
        part = array[max(start, 0) : max(end, 0)]
        before = min(max(-start, 0), end - start)
        return np.pad(part, ((before, end - start - before - len(part)), (0, 0)))

    return fetch


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


class Tiles(Windows):
    """Windows of a model that together cover sequences of any length.

    Parameters
    ----------
    items
        The sequences.
    geometry
        Of the model.
    overlap
        Bases that the outputs of neighbouring windows share, at least; default a quarter.
    inside
        Whether windows must not reach beyond a chromosome's ends.
    """

    def __init__(self, items: Sequence[Item], geometry: Geometry, overlap: int | None, *, inside: bool) -> None:
        self.items, self.geometry = items, geometry
        span = geometry.output_length
        shared = span // 4 if overlap is None else int_at_least("overlap", overlap, 0)
        if shared >= span:
            raise GeometryError(f"overlap must be smaller than the model's output of {span:,} bp; got {overlap:,}.")
        #: Item and first base of the output on its chromosome, window by window.
        self.places = [
            (i, start) for i, item in enumerate(items) for start in _starts(item, span, span - shared, inside)
        ]
        labels = [items[i].label for i, _ in self.places]
        super().__init__(geometry.input_length, labels, (), {})

    def batch(self, start: int, stop: int) -> NDArray[np.float32]:
        places = [(self.items[i], first - self.geometry.crop) for i, first in self.places[start:stop]]
        return np.stack([item.fetch(first, first + self.length) for item, first in places])


def _starts(item: Item, span: int, step: int, inside: bool) -> list[int]:
    """First bases of outputs that cover an item, the last one ending where the item ends."""
    first, last = item.start, item.start + item.length - span
    # one is enough for what is shorter: in the middle
    starts = [*range(first, last, step), last] if last > first else [(first + last) // 2]
    return [min(max(start, 0), item.size - span) for start in starts] if inside else starts


def _assembled(
    blocks: Iterator[tuple[int, NDArray[np.float32]]], tiles: Tiles
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Item, 0 and values of the whole of it, ``(length, features)``, as soon as its last window is there."""
    span, values = tiles.geometry.output_length, np.empty((0, 0), np.float32)
    for first, block in blocks:
        for n, window in enumerate(block, first):
            i, start = tiles.places[n]
            item = tiles.items[i]
            before = tiles.places[n - 1] if n else (-1, 0)
            after = tiles.places[n + 1] if n + 1 < len(tiles.places) else (-1, 0)
            if before[0] != i:
                values = np.empty((item.length, window.shape[-1]), np.float32)
            # halfway between the centres of neighbours
            low = (before[1] + start + span) // 2 if before[0] == i else item.start
            high = (after[1] + start + span) // 2 if after[0] == i else item.start + item.length
            values[low - item.start : high - item.start] = window[low - start : high - start]
            if after[0] != i:
                yield i, 0, values


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
