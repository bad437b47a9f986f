"""Graphs of the five architectures: names, heads, lengths, settings, errors. No weight is ever drawn."""

import dataclasses
import inspect

import keras
import pytest

from crested_like.tl import zoo
from crested_like.tl.zoo import _blocks as blocks

ARCHITECTURES = ["basenji2", "enformer", "borzoi", "borzoi_prime", "flashzoi"]

NAMES = {
    "basenji2": """
        sequence stem_activation stem_conv stem_norm stem_pool
        tower_1_activation tower_1_conv tower_1_norm tower_1_pool
        tower_2_activation tower_2_conv tower_2_norm tower_2_pool
        tower_3_activation tower_3_conv tower_3_norm tower_3_pool
        residual_1_dilated_activation residual_1_dilated_conv residual_1_dilated_norm
        residual_1_return_activation residual_1_return_conv residual_1_return_norm residual_1_dropout residual_1_add
        residual_2_dilated_activation residual_2_dilated_conv residual_2_dilated_norm
        residual_2_return_activation residual_2_return_conv residual_2_return_norm residual_2_dropout residual_2_add
        crop final_activation final_conv final_norm final_dropout trunk head_human
    """,
    "enformer": """
        sequence stem_conv stem_residual_norm stem_residual_activation stem_residual_conv stem_residual_add stem_pool
        tower_1_norm tower_1_activation tower_1_conv
        tower_1_residual_norm tower_1_residual_activation tower_1_residual_conv tower_1_residual_add tower_1_pool
        tower_2_norm tower_2_activation tower_2_conv
        tower_2_residual_norm tower_2_residual_activation tower_2_residual_conv tower_2_residual_add tower_2_pool
        tower_3_norm tower_3_activation tower_3_conv
        tower_3_residual_norm tower_3_residual_activation tower_3_residual_conv tower_3_residual_add tower_3_pool
        transformer_1_attention_norm transformer_1_attention transformer_1_attention_dropout transformer_1_attention_add
        transformer_1_feedforward_norm transformer_1_expand transformer_1_expand_dropout transformer_1_relu
        transformer_1_contract transformer_1_contract_dropout transformer_1_add
        crop final_norm final_activation final_conv final_dropout trunk head_human
    """,
    "borzoi": """
        sequence stem_conv stem_pool
        tower_1_norm tower_1_activation tower_1_conv tower_1_pool
        tower_2_norm tower_2_activation tower_2_conv tower_2_pool
        tower_3_norm tower_3_activation tower_3_conv tower_3_pool
        tower_4_norm tower_4_activation tower_4_conv tower_4_pool
        transformer_1_attention_norm transformer_1_attention transformer_1_attention_dropout transformer_1_attention_add
        transformer_1_feedforward_norm transformer_1_expand transformer_1_expand_dropout transformer_1_relu
        transformer_1_contract transformer_1_contract_dropout transformer_1_add
        upsample_1_norm upsample_1_activation upsample_1_dense skip_1_norm skip_1_activation skip_1_dense upsample_1
        upsample_2_norm upsample_2_activation upsample_2_dense skip_2_norm skip_2_activation skip_2_dense upsample_2
        crop final_norm final_activation final_conv final_dropout trunk head_human
    """,
}
NAMES["borzoi_prime"] = NAMES["borzoi"].replace(
    "crop final_norm final_activation final_conv final_dropout",
    "upsample_3_norm upsample_3_activation upsample_3_dense skip_3_norm skip_3_activation skip_3_dense upsample_3 crop",
)
NAMES["flashzoi"] = NAMES["borzoi"]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_layer_names_are_a_promise(name, graph):
    model = graph(name)
    assert sorted(layer.name for layer in model.layers) == sorted(NAMES[name].split())
    assert model.name == name
    assert model.input.name == "sequence"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_heads(name, graph, tiny):
    bins = tiny[name]["output_bins"]
    one = graph(name)
    assert one.output.shape == (None, bins, 3)
    several = graph(name, heads={"human": 3, "mouse": 2})
    assert {head: output.shape for head, output in several.output.items()} == {
        "human": (None, bins, 3),
        "mouse": (None, bins, 2),
    }
    assert [layer.name for layer in several.layers if layer.name.startswith("head")] == ["head_human", "head_mouse"]
    trunk = one.count_params() - one.get_layer("head_human").count_params()
    heads = sum(several.get_layer(f"head_{head}").count_params() for head in ("human", "mouse"))
    assert several.count_params() == trunk + heads


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_other_lengths(name, graph, tiny, bins):
    assert graph(name, output_bins=None).output_shape == (None, bins[name], 3)
    length = 3 * tiny[name]["input_length"]
    assert graph(name, input_length=length, output_bins=None).output_shape == (None, 3 * bins[name], 3)
    assert graph(name, output_bins=bins[name] - 2).output_shape == (None, bins[name] - 2, 3)
    assert "crop" not in [layer.name for layer in graph(name, output_bins=bins[name]).layers]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_input_length_must_be_a_multiple_of_the_pooling(name, graph, tiny):
    pooled = 2 ** (len(tiny[name]["tower_filters"]) + 1)
    length = tiny[name]["input_length"] + 3
    nearest = f"{length - 3:,} or {length - 3 + pooled:,}"
    with pytest.raises(ValueError, match=rf"multiple of {pooled}, .*; got {length}\. Nearest: {nearest}\."):
        graph(name, input_length=length)


