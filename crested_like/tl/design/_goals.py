"""What a design is to reach: one readout or several, with weights and bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crested_like.tl.readout._readout import Readout


@dataclass(frozen=True, eq=False)
class Goal:
    """A readout that a design is to raise or lower, or to keep within bounds.

    The score of a sequence is the sum of ``weight * value`` over the goals. A sequence that breaks bounds less always
    comes before one that breaks them more, whatever their scores.

    Parameters
    ----------
    readout
        What is read out: one number a sequence.
    weight
        How much it counts; below 0 it is to be lowered, with 0 only its bounds matter.
    at_least, at_most
        Bounds of the value, in its own units.
    name
        What its column is called.

    Raises
    ------
    TypeError, ValueError
        If it is no readout, the bounds exclude each other, or a number is not finite.

    Examples
    --------
    >>> from crested_like import tl
    >>> goal = tl.Goal(tl.Readout([0]), at_most=10.0, weight=0, name="off-target")
    """

    readout: Readout
    _: KW_ONLY
    weight: float = 1.0
    at_least: float | None = None
    at_most: float | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.readout, Readout):
            raise TypeError(f"A goal is made of a crested_like.tl.Readout; got {self.readout!r}.")
        for name in ("weight", "at_least", "at_most"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} of a goal must be a finite number; got {value!r}.")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"No value is at least {self.at_least:g} and at most {self.at_most:g}.")


#: Readouts and goals, as the verbs of design take them.
Wanted = Readout | Goal | list | tuple | Mapping


def goals_of(wanted: Any) -> list[Goal]:
    """Named goals of a readout or a goal, a list of these, or a dict of these by name.

    Raises
    ------
    TypeError
        If something is neither.
    ValueError
        If two have one name, or none is given.
    """
    if wanted is None:
        raise TypeError(
            "Say what is to be read out: readout=crested_like.tl.Readout(tracks=..., bins=...), a Goal, or several."
        )
    if isinstance(wanted, Mapping):
        pairs = [(str(name), item) for name, item in wanted.items()]
    else:
        pairs = [(None, item) for item in (wanted if isinstance(wanted, list | tuple) else [wanted])]
    found = []
    for number, (name, item) in enumerate(pairs):
        goal = item if isinstance(item, Goal) else Goal(item)
        default = "value" if len(pairs) == 1 else f"value_{number}"
        found.append(
            Goal(
                goal.readout,
                weight=goal.weight,
                at_least=goal.at_least,
                at_most=goal.at_most,
                name=name or goal.name or default,
            )
        )
    names = [goal.name for goal in found]
    if len(set(names)) < len(names) or not names or set(names) & {"score", "broken"}:
        raise ValueError(f"Goals need names of their own other than 'score' and 'broken'; got {names}.")
    return found


def scores_of(values: NDArray[np.float64], goals: list[Goal]) -> NDArray[np.float64]:
    """Weighted sums, ``(N, goals)`` to ``(N,)``."""
    return values @ np.array([goal.weight for goal in goals])


def broken_by(values: NDArray[np.float64], goals: list[Goal]) -> NDArray[np.float64]:
    """How far values lie beyond the bounds, summed over the goals: ``(N, goals)`` to ``(N,)``."""
    total = np.zeros(len(values))
    for column, goal in zip(values.T, goals, strict=True):
        if goal.at_least is not None:
            total += np.maximum(goal.at_least - column, 0)
        if goal.at_most is not None:
            total += np.maximum(column - goal.at_most, 0)
    return total


def best_first(values: NDArray[np.float64], goals: list[Goal]) -> NDArray[np.intp]:
    """Order of sequences by what they break, then by score; of equals the first stays first."""
    return np.lexsort((-scores_of(values, goals), broken_by(values, goals)))
