"""Sequences that motifs are put into or taken out of, and tables of what that does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import int_at_least
from crested_like.genome import random_dna, shuffle_dna
from crested_like.tl.design._scorer import Scorer
from crested_like.tl.design._starts import Starts, starts_of, text_of

if TYPE_CHECKING:
    from crested_like.genome import Region
    from crested_like.tl.readout._bound import BoundReadout

#: Random sequences where no background is given.
RANDOM = 100


@dataclass(frozen=True)
class Group:
    """Sequences that are read out alike."""

    names: list[str]
    codes: NDArray[np.uint8]
    bound: list[BoundReadout]


def backgrounds(given: Any, scorer: Scorer, genome: Any, shuffles: int, seed: int) -> list[Group]:
    """Sequences, each replaced by its shuffles where any are asked for; without any given, random ones.

    Raises
    ------
    ValueError
        If shuffles of random sequences are asked for.
    """
    int_at_least("shuffles", shuffles, 0)
    rng = np.random.default_rng(seed)
    if given is None:
        given, shuffles = random_dna(scorer.input_length, RANDOM, seed=rng), 0
    starts = starts_of(given, scorer.input_length, genome)
    if not shuffles:
        return list(grouped(starts, scorer))
    texts = [shuffle_dna(text_of(codes), shuffles, seed=rng) for codes in starts.codes]
    codes = starts_of([text for own in texts for text in own], scorer.input_length, None).codes
    names = [f"{name}_{i}" for name in starts.names for i in range(shuffles)]
    windows = [window for window in starts.windows for _ in range(shuffles)]
    return list(grouped(Starts(names, codes, windows), scorer))


def grouped(starts: Starts, scorer: Scorer) -> Iterator[Group]:
    """All sequences at once where no readout asks for their place, else those of one window together."""
    placed = any(goal.readout.needs_window for goal in scorer.goals)
    rows: dict[Region | None, list[int]] = {}
    for number, window in enumerate(starts.windows):
        rows.setdefault(window if placed else None, []).append(number)
    for window, numbers in rows.items():
        yield Group([starts.names[i] for i in numbers], starts.codes[numbers], scorer.bind(window))


def spread(before: NDArray[np.float64], after: NDArray[np.float64]) -> dict[str, Any]:
    """Mean and spread of effects, for values before and after ``(N,)``."""
    effect = after - before
    count = len(effect)
    sd = float(effect.std(ddof=1)) if count > 1 else float("nan")
    low, high = np.quantile(effect, [0.05, 0.95])
    told = {"n": count, "before": float(before.mean()), "after": float(after.mean()), "effect": float(effect.mean())}
    return {**told, "sd": sd, "se": sd / count**0.5, "q05": float(low), "q95": float(high)}
