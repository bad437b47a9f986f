"""Losses for coverage, peak and segmentation models, on any backend.

Models compiled with CREsted carry its losses in their file; each has an equivalent here that reads the old entry, so
that such a file loads, evaluates and trains on. ``PoissonMultinomial`` is the loss of Borzoi's own training, and
``SegmentationLoss`` is for models of genomic elements.

All compute in float32, also under mixed precision. Unless said otherwise targets and predictions are
``(batch, ..., tracks)``.
"""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from crested_like._checks import one_of, positive_int
from crested_like.layers._register import serializable
from crested_like.tl._loss import Loss
from crested_like.tl._pairs import float_pair
from crested_like.tl._segmentation_losses import SegmentationLoss

__all__ = [
    "CosineMSE",
    "CosineMSELog",
    "GiniPower",
    "PoissonKL",
    "PoissonMultinomial",
    "SegmentationLoss",
    "SummedPoisson",
    "SummedPoissonMultinomial",
]


def _unit(x):
    """``x`` over its Euclidean norm along the last axis; zero vectors stay zero and have a zero gradient."""
    squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return x * ops.rsqrt(ops.where(squared > 0, squared, 1.0))


@serializable("CosineMSE", formerly=("Losses>CosineMSELoss",))
class CosineMSE(Loss):
    r"""Squared error minus weighted cosine similarity, as ``CosineMSELoss`` of CREsted.

    .. math:: L = m - w \cos(t, p), \quad m = \mathrm{mean}((p - t)^2), \quad w = \min(\max(m, 1), w_{max})

    The mean is over the whole batch, the cosine over the last axis of each sample.

    Parameters
    ----------
    max_weight
        Greatest weight of the cosine term. At 1 or less it *is* the weight.
    reduction, name, dtype
        As in ``keras.losses.Loss``.
    """

    default_name = "cosine_mse"

    def __init__(self, max_weight: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.max_weight = max_weight

    def call(self, y_true, y_pred):
        """Return the loss of each sample, ``(batch, ...)``."""
        y_true, y_pred = float_pair(y_true, y_pred)
        error = self._mean_squared_error(y_true, y_pred)
        weight = ops.minimum(ops.maximum(error, 1.0), float(self.max_weight))
        return error - weight * ops.sum(_unit(y_true) * _unit(y_pred), axis=-1)

    def _mean_squared_error(self, y_true, y_pred):
        return ops.mean(ops.square(y_pred - y_true))

    def get_config(self) -> dict:
        """Every argument of the constructor."""
        return {**super().get_config(), "max_weight": self.max_weight}


@serializable("CosineMSELog", formerly=("Losses>CosineMSELogLoss",))
class CosineMSELog(CosineMSE):
    r"""``CosineMSE`` with the squared error between logarithms, as ``CosineMSELogLoss`` of CREsted.

    The error is taken between :math:`\ln(1 + kt)` and :math:`\mathrm{sign}(p) \ln(1 + k|p|)`; the cosine stays on the
    values as they are.

    Parameters
    ----------
    max_weight
        Greatest weight of the cosine term. At 1 or less it *is* the weight.
    multiplier
        The factor :math:`k`. CREsted's files do not hold it: a model that was compiled with another factor than 1000
        must be compiled again.
    reduction, name, dtype
        As in ``keras.losses.Loss``.
    """

    default_name = "cosine_mse_log"

    def __init__(self, max_weight: float = 1.0, multiplier: float = 1000.0, **kwargs: Any):
        super().__init__(max_weight=max_weight, **kwargs)
        self.multiplier = multiplier

    def _mean_squared_error(self, y_true, y_pred):
        log_pred = ops.sign(y_pred) * ops.log1p(self.multiplier * ops.abs(y_pred))
        return super()._mean_squared_error(ops.log1p(self.multiplier * y_true), log_pred)

    def get_config(self) -> dict:
        """Every argument of the constructor."""
        return {**super().get_config(), "multiplier": self.multiplier}


@serializable("SummedPoisson", formerly=("Losses>PoissonLoss",))
class SummedPoisson(Loss):
    r"""Poisson loss summed over the last axis, as ``PoissonLoss`` of CREsted.

    .. math:: L = \sum_c p_c - t_c \ln(p_c + \epsilon)

    Parameters
    ----------
    log_transform
        Replace targets and predictions by :math:`\ln(1 + \cdot)` first.
    eps
        Added within logarithms.
    reduction, name, dtype
        As in ``keras.losses.Loss``.
    """

    default_name = "summed_poisson"

    def __init__(self, log_transform: bool = True, eps: float = 1e-7, **kwargs: Any):
        super().__init__(**kwargs)
        self.log_transform = log_transform
        self.eps = eps

    def call(self, y_true, y_pred):
        """Return the loss of each sample, ``(batch, ...)``."""
        y_true, y_pred = (self._transform(y) for y in float_pair(y_true, y_pred))
        return ops.sum(y_pred - y_true * ops.log(y_pred + self.eps), axis=-1)

    def _transform(self, y):
        return ops.log1p(y) if self.log_transform else y

    def get_config(self) -> dict:
        """Every argument of the constructor."""
        return {**super().get_config(), "log_transform": self.log_transform, "eps": self.eps}


@serializable("SummedPoissonMultinomial", formerly=("Losses>PoissonMultinomialLoss",))
class SummedPoissonMultinomial(SummedPoisson):
    r"""Poisson loss of a total plus multinomial loss of its shares, as ``PoissonMultinomialLoss`` of CREsted.

    With :math:`\epsilon` added to targets and predictions (then the logarithm, if wanted) and totals :math:`T, P` over
    ``axis``:

    .. math:: L = -\sum t \ln(q + \epsilon) + a (P - T \ln(P + \epsilon))

    where :math:`q = p / (P + \epsilon)`, or :math:`p / \max p`. It is a sum over ``axis``, so it grows with the number
    of bins, unlike ``PoissonMultinomial``, the loss of Borzoi.

    Parameters
    ----------
    total_weight
        Weight :math:`a` of the Poisson term.
    eps
        Added to counts and within logarithms.
    log_transform
        Replace targets and predictions by :math:`\ln(1 + \cdot)` first.
    axis
        The axis whose elements share the total: -1 for the classes of a peak model, -2 for the bins of a track.
    norm
        ``"sum"`` or ``"max"``: what shares are relative to.
    reduction, name, dtype
        As in ``keras.losses.Loss``.
    """

    default_name = "summed_poisson_multinomial"

    def __init__(
        self,
        total_weight: float = 1.0,
        eps: float = 1e-7,
        log_transform: bool = True,
        axis: int = -1,
        norm: str = "sum",
        **kwargs: Any,
    ):
        super().__init__(log_transform=log_transform, eps=eps, **kwargs)
        self.total_weight = total_weight
        self.axis = axis
        self.norm = one_of("norm", norm, ("sum", "max"))

    def call(self, y_true, y_pred):
        """Return the loss with ``axis`` kept at length 1 (in full for the divergence)."""
        y_true, y_pred = (self._transform(y + self.eps) for y in float_pair(y_true, y_pred))
        total_true, total_pred = self._total(y_true), self._total(y_pred)
        return self._shape_term(y_true, y_pred) + self.total_weight * self._total_term(total_true, total_pred)

    def _total(self, y):
        return ops.sum(y, axis=self.axis, keepdims=True)

    def _shares(self, y, eps: float = 0.0):
        if self.norm == "max":
            return y / ops.max(y, axis=self.axis, keepdims=True)
        return y / (self._total(y) + eps)

    def _total_term(self, total_true, total_pred):
        return total_pred - total_true * ops.log(total_pred + self.eps)

    def _shape_term(self, y_true, y_pred):
        return -self._total(y_true * ops.log(self._shares(y_pred, self.eps) + self.eps))

    def get_config(self) -> dict:
        """Every argument of the constructor."""
        return {**super().get_config(), "total_weight": self.total_weight, "axis": self.axis, "norm": self.norm}


@serializable("PoissonKL", formerly=("Losses>PoissonKLLoss",))
class PoissonKL(SummedPoissonMultinomial):
    r"""Poisson loss of a total plus divergence of its shares, as ``PoissonKLLoss`` of CREsted.

    .. math:: L = t \ln \frac{t / T}{p / P} + a (P - T \ln P)

    element by element, not summed over ``axis``; with ``norm="max"`` shares are relative to the maxima. Parameters and
    preparation are those of ``SummedPoissonMultinomial``.
    """

    default_name = "poisson_kl"

    def _total_term(self, total_true, total_pred):
        return total_pred - total_true * ops.log(total_pred)

    def _shape_term(self, y_true, y_pred):
        return y_true * ops.log(self._shares(y_true) / self._shares(y_pred))


@serializable("GiniPower", formerly=("Custom>GiniLoss",))
class GiniPower(Loss):
    r"""Absolute error to a power that grows with the specificity of the target, as ``GiniLoss`` of CREsted.

    .. math:: L = \mathrm{mean}_c |t_c - p_c|^{s + g r}, \quad g = \frac{\sum_i (2i - n - 1) t_{(i)}}{n \sum_i t_{(i)}}

    with :math:`t_{(i)}` the targets of one sample over the last axis, at least 0, plus 1e-7, in ascending order.

    Parameters
    ----------
    starting_power
        Power :math:`s` for a target that is the same in all classes. CREsted's files do not hold it.
    increase_scale
        How fast, :math:`r`, the power grows with the Gini coefficient :math:`g`. CREsted's files do not hold it.
    reduction, name, dtype
        As in ``keras.losses.Loss``.
    """

    default_name = "gini_power"

    def __init__(self, starting_power: float = 1.0, increase_scale: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.starting_power = starting_power
        self.increase_scale = increase_scale

    def call(self, y_true, y_pred):
        """Return the loss of each sample, ``(batch, ...)``."""
        y_true, y_pred = float_pair(y_true, y_pred)
        power = self.starting_power + self.increase_scale * _gini(y_true)
        error = ops.abs(y_true - y_pred)
        wrong = error > 0  # the gradient of a power of zero may be infinite
        return ops.mean(ops.where(wrong, ops.where(wrong, error, 1.0) ** power, 0.0), axis=-1)

    def get_config(self) -> dict:
        """Every argument of the constructor."""
        return {
            **super().get_config(),
            "starting_power": self.starting_power,
            "increase_scale": self.increase_scale,
        }


def _gini(y):
    """Gini coefficient along the last axis, kept with length 1: 0 for all equal, near 1 for one class only."""
    ascending = ops.sort(ops.maximum(y, 0.0) + 1e-7, axis=-1)
    n = y.shape[-1]
    weights = 2.0 * ops.arange(1, n + 1, dtype="float32") - (n + 1)
    total = ops.sum(ascending, axis=-1, keepdims=True)
    return ops.sum(weights * ascending, axis=-1, keepdims=True) / (n * total)


@serializable("PoissonMultinomial")
class PoissonMultinomial(Loss):
    r"""Poisson loss of a track's total plus multinomial loss of its shape: the training loss of Borzoi.

    For targets and predictions ``(batch, bins, tracks)``, with N bins and totals :math:`T, P` over bins:

    .. math:: N L = -\sum_n (t_n + \epsilon) \ln \frac{p_n + \epsilon}{P} + a (P - T \ln(P + \epsilon))

    for each sample and track, then the mean over tracks. With :math:`a = 1` its mean is that of the Poisson loss. A
    total below :math:`\epsilon` counts as :math:`\epsilon`, so that a track predicted to be empty keeps a finite loss.

    As in the original, shares are of a total without :math:`\epsilon`: where all predictions of a track are far below,
    the multinomial part is near 0, and the loss can be less than that of a sensible prediction. A training whose
    learning rate is too high may end there: its loss is below that of other runs, and its correlations stay near 0.

    Parameters
    ----------
    total_weight
        Weight :math:`a` of the Poisson term: 0.2 for Borzoi and Borzoi Prime.
    weight_range
        How much more the centre counts than the outermost bins; 1 for all bins alike. Targets and predictions are
        first multiplied by :math:`g_n = \exp(-(x_n / \sigma)^e)`, :math:`x_n` the distance from the centre, scaled to
        a greatest value of 1, and N becomes :math:`\sum_n g_n`.
    weight_exp
        The exponent :math:`e`. As in the original the distance has a sign, so an odd exponent favours one flank.
    eps
        The count :math:`\epsilon` added to each bin.
    rescale
        Multiply by :math:`2 / (1 + a)`, for losses of comparable size across total weights.
    reduction, name, dtype
        As in ``keras.losses.Loss``.

    References
    ----------
    Linder et al., Predicting RNA-seq coverage from DNA sequence as a unifying model of gene regulation, Nature
    Genetics 2025, Methods.
    """

    default_name = "poisson_multinomial"

    def __init__(
        self,
        total_weight: float = 1.0,
        weight_range: float = 1.0,
        weight_exp: int = 4,
        eps: float = 1e-7,
        rescale: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if weight_range < 1:
            raise ValueError(f"weight_range must be at least 1, which weighs all bins alike; got {weight_range!r}.")
        self.total_weight = total_weight
        self.weight_range = weight_range
        self.weight_exp = positive_int("weight_exp", weight_exp)
        self.eps = eps
        self.rescale = rescale

    def call(self, y_true, y_pred):
        """Return the loss of each sample, the mean over its tracks: ``(batch,)``, as sample weights are."""
        y_true, y_pred = float_pair(y_true, y_pred)
        if len(y_pred.shape) != 3:
            raise ValueError(f"PoissonMultinomial takes (batch, bins, tracks); got shape {tuple(y_pred.shape)}.")
        weights = self._bin_weights(ops.shape(y_pred)[1])
        y_true, y_pred, bins = y_true * weights, y_pred * weights, ops.sum(weights)
        total_true, total_pred = ops.sum(y_true, axis=1), ops.sum(y_pred, axis=1)
        log_total = ops.log(ops.maximum(total_pred, self.eps))
        log_share = ops.log(y_pred + self.eps) - ops.expand_dims(log_total, axis=1)
        multinomial = -ops.sum((y_true + self.eps) * log_share, axis=1)
        poisson = total_pred - total_true * ops.log(total_pred + self.eps)
        scale = 2.0 / (1.0 + self.total_weight) if self.rescale else 1.0
        return scale * ops.mean(multinomial + self.total_weight * poisson, axis=-1) / bins

    def _bin_weights(self, bins):
        """Weights of the bins, (bins, 1): 1 at the centre, 1 / weight_range at the ends if weight_exp is even."""
        if self.weight_range == 1:
            return ops.ones((bins, 1), dtype="float32")
        edge = (ops.cast(bins, "float32") - 1.0) / 2.0
        reach = math.log(self.weight_range) ** (1.0 / self.weight_exp)
        position = (ops.cast(ops.arange(bins), "float32") - edge) * reach / ops.maximum(edge, 0.5)
        weights = ops.exp(-(position**self.weight_exp))
        return ops.expand_dims(weights / ops.max(weights), axis=-1)

    def get_config(self) -> dict:
        """Every argument of the constructor."""
        return {
            **super().get_config(),
            "total_weight": self.total_weight,
            "weight_range": self.weight_range,
            "weight_exp": self.weight_exp,
            "eps": self.eps,
            "rescale": self.rescale,
        }
