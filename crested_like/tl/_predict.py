"""From DNA to numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like import _graph
from crested_like._card import resolve_tracks
from crested_like._errors import GeometryError, TrackError
from crested_like.genome import reverse_complement_one_hot, shift_one_hot
from crested_like.tl._channels import are_numbers, check_turnable, common_table, opposite
from crested_like.tl._forward import forward, forward_all
from crested_like.tl._geometry import geometry, named_outputs
from crested_like.tl._heads import check_head, reduced
from crested_like.tl._inputs import windows_of
from crested_like.tl._stream import collect, collect_all
from crested_like.tl._tokens import encoder
from crested_like.tl.rewriting._accelerate import fast_form
from crested_like.tl.rewriting._reuse import Reuse

if TYPE_CHECKING:
    import pandas as pd

    from crested_like.genome import Genome


def predict(
    input: Any,
    model: keras.Model | Sequence[keras.Model],
    genome: Genome | str | None = None,
    *,
    head: str | None = None,
    batch_size: int | None = None,
    tracks: Any = None,
    rc: bool = False,
    shifts: Sequence[int] = (0,),
    unstranded: bool = False,
    accelerate: bool = True,
    progress: bool | None = None,
) -> NDArray[np.float32] | dict[str, NDArray[np.float32]]:
    """Predict coverage, or whatever a model's outputs are, for sequences or regions.

    Parameters
    ----------
    input
        A DNA string or a list of them; a one-hot array ``(N, L, 4)`` or ``(L, 4)``, order A, C, G, T; a region such
        as ``"chr1:1001-2000"`` (1-based, inclusive), a ``(chrom, start, end)`` tuple or a table (0-based, half-open),
        a list of them, or the path of a BED file; the path of a FASTA file; or an AnnData whose variables are
        regions. Regions are recentred on ``(start + end) // 2`` and resized to the model's input.
    model
        A Keras model, or several of one architecture, whose mean is taken.
    genome
        Where regions are read from: a :class:`~crested_like.Genome`, the path of a FASTA file, or the name of a
        registered genome; default the one registered last.
    head
        Which output of a model with several.
    batch_size
        Windows computed at a time; by default as many as fit safely into memory, 1 for large models.
    tracks
        Output channels, identifiers, a text to search for, or rows of ``get_tracks``; computed before the head where
        the model allows it. Default all.
    rc
        Average over both strands: the reverse complement's bins are turned back and its strand pairs swapped.
    shifts
        Average over these shifts of the sequence, in bp; positive ones move it to the right. They are applied after
        reverse complement, and vacated positions are N.
    unstranded
        Say that no track has a strand, so that ``rc`` needs no strand pairs.
    accelerate
        Compute the network in a form that needs less work and gives the same numbers up to rounding (see
        :func:`~crested_like.tl.accelerate`); False computes it as it is.
    progress
        Show a progress bar; by default only for several batches in a terminal.

    Returns
    -------
    numpy.ndarray or dict
        ``(N, bins, tracks)``, or ``(N, values)`` for a model with one value per sequence; float32. A dict of these
        by head for a model with several outputs, unless ``head`` picks one.

    Raises
    ------
    SequenceError
        If a sequence has the wrong length or shape, or letters that are no DNA.
    RegionError
        If a region is malformed or off the genome.
    TrackError
        If tracks or a head are unknown, or ``rc`` needs strand pairs that nobody gave (see ``crested_like.attach``).
    ModelFileError
        If the model is no functional Keras model.

    Examples
    --------
    >>> import crested_like as crested
    >>> model = crested.load_model("borzoi_mini_human")
    >>> crested.tl.predict("ACGT" * 32768, model, tracks=[0, 5]).shape
    (1, 2048, 2)
    """
    models = list(model) if isinstance(model, list | tuple) else [model]
    heads = heads_of(models, head)
    if len(heads) > 1 and tracks is not None:
        raise TrackError(
            f"tracks= needs one head, and the model has {', '.join(map(repr, heads))}: pick one with head=."
        )
    predictors = {
        name: Predictor(models, name, tracks=tracks, rc=rc, shifts=shifts, unstranded=unstranded, accelerate=accelerate)
        for name in heads
    }
    windows = windows_of(input, next(iter(predictors.values())).geometry.input_length, genome)
    options = {"batch_size": batch_size, "progress": progress}
    if len(heads) > 1:
        together = Together(models, predictors, accelerate=accelerate)
        shapes = {name: predictor.output_shape for name, predictor in predictors.items()}
        return collect_all(together, windows, together.models, shapes, **options)
    predictor = predictors[heads[0]]
    return collect(predictor, windows, predictor.models, predictor.output_shape, **options)


def heads_of(models: list[Any], head: str | None) -> list[str]:
    """Heads to be computed, after a check that the models can be averaged."""
    if not models:
        raise ValueError("predict() needs at least one model; got an empty list.")
    for model in models:
        _graph.require_functional(model)
    chosen = check_head(models[0], head)
    heads = list(named_outputs(models[0])) if chosen is None else [chosen]
    for model in models[1:]:
        missing = [name for name in heads if name not in named_outputs(model)]
        if missing:
            raise TrackError(f"Models to be averaged must have the same heads; {model.name!r} lacks {missing[0]!r}.")
    return heads


#: A strand, whether it is the reverse one, and a shift.
View = tuple[bool, int]
#: From a model's number, a view and the one-hot sequences in it to the model's output.
Output = Callable[[int, View, NDArray[np.float32]], NDArray]


class Predictor:
    """What is to be computed of some models, settled once: head, tracks, strands and shifts.

    Parameters
    ----------
    models
        One or several models of the same geometry; the mean is taken.
    head
        Name of the output, the same in each.
    tracks, rc, shifts, unstranded, accelerate
        As for :func:`predict`.
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        head: str,
        *,
        tracks: Any = None,
        rc: bool = False,
        shifts: Sequence[int] = (0,),
        unstranded: bool = False,
        accelerate: bool = True,
    ) -> None:
        self.geometry, *others = (geometry(model, head) for model in models)
        if any(other != self.geometry for other in others):
            raise GeometryError(f"Models to be averaged must have the same bins; they have {self.geometry}, {others}.")
        self.views = [(strand, int(shift)) for strand in ((False, True) if rc else (False,)) for shift in shifts]
        if not self.views:
            raise ValueError("shifts must hold at least one shift; got none. Use (0,) for no shift.")
        self._models, self._head = models, head
        num_tracks, *others = (named_outputs(model)[head].shape[-1] for model in models)
        if any(other != num_tracks for other in others):
            raise TrackError(f"Models to be averaged must have the same tracks; they have {num_tracks}, {others}.")
        #: Output channels, in the order of the result.
        self.tracks = resolve_tracks(tracks, None if are_numbers(tracks) else self.table, num_tracks)
        partners = self._partners(rc, unstranded, num_tracks)
        # one head computes what either strand needs
        computed = np.unique(np.concatenate([self.tracks, partners]))
        if set(computed) == set(self.tracks.tolist()) and len(computed) == len(self.tracks):
            computed = self.tracks
        places = {channel: i for i, channel in enumerate(computed.tolist())}
        self._order = {
            strand: np.array([places[c] for c in chosen.tolist()], np.intp)
            for strand, chosen in ((False, self.tracks), (True, partners))
        }
        self.parts = [reduced(model, head, computed) for model in models]
        self._encoders = [encoder(model) for model in models]
        self._accelerate = accelerate
        self._reuse: dict[tuple, Reuse] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """All but what a process has for itself; for other processes, which have no cards."""
        own = ("_encoders", "_models", "_reuse", "table")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._models = [model for model, _ in self.parts]
        self._encoders = [encoder(model) for model in self._models]
        self._reuse = None

    @cached_property
    def table(self) -> pd.DataFrame | None:
        """The models' track table, where a card has one; it may have to be downloaded, so it is asked for late."""
        return common_table(self._models, self._head)

    def _partners(self, rc: bool, unstranded: bool, num_tracks: int) -> NDArray[np.intp]:
        """For every track of the result the channel that shows it on the reverse complement."""
        if not rc or unstranded:
            return self.tracks
        check_turnable(self.geometry)
        return opposite(self.table)[self.tracks]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the result for one window: ``(bins, tracks)``, or ``(values,)``."""
        bins = () if self.geometry.bin_size is None else (self.geometry.output_bins,)
        return (*bins, len(self.tracks))

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict a batch: ``(B, L, 4)`` to ``(B, bins, tracks)`` or ``(B, values)``, float32."""
        return self.averaged(batch, self._output)

    def averaged(self, batch: NDArray[np.float32], output: Output) -> NDArray[np.float32]:
        """The mean over models, strands and shifts of a batch's outputs, which ``output`` computes."""
        total = np.float32(0)
        for reverse, shift in self.views:
            x = shift_one_hot(reverse_complement_one_hot(batch) if reverse else batch, shift)
            for number, (_, rest) in enumerate(self.parts):
                y = output(number, (reverse, shift), x)
                y = _columns(_columns(y, rest), self._order[reverse])
                total = total + (y[:, ::-1] if reverse and y.ndim == 3 else y)
        count = len(self.views) * len(self.parts)
        return total if count == 1 else total / np.float32(count)

    def _output(self, number: int, view: View, x: NDArray[np.float32]) -> NDArray:
        model, encode = self.parts[number][0], self._encoders[number]
        if self._reuse is None:
            return forward(self._computed(model), encode(x))
        return self._reuse.setdefault((number, *view), Reuse(model))(encode(x))

    def _computed(self, model: keras.Model) -> keras.Model:
        return fast_form(model) if self._accelerate else model

    @contextmanager
    def reusing(self) -> Iterator[None]:
        """Within it, what a sequence has in common with one before it is not computed again."""
        self._reuse = {} if self._accelerate else None
        try:
            yield
        finally:
            self._reuse = None

    @property
    def models(self) -> list[keras.Model]:
        """The networks that are computed."""
        return [self._computed(model) for model, _ in self.parts]


