"""Small models with trained-looking weights, and a small genome."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from crested_like import attach
from crested_like.genome import Genome
from crested_like.tl import zoo

TINY = {
    "input_length": 1024,
    "output_bins": 16,
    "stem_filters": 8,
    "tower_filters": (8, 8, 8, 16),
    "transformer_blocks": 1,
    "attention_heads": 2,
    "key_size": 4,
    "position_features": 4,
    "final_filters": 12,
}


def shake(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give every weight a value that matters: nothing zero, statistics positive."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        values = rng.normal(scale=0.3, size=weight.shape)
        if "variance" in weight.path or "gamma" in weight.path:
            values = 1 + np.abs(values)
        weight.assign(values.astype("float32"))
    return model


@pytest.fixture(scope="session")
def shaken():
    """A model whose weights all matter."""
    return shake


@pytest.fixture(scope="session")
def model() -> keras.Model:
    return shake(zoo.borzoi(heads={"human": 5}, **TINY))


@pytest.fixture(scope="session")
def two_heads() -> keras.Model:
    return shake(zoo.borzoi(heads={"human": 5, "mouse": 3}, **TINY))


@pytest.fixture(scope="session")
def named() -> keras.Model:
    """A model of three tracks that have names."""
    return attach(shake(zoo.borzoi(heads={"human": 3}, **TINY)), ["liver+", "liver-", "brain"])


@pytest.fixture
def one_hot(rng: np.random.Generator) -> np.ndarray:
    """Five sequences ``(5, 1024, 4)``."""
    return np.eye(4, dtype=np.float32)[rng.integers(0, 4, (5, 1024))]


@pytest.fixture(scope="session")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Genome:
    pytest.importorskip("pysam")
    letters = np.random.default_rng(1).choice(list("ACGT"), 6000)
    path: Path = tmp_path_factory.mktemp("genome") / "small.fa"
    path.write_text(f">chr1\n{''.join(letters[:5000])}\n>chr2\n{''.join(letters[5000:])}\n")
    return Genome(path, name="small")


@pytest.fixture(scope="session")
def loss_gradient():
    """Gradient of a loss by the predictions, as the backend takes it: ``(loss, targets, predictions)``."""

    def gradient(loss, targets, predictions):
        x = keras.ops.convert_to_tensor(predictions)
        if keras.backend.backend() == "jax":
            import jax

            return np.asarray(jax.grad(lambda x: loss(targets, x))(x))
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                tape.watch(x)
                value = loss(targets, x)
            return tape.gradient(value, x).numpy()
        x = x.detach().clone().requires_grad_()
        loss(targets, x).backward()
        return x.grad.cpu().numpy()

    return gradient


@pytest.fixture(scope="session")
def numeric_gradient():
    """Gradient of a function of one array by central differences in float64: ``(function, x)``."""

    def gradient(function, x, step=1e-5):
        x = np.array(x, "float64")
        found = np.empty_like(x)
        for i in np.ndindex(x.shape):
            kept = x[i]
            x[i] = kept + step
            above = function(x)
            x[i] = kept - step
            found[i] = (above - function(x)) / (2 * step)
            x[i] = kept
        return found

    return gradient
