"""Which substitutions are worth a prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from crested_like.tl.design._goals import broken_by
from crested_like.tl.design._member import Member
from crested_like.tl.design._scorer import Scorer
from crested_like.tl.design._starts import ROWS

if TYPE_CHECKING:
    from crested_like.tl.readout._bound import BoundReadout

PROPOSALS = ("all", "random", "gradient")


class Proposer:
    """Substitutions of one sequence.

    Parameters
    ----------
    scorer, bound
        What is to be reached.
    how, candidates
        As for :func:`crested_like.tl.evolve`.
    may
        Which bases may change, ``(L,)``.
    """

    def __init__(
        self, scorer: Scorer, bound: list[BoundReadout], how: str, candidates: int | None, may: NDArray[np.bool_]
    ) -> None:
        self.scorer, self.how, self.candidates = scorer, how, candidates
        self.places = np.flatnonzero(may)
        self._slopes = _slopes(scorer, bound) if how == "gradient" else []

    def propose(self, member: Member, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
        """Places and new codes, ``(candidates,)`` each, the most promising first where that is known."""
        places = np.repeat(self.places, 3)
        turns = np.tile(np.arange(1, 4, dtype=np.uint8), len(self.places))
        letters = ((member.codes[places] + turns) % 4).astype(np.uint8)
        if self.candidates is None or (self.candidates >= len(places) and self.how == "random"):
            return places, letters
        if self.how == "random":
            chosen = np.sort(rng.choice(len(places), self.candidates, replace=False))
        else:
            gradient = self._gradient(member)
            promise = gradient[places, letters] - gradient[places, member.codes[places]]
            chosen = np.argsort(-promise, kind="stable")[: self.candidates]
        return places[chosen], letters[chosen]

    def _gradient(self, member: Member) -> NDArray[np.float64]:
        """Of the score, or where bounds are broken of what mends them: ``(L, 4)``."""
        from crested_like.tl.attribution._gradients import gradients

        weights = self._weights(member)
        total = np.zeros((len(member.codes), 4))
        for network, of, numbers in self._slopes:
            share = weights[numbers].astype(np.float32)
            if share.any():
                total += gradients(network, ROWS[member.codes][None], of, constants=[share], batch_size=1)[1][0]
        return total

    def _weights(self, member: Member) -> NDArray[np.float64]:
        goals, values = self.scorer.goals, member.values
        if not broken_by(values[None], goals)[0]:
            return np.array([goal.weight for goal in goals])
        low = [goal.at_least is not None and v < goal.at_least for goal, v in zip(goals, values, strict=True)]
        high = [goal.at_most is not None and v > goal.at_most for goal, v in zip(goals, values, strict=True)]
        return np.array(low, float) - np.array(high, float)


class _Weighted:
    """Weighted sum of the readouts of one head, as tensors."""

    def __init__(self, bound: list[BoundReadout], columns: list[NDArray[np.intp]]) -> None:
        self.parts = list(zip(bound, columns, strict=True))

    def __call__(self, y: Any, weights: Any) -> Any:
        values = [one.of_tensor(ops.take(y, columns, axis=-1)) for one, columns in self.parts]
        return ops.einsum("nb,n->b", ops.stack(values), weights)


def _slopes(scorer: Scorer, bound: list[BoundReadout]) -> list[tuple[Any, _Weighted, list[int]]]:
    """Network, weighted readouts and numbers of the goals, by head and model."""
    from crested_like.tl.attribution._gradients import check_differentiable

    found = []
    for network, numbers, columns_of in scorer.networks():
        check_differentiable(network)
        chosen = [bound[number] for number in numbers]
        found.append((network, _Weighted(chosen, [columns_of(one.channels) for one in chosen]), numbers))
    return found
