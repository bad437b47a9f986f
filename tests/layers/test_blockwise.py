from __future__ import annotations

import keras
import numpy as np
import pytest

from crested_like.layers import Blockwise


def local_network(length, channels=3):
    """Two convolutions and a pool: an output needs 2 + 2 x 2 positions before its two, and as many behind."""
    x = inputs = keras.Input((length, channels))
    x = keras.layers.Conv1D(4, 5, padding="same", activation="tanh", name="first")(x)
    x = keras.layers.MaxPooling1D(2, name="pool")(x)
    return keras.Model(inputs, keras.layers.Conv1D(5, 5, padding="same", name="second")(x))


def in_blocks(whole, keep, margin):
    block = local_network(2 * (keep + 2 * margin))
    block.set_weights(whole.get_weights())
    inputs = keras.Input(whole.input_shape[1:])
    return keras.Model(inputs, Blockwise(block, 2, keep, margin)(inputs))


@pytest.mark.parametrize(("keep", "margin"), [(8, 3), (4, 3), (8, 4), (16, 3), (7, 3), (9, 4), (31, 3)])
def test_equals_the_whole(rng, keep, margin):
    whole = local_network(96)
    whole.set_weights([rng.normal(size=w.shape) for w in whole.get_weights()])
    x = rng.normal(size=(2, 96, 3)).astype("float32")
    got = in_blocks(whole, keep, margin).predict(x, verbose=0)
    np.testing.assert_allclose(got, whole.predict(x, verbose=0), rtol=1e-5, atol=1e-5)


def test_too_small_a_margin_shows(rng):
    whole = local_network(96)
    whole.set_weights([rng.normal(size=w.shape) for w in whole.get_weights()])
    x = rng.normal(size=(1, 96, 3)).astype("float32")
    got = in_blocks(whole, 8, 1).predict(x, verbose=0)
    assert np.abs(got - whole.predict(x, verbose=0)).max() > 0.1


def test_is_saved_and_loaded(rng, tmp_path):
    model = in_blocks(local_network(96), 8, 3)
    model.save(tmp_path / "blocks.keras")
    x = rng.normal(size=(1, 96, 3)).astype("float32")
    again = keras.models.load_model(tmp_path / "blocks.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize("length", [None, 91, 16])
def test_lengths_that_do_not_divide(length):
    layer = Blockwise(local_network(28), 2, 8, 3)
    with pytest.raises(ValueError, match="needs a multiple of 2 positions, at least 28; got"):
        layer(keras.Input((length, 3)))
