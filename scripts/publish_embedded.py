"""Put trained models inside the package: measure them, choose, and write model file and registry entry.

Several runs of one recipe that differ in their seed are compared on the valid windows alone; the best is published,
and the figures of all of them go on its card::

    crested-like train recipes/borzoi_mini_human.toml --set training.seed=0 --out runs/human_0   # and 1, 2
    python scripts/publish_embedded.py runs/human_0 runs/human_1 runs/human_2 --data DATA/tiny/hg38

The test windows are measured here and nowhere else. What the card says of the data, and its ``[card]``, are those of
the recipe in the repository.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import keras
import pandas as pd

import crested_like as crested
from crested_like._card import ModelCard
from crested_like.checkpoints._keras import read_card, save_keras
from crested_like.tl.training._toml import to_toml

REGISTRY = Path(crested.__file__).parent / "registry"
RECIPES = Path(__file__).resolve().parent.parent / "recipes"
SPLITS = ("train", "valid", "test")


def measured(folder: Path, data: str) -> dict[str, Any]:
    """Facts and figures of a run."""
    (path,) = (path for path in folder.glob("*.keras") if not path.match("best-*"))
    history = pd.read_csv(folder / "history.csv")
    best = history["valid_pearson_r"].idxmax()
    table = crested.tl.evaluate(keras.models.load_model(path), data, split="valid")
    figures = {"path": path, "seed": read_card(path).recipe["training"]["seed"], "round": int(history["round"][best])}
    figures |= {"minutes": round(float(history["seconds"].iloc[-1]) / 60, 1)}
    figures |= {"curve": [round(value, 4) for value in history["valid_pearson_r"]]}
    figures |= {"valid_pearson_r": round(float(table["pearson_r"].mean()), 4)}
    for split in ("train", "test"):
        table = crested.tl.evaluate(keras.models.load_model(path), data, split=split)
        figures[f"{split}_pearson_r"] = round(float(table["pearson_r"].mean()), 4)
        figures[f"{split}_pearson_r_median"] = round(float(table["pearson_r"].median()), 4)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs of one recipe")
    parser.add_argument("--data", required=True, help="dataset to measure on")
    parser.add_argument("--out", type=Path, default=REGISTRY, help="registry folder to write into (%(default)s)")
    args = parser.parse_args()
    runs = [measured(folder, args.data) for folder in args.runs]
    best = max(runs, key=lambda run: run["valid_pearson_r"])
    old = read_card(best["path"])
    file = RECIPES / f"{old.name}.toml"
    told = tomllib.loads(file.read_text(encoding="utf-8"))
    recipe = {key: value for key, value in old.recipe.items() if key not in ("card", "output")}
    recipe["data"] = told["data"]  # as the recipe calls it, wherever it lay
    recipe["file"] = f"{RECIPES.name}/{file.name}"
    seeds = {
        f"seed_{run['seed']}": {key: run[key] for key in run if key not in ("path", "seed")} | {"shipped": run is best}
        for run in runs
    }
    shown = {key: value for key, value in best.items() if key.endswith(("_r", "_median"))}
    what = "mean (and median) over the tracks of Pearson's r over all bins of a split, one forward pass"
    card = ModelCard.from_dict({**old.to_dict(), **told["card"]})
    card = card.replace(recipe=recipe, metrics={**shown, "what": what, "seeds": seeds})
    name = f"{card.name}.keras"
    path = save_keras(keras.models.load_model(best["path"]), args.out / "files" / name, card)
    entry = card.replace(sha256=hashlib.sha256(path.read_bytes()).hexdigest()).to_dict()
    entry.pop("name")
    head = "# Written by scripts/publish_embedded.py: a model that comes inside the package.\n\n"
    (args.out / f"{card.name}.toml").write_text(head + to_toml({"models": {card.name: entry}}), encoding="utf-8")
    print(json.dumps([{**run, "path": str(run["path"])} for run in runs], indent=1))
    print(f"{path}, {path.stat().st_size:,} bytes, of seed {best['seed']}")


if __name__ == "__main__":
    main()
