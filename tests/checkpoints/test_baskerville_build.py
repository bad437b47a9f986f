"""Networks built from parameter files: weights, shapes, names, and what the blocks compute."""

import keras
import numpy as np
import pytest

from crested_like._errors import CheckpointError
from crested_like.checkpoints._apply import layers_in_order
from crested_like.checkpoints._baskerville_build import build
from crested_like.checkpoints._baskerville_params import read_params
from crested_like.layers._initializers import nothing_drawn
from crested_like.tl import zoo


def final(units):
    return {"name": "final", "units": units, "activation": "softplus"}


STEM = {"name": "conv_dna", "norm_type": None, "activation": "linear", "pool_size": 2}
UNET = {"name": "unet_conv", "kernel_size": 3, "upsample_conv": True}
BORZOI_STYLE = {
    "augment_rc": True,
    "augment_shift": 3,
    "activation": "gelu",
    "norm_type": "batch",
    "bn_momentum": 0.9,
    "kernel_initializer": "lecun_normal",
}

#: A published evaluation model, row by row known to the last weight.
WORKED = {
    "model": {
        **BORZOI_STYLE,
        "seq_length": 131_072,
        "l2_scale": 2e-7,
        "trunk": [
            {**STEM, "filters": 64, "kernel_size": 7},
            {
                "name": "res_tower",
                **{"filters_init": 80, "filters_end": 128, "divisible_by": 8},
                **{"kernel_size": 5, "num_convs": 1, "pool_size": 2, "repeat": 6},
            },
            {
                "name": "transformer_tower",
                **{"key_size": 32, "heads": 2, "num_position_features": 32, "dropout": 0.2, "repeat": 2},
                **{"mha_l2_scale": 5e-8, "l2_scale": 5e-8, "kernel_initializer": "he_normal"},
            },
            UNET,
            UNET,
            {"name": "Cropping1D", "cropping": 1024},
        ],
        "head_human": final(74),
        "head_mouse": final(32),
    }
}


def borzoi_params(human, mouse, crop, unets, last):
    transformer = {
        "name": "transformer_tower",
        **{"key_size": 64, "heads": 8, "num_position_features": 32, "dropout": 0.2, "repeat": 8},
        **{"mha_l2_scale": 1e-8, "l2_scale": 1e-8, "kernel_initializer": "he_normal"},
    }
    tower = {
        "name": "res_tower",
        **{"filters_init": 608, "filters_end": 1536, "divisible_by": 32},
        **{"kernel_size": 5, "num_convs": 1, "pool_size": 2, "repeat": 6},
    }
    trunk = [{**STEM, "filters": 512, "kernel_size": 15}, tower, transformer, *[UNET] * unets]
    trunk += [{"name": "Cropping1D", "cropping": crop}, *last]
    model = {**BORZOI_STYLE, "seq_length": 524_288, "l2_scale": 2e-8, "norm_type": "batch-sync", "trunk": trunk}
    return {"model": {**model, "head_human": final(human), "head_mouse": final(mouse)}}


BASENJI2 = {
    "model": {
        "seq_length": 131_072,
        "target_length": 1024,
        "activation": "gelu",
        "norm_type": "batch",
        "bn_momentum": 0.9,
        "trunk": [
            {"name": "conv_block", "filters": 288, "kernel_size": 15, "pool_size": 2},
            {
                "name": "conv_tower",
                **{"filters_init": 339, "filters_mult": 1.1776, "kernel_size": 5, "pool_size": 2, "repeat": 6},
            },
            {
                "name": "dilated_residual",
                **{"filters": 384, "rate_mult": 1.5, "repeat": 11, "dropout": 0.3, "round": True},
            },
            {"name": "Cropping1D", "cropping": 64},
            {"name": "conv_block", "filters": 1536, "dropout": 0.05},
        ],
        "head_human": final(5313),
    }
}


@pytest.fixture(autouse=True)
def draw_only_where_it_matters(request):
    """Compiling what draws initial values is most of the time of building."""
    if "penalties" in request.node.name:
        yield
    else:
        with nothing_drawn():
            yield


def names(model):
    return sorted(layer.name for layer in model.layers)


