"""Does a trained trunk help on other tracks? Fine-tune the embedded human model to mouse tracks, beside training anew.

Three networks of one graph, one new head and the same batches in the same order are trained for as many steps:

* ``lora``: the trunk of ``borzoi_mini_human`` with low-rank adapters; adapters and head learn,
* ``unfrozen``: the same trunk, all of which learns,
* ``scratch``: a trunk of new weights, all of which learns.

Each is trained at several peak learning rates, and the best round of the best one, by mean Pearson r on the valid
windows, is measured once on the test windows, which nothing else looks at::

    export KERAS_BACKEND=torch
    python scripts/finetune_beats_scratch.py --data DATA --out runs/finetune

``DATA`` is the folder ``tests/data/tiny/mm10`` of calico/baskerville: 32 mouse tracks of coverage, 28 windows to train
on, 13 to choose by, 13 to test on. An interrupted run goes on where it stood.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import keras
import pandas as pd

import crested_like as crested
from crested_like import tl
from crested_like.tl.rewriting._rebuild import rebuilt

BASE = "borzoi_mini_human"
#: Peak learning rates to choose from.
RATES = {"lora": (1e-3, 3e-3, 1e-2), "unfrozen": (3e-4, 1e-3, 3e-3), "scratch": (3e-4, 1e-3, 3e-3, 1e-2)}
#: As the human model was trained: pieces of the windows, either strand, small shifts, some bases drawn anew.
AUGMENT = {"bins": 1_024, "flank": 4_096, "rc": True, "max_shift": 3, "mutate": 0.03}
BATCH, WARMUP = 4, 50
log = logging.getLogger("finetune")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600, help="batches of each training (%(default)s)")
    parser.add_argument("--round", type=int, default=100, help="batches between two validations (%(default)s)")
    parser.add_argument("--rank", type=int, default=8, help="of the adapters (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ways", nargs="+", choices=list(RATES), default=list(RATES))
    parser.add_argument("--rates", nargs="+", type=float, help="peak learning rates to try instead")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    report = {way: best_of(way, given) for way in given.ways}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(pd.DataFrame(report).T.drop(columns="curve").to_string())


def best_of(way: str, given: argparse.Namespace) -> dict[str, Any]:
    """Figures of the best learning rate by the valid windows; the test windows are measured for that one alone."""
    start, runs = time.perf_counter(), {}
    for rate in given.rates or RATES[way]:
        runs[rate] = trained(way, rate, given)
        log.info("%s at %g: valid r %.4f", way, rate, runs[rate].figures["valid_pearson_r"])
    rate, run = max(runs.items(), key=lambda item: item[1].figures["valid_pearson_r"])
    test = tl.evaluate(run.model, given.data, split="test")["pearson_r"]
    return {
        "learning": sum(math.prod(weight.shape) for weight in run.model.trainable_weights),
        "learning_rate": rate,
        "step": run.best_round * given.round,
        "valid_r": round(run.figures["valid_pearson_r"], 4),
        "test_r": round(float(test.mean()), 4),
        "test_r_median": round(float(test.median()), 4),
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "curve": run.history["valid_pearson_r"].round(4).tolist(),
    }


def trained(way: str, rate: float, given: argparse.Namespace) -> Any:
    """One training; all of one seed see the same batches."""
    keras.utils.set_random_seed(given.seed)
    base = crested.load_model(BASE)
    phase = tl.Phase(
        learning_rate=rate,
        rounds=given.steps // given.round,
        patience=None,
        optimizer={"clip_global_norm": 0.5},
        schedule={"warmup": WARMUP, "decay": "cosine", "final": 0.02},
    )
    return tl.finetune(
        anew(base) if way == "scratch" else base,
        given.data,
        lora={"rank": given.rank, "where": ("attention", "convolution", "dense")} if way == "lora" else None,
        augment=AUGMENT,
        phases=[phase],
        out=given.out / f"{way}_{rate:g}",
        name="mouse",
        batch_size=BATCH,
        steps=given.round,
        seed=given.seed,
    )


def anew(model: keras.Model) -> keras.Model:
    """The same network with weights as at the start of its own training.

    A stored model's configuration says zeros where its weights were drawn, so they are drawn here, by the rules of its
    builder.
    """
    fresh = tl.zoo.borzoi(heads={"human": 1}, **settings_of(model))
    by_name = {layer.name: layer for layer in fresh.layers}

    def take(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
        source = by_name[old.name] if old.name in by_name and not old.name.startswith("head_") else old
        new.set_weights(source.get_weights())

    return rebuilt(model, move=take)


def settings_of(model: keras.Model) -> dict[str, Any]:
    """Arguments of the builder that decide on shapes, and on the weights that are drawn, read off the model."""
    layers = {layer.name: layer for layer in model.layers}
    towers = sum(name.startswith("tower_") and name.endswith("_conv") for name in layers)
    attention, found = layers["transformer_1_attention"], tl.geometry(model)
    return {
        "stem_filters": layers["stem_conv"].filters,
        "stem_width": layers["stem_conv"].kernel_size[0],
        "tower_filters": tuple(layers[f"tower_{i}_conv"].filters for i in range(1, towers + 1)),
        "transformer_blocks": sum(name.endswith("_attention") for name in layers),
        "attention_heads": attention.heads,
        "key_size": attention.key_size,
        "position_length": attention.position_length,
        "final_filters": layers["final_conv"].filters if "final_conv" in layers else None,
        "input_length": found.input_length,
        "output_bins": found.output_bins,
    }


if __name__ == "__main__":
    main()
