"""What the last layer of a segmentation model says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from crested_like.layers._register import serializable


@serializable("FeatureProbability")
class FeatureProbability(keras.layers.Layer):
    """Logits of absence and presence into the probability of presence: ``(..., features, 2) -> (..., features)``.

    Parameters
    ----------
    features
        Names of the features, in order: who has the model knows what its outputs are.

    Raises
    ------
    ValueError
        If there are not two logits for each of them.
    """

    def __init__(self, features: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.features = tuple(str(feature) for feature in features)
        if not self.features or len(set(self.features)) < len(self.features):
            raise ValueError(f"features must be names, each once; got {', '.join(self.features) or 'none'}.")

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        if tuple(input_shape[-2:]) != (len(self.features), 2):
            raise ValueError(
                f"FeatureProbability '{self.name}' needs two logits for each of {len(self.features)} features; got the "
                f"shape {tuple(input_shape)}."
            )
        return tuple(input_shape[:-1])

    def call(self, x: Any) -> Any:
        self.compute_output_shape(x.shape)
        return ops.sigmoid(x[..., 1] - x[..., 0])  # the softmax over two

    def get_config(self) -> dict:
        return {**super().get_config(), "features": list(self.features)}
