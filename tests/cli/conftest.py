from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from crested_like.cli import app

LENGTH, BINS = 1024, 16
TRACKS = {
    "identifier": ["a+", "a-", "b"],
    "description": ["CAGE:liver", "CAGE:liver", "DNASE:brain"],
    "strand_pair": [1, 0, 2],
}


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the command in an empty folder and give what it printed and its exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRESTED_LIKE_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_BACKEND", __import__("os").environ.get("KERAS_BACKEND", "jax"))

    def invoke(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words])

    return invoke


@dataclass(frozen=True)
class Files:
    model: Path
    other: Path
    nameless: Path
    scalar: Path
    genome: Path
    sequences: Path


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Files:
    """Tiny models and sequences on disk."""
    import keras

    from crested_like import attach
    from crested_like._card import ModelCard, card_of
    from crested_like.checkpoints._keras import save_keras
    from crested_like.tl import zoo

    folder = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(3)

    def dna(length: int) -> str:
        return "".join(rng.choice(list("ACGT"), length))

    def tiny(seed: int) -> keras.Model:
        keras.utils.set_random_seed(seed)
        return zoo.borzoi(
            heads={"human": 3},
            input_length=LENGTH,
            output_bins=BINS,
            stem_filters=4,
            tower_filters=(4, 4, 8, 8),
            upsampling_stages=0,
            transformer_blocks=1,
            attention_heads=2,
            key_size=4,
            position_features=6,
            final_filters=8,
        )

    import pandas as pd

    names = {}
    for name, seed in (("model", 0), ("other", 1), ("nameless", 2)):
        model = tiny(seed)
        if name != "nameless":
            attach(attach(model, ModelCard(name=f"tiny_{name}")), pd.DataFrame(TRACKS))
        names[name] = save_keras(model, folder / f"{name}.keras", card_of(model))
    dna_in = keras.Input((LENGTH, 4))
    pooled = keras.layers.GlobalAveragePooling1D()(dna_in)
    names["scalar"] = save_keras(keras.Model(dna_in, keras.layers.Dense(2)(pooled)), folder / "scalar.keras")
    genome, sequences = folder / "genome.fa", folder / "sequences.fa"
    genome.write_text(f">chr1\n{dna(20_000)}\n>chr2\n{dna(5_000)}\n")
    sequences.write_text(f">one\n{dna(LENGTH)}\n>two\n{dna(LENGTH).lower()}\n")
    return Files(**names, genome=genome, sequences=sequences)
