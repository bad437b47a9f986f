"""Parameter files and weight files made on the spot, and a record of what parity tests measured."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from crested_like.checkpoints._baskerville_write import write_weights

#: The project's one tolerance, of the largest expected value.
TOLERANCE = 2e-5

#: Every kind of block the published networks use, at a size that builds in no time.
SMALL: dict[str, Any] = {
    "model": {
        "seq_length": 256,
        "activation": "gelu",
        "norm_type": "batch",
        "bn_momentum": 0.9,
        "kernel_initializer": "lecun_normal",
        "l2_scale": 2e-7,
        "trunk": [
            {
                "name": "conv_dna",
                "filters": 6,
                "kernel_size": 7,
                "norm_type": None,
                "activation": "linear",
                "pool_size": 2,
            },
            {"name": "res_tower", "filters_init": 6, "filters_end": 8, "num_convs": 1, "kernel_size": 5, "repeat": 2},
            {"name": "transformer_tower", "key_size": 4, "heads": 2, "num_position_features": 4, "repeat": 1},
            {"name": "unet_conv", "kernel_size": 3, "upsample_conv": True},
            {"name": "Cropping1D", "cropping": 8},
        ],
        "head_human": {"name": "final", "units": 5, "activation": "softplus"},
        "head_mouse": {"name": "final", "units": 3, "activation": "softplus"},
    }
}


@pytest.fixture(scope="session")
def small() -> dict[str, Any]:
    """A small parameter file, not to be changed."""
    return SMALL


@pytest.fixture
def params() -> dict[str, Any]:
    """A small parameter file, free to be changed."""
    return copy.deepcopy(SMALL)


@pytest.fixture
def trunk_of():
    """A small parameter file with another trunk, and other keys of ``model``."""

    def make(*blocks: dict, **model: Any) -> dict[str, Any]:
        content = copy.deepcopy(SMALL)
        content["model"].update(model, trunk=list(blocks))
        return content

    return make


@pytest.fixture
def write_h5():
    """Write layers as Keras 2 would; without a group, as a file of weights alone."""

    def write(path: Path, layers: list[keras.layers.Layer], first: int = 0, group: str = "model_weights") -> Path:
        write_weights(layers, path, first)
        if not group:
            with h5py.File(path, "r+") as file:
                weights = file["model_weights"]
                for name in list(weights):
                    file.move(f"model_weights/{name}", name)
                file.attrs["layer_names"] = weights.attrs["layer_names"]
                del file["model_weights"]
        return path

    return write


@pytest.fixture(scope="session")
def randomise():
    """Give a model weights of which none is zero."""
    rng = np.random.default_rng(7)

    def make(model: keras.Model) -> keras.Model:
        for weight in model.weights:
            value = rng.normal(size=weight.shape) / np.sqrt(max(np.prod(weight.shape[:-1]), 1))
            positive = weight.name in ("gamma", "moving_variance")
            weight.assign(np.exp(value / 2) if positive else value)
        return model

    return make


@pytest.fixture
def check_parity(record_parity):
    """Compare with expected values, and note the error for the documentation."""

    def check(name: str, quantity: str, got: Any, want: Any) -> None:
        got = np.asarray(got)
        assert got.shape == want.shape, quantity
        error = float(np.abs(got - want).max() / np.abs(want).max())
        record_parity(name, quantity, error)
        assert error <= TOLERANCE, f"parts at {quantity}: {error:.1e}"

    return check
