"""Converted Baskerville and Basenji weights against the numbers of the original code."""

import keras
import numpy as np
import pytest

from crested_like.checkpoints import convert
from crested_like.datasets import BasenjiDataset

pytestmark = pytest.mark.parity

BORZOI = {"int_stem_pool": "stem_pool", "int_transformer": "transformer_2_add", "int_trunk": "trunk"}
BASENJI = {
    "int_stem": "stem_pool",
    "int_tower": "tower_3_pool",
    "int_dilated": "residual_7_add",
    "int_trunk": "trunk",
}
SETS = {
    "baskerville_borzoi_tiny": ("borzoi", {**BORZOI, "int_tower": "tower_3_pool"}),
    "baskerville_borzoi_prime_tiny": ("borzoi_prime", {**BORZOI, "int_tower": "tower_4_pool"}),
    "basenji2_release_tiny": ("basenji2", BASENJI),
    "basenji2_tiny": ("basenji2", BASENJI),
}
HEADS = {"model0": "human", "model1": "mouse"}
FILES = [
    (name, file)
    for name in SETS
    for file in ("model0", "model1", "model0_published_layout", "model1_published_layout")
    if name.startswith("baskerville") or file == "model0"
]


@pytest.mark.parametrize("described", ["by params", "by architecture"])
@pytest.mark.parametrize(("name", "file"), FILES)
def test_gives_the_published_numbers(name, file, described, golden_dir, check_parity):
    architecture, taps = SETS[name]
    with np.load(golden_dir / name / "input.npz") as stored:
        one_hot = stored["one_hot"].astype("float32")
    with np.load(golden_dir / name / "expected.npz") as stored:
        expected = dict(stored)
    head = HEADS[file[:6]]
    by_architecture = {"architecture": architecture} if described == "by architecture" else {}
    model = convert(golden_dir / name / f"{file}.h5", head=head, **by_architecture)
    outputs = [model.get_layer(taps[key]).output for key in expected if key in taps]
    got = keras.Model(model.input, [*outputs, model.output]).predict(one_hot, verbose=0)
    for key, value in zip([*(key for key in expected if key in taps), head], got, strict=True):
        check_parity(name, key, value, expected[key])
    assert set(taps) | set(HEADS.values()) >= set(expected), "nothing expected was left out"


def pearson(a, b):
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return (a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))


def test_real_model_on_real_data(data_dir):
    """Mean Pearson r over the tracks, all bins of a split together, as the original code measures it."""
    model = convert(data_dir / "baskerville_model")
    assert model.count_params() == 642_994
    dataset = BasenjiDataset(data_dir / "tiny" / "hg38")
    measured = {}
    for split in ("train", "valid", "test"):
        pairs = [
            (np.asarray(model.predict(example.sequence[None].astype("float32"), verbose=0))[0], example.targets)
            for example in dataset.iter(split, one_hot=True)
        ]
        predicted, wanted = (np.concatenate(parts).astype("float64") for parts in zip(*pairs, strict=True))
        measured[split] = pearson(predicted, wanted).mean()
    assert measured == pytest.approx({"train": 0.646, "valid": 0.581, "test": 0.4085}, abs=5e-4)
