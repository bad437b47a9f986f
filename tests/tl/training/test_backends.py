"""The same training on every backend that is installed."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from crested_like.checkpoints._keras import save_keras
from crested_like.tl import zoo

TRAINING = [name for name in ("tensorflow", "jax", "torch") if find_spec(name)]
STEPS = 50


def history(backend, job):
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("worker.py")), json.dumps(job)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["history"]


@pytest.mark.slow
@pytest.mark.skipif(len(TRAINING) < 2, reason="only one backend that trains is installed")
def test_the_first_losses_agree(tmp_path):
    """From the same file, without dropout; a round is a batch. Every number of the recipe of Borzoi is in use."""
    keras.utils.set_random_seed(5)
    model = zoo.borzoi(
        input_length=1024,
        output_bins=16,
        stem_filters=8,
        tower_filters=(8, 8, 8, 16),
        transformer_blocks=1,
        attention_heads=2,
        key_size=4,
        position_features=4,
        final_filters=12,
        heads={"human": 3},
        dropout=0.0,
        attention_dropout=0.0,
        position_dropout=0.0,
        final_dropout=0.0,
    )
    job = {
        "model": str(save_keras(model, tmp_path / "start.keras")),
        "data": {"steps": 1, "batch": 2, "length": 1024, "bins": 16},
        "valid": None,
        "loss": {"name": "poisson_multinomial", "total_weight": 0.2},
        "optimizer": {"learning_rate": 2e-3, "clip_global_norm": 0.15},
        "schedule": {"warmup": 20},
        "rounds": STEPS,
    }
    found = {backend: history(backend, job)["loss"] for backend in TRAINING}
    first = found[TRAINING[0]]
    assert len(first) == STEPS
    assert np.mean(first[-10:]) < np.mean(first[:10])
    for backend, values in found.items():
        np.testing.assert_allclose(values, first, rtol=1e-4, err_msg=f"{backend} against {TRAINING[0]}")


@pytest.mark.slow
@pytest.mark.skipif(len(TRAINING) < 2, reason="only one backend that trains is installed")
def test_the_last_validation_losses_agree(tmp_path, make_folder):
    """From the same file, with strands, shifts, mutations, and dropout, for which backends draw other numbers."""
    folder = make_folder(tmp_path / "data", {"train": 1024, "valid": 128}, learnable=True)
    keras.utils.set_random_seed(3)
    model = zoo.borzoi(
        input_length=128,
        output_bins=8,
        stem_filters=16,
        tower_filters=(16, 16),
        transformer_blocks=1,
        attention_heads=2,
        key_size=8,
        position_features=8,
        upsampling_stages=0,
        final_filters=24,
        heads={"human": 3},
        dropout=0.1,
    )
    job = {
        "config": {
            "model": {"from": str(save_keras(model, tmp_path / "start.keras"))},
            "data": {"human": {"path": str(folder.path)}},
            "augment": {"rc": True, "max_shift": 1, "mutate": 0.02},
            "loss": {"name": "poisson_multinomial", "total_weight": 0.2},
            "optimizer": {"learning_rate": 2e-3, "clip_global_norm": 0.5},
            "schedule": {"warmup": 100, "decay": "cosine", "final": 0.01},
            "training": {"rounds": 15, "batch_size": 16, "ema": 0.99, "monitor": "valid_loss", "seed": 3},
        }
    }
    found = {backend: history(backend, job)["valid_loss"] for backend in TRAINING}
    last = {backend: values[-1] for backend, values in found.items()}
    learned = min(values[0] - values[-1] for values in found.values())
    assert learned > 0.1 * max(last.values()), found
    spread = max(last.values()) - min(last.values())
    assert spread <= 0.03 * min(last.values()), last
    assert spread <= 0.03 * learned, found  # the loss has no natural zero
