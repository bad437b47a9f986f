"""Relative attention against loops over heads, queries and keys in float64."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from crested_like.kernels import attention, relative
from crested_like.layers import MultiheadAttention, positions

BACKEND = keras.backend.backend()
SMALL = {"heads": 2, "key_size": 4, "value_size": 3, "num_position_features": 6}


def separable(x, depthwise, pointwise):
    width = len(depthwise)
    before = (width - 1) // 2
    out = np.zeros_like(x)
    for i in range(x.shape[1]):
        for k in range(width):
            if 0 <= i + k - before < x.shape[1]:
                out[:, i] += x[:, i + k - before] * depthwise[k, :, 0]
    return out @ pointwise[0]


def project(x, weights, name):
    if f"{name}/kernel" in weights:
        return x @ weights[f"{name}/kernel"]
    return separable(x, weights[f"{name}/depthwise_kernel"], weights[f"{name}/pointwise_kernel"])


def slow_attention(
    x,
    weights,
    heads,
    key_size,
    value_size,
    position_basis="central_mask",
    num_position_features=None,
    position_length=None,
    gamma_axis="positions",
    symmetric=False,
    content_position_bias=True,
    scale_queries=True,
    **_,
):
    """Pair by pair: content logit, then the feature row of distance ``j - i``, softmax, mean of values."""
    batch, length, _ = x.shape
    q, k, v = (project(x, weights, name) for name in ("q_layer", "k_layer", "v_layer"))
    u = weights["r_w_bias"]
    if num_position_features:
        if position_basis == "enformer":
            table = positions.enformer_features(length, num_position_features, gamma_axis, symmetric)
        else:
            table = positions.central_mask_features(length, num_position_features, position_length, symmetric)
        relative_keys = table.astype("float64") @ weights["r_k_layer/kernel"]
        w = weights["r_r_bias"]
    out = np.zeros((batch, length, heads * value_size))
    for b in range(batch):
        for h in range(heads):
            keys = slice(h * key_size, (h + 1) * key_size)
            values = slice(h * value_size, (h + 1) * value_size)
            for i in range(length):
                query = q[b, i, keys] * (key_size**-0.5 if scale_queries else 1)
                odds = []
                for j in range(length):
                    logit = (query + u[0, h, 0]) @ k[b, j, keys]
                    if num_position_features:
                        content = query if content_position_bias else 0
                        logit += (content + w[0, h, 0]) @ relative_keys[j - i + length - 1, keys]
                    odds.append(math.exp(logit))
                out[b, i, values] = sum(o * v[b, j, values] for j, o in enumerate(odds)) / sum(odds)
    return out @ weights["embedding_layer/kernel"] + weights["embedding_layer/bias"]


@pytest.fixture
def x(rng):
    return rng.normal(size=(3, 11, 6)).astype("float32")


@pytest.mark.parametrize("basis", ["central_mask", "enformer"])
def test_attention(basis, x, check_layer):
    layer = check_layer(
        MultiheadAttention,
        {**SMALL, "position_basis": basis, "attention_dropout": 0.5, "position_dropout": 0.25, "l2_scale": 1e-3},
        x,
        slow_attention,
        policies=True,
    )
    assert layer.count_params() == 2 * 2 * 4 + 6 * (8 + 8 + 6) + (6 * 6 + 6) + 6 * 8


@pytest.mark.parametrize(
    "settings",
    [
        {"content_position_bias": False},
        {"num_position_features": 0},
        {"symmetric": True, "num_position_features": 5},
        {"symmetric": True, "position_basis": "enformer"},
        {"position_length": 100},
        {"gamma_axis": "features", "position_basis": "enformer"},
        {"scale_queries": False},
        {"qkv_width": 3},
        {"heads": 3, "key_size": 2, "value_size": 5},
    ],
    ids=str,
)
def test_every_setting(settings, x, check_layer):
    check_layer(MultiheadAttention, {**SMALL, **settings}, x[:2, :7], slow_attention, brief="qkv_width" not in settings)


@pytest.mark.parametrize(
    ("block", "length", "content_position_bias"),
    [
        (1, 3, True),
        (3, 3, True),
        (3, 8, True),
        (3, 8, False),
        (4, 8, True),
        (4, 13, True),
        (4, 13, False),
        (64, 13, True),
    ],
)
def test_blocks_of_queries_do_not_show(block, length, content_position_bias, rng, monkeypatch, layer_tools):
    monkeypatch.setattr(attention, "QUERY_BLOCK", block)
    config = {**SMALL, "content_position_bias": content_position_bias}
    x = rng.normal(size=(2, length, 6)).astype("float32")
    layer = MultiheadAttention(**config)
    layer.build(x.shape)
    layer_tools.set_weights_that_matter(layer, rng)
    want = slow_attention(x.astype("float64"), layer_tools.named_weights(layer), **config)
    assert layer_tools.close(layer_tools.call(layer, x), want)


def test_one_position_is_a_projection(rng, check_layer):
    x = rng.normal(size=(3, 1, 6)).astype("float32")
    check_layer(MultiheadAttention, SMALL, x, slow_attention, brief=True)


def test_relative_shift_is_a_gather(rng):
    for rows, length in [(1, 5), (3, 5), (5, 5), (4, 9)]:
        logits = rng.normal(size=(2, 3, rows, length + rows - 1)).astype("float32")
        got = ops.convert_to_numpy(relative.relative_shift(ops.convert_to_tensor(logits), 3, rows, length))
        index = np.arange(length)[None] - np.arange(rows)[:, None] + rows - 1
        want = np.take_along_axis(logits, np.broadcast_to(index, (2, 3, rows, length)), axis=3)
        assert np.array_equal(got, want)


def test_every_setting_has_an_effect(x, layer_tools):
    """The reference and the layer could both ignore one."""

    def output(**settings):
        layer = MultiheadAttention(**{**SMALL, "position_basis": "enformer", **settings})
        layer.build(x.shape)
        layer.set_weights(
            [np.sin(np.arange(np.prod(w.shape)) + n).reshape(w.shape) for n, w in enumerate(layer.weights)]
        )
        return ops.convert_to_numpy(layer(x))

    plain = output()
    for settings in (
        {"gamma_axis": "features"},
        {"content_position_bias": False},
        {"scale_queries": False},
        {"symmetric": True},
        {"position_basis": "central_mask"},
    ):
        assert np.abs(output(**settings) - plain).max() > 1e-3, settings
    mask = {"position_basis": "central_mask"}
    assert np.abs(output(**mask, position_length=500) - output(**mask)).max() > 1e-3


def test_softmax_and_positions_are_float32(x, softmax_dtypes, layer_tools):
    for policy in ("mixed_float16", "bfloat16"):
        layer = MultiheadAttention(**SMALL, dtype=policy)
        layer_tools.call(layer, x)
        assert layer._r_k_layer.compute_dtype == layer._position_dropout.compute_dtype == "float32"
        assert layer._r_k_layer.kernel.dtype == layer._position_table.dtype == "float32"
    assert softmax_dtypes == ["float32"] * 2


def test_training_drops_out(x):
    for rates in (
        {"attention_dropout": 0.5, "position_dropout": 0.0},
        {"attention_dropout": 0.0, "position_dropout": 0.5},
    ):
        layer = MultiheadAttention(**SMALL, **rates, output_initializer="he_normal")
        still = ops.convert_to_numpy(layer(x, training=False))
        assert np.array_equal(ops.convert_to_numpy(layer(x)), still)
        moved = [ops.convert_to_numpy(layer(x, training=True)) for _ in range(2)]
        assert all(np.isfinite(m).all() and not np.allclose(m, still) for m in moved)
        assert BACKEND == "openvino" or not np.allclose(*moved), "another draw every time"


def test_penalties_are_on_all_kernels_of_the_layer(x):
    layer = MultiheadAttention(**SMALL, l2_scale=0.5)
    layer(x)
    kernels = [ops.convert_to_numpy(w) for w in layer.weights if w.path.endswith("kernel")]
    assert len(kernels) == len(layer.losses) == 5
    total = sum(float(ops.convert_to_numpy(loss)) for loss in layer.losses)
    assert total == pytest.approx(0.5 * sum((k**2).sum() for k in kernels), rel=1e-5)


def test_starts_with_a_silent_output_and_different_draws(x):
    layer = MultiheadAttention(**SMALL)
    assert not ops.convert_to_numpy(layer(x)).any()
    weights = {w.path.split("/", 1)[1]: ops.convert_to_numpy(w) for w in layer.weights}
    assert not np.array_equal(weights["r_w_bias"], weights["r_r_bias"])
    assert not np.array_equal(weights["q_layer/kernel"], weights["k_layer/kernel"])


def test_order_of_weights_is_the_file_format(x):
    layer = MultiheadAttention(**SMALL)
    layer.build(x.shape)
    assert [w.path.split("/", 1)[1] for w in layer.weights] == [
        "r_w_bias",
        "r_r_bias",
        "q_layer/kernel",
        "k_layer/kernel",
        "v_layer/kernel",
        "embedding_layer/kernel",
        "embedding_layer/bias",
        "r_k_layer/kernel",
    ]


@pytest.mark.parametrize(
    ("basis", "symmetric", "features"),
    [("central_mask", False, 22), ("enformer", False, 18), ("central_mask", True, 23), ("enformer", True, 21)],
)
def test_default_number_of_features(basis, symmetric, features):
    layer = MultiheadAttention(2, 4, 23, position_basis=basis, symmetric=symmetric)
    assert layer.num_position_features == features


CRESTED = {
    "heads": 2,
    "value_size": 24,
    "key_size": 8,
    "attention_dropout_rate": 0.1,
    "positional_dropout_rate": 0.2,
    "relative_position_symmetric": False,
    "relative_position_absolute": True,
    "num_position_features": None,
    "content_position_bias": True,
    "scaling": True,
    "zero_initialize": True,
    "initializer": "he_normal",
    "qkv_width": 1,
    "l2_scale": 0.0,
}


@pytest.mark.parametrize(
    ("functions", "basis", "features"),
    [("borzoi", "central_mask", 24), ("enformer", "enformer", 16), (["enformer"], "enformer", 16)],
)
def test_reads_the_config_of_crested_files(functions, basis, features):
    layer = MultiheadAttention.from_config({**CRESTED, "relative_position_functions": functions})
    assert layer.position_basis == basis
    assert layer.num_position_features == features
    assert (layer.attention_dropout, layer.position_dropout) == (0.1, 0.2)
    assert isinstance(layer.output_initializer, keras.initializers.Zeros)


def test_unknown_position_functions_are_an_error():
    with pytest.raises(
        ValueError, match="relative_position_functions must be one of 'borzoi', 'enformer'; got 'alibi'"
    ):
        MultiheadAttention.from_config({**CRESTED, "relative_position_functions": "alibi"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 0}, "heads must be an integer of at least 1; got 0"),
        ({"value_size": -3}, "value_size must be an integer of at least 1; got -3"),
        ({"position_basis": "alibi"}, "position_basis must be one of 'central_mask', 'enformer'; got 'alibi'"),
        ({"gamma_axis": "time"}, "gamma_axis must be one of 'positions', 'features'; got 'time'"),
        ({"num_position_features": -1}, "num_position_features must be an integer of at least 0; got -1"),
        ({"position_length": 0}, "position_length must be an integer of at least 1; got 0"),
        ({"attention_dropout": 1.0}, "attention_dropout must be at least 0 and below 1; got 1.0"),
    ],
    ids=str,
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        MultiheadAttention(**{**SMALL, **settings})


def test_features_that_do_not_divide_fail_at_build():
    layer = MultiheadAttention(2, 4, 3, position_basis="enformer", num_position_features=8)
    with pytest.raises(ValueError, match="must be a multiple of 6; got 8"):
        layer.build((None, 9, 6))


def test_unknown_length_is_an_error():
    with pytest.raises(ValueError, match=r"'attend' needs a known number of positions; got the shape .* fixed length"):
        MultiheadAttention(**SMALL, name="attend")(keras.Input((None, 6)))


def test_another_length_than_built_for_is_refused(x):
    layer = MultiheadAttention(**SMALL)
    layer.build((None, 9, 6))
    with pytest.raises(ValueError, match="incompatible with the layer"):
        layer(x)
