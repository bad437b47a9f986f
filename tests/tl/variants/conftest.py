"""A small model that sees 9 bases around a bin, and ways to predict without the code under test."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from crested_like import attach
from crested_like.genome import Genome

LENGTH, BIN, CROP, TRACKS = 256, 8, 32, 3
BINS = (LENGTH - 2 * CROP) // BIN


def local_model(seed: int = 0, scalar: bool = False) -> keras.Model:
    """Bins of 8 bp that depend on themselves and 4 bases at either side; or their mean."""
    dna = keras.Input((LENGTH, 4))
    x = keras.layers.Conv1D(6, 9, padding="same", activation="tanh", name="motifs")(dna)
    x = keras.layers.AveragePooling1D(BIN)(x)
    x = keras.layers.Cropping1D(CROP // BIN)(x)
    if scalar:
        x = keras.layers.GlobalAveragePooling1D()(x)
    model = keras.Model(dna, keras.layers.Dense(TRACKS, activation="softplus", name="head")(x))
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(rng.normal(scale=0.7, size=weight.shape).astype("float32"))
    return model


@pytest.fixture(scope="session")
def model() -> keras.Model:
    return attach(local_model(), ["a", "b", "c"])


@pytest.fixture(scope="session")
def scalar_model() -> keras.Model:
    return local_model(scalar=True)


@pytest.fixture(scope="session")
def letters(genome: Genome) -> str:
    """Chromosome 1."""
    return genome.fetch("chr1", 0, 5000)


@pytest.fixture
def predicted(model):
    """Predictions of DNA strings by Keras alone: ``(B, bins, tracks)``, float64."""

    def predict(*sequences: str, model=model) -> np.ndarray:
        x = np.stack([[[base == letter for letter in "ACGT"] for base in s] for s in sequences]).astype("float32")
        return model.predict(x, verbose=0).astype("float64")

    return predict


@pytest.fixture
def snv(letters):
    """A substitution on chromosome 1 as text, by its place from 0."""
    return lambda position: (
        f"chr1:{position + 1}:{letters[position]}:{'ACGT'[('ACGT'.index(letters[position]) + 1) % 4]}"
    )
