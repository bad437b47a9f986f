"""What makes the dense layers inside an attention layer."""

from __future__ import annotations

from typing import Any

import keras


class WithProjections(keras.layers.Layer):
    """A layer that makes its dense sub-layers in one place, so that a variant of it can make others."""

    def _make_dense(self, units: int, **settings: Any) -> keras.layers.Layer:
        return keras.layers.Dense(units, **settings)
