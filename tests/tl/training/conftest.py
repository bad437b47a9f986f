"""A network that compiles fast, and batches that depend on their round and number alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import pytest

from crested_like.datasets.formats._tfrecord import write_records

HERE = Path(__file__).parent
LENGTH, TRACKS = 64, 3
TRAINS = keras.backend.backend() in ("tensorflow", "jax", "torch")


def pytest_collection_modifyitems(items):
    if not TRAINS:
        for item in items:
            if item.path.is_relative_to(HERE) and item.path.name != "test_config.py":
                item.add_marker(pytest.mark.skip(reason="this backend does not train"))


def network(heads: tuple[str, ...] = (), *, dropout: float = 0.25, seed: int = 0, l2: float = 0.0) -> keras.Model:
    """64 bp to 8 bins of 8 bp, with all that has a state: batch normalisation and dropout."""
    keras.utils.set_random_seed(seed)
    x = dna = keras.Input((LENGTH, 4), name="sequence")
    x = keras.layers.Conv1D(6, 5, padding="same", kernel_regularizer=keras.regularizers.L2(l2), name="conv")(x)
    x = keras.layers.BatchNormalization(momentum=0.9, name="norm")(x)
    x = keras.layers.Activation("relu", name="relu")(x)
    x = keras.layers.MaxPooling1D(8, name="pool")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    outputs = {
        name: keras.layers.Dense(TRACKS, activation="softplus", dtype="float32", name=f"head_{name}")(x)
        for name in heads or ("human",)
    }
    return keras.Model(dna, outputs if heads else outputs["human"], name="tiny")


class Toy(keras.utils.PyDataset):
    """Random sequences; a target is how often one of three bases occurs in a bin, of the middle ones if so asked."""

    def __init__(self, steps: int = 4, batch: int = 4, seed: int = 0, length: int = LENGTH, bins: int | None = None):
        super().__init__()
        self.steps, self.batch, self.seed, self.length = steps, batch, seed, length
        self.crop = 0 if bins is None else (length // 8 - bins) // 2
        self.round = 0

    def __len__(self) -> int:
        return self.steps

    def on_epoch_end(self) -> None:
        self.round += 1

    def __getitem__(self, step: int):
        rng = np.random.default_rng([self.seed, self.round, step])
        x = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (self.batch, self.length))]
        y = x.reshape(self.batch, -1, 8, 4).sum(axis=2)[..., :TRACKS]
        return x, y[:, self.crop : y.shape[1] - self.crop]


class Alternating(Toy):
    """Two species in turn, each with its own head."""

    def __getitem__(self, step: int):
        x, y = super().__getitem__(step)
        own = ("human", "mouse")[step % 2]
        targets = {head: y if head == own else np.zeros_like(y) for head in ("human", "mouse")}
        return x, targets, {head: np.full(len(x), head == own, np.float32) for head in targets}


@pytest.fixture
def tiny():
    return network


@pytest.fixture
def toy():
    return Toy


@pytest.fixture
def alternating():
    return Alternating


class Folder:
    """A dataset on disk as Basenji's are: 128 bp, 32 cropped at each side, 8 bins of 8 bp, 3 tracks."""

    counts: ClassVar = {"train": 6, "valid": 3, "test": 5}
    identifiers = ("a+", "a-", "b")

    def __init__(self, path: Path, counts: dict[str, int] | None = None, *, learnable: bool = False):
        rng = np.random.default_rng(7)
        self.path, self.codes, self.targets = path, {}, {}
        self.counts = counts or self.counts
        (path / "tfrecords").mkdir(parents=True)
        for label, count in self.counts.items():
            self.codes[label] = rng.integers(0, 5, (count, 128)).astype("u1")
            self.targets[label] = rng.gamma(1.0, 2.0, (count, 8, 3)).astype("f2")
            if learnable:  # counts: A, T (which is A of the other strand), and either of C and G, each read by chance
                bins = self.codes[label][:, 32:96].reshape(count, 8, 8, 1)
                a, c, g, t = np.moveaxis((bins == np.arange(4)).sum(axis=2), -1, 0)
                self.targets[label] = rng.poisson(np.stack([a, t, c + g], axis=-1)).astype("f2")
            pairs = zip(self.codes[label], self.targets[label], strict=True)
            records = [{"sequence": codes.tobytes(), "target": targets.tobytes()} for codes, targets in pairs]
            write_records(path / "tfrecords" / f"{label}-0.tfr", records)
        sizes = {"num_targets": 3, "seq_length": 128, "pool_width": 8, "crop_bp": 32, "target_length": 8}
        counts = {f"{label}_seqs": count for label, count in self.counts.items()}
        (path / "statistics.json").write_text(json.dumps({**sizes, "seq_1hot": True, **counts}))
        labels = [label for label, count in self.counts.items() for _ in range(count)]
        lines = [f"chr1\t{1000 * i}\t{1000 * i + 64}\t{label}\n" for i, label in enumerate(labels)]
        (path / "sequences.bed").write_text("".join(lines))
        rows = [f"{i}\t{name}\t{pair}\tsum\tabout {name}\n" for i, (name, pair) in enumerate(zip(
            self.identifiers, (1, 0, 2), strict=True))]  # fmt: skip
        (path / "targets.txt").write_text("\tidentifier\tstrand_pair\tsum_stat\tdescription\n" + "".join(rows))

    def one_hot(self, label: str) -> np.ndarray:
        return np.vstack([np.eye(4), np.zeros(4)])[self.codes[label]].astype("float32")


@pytest.fixture(scope="session")
def make_folder():
    return Folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Folder:
    return Folder(tmp_path_factory.mktemp("data") / "hg38")


#: A Basenji2 for that data.
SMALL = {
    "architecture": "basenji2",
    "stem_filters": 4,
    "tower_filters": [4, 6],
    "residual_blocks": 1,
    "residual_filters": 2,
    "final_filters": 6,
}


@pytest.fixture
def recipe(folder) -> dict:
    return {
        "model": dict(SMALL),
        "data": {"human": {"path": str(folder.path)}},
        "augment": {"rc": True, "max_shift": 2},
        "optimizer": {"learning_rate": 0.01},
        "training": {"rounds": 2, "batch_size": 2},
    }
