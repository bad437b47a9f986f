"""Train ``borzoi_mini_human``, the small Borzoi-family model that comes inside the package.

Two steps, each of which may be stopped and started again::

    export KERAS_BACKEND=torch   # which does not compile: 2 CPU cores, about 20 minutes
    nice python scripts/train_borzoi_mini.py train --data DATA --out runs/mini
    python scripts/train_borzoi_mini.py publish --data DATA --out runs/mini

``DATA`` is the folder ``tests/data/tiny/hg38`` of calico/baskerville: 45 windows to train on, 10 to choose by, 10 to
test on. Only the train split moves weights; the valid split chooses among checkpoints; ``publish`` takes the chosen
one, measures the three splits once, and writes the ``.keras`` file and the registry entry.

Forty-five windows are few, so a run is short, and both strands, small shifts and random pieces of a window vary what
is seen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import crested_like  # noqa: F401 - chooses the backend before keras is imported
from crested_like._card import ModelCard
from crested_like.datasets import BasenjiDataset

import keras  # isort: skip

from crested_like.checkpoints._keras import save_keras
from crested_like.tl import zoo
from crested_like.tl.losses import PoissonMultinomial
from crested_like.tl.metrics import PearsonR

NAME = "borzoi_mini_human"
N_CODE = 4
ONE_HOT = np.eye(5, dtype=np.float32)[:, :4]
log = logging.getLogger("train")


@dataclass(frozen=True)
class Recipe:
    """Every number of the training; the defaults made the published file."""

    stem_filters: int = 32
    stem_width: int = 11
    tower_filters: tuple[int, ...] = (48, 64, 80, 96, 112, 128)
    transformer_blocks: int = 1
    attention_heads: int = 4
    key_size: int = 32
    final_filters: int | None = None
    dropout: float = 0.3
    pieces: int = 4
    """Pieces of windows in a batch."""
    piece_bins: int = 1024
    flank: int = 4096
    """Bases of input beyond the bins of a piece, at each side."""
    max_shift: int = 3
    mutated: float = 0.03
    """Share of the bases of a piece that are drawn anew, so that no stretch is learnt by heart."""
    total_weight: float = 0.2
    learning_rate: float = 1.5e-3
    warmup: int = 200
    steps: int = 4000
    """At most; a run ends when ``patience`` rounds in a row were no better."""
    round: int = 200
    """Batches between two validations."""
    patience: int = 3
    weight_decay: float = 0.03
    clip_norm: float = 0.5
    average: float = 0.995
    """Momentum of the moving average of the weights, which is what is validated and kept."""
    calibration: int = 32
    """Batches from which the statistics of batch normalisation are taken anew for the averaged weights."""
    seed: int = 0


def build(recipe: Recipe, input_length: int, output_bins: int, tracks: int) -> keras.Model:
    """Return the network for one input length; weights fit every length."""
    return zoo.borzoi(
        heads={"human": tracks},
        input_length=input_length,
        output_bins=output_bins,
        stem_filters=recipe.stem_filters,
        stem_width=recipe.stem_width,
        tower_filters=recipe.tower_filters,
        transformer_blocks=recipe.transformer_blocks,
        attention_heads=recipe.attention_heads,
        key_size=recipe.key_size,
        position_length=1024,
        final_filters=recipe.final_filters,
        dropout=recipe.dropout,
        l2_scale=0.0,
        transformer_l2_scale=0.0,
    )


class Pieces(keras.utils.PyDataset):
    """Random pieces of the training windows, from either strand; the same ones for the same seed."""

    def __init__(self, data: BasenjiDataset, recipe: Recipe, steps: int):
        super().__init__()
        self.codes, self.targets = data.arrays("train")
        self.pairs, self.crop = data.strand_pairs, data.statistics.crop_bp
        self.bin_width = data.statistics.pool_width
        self.recipe, self.steps, self.round = recipe, steps, 0

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        first = (self.round * self.steps + step) * self.recipe.pieces
        pairs = [self.piece(number) for number in range(first, first + self.recipe.pieces)]
        return np.stack([x for x, _ in pairs]), np.stack([y for _, y in pairs])

    def piece(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return one-hot bases and targets of the n-th piece of the run."""
        recipe, windows = self.recipe, len(self.codes)
        epoch, place = divmod(number, windows)
        window = np.random.default_rng([recipe.seed, epoch]).permutation(windows)[place]
        rng = np.random.default_rng([recipe.seed, epoch, place])
        first = rng.integers(0, self.targets.shape[1] - recipe.piece_bins + 1)
        start = (
            self.crop + first * self.bin_width - recipe.flank + rng.integers(-recipe.max_shift, recipe.max_shift + 1)
        )
        codes = self.bases(window, start, recipe.piece_bins * self.bin_width + 2 * recipe.flank)
        mutated = np.flatnonzero(rng.random(len(codes)) < recipe.mutated)
        codes[mutated] = rng.integers(0, N_CODE, len(mutated))
        targets = self.targets[window, first : first + recipe.piece_bins].astype(np.float32)
        if rng.random() < 0.5:
            codes = np.where(codes < N_CODE, 3 - codes, N_CODE)[::-1]
            targets = targets[::-1, self.pairs]
        return ONE_HOT[codes], targets

    def bases(self, window: int, start: int, length: int) -> np.ndarray:
        """Return index codes of a stretch of a window, N beyond its ends."""
        found = np.full(length, N_CODE, dtype=np.uint8)
        low, high = max(start, 0), min(start + length, self.codes.shape[1])
        found[low - start : high - start] = self.codes[window, low:high]
        return found


