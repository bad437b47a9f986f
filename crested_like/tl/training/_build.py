"""From a recipe to what is trained: the network, its data, its card."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import keras

from crested_like import _graph
from crested_like._card import ModelCard, attach, card_of
from crested_like._checks import did_you_mean
from crested_like._errors import RecipeError
from crested_like.tl import zoo
from crested_like.tl._geometry import Geometry, geometry, named_outputs
from crested_like.tl._tokens import encoder, tokenizer_of
from crested_like.tl.training._config import NONE, Recipe
from crested_like.tl.training._optimizer import loss_of
from crested_like.tl.training._rounds import Plan
from crested_like.tl.trunks._replace_head import replace_head

if TYPE_CHECKING:
    from crested_like.datasets._layout import Layout


def plan_of(recipe: Recipe) -> Plan:
    """Open the data, build or load the network, and check that they belong together.

    Raises
    ------
    RecipeError
        If something is missing or does not fit.
    """
    from crested_like.datasets import open_dataset

    if not recipe.data:
        raise RecipeError("There is no table [data.<head>], such as [data.human], that says what to train on.")
    sources = {
        head: open_dataset(table.path, **({} if table.genome is None else {"genome": table.genome}))
        for head, table in recipe.data.items()
    }
    layouts = {head: source.layout for head, source in sources.items()}
    model = model_for(recipe, layouts)
    check_fits(model, layouts)
    card = card_for(recipe, model, layouts)
    return Plan(
        recipe=recipe,
        model=attach(model, card),
        data=_train_batches(recipe, model, sources),
        valid=_valid_batches(recipe, model, sources),
        loss=loss_of(recipe.loss),
        card=card,
    )


def _train_batches(recipe: Recipe, model: keras.Model, sources: Mapping[str, Any]) -> keras.utils.PyDataset:
    augment, training = dataclasses.asdict(recipe.augment), recipe.training
    labels = {head: recipe.data[head].train for head in sources}
    return _batches(
        model, sources, labels, batch_size=training.batch_size, seed=training.seed, steps=training.steps, **augment
    )


def _valid_batches(recipe: Recipe, model: keras.Model, sources: Mapping[str, Any]) -> keras.utils.PyDataset | None:
    labels = {head: recipe.data[head].valid for head in sources}
    if not any(labels.values()):
        return None
    if missing := [head for head, label in labels.items() if not label]:
        raise RecipeError(f"data.{missing[0]}.valid: other heads are validated, so this one needs a split, too.")
    size = recipe.training.valid_batch_size or recipe.training.batch_size
    return _batches(model, sources, labels, batch_size=size, shuffle=False)


def _batches(
    model: keras.Model, sources: Mapping[str, Any], labels: Mapping[str, Any], **options: Any
) -> keras.utils.PyDataset:
    from crested_like.datasets import Batches

    encode = None if tokenizer_of(model) is None else encoder(model)
    if len(sources) == 1:
        (head,) = sources
        return Batches(sources[head], labels[head], encode=encode, **options)
    return Batches(sources, labels, heads=list(named_outputs(model)), encode=encode, **options)


def model_for(recipe: Recipe, layouts: Mapping[str, Layout]) -> keras.Model:
    """The network of ``[model]``: built, or loaded.

    Raises
    ------
    RecipeError
        If the table is incomplete, or names what is not there.
    """
    settings = dict(recipe.model)
    if ("architecture" in settings) == ("from" in settings):
        raise RecipeError("[model] needs either architecture, a builder of tl.zoo, or from, a model's name or file.")
    if "architecture" in settings:
        return _built(settings.pop("architecture"), settings, layouts, recipe.training.seed)
    source, new_head = settings.pop("from"), settings.pop("new_head", False)
    if settings:
        raise RecipeError(f"model.{next(iter(settings))}: a model that is loaded with from= has its own settings.")
    from crested_like.registry import load_model

    model = load_model(source)
    return _with_new_head(model, layouts, recipe.training.seed) if new_head else _with_heads(model, list(layouts))


def _with_new_head(model: keras.Model, layouts: Mapping[str, Layout], seed: int) -> keras.Model:
    """The trunk of a model with an untrained head for the tracks of the data in place of its own."""
    if len(layouts) != 1:
        raise RecipeError(f"model.new_head makes one head, and there are data for {', '.join(layouts)}.")
    ((name, layout),) = layouts.items()
    keras.utils.set_random_seed(seed)
    return replace_head(model, layout.tracks, name=name)


def _built(name: str, settings: dict[str, Any], layouts: Mapping[str, Layout], seed: int) -> keras.Model:
    """A fresh network; what its settings leave open is as the data have it."""
    builders = {key: getattr(zoo, key) for key in zoo.__all__ if callable(getattr(zoo, key)) and key.islower()}
    if name not in builders:
        raise RecipeError(f"model.architecture: there is no {name!r} in tl.zoo.{did_you_mean(str(name), builders)}")
    known = _fields(builders[name])
    for key in settings:
        if key not in known:
            raise RecipeError(f"model.{key}: {name} has no such setting.{did_you_mean(key, known)}")
    layout = next(iter(layouts.values()))
    from_data = {
        "heads": {head: own.num_targets for head, own in layouts.items()},
        "input_length": layout.seq_length,
        "output_bins": layout.target_length,
    }
    given = {key: _python(value) for key, value in settings.items()}
    keras.utils.set_random_seed(seed)
    try:
        return builders[name](**{key: value for key, value in from_data.items() if key in known} | given)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"[model] {error}") from error


def _python(value: Any) -> Any:
    """A value of TOML as builders take it."""
    return None if value == NONE else tuple(value) if isinstance(value, list) else value


def _fields(builder: Callable) -> list[str]:
    """Settings of a builder: fields of the configurations in its module."""
    module = vars(sys.modules[builder.__module__])
    configs = [value for key, value in module.items() if key.endswith("Config") and dataclasses.is_dataclass(value)]
    return [field.name for config in configs for field in dataclasses.fields(config)]


def _with_heads(model: keras.Model, heads: list[str]) -> keras.Model:
    """The model with those outputs alone that there are data for."""
    _graph.require_functional(model)
    outputs = named_outputs(model)
    if len(outputs) == len(heads) == 1 or list(outputs) == heads:
        return model
    if missing := [head for head in heads if head not in outputs]:
        raise RecipeError(
            f"data.{missing[0]}: model {model.name!r} has no such head, only {', '.join(outputs)}."
            f"{did_you_mean(missing[0], outputs)}"
        )
    kept = outputs[heads[0]] if len(heads) == 1 else {head: outputs[head] for head in heads}
    made, card = keras.Model(model.inputs[0], kept, name=model.name), card_of(model)
    return made if card is None else attach(made, card.replace(tracks=None, num_tracks=None, heads={}))


def check_fits(model: keras.Model, layouts: Mapping[str, Layout]) -> None:
    """Raise a RecipeError that lists everything in which a model and its data differ."""
    wrong = []
    outputs = named_outputs(model)
    for head, layout in layouts.items():
        name = head if head in outputs else next(iter(outputs))
        wrong += [f"{head}: {line}" for line in differences(geometry(model, name), layout)]
        tracks = outputs[name].shape[-1]
        if tracks != layout.num_targets:
            wrong.append(f"{head}: the model has {tracks:,} tracks, the data have {layout.num_targets:,}")
    if wrong:
        raise RecipeError(f"Model {model.name!r} and the data do not fit: {'; '.join(wrong)}.")


def differences(found: Geometry, layout: Layout) -> list[str]:
    """In what the windows of a model and those of a dataset differ."""
    facts = [("bases", found.input_length, layout.seq_length)]
    if found.bin_size is not None:
        facts += [
            ("bins", found.output_bins, layout.target_length),
            ("bp in a bin", found.bin_size, layout.pool_width),
            ("bp before the first bin", found.crop, layout.crop_bp),
        ]
    return [
        f"the model has {own:,} {what}, the data have {'none' if theirs is None else format(theirs, ',')}"
        for what, own, theirs in facts
        if own != theirs
    ]


def card_for(recipe: Recipe, model: keras.Model, layouts: Mapping[str, Layout]) -> ModelCard:
    """What is to be known of the best model, but for its figures.

    Raises
    ------
    RecipeError
        If ``[card]`` has a key that no card has.
    """
    found, layout = geometry(model), next(iter(layouts.values()))
    base = card_of(model) or ModelCard(name=recipe.output.name)
    card = base.replace(
        name=recipe.output.name,
        aliases=(),
        format="keras",
        sources=(),
        sha256=None,
        architecture=recipe.model.get("architecture", base.architecture),
        input_length=found.input_length,
        bin_size=found.bin_size,
        output_bins=found.output_bins,
        genome=layout.assembly or base.genome,
        transform=layout.transform or base.transform,
        parameters=model.count_params(),
        tracks=None,
        heads={},
        recipe=recipe.to_tables(),
        metrics={},
    )
    for head, own in layouts.items():
        card = card.with_tracks(own.tracks, head if len(layouts) > 1 else None)
    try:
        return ModelCard.from_dict({**card.to_dict(), **recipe.card})
    except ValueError as error:
        raise RecipeError(f"card.{error}") from error
