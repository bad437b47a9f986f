"""What the OpenVINO backend would get wrong if left alone; the same must hold on every other backend."""

import math

import keras
import numpy as np
import pytest

from crested_like.layers import gelu_erf, gelu_sigmoid, gelu_tanh

FORMULAS = {
    gelu_tanh: lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    gelu_erf: lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    gelu_sigmoid: lambda x: x / (1 + np.exp(-1.702 * x)),
}


@pytest.mark.parametrize("gelu", FORMULAS, ids=lambda gelu: gelu.__name__)
def test_gelu_stays_behind_a_pool(gelu, rng):
    """GELU falls before it rises, so it cannot change places with a max pool as ReLU can."""
    dna = keras.Input((64, 4))
    pooled = keras.layers.MaxPooling1D(2)(keras.layers.Conv1D(8, 1, use_bias=False)(dna))
    model = keras.Model(dna, keras.layers.Activation(gelu)(pooled))
    kernel = rng.normal(size=(1, 4, 8))
    model.set_weights([kernel])
    x = rng.normal(size=(1, 64, 4)).astype("float32")
    want = FORMULAS[gelu]((x @ kernel[0]).reshape(1, 32, 2, 8).max(axis=2))
    assert np.abs(np.asarray(model.predict(x, verbose=0)) - want).max() <= 2e-5 * np.abs(want).max()
