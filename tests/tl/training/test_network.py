"""Networks that differ from the model that is wanted: pieces of windows, other precision, less memory, more devices."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from crested_like._errors import GeometryError, RecipeError
from crested_like.layers import MultiheadAttention
from crested_like.tl import fit, geometry, zoo
from crested_like.tl._stretches import stretches
from crested_like.tl.training._devices import devices_for
from crested_like.tl.training._network import twin
from crested_like.tl.training._random import seed_everything
from crested_like.tl.training._remat import rematerialised

BACKEND = keras.backend.backend()
BORZOI = {
    "input_length": 1024,
    "output_bins": 16,
    "stem_filters": 8,
    "tower_filters": (8, 8, 8, 16),
    "transformer_blocks": 1,
    "attention_heads": 2,
    "key_size": 4,
    "position_features": 4,
    "final_filters": 12,
    "heads": {"human": 3},
}


def host(value):
    return keras.ops.convert_to_numpy(value)


@pytest.fixture(scope="module")
def borzoi():
    keras.utils.set_random_seed(1)
    model = zoo.borzoi(**BORZOI)
    rng = np.random.default_rng(0)
    for weight in model.weights:  # the projection of the attention starts at zero
        if "embedding_layer/kernel" in weight.path:
            weight.assign(rng.normal(scale=0.3, size=weight.shape))
    return model


def test_pieces_give_what_the_window_gives(borzoi, rng):
    """The same weights, and position features of the window; all of a window as one piece is the window."""
    small = twin(borzoi, bins=8, flank=96)
    assert geometry(small).input_length == 8 * 8 + 2 * 96
    assert (geometry(small).output_bins, geometry(small).crop) == (8, 96)
    assert small.output_names == borzoi.output_names
    for a, b in zip(small.get_weights(), borzoi.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    own = [layer.position_length for layer in small.layers if isinstance(layer, MultiheadAttention)]
    assert own == [1024 // 32]
    same = twin(borzoi, bins=16)
    x = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (2, 1024))]
    np.testing.assert_allclose(host(same(x)), host(borzoi(x)), atol=1e-6)


def test_pieces_of_a_network_that_crops_nothing(tiny, rng):
    model = tiny(dropout=0.0)
    small = twin(model, bins=3, flank=8)
    assert (geometry(small).input_length, geometry(small).output_bins, geometry(small).crop) == (40, 3, 8)
    x = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (2, 64))]
    np.testing.assert_allclose(host(small(x[:, 8:48])), host(model(x))[:, 2:5], atol=1e-6)


@pytest.mark.parametrize(
    ("bins", "flank", "message"),
    [
        (4, 100, "flank of a piece must be a multiple of the bin size, 8 bp; got 100"),
        (5, 32, "cannot be trained on pieces of 5 bins with 32 bp beyond them, 104 bp in all"),
    ],
)
def test_pieces_that_a_network_cannot_take(borzoi, bins, flank, message):
    with pytest.raises(GeometryError, match=message):
        twin(borzoi, bins=bins, flank=flank)


def test_training_on_pieces_and_validating_on_windows(tiny, toy, tmp_path):
    model = tiny()
    run = fit(model, toy(4, length=32), valid=toy(2, seed=1), rounds=2, out=tmp_path, progress=False)
    assert run.model.inputs[0].shape[1] == 64
    assert run.history["valid_pearson_r"].notna().all()
    assert geometry(run.model).output_bins == 8


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_heads_and_weights_in_float32(tiny, toy, precision, tmp_path):
    model = tiny()
    small = twin(model, precision=precision)
    kinds = {layer.name: layer.compute_dtype for layer in small.layers if layer.weights}
    half = precision.removeprefix("mixed_")
    assert kinds == {"conv": half, "norm": half, "head_human": "float32"}
    assert {keras.backend.standardize_dtype(w.dtype) for w in small.weights} == {"float32"}
    run = fit(
        model,
        toy(8),
        valid=toy(2, seed=1),
        precision=precision,
        optimizer={"learning_rate": 0.02},
        rounds=3,
        out=tmp_path,
        progress=False,
    )
    assert run.history["loss"].iloc[-1] < run.history["loss"].iloc[0]
    assert {layer.compute_dtype for layer in run.model.layers} == {"float32"}


def gradients(model, x, y):
    """Gradients of a loss by the variables of a model, the penalty of weights included."""
    loss = keras.losses.Poisson()
    variables = model.trainable_variables

    def total(prediction):
        return loss(y, prediction) + sum(model.losses)

    if BACKEND == "tensorflow":
        import tensorflow as tf

        @tf.function
        def compute():
            with tf.GradientTape() as tape:
                value = total(model(x, training=True))
            return tape.gradient(value, [v.value for v in variables])

        return [host(g) for g in compute()]
    if BACKEND == "torch":
        model.zero_grad()
        total(model(keras.ops.convert_to_tensor(x), training=True)).backward()
        return [host(v.value.grad) for v in variables]
    import jax

    def compute(values, state):
        prediction, after = model.stateless_call(values, state, x, training=True)
        return loss(y, prediction), after

    values, state = [v.value for v in variables], [v.value for v in model.non_trainable_variables]
    (_, after), found = jax.jit(jax.value_and_grad(compute, has_aux=True))(values, state)
    for variable, value in zip(model.non_trainable_variables, after, strict=True):
        variable.assign(value)
    return [host(g) for g in found]


def state_of(model):
    return [host(v.value).copy() for v in model.non_trainable_variables]


def test_gradients_are_the_same_with_less_memory(rng):
    """Dropout and batch normalisation are as without: the same masks, and statistics moved once."""
    settings = {**BORZOI, "l2_scale": 0.0, "transformer_l2_scale": 0.0}
    x = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (2, 1024))]
    y = rng.poisson(3, (2, 16, 3)).astype("float32")
    found, states = [], []
    for change in (lambda model: model, rematerialised):
        keras.utils.set_random_seed(3)
        model = zoo.borzoi(**settings)
        seed_everything(model, 3)
        trained = change(model)
        assert {id(v) for v in trained.trainable_variables} == {id(v) for v in model.trainable_variables}
        order = {id(v): i for i, v in enumerate(trained.trainable_variables)}
        own = gradients(trained, x, y)
        found.append([own[order[id(v)]] for v in model.trainable_variables])
        states.append(state_of(model))
    scale = max(np.abs(g).max() for g in found[0])  # what batch normalisation takes out has gradients of rounding
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-6 * scale)
    for a, b in zip(*states, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_dropout_with_a_seed_of_its_own_is_the_same_in_both_passes(rng):
    """Its state is a variable on every backend, which has moved on by the time of the second pass."""
    x = rng.normal(size=(2, 32, 4)).astype("float32")
    y = rng.poisson(3, (2, 4, 3)).astype("float32")
    found = []
    for change in (lambda model: model, rematerialised):
        keras.utils.set_random_seed(3)
        z = entrance = keras.Input((32, 4))
        for i in range(3):
            z = keras.layers.Conv1D(8, 3, padding="same", activation="tanh", name=f"conv_{i}")(z)
            z = keras.layers.Dropout(0.5, seed=i)(z)
            z = keras.layers.MaxPooling1D(2, padding="same", name=f"pool_{i}")(z)
        model = keras.Model(entrance, keras.layers.Dense(3, activation="softplus")(z))
        assert len(stretches(model)) > 1
        found.append(gradients(change(model), x, y))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_blocks_end_where_little_is_alive(borzoi):
    blocks = stretches(borzoi)
    ends = [[tensor._keras_history.operation.name for tensor in outputs] for _, outputs in blocks]
    names = [name for own in ends for name in own]
    assert {"stem_pool", "transformer_1_attention_add", "transformer_1_add", "head_human"} <= set(names)
    made = sum(len(keras.Model(inputs, outputs).layers) for inputs, outputs in blocks)
    assert made >= len(borzoi.layers) - 1


@pytest.mark.skipif(BACKEND != "torch", reason="only PyTorch tells what it keeps")
def test_less_is_kept_for_the_gradient(rng):
    import torch

    settings = {"input_length": 4096, "output_bins": 256, "transformer_blocks": 4, "attention_heads": 4}
    model = zoo.borzoi(**{**BORZOI, **settings})
    x = keras.ops.convert_to_tensor(np.eye(4, dtype=np.float32)[rng.integers(0, 4, (1, 4096))])

    def kept(trained):
        tensors = {}

        def note(tensor):
            tensors[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            outputs = trained(x, training=True)
        assert outputs.requires_grad
        return sum(tensors.values())

    handed_on = sum(4 * np.prod(tensor.shape[1:]) for inputs, _ in stretches(model) for tensor in inputs)
    assert kept(rematerialised(model)) + handed_on < 0.4 * kept(model)


def test_fit_with_less_memory_is_the_same_training(tiny, toy):
    plain = fit(tiny(), toy(), valid=toy(1, seed=1), rounds=2, progress=False)
    remat = fit(tiny(), toy(), valid=toy(1, seed=1), rounds=2, remat=True, progress=False)
    np.testing.assert_allclose(plain.history["loss"], remat.history["loss"], rtol=1e-5)
    np.testing.assert_allclose(plain.history["valid_loss"], remat.history["valid_loss"], rtol=1e-4)


DEVICES = {
    "jax": "",
    "tensorflow": (
        "import tensorflow as tf\n"
        "cpu = tf.config.list_physical_devices('CPU')[0]\n"
        "tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)\n"
    ),
}


@pytest.mark.slow
@pytest.mark.skipif(BACKEND not in DEVICES, reason="Keras trains on one device with PyTorch")
def test_two_devices_give_the_same_losses(tmp_path):
    script = DEVICES[BACKEND] + (
        "import sys, json, pathlib\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from conftest import Toy, network\n"
        "from crested_like.tl import fit\n"
        "def still():\n"
        "    model = network(dropout=0.0)\n"
        "    model.get_layer('norm').trainable = False  # TensorFlow takes statistics of each device's part\n"
        "    return model\n"
        "found = [fit(still(), Toy(), valid=Toy(2, seed=1), rounds=3, devices=devices, progress=False,\n"
        "             optimizer={'learning_rate': 0.02}, out=pathlib.Path(sys.argv[1]) / str(devices))\n"
        "         .history.drop(columns='seconds').to_dict('list') for devices in (1, 2)]\n"
        "print(json.dumps(found))\n"
    )
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, env=environment, timeout=500
    )
    assert done.returncode == 0, done.stderr
    one, two = json.loads(done.stdout.splitlines()[-1])
    assert one.keys() == two.keys()
    np.testing.assert_allclose(one["loss"], two["loss"], rtol=1e-4)


def test_devices_that_there_are_not():
    if BACKEND == "torch":
        with pytest.raises(RecipeError, match=r"Keras trains on one device with PyTorch; got 2"):
            devices_for(2, 4)
        assert devices_for("all", 4) == []
    else:
        with pytest.raises(RecipeError, match=r"99 were asked for; \w+ has \d+"):
            devices_for(99, 99)
    assert devices_for(1, 3) == []
