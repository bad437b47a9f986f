"""The number of a prediction that one cares about."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like import _graph
from crested_like._card import card_of, resolve_tracks
from crested_like._checks import one_of
from crested_like._errors import FetchError, GeneError, GeometryError, RegionError, TrackError
from crested_like.genome import Gene, Region, Transcript, read_genes, regions_of
from crested_like.genome._genes import merged
from crested_like.tl._channels import are_numbers, common_table
from crested_like.tl._geometry import Geometry, geometry, named_outputs
from crested_like.tl._heads import check_head
from crested_like.tl.readout._bins import OVERLAPS, Overlap, bases_in_bins, chosen_bins, text_of_bins, weights_of
from crested_like.tl.readout._bound import BoundReadout

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Readout:
    """The number of a prediction that one cares about: which tracks, which bins, and how they are put together.

    First each track's bins are reduced to one value, then its logarithm is taken if asked for, then the mean over the
    tracks; of ``against`` the same is taken off.

    Parameters
    ----------
    tracks
        Output channels, identifiers, a text to search for, or rows of ``get_tracks``; default all.
    against
        A second set of tracks, for a contrast: the number is that of ``tracks`` minus that of these; with ``log`` it
        is a log2 fold change.
    bins
        Output bins: numbers, a range, a slice or a mask. Each counts once.
    region
        A stretch of the genome, as text (``"chr1:1,001-2,000"``, 1-based inclusive), a ``Region`` or a tuple
        (0-based half-open).
    gene
        A gene whose exons count: a name or identifier to be found in ``gtf``, or a
        :class:`~crested_like.genome.Gene` or :class:`~crested_like.genome.Transcript`. Of ``bins``, ``region`` and
        ``gene`` at most one may be given; without any, all bins count.
    gtf
        Path of a GTF file, or genes that were read from one.
    overlap
        What counts at the edges of the region or of the exons: each bin that is touched (``"any"``), each of which at
        least half lies inside (``"majority"``), or each by the part of it that does (``"fraction"``).
    reduce
        How bins become one value a track: ``"sum"``, ``"mean"`` or ``"max"``.
    over_tracks
        How tracks become one number: ``"mean"``, ``"sum"``, or ``None`` for one number a track.
    log
        Take log2(1 + x) of each track's value.
    head
        Which output of a model with several.

    Raises
    ------
    ValueError
        If the choices exclude each other, or one of them is none of those allowed.

    Examples
    --------
    >>> import crested_like as crested
    >>> model = crested.load_model("borzoi_mini_human")
    >>> readout = crested.tl.Readout("RNA", bins=range(1000, 1048), log=True)
    >>> bound = readout.bind(model)
    >>> bound.of_array(crested.tl.predict("ACGT" * 32768, model, tracks=bound.channels)).shape
    (1,)
    """

    tracks: Any = None
    _: KW_ONLY
    against: Any = None
    bins: Any = None
    region: Any = None
    gene: str | Gene | Transcript | None = None
    gtf: str | os.PathLike[str] | Sequence[Gene | Transcript] | None = None
    overlap: Overlap = "any"
    reduce: Literal["sum", "mean", "max"] = "sum"
    over_tracks: Literal["mean", "sum"] | None = "mean"
    log: bool = False
    head: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("bins", "region", "gene") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"A readout has bins, a region or a gene; got {' and '.join(given)}. Leave one of them.")
        if isinstance(self.gene, str) and self.gtf is None:
            raise ValueError(
                f"The gene {self.gene!r} has to be looked up: give gtf=, the path of a GTF file, or a Gene of "
                f"crested_like.genome.read_genes()."
            )
        if self.gene is not None and not isinstance(self.gene, str | Gene | Transcript):
            raise TypeError(f"A gene is a name, a Gene or a Transcript; got {self.gene!r}.")
        one_of("overlap", self.overlap, OVERLAPS)
        one_of("reduce", self.reduce, ("sum", "mean", "max"))
        if self.over_tracks is not None:
            one_of("over_tracks", self.over_tracks, ("mean", "sum"))
        if self.reduce == "max" and self.overlap == "fraction":
            raise ValueError("A maximum counts whole bins: use overlap='any' or 'majority' with reduce='max'.")
        if self.needs_window:
            self._places  # noqa: B018 - a region or gene that does not exist is told at once

    @property
    def needs_window(self) -> bool:
        """Whether bins are found by their place on a genome, so that :meth:`bind` needs the window."""
        return self.region is not None or self.gene is not None

    @cached_property
    def where(self) -> str:
        """What is counted along the sequence, as text."""
        if self.gene is not None:
            name = self.gene if isinstance(self.gene, str) else getattr(self.gene, "name", None)
            return f"exons of {name or self.gene.identifier}"
        if self.region is not None:
            return str(one_region(self.region, "A readout's region"))
        return "all bins" if self.bins is None else text_of_bins(self.bins)

    def bind(self, model: keras.Model | Sequence[keras.Model], window: Any = None) -> BoundReadout:
        """Settle what the readout means for a model, and check that it means something.

        Parameters
        ----------
        model
            A functional Keras model, or several to be averaged.
        window
            Region of the genome that is the model's whole input; needed by ``region`` and ``gene`` alone.

        Raises
        ------
        TrackError
            If tracks or a head are unknown, or the two sets of a contrast of single tracks differ in number.
        GeometryError
            If bins are not there, or asked of a model with one value per sequence, or the window has another length.
        RegionError, GeneError
            If the region or gene lies outside the window's bins, or is not what is meant by one.
        """
        models = tuple(model) if isinstance(model, list | tuple) else (model,)
        head, shape, tracks, against = self._settled(models)
        weights, covered = self._weights(shape, window)
        if self.reduce == "mean":
            weights = weights / weights.sum()
        return BoundReadout(
            readout=self,
            models=models,
            head=head,
            geometry=shape,
            tracks=tracks,
            against=against,
            weights=weights.astype(np.float32),
            covered=covered,
        )

    def table_of(self, models: Sequence[keras.Model], head: str) -> pd.DataFrame | None:
        """Track table for labels; without it tracks go by their numbers, which is no reason to fail."""
        try:
            return common_table(models, head)
        except FetchError as error:
            log.warning("Tracks are labelled by number, because their table cannot be fetched: %s", error)
            return None

    def __getstate__(self) -> dict[str, Any]:
        """For other processes: without what is known of models of this one."""
        return {name: value for name, value in self.__dict__.items() if name != "_known"}

    @cached_property
    def _known(self) -> weakref.WeakKeyDictionary[keras.Model, tuple[Any, Any]]:
        """What was settled of models: a readout is bound to a new window for each variant."""
        return weakref.WeakKeyDictionary()

    def _settled(
        self, models: tuple[keras.Model, ...]
    ) -> tuple[str, Geometry, NDArray[np.intp], NDArray[np.intp] | None]:
        if not models:
            raise ValueError("A readout needs at least one model; got an empty list.")
        cards = tuple(card_of(model) for model in models)
        key = tuple(map(id, models)), tuple(map(id, cards))
        kept = self._known.get(models[0])
        if kept is None or kept[0] != key:
            kept = key, self._settle(models)
            self._known[models[0]] = kept
        return kept[1]

    def _settle(self, models: tuple[keras.Model, ...]) -> tuple[str, Geometry, Any, Any]:
        first = models[0]
        _graph.require_functional(first)
        head = check_head(first, self.head)
        if head is None:
            raise TrackError(
                f"The model has the heads {', '.join(map(repr, named_outputs(first)))}: pick one with Readout(head=)."
            )
        shape = geometry(first, head)
        if shape.bin_size is None and (self.bins is not None or self.needs_window):
            what = "bins" if self.bins is not None else "a region" if self.region is not None else "a gene"
            raise GeometryError(
                f"Model {first.name!r} has one value per sequence and no bins, so a readout of it cannot have {what}."
            )
        channels = named_outputs(first)[head].shape[-1]
        table = None
        if not (are_numbers(self.tracks) and are_numbers(self.against)):
            table = common_table(models, head)
        tracks = resolve_tracks(self.tracks, table, channels)
        against = None if self.against is None else resolve_tracks(self.against, table, channels)
        if against is not None and self.over_tracks is None and len(against) != len(tracks):
            raise TrackError(
                f"With over_tracks=None each track is set against one other, but tracks has {len(tracks):,} and "
                f"against {len(against):,}. Choose as many, or over_tracks='mean'."
            )
        return head, shape, tracks, against

    def _weights(self, shape: Geometry, window: Any) -> tuple[NDArray[np.float64], float]:
        """Weights of the bins, and the part of the place's bases that lie in bins."""
        if not self.needs_window:
            return np.ones(shape.output_bins) if self.bins is None else chosen_bins(self.bins, shape), 1.0
        if window is None:
            raise RegionError(
                f"The readout counts {self.where}, which is a place on a genome, but the input is a sequence without "
                f"one. Give a region and a genome, or choose the bins by number: Readout(bins=...)."
            )
        window = one_region(window, "The window")
        if window.width != shape.input_length:
            raise GeometryError(
                f"The window {window} has {window.width:,} bases; the model takes exactly {shape.input_length:,}."
            )
        intervals = self._intervals_on(window.chrom)
        origin = window.start + shape.crop
        bases = bases_in_bins(intervals, origin, shape.bin_size, shape.output_bins)
        weights = weights_of(bases, shape.bin_size, self.overlap)
        inside = bases.sum() / sum(end - start for start, end in intervals)
        if not weights.any():
            span = Region(window.chrom, origin, origin + shape.output_length)
            why = "none of its bins is covered by half" if inside else "no base of it lies there"
            raise RegionError(
                f"The readout counts {self.where}, but of the bins of the window {window}, which cover {span}, {why}. "
                f"Move the window, or choose another overlap."
            )
        if inside < 1 and not self.__dict__.setdefault("_told", False):
            self.__dict__["_told"] = True
            log.warning("Only %.1f%% of %s lie in the bins of the window %s.", 100 * inside, self.where, window)
        return weights, float(inside)

    @cached_property
    def _places(self) -> dict[str, list[tuple[tuple[int, int], ...]]]:
        """Intervals of the region, or of the exons of each gene of that name, by chromosome."""
        if self.region is not None:
            region = one_region(self.region, "A readout's region")
            return {region.chrom: [((region.start, region.end),)]}
        if isinstance(self.gene, str):
            genes: list[Any] = read_genes(self.gtf, self.gene)
        else:
            genes = [self.gene]
        places: dict[str, list[Any]] = {}
        for gene in genes:
            places.setdefault(gene.chrom, []).append(merged(gene.exons))
        return places

    def _intervals_on(self, chrom: str) -> tuple[tuple[int, int], ...]:
        found = self._places.get(chrom, [])
        if not found:
            raise RegionError(
                f"The readout counts {self.where} on {' and '.join(self._places)}; the window is on {chrom}. "
                f"Give a window there, with the chromosome's name spelt the same."
            )
        if len(found) > 1:
            spans = ", ".join(f"{chrom}:{exons[0][0] + 1}-{exons[-1][1]}" for exons in found[:5])
            raise GeneError(
                f"{len(found)} genes on {chrom} are called {self.gene!r}: {spans}. Ask for one by its identifier."
            )
        return found[0]


def one_region(given: Any, what: str) -> Region:
    """The one region that something stands for, or a RegionError."""
    regions = regions_of(given)
    if len(regions) != 1:
        raise RegionError(f"{what} must be one region; got {len(regions):,}.")
    return regions[0]
