import numpy as np
import pytest
from keras import ops

from crested_like.layers import AttentionPool1D


def slow_attention_pool(x, weights, pool_size=2, per_channel=True, w_init_scale=2.0):
    batch, length, channels = x.shape
    out = np.zeros((batch, length // pool_size, channels))
    for b in range(batch):
        for window in range(length // pool_size):
            rows = x[b, window * pool_size : (window + 1) * pool_size]
            logits = rows @ weights["att_pool_weight"]  # (pool_size, C or 1)
            for c in range(channels):
                odds = np.exp(logits[:, c if per_channel else 0])
                out[b, window, c] = (odds / odds.sum()) @ rows[:, c]
    return out


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("pool_size", [1, 2, 4])
def test_attention_pool(pool_size, per_channel, rng, check_layer):
    x = rng.normal(size=(3, 8, 5)).astype("float32")
    check_layer(
        AttentionPool1D,
        {"pool_size": pool_size, "per_channel": per_channel},
        x,
        slow_attention_pool,
        policies=per_channel and pool_size > 1,
        brief=not per_channel and pool_size != 4,
        untrained=("att_pool_weight",) if pool_size == 1 else (),  # one position always has the weight 1
    )


@pytest.mark.parametrize(("scale", "reduce"), [(0.0, np.mean), (200.0, np.max)])
def test_starts_between_mean_and_max(scale, reduce, rng):
    x = rng.normal(size=(2, 12, 4)).astype("float32")
    got = ops.convert_to_numpy(AttentionPool1D(4, w_init_scale=scale)(x))
    assert np.allclose(got, reduce(x.reshape(2, 3, 4, 4), axis=2), atol=1e-3)


def test_large_logits_do_not_overflow(check_close):
    x = np.array([[[300.0, -300.0], [-300.0, 300.0]]], "float32")
    assert check_close(ops.convert_to_numpy(AttentionPool1D()(x)), np.array([[[300.0, 300.0]]]))


def test_weights_are_taken_in_float32(softmax_dtypes, layer_tools):
    for pool_size in (2, 4):
        layer_tools.call(AttentionPool1D(pool_size, dtype="mixed_float16"), np.ones((1, 8, 3), "float16"))
    assert softmax_dtypes == ["float32", "float32"]


def test_takes_any_length_of_its_multiple(rng, check_close):
    layer = AttentionPool1D(2)
    for length in (4, 10):
        x = rng.normal(size=(2, length, 3)).astype("float32")
        want = slow_attention_pool(x.astype("float64"), {"att_pool_weight": 2 * np.eye(3)})
        assert check_close(ops.convert_to_numpy(layer(x)), want)
    assert layer.compute_output_shape((None, None, 3)) == (None, None, 3)


def test_keys_of_crested_files_are_dropped():
    config = {"name": "p", "pool_size": 2, "strides": None, "padding": "same", "data_format": "channels_last"}
    layer = AttentionPool1D.from_config(config)
    assert not {"strides", "padding", "data_format"} & set(layer.get_config())


def test_a_length_that_does_not_divide_is_an_error():
    with pytest.raises(ValueError, match=r"'pool' got 9 positions; its pool_size 2 must divide them"):
        AttentionPool1D(2, name="pool")(np.zeros((1, 9, 3), "float32"))


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-1, ValueError), (True, ValueError), (2.0, TypeError)])
def test_pool_size_is_a_positive_integer(value, error):
    with pytest.raises(error, match="pool_size must be an integer of at least 1"):
        AttentionPool1D(value)
