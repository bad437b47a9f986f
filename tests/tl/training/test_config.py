"""Recipes: what they may hold, what they refuse, and that those of the repository are sound."""

import dataclasses
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from crested_like._errors import RecipeError
from crested_like.datasets._layout import Layout
from crested_like.tl.training._build import card_for, check_fits, model_for
from crested_like.tl.training._config import (
    AugmentTable,
    DataTable,
    OptimizerTable,
    OutputTable,
    ScheduleTable,
    TrainingTable,
    parse,
)
from crested_like.tl.training._optimizer import loss_of, optimizer_of
from crested_like.tl.training._toml import flat, read_tables, to_toml, with_changes

RECIPES = sorted((Path(__file__).parents[3] / "recipes").glob("*.toml"))


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"trainng": {}}, r"\[trainng\] is no table of a recipe. Did you mean 'training'\?"),
        ({"training": 3}, r"training must be a table, \[training\]; got 3"),
        ({"training": {"round": 3}}, r"training.round: no such key. Did you mean 'rounds' or 'min_rounds'\?"),
        ({"training": {"rounds": "3"}}, "training.rounds: must be a whole number; got '3'"),
        ({"training": {"rounds": True}}, "training.rounds: must be a whole number; got True"),
        ({"training": {"rounds": 0}}, "training.rounds must be an integer of at least 1; got 0"),
        ({"training": {"devices": 2.5}}, "training.devices: must be a whole number or a text; got 2.5"),
        ({"training": {"devices": "some"}}, "training.devices must be one of 'all'; got 'some'"),
        ({"training": {"precision": "half"}}, "training.precision must be one of 'float32', 'mixed_bfloat16'"),
        ({"training": {"ema": 1.0}}, "training.ema must be at least 0 and below 1; got 1.0"),
        ({"optimizer": {"name": "lion"}}, "optimizer.name must be one of 'adam', 'adamw', 'sgd'; got 'lion'"),
        ({"optimizer": {"learning_rate": 0}}, "optimizer.learning_rate must be above 0; got 0"),
        ({"optimizer": {"name": "adamw"}}, "optimizer.weight_decay is what sets 'adamw' apart"),
        ({"optimizer": {"clip_norm": 1, "clip_global_norm": 1}}, "clip_norm and clip_global_norm exclude each other"),
        ({"optimizer": {"no_weight_decay": [1]}}, r"optimizer.no_weight_decay: must be a list of texts; got \[1\]"),
        ({"schedule": {"decay": "cosin"}}, "schedule.decay must be one of 'constant', 'cosine'; got 'cosin'"),
        ({"data": {"path": "hg38"}}, r"data.path must be the table of a head, such as \[data.human\]; got 'hg38'"),
        ({"data": {"human": {}}}, "data.human.path: this key is missing"),
        ({"output": {"name": "a/b"}}, "output.name is that of a file and of a model, without a folder; got 'a/b'"),
    ],
)
def test_what_a_recipe_refuses(tables, message):
    with pytest.raises(RecipeError, match=message):
        parse(tables)


def test_a_recipe_is_written_as_it_is_read():
    tables = {
        "model": {"architecture": "borzoi", "tower_filters": [4, 8], "final_filters": "none"},
        "data": {"human": {"path": 'a "quoted" path', "valid": "none"}, "a head": {"path": "b", "train": ["x", "y"]}},
        "optimizer": {"learning_rate": 1e-7, "weight_decay": 0.5},
        "training": {"ema": 0.5, "devices": "all"},
        "card": {"license": "Ärger"},
    }
    recipe = parse(tables)
    assert recipe.data["human"].valid is None
    assert recipe.data["a head"].train == ("x", "y")
    again = tomllib.loads(to_toml(recipe.to_tables()))
    assert parse(again) == recipe
    assert {key: flat(again)[key] for key in flat(tables)} == flat(tables)


def test_entries_are_replaced_by_dotted_key():
    tables = {"training": {"rounds": 9, "seed": 1}}
    changed = with_changes(tables, {"training.rounds": 3, "data.mouse.path": "mm10"})
    assert changed == {"training": {"rounds": 3, "seed": 1}, "data": {"mouse": {"path": "mm10"}}}
    assert tables == {"training": {"rounds": 9, "seed": 1}}
    with pytest.raises(RecipeError, match=r"training.rounds.all cannot be set: rounds is a value and no table"):
        with_changes(tables, {"training.rounds.all": 3})


def test_files_that_are_no_recipe(tmp_path):
    with pytest.raises(RecipeError, match=r"Cannot read the recipe .*missing.toml: No such file"):
        read_tables(tmp_path / "missing.toml")
    (tmp_path / "broken.toml").write_text("[training\n")
    with pytest.raises(RecipeError, match=r"broken.toml is no TOML"):
        read_tables(tmp_path / "broken.toml")


