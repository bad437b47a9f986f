"""Small networks of every family with weights that matter, the same on every backend, and a number to follow."""

import keras
import numpy as np

from crested_like.tl import zoo

BORZOI = {
    "input_length": 256,
    "stem_filters": 6,
    "tower_filters": (6, 8, 8),
    "transformer_blocks": 1,
    "attention_heads": 2,
    "key_size": 4,
    "position_features": 4,
    "heads": {"human": 3},
}
SETTINGS = {
    "basenji2": {
        "input_length": 256,
        "output_bins": 24,
        "stem_filters": 6,
        "tower_filters": (6, 7),
        "residual_blocks": 2,
        "residual_filters": 4,
        "final_filters": 10,
        "heads": {"human": 3},
    },
    "enformer": {
        "input_length": 256,
        "output_bins": 12,
        "stem_filters": 6,
        "tower_filters": (6, 8, 12),
        "transformer_blocks": 1,
        "attention_heads": 2,
        "key_size": 4,
        "heads": {"human": 3},
    },
    "borzoi": {**BORZOI, "output_bins": 24, "final_filters": 14},
    "borzoi_prime": {**BORZOI, "output_bins": 48},
    "flashzoi": {**BORZOI, "output_bins": 24, "final_filters": 14, "rotary_dim": 4},
}
#: Entries of the gradient that are compared with finite differences: one random one of these every few bases.
EVERY = 4


def network(name: str) -> keras.Model:
    """One of the networks."""
    made = getattr(zoo, name)(**SETTINGS[name])
    rng = np.random.default_rng(0)
    for weight in made.weights:
        noise = rng.normal(scale=0.2, size=weight.shape)
        statistics = weight.name in ("gamma", "moving_variance")
        fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 1
        weight.assign(np.abs(1 + noise) if statistics else noise * (6 / fan_in**0.5 if fan_in > 1 else 1))
    return made


def sequence() -> np.ndarray:
    """``(1, 256, 4)`` float32."""
    return np.eye(4, dtype="float32")[np.random.default_rng(1).integers(0, 4, (1, 256))]


def entries() -> tuple[np.ndarray, np.ndarray]:
    """Positions and bases whose derivatives are known."""
    positions = np.arange(0, 256, EVERY)
    return positions, np.random.default_rng(2).integers(0, 4, len(positions))


def readout(model: keras.Model):
    """Log fold change of one track against another in a few bins of the middle."""
    from crested_like.tl import Readout

    bins = model.outputs[0].shape[1]
    return Readout([0], against=[2], bins=range(bins // 3, bins // 3 + 5), log=True).bind(model)
