import keras
import numpy as np
import pytest
from keras import ops

from crested_like.layers import SeparableUpsampling1D


def slow_upsampling(inputs, weights, kernel_size=3, factor=2, kernel_initializer=None):
    low, skip = inputs
    x = np.stack([low[:, i // factor] for i in range(low.shape[1] * factor)], axis=1) + skip
    batch, length, _ = x.shape
    depthwise = np.zeros_like(x)
    before = (kernel_size - 1) // 2  # "same": the odd padding goes to the right
    for b in range(batch):
        for i in range(length):
            for k in range(kernel_size):
                if 0 <= i + k - before < length:
                    depthwise[b, i] += x[b, i + k - before] * weights["depthwise_kernel"][k, :, 0]
    return depthwise @ weights["pointwise_kernel"][0] + weights["bias"]


@pytest.fixture
def inputs(rng):
    def make(factor=2, batch=3, length=5, channels=4):
        shapes = (batch, length, channels), (batch, length * factor, channels)
        return [rng.normal(size=shape).astype("float32") for shape in shapes]

    return make


@pytest.mark.parametrize(("kernel_size", "factor"), [(3, 2), (1, 2), (2, 2), (4, 3), (7, 1)])
def test_separable_upsampling(kernel_size, factor, inputs, check_layer):
    config = {"kernel_size": kernel_size, "factor": factor}
    check_layer(
        SeparableUpsampling1D,
        config,
        inputs(factor),
        slow_upsampling,
        policies=kernel_size == 3,
        brief=kernel_size not in (2, 3),
    )


@pytest.mark.parametrize("kernel_size", [2, 3, 4, 5])
def test_is_keras_own_layers_in_one(kernel_size, inputs, check_close):
    low, skip = inputs()
    layer = SeparableUpsampling1D(kernel_size)
    got = layer([low, skip])
    convolution = keras.layers.SeparableConv1D(4, kernel_size, padding="same")
    convolution.build(skip.shape)
    convolution.set_weights(layer.get_weights())
    want = convolution(keras.layers.Add()([keras.layers.UpSampling1D(2)(low), skip]))
    assert check_close(ops.convert_to_numpy(got), ops.convert_to_numpy(want))


def test_unknown_lengths_stay_unknown():
    assert SeparableUpsampling1D().compute_output_shape([(None, None, 3), (None, 8, 3)]) == (None, 8, 3)


@pytest.mark.parametrize(("low", "skip"), [((1, 4, 3), (1, 9, 3)), ((1, 4, 3), (1, 8, 2)), ((1, 8, 3), (1, 4, 3))])
def test_inputs_that_do_not_fit_are_an_error(low, skip):
    with pytest.raises(ValueError, match=r"'up' needs inputs \(B, L, C\) and \(B, 2 L, C\); got"):
        SeparableUpsampling1D(name="up")([np.zeros(low, "float32"), np.zeros(skip, "float32")])


@pytest.mark.parametrize("name", ["kernel_size", "factor"])
def test_sizes_are_positive(name):
    with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1; got 0"):
        SeparableUpsampling1D(**{name: 0})
