"""A network that is quick and whose every window can be told from the others."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pytest

import crested_like as crested

#: Input, bin, bins and bases cropped at each side.
LENGTH, SIZE, BINS, CROP = 96, 8, 8, 16
TRACKS = pd.DataFrame(
    {
        "identifier": ["plus+", "plus-", "open"],
        "description": ["RNA:liver", "RNA:liver", "DNASE:brain"],
        "strand_pair": [1, 0, 2],
        "sum_stat": ["sum_sqrt", "sum_sqrt", "mean"],
        "scale": [0.5, 0.5, 2.0],
        "clip_soft": [0.2, 0.2, 32.0],
        "clip": [384.0, 384.0, 128.0],
    }
)


def network(seed: int, name: str = "quick") -> keras.Model:
    """Two convolutions, bins of 8 bp, 2 of 12 cropped at each side; softplus keeps it positive."""
    dna = keras.Input((LENGTH, 4), name="sequence")
    x = keras.layers.Conv1D(6, 9, padding="same", activation="tanh", name="stem")(dna)
    x = keras.layers.AveragePooling1D(SIZE, name="pool")(x)
    x = keras.layers.Conv1D(6, 5, padding="same", activation="tanh", name="wide")(x)
    x = keras.layers.Cropping1D(2, name="crop")(x)
    model = keras.Model(dna, keras.layers.Dense(3, activation="softplus", name="head")(x), name=name)
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape).astype("float32"))
    return model


@pytest.fixture(scope="session")
def quick() -> keras.Model:
    return crested.attach(network(0), TRACKS)


@pytest.fixture(scope="session")
def replicate() -> keras.Model:
    return crested.attach(network(1), TRACKS)
