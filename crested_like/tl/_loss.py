"""What all losses have in common."""

from __future__ import annotations

from typing import Any

import keras


class Loss(keras.losses.Loss):
    """A Keras loss with a fixed default name, whose configuration also holds its dtype."""

    default_name: str

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: Any = None):
        super().__init__(name=name or self.default_name, reduction=reduction, dtype=dtype)

    def get_config(self) -> dict:
        """Every argument of the constructor."""
        return {**super().get_config(), "dtype": self.dtype}
