"""No rewriting changes what the reference networks predict, by more than rounding."""

from __future__ import annotations

from functools import cache

import keras
import numpy as np
import pytest

from crested_like import tl
from crested_like.checkpoints import convert
from crested_like.tl.rewriting import _blocks
from crested_like.tl.rewriting._passes import PASSES

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]

#: What each pass may change, in parts of the largest value of a track.
BOUND = 5e-6
#: What all of them together may.
TOLERANCE = 2e-5
#: File of each reference network, or the folder where the name is empty, and what no file says.
FILES = {
    "crested_borzoi_tiny": ("model.keras", {}),
    "crested_borzoi_prime_tiny": ("model.keras", {}),
    "crested_enformer_tiny": ("model.keras", {}),
    "crested_basenji_tiny": ("model.keras", {}),
    "crested_dilated_cnn_tiny": ("model.keras", {}),
    "crested_deeptopic_cnn_tiny": ("model.keras", {}),
    "crested_legnet_tiny": ("model.keras", {}),
    "baskerville_borzoi_tiny": ("model0.h5", {"head": "human"}),
    "baskerville_borzoi_prime_tiny": ("model0.h5", {"head": "human"}),
    "basenji2_tiny": ("model0.h5", {"head": "human"}),
    "borzoi_pytorch_tiny": ("model.safetensors", {"input_length": 4096}),
    "flashzoi_tiny": ("model.safetensors", {"input_length": 4096, "rotary_dim": 16}),
    "enformer_pytorch_tiny": ("model.safetensors", {"input_length": 1024}),
    "multimolecule_basenji_tiny": ("model.safetensors", {}),
    "segment_nt_tiny": ("", {}),
    "segment_enformer_tiny": ("", {}),
    "segment_borzoi_tiny": ("", {}),
    "nucleotide_transformer_v2_tiny": ("", {}),
}
#: One of each architecture, whose passes together are quick to look at.
QUICK = ("crested_borzoi_tiny", "borzoi_pytorch_tiny", "crested_enformer_tiny", "basenji2_tiny", "segment_nt_tiny")


@cache
def network(folder):
    """A reference network, its input, and what it predicts as it is."""
    file, settings = FILES[folder.name]
    path = folder / file if file else folder
    model = keras.models.load_model(path, compile=False) if file.endswith(".keras") else convert(path, **settings)
    archive = folder / ("inputs.npz" if (folder / "inputs.npz").is_file() else "input.npz")
    with np.load(archive) as given:
        x = given["one_hot"].astype("float32") if "one_hot" in given else given["tokens"]
    return model, x, outputs(model, x)


def outputs(model, x):
    return [np.asarray(y) for y in keras.tree.flatten(model.predict(x, verbose=0))]


def error(found, wanted):
    return max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in FILES])
def test_all_passes(name, golden_dir, monkeypatch):
    monkeypatch.setattr(_blocks, "ENTRIES", 2**12)
    model, x, wanted = network(golden_dir / name)
    assert error(outputs(tl.accelerate(model, passes=PASSES), x), wanted) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("known", PASSES)
@pytest.mark.parametrize("name", FILES)
def test_a_pass_alone(name, known, golden_dir, monkeypatch):
    monkeypatch.setattr(_blocks, "ENTRIES", 2**12)
    model, x, wanted = network(golden_dir / name)
    made = tl.accelerate(model, passes=known)
    if made is model:
        pytest.skip("nothing for it")
    assert error(outputs(made, x), wanted) < BOUND
