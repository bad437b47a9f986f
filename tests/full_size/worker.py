"""One step of the full-size check, in a process and on a backend (``KERAS_BACKEND``) of its own.

``worker.py write MODEL WINDOW FOLDER`` builds a published network, gives it weights that matter, saves it as
``FOLDER/model.keras``, and writes what the model in memory predicts, and what it would predict if parts of it were
wrong. ``worker.py load FOLDER WINDOW RESULT`` loads that file and predicts. ``worker.py fast FOLDER WINDOW RESULT``
does so in the form that ``tl.predict`` computes. ``worker.py variant FOLDER WINDOW RESULT`` writes the first head's
prediction of the window, and of the window with one base changed: from that one, and from the start.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import weights

from crested_like import tl
from crested_like.checkpoints._keras import save_keras
from crested_like.tl import zoo
from crested_like.tl.rewriting._reuse import Reuse

#: What is broken in which network, by name of the break.
BREAKS = {
    "no position features": weights.without_positions,
    "two skips swapped": weights.with_swapped_skips,
    "two attention layers swapped": lambda model, values: weights.with_swapped_blocks(
        model, values, "transformer_2_attention", "transformer_3_attention"
    ),
    "two dilations swapped": lambda model, values: weights.with_swapped_blocks(
        model, values, "residual_4_dilated_conv", "residual_8_dilated_conv"
    ),
}
BROKEN = {
    "basenji2": ["two dilations swapped"],
    "enformer": ["no position features", "two attention layers swapped"],
    "borzoi": ["no position features", "two skips swapped"],
    "borzoi_prime": ["no position features", "two skips swapped"],
    "flashzoi": ["no position features", "two skips swapped"],
}


def joined(prediction: Any) -> np.ndarray:
    """Bins by tracks of the one window, heads beside one another by name."""
    if isinstance(prediction, np.ndarray):
        return prediction[0]
    return np.concatenate([prediction[name][0] for name in sorted(prediction)], axis=-1)


def write(name: str, window: Path, folder: Path) -> None:
    one_hot = np.load(window).astype(np.float32)[None]
    model = getattr(zoo, name)()
    logits, values = weights.make_weights_matter(model, one_hot)
    save_keras(model, folder / "model.keras")
    in_memory = joined({key: weights.array(values[id(symbol)]) for key, symbol in heads(model).items()})
    np.save(folder / "in_memory.npy", in_memory)
    spread = np.ptp(in_memory, axis=0)
    moved = {}
    for what in BROKEN[name]:
        difference = np.abs(joined(BREAKS[what](model, values)) - in_memory).max(axis=0) / spread
        moved[what] = {"least": float(difference.min()), "median": float(np.median(difference))}
    facts = {
        "written on": keras.backend.backend(),
        "parameters": model.count_params(),
        "file bytes": (folder / "model.keras").stat().st_size,
        "logit std": {"least": min(logits.values()), "largest": max(logits.values())} if logits else None,
        "least variation": float((spread / in_memory.max(axis=0)).min()),
        "moved by": moved,
    }
    (folder / "facts.json").write_text(json.dumps(facts, indent=1))


def heads(model: keras.Model) -> dict[str, Any]:
    return model.output if isinstance(model.output, dict) else {"": model.output}


def load(folder: Path, window: Path, result: Path) -> None:
    save_prediction(keras.models.load_model(folder / "model.keras"), window, result)


def fast(folder: Path, window: Path, result: Path) -> None:
    save_prediction(tl.accelerate(keras.models.load_model(folder / "model.keras")), window, result)


def save_prediction(model: keras.Model, window: Path, result: Path) -> None:
    prediction = model.predict_on_batch(np.load(window).astype(np.float32)[None])
    if not isinstance(prediction, np.ndarray):
        prediction = {key: np.asarray(value) for key, value in dict(prediction).items()}
    np.save(result, joined(prediction))


def variant(folder: Path, window: Path, result: Path) -> None:
    model = keras.models.load_model(folder / "model.keras")
    model = keras.Model(model.inputs, model.outputs[0])
    x = np.load(window).astype(np.float32)
    other = x.copy()
    place = len(x) // 2 + 77
    other[place] = np.roll(x[place], 1)
    reuse = Reuse(model)
    first = reuse(x[None])[0]
    np.save(result, np.stack([first, reuse(other[None])[0], model.predict_on_batch(other[None])[0]]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    steps = {"load": load, "fast": fast, "variant": variant}
    parser.add_argument("step", choices=["write", *steps])
    parser.add_argument("what", help="a network's name, or the folder of a written one")
    parser.add_argument("window", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    if given.step == "write":
        write(given.what, given.window, given.out)
    else:
        steps[given.step](Path(given.what), given.window, given.out)


if __name__ == "__main__":
    main()