def test_shorter_than_the_pooling_has_one_nearest_length():
    with pytest.raises(ValueError, match=r"multiple of 128, the network's total pooling; got 100\. Nearest: 128\."):
        zoo.borzoi(input_length=100)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("off", [1, 2, -1])
def test_bins_that_cannot_be_kept(name, off, graph, bins):
    wanted = bins[name] + off
    with pytest.raises(ValueError, match=rf"at most the {bins[name]} bins .* even number .*; got {wanted}\. .*None"):
        graph(name, output_bins=wanted)


def test_bins_are_a_positive_integer(graph):
    with pytest.raises(ValueError, match="output_bins must be an integer of at least 1; got 0"):
        graph("borzoi", output_bins=0)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_heads(name, graph):
    with pytest.raises(ValueError, match=r"heads must name at least one head, for example .*; got none"):
        graph(name, heads={})


@pytest.mark.parametrize(
    ("name", "settings", "error", "message"),
    [
        ("borzoi", {"attention": "flash"}, ValueError, "attention must be one of 'relative', 'rotary'; got 'flash'"),
        ("borzoi", {"upsampling_stages": 5}, ValueError, "upsampling_stages must be 0 to 4, .*; got 5"),
        ("borzoi", {"heads": {"human": 0}}, ValueError, r"heads\['human'\] must be an integer of at least 1; got 0"),
        ("borzoi", {"input_length": 512.0}, TypeError, "input_length must be an integer of at least 1; got 512.0"),
        ("borzoi", {"bins": 4}, TypeError, "unexpected keyword argument 'bins'"),
        ("enformer", {"activation": "gelu"}, ValueError, "activation must be one of gelu_tanh, .*; got 'gelu'"),
        ("enformer", {"gamma_axis": "time"}, ValueError, "gamma_axis must be one of 'positions', 'features'"),
        ("flashzoi", {"rotary_dim": 8}, ValueError, "rotary_dim must be at most the 6 channels of a head; got 8"),
        (
            "flashzoi",
            {"attention_heads": 5, "key_value_heads": 1},
            ValueError,
            "heads must divide the 12 channels; got 5",
        ),
    ],
    ids=str,
)
def test_bad_settings(name, settings, error, message, graph):
    with pytest.raises(error, match=message):
        graph(name, **settings)


def test_a_setting_reaches_the_layers(graph):
    model = graph("borzoi", position_length=64, attention_dropout=0.3, position_dropout=0.2, transformer_l2_scale=1e-3)
    attention = model.get_layer("transformer_1_attention")
    assert (attention.position_length, attention.attention_dropout, attention.position_dropout) == (64, 0.3, 0.2)
    assert attention.l2_scale == 1e-3
    assert graph("enformer", gamma_axis="features").get_layer("transformer_1_attention").gamma_axis == "features"
    assert graph("flashzoi", rotary_base=10.0).get_layer("transformer_1_attention").rotary_base == 10.0


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_published_normalisation(name, graph):
    epsilon = 1e-5 if name == "enformer" else 1e-3
    norms = [layer for layer in graph(name).layers if layer.name.endswith("norm")]
    assert {norm.epsilon for norm in norms} == {epsilon}
    assert {norm.momentum for norm in norms if isinstance(norm, keras.layers.BatchNormalization)} == {0.9}


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("basenji2", "gelu_sigmoid"),
        ("enformer", "gelu_sigmoid"),
        ("borzoi", "gelu_tanh"),
        ("borzoi_prime", "gelu_tanh"),
        ("flashzoi", "gelu_tanh"),
    ],
)
def test_published_activation(name, activation, graph):
    functions = {
        layer.activation.__name__
        for layer in graph(name).layers
        if isinstance(layer, keras.layers.Activation) and not layer.name.endswith("relu")
    }
    assert functions == {activation}


def test_skips_go_from_the_deepest_stage_upwards(graph):
    model = graph("borzoi_prime")
    for n, stage in [(1, 4), (2, 3), (3, 2)]:
        assert model.get_layer(f"skip_{n}_norm").input is model.get_layer(f"tower_{stage}_conv").output


@pytest.mark.parametrize(
    ("settings", "widths"),
    [
        ({"first": 608, "last": 1536, "count": 6, "divisible_by": 32}, (608, 736, 896, 1056, 1280, 1536)),
        ({"first": 768, "last": 1536, "count": 6, "divisible_by": 128}, (768, 896, 1024, 1152, 1280, 1536)),
        ({"first": 339, "factor": 1.1776, "count": 6}, (339, 399, 470, 554, 652, 768)),
        ({"first": 20, "last": 40, "count": 1}, (20,)),
    ],
)
def test_published_tower_widths(settings, widths):
    assert blocks.tower_widths(**settings) == widths


def test_tower_widths_need_an_end():
    with pytest.raises(ValueError, match="needs either last or factor; got neither"):
        blocks.tower_widths(8, count=3)


def test_published_dilations(graph):
    assert blocks.dilations(11, 1.5) == (1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 72)
    model = graph("basenji2", residual_blocks=4)
    assert [model.get_layer(f"residual_{i}_dilated_conv").dilation_rate for i in (1, 2, 3, 4)] == [
        (1,),
        (2,),
        (3,),
        (4,),
    ]


@pytest.mark.parametrize("config", [zoo.Basenji2Config, zoo.EnformerConfig, zoo.BorzoiConfig])
def test_every_setting_has_an_effect(config):
    source = inspect.getsource(inspect.getmodule(config))
    for field in dataclasses.fields(config):
        assert f"config.{field.name}" in source, field.name
