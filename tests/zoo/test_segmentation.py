"""Networks that read tokens, and those that say base by base what lies where."""

import math

import keras
import numpy as np
import pytest

from crested_like.tl import zoo

#: Settings of the released Nucleotide Transformers, and their parameters.
V1 = {
    "tokenizer": "v1_6mer",
    "vocabulary_size": 4_105,
    "positions": "learned",
    "feedforward": "gelu_erf",
    "feedforward_bias": True,
    "masking": 0.12,
}
RELEASED = {
    "500M_human_ref": (
        {**V1, "width": 1_280, "attention_heads": 20, "feedforward_width": 5_120, "transformer_blocks": 24},
        485_698_825,
    ),
    "2B5_multi_species": (
        {
            **V1,
            "width": 2_560,
            "attention_heads": 20,
            "key_size": 128,
            "feedforward_width": 10_240,
            "transformer_blocks": 32,
        },
        2_547_800_585,
    ),
    "50M_multi_species_v2": (
        {"width": 512, "key_size": 32, "feedforward_width": 2_048, "transformer_blocks": 12},
        54_855_179,
    ),
    "100M_multi_species_v2": (
        {"width": 512, "key_size": 32, "feedforward_width": 2_048, "transformer_blocks": 22},
        96_839_179,
    ),
    "250M_multi_species_v2": (
        {"width": 768, "key_size": 48, "feedforward_width": 3_072, "transformer_blocks": 24},
        233_545_995,
    ),
    "500M_multi_species_v2": ({}, 496_245_771),
    "codon_nt": (
        {
            "tokenizer": "v2_3mer",
            "vocabulary_size": 75,
            "width": 512,
            "key_size": 32,
            "feedforward_width": 2_048,
            "transformer_blocks": 12,
        },
        50_722_379,
    ),
}
#: Builder, settings, trainable parameters. Of the published trees, without what segmentation has no use for, and with.
SEGMENT = [
    ("segment_nt", {}, 562_492_595 - 5_261_323),
    ("segment_enformer", {}, 405_387_052 - 26_100_524),
    ("segment_enformer", {"heads": {"human": 5_313, "mouse": 1_643}}, 405_387_052),
    ("segment_borzoi", {}, 337_693_403 - 14_620_731),
    ("segment_borzoi", {"heads": {"human": 7_611}}, 337_693_403),
]
TINY_TRUNK = {"width": 12, "attention_heads": 2, "key_size": 4, "feedforward_width": 10, "transformer_blocks": 2}
TINY = {
    "segment_nt": {"input_length": 96, **TINY_TRUNK},
    "segment_enformer": {"input_length": 128, "stem_filters": 6, "tower_filters": (6, 12), "attention_heads": 2},
    "segment_borzoi": {
        "input_length": 256,
        "output_bins": 24,
        "stem_filters": 6,
        "tower_filters": (6, 8, 12),
        "attention_heads": 2,
        "key_size": 4,
        "position_features": 4,
        "transformer_blocks": 1,
        "final_filters": 10,
    },
}
TINY["segment_enformer"] |= {"transformer_blocks": 1, "key_size": 4}


