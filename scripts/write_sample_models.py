"""Writes a small file of every architecture, and what it predicts, for another Keras to read.

Usage: ``python scripts/write_sample_models.py FOLDER``. ``tests/test_older_keras.py`` reads the folder.
"""

import sys
from pathlib import Path

import numpy as np

import crested_like as crested
from crested_like.checkpoints._keras import save_keras

SMALL = {"input_length": 2_048, "output_bins": None, "stem_filters": 8, "tower_filters": (8, 8, 12, 12, 16, 16)}
ATTENTION = {"attention_heads": 2, "transformer_blocks": 1, "heads": {"human": 3}}

SAMPLES = {
    "basenji2": {**SMALL, "residual_blocks": 3, "residual_filters": 6, "final_filters": 8, "heads": {"human": 3}},
    "enformer": {**SMALL, **ATTENTION, "key_size": 4, "position_features": 12, "heads": {"human": 3, "mouse": 2}},
    "borzoi": {**SMALL, **ATTENTION, "key_size": 4, "position_features": 8, "final_filters": 8},
    "borzoi_prime": {**SMALL, **ATTENTION, "key_size": 4, "position_features": 8},
    "flashzoi": {**SMALL, **ATTENTION, "rotary_dim": 4, "final_filters": 8},
}
PACKAGED = "borzoi_mini_human"


def with_weights_that_matter(model, rng):
    """The model, every weight away from its initial value: some are zero, and would hide what was not read."""
    for weight in model.weights:
        noise = rng.normal(scale=0.1, size=weight.shape).astype("float32")
        value = np.asarray(weight)
        weight.assign(np.abs(1 + noise) if weight.name in ("gamma", "moving_variance") else value + noise)
    return model


def one_hot(length, rng):
    return np.eye(4, dtype="float32")[rng.integers(4, size=(1, length))]


def note(folder, name, model, rng):
    """Store an input and the outputs of a model, by head."""
    x = one_hot(model.input_shape[1], rng)
    outputs = model.predict(x, verbose=0)
    outputs = outputs if isinstance(outputs, dict) else {"output": outputs}
    np.savez_compressed(folder / f"{name}.npz", one_hot=x.astype("uint8"), **outputs)


def main(folder):
    from crested_like.tl import zoo

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20240229)
    for name, settings in SAMPLES.items():
        model = with_weights_that_matter(getattr(zoo, name)(**settings), rng)
        card = crested.ModelCard(name=f"sample_{name}", architecture=name)
        save_keras(model, folder / f"{name}.keras", card)
        note(folder, name, model, rng)
    note(folder, PACKAGED, crested.load_model(PACKAGED), rng)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
