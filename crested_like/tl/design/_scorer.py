"""Values of many sequences that differ little from each other, computed batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like._checks import positive_int
from crested_like.tl._memory import batch_size_for
from crested_like.tl._predict import Predictor
from crested_like.tl.design._goals import Goal
from crested_like.tl.design._starts import ROWS

if TYPE_CHECKING:
    from crested_like.genome import Region
    from crested_like.tl.readout._bound import BoundReadout


@dataclass(frozen=True)
class Options:
    """How sequences are predicted, as for :func:`crested_like.tl.predict`."""

    rc: bool = False
    unstranded: bool = False
    batch_size: int | None = None


class Scorer:
    """Goals of some models: what they are for sequences.

    One network a head computes the tracks that the goals of that head need and no others. All batches have one size,
    so that a backend compiles once.
    """

    def __init__(self, models: Sequence[keras.Model], goals: list[Goal], options: Options) -> None:
        self.models, self.goals = tuple(models), goals
        heads: dict[str, list[int]] = {}
        self._settled = [goal.readout._settled(self.models) for goal in goals]
        for number, (head, *_) in enumerate(self._settled):
            heads.setdefault(head, []).append(number)
        self._heads = heads
        self._predictors: dict[str, Predictor] = {}
        for head, numbers in heads.items():
            needed = np.unique(np.concatenate([self._needed(number) for number in numbers]))
            self._predictors[head] = Predictor(
                self.models, head, tracks=needed, rc=options.rc, unstranded=options.unstranded
            )
        self._asked = None if options.batch_size is None else positive_int("batch_size", options.batch_size)

    def _needed(self, number: int) -> NDArray[np.intp]:
        _, _, tracks, against = self._settled[number]
        return tracks if against is None else np.concatenate([tracks, against])

    @property
    def input_length(self) -> int:
        """Bases that the models take."""
        return next(iter(self._predictors.values())).geometry.input_length

    @property
    def batch_size(self) -> int:
        """Sequences computed at a time."""
        if self._asked is None:
            self._asked = batch_size_for([m for p in self._predictors.values() for m in p.models], 1 << 16)
        return self._asked

    def networks(self) -> Iterator[tuple[keras.Model, list[int], Callable[[NDArray[np.intp]], NDArray[np.intp]]]]:
        """Each network, the numbers of its goals, and what finds tracks among the channels of its output."""
        for head, numbers in self._heads.items():
            predictor = self._predictors[head]
            for network, rest in predictor.parts:
                order = predictor._order[False]
                given = order if rest is None else rest[order]
                places = dict(zip(predictor.tracks.tolist(), given.tolist(), strict=True))
                yield network, numbers, lambda tracks, places=places: np.array([places[t] for t in tracks.tolist()])

    def bind(self, window: Region | None) -> list[BoundReadout]:
        """The goals' readouts for sequences at one place.

        Raises
        ------
        TrackError
            If a readout gives more than one number a sequence.
        """
        bound = [goal.readout.bind(self.models, window) for goal in self.goals]
        for one in bound:
            one.require_scalar("Design")
        return bound

    def values(self, codes: NDArray[np.uint8], bound: list[BoundReadout]) -> NDArray[np.float64]:
        """Values of sequences ``(N, L)``: ``(N, goals)``, float64."""
        found = np.empty((len(codes), len(self.goals)))
        for start in range(0, len(codes), self.batch_size):
            part = codes[start : start + self.batch_size]
            padded = np.concatenate([part, np.repeat(part[-1:], self.batch_size - len(part), axis=0)])
            found[start : start + len(part)] = self._batch(ROWS[padded], bound)[: len(part)]
        return found

    def edited(
        self,
        codes: NDArray[np.uint8],
        places: NDArray[np.intp],
        letters: NDArray[np.uint8],
        bound: list[BoundReadout],
    ) -> NDArray[np.float64]:
        """Values of one sequence ``(L,)`` with one base substituted, for each of many: ``(N, goals)``."""
        return self.rewritten(codes, places, letters[:, None], bound)

    def rewritten(
        self,
        codes: NDArray[np.uint8],
        places: NDArray[np.intp],
        texts: NDArray[np.uint8],
        bound: list[BoundReadout],
    ) -> NDArray[np.float64]:
        """Values of one sequence ``(L,)`` with other bases from a place on, ``(N, width)``: ``(N, goals)``."""
        found = np.empty((len(places), len(self.goals)))
        width = np.arange(texts.shape[1])
        for start in range(0, len(places), self.batch_size):
            chosen = slice(start, start + self.batch_size)
            part = np.repeat(codes[None], len(places[chosen]), axis=0)
            part[np.arange(len(part))[:, None], places[chosen][:, None] + width] = texts[chosen]
            found[chosen] = self.values(part, bound)
        return found

    def _batch(self, x: NDArray[np.float32], bound: list[BoundReadout]) -> NDArray[np.float64]:
        found = np.empty((len(x), len(self.goals)))
        for head, numbers in self._heads.items():
            predictor = self._predictors[head]
            y = predictor(x)
            places = {channel: i for i, channel in enumerate(predictor.tracks.tolist())}
            for number in numbers:
                columns = [places[channel] for channel in bound[number].channels.tolist()]
                found[:, number] = bound[number].of_array(y[..., columns])
        return found