def trainable(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


@pytest.mark.parametrize("name", RELEASED)
def test_language_models_have_the_published_number_of_parameters(name, graph):
    settings, parameters = RELEASED[name]
    assert graph("nucleotide_transformer", full_size=True, **settings).count_params() == parameters


@pytest.mark.parametrize(("name", "settings", "parameters"), SEGMENT, ids=str)
def test_segmentation_models_have_the_published_number_of_parameters(name, settings, parameters, graph):
    assert trainable(graph(name, full_size=True, **settings)) == parameters


def test_published_shapes(graph):
    shapes = {name: graph(name, full_size=True) for name in TINY}
    assert {name: (model.input_shape, model.output_shape) for name, model in shapes.items()} == {
        "segment_nt": ((None, 5_001), (None, 30_000, 14)),
        "segment_enformer": ((None, 196_608, 4), (None, 196_608, 14)),
        "segment_borzoi": ((None, 524_288, 4), (None, 196_608, 14)),
    }


@pytest.fixture
def x(rng):
    def make(model, batch=2):
        shape = model.input_shape[1:]
        if len(shape) == 1:
            return rng.integers(6, 4_100, (batch, *shape)).astype("int32")
        return np.eye(4, dtype="float32")[rng.integers(0, 4, (batch, shape[0]))]

    return make


@pytest.mark.parametrize("name", TINY)
def test_saves_and_gives_probabilities(name, x, tmp_path):
    model = getattr(zoo, name)(**TINY[name], features=["exon", "intron", "polyA"])
    got = model.predict(x(model), verbose=0)
    assert got.shape == (2, {"segment_nt": 96, "segment_enformer": 128, "segment_borzoi": 96}[name], 3)
    assert ((got > 0) & (got < 1)).all()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_layer("segment").features == ("exon", "intron", "polyA")
    inputs = x(model)
    assert np.array_equal(model.predict(inputs, verbose=0), again.predict(inputs, verbose=0))


@pytest.mark.parametrize("name", ["segment_enformer", "segment_borzoi"])
def test_track_heads_beside_it(name, x):
    bins = {"segment_enformer": {"output_bins": 8}, "segment_borzoi": {}}[name]
    model = getattr(zoo, name)(**TINY[name], heads={"human": 3}, **bins)
    outputs = model.predict(x(model), verbose=0)
    assert outputs["human"].shape == (2, {"segment_enformer": 8, "segment_borzoi": 24}[name], 3)
    assert outputs["segment"].shape[-1] == len(zoo.FEATURES)


def test_every_base_of_a_position_has_outputs_of_its_own():
    """Column ``(base * features + feature) * 2 + class`` of the dense layer is what the specification says it is."""
    trunk = keras.Input((4, 3))
    head = keras.Model(trunk, zoo.segmentation_head(trunk, bases=2, features=["a", "b", "c"]))
    for weight in head.weights:
        weight.assign(np.zeros(weight.shape, "float32"))
    bias = np.zeros(12, "float32")
    bias[(1 * 3 + 2) * 2 + 1] = 5  # second base, third feature, present
    head.get_layer("segment_dense").bias.assign(bias)
    got = head.predict(np.zeros((1, 4, 3), "float32"), verbose=0)[0]
    want = np.full((8, 3), 0.5)
    want[1::2, 2] = 1 / (1 + np.exp(-5))
    assert np.abs(got - want).max() < 1e-6


@pytest.mark.parametrize("length", [25, 30, 100])
def test_segment_nt_takes_whole_quadruples_of_tokens(length):
    with pytest.raises(ValueError, match=f"input_length must be a multiple of 24 bp .*got {length}"):
        zoo.segment_nt(**{**TINY["segment_nt"], "input_length": length})


def test_a_head_needs_a_multiple_of_four_positions():
    with pytest.raises(ValueError, match="a multiple of 4 positions; the trunk gives 30"):
        zoo.segmentation_head(keras.Input((30, 3)), bases=2)


def test_rescaling_by_length_or_as_told():
    def attention(**settings):
        model = zoo.segment_nt(**{**TINY["segment_nt"], **settings})
        return model.get_layer("transformer_1_attention")

    usual = attention()
    assert (usual.rescaling_factor, usual.rescale_above, usual.trained_tokens) == (2.44140625, 5_001, 2_048)
    told = attention(rescaling_factor=4.0)
    assert (told.rescaling_factor, told.rescale_above) == (4.0, None)


def test_language_model_without_its_head():
    model = zoo.nucleotide_transformer(tokens=8, **TINY_TRUNK, language_head=False)
    assert model.output_shape == (None, 8, 12)
    with pytest.raises(ValueError, match="positions must be one of"):
        zoo.nucleotide_transformer(positions="none")
