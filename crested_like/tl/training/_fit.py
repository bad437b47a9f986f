"""Training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from crested_like._card import ModelCard, card_of
from crested_like._checks import did_you_mean
from crested_like._errors import RecipeError
from crested_like.tl._geometry import geometry, named_outputs
from crested_like.tl.training._build import plan_of
from crested_like.tl.training._config import parse
from crested_like.tl.training._figures import FIGURES
from crested_like.tl.training._folder import InMemory, RunFolder
from crested_like.tl.training._optimizer import loss_of
from crested_like.tl.training._rounds import Plan, train
from crested_like.tl.training._toml import read_tables

#: Backends that have gradients.
_TRAINING = ("tensorflow", "jax", "torch")


@dataclass(frozen=True)
class Run:
    """What came of a training."""

    model: keras.Model
    """The model, with the weights of the best round."""
    history: pd.DataFrame
    """Figures, one row a round: ``round``, ``loss``, ``learning_rate``, ``valid_...``, ``seconds``."""
    best_round: int
    """Counted from 1."""
    folder: Path | None
    """Where everything is."""
    name: str
    """Of the model's file."""

    @property
    def model_path(self) -> Path | None:
        """File of the model, in the folder."""
        return None if self.folder is None else self.folder / f"{self.name}.keras"

    @property
    def figures(self) -> dict[str, float]:
        """Those of the best round."""
        return self.history.iloc[self.best_round - 1].to_dict()


def fit(
    config: str | os.PathLike[str] | Mapping[str, Any] | keras.Model,
    data: keras.utils.PyDataset | None = None,
    *,
    valid: keras.utils.PyDataset | None = None,
    out: str | os.PathLike[str] | None = None,
    name: str | None = None,
    loss: str | Mapping[str, Any] | keras.losses.Loss | None = None,
    optimizer: Mapping[str, Any] | None = None,
    schedule: Mapping[str, Any] | None = None,
    card: Mapping[str, Any] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool | None = None,
    **training: Any,
) -> Run:
    """Train a model: as a recipe says, or a model of your own on batches of your own.

    After each round the model is validated and, where there is a folder, the run is written down. The same call goes
    on with a run that was interrupted, and gives what it would have given without that: weights, optimizer, states of
    dropout, order of the data, learning rate and figures are restored.

    Parameters
    ----------
    config
        A recipe: a TOML file or its tables as a dict (see the page *Training*). Or a model, which is trained in place.
    data
        With a model: batches, such as :class:`crested_like.datasets.Batches`, of whole windows or of pieces of them.
        Those of a round must depend on the attribute ``round`` alone, or a resumed run sees others.
    valid
        With a model: batches to validate on. Without any the weights of the last round are kept.
    out
        Folder of the run. Without one nothing is written, and it cannot be resumed.
    name
        Of the best model's file and card.
    loss
        Name of a loss, a dict of its ``name`` and arguments, or, with a model, a Keras loss.
    optimizer, schedule, card
        Entries of these tables of a recipe.
    callbacks
        Keras callbacks, for example ``keras.callbacks.TensorBoard``. They do not take part in resuming.
    progress
        Show a progress bar; by default only in a terminal.
    **training
        Entries of the table ``[training]``: ``rounds``, ``patience``, ``seed``, ``precision`` ... With a recipe, all
        of these replace entries of the file.

    Returns
    -------
    Run
        Its ``model`` has the weights of the best round.

    Raises
    ------
    RecipeError
        If the recipe has unknown or wrong entries, or model and data do not fit.
    TrainingError
        If the folder holds another run, or the loss is no number.

    Examples
    --------
    >>> run = fit("recipes/borzoi.toml", rounds=3, out="runs/try")  # doctest: +SKIP
    >>> run = fit(model, batches, valid=others, loss="poisson", optimizer={"learning_rate": 1e-3})  # doctest: +SKIP
    """
    if keras.backend.backend() not in _TRAINING:
        raise RecipeError(
            f"The Keras backend {keras.backend.backend()} has no gradients: training needs {', '.join(_TRAINING)}. "
            f"Choose one with KERAS_BACKEND."
        )
    changes = {"optimizer": optimizer, "schedule": schedule, "card": card, "training": training}
    changes["output"] = {
        key: value for key, value in (("folder", None if out is None else os.fspath(out)), ("name", name)) if value
    }
    if isinstance(config, keras.Model):
        plan = _plan_for(config, data, valid, loss, changes)
    else:
        if data is not None or valid is not None:
            raise RecipeError("A recipe names its own data, under [data.<head>]; data= and valid= go with a model.")
        if isinstance(loss, keras.losses.Loss):
            raise RecipeError("With a recipe, loss= is a name or a dict of the loss's name and arguments.")
        tables = dict(config) if isinstance(config, Mapping) else read_tables(config)
        plan = plan_of(parse(_merged(tables, {**changes, "loss": _loss_table(loss)})))
    return _run(plan, callbacks, progress)


