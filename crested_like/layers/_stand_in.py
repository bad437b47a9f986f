"""What layers that compute another one's result in another way have in common."""

from __future__ import annotations

from typing import Any

import keras


class StandIn(keras.layers.Wrapper):
    """A layer's result, computed in another way.

    Parameters
    ----------
    layer
        The layer, one that :meth:`fits`. Its weights are in use, whatever becomes of them.
    """

    @staticmethod
    def fits(layer: Any) -> bool:
        """Whether a layer can be computed in this way."""
        raise NotImplementedError

    @classmethod
    def of(cls, layer: keras.layers.Layer) -> StandIn:
        """What stands in for a layer, under its name."""
        return cls(layer, name=layer.name, dtype=layer.dtype_policy)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return self.layer.compute_output_shape(input_shape)
