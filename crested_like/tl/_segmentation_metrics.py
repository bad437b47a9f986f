"""Metrics of what is there or not, base by base: one value a feature."""

from __future__ import annotations

from typing import Any

from keras import ops

from crested_like._checks import fraction, int_at_least
from crested_like.layers._register import serializable
from crested_like.tl._streaming import EPS, Streaming

#: Log odds of the lowest and the highest of the probabilities that are told apart.
MOST_ODDS = 12.0


@serializable("MatthewsCorrelation")
class MatthewsCorrelation(Streaming):
    r"""Correlation of presence and predicted presence, by feature (Matthews 1975).

    .. math:: \frac{TP \cdot TN - FP \cdot FN}{\sqrt{(TP + FP)(TP + FN)(TN + FP)(TN + FN)}}

    Targets are 0 and 1, predictions probabilities, ``(batch, ..., features)``. The value is ``(features,)``: 1 is
    perfect, 0 chance, and 0 also where a feature is always or never there, or always or never predicted.

    Parameters
    ----------
    threshold
        Probability from which on a feature counts as predicted.
    """

    default_name = "mcc"
    rows = 4

    def __init__(self, threshold: float = 0.5, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.threshold = fraction("threshold", threshold)

    def _accumulate(self, state, y_true, y_pred, weight):
        there = ops.cast(y_true >= 0.5, "float32")
        said = ops.cast(y_pred >= self.threshold, "float32")
        parts = (there * said, (1 - there) * said, there * (1 - said), (1 - there) * (1 - said))
        leading = tuple(range(len(y_pred.shape) - 1))
        return state + ops.stack([ops.sum(weight * part, axis=leading) for part in parts])

    def _value(self, hits, false_alarms, misses, rejections):
        # shares instead of counts: products of counts leave the range of float32
        total = ops.maximum(hits + false_alarms + misses + rejections, EPS)
        hits, false_alarms, misses, rejections = (n / total for n in (hits, false_alarms, misses, rejections))
        spread = (hits + false_alarms) * (hits + misses) * (rejections + false_alarms) * (rejections + misses)
        found = (hits * rejections - false_alarms * misses) / ops.sqrt(ops.where(spread > 0, spread, 1.0))
        return ops.where(spread > 0, found, 0.0)

    def get_config(self) -> dict:
        """Every argument of the constructor."""
        return {**super().get_config(), "threshold": self.threshold}


@serializable("AveragePrecision")
class AveragePrecision(Streaming):
    r"""Area under the curve of precision over recall, by feature (Davis and Goadrich 2006).

    .. math:: \sum_n (R_n - R_{n-1}) P_n

    over thresholds :math:`n` from the highest on, with precision :math:`P_n` and recall :math:`R_n` of what lies at or
    above it. Targets are 0 and 1, predictions probabilities, ``(batch, ..., features)``; the value is
    ``(features,)``, 0 for a feature that is never there. Probabilities are sorted into bins of equal log odds, so that
    those of rare features are told apart.

    Parameters
    ----------
    bins
        Number of these thresholds, over log odds of -12 to 12.
    """

    default_name = "pr_auc"

    def __init__(self, bins: int = 1_000, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.bins = int_at_least("bins", bins, 2)
        self.rows = 2 * self.bins

    def _accumulate(self, state, y_true, y_pred, weight):
        features = y_pred.shape[-1]
        y_pred = ops.clip(y_pred, 1e-7, 1 - 1e-7)
        odds = ops.log(y_pred) - ops.log(1 - y_pred)
        place = ops.cast((odds / MOST_ODDS + 1) / 2 * self.bins, "int32")
        place = ops.clip(place, 0, self.bins - 1) + self.bins * ops.cast(y_true >= 0.5, "int32")
        place = place * features + ops.arange(features, dtype="int32")
        counts = ops.segment_sum(ops.reshape(weight, (-1,)), ops.reshape(place, (-1,)), self.rows * features)
        return state + ops.reshape(counts, (self.rows, features))

    def _of_state(self, counts):
        absent, present = (ops.flip(counts[part], axis=0) for part in (slice(None, self.bins), slice(self.bins, None)))
        hits, alarms = ops.cumsum(present, axis=0), ops.cumsum(absent, axis=0)
        precision = hits / ops.maximum(hits + alarms, EPS)
        return ops.sum(present * precision, axis=0) / ops.maximum(hits[-1], EPS)

    def get_config(self) -> dict:
        """Every argument of the constructor."""
        return {**super().get_config(), "bins": self.bins}
