"""Batches made of datasets: what each holds depends on nothing but a seed and its number. No keras here."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import did_you_mean
from crested_like._errors import DatasetError
from crested_like.datasets._open import open_dataset
from crested_like.datasets._source import Source
from crested_like.datasets.batches._augment import Augmentation, one_hot_of_codes
from crested_like.datasets.batches._reader import Reader
from crested_like.datasets.batches._schedule import Planned, Purpose, Schedule, generator

#: A dataset, opened or not.
AnySource: TypeAlias = "Source | str | os.PathLike[str]"


class Feed:
    """All batches of all rounds; takes the arguments of ``Batches``, which says what they mean.

    Attributes
    ----------
    heads
        Names of the heads that are trained, or None for a single dataset without a name.
    """

    def __init__(
        self,
        sources: AnySource | Mapping[str, AnySource],
        labels: str | Sequence[str] | Mapping[str, str | Sequence[str]],
        augmentation: Augmentation,
        *,
        batch_size: int,
        seed: int,
        shuffle: bool,
        per_example: bool,
        steps: int | None,
        heads: Sequence[str] | None,
        unstranded: bool,
        encode: Callable[[NDArray[np.float32]], Any] | None,
    ):
        named = sources if isinstance(sources, Mapping) else {"": sources}
        _check_heads(sources, labels, heads)
        self.heads = tuple(named) if isinstance(sources, Mapping) else None
        self._readers = [
            Reader(
                open_dataset(source),
                labels[head] if isinstance(labels, Mapping) else labels,
                augmentation,
                unstranded=unstranded,
            )
            for head, source in named.items()
        ]
        _check_shapes(dict(zip(named, self._readers, strict=True)))
        self._schedule = Schedule(
            [reader.order for reader in self._readers],
            [reader.count for reader in self._readers],
            batch_size,
            steps=steps,
            seed=seed,
            shuffle=shuffle,
        )
        self._per_example, self._encode = per_example, encode

    def __len__(self) -> int:
        return len(self._schedule)

    def batch(self, round_: int, step: int) -> tuple[Any, ...]:
        """Inputs and targets of a batch, and weights where heads have names; see ``Batches``."""
        plan = self._plan(round_, step)
        reader, seed = self._readers[plan.head], self._schedule.seed
        shared = None
        if not self._per_example:
            rng = generator(seed, Purpose.BATCH, plan.head, plan.number)
            shared = reader.augmentation.strand_and_shift(rng)
        codes = np.empty((len(plan.positions), reader.input_length), np.uint8)
        targets = np.empty((len(plan.positions), *reader.target_shape), np.float32)
        for i, (position, pass_, place) in enumerate(zip(plan.positions, plan.passes, plan.places, strict=True)):
            rng = generator(seed, Purpose.EXAMPLE, plan.head, pass_, place)
            codes[i], targets[i] = reader.example(position, rng, shared)
        x = one_hot_of_codes(codes)
        return self._for_heads(x if self._encode is None else self._encode(x), targets, plan.head)

    def examples(self, round_: int, step: int) -> list[tuple[str, str, int]]:
        """Head (empty where it has no name), label and number of each example of a batch."""
        plan = self._plan(round_, step)
        head = self.heads[plan.head] if self.heads else ""
        return [(head, *self._readers[plan.head].place(position)) for position in plan.positions]

    def _plan(self, round_: int, step: int) -> Planned:
        step = operator.index(step)
        if not 0 <= step < len(self):
            raise IndexError(f"A round has {len(self):,} batches, numbered from 0; there is no batch {step:,}.")
        return self._schedule.plan(operator.index(round_), step)

    def _for_heads(self, x: Any, targets: NDArray[np.float32], present: int) -> tuple[Any, ...]:
        if self.heads is None:
            return x, targets
        size = len(targets)
        all_targets, weights = {}, {}
        for number, (head, reader) in enumerate(zip(self.heads, self._readers, strict=True)):
            here = number == present
            all_targets[head] = targets if here else np.zeros((size, *reader.target_shape), np.float32)
            weights[head] = np.full((size, 1), here, np.float32)  # fits losses of a value an example, and a value a bin
        return x, all_targets, weights


def _check_heads(sources: object, labels: object, heads: Sequence[str] | None) -> None:
    """Compare the names of sources, labels and of the model's heads."""
    if not isinstance(sources, Mapping):
        if isinstance(labels, Mapping):
            raise DatasetError(f"labels are given by head ({', '.join(labels)}), but there is one dataset without any.")
        return
    if not sources:
        raise DatasetError("No dataset was given.")
    if heads is not None and (unknown := [name for name in sources if name not in heads]):
        raise DatasetError(
            f"The model has no head {unknown[0]!r}, only {', '.join(heads)}.{did_you_mean(unknown[0], heads)}"
        )
    if isinstance(labels, Mapping) and set(labels) != set(sources):
        raise DatasetError(f"There are datasets for {', '.join(sources)}, but labels for {', '.join(labels)}.")


def _check_shapes(readers: Mapping[str, Reader]) -> None:
    """All species go through one trunk, so everything but the number of tracks must be equal."""
    shapes = {
        head: (reader.input_length, reader.bins, reader.source.layout.pool_width) for head, reader in readers.items()
    }
    if len(set(shapes.values())) > 1:
        lines = [
            f"  {head}: {length:,} bases, {bins:,} bins of {width or 0:,} bp"
            for head, (length, bins, width) in shapes.items()
        ]
        raise DatasetError("\n".join(["All datasets must have the same lengths; here are:", *lines]))
