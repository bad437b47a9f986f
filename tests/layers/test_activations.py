"""The three GELUs against their closed forms, evaluated number by number with the standard library."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from crested_like import layers

CLOSED_FORMS = {
    "gelu_tanh": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "gelu_erf": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
    "gelu_sigmoid": lambda x: x / (1 + math.exp(-1.702 * x)),
}
X = np.linspace(-6, 6, 97, dtype="float32")


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_computes_its_closed_form(name):
    got = ops.convert_to_numpy(getattr(layers, name)(ops.convert_to_tensor(X)))
    assert np.allclose(got, [CLOSED_FORMS[name](float(x)) for x in X], atol=1e-6)


def test_no_two_are_the_same_function():
    values = [ops.convert_to_numpy(getattr(layers, name)(ops.convert_to_tensor(X))) for name in CLOSED_FORMS]
    assert min(np.abs(a - b).max() for i, a in enumerate(values) for b in values[:i]) > 1e-4


def test_at_one_as_the_stem_of_basenji2_sees_it():
    one = ops.ones((1,))
    assert ops.convert_to_numpy(layers.gelu_sigmoid(one))[0] == pytest.approx(0.8458, abs=5e-5)
    assert ops.convert_to_numpy(layers.gelu_tanh(one))[0] == pytest.approx(0.8412, abs=5e-5)


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_is_saved_under_our_name(name):
    function = getattr(layers, name)
    layer = keras.layers.Activation(function)
    config = keras.saving.serialize_keras_object(layer)
    assert config["config"]["activation"]["config"] == f"crested_like>{name}"
    assert keras.saving.deserialize_keras_object(config).activation is function


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("crested>gelu_approx", layers.gelu_tanh),
        ("gelu_approx", layers.gelu_tanh),
        ("crested>gelu_enf", layers.gelu_sigmoid),
        ("gelu_enf", layers.gelu_sigmoid),
    ],
)
def test_older_names_lead_to_the_right_function(name, function):
    assert keras.saving.get_custom_objects()[name] is function