def count_by_prefix(model, *prefixes):
    return sum(layer.count_params() for layer in model.layers if layer.name.startswith(prefixes))


def test_worked_example():
    human, mouse = (build(read_params(WORKED), [head]) for head in ("human", "mouse"))
    assert human.count_params() == 642_994
    assert sum(np.prod(w.shape) for w in human.trainable_weights) == 640_882
    assert mouse.count_params() == 637_576
    assert human.output_shape == (None, 2048, 74)
    assert count_by_prefix(human, "stem") == 1_856
    tower = [count_by_prefix(human, f"tower_{i}_") for i in range(1, 7)]
    assert tower == [25_936, 35_608, 42_688, 50_408, 62_936, 77_408]
    assert [count_by_prefix(human, f"transformer_{i}_") for i in (1, 2)] == [117_888, 117_888]
    assert [count_by_prefix(human, f"upsample_{i}", f"skip_{i}") for i in (1, 2)] == [50_944, 49_888]
    assert human.get_layer("skip_2_norm").input.shape == (None, 4096, 120)
    assert count_by_prefix(human, "head_human") == 9_546


def test_worked_example_penalties():
    model = build(read_params(WORKED), ["human"])
    penalties = {}
    for layer in model.layers:
        regularizer = getattr(layer, "kernel_regularizer", None)
        if regularizer is not None:
            penalties.setdefault(round(float(regularizer.l2), 12), []).append(layer.name)
    assert len(penalties[2e-7]) == 7 + 4 + 1
    assert sorted(penalties[5e-8]) == [f"transformer_{i}_{half}" for i in (1, 2) for half in ("contract", "expand")]
    assert model.get_layer("transformer_1_attention").l2_scale == 5e-8
    assert model.get_layer("transformer_1_expand").kernel_initializer.__class__.__name__ == "HeNormal"
    assert model.get_layer("tower_1_conv").kernel_initializer.__class__.__name__ == "LecunNormal"
    assert model.get_layer("tower_1_norm").momentum == 0.9


@pytest.mark.parity
@pytest.mark.parametrize(("head", "weights"), [("human", 115_290), ("mouse", 112_560)])
def test_small_published_example(head, weights, data_dir):
    model = build(read_params(data_dir / "baskerville_model" / "params_tiny.json"), [head])
    assert model.count_params() == weights
    assert model.output_shape[1] == 2048


def test_all_heads_share_the_trunk(params):
    model = build(read_params(params))
    assert {name: tuple(output.shape) for name, output in model.output.items()} == {
        "human": (None, 48, 5),
        "mouse": (None, 48, 3),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "content", "head", "weights"),
    [
        ("borzoi", borzoi_params(7611, 2608, 5120, 2, [{"name": "conv_nac", "filters": 1920, "dropout": 0.1}]), *case)
        for case in [("human", 185_917_723), ("mouse", 176_306_960)]
    ]
    + [
        ("borzoi_prime", borzoi_params(5431, 1774, 10_240, 3, []), *case)
        for case in [("human", 183_047_447), ("mouse", 177_426_638)]
    ]
    + [("basenji2", BASENJI2, "human", 30_123_584)],
)
def test_published_networks_are_those_of_the_zoo(architecture, content, head, weights):
    built = build(read_params(content), [head])
    assert built.count_params() == weights
    shapes = {weight.path: tuple(weight.shape) for weight in built.weights}
    output = built.output_shape
    layers = names(built)
    order = [layer.name for layer in layers_in_order(built)]
    del built
    units = content["model"][f"head_{head}"]["units"]
    model = getattr(zoo, architecture)(heads={head: units})
    assert model.output_shape == output
    assert names(model) == layers
    assert {weight.path: tuple(weight.shape) for weight in model.weights} == shapes
    assert [layer.name for layer in layers_in_order(model)] == order


