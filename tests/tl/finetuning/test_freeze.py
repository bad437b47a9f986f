import doctest
import importlib

import keras
import numpy as np
import pytest

from crested_like import tl
from crested_like._errors import LayerError, ModelFileError
from crested_like.tl import zoo
from crested_like.tl.finetuning._freeze import blocks, freeze
from crested_like.tl.rewriting._rebuild import rebuilt

TRAINS = keras.backend.backend() in ("tensorflow", "jax", "torch")

BASENJI = {
    "input_length": 256,
    "output_bins": 28,
    "stem_filters": 6,
    "tower_filters": (6, 7),
    "residual_blocks": 2,
    "residual_filters": 4,
    "final_filters": 8,
    "heads": {"human": 2},
}


@pytest.fixture
def basenji(shaken):
    return shaken(zoo.basenji2(**BASENJI))


def after_a_step(model, rng):
    """Which weights one step of training on random numbers moves, by path."""
    x = np.eye(4, dtype="float32")[rng.integers(0, 4, (2, model.input_shape[1]))]
    y = rng.poisson(1.0, (2, *model.output_shape[1:])).astype("float32")
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(1e-2), "mse")
    model.train_on_batch(x, y)
    return {w.path for w, old in zip(model.weights, before, strict=True) if not np.array_equal(w, old)}


def test_blocks_come_in_the_order_of_the_graph(model):
    found = blocks(model)
    assert list(found)[:6] == ["stem", "tower_1", "tower_2", "tower_3", "tower_4", "transformer_1"]
    assert set(found) == {
        "stem",
        *(f"tower_{i}" for i in (1, 2, 3, 4)),
        "transformer_1",
        *(f"{part}_{i}" for part in ("upsample", "skip") for i in (1, 2)),
        "final",
        "head_human",
    }
    assert found["tower_2"] == ("tower_2_norm", "tower_2_conv")
    assert found["stem"] == ("stem_conv",)
    every = [name for names in found.values() for name in names]
    assert sorted(every) == sorted(layer.name for layer in model.layers if layer.weights)


def test_a_segmentation_head_is_one_block():
    model = zoo.segment_borzoi(
        features=["exon"],
        input_length=256,
        output_bins=None,
        stem_filters=6,
        tower_filters=(6, 8),
        attention_heads=2,
        key_size=4,
        position_features=4,
        transformer_blocks=1,
        final_filters=8,
    )
    assert len(blocks(model)["segment"]) == 11
    assert not any(name.startswith("segment_") for name in blocks(model))


@pytest.mark.skipif(not TRAINS, reason="this backend only predicts")
def test_frozen_blocks_keep_weights_and_statistics(basenji, rng):
    learning = freeze(basenji, until="residual_1", patterns="final_norm")
    assert learning == ("residual_2_dilated_conv", *learning[1:])
    assert {name.rsplit("_", 1)[0] for name in learning} == {"residual_2_dilated", "residual_2_return", "final", "head"}
    assert "final_norm" not in learning
    moved = after_a_step(basenji, rng)
    assert {path.split("/")[0] for path in moved} == set(learning)
    assert any("moving_mean" in path for path in moved)


@pytest.mark.skipif(not TRAINS, reason="this backend only predicts")
def test_frozen_norms_work_as_in_prediction(basenji, rng):
    freeze(basenji, until="trunk")
    x = np.eye(4, dtype="float32")[rng.integers(0, 4, (2, 256))]
    for layer in basenji.layers:  # the rest of what differs in training
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    got = keras.ops.convert_to_numpy(basenji(x, training=True))
    np.testing.assert_allclose(got, basenji.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


def test_until_the_trunk_is_all_but_the_heads_in_any_model(model, golden_dir):
    assert freeze(rebuilt(model), until="trunk") == ("head_human",)
    foreign = keras.models.load_model(golden_dir / "crested_simple_convnet_tiny" / "model.keras", compile=False)
    assert freeze(foreign, until="trunk") == ("dense_out",)


def test_until_follows_skips(model):
    learning = freeze(rebuilt(model), until="upsample_1")
    assert {name.split("_")[0] for name in learning} == {"upsample", "skip", "final", "head"}
    assert not any(name.startswith(("upsample_1", "skip_1")) for name in learning)


def test_each_call_starts_anew(basenji):
    everything = tuple(layer.name for layer in basenji.layers if layer.weights)
    assert freeze(basenji, blocks=["stem", "tower_1"]) != everything
    assert freeze(basenji, blocks="stem") == everything[2:]
    basenji.trainable = False
    assert freeze(basenji) == everything


def test_the_state_travels_in_the_file(basenji, tmp_path):
    learning = freeze(basenji, until="tower_2")
    basenji.save(tmp_path / "frozen.keras")
    again = keras.models.load_model(tmp_path / "frozen.keras")
    assert tuple(layer.name for layer in again.layers if layer.trainable_weights) == learning


def test_says_what_there_is(basenji):
    with pytest.raises(LayerError, match=r"'basenji2' has no block 'towr_1'; it has stem, .*Did you mean 'tower_1'"):
        freeze(basenji, blocks=["stem", "towr_1"])
    with pytest.raises(LayerError, match="has no block 'transformer_9'"):
        freeze(basenji, until="transformer_9")
    with pytest.raises(LayerError, match=r"No layer fits 'attention_\*'; there are "):
        freeze(basenji, patterns=["*_norm", "attention_*"])
    with pytest.raises(ModelFileError, match=r"A keras\.Model is needed"):
        freeze("model")


@pytest.mark.parametrize(
    "module", ["finetuning._freeze", "finetuning._lora", "trunks._replace_head", "_segmentation_losses"]
)
def test_examples(module):
    done = doctest.testmod(importlib.import_module(f"crested_like.tl.{module}"))
    assert done.attempted >= 3
    assert done.failed == 0


def test_public():
    assert tl.freeze is freeze
    assert tl.blocks is blocks
