"""How a gradient becomes what each base contributes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import one_of, positive_int
from crested_like._errors import SequenceError
from crested_like.genome import check_one_hot, shuffle_dna
from crested_like.tl.attribution._question import Question
from crested_like.tl.readout._bound import BoundReadout

METHODS = ("input_x_gradient", "saliency", "integrated_gradients", "smooth_grad")
BASELINES = ("zeros", "uniform", "shuffled")
#: Bytes of sequences that are made at a time.
_PIECE = 1 << 26


@dataclass(frozen=True)
class Scores:
    """What a method says of one sequence."""

    every_base: NDArray[np.float32]
    """What each base contributes where it stands, or would where it does not: ``(L, 4)``."""
    value: float
    """The readout of the sequence."""
    gap: float | None = None
    """Part of the readout's difference from its baselines that the contributions do not add up to."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method and its settings, checked.

    Parameters
    ----------
    name, correct, steps, baseline, shuffles, samples, noise, seed
        As for :func:`crested_like.tl.explain`.
    """

    name: str = "input_x_gradient"
    correct: bool | None = None
    steps: int = 64
    baseline: Any = "zeros"
    shuffles: int = 10
    samples: int = 16
    noise: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("method", self.name, METHODS)
        for setting in ("steps", "shuffles", "samples"):
            positive_int(setting, getattr(self, setting))
        if not self.noise > 0:
            raise ValueError(f"noise is a standard deviation above 0; got {self.noise!r}.")
        if isinstance(self.baseline, str):
            one_of("baseline", self.baseline, BASELINES)
        if self.correct is None:
            object.__setattr__(self, "correct", self.name != "integrated_gradients")

    def describe(self) -> dict[str, Any]:
        """Settings that have an effect, in plain values."""
        told: dict[str, Any] = {"method": self.name, "gradient_correction": int(bool(self.correct))}
        if self.name == "integrated_gradients":
            told |= {"steps": self.steps, "baseline": self.baseline if isinstance(self.baseline, str) else "given"}
            if told["baseline"] == "shuffled":
                told |= {"shuffles": self.shuffles, "seed": self.seed}
        if self.name == "smooth_grad":
            told |= {"samples": self.samples, "noise": self.noise, "seed": self.seed}
        return told

    def scores(self, question: Question, x: NDArray[np.float32], rows: range, bound: BoundReadout) -> list[Scores]:
        """Scores of windows ``(B, L, 4)`` whose numbers are ``rows`` and which have one readout."""
        if self.name == "integrated_gradients":
            return [self._integrated(question, one, row, bound) for one, row in zip(x, rows, strict=True)]
        if self.name == "smooth_grad":
            return [self._smooth(question, one, row, bound) for one, row in zip(x, rows, strict=True)]
        values, found = question.gradients(x, bound)
        found = self._corrected(found)
        if self.name == "saliency":
            found = np.abs(found)
        return [Scores(one, float(value)) for one, value in zip(found, values, strict=True)]

    def _corrected(self, gradient: NDArray[np.float32]) -> NDArray[np.float32]:
        """Without the part that no sequence can follow, as bases always add up to one at every position."""
        return gradient - gradient.mean(axis=-1, keepdims=True) if self.correct else gradient

    def _smooth(self, question: Question, x: NDArray[np.float32], row: int, bound: BoundReadout) -> Scores:
        rng = np.random.default_rng([self.seed, row])
        noisy = (x + rng.normal(scale=self.noise, size=x.shape).astype(np.float32) for _ in range(self.samples))
        total = _weighted_gradient(question, noisy, np.full(self.samples, 1 / self.samples), bound)
        return Scores(self._corrected(total), _value(question, x, bound))

    def _integrated(self, question: Question, x: NDArray[np.float32], row: int, bound: BoundReadout) -> Scores:
        """The gradient's mean along straight lines to the baselines, at the nodes of Gauss and Legendre."""
        baselines = self._baselines(x, row)
        nodes, weights = np.polynomial.legendre.leggauss(self.steps)
        nodes, weights = (nodes + 1) / 2, weights / 2
        contributions, missed = np.zeros_like(x), 0.0
        for baseline in baselines:
            line = (baseline + np.float32(node) * (x - baseline) for node in nodes)
            gradient = _weighted_gradient(question, line, weights, bound)
            missed += float(((x - baseline) * gradient).sum(dtype=np.float64))
            gradient = self._corrected(gradient)
            # what each base would contribute in the place of the baseline's
            contributions += gradient - (baseline * gradient).sum(axis=-1, keepdims=True)
        value = _value(question, x, bound)
        before = question.values(len(baselines), lambda start, stop: baselines[start:stop], bound).mean()
        gap = abs(missed / len(baselines) - (value - before)) / max(abs(value - before), 1e-12)
        return Scores(contributions / np.float32(len(baselines)), value, gap)

    def _baselines(self, x: NDArray[np.float32], row: int) -> NDArray[np.float32]:
        if not isinstance(self.baseline, str):
            given = check_one_hot(self.baseline).astype(np.float32)
            if given.shape[1:] != x.shape:
                raise SequenceError(
                    f"A baseline has the length of the model's input, {len(x):,} bases; got {given.shape[1]:,}."
                )
            return given
        if self.baseline == "shuffled":
            return shuffle_dna(x, self.shuffles, seed=[self.seed, row])
        return np.full((1, *x.shape), 0.25 if self.baseline == "uniform" else 0.0, np.float32)


def _value(question: Question, x: NDArray[np.float32], bound: BoundReadout) -> float:
    return float(question.values(1, lambda start, stop: x[None], bound)[0])


def _weighted_gradient(
    question: Question, sequences: Iterator[NDArray[np.float32]], weights: NDArray, bound: BoundReadout
) -> NDArray[np.float32]:
    """Sum of the gradients at some sequences ``(L, 4)``, which are made when they are needed."""
    total, done, waiting = None, 0, []
    for number, sequence in enumerate(sequences, 1):
        waiting.append(sequence)
        if number == len(weights) or len(waiting) * sequence.nbytes >= _PIECE:
            _, found = question.gradients(np.stack(waiting), bound)
            own = np.einsum("nlb,n->lb", found, weights[done:number].astype(np.float32))
            total = own if total is None else total + own
            done, waiting = number, []
    return total
