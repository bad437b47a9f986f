"""A run from a recipe alone."""

import json
import tomllib

import keras
import numpy as np
import pandas as pd
import pytest

from crested_like import load_model
from crested_like._card import ModelCard
from crested_like._errors import RecipeError
from crested_like.checkpoints._keras import read_card, save_keras
from crested_like.tl import evaluate, fit, geometry, zoo
from crested_like.tl.training._toml import to_toml


def test_from_a_file(recipe, folder, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(recipe))
    run = fit(path, out=tmp_path / "run", card={"genome": "hg38", "license": "CC0-1.0"}, progress=False)
    assert len(run.history) == 2
    model, card = load_model(run.model_path), read_card(run.model_path)
    assert (geometry(model).output_bins, geometry(model).crop, model.output.shape[-1]) == (8, 32, 3)
    assert (card.architecture, card.genome, card.input_length, card.bin_size) == ("basenji2", "hg38", 128, 8)
    assert card.track_table()["identifier"].tolist() == list(folder.identifiers)
    assert card.track_table()["strand_pair"].tolist() == [1, 0, 2]
    found = evaluate(model, folder.path, split="valid", progress=False)
    assert found["pearson_r"].mean() == pytest.approx(card.metrics["valid_pearson_r"], rel=1e-4)


def test_the_folder_tells_all_and_can_be_run_again(recipe, tmp_path):
    first = fit(recipe, out=tmp_path / "a", progress=False)
    config = tomllib.loads((tmp_path / "a" / "config.toml").read_text())
    assert config["optimizer"]["beta_1"] == 0.9
    config["output"]["folder"] = str(tmp_path / "b")
    second = fit(config, progress=False)
    pd.testing.assert_frame_equal(*(run.history.drop(columns="seconds") for run in (first, second)), check_exact=True)
    versions = json.loads((tmp_path / "a" / "environment.json").read_text())
    assert versions["backend"] == keras.backend.backend()
    assert versions["keras"] == keras.__version__


def test_keywords_replace_entries(recipe):
    run = fit(recipe, rounds=1, loss={"name": "poisson_multinomial", "total_weight": 0.2}, steps=3, progress=False)
    assert len(run.history) == 1


def test_two_species(recipe, folder, tmp_path):
    recipe["data"]["mouse"] = {"path": str(folder.path), "train": ["train", "test"], "valid": "valid"}
    run = fit(recipe, out=tmp_path, progress=False)
    assert set(run.model.output) == {"human", "mouse"}
    card = read_card(run.model_path)
    assert card.track_table("mouse")["identifier"].tolist() == list(folder.identifiers)
    assert {"valid_human_pearson_r", "valid_mouse_loss"} <= set(run.history)


def test_from_a_model_of_which_one_head_is_trained(recipe, tmp_path):
    settings = {**{k: tuple(v) if isinstance(v, list) else v for k, v in recipe["model"].items()}}
    del settings["architecture"]
    model = zoo.basenji2(input_length=128, output_bins=8, heads={"human": 3, "mouse": 2}, **settings)
    path = save_keras(model, tmp_path / "start.keras", ModelCard(name="start", license="CC-BY-4.0", citation="a paper"))
    recipe["model"] = {"from": str(path)}
    run = fit(recipe, rounds=1, optimizer={"learning_rate": 1e-12}, out=tmp_path / "run", progress=False)
    card = read_card(run.model_path)
    assert (card.name, card.license, card.citation, card.num_tracks) == ("model", "CC-BY-4.0", "a paper", 3)
    assert run.model.output.shape == (None, 8, 3)
    for name in ("stem_conv", "head_human"):
        for a, b in zip(run.model.get_layer(name).get_weights(), model.get_layer(name).get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
    recipe["data"] = {"rat": recipe["data"]["human"], "human": recipe["data"]["human"]}
    with pytest.raises(RecipeError, match=r"data.rat: model 'basenji2' has no such head, only human, mouse"):
        fit(recipe, progress=False)


def test_a_new_head_on_the_trunk_of_a_model(recipe, folder, tmp_path):
    settings = {**{k: tuple(v) if isinstance(v, list) else v for k, v in recipe["model"].items()}}
    del settings["architecture"]
    model = zoo.basenji2(input_length=128, output_bins=8, heads={"rat": 2}, **settings)
    path = save_keras(model, tmp_path / "start.keras", ModelCard(name="start", license="CC-BY-4.0"))
    recipe["model"] = {"from": str(path), "new_head": True}
    run = fit(recipe, rounds=1, optimizer={"learning_rate": 1e-12}, progress=False)
    assert run.model.output.shape == (None, 8, 3)
    np.testing.assert_allclose(run.model.get_layer("stem_conv").kernel, model.get_layer("stem_conv").kernel, atol=1e-6)
    recipe["data"]["mouse"] = {"path": str(folder.path)}
    with pytest.raises(RecipeError, match=r"model.new_head makes one head, and there are data for human, mouse"):
        fit(recipe, progress=False)


def test_pieces_of_windows(recipe, tmp_path):
    recipe["augment"] |= {"bins": 4, "flank": 16}
    recipe["training"] |= {"steps": 3, "precision": "mixed_bfloat16", "ema": 0.9, "calibration": 2, "remat": True}
    run = fit(recipe, out=tmp_path, progress=False)
    assert geometry(run.model).input_length == 128
    assert run.history["valid_pearson_r"].notna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {}}, r"There is no table \[data.<head>\]"),
        ({"model": {"architecture": "basenji2", "tower_filters": [4] * 5}}, r"\[model\] output_bins must be at most"),
        ({"card": {"licence": "x"}}, "card.licence: no such key. Did you mean 'license'"),
        ({"augment": {"bins": 3, "flank": 4}}, "flank of a piece must be a multiple of the bin size, 8 bp; got 4"),
        ({"augment": {"bins": 99}}, "Pieces of 99 bins were asked for; the windows of .* have 8"),
    ],
)
def test_recipes_that_cannot_be_run(recipe, change, message):
    with pytest.raises(ValueError, match=message):
        fit({**recipe, **change}, progress=False)


def test_a_split_to_validate_on_for_all_heads_or_none(recipe, folder):
    recipe["data"]["mouse"] = {"path": str(folder.path), "valid": "none"}
    with pytest.raises(RecipeError, match=r"data.mouse.valid: other heads are validated, so this one needs a split"):
        fit(recipe, progress=False)
    recipe["data"]["human"]["valid"] = "none"
    run = fit(recipe, rounds=1, progress=False)
    assert list(run.history) == ["round", "loss", "learning_rate", "seconds"]
