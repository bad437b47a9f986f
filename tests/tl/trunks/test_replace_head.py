import keras
import numpy as np
import pandas as pd
import pytest

import crested_like as crested
from crested_like import attach, tl
from crested_like._card import ModelCard
from crested_like._errors import GeometryError, LayerError, TrackError
from crested_like.tl import zoo

BORZOI = {
    "input_length": 256,
    "stem_filters": 6,
    "tower_filters": (6, 8, 12),
    "attention_heads": 2,
    "key_size": 4,
    "position_features": 4,
    "transformer_blocks": 1,
    "heads": {"human": 3},
}
NT = {"width": 12, "attention_heads": 2, "key_size": 4, "feedforward_width": 10, "transformer_blocks": 1}
#: Builder, bases of a trunk's position, positions that the heads see.
FAMILIES = {
    "basenji2": (
        lambda: zoo.basenji2(
            input_length=256, output_bins=28, stem_filters=6, tower_filters=(6, 7), residual_blocks=1,
            residual_filters=4, final_filters=8,
        ),
        8,
        28,
    ),
    "enformer": (
        lambda: zoo.enformer(
            input_length=256, output_bins=12, stem_filters=6, tower_filters=(6, 8, 12), attention_heads=2, key_size=4,
            transformer_blocks=1, heads={"human": 3, "mouse": 2},
        ),
        16,
        12,
    ),
    "borzoi": (lambda: zoo.borzoi(**BORZOI, output_bins=24, final_filters=10), 4, 24),
    "borzoi_prime": (lambda: zoo.borzoi_prime(**BORZOI, output_bins=48), 2, 48),
    "flashzoi": (lambda: zoo.flashzoi(**BORZOI, output_bins=24, final_filters=10, rotary_dim=4), 4, 24),
    "nucleotide_transformer": (lambda: zoo.nucleotide_transformer(tokens=41, **NT), 6, 40),
    "segment_nt": (lambda: zoo.segment_nt(input_length=240, features=["exon", "intron"], **NT), 6, 40),
    "segment_enformer": (
        lambda: zoo.segment_enformer(
            input_length=256, features=["exon"], stem_filters=6, tower_filters=(6, 8, 12), attention_heads=2,
            key_size=4, transformer_blocks=1, head_width=6,
        ),
        16,
        16,
    ),
    "segment_borzoi": (
        lambda: zoo.segment_borzoi(
            **{key: value for key, value in BORZOI.items() if key != "heads"}, output_bins=24, final_filters=10,
            features=["exon"], head_width=6,
        ),
        4,
        24,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def families(shaken):
    return {name: shaken(build()) for name, (build, _, _) in FAMILIES.items()}


def an_input(model, rng):
    if len(model.input_shape) == 2:
        return rng.integers(5, 4000, (2, model.input_shape[1])).astype("int32")
    return np.eye(4, dtype="float32")[rng.integers(0, 4, (2, model.input_shape[1]))]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["tracks", "scalar", "segmentation"])
def test_any_head_on_any_trunk(family, kind, families, rng):
    model, (_, bin_size, bins) = families[family], FAMILIES[family]
    made = tl.replace_head(model, ["a", "b"], kind=kind)
    shape = {"tracks": (bins, 2), "scalar": (2,), "segmentation": (bins * bin_size, 2)}[kind]
    assert made.output_shape == (None, *shape)
    assert made.outputs[0].dtype == "float32"
    assert np.isfinite(made.predict(an_input(model, rng), verbose=0)).all()
    shared = {id(layer) for layer in made.layers} & {id(layer) for layer in model.layers}
    assert len(shared) > 8
    assert not any(layer.name.startswith("head_human") for layer in made.layers)
    card = crested.card_of(made)
    assert card.track_table().identifier.tolist() == ["a", "b"]
    found = {"tracks": (bin_size, bins), "scalar": (None, 1), "segmentation": (1, bins * bin_size)}[kind]
    assert (card.bin_size, card.output_bins, card.num_tracks) == (*found, 2)


def test_new_head_is_a_dense_layer_on_the_trunk(families, rng):
    made = tl.replace_head(families["borzoi"], 4, name="mine", activation="linear")
    head, trunk = made.get_layer("head_mine"), keras.Model(made.input, made.get_layer("trunk").output)
    x = an_input(made, rng)
    kernel, bias = (keras.ops.convert_to_numpy(w) for w in head.weights)
    want = trunk.predict(x, verbose=0) @ kernel + bias
    np.testing.assert_allclose(made.predict(x, verbose=0), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pool", ["mean", "max", "flatten"])
def test_scalars_are_pooled_from_the_centre(pool, families, rng):
    made = tl.replace_head(families["basenji2"], 3, kind="scalar", activation="softmax", bins=6, pool=pool)
    x = an_input(made, rng)
    trunk = keras.Model(made.input, made.get_layer("trunk").output).predict(x, verbose=0)[:, 11:17]
    pooled = {"mean": trunk.mean(axis=1), "max": trunk.max(axis=1), "flatten": trunk.reshape(2, -1)}[pool]
    kernel, bias = (keras.ops.convert_to_numpy(w) for w in made.get_layer("head_regions").weights)
    logits = np.exp(pooled @ kernel + bias)
    want = logits / logits.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(made.predict(x, verbose=0), want, rtol=1e-4, atol=1e-6)


def test_bins_of_tokens_leave_the_leading_one_out(families):
    made = tl.replace_head(families["nucleotide_transformer"], 2)
    assert tl.geometry(made) == tl.Geometry(input_length=240, output_bins=40, bin_size=6, crop=0)


@pytest.mark.parametrize(
    ("name", "kind", "shape"),
    [
        ("crested_borzoi_tiny", "tracks", 3),
        ("crested_enformer_tiny", "segmentation", 3),
        ("crested_borzoi_prime_tiny_keras34", "scalar", 2),
        ("crested_basenji_tiny", "scalar", 2),
        ("crested_deeptopic_cnn_tiny", "scalar", 2),
        pytest.param("crested_deeptopic_lstm_tiny", "scalar", 2, marks=pytest.mark.slow),
        ("crested_simple_convnet_tiny", "scalar", 2),
        ("crested_dilated_cnn_tiny", "scalar", 2),
    ],
)
def test_models_of_crested(name, kind, shape, golden_dir, rng):
    model = keras.models.load_model(golden_dir / name / "model.keras", compile=False)
    made = tl.replace_head(model, ["a", "b", "c"], kind=kind)
    assert len(made.output_shape) == shape
    assert made.output_shape[-1] == 3
    assert np.isfinite(made.predict(an_input(model, rng), verbose=0)).all()


def test_trunk_of_a_vector_has_no_bins(golden_dir):
    model = keras.models.load_model(golden_dir / "crested_deeptopic_cnn_tiny" / "model.keras", compile=False)
    with pytest.raises(GeometryError, match=r"ends in one vector a sequence.*kind='scalar', or say with at="):
        tl.replace_head(model, 3)


def test_the_trunk_may_end_where_one_says(families):
    made = tl.replace_head(families["borzoi"], 3, at="transformer_1_add")
    assert made.output_shape == (None, 16, 3)
    assert not any(layer.name.startswith("upsample") for layer in made.layers)


def test_card_keeps_what_holds_for_the_trunk(families):
    known = ModelCard(name="base", architecture="borzoi", license="MIT", citation="doi", species="human", notes="old")
    model = attach(families["borzoi"], known.with_tracks(["x", "y", "z"]))
    table = pd.DataFrame({"identifier": ["p", "m"], "strand_pair": [1, 0]})
    card = crested.card_of(tl.replace_head(model, table, name="cage"))
    assert (card.name, card.architecture, card.license, card.citation) == ("base_cage", "borzoi", "MIT", "doi")
    assert card.recipe == {"trunk": "base"}
    assert (card.species, card.notes) == (None, None)
    assert card.track_table().strand_pair.tolist() == [1, 0]
    assert card.input_length == 256


def test_says_what_is_wrong(families):
    borzoi = families["borzoi"]
    with pytest.raises(ValueError, match="kind must be one of 'tracks', 'scalar', 'segmentation'; got 'peaks'"):
        tl.replace_head(borzoi, 3, kind="peaks")
    with pytest.raises(ValueError, match="activation must be one of"):
        tl.replace_head(borzoi, 3, activation="tanh")
    with pytest.raises(TrackError, match="needs the names of its features"):
        tl.replace_head(borzoi, 3, kind="segmentation")
    with pytest.raises(GeometryError, match=r"bins=25 does not fit the trunk of model 'borzoi'.*at most the 24 bins"):
        tl.replace_head(borzoi, 3, bins=25)
    with pytest.raises(GeometryError, match="needs a multiple of 4 positions; the trunk gives 22"):
        tl.replace_head(borzoi, ["exon"], kind="segmentation", bins=22)
    with pytest.raises(LayerError, match=r"'borzoi' has no layer 'tronk'\. Did you mean 'trunk'"):
        tl.replace_head(borzoi, 3, at="tronk")


def test_heads_on_different_layers_leave_the_trunk_open():
    x = keras.Input((64, 4))
    low = keras.layers.Conv1D(4, 3, padding="same", name="low")(x)
    high = keras.layers.Conv1D(4, 3, padding="same", name="high")(low)
    heads = {"a": keras.layers.Dense(2, name="a")(low), "b": keras.layers.Dense(2, name="b")(high)}
    with pytest.raises(LayerError, match=r"stand on different layers \('low', 'high'\): say with at="):
        tl.replace_head(keras.Model(x, heads), 3)
    assert tl.replace_head(keras.Model(x, heads), 3, at="high").output_shape == (None, 64, 3)


class TestLengths:
    def test_another_crop(self, families):
        made = tl.with_input_length(families["borzoi"], 512, output_bins=100)
        assert tl.geometry(made) == tl.Geometry(input_length=512, output_bins=100, bin_size=4, crop=56)
        everything = tl.with_input_length(families["borzoi"], 64, output_bins="all")
        assert tl.geometry(everything) == tl.Geometry(input_length=64, output_bins=16, bin_size=4, crop=0)

    def test_says_what_is_wrong(self, families):
        with pytest.raises(GeometryError, match="one crop; model 'segment_enformer' has none"):
            tl.with_input_length(families["segment_enformer"], 512, output_bins=4)
        with pytest.raises(GeometryError, match=r"cannot take 64 bp: output_bins must be at most the 16 bins"):
            tl.with_input_length(families["borzoi"], 64, output_bins=24)