def _run(plan: Plan, callbacks: Sequence[keras.callbacks.Callback], progress: bool | None) -> Run:
    _check_monitor(plan)
    folder = None if plan.recipe.output.folder is None else Path(plan.recipe.output.folder).expanduser()
    keeper = InMemory() if folder is None else RunFolder(folder, plan.recipe.to_tables())
    with keeper.locked() if isinstance(keeper, RunFolder) else nullcontext():
        done = train(plan, keeper, callbacks=callbacks, progress=progress)
    return Run(plan.model, pd.DataFrame(done.history), done.best or 0, folder, plan.recipe.output.name)


def _plan_for(
    model: keras.Model,
    data: keras.utils.PyDataset | None,
    valid: keras.utils.PyDataset | None,
    loss: Any,
    changes: Mapping[str, Any],
) -> Plan:
    """A model and its data as they were given."""
    for key, batches in (("data", data), ("valid", valid)):
        if not isinstance(batches, keras.utils.PyDataset) and not (key == "valid" and batches is None):
            raise TypeError(
                f"{key} must be a keras.utils.PyDataset, such as crested_like.datasets.Batches; "
                f"got {type(batches).__name__}."
            )
    if isinstance(loss, keras.losses.Loss):
        table, made = {"name": type(loss).__name__, **_plain(loss.get_config())}, loss
    else:
        table = _loss_table(loss) or {"name": "poisson"}
        made = loss_of(table)
    recipe = parse(_merged(_seen_in(model, data), {**changes, "loss": table}))
    known = card_of(model) or ModelCard(name=recipe.output.name)
    tables = {key: value for key, value in recipe.to_tables().items() if key != "card"}
    try:
        card = ModelCard.from_dict(
            {
                **known.to_dict(),
                "sources": (),
                "sha256": None,
                "metrics": {},
                "recipe": tables,
                **recipe.card,
                "name": recipe.output.name,
            }
        )
    except ValueError as error:
        raise RecipeError(f"card.{error}") from error
    return Plan(recipe=recipe, model=model, data=data, valid=valid, loss=made, card=card)


def _seen_in(model: keras.Model, data: keras.utils.PyDataset) -> dict[str, dict[str, int]]:
    """What a batch shows: its size and, where batches are pieces of the model's windows, their bins and flank."""
    x, targets, *_ = data[0]
    size, length = np.shape(x)[:2]
    seen = {"training": {"batch_size": size}}
    whole = model.inputs[0].shape[1]
    if whole in (None, length):
        return seen
    bins = np.shape(next(iter(targets.values())) if isinstance(targets, Mapping) else targets)[1]
    width = geometry(model).bin_size
    if width is None or bins * width > length:
        raise RecipeError(f"Model {model.name!r} takes {whole:,} bases; the batches have {length:,}.")
    return {**seen, "augment": {"bins": bins, "flank": (length - bins * width) // 2}}


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "name" and isinstance(value, int | float | str)}


def _loss_table(loss: Any) -> dict[str, Any] | None:
    return {"name": loss} if isinstance(loss, str) else None if loss is None else dict(loss)


def _merged(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Tables with entries replaced; a loss of another name replaces the whole table."""
    merged = dict(tables)
    for key, table in changes.items():
        if table:
            before = merged.get(key, {})
            renamed = key == "loss" and table.get("name", before.get("name")) != before.get("name")
            merged[key] = dict(table) if renamed else {**before, **table}
    return merged


def _check_monitor(plan: Plan) -> None:
    """Refuse a figure that no round will have, before the first."""
    names = ["loss"]
    if plan.valid is not None:
        heads = list(named_outputs(plan.model))
        prefixes = ["valid_", *(f"valid_{head}_" for head in heads if len(heads) > 1)]
        names += [f"{prefix}{figure}" for prefix in prefixes for figure in FIGURES]
    name = plan.recipe.training.monitor
    if plan.valid is not None and name not in names:
        raise RecipeError(f"training.monitor: no round has {name!r}.{did_you_mean(name, names)} It is one of {names}.")