class Validate(keras.callbacks.Callback):
    """After each round puts the averaged weights into the full-length network, measures it, and keeps the best."""

    def __init__(self, data: BasenjiDataset, pieces: Pieces, full: keras.Model, network: keras.Model, out: Path):
        super().__init__()
        self.data, self.pieces, self.full, self.network, self.out = data, pieces, full, network, out
        self.log, self.started = out / "log.jsonl", time.time()
        known = [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        scores = [line["valid"] for line in known]
        self.best = max(scores, default=-1.0)
        self.worse = len(scores) - 1 - scores.index(self.best) if scores else 0

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Measure the averaged weights, which the model holds at this moment."""
        calibrate(self.network, self.pieces)
        self.full.set_weights(self.network.get_weights())
        valid = float(track_correlations(self.full, self.data, "valid").mean())
        line = {"round": epoch, "loss": logs["loss"], "valid": valid, "seconds": time.time() - self.started}
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        log.info("round %d: loss %.4f, valid r %.4f%s", epoch, logs["loss"], valid, " *" if valid > self.best else "")
        if valid > self.best:
            self.best, self.worse = valid, 0
            self.full.save_weights(self.out / "best.weights.h5")
        else:
            self.worse += 1
            self.model.stop_training = self.worse >= self.pieces.recipe.patience


def calibrate(model: keras.Model, pieces: Pieces) -> None:
    """Set the statistics of every batch normalisation to their mean over some batches, for the weights of now."""
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in layers]
    for number in range(pieces.recipe.calibration):
        for layer in layers:
            layer.momentum = number / (number + 1)
        model(pieces[number][0], training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def track_correlations(model: keras.Model, data: BasenjiDataset, label: str) -> np.ndarray:
    """Return Pearson's r of every track over all bins of a split, from one plain forward pass."""
    metric = PearsonR(average=False)
    for example in data.iter(label, one_hot=True):
        prediction = model.predict_on_batch(example.sequence[None].astype(np.float32))
        metric.update_state(example.targets[None].astype(np.float32), prediction)
    return np.asarray(keras.ops.convert_to_numpy(metric.result()))


def train(args: argparse.Namespace) -> None:
    """Train from the start, or from where the last call was stopped."""
    recipe = Recipe(**{key: value for key, value in vars(args).items() if key in Recipe.__annotations__})
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2))
    keras.utils.set_random_seed(recipe.seed)
    data = BasenjiDataset(args.data)
    sizes = data.statistics
    length = recipe.piece_bins * sizes.pool_width + 2 * recipe.flank
    network = build(recipe, length, recipe.piece_bins, sizes.num_targets)
    full = build(recipe, sizes.seq_length, sizes.target_length, sizes.num_targets)
    pieces = Pieces(data, recipe, recipe.round)
    compile_for_training(network, recipe)
    network.fit(
        pieces,
        epochs=recipe.steps // recipe.round,
        shuffle=False,
        callbacks=[
            keras.callbacks.BackupAndRestore(args.out / "backup", delete_checkpoint=False),
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(pieces, "round", epoch)),
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            Validate(data, pieces, full, network, args.out),
            keras.callbacks.TerminateOnNaN(),
        ],
        verbose=0,
    )


