"""Which examples are in which batch: a function of a seed and of the batch's number, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import int_at_least, positive_int

T = TypeVar("T")
#: An order of all examples of a head for one pass: positions, drawn with a generator.
Order = Callable[[np.random.Generator], NDArray[np.intp]]


class Purpose(IntEnum):
    """What random numbers are for: each has generators of its own."""

    ORDER = 0
    TURNS = 1
    EXAMPLE = 2
    BATCH = 3


def generator(seed: int, purpose: Purpose, *numbers: int) -> np.random.Generator:
    """The generator that belongs to a purpose and its numbers, such as head, pass and place."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(purpose), *map(int, numbers))))


@dataclass(frozen=True)
class Planned:
    """A batch before anything is read.

    Attributes
    ----------
    head
        Number of the head (species) that it trains.
    number
        Which of all batches of this head it is, counted from the start of the training.
    passes, places
        ``(n,)``: in which pass over the data, and where in its order, each example is.
    positions
        ``(n,)``: which example of the head's data each is.
    """

    head: int
    number: int
    passes: NDArray[np.intp]
    places: NDArray[np.intp]
    positions: NDArray[np.intp]


class Schedule:
    """The batches of all rounds.

    With ``steps=None`` a round is one pass over the data of all heads, and the last batch of each head may be smaller.
    Otherwise a round has that many full batches, and the passes go on from one round to the next.

    Parameters
    ----------
    orders
        For every head, how its examples are shuffled; called with a generator.
    counts
        For every head, its examples.
    batch_size, steps, seed, shuffle
        As in ``Batches``.
    """

    def __init__(
        self,
        orders: list[Order],
        counts: list[int],
        batch_size: int,
        *,
        steps: int | None = None,
        seed: int = 0,
        shuffle: bool = True,
    ):
        self.orders, self.counts = orders, counts
        self.batch_size = positive_int("batch_size", batch_size)
        self.steps = None if steps is None else positive_int("steps", steps)
        self.seed, self.shuffle = int_at_least("seed", seed, 0), bool(shuffle)
        self.batches = [-(-count // self.batch_size) for count in counts]  # of each head, in a pass over all heads
        self._recent = _Recent()

    def __len__(self) -> int:
        return sum(self.batches) if self.steps is None else self.steps

    def plan(self, round_: int, step: int) -> Planned:
        """What the batch ``step`` of a round holds."""
        cycle, turn = divmod(round_ * len(self) + step, sum(self.batches))
        turns = self._turns(cycle)
        head = int(turns[turn])
        number = cycle * self.batches[head] + int(np.count_nonzero(turns[:turn] == head))
        passes, places = self._examples(head, number)
        positions = np.empty_like(places)
        for pass_ in range(passes[0], passes[-1] + 1):
            here = passes == pass_
            positions[here] = self._order(head, pass_)[places[here]]
        return Planned(head, number, passes, places, positions)

    def _examples(self, head: int, number: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Passes and places of the examples in a head's ``number``-th batch."""
        count, size = self.counts[head], self.batch_size
        if self.steps is not None:
            return np.divmod(np.arange(number * size, (number + 1) * size), count)
        pass_, batch = divmod(number, self.batches[head])
        places = np.arange(batch * size, min((batch + 1) * size, count))
        return np.full_like(places, pass_), places

    def _turns(self, cycle: int) -> NDArray[np.intp]:
        """Whose turn it is, for every batch of a pass over all heads."""
        turns = np.repeat(np.arange(len(self.counts)), self.batches)
        if not self.shuffle or len(self.counts) == 1:
            return turns
        return self._recent.get(
            (Purpose.TURNS, cycle), lambda: generator(self.seed, Purpose.TURNS, cycle).permutation(turns)
        )

    def _order(self, head: int, pass_: int) -> NDArray[np.intp]:
        if not self.shuffle:
            return np.arange(self.counts[head])
        return self._recent.get(
            (Purpose.ORDER, head, pass_),
            lambda: self.orders[head](generator(self.seed, Purpose.ORDER, head, pass_)),
        )


class _Recent:
    """The few values last made, which would only be made again. Threads may make one twice, to no harm."""

    kept = 8

    def __init__(self) -> None:
        self._values: dict[Hashable, Any] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        values = self._values
        if key not in values:
            newest = list(values.items())[1 - self.kept :]
            self._values = values = {**dict(newest), key: make()}
        return values[key]
