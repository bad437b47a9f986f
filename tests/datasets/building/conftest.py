"""A genome with coverage that is known base by base, and the transform one number at a time."""

from __future__ import annotations

import math
import statistics
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from crested_like.datasets import BasenjiDataset, build, open_dataset
from crested_like.genome import Genome, write_bigwig


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("CRESTED_LIKE_DATA_DIR", str(tmp_path_factory.mktemp("cache")))


def pool(bases: list[float], name: str) -> float:
    if name.startswith("sum"):
        return sum(bases)
    if name.startswith(("mean", "avg", "peak")):
        return sum(bases) / len(bases)
    return statistics.median(bases) if name == "median" else max(bases)


def target(bases: list[float], name: str, scale: float, soft: float, ceiling: float, version: str) -> np.float16:
    """One bin."""
    new = version == "new"
    x = pool([base * scale for base in bases] if new else bases, name)
    if name.endswith("_sqrt"):
        x = -1 + math.sqrt(1 + x) if new else x**0.75
    elif name == "sum_exp75":
        x = -1 + (1 + x) ** 0.75
    elif name == "peak":
        x = min(max(math.sqrt(4 * x), 0), 1)
    if x > soft:
        x = soft - 1 + math.sqrt(x - soft + 1) if new else soft + math.sqrt(x - soft)
    x = min(max(x, -ceiling), ceiling)
    if not new:
        x = x * scale
    return np.float16(min(max(x, -65504), 65504))


@pytest.fixture(scope="session")
def slow_pool():
    return pool


@pytest.fixture(scope="session")
def slow_target():
    return target


class World:
    """A genome, and coverage that is known base by base; of the two, datasets are built and opened."""

    sizes: ClassVar = {"chr1": 1600, "chr2": 900, "chr3": 700}
    length, crop, width, bins = 160, 16, 8, 16
    shape: ClassVar = {"seq_length": 160, "pool_width": 8, "crop_bp": 16, "valid": "chr2", "test": "chr3", "gaps": []}

    def __init__(self, folder, rng):
        self.folder, self.rng = folder, rng
        self.letters = {chrom: "".join(rng.choice(list("ACGTNacgt"), size)) for chrom, size in self.sizes.items()}
        path = folder / "genome.fa"
        path.write_text("".join(f">{chrom}\n{letters}\n" for chrom, letters in self.letters.items()))
        self.genome = Genome(path)
        self.coverage: list[dict[str, np.ndarray]] = []
        self.rows: list[dict] = []

    def add(self, name, *, gaps=0.2, level=4, **settings):
        """A track of constant stretches, some of them without data."""
        path, values, intervals = self.folder / f"{name}.bw", {}, []
        for chrom, size in self.sizes.items():
            cuts = np.unique([0, size, *self.rng.integers(0, size, size // 6)])
            values[chrom] = np.full(size, np.nan, "float32")
            for start, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
                if self.rng.random() >= gaps:
                    value = np.float32(level * self.rng.gamma(0.5))
                    values[chrom][start:end] = value
                    intervals.append((chrom, start, end, float(value)))
        write_bigwig(path, self.sizes, intervals)
        self.coverage.append(values)
        self.rows.append({"identifier": name, "file": path.name, **settings})
        return self

    @property
    def tracks(self):
        path = self.folder / "targets.txt"
        pd.DataFrame(self.rows).to_csv(path, sep="\t")
        return path

    def build(self, out, **settings):
        return build(self.tracks, self.genome, self.folder / out, **{**self.shape, "format": "tfrecord", **settings})

    def opened(self, name):
        """Files of records are read in order, which leaves none open."""
        path = self.folder / name
        return BasenjiDataset(path) if (path / "statistics.json").is_file() else open_dataset(path)

    def stored(self, data, label):
        """All sequences and targets of a set."""
        if isinstance(data, BasenjiDataset):
            return data.arrays(label)
        sequences, targets = zip(*(data.read(label, i) for i in range(data.count(label))), strict=True)
        return np.array(sequences), np.array(targets)

    def made(self):
        """What is in the folder besides what was put there."""
        return {path.name for path in self.folder.iterdir()} - {
            "genome.fa", "genome.fa.fai", "targets.txt", *(row["file"] for row in self.rows)
        }  # fmt: skip


@pytest.fixture
def world(tmp_path, rng):
    return World(tmp_path, rng)
