"""Targets and predictions made comparable, for losses and metrics alike."""

from __future__ import annotations

from keras import ops


def float_pair(y_true, y_pred):
    """Both arguments as float32 tensors, whatever precision the model computes in.

    Logarithms and sums over thousands of bins lose their small terms in 16 bits.

    Raises
    ------
    ValueError
        If the two shapes differ: broadcasting would silently pair every target with every prediction.
    """
    y_true, y_pred = (ops.cast(ops.convert_to_tensor(y), "float32") for y in (y_true, y_pred))
    ours, theirs = tuple(y_true.shape), tuple(y_pred.shape)
    if len(ours) != len(theirs) or any(a != b for a, b in zip(ours, theirs, strict=True) if None not in (a, b)):
        raise ValueError(
            f"Targets have shape {ours}, predictions {theirs}; they must be equal. "
            f"Reshape the targets, or pick the head and tracks they belong to."
        )
    return y_true, y_pred
