"""Train the small network of ``tests/planted`` on simulated DNA in which it is known what every base does.

The world is told in ``tests/planted/truth.py``: three motifs, two tracks, a constant. The network that comes out has to
know it: it is measured on sequences it has not seen, and single changes of its input on the bases of sites.
Five minutes on two cores::

    export KERAS_BACKEND=torch
    python scripts/train_planted_motifs.py
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import crested_like as crested  # noqa: F401 - chooses the backend before keras is imported

import keras  # isort: skip

from crested_like import attach
from crested_like._card import ModelCard
from crested_like.checkpoints._keras import save_keras
from crested_like.genome import one_hot_batch, reverse_complement_one_hot

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "planted"))
import truth

log = logging.getLogger("train")
BATCH = 64


def network() -> keras.Model:
    """Filters as wide as a motif, what they find spread out, and the mean of each bin: 6,000 parameters.

    An exponential after the filters lets each of them learn a whole motif (Koo and Ploenzke 2021): single changes are
    then told apart from chance matches, and gradients point at sites.
    """
    x = dna = keras.Input((truth.LENGTH, 4), name="sequence")
    x = keras.layers.Conv1D(16, 11, padding="same", use_bias=False, name="motifs")(x)
    x = keras.layers.BatchNormalization(momentum=0.95, name="motifs_norm")(x)
    x = keras.layers.Activation("exponential", name="motifs_exponential")(x)
    x = keras.layers.AveragePooling1D(16, name="pool_16")(x)
    x = keras.layers.BatchNormalization(momentum=0.95, name="pool_norm")(x)
    x = keras.layers.Conv1D(16, 19, padding="same", activation="relu", name="spread")(x)
    x = keras.layers.AveragePooling1D(truth.BIN_SIZE // 16, name="pool_bins")(x)
    x = keras.layers.Dense(len(truth.TRACKS), activation="softplus", name="head_planted")(x)
    return keras.Model(dna, x, name="planted")


def examples(rng: np.random.Generator, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sequences with up to three sites of each motif, many of them damaged, and their coverage."""
    sequences = []
    for _ in range(number):
        counts = {motif.name: int(rng.integers(0, 4)) for motif in truth.MOTIFS}
        sequences.append(truth.draw(rng, counts, mismatches=(0, 0, 1, 1, 2, 3))[0])
    return one_hot_batch(sequences), np.stack([truth.coverage(sequence) for sequence in sequences]).astype("float32")


class Batches(keras.utils.PyDataset):
    """The examples in a new order every epoch, on either strand."""

    def __init__(self, x: NDArray, y: NDArray, seed: int) -> None:
        super().__init__()
        self.x, self.y, self.rng = x, y, np.random.default_rng(seed)
        self.order = self.rng.permutation(len(x))

    def __len__(self) -> int:
        return len(self.x) // BATCH

    def on_epoch_end(self) -> None:
        """Keras' own hook."""
        self.order = self.rng.permutation(len(self.x))

    def __getitem__(self, index: int) -> tuple[NDArray, NDArray]:
        chosen = self.order[BATCH * index : BATCH * (index + 1)]
        x, y = self.x[chosen], self.y[chosen]
        return (reverse_complement_one_hot(x), y[:, ::-1]) if self.rng.random() < 0.5 else (x, y)


def area_under_curve(scores: NDArray, inside: NDArray[np.bool_]) -> float:
    """Chance that a base inside scores above one outside: the area under the ROC curve."""
    below = (scores[inside][:, None] > scores[~inside]).mean()
    return float(below + 0.5 * (scores[inside][:, None] == scores[~inside]).mean())


def effects_of_changes(model: keras.Model, x: NDArray[np.float32], track: int) -> NDArray[np.float64]:
    """Largest change of a track's sum by changing each base of one sequence ``(L, 4)``: ``(L,)``."""
    changed = np.repeat(x[None], 4 * len(x), axis=0).reshape(len(x), 4, len(x), 4)
    for position in range(len(x)):
        changed[position, :, position] = np.eye(4)
    values = model.predict(changed.reshape(-1, *x.shape), batch_size=256, verbose=0)[..., track].sum(axis=1)
    reference = model.predict(x[None], verbose=0)[0, :, track].sum()
    return np.abs(values.reshape(len(x), 4) - reference).max(axis=1)


def measured(model: keras.Model, rng: np.random.Generator) -> dict[str, object]:
    """How well the world is known: on new sequences as in training, and base by base on intact sites."""
    x, y = examples(rng, 2000)
    found = model.predict(x, batch_size=256, verbose=0)
    report: dict[str, object] = {
        "correlation": [round(float(np.corrcoef(found[..., t].ravel(), y[..., t].ravel())[0, 1]), 4) for t in (0, 1)],
        "worst_error": round(float(np.abs(found - y).max()), 3),
    }
    areas = []
    for _ in range(8):
        sequence, sites = truth.draw(rng, {motif.name: 1 for motif in truth.MOTIFS})
        for track in range(len(truth.TRACKS)):
            scores = effects_of_changes(model, one_hot_batch([sequence])[0], track)
            areas.append(area_under_curve(scores, truth.mask(sites)))
    return report | {"changes_auroc": {"mean": round(float(np.mean(areas)), 4), "least": round(min(areas), 4)}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=truth.MODEL, help="the file to write (%(default)s)")
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    keras.utils.set_random_seed(given.seed)
    rng, start = np.random.default_rng(given.seed), time.perf_counter()
    x, y = examples(rng, given.examples)
    log.info("%s examples drawn in %.0f s", f"{len(x):,}", time.perf_counter() - start)
    model = network()
    steps = given.epochs * (len(x) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(5e-3, steps)
    model.compile(keras.optimizers.Adam(rate), "mse")
    model.fit(Batches(x, y, given.seed), epochs=given.epochs, verbose=2)
    report = {"parameters": model.count_params(), "seconds": round(time.perf_counter() - start)}
    log.info("%s", json.dumps(report | measured(model, np.random.default_rng(given.seed + 1)), indent=1))
    card = ModelCard(name="planted", architecture="planted", input_length=truth.LENGTH, bin_size=truth.BIN_SIZE)
    card = card.with_tracks(list(truth.TRACKS))
    save_keras(attach(model, card), given.out, card)


if __name__ == "__main__":
    main()
