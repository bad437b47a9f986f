"""Train a small segmentation model that finds CpG islands, and measure it on DNA that it has not seen.

An island is what Gardiner-Garden and Frommer (1987) call one: at least 200 bp in which every window of 200 bp has more
than half G and C, and more than 0.6 times as many CpG as their numbers let expect. The answer is computed from the
sequence, so any genome will do; the first megabase of human chr1 takes five minutes on two cores::

    export KERAS_BACKEND=torch
    python scripts/train_cpg_islands.py hg38_1m.fa.gz --out runs/cpg
    crested-like segment --model runs/cpg/cpg_islands.keras --genome hg38_1m.fa.gz --region chr1:900001-1000000

The first 80 % of the chromosome move weights, the next 10 % choose the epoch, the last 10 % are measured once.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import crested_like as crested  # noqa: F401 - chooses the backend before keras is imported

import keras  # isort: skip

from crested_like import Genome, attach, tl
from crested_like._card import ModelCard
from crested_like.checkpoints._keras import save_keras
from crested_like.genome import one_hot, reverse_complement_one_hot
from crested_like.tl import zoo
from crested_like.tl.metrics import AveragePrecision, MatthewsCorrelation

FEATURE = "CpG_island"
WINDOW, LEAST_GC, LEAST_RATIO = 200, 0.5, 0.6
LENGTH, BATCH, BATCHES, EPOCHS = 8_192, 8, 100, 12
log = logging.getLogger("train")


def islands(dna: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 at every base of an island, for one-hot DNA ``(L, 4)``."""
    c, g = dna[:, 1], dna[:, 2]
    pairs = np.r_[c[:-1] * g[1:], 0]
    sums = [np.cumsum(np.r_[0, values]) for values in (c, g, pairs)]
    c_count, g_count, pair_count = (total[WINDOW:] - total[:-WINDOW] for total in sums)
    expected = c_count * g_count / WINDOW
    fits = ((c_count + g_count) / WINDOW > LEAST_GC) & (pair_count > LEAST_RATIO * expected)
    starts = np.flatnonzero(fits)
    inside = np.zeros(len(dna) + 1, int)
    np.add.at(inside, starts, 1)
    np.add.at(inside, starts + WINDOW, -1)
    return (np.cumsum(inside)[:-1] > 0).astype(np.float32)


def network() -> keras.Model:
    """A SegmentBorzoi of 0.2 million parameters; each output bin of its trunk has eight bases."""
    return zoo.segment_borzoi(
        features=[FEATURE],
        input_length=LENGTH,
        output_bins=None,
        stem_filters=24,
        stem_width=9,
        tower_filters=(32, 40, 48, 64),
        transformer_blocks=1,
        attention_heads=2,
        key_size=16,
        position_features=16,
        final_filters=48,
        head_width=24,
        dropout=0.1,
    )


class Pieces(keras.utils.PyDataset):
    """Random windows of a part of a chromosome, on either strand; half of them have an island in the middle."""

    def __init__(self, dna: NDArray, labels: NDArray, seed: int) -> None:
        super().__init__()
        self.dna, self.labels, self.rng = dna, labels, np.random.default_rng(seed)
        self.centres = np.flatnonzero(labels)

    def __len__(self) -> int:
        return BATCHES

    def __getitem__(self, index: int) -> tuple[NDArray, NDArray]:
        anywhere = self.rng.integers(0, len(self.dna) - LENGTH, BATCH)
        middle = self.rng.choice(self.centres, BATCH) - self.rng.integers(0, LENGTH, BATCH)
        starts = np.where(self.rng.random(BATCH) < 0.5, anywhere, middle).clip(0, len(self.dna) - LENGTH)
        x = np.stack([self.dna[start : start + LENGTH] for start in starts])
        y = np.stack([self.labels[start : start + LENGTH] for start in starts])[:, :, None]
        return (reverse_complement_one_hot(x), y[:, ::-1]) if self.rng.random() < 0.5 else (x, y)


def measured(model: keras.Model, dna: NDArray, labels: NDArray) -> dict[str, float]:
    """Matthews correlation and average precision over a whole part, put together from windows."""
    found = tl.segment(dna[None], model, progress=False).to_numpy()
    figures = {}
    for metric in (MatthewsCorrelation(), AveragePrecision()):
        metric.update_state(labels[None, :, None], found)
        figures[metric.name] = round(float(keras.ops.convert_to_numpy(metric.result())[0]), 4)
    return figures


class Choose(keras.callbacks.Callback):
    """Measure the valid part after every epoch, and keep the weights of the best."""

    def __init__(self, dna: NDArray, labels: NDArray) -> None:
        super().__init__()
        self.dna, self.labels, self.best, self.weights, self.curve = dna, labels, -1.0, None, []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keras' own hook."""
        figures = measured(self.model, self.dna, self.labels)
        self.curve.append({"epoch": epoch + 1, "loss": round(float((logs or {})["loss"]), 5), **figures})
        log.info("%s", self.curve[-1])
        if figures["mcc"] > self.best:
            self.best, self.weights = figures["mcc"], self.model.get_weights()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("genome", type=Path)
    parser.add_argument("--chrom", default="chr1")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    keras.utils.set_random_seed(given.seed)
    genome = Genome(given.genome)
    size = genome.chromosomes[given.chrom]
    dna = one_hot(genome.fetch(given.chrom, 0, size))
    labels = islands(dna)
    cuts = [int(size * share) for share in (0, 0.8, 0.9, 1)]
    train, valid, test = ((dna[a:b], labels[a:b]) for a, b in pairwise(cuts))
    log.info(
        "islands cover %.2f %%, %.2f %% and %.2f %% of the parts", *(100 * y.mean() for _, y in (train, valid, test))
    )
    model = network()
    log.info("%s parameters", f"{model.count_params():,}")
    model.compile(keras.optimizers.Adam(2e-3), keras.losses.BinaryFocalCrossentropy(gamma=1.0))
    chosen, start = Choose(*valid), time.perf_counter()
    model.fit(Pieces(*train, given.seed), epochs=EPOCHS, callbacks=[chosen], verbose=0)
    model.set_weights(chosen.weights)
    report = {"seconds": round(time.perf_counter() - start), "valid": measured(model, *valid)}
    report |= {"test": measured(model, *test), "curve": chosen.curve}
    log.info("test: %s", report["test"])
    given.out.mkdir(parents=True, exist_ok=True)
    card = ModelCard(name="cpg_islands", architecture="segment_borzoi", input_length=LENGTH, bin_size=1)
    save_keras(attach(model, card.with_tracks([FEATURE])), given.out / "cpg_islands.keras", card.with_tracks([FEATURE]))
    (given.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