def test_order_of_making_is_not_that_of_the_graph(trunk_of):
    """Without the dense layer on the lower path, that path is the shorter one; its norm is still made first."""
    stem = {"name": "conv_dna", "filters": 4, "pool_size": 1, "norm_type": None}
    tower = {"name": "res_tower", "filters_init": 4, "filters_mult": 1, "num_convs": 1}
    model = build(read_params(trunk_of(stem, tower, {"name": "unet_conv", "upsample_conv": False})), ["human"])
    order = [layer.name for layer in layers_in_order(model) if layer.weights]
    assert order == [
        *("stem_conv", "tower_1_norm", "tower_1_conv", "upsample_1_norm", "skip_1_norm", "skip_1_dense"),
        *("upsample_1", "head_human"),
    ]


def intermediate(model, layer, x):
    return np.asarray(keras.Model(model.input, model.get_layer(layer).output).predict(x, verbose=0), "float64")


@pytest.fixture
def one_hot(rng):
    return np.eye(4, dtype="float32")[rng.integers(4, size=(1, 256))]


def test_residual_tower_adds_from_the_first_convolution(trunk_of, randomise, one_hot):
    stem = {"name": "conv_dna", "filters": 4, "norm_type": None}
    tower = {"name": "res_tower", "filters_init": 4, "filters_end": 6, "num_convs": 3, "repeat": 2, "kernel_size": 5}
    model = randomise(build(read_params(trunk_of(stem, tower)), ["human"]))
    parts = ["norm", "conv", "residual_1_norm", "residual_1_conv", "residual_2_norm", "residual_2_conv", "scale"]
    made = [layer.name for layer in layers_in_order(model) if layer.weights]
    assert made == ["stem_conv", *(f"tower_{i}_{part}" for i in (1, 2) for part in parts), "head_human"]
    assert model.get_layer("tower_2_conv").kernel_size == (5,)
    assert model.get_layer("tower_2_residual_1_conv").kernel_size == (1,)
    taps = {part: intermediate(model, f"tower_2_{part}", one_hot) for part in ("conv", "residual_2_conv", "pool")}
    added = taps["conv"] + taps["residual_2_conv"] * model.get_layer("tower_2_scale").get_weights()[0]
    want = np.maximum(added[:, ::2], added[:, 1::2])
    assert np.abs(taps["pool"] - want).max() < 2e-5 * np.abs(want).max()


def test_stem_with_a_residual_branch(trunk_of, randomise, one_hot):
    stem = {"name": "conv_dna", "filters": 6, "residual": True, "dropout_residual": 0.1, "pool_size": 4}
    model = randomise(build(read_params(trunk_of(stem)), ["human"]))
    assert not model.get_layer("stem_conv").use_bias
    branch = (
        intermediate(model, "stem_residual_conv", one_hot) * model.get_layer("stem_residual_scale").get_weights()[0]
    )
    added = intermediate(model, "stem_conv", one_hot) + branch
    want = added.reshape(1, 64, 4, 6).max(axis=2)
    assert np.abs(intermediate(model, "stem_pool", one_hot) - want).max() < 2e-5 * np.abs(want).max()


@pytest.mark.parametrize(("norm", "last"), [("batch", "return_norm"), (None, "scale")])
def test_dilated_residual_ends_in_something_that_starts_at_zero(norm, last, trunk_of):
    stem = {"name": "conv_dna", "filters": 8, "norm_type": None}
    block = {"name": "dilated_residual", "filters": 4, "rate_mult": 1.5, "round": True, "repeat": 3, "norm_type": norm}
    model = build(read_params(trunk_of(stem, {**block, "conv_type": "separable"})), ["human"])
    layer = model.get_layer(f"residual_1_{last}")
    assert not np.any(layer.get_weights()[0])
    assert model.get_layer("residual_1_return_conv").use_bias == (norm is None)
    assert [model.get_layer(f"residual_{i}_dilated_conv").dilation_rate for i in (1, 2, 3)] == [(1,), (2,), (3,)]
    assert isinstance(model.get_layer("residual_1_dilated_conv"), keras.layers.SeparableConv1D)


