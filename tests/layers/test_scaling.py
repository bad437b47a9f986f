import numpy as np
import pytest

from crested_like.layers import ChannelScale


def slow_scale(x, weights, initializer="zeros"):
    out = np.zeros_like(x)
    for channel in range(x.shape[-1]):
        out[..., channel] = x[..., channel] * weights["scale"][channel]
    return out


def test_channel_scale(rng, check_layer):
    x = rng.normal(size=(3, 6, 5)).astype("float32")
    check_layer(ChannelScale, {}, x, slow_scale, policies=True)


@pytest.mark.parametrize(("initializer", "first"), [("zeros", 0.0), ("ones", 1.0)])
def test_starts_as_told(initializer, first):
    layer = ChannelScale(initializer=initializer)
    layer.build((None, 6, 5))
    assert np.asarray(layer.get_weights()[0]).tolist() == [first] * 5