def layout(tracks=2, pool_width=32, **changes):
    sizes = {"seq_length": 2048, "pool_width": pool_width, "target_length": 32, "crop_bp": 512} | changes
    table = pd.DataFrame({"identifier": [f"t{i}" for i in range(tracks)], "description": [""] * tracks})
    return Layout(tracks=table, **sizes)


SMALL = {
    "borzoi": {"stem_filters": 4, "tower_filters": [4, 4, 4, 4, 8, 8], "transformer_blocks": 1, "attention_heads": 2},
    "basenji2": {"stem_filters": 4, "tower_filters": [4, 4, 4, 4], "residual_blocks": 1, "residual_filters": 2},
    "enformer": {"stem_filters": 12, "tower_filters": [12, 12, 12, 24], "transformer_blocks": 1, "attention_heads": 2},
}
SMALL["borzoi_prime"] = SMALL["borzoi"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_of_the_repository_build(path):
    tables = read_tables(path)
    name = tables["model"].get("architecture")
    changes = {f"model.{key}": value for key, value in SMALL.get(name, {}).items()}
    recipe = parse(with_changes(tables, changes))
    width = 16 if name == "borzoi_prime" else 32
    shape = {"target_length": 1024 // width}
    if name is None:  # from a small model of the package, which has its own windows
        shape = {"seq_length": 131_072, "target_length": 2_048, "crop_bp": 32_768}
    layouts = {head: layout(tracks, width, **shape) for tracks, head in enumerate(recipe.data, start=2)}
    model = model_for(recipe, layouts)
    check_fits(model, layouts)
    assert loss_of(recipe.loss).name == recipe.loss["name"]
    assert optimizer_of(recipe, steps=1000) is not None
    card = card_for(recipe, model, layouts)
    assert card.architecture == (name or tables["card"]["architecture"])
    assert card.recipe["loss"] == tables["loss"]


def test_recipes_say_what_was_published():
    recipes = {path.stem: flat(parse(read_tables(path)).to_tables()) for path in RECIPES}
    wanted = {
        "borzoi": {"optimizer.learning_rate": 6e-5, "optimizer.clip_global_norm": 0.15, "schedule.warmup": 20_000,
                   "loss.name": "poisson_multinomial", "loss.total_weight": 0.2, "training.batch_size": 2,
                   "training.min_rounds": 130, "training.rounds": 180, "training.patience": 30, "augment.rc": True,
                   "augment.max_shift": 3, "augment.per_example": False},
        "borzoi_prime": {"optimizer.learning_rate": 6e-5, "training.batch_size": 1, "training.rounds": 120,
                         "training.min_rounds": 80, "training.patience": 30, "schedule.warmup": 20_000},
        "basenji2": {"optimizer.name": "sgd", "optimizer.learning_rate": 0.15, "optimizer.momentum": 0.99,
                     "optimizer.clip_norm": 2.0, "loss.name": "poisson", "training.batch_size": 4,
                     "training.patience": 16, "augment.rc": False},
        "enformer": {"optimizer.learning_rate": 5e-4, "schedule.warmup": 5000, "loss.name": "poisson"},
    }  # fmt: skip
    for name, entries in wanted.items():
        assert {key: recipes[name][key] for key in entries} == entries


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({}, "needs either architecture, a builder of tl.zoo, or from, a model's name or file"),
        ({"architecture": "borzoy"}, "model.architecture: there is no 'borzoy' in tl.zoo. Did you mean 'borzoi'"),
        (
            {"architecture": "borzoi", "dropot": 1},
            r"model.dropot: borzoi has no such setting. Did you mean 'dropout' or",
        ),
        ({"architecture": "borzoi", "input_length": 100}, r"\[model\] input_length must be a multiple of 128"),
        ({"from": "x.keras", "dropout": 1}, "model.dropout: a model that is loaded with from= has its own settings"),
    ],
)
def test_what_the_table_of_the_model_refuses(model, message):
    with pytest.raises(RecipeError, match=message):
        model_for(parse({"model": model}), {"human": layout()})


def test_a_model_that_does_not_fit_its_data_is_refused():
    settings = {**SMALL["borzoi"], "architecture": "borzoi", "output_bins": 16, "heads": {"human": 3}}
    model = model_for(parse({"model": settings}), {"human": layout()})
    message = (
        "do not fit: human: the model has 16 bins, the data have 32; human: the model has 768 bp before the first bin, "
        "the data have 512; human: the model has 3 tracks, the data have 2"
    )
    with pytest.raises(RecipeError, match=message):
        check_fits(model, {"human": layout()})


def test_the_documentation_names_every_key():
    page = (Path(__file__).parents[3] / "docs" / "training.md").read_text()
    tables = (DataTable, AugmentTable, OptimizerTable, ScheduleTable, TrainingTable, OutputTable)
    keys = {field.name for table in tables for field in dataclasses.fields(table)}
    assert not {key for key in keys if f"`{key}`" not in page and f"`{key} = " not in page}
