"""The tables of a training recipe, and what may stand in them."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from crested_like._checks import did_you_mean, fraction, int_at_least, one_of, positive_int
from crested_like._errors import RecipeError

Table = Mapping[str, Any]
NONE = "none"
"""What stands for None, which TOML does not have."""
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True, kw_only=True)
class DataTable:
    """``[data.<head>]``: the training data of one head."""

    path: str
    """What ``datasets.open_dataset`` takes."""
    train: str | tuple[str, ...] = "train"
    """Split, or several, to train on."""
    valid: str | tuple[str, ...] | None = "valid"
    """Split to choose by; ``"none"`` for none."""
    genome: str | None = None
    """FASTA, for data that need one."""


@dataclass(frozen=True, kw_only=True)
class AugmentTable:
    """``[augment]``: what is done to examples, see ``datasets.Batches``."""

    rc: bool = False
    max_shift: int = 0
    per_example: bool = True
    bins: int | None = None
    flank: int | None = None
    mutate: float = 0.0
    unstranded: bool = False


@dataclass(frozen=True, kw_only=True)
class OptimizerTable:
    """``[optimizer]``."""

    name: str = "adam"
    """``"adam"``, ``"adamw"`` or ``"sgd"``."""
    learning_rate: float = 1e-4
    """At its peak."""
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    momentum: float = 0.0
    """Of ``"sgd"``."""
    nesterov: bool = False
    clip_norm: float | None = None
    """Largest norm of the gradient of one variable."""
    clip_global_norm: float | None = None
    """Largest norm of all gradients together."""
    weight_decay: float | None = None
    """Share of a weight that is taken away at each update, times the learning rate."""
    no_weight_decay: tuple[str, ...] = ("bias", "gamma", "beta")
    """Variables with one of these in their name do not decay."""

    def __post_init__(self) -> None:
        one_of("name", self.name, ("adam", "adamw", "sgd"))
        _above_zero("learning_rate", self.learning_rate)
        for name in ("clip_norm", "clip_global_norm"):
            if getattr(self, name) is not None:
                _above_zero(name, getattr(self, name))
        if self.clip_norm is not None and self.clip_global_norm is not None:
            raise ValueError("clip_norm and clip_global_norm exclude each other: give one.")
        if self.name == "adamw" and self.weight_decay is None:
            raise ValueError("weight_decay is what sets 'adamw' apart from 'adam': give it.")


@dataclass(frozen=True, kw_only=True)
class ScheduleTable:
    """``[schedule]``: the learning rate over the updates."""

    warmup: int = 0
    """Updates over which it rises in a line."""
    start: float = 0.0
    """Where that begins, as a share of the peak."""
    decay: str = "constant"
    """``"constant"``, or ``"cosine"``: down to ``final``."""
    decay_steps: int | None = None
    """Updates over which it falls; by default all that follow the warm-up."""
    final: float = 0.0
    """Where it ends, as a share of the peak."""

    def __post_init__(self) -> None:
        int_at_least("warmup", self.warmup, 0)
        one_of("decay", self.decay, ("constant", "cosine"))
        if self.decay_steps is not None:
            positive_int("decay_steps", self.decay_steps)


@dataclass(frozen=True, kw_only=True)
class TrainingTable:
    """``[training]``."""

    rounds: int = 100
    """Rounds at most: each ends with a validation and a checkpoint."""
    steps: int | None = None
    """Batches of a round; by default one pass over the data."""
    batch_size: int = 1
    patience: int | None = None
    """Rounds without a better figure after which training ends; by default never."""
    min_rounds: int = 0
    """Rounds before which patience does not count."""
    monitor: str = "valid_pearson_r"
    """Figure to choose the best round by: a loss is to be small, anything else large."""
    seed: int = 0
    precision: str = "float32"
    accumulate: int = 1
    """Batches whose mean gradient makes one update."""
    remat: bool = False
    """Compute activations again for the gradient instead of keeping them."""
    devices: int | str = 1
    """Accelerators that share a batch, or ``"all"``."""
    ema: float | None = None
    """Momentum of a moving average of the weights, which then is what is validated and kept."""
    calibration: int = 0
    """Batches from which the statistics of batch normalisation are taken anew before each validation."""
    workers: int = 1
    """Threads that make batches."""
    valid_batch_size: int | None = None
    """By default that of the training."""

    def __post_init__(self) -> None:
        for name in ("rounds", "batch_size", "accumulate", "workers"):
            positive_int(name, getattr(self, name))
        for name in ("steps", "patience", "valid_batch_size"):
            if getattr(self, name) is not None:
                positive_int(name, getattr(self, name))
        for name in ("min_rounds", "seed", "calibration"):
            int_at_least(name, getattr(self, name), 0)
        one_of("precision", self.precision, PRECISIONS)
        if self.ema is not None:
            fraction("ema", self.ema)
        if isinstance(self.devices, str):
            one_of("devices", self.devices, ("all",))
        else:
            positive_int("devices", self.devices)


@dataclass(frozen=True, kw_only=True)
class OutputTable:
    """``[output]``."""

    folder: str | None = None
    """Where checkpoints, logs and the best model go."""
    name: str = "model"
    """Of the best model, in its card and file."""
    tensorboard: bool = True
    """Write the figures for TensorBoard, too."""

    def __post_init__(self) -> None:
        if not self.name or self.name != Path(self.name).name:
            raise ValueError(f"name is that of a file and of a model, without a folder; got {self.name!r}.")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that one run is made of."""

    model: Table = field(default_factory=dict)
    """``architecture`` and settings of its builder in ``tl.zoo``, or ``from``: a model's name or file."""
    data: Mapping[str, DataTable] = field(default_factory=dict)
    augment: AugmentTable = field(default_factory=AugmentTable)
    loss: Table = field(default_factory=lambda: {"name": "poisson"})
    """``name`` and arguments of the loss."""
    optimizer: OptimizerTable = field(default_factory=OptimizerTable)
    schedule: ScheduleTable = field(default_factory=ScheduleTable)
    training: TrainingTable = field(default_factory=TrainingTable)
    output: OutputTable = field(default_factory=OutputTable)
    card: Table = field(default_factory=dict)
    """Fields of the card of the best model: ``license``, ``species``, ``notes`` ..."""

    def to_tables(self) -> dict[str, Any]:
        """Plain values by table, defaults included; :func:`parse` makes the same recipe of them."""
        tables = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: _plain(table) for name, table in tables.items() if table != {}}


