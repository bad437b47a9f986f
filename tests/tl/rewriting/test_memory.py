"""What was made of a network goes with it."""

from __future__ import annotations

import gc
import weakref

import numpy as np

from crested_like.tl import predict, zoo
from crested_like.tl.rewriting._reuse import Reuse


def test_nothing_keeps_a_network_that_was_predicted_with():
    model = zoo.borzoi(
        input_length=8_192,
        output_bins=64,
        stem_filters=8,
        tower_filters=(8, 8, 8, 8, 16, 16),
        attention_heads=2,
        transformer_blocks=1,
        heads={"human": 3},
    )
    x = np.eye(4, dtype="float32")[np.zeros((1, 8_192), int)]
    predict(x, model)
    Reuse(model)(x)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
