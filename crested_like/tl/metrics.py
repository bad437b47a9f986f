"""Metrics for coverage and peak models, on any backend.

Models compiled with CREsted carry its metrics in their file; each has an equivalent here that reads the old entry.
``PearsonR`` and ``R2`` are the metrics by which coverage models are reported: one value a track, over every bin of
every sequence.

Targets and predictions are ``(batch, ..., tracks)``. All compute in float32, also under mixed precision.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from crested_like._checks import positive_int
from crested_like.layers._register import serializable
from crested_like.tl._segmentation_metrics import AveragePrecision, MatthewsCorrelation
from crested_like.tl._streaming import EPS, Streaming

__all__ = [
    "AveragePrecision",
    "BatchSpearman",
    "Concordance",
    "MatthewsCorrelation",
    "PearsonR",
    "PooledPearson",
    "PooledPearsonLog",
    "R2",
    "ZeroPenalty",
]


def _combine(axis, count, a, b, aa=0.0, bb=0.0, ab=0.0):
    """Join groups along an axis: counts, means of a and b, and centred sums of a², b² and ab.

    A group may be a single value, with itself as mean and no spread. Unlike sums of squares, centred sums do not
    cancel when means are large against the spread (Chan, Golub & LeVeque, Updating formulae and a pairwise algorithm
    for computing sample variances, 1979).
    """
    total = ops.sum(count, axis=axis, keepdims=True)
    share = count / ops.where(total > 0, total, 1.0)
    mean_a, a = _centre(axis, a, share)
    mean_b, b = _centre(axis, b, share)
    spread = (ops.sum(s + count * x * y, axis=axis) for s, x, y in ((aa, a, a), (bb, b, b), (ab, a, b)))
    return ops.stack([*(ops.squeeze(x, axis=axis) for x in (total, mean_a, mean_b)), *spread])


def _centre(axis, x, share):
    """Mean along an axis, and the rest. The second pass takes away the rounding of a long float32 sum."""
    mean = ops.sum(share * x, axis=axis, keepdims=True)
    mean = mean + ops.sum(share * (x - mean), axis=axis, keepdims=True)
    return mean, x - mean


class _Moments(Streaming):
    """First and second moments of targets and predictions (rows: see ``_combine``)."""

    rows = 6

    def _accumulate(self, state, y_true, y_pred, weight):
        groups = (weight, *self._transform(y_true, y_pred))
        for _ in y_pred.shape[:-1]:  # one axis at a time keeps the sums short: bins, then samples
            groups = ops.unstack(_combine(-2, *groups))
        if self.pooled:
            groups = ops.unstack(_combine(-1, *groups))
        return _combine(0, *ops.unstack(ops.stack([state, ops.stack(groups)], axis=1)))

    def _transform(self, y_true, y_pred):
        return y_true, y_pred


@serializable("PooledPearson", formerly=("Metrics>PearsonCorrelation",))
class PooledPearson(_Moments):
    r"""Pearson correlation over every element seen, tracks together, as ``PearsonCorrelation`` of CREsted.

    .. math:: \frac{n S_{tp} - S_t S_p}{\sqrt{(n S_{tt} - S_t^2)(n S_{pp} - S_p^2)} + 10^{-7}}

    Tracks of different scale correlate by their scale alone; see ``PearsonR`` for one value a track.
    """

    pooled = True
    default_name = "pooled_pearson"

    def _value(self, count, mean_true, mean_pred, true, pred, both):
        # numerator and denominator over n: their products would overflow
        eps = EPS / ops.maximum(count, 1.0)
        return both / (ops.sqrt(true) * ops.sqrt(pred) + eps)


@serializable("PooledPearsonLog", formerly=("Metrics>PearsonCorrelationLog",))
class PooledPearsonLog(PooledPearson):
    r"""``PooledPearson`` of :math:`\ln(1 + 1000 y)`, as ``PearsonCorrelationLog`` of CREsted.

    Negative predictions count as 0.
    """

    default_name = "pooled_pearson_log"

    def _transform(self, y_true, y_pred):
        return ops.log1p(1000.0 * y_true), ops.log1p(1000.0 * ops.maximum(y_pred, 0.0))


@serializable("Concordance", formerly=("Metrics>ConcordanceCorrelationCoefficient",))
class Concordance(_Moments):
    r"""Lin's concordance over every element seen, as ``ConcordanceCorrelationCoefficient`` of CREsted.

    .. math:: \frac{2 \sigma_{tp}}{\sigma_t^2 + \sigma_p^2 + (\mu_t - \mu_p)^2 + 10^{-7}}

    with moments of the population; 0 before any data.
    """

    pooled = True
    default_name = "concordance"

    def _value(self, count, mean_true, mean_pred, true, pred, both):
        count = ops.maximum(count, 1.0)
        distance = (true + pred) / count + ops.square(mean_true - mean_pred) + EPS
        return 2.0 * both / count / distance


class _PerTrack(_Moments):
    """One value a track, or their mean over the tracks where it is defined."""

    def __init__(self, average: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.average = average

    def _value(self, *rows):
        values = self._value_per_track(*rows)
        if not self.average:
            return values
        defined = ops.logical_not(ops.isnan(values))
        return _ratio(ops.sum(ops.where(defined, values, 0.0)), ops.sum(ops.cast(defined, "float32")))

    def _value_per_track(self, *rows):
        raise NotImplementedError

    def get_config(self) -> dict:
        """Every argument of the constructor."""
        return {**super().get_config(), "average": self.average}


def _ratio(numerator, denominator):
    """Numerator over denominator, NaN where the latter is zero."""
    defined = denominator > 0
    return ops.where(defined, numerator / ops.where(defined, denominator, 1.0), float("nan"))


def _spread(count, mean, squares):
    """Root of the centred sum of squares; 0 where it is no more than the float32 rounding of a constant."""
    return ops.where(squares > count * ops.square(1e-6 * mean), ops.sqrt(squares), 0.0)


@serializable("PearsonR")
class PearsonR(_PerTrack):
    """Pearson correlation of each track over every bin of every sequence seen.

    Exact to float32 rounding however the data are batched. A track that is constant in targets or predictions has no
    correlation: it is NaN, and left out of the average.

    Parameters
    ----------
    average
        Return the mean over tracks; otherwise ``(tracks,)``.
    name, dtype
        As in ``keras.metrics.Metric``.

    Examples
    --------
    >>> import numpy as np
    >>> from crested_like.tl.metrics import PearsonR
    >>> metric = PearsonR(average=False)
    >>> metric.update_state(np.array([[1.0, 1.0], [2.0, 2.0]]), np.array([[3.0, 1.0], [5.0, 0.0]]))
    >>> [round(float(r), 5) for r in metric.result()]
    [1.0, -1.0]
    """

    default_name = "pearson_r"

    def _value_per_track(self, count, mean_true, mean_pred, true, pred, both):
        return _ratio(both, _spread(count, mean_true, true) * _spread(count, mean_pred, pred))


@serializable("R2")
class R2(_PerTrack):
    """Share of each track's variance that the predictions explain, over every bin of every sequence seen.

    One minus the sum of squared errors over the sum of squared distances to the mean target. A track whose targets
    are constant has none: it is NaN, and left out of the average.

    Parameters
    ----------
    average
        Return the mean over tracks; otherwise ``(tracks,)``.
    name, dtype
        As in ``keras.metrics.Metric``.
    """

    default_name = "r2"

    def _transform(self, y_true, y_pred):
        return y_true, y_true - y_pred

    def _value_per_track(self, count, mean_true, mean_error, true, error, _both):
        squared_error = error + count * ops.square(mean_error)
        return 1.0 - _ratio(squared_error, ops.square(_spread(count, mean_true, true)))


class _BatchMean(Streaming):
    """Mean over batches of something computed from one batch (rows: sum over batches, number of batches)."""

    rows = 2

    def _accumulate(self, state, y_true, y_pred, weight):
        value = self._of_batch(y_true, y_pred, weight)
        return state + ops.stack([value, ops.ones_like(value)])

    def _of_batch(self, y_true, y_pred, weight):
        raise NotImplementedError

    def _value(self, total, batches):
        return ops.mean(total / ops.maximum(batches, 1.0))


@serializable("ZeroPenalty", formerly=("Metrics>ZeroPenaltyMetric",))
class ZeroPenalty(_BatchMean):
    r"""Sum of :math:`\ln(1 + 1000|p|)` where the target is exactly 0, as ``ZeroPenaltyMetric`` of CREsted.

    A sum over each batch, then a mean over batches: it grows with the batch size.
    """

    pooled = True
    default_name = "zero_penalty"

    def _of_batch(self, y_true, y_pred, weight):
        penalty = ops.where(y_true == 0, weight * ops.log1p(1000.0 * ops.abs(y_pred)), 0.0)
        return ops.sum(penalty)


@serializable("BatchSpearman", formerly=("Metrics>SpearmanCorrelationPerClass",))
class BatchSpearman(_BatchMean):
    """Rank correlation of each class within a batch, averaged, as ``SpearmanCorrelationPerClass`` of CREsted.

    Batches are averaged, then classes. Ties are ranked in the order they come. Batches should be large.

    Parameters
    ----------
    num_classes
        Length of the last axis; None takes it from the first batch. CREsted's files do not hold it.
    name, dtype
        As in ``keras.metrics.Metric``.
    """

    default_name = "batch_spearman"

    def __init__(self, num_classes: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        if num_classes is not None:
            self._build(positive_int("num_classes", num_classes))

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        """Take in one batch; ranks have no weights."""
        if sample_weight is not None:
            raise ValueError(f"Metric {self.name!r} takes no sample_weight; list it under metrics=.")
        super().update_state(y_true, y_pred)

    def _of_batch(self, y_true, y_pred, weight):
        tracks = y_pred.shape[-1]
        weight, y_true, y_pred = (ops.reshape(y, (-1, tracks)) for y in (weight, y_true, y_pred))
        count, _, _, true, pred, both = ops.unstack(_combine(0, weight, _ranks(y_true), _ranks(y_pred)))
        return both / (ops.sqrt(true) * ops.sqrt(pred) + EPS / count)

    def get_config(self) -> dict:
        """Every argument of the constructor."""
        return {**super().get_config(), "num_classes": self.num_classes}


def _ranks(y):
    return ops.cast(ops.argsort(ops.argsort(y, axis=0), axis=0), "float32")