#: Tables that hold one dataclass.
_FIXED = {
    "augment": AugmentTable,
    "optimizer": OptimizerTable,
    "schedule": ScheduleTable,
    "training": TrainingTable,
    "output": OutputTable,
}
_FREE = ("model", "loss", "card")
TABLES = (*_FIXED, *_FREE, "data")


def parse(tables: Table) -> Recipe:
    """A recipe from plain values.

    Raises
    ------
    RecipeError
        If a table or key is unknown or missing, or a value is of the wrong kind or out of range; names the key.
    """
    for name, table in tables.items():
        if name not in TABLES:
            raise RecipeError(
                f"[{name}] is no table of a recipe.{did_you_mean(name, TABLES)} It has {', '.join(TABLES)}."
            )
        if not isinstance(table, Mapping):
            raise RecipeError(f"{name} must be a table, [{name}]; got {table!r}.")
    fixed = {name: _read(kind, tables.get(name, {}), name) for name, kind in _FIXED.items()}
    free = {name: copy.deepcopy(dict(tables[name])) for name in _FREE if name in tables}
    data = {}
    for head, table in tables.get("data", {}).items():
        if not isinstance(table, Mapping):
            raise RecipeError(f"data.{head} must be the table of a head, such as [data.human]; got {table!r}.")
        data[head] = _read(DataTable, table, f"data.{head}")
    return Recipe(**fixed, **free, data=data)


T = TypeVar("T")


def _read(kind: type[T], table: Table, where: str) -> T:
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            raise RecipeError(f"{where}.{key}: no such key.{did_you_mean(key, fields)} It has {', '.join(fields)}.")
    for key, known in fields.items():
        if key not in table and known.default is dataclasses.MISSING:
            raise RecipeError(f"{where}.{key}: this key is missing.")
    values = {key: _checked(f"{where}.{key}", str(fields[key].type), value) for key, value in table.items()}
    try:
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise RecipeError(f"{where}.{error}") from error


#: Types of values by the words of an annotation, and what to call them.
_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "int": (int, "a whole number"),
    "float": ((int, float), "a number"),
    "str": (str, "a text"),
    "bool": (bool, "true or false"),
    "tuple[str, ...]": ((list, tuple), "a list of texts"),
}


def _checked(where: str, annotation: str, value: Any) -> Any:
    """A value as its field keeps it; lists become tuples."""
    kinds = [kind for kind in annotation.split(" | ") if kind != "None"]
    if annotation.endswith("| None") and (value is None or value == NONE):
        return None
    for kind in kinds:
        types, _ = _KINDS[kind]
        if isinstance(value, types) and isinstance(value, bool) == (kind == "bool"):
            if not kind.startswith("tuple"):
                return float(value) if kind == "float" else value
            if all(isinstance(item, str) for item in value):
                return tuple(value)
    raise RecipeError(f"{where}: must be {' or '.join(_KINDS[kind][1] for kind in kinds)}; got {value!r}.")


def _above_zero(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name} must be above 0; got {value!r}.")


def _plain(value: Any) -> Any:
    """Values as TOML has them; None is left out where it is the default."""
    if dataclasses.is_dataclass(value):
        fields = {f.name: (getattr(value, f.name), f.default) for f in dataclasses.fields(value)}
        return {
            name: NONE if own is None else _plain(own)
            for name, (own, default) in fields.items()
            if own is not None or default is not None
        }
    if isinstance(value, Mapping):
        return {str(key): NONE if item is None else _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
