"""Losses of what is there or not, base by base."""

from __future__ import annotations

from typing import Any

from keras import ops

from crested_like.layers._register import serializable
from crested_like.tl._loss import Loss
from crested_like.tl._pairs import float_pair


@serializable("SegmentationLoss")
class SegmentationLoss(Loss):
    r"""Cross-entropy of presence and absence, feature by feature, or the focal loss made of it (Lin et al. 2017).

    With :math:`t` 1 where a feature is, else 0, and :math:`p` the predicted probability that it is:

    .. math::
        L = -w \, t \, (1 - p)^\gamma \ln(p + \epsilon) - (1 - w) (1 - t) \, p^\gamma \ln(1 - p + \epsilon)

    and without :math:`w` both terms count in full. The mean is taken over the features. With :math:`\gamma = 0` this is
    the cross-entropy of a softmax over two classes; the larger :math:`\gamma` is, the less does count what is predicted
    well already, such as the many bases where a rare feature is not.

    Parameters
    ----------
    gamma
        The exponent: 0, or at least 1.
    presence_weight
        The weight :math:`w` of bases where a feature is, between 0 and 1; those where it is not have the rest.
    eps
        Added within logarithms.
    reduction, name, dtype
        As in ``keras.losses.Loss``.

    References
    ----------
    Lin et al., Focal loss for dense object detection, ICCV 2017, equations 4 and 5.

    Examples
    --------
    >>> import numpy as np
    >>> from crested_like.tl.losses import SegmentationLoss
    >>> truth, found = np.array([[[1.0], [0.0]]]), np.array([[[0.5], [0.5]]])
    >>> round(float(SegmentationLoss(gamma=0)(truth, found)), 4), round(float(SegmentationLoss()(truth, found)), 4)
    (0.6931, 0.1733)
    """

    default_name = "segmentation"

    def __init__(self, gamma: float = 2.0, presence_weight: float | None = None, eps: float = 1e-7, **kwargs: Any):
        super().__init__(**kwargs)
        if gamma != 0 and gamma < 1:
            raise ValueError(f"gamma must be 0, for cross-entropy, or at least 1; got {gamma!r}.")
        if presence_weight is not None and not 0 < presence_weight < 1:
            raise ValueError(f"presence_weight must be between 0 and 1; got {presence_weight!r}.")
        self.gamma = gamma
        self.presence_weight = presence_weight
        self.eps = eps

    def call(self, y_true, y_pred):
        """Return the loss of each base, the mean over features: ``(batch, bases)``, as weights may be."""
        y_true, y_pred = float_pair(y_true, y_pred)
        absent = 1.0 - y_pred
        present_term = y_true * ops.log(y_pred + self.eps)
        absent_term = (1.0 - y_true) * ops.log(absent + self.eps)
        if self.gamma:
            present_term, absent_term = present_term * absent**self.gamma, absent_term * y_pred**self.gamma
        if self.presence_weight is not None:
            present_term = self.presence_weight * present_term
            absent_term = (1.0 - self.presence_weight) * absent_term
        return -ops.mean(present_term + absent_term, axis=-1)

    def get_config(self) -> dict:
        """Every argument of the constructor."""
        return {
            **super().get_config(),
            "gamma": self.gamma,
            "presence_weight": self.presence_weight,
            "eps": self.eps,
        }