def test_unet_takes_the_newest_of_the_wanted_length(trunk_of):
    """A tower's first unpooled tensor is newer than the pooled stem of the same length."""
    stem = {"name": "conv_dna", "filters": 3, "pool_size": 2, "norm_type": None}
    tower = {"name": "res_tower", "filters_init": 5, "filters_mult": 1, "num_convs": 1}
    model = build(read_params(trunk_of(stem, tower, UNET)), ["human"])
    assert model.get_layer("skip_1_norm").input.shape == (None, 128, 5)
    pooling = {"name": "conv_tower", "filters_init": 5, "filters_mult": 1, "pool_size": 2}
    model = build(read_params(trunk_of(stem, pooling, UNET)), ["human"])
    assert model.get_layer("skip_1_norm").input.shape == (None, 128, 3)


def test_blocks_of_a_head_are_named_after_it(params):
    params["model"]["head_mouse"] = [{"name": "conv_nac", "filters": 7}, {"name": "Cropping1D"}, final(3)]
    model = build(read_params(params))
    assert model.output["mouse"].shape == (None, 46, 3)
    assert {"head_mouse_conv_1_conv", "head_mouse_crop", "head_mouse"} <= set(names(model))


@pytest.mark.parametrize(
    ("activation", "want"),
    [("gelu", "gelu_erf"), (None, "linear"), ("linear", "linear"), ("exponential", "exponential")],
)
def test_final_hands_its_activation_to_keras(activation, want, params):
    params["model"]["head_human"]["activation"] = activation
    assert build(read_params(params), ["human"]).get_layer("head_human").activation.__name__ == want


def test_flattened_head(params):
    params["model"]["head_human"]["flatten"] = True
    model = build(read_params(params), ["human"])
    assert model.output_shape == (None, 1, 5)
    assert model.get_layer("head_human").kernel.shape == (48 * 8, 5)


def test_settings(params):
    network = read_params(params)
    model = build(network, ["human"], input_length=512, output_bins=100, position_length=64, activation="gelu_erf")
    assert model.input_shape == (None, 512, 4)
    assert model.output_shape == (None, 100, 5)
    assert model.get_layer("transformer_1_attention").position_length == 64
    assert model.get_layer("trunk").activation.__name__ == "gelu_erf"


def test_output_bins_where_nothing_crops(params):
    params["model"]["trunk"].pop()
    assert build(read_params(params), ["human"], output_bins=20).output_shape == (None, 20, 5)


CROP = {"name": "Cropping1D", "cropping": 8}
BAD = [
    ([{"name": "Cropping1D", "cropping": 128}], {}, r"trunk\[0\] 'Cropping1D' takes 128 \+ 128 bins off .* has 256"),
    ([CROP], {"input_length": 16}, "at least one must be left. With a shorter input_length"),
    ([CROP, CROP], {"output_bins": 8}, "it crops in more than one place"),
    ([CROP], {"output_bins": 300}, "output_bins must be at most the 256 bins"),
    ([CROP], {"output_bins": 41}, "leave an even number of bins"),
    ([CROP, {"name": "conv_nac", "pool_size": 2}], {"output_bins": 8}, "what follows the crop turns it into 4 bins"),
    ([CROP], {"position_length": 8}, "position_length has no effect"),
    ([{"name": "unet_conv"}], {}, r"trunk\[0\] 'unet_conv' needs an earlier output of length 512"),
    (
        [{"name": "conv_dna"}, {"name": "transformer", "key_size": 4, "heads": 3}],
        {},
        "'heads' must divide the 4 channels of its input; got 3",
    ),
    ([{"name": "conv_nac", "filters": 5, "residual": True}], {}, "a residual needs equal shapes"),
    ([{"name": "conv_tower", "filters_init": 2, "filters_mult": 1, "divisible_by": 8}], {}, "must all be at least 1"),
]


@pytest.mark.parametrize(("trunk", "settings", "message"), BAD)
def test_blocks_that_do_not_fit(trunk, settings, message, trunk_of):
    with pytest.raises(CheckpointError, match=message):
        build(read_params(trunk_of(*trunk)), ["human"], **settings)


def test_head_must_end_in_a_dense_layer(params):
    params["model"]["head_human"] = {"name": "conv_nac", "filters": 3}
    with pytest.raises(CheckpointError, match="Head 'human' must end in a block 'final'; it ends in head_human"):
        build(read_params(params), ["human"])
