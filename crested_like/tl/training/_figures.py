"""How good a model is on some batches: for every track, and in the mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crested_like._errors import DatasetError
from crested_like.tl._forward import forward
from crested_like.tl._geometry import named_outputs
from crested_like.tl._heads import reduced
from crested_like.tl.metrics import R2, PearsonR

#: Figures of a head.
FIGURES = ("loss", "pearson_r", "r2")


class TrackFigures:
    """Pearson's r and R2 of every track over all bins seen, exact to float32 rounding however they come."""

    def __init__(self) -> None:
        self._metrics = {"pearson_r": PearsonR(average=False), "r2": R2(average=False)}
        self.values = 0

    def update(self, targets: NDArray[Any], predictions: NDArray[Any], weight: NDArray[Any] | None = None) -> None:
        """Take in targets and predictions, ``(B, bins, tracks)`` or ``(B, tracks)``, and weights ``(B,)``."""
        self.values += int(np.prod(targets.shape[:-1]))
        for metric in self._metrics.values():
            metric.update_state(targets, predictions, weight)

    def table(self) -> pd.DataFrame:
        """One row a track: ``pearson_r``, ``r2`` (NaN where not defined) and ``values``, the number of bins."""
        columns = {name: keras.ops.convert_to_numpy(metric.result()) for name, metric in self._metrics.items()}
        return pd.DataFrame({**columns, "values": self.values})


class Forward:
    """One head of a model on batches of any size, computed at the size of the first: backends compile once."""

    def __init__(self, model: keras.Model, head: str) -> None:
        tracks = named_outputs(model)[head].shape[-1]
        self._model, _ = reduced(model, head, np.arange(tracks))
        self._size: int | None = None

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Predictions of a batch."""
        count = len(x)
        self._size = max(count, self._size or 0)
        if count < self._size:
            x = np.concatenate([x, np.repeat(x[-1:], self._size - count, axis=0)])
        return forward(self._model, x)[:count]


class Measure:
    """Loss, mean Pearson r and mean R2 of a model: of each head where there are several, and their mean.

    Made once and called after every round: what a backend compiled is kept.

    Parameters
    ----------
    model
        Its weights may change in between.
    loss
        A Keras loss. Penalties of weights are not added.
    """

    def __init__(self, model: keras.Model, loss: keras.losses.Loss) -> None:
        self._forward = {head: Forward(model, head) for head in named_outputs(model)}
        self._loss = loss

    def __call__(self, batches: keras.utils.PyDataset) -> dict[str, float]:
        """Figures by name over all batches: inputs and targets; with several heads, targets and weights by head.

        Raises
        ------
        DatasetError
            If there are no examples of a head.
        """
        figures = {head: TrackFigures() for head in self._forward}
        losses: dict[str, list[tuple[float, int]]] = {head: [] for head in self._forward}
        for x, by_head in _batches(batches, list(self._forward)):
            for head, (targets, weight) in by_head.items():
                predictions = self._forward[head](x)
                figures[head].update(targets, predictions, weight)
                value = float(keras.ops.convert_to_numpy(self._loss(targets, predictions, weight)))
                losses[head].append((value, len(x)))
        found = {head: _figures(head, losses[head], figures[head]) for head in self._forward}
        means = {name: _mean(pd.Series([own[name] for own in found.values()])) for name in FIGURES}
        if len(found) == 1:
            return means
        return {**means, **{f"{head}_{name}": value for head, own in found.items() for name, value in own.items()}}


def _figures(head: str, losses: list[tuple[float, int]], tracks: TrackFigures) -> dict[str, float]:
    if not losses:
        raise DatasetError(f"There are no examples of head {head!r} to validate on.")
    values, sizes = zip(*losses, strict=True)
    table = tracks.table()
    return {"loss": float(np.average(values, weights=sizes)), **{name: _mean(table[name]) for name in FIGURES[1:]}}


def _mean(values: pd.Series) -> float:
    return float(values.mean())  # pandas leaves NaN out


Weighted = tuple[NDArray[Any], NDArray[Any] | None]


def _batches(batches: keras.utils.PyDataset, heads: list[str]) -> Iterator[tuple[NDArray[Any], dict[str, Weighted]]]:
    """Inputs, and targets with their weights of those heads that a batch has any for."""
    for step in range(len(batches)):
        x, targets, *rest = batches[step]
        targets = targets if isinstance(targets, Mapping) else {heads[0]: targets}
        weights = rest[0] if rest and isinstance(rest[0], Mapping) else dict.fromkeys(targets, *rest)
        present = [head for head in targets if weights[head] is None or np.any(weights[head])]
        yield x, {head: (np.asarray(targets[head]), weights[head]) for head in present}