def compile_for_training(model: keras.Model, recipe: Recipe) -> None:
    """Give the model its loss and optimiser: the learning rate rises in a line and falls as a cosine."""
    schedule = keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 20,
        recipe.steps - recipe.warmup,
        alpha=0.02,
        warmup_target=recipe.learning_rate,
        warmup_steps=recipe.warmup,
    )
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.clip_norm,
        use_ema=True,
        ema_momentum=recipe.average,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer, PoissonMultinomial(total_weight=recipe.total_weight))


def publish(args: argparse.Namespace) -> None:
    """Measure the best checkpoint once and write the model file and its registry entry."""
    recipe = Recipe(**json.loads((args.out / "recipe.json").read_text()))
    data = BasenjiDataset(args.data)
    sizes = data.statistics
    model = build(recipe, sizes.seq_length, sizes.target_length, sizes.num_targets)
    model.load_weights(args.out / "best.weights.h5")
    metrics = {}
    for label in data.labels:
        each = track_correlations(model, data, label)
        metrics |= {f"{label}_pearson_r": round(float(each.mean()), 4)}
        metrics |= {f"{label}_pearson_r_median": round(float(np.median(each)), 4)}
    card = card_for(model, data, recipe, metrics)
    path = save_keras(model, args.out / f"{NAME}.keras", card)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (args.out / "embedded.toml").write_text(to_toml(card.replace(sha256=digest)))
    log.info("%s: %s, %s bytes, sha256 %s", path, metrics, f"{path.stat().st_size:,}", digest)


def card_for(model: keras.Model, data: BasenjiDataset, recipe: Recipe, metrics: dict[str, float]) -> ModelCard:
    """Return what is to be known of the model."""
    sizes = data.statistics
    return ModelCard(
        name=NAME,
        aliases=("borzoi_mini",),
        architecture="borzoi",
        format="keras",
        sources=(f"package:{NAME}.keras",),
        license="Apache-2.0",
        data_source="https://github.com/calico/baskerville, tests/data/tiny/hg38 (Calico, Apache-2.0)",
        notes=(
            "A small network for trying things out, trained by this project on 45 windows of the human genome. Its "
            "figures on unseen windows are under metrics: no model to draw conclusions from. Reference on the same "
            "windows: a network of 642,994 parameters by the authors of Borzoi reaches a mean test r of 0.4085. The "
            "test windows were measured once for this model and once for the one before it (0.0994); nothing was "
            "chosen by them."
        ),
        species="human",
        genome="hg38",
        task="Track prediction",
        input_length=sizes.seq_length,
        bin_size=sizes.pool_width,
        output_bins=sizes.target_length,
        num_tracks=sizes.num_targets,
        transform="new",
        parameters=model.count_params(),
        recipe={
            "script": "scripts/train_borzoi_mini.py",
            "train_windows": sizes.counts["train"],
            "chosen_on": "valid",
            **{
                key: list(value) if isinstance(value, tuple) else value
                for key, value in asdict(recipe).items()
                if value is not None
            },
        },
        metrics={
            **metrics,
            "what": "mean (and median) over the tracks of Pearson's r over all bins of a split, one forward pass",
        },
    ).with_tracks(data.targets)


def to_toml(card: ModelCard) -> str:
    """Return the card as a registry file."""
    table = card.to_dict()
    del table["name"]
    lines = [f"# Written by {card.recipe['script']}: the model that comes inside the package.", ""]

    def write(name: str, values: dict) -> None:
        lines.append(f"[{name}]")
        lines.extend(f"{key} = {toml_value(item)}" for key, item in values.items() if not isinstance(item, dict))
        for key, item in values.items():
            if isinstance(item, dict):
                lines.append("")
                write(f"{name}.{key}", item)

    write(f"models.{card.name}", table)
    return "\n".join(lines) + "\n"


def toml_value(value: object) -> str:
    """Return a plain value in TOML; long lists take a line an item."""
    if isinstance(value, list) and len(value) > 8:
        return "[\n" + "".join(f"  {toml_value(item)},\n" for item in value) + "]"
    if isinstance(value, int) and not isinstance(value, bool) and value > 9999:
        return f"{value:_}"
    return json.dumps(value, ensure_ascii=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("train", "publish"))
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, log and result")
    parser.add_argument("--steps", type=int, default=Recipe.steps, help="batches to train on (%(default)s)")
    parser.add_argument("--seed", type=int, default=Recipe.seed, help="of weights and augmentation (%(default)s)")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    {"train": train, "publish": publish}[args.step](args)


if __name__ == "__main__":
    main()
