"""What metrics of one value a track have in common."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from crested_like.tl._pairs import float_pair

#: Added to denominators, as in the original formulas.
EPS = 1e-7


class Streaming(keras.metrics.Metric):
    """A metric with one state variable, ``(rows, tracks)``, or ``(rows,)`` where tracks are pooled.

    The number of tracks is taken from the first update. The state is not a sum that could be added up over the
    replicas of a TensorFlow distribution strategy, so the first replica's is reported.
    """

    default_name: str
    rows: int
    pooled = False

    def __init__(self, name: str | None = None, dtype: Any = None):
        super().__init__(name=name or self.default_name, dtype=dtype)
        self.state = None
        if self.pooled:
            self._build()

    def _build(self, *tracks: int) -> None:
        self.state = self.add_variable(
            (self.rows, *tracks), "zeros", dtype="float32", aggregation="only_first_replica", name="state"
        )

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        """Take in one batch. ``sample_weight`` has the leading axes of the targets, or all of them."""
        y_true, y_pred = float_pair(y_true, y_pred)
        weight = broadcast(1.0 if sample_weight is None else sample_weight, y_pred)
        tracks = y_pred.shape[-1]
        if self.state is None:
            self._build(tracks)
        if not self.pooled and self.state.shape[1] != tracks:
            raise ValueError(
                f"Metric {self.name!r} holds the state of {self.state.shape[1]} tracks; got an array of {tracks}. "
                f"Use one metric a head."
            )
        self.state.assign(self._accumulate(ops.convert_to_tensor(self.state), y_true, y_pred, weight))

    def result(self):
        """Value of everything taken in since the last reset."""
        if self.state is None:
            raise ValueError(f"Metric {self.name!r} has seen no data; call update_state first.")
        return self._of_state(ops.convert_to_tensor(self.state))

    def _of_state(self, state):
        return self._value(*ops.unstack(state))

    def _accumulate(self, state, y_true, y_pred, weight):
        """Return the state after a batch; all three have the shape of the predictions."""
        raise NotImplementedError

    def _value(self, *rows):
        """Return the result, from the rows of the state."""
        raise NotImplementedError


def broadcast(weight, like):
    """``weight`` with the shape of ``like``, whose leading axes it has."""
    weight = ops.cast(ops.convert_to_tensor(weight), "float32")
    missing = len(like.shape) - len(weight.shape)
    return ops.broadcast_to(ops.reshape(weight, (*ops.shape(weight), *(1,) * missing)), ops.shape(like))