class Together:
    """Several heads of some models, from one pass through each.

    Parameters
    ----------
    models
        As for :class:`Predictor`.
    predictors
        What is to be done with each head, by its name; all tracks and the same strands and shifts for each.
    accelerate
        As for :func:`predict`.
    """

    def __init__(
        self, models: Sequence[keras.Model], predictors: Mapping[str, Predictor], *, accelerate: bool = True
    ) -> None:
        #: The networks that are computed.
        self.models = [fast_form(model) if accelerate else model for model in models]
        self._predictors = predictors
        self._places = [_places(model) for model in models]
        self._encoders = [encoder(model) for model in models]

    def __call__(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Predict a batch: every head's values."""
        known: dict[tuple[int, View], list[NDArray]] = {}

        def outputs(number: int, view: View, x: NDArray[np.float32]) -> list[NDArray]:
            if (number, view) not in known:
                known[number, view] = forward_all(self.models[number], self._encoders[number](x))
            return known[number, view]

        def output_of(name: str) -> Output:
            return lambda number, view, x: outputs(number, view, x)[self._places[number][name]]

        return {name: one.averaged(batch, output_of(name)) for name, one in self._predictors.items()}


def _places(model: keras.Model) -> dict[str, int]:
    """Number of each head's output among all of a model's."""
    order = {id(output): place for place, output in enumerate(model.outputs)}
    return {name: order[id(output)] for name, output in named_outputs(model).items()}


def _columns(values: NDArray, chosen: NDArray[np.intp] | None) -> NDArray:
    """Choose channels, without a copy where all are wanted as they are."""
    if chosen is None or np.array_equal(chosen, np.arange(values.shape[-1])):
        return values
    return values[..., chosen]
