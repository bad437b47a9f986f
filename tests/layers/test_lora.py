import keras
import numpy as np
import pytest

from crested_like import layers
from crested_like.layers.lora import adapters, base_weights

TRAINS = keras.backend.backend() in ("tensorflow", "jax", "torch")


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def slow_convolution(x, kernel, stride, dilation):
    """ "Same" padding, one output position at a time."""
    width = (kernel.shape[0] - 1) * dilation + 1
    length = -(-x.shape[1] // stride)
    surplus = max((length - 1) * stride + width - x.shape[1], 0)
    padded = np.pad(x, [(0, 0), (surplus // 2, surplus - surplus // 2), (0, 0)])
    taps = [padded[:, i * stride : i * stride + width : dilation] for i in range(length)]
    return np.stack([np.einsum("bkc,kcd->bd", tap, kernel) for tap in taps], axis=1)


def slow_lora(x, weights, layer, rank, alpha=None):
    product = (lambda y, kernel: y @ kernel) if len(weights["layer/kernel"].shape) == 2 else None
    convolve = product or (lambda y, kernel: slow_convolution(y, kernel, layer.strides[0], layer.dilation_rate[0]))
    narrow = convolve(x, weights["down/kernel"]) @ weights["up/kernel"]
    y = convolve(x, weights["layer/kernel"]) + (alpha or rank) / rank * narrow
    if layer.use_bias:
        y = y + weights["layer/bias"]
    return gelu(y) if layer.activation is layers.gelu_tanh else y


def inner(name):
    """A new layer of each kind that takes an adapter."""
    return {
        "dense": lambda: keras.layers.Dense(5, name="project"),
        "activated": lambda: keras.layers.Dense(5, activation=layers.gelu_tanh, use_bias=False),
        "convolution": lambda: keras.layers.Conv1D(6, 3, padding="same", dilation_rate=2, activation=layers.gelu_tanh),
        "strided": lambda: keras.layers.Conv1D(6, 5, strides=2, padding="same", use_bias=False),
    }[name]()


KINDS = ("dense", "activated", "convolution", "strided")


def built(kind, rng, tools, rank=2, alpha=3.0, **settings):
    """A layer with an adapter in a model, with weights that matter, and an input."""
    lora = layers.Lora(inner(kind), rank, alpha, **settings)
    x = rng.normal(size=(3, 12, 4)).astype("float32")
    entry = keras.Input((12, 4))
    model = keras.Model(entry, lora(entry))
    tools.set_weights_that_matter(lora, rng)
    return lora, model, x


def short_names(layer):
    """Weights in float64 by the last two parts of their path, such as ``down/kernel``."""
    values = {}
    for part in ("layer", "down", "up"):
        for weight in getattr(layer, part).weights:
            values[f"{part}/{weight.name}"] = keras.ops.convert_to_numpy(weight).astype("float64")
    return values


@pytest.mark.parametrize("kind", KINDS)
def test_formula(kind, rng, layer_tools):
    lora, model, x = built(kind, rng, layer_tools)
    want = slow_lora(x.astype("float64"), short_names(lora), inner(kind), 2, 3.0)
    assert layer_tools.close(model.predict(x, verbose=0), want)
    assert model.output_shape == (None, *want.shape[1:])
    assert lora.name == lora.layer.name


@pytest.mark.parametrize("kind", KINDS)
def test_plain_layer_with_the_merged_kernel_does_the_same(kind, rng, layer_tools):
    lora, model, x = built(kind, rng, layer_tools)
    plain = inner(kind)
    assert lora.plain_config() | {"name": None} == plain.get_config() | {"name": None}
    entry = keras.Input((12, 4))
    merged = keras.Model(entry, plain(entry))
    plain.set_weights([lora.merged_kernel(), *lora.layer.get_weights()[1:]])
    assert layer_tools.close(merged.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize("kind", KINDS)
def test_starts_without_effect(kind, rng):
    plain = inner(kind)
    x = rng.normal(size=(2, 12, 4)).astype("float32")
    entry = keras.Input((12, 4))
    model = keras.Model(entry, plain(entry))
    lora = layers.Lora(type(plain).from_config(plain.get_config()), 2)
    adapted = keras.Model(entry, lora(entry))
    for weight, value in zip(base_weights(lora), plain.get_weights(), strict=True):
        weight.assign(value)
    np.testing.assert_allclose(adapted.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert np.abs(keras.ops.convert_to_numpy(lora.down.kernel)).max() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_file_keeps_the_adapter_apart(kind, rng, tmp_path, layer_tools):
    _, model, x = built(kind, rng, layer_tools)
    model.save(tmp_path / "lora.keras")
    again = keras.models.load_model(tmp_path / "lora.keras")
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    read, written = again.layers[-1], model.layers[-1]
    assert read.plain_config() == written.plain_config()
    assert (read.rank, read.alpha) == (2, 3)
    assert sorted(w.name for w in again.trainable_weights) == ["kernel", "kernel"]


@pytest.mark.parametrize("trainable", [True, False])
def test_nothing_but_the_adapter_ever_trains(trainable, rng, layer_tools):
    lora, model, _ = built("convolution", rng, layer_tools)
    model.trainable = False
    assert not model.trainable_weights
    model.trainable = trainable
    wanted = {id(lora.down.kernel), id(lora.up.kernel)} if trainable else set()
    assert {id(w) for w in model.trainable_weights} == wanted
    assert lora.trainable is trainable


ATTENTION = {
    "relative": (layers.LoraMultiheadAttention, {"heads": 2, "key_size": 4, "value_size": 4}, 5),
    "rotary": (layers.LoraRotaryAttention, {"heads": 2, "key_value_heads": 1, "rotary_dim": 2}, 2),
    "tokens": (layers.LoraSelfAttention, {"heads": 2, "key_size": 4, "rotary_base": 1e4}, 4),
}


def attention(kind, rng, tools, plain=False):
    """An attention layer, with adapters or without, in a model, and an input."""
    cls, config, count = ATTENTION[kind]
    cls, config = (
        (cls.__mro__[cls.__mro__.index(layers.lora.WithProjections) - 1], config)
        if plain
        else (
            cls,
            {**config, "rank": 2, "alpha": 3.0},
        )
    )
    layer = cls(**config)
    entries, x = [keras.Input((6, 8))], [rng.normal(size=(2, 6, 8)).astype("float32")]
    if kind == "tokens":
        entries.append(keras.Input((6,), dtype="int32"))
        x.append(np.full((2, 6), 7, "int32"))
    model = keras.Model(entries, layer(entries if kind == "tokens" else entries[0]))
    tools.set_weights_that_matter(layer, rng)
    return layer, model, x, count


@pytest.mark.parametrize("kind", ATTENTION)
def test_attention_with_adapters_is_that_of_merged_kernels(kind, rng, layer_tools):
    layer, model, x, count = attention(kind, rng, layer_tools)
    plain, without, _, _ = attention(kind, rng, layer_tools, plain=True)
    assert len(adapters(layer)) == count
    assert [w.shape for w in base_weights(layer)] == [w.shape for w in plain.weights]
    assert {**layer.plain_config(), "name": None} == {**plain.get_config(), "name": None}
    merged = {id(lora.layer.kernel): lora.merged_kernel() for lora in adapters(layer)}
    plain.set_weights([merged.get(id(w), keras.ops.convert_to_numpy(w)) for w in base_weights(layer)])
    got, want = without.predict(x, verbose=0), model.predict(x, verbose=0)
    assert layer_tools.close(got, want)
    for lora in adapters(layer):
        lora.up.kernel.assign(np.zeros(lora.up.kernel.shape))
    moved = np.abs(keras.ops.convert_to_numpy(layer(x if kind == "tokens" else x[0])) - want).max()
    assert moved > 1e-2 * np.abs(want).max(), "the adapters matter"


@pytest.mark.parametrize("kind", ATTENTION)
def test_attention_with_adapters_travels_in_a_file_and_trains_them_alone(kind, rng, tmp_path, layer_tools):
    layer, model, x, count = attention(kind, rng, layer_tools)
    model.save(tmp_path / "attention.keras")
    again = keras.models.load_model(tmp_path / "attention.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert type(again.layers[-1]) is type(layer)
    for each in (model, again):
        each.trainable = True
        assert len(each.trainable_weights) == 2 * count


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy, rng, layer_tools):
    full, model, x = built("convolution", rng, layer_tools)
    lora, mixed, _ = built("convolution", rng, layer_tools, dtype=policy)
    lora.set_weights(full.get_weights())
    assert mixed.output.dtype == policy.removeprefix("mixed_")
    assert {w.dtype for w in lora.weights} == {"float32"}
    assert lora.layer.compute_dtype == lora.down.compute_dtype == policy.removeprefix("mixed_")
    outer = keras.Model(mixed.input, keras.ops.cast(mixed.output, "float32"))
    assert layer_tools.close(outer.predict(x, verbose=0), model.predict(x, verbose=0), 4e-2)


def test_refuses_what_it_cannot_adapt():
    with pytest.raises(TypeError, match="without groups and with channels last; got Conv1D 'grouped'"):
        layers.Lora(keras.layers.Conv1D(4, 3, groups=2, name="grouped"), 2)
    with pytest.raises(TypeError, match="got BatchNormalization"):
        layers.Lora(keras.layers.BatchNormalization(), 2)
    with pytest.raises(ValueError, match="rank must be an integer of at least 1; got 0"):
        layers.Lora(keras.layers.Dense(4), 0)
