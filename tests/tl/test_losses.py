import math

import keras
import numpy as np
import pytest

from crested_like.tl import losses

# Keras' tensors on JAX and torch, under NumPy 2.4
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

TRAINS = keras.backend.backend() in {"tensorflow", "jax", "torch"}

# Slow answers in float64, one sample and one element at a time.


def cosine(t, p):
    norms = math.sqrt(sum(t * t)) * math.sqrt(sum(p * p))
    return sum(t * p) / norms if norms else 0.0


def slow_cosine_mse(t, p, max_weight=1.0):
    m = np.mean((p - t) ** 2)
    return np.array([m - min(max(m, 1), max_weight) * cosine(*pair) for pair in zip(t, p, strict=True)])


def slow_cosine_mse_log(t, p, max_weight=1.0, multiplier=1000.0):
    m = np.mean((np.sign(p) * np.log(1 + multiplier * np.abs(p)) - np.log(1 + multiplier * t)) ** 2)
    return np.array([m - min(max(m, 1), max_weight) * cosine(*pair) for pair in zip(t, p, strict=True)])


def slow_summed_poisson(t, p, log_transform=True, eps=1e-7):
    if log_transform:
        t, p = np.log(1 + t), np.log(1 + p)
    return np.array(
        [sum(b - a * math.log(b + eps) for a, b in zip(*pair, strict=True)) for pair in zip(t, p, strict=True)]
    )


def prepared(t, p, axis, log_transform, eps):
    t, p = np.moveaxis(t, axis, -1) + eps, np.moveaxis(p, axis, -1) + eps
    return (np.log(1 + t), np.log(1 + p)) if log_transform else (t, p)


def slow_summed_poisson_multinomial(t, p, total_weight=1.0, eps=1e-7, log_transform=True, axis=-1, norm="sum"):
    t, p = prepared(t, p, axis, log_transform, eps)
    out = np.empty((*t.shape[:-1], 1))
    for i in np.ndindex(t.shape[:-1]):
        total_t, total_p = sum(t[i]), sum(p[i])
        reference = total_p + eps if norm == "sum" else max(p[i])
        shape = -sum(a * math.log(b / reference + eps) for a, b in zip(t[i], p[i], strict=True))
        out[i] = shape + total_weight * (total_p - total_t * math.log(total_p + eps))
    return np.moveaxis(out, -1, axis)


def slow_poisson_kl(t, p, total_weight=1.0, eps=1e-7, log_transform=True, axis=-1, norm="sum"):
    t, p = prepared(t, p, axis, log_transform, eps)
    out = np.empty(t.shape)
    of = {"sum": sum, "max": max}[norm]
    for i in np.ndindex(t.shape[:-1]):
        poisson = sum(p[i]) - sum(t[i]) * math.log(sum(p[i]))
        for j, (a, b) in enumerate(zip(t[i], p[i], strict=True)):
            out[(*i, j)] = a * math.log((a / of(t[i])) / (b / of(p[i]))) + total_weight * poisson
    return np.moveaxis(out, -1, axis)


def slow_gini_power(t, p, starting_power=1.0, increase_scale=1.0):
    out = []
    for a, b in zip(t, p, strict=True):
        x = np.maximum(a, 0) + 1e-7
        n = len(x)
        # half the relative mean difference over all pairs: the Gini coefficient by its definition
        gini = sum(abs(u - v) for u in x for v in x) / (2 * n * sum(x))
        out.append(np.mean(np.abs(a - b) ** (starting_power + gini * increase_scale)))
    return np.array(out)


def slow_poisson_multinomial(t, p, total_weight=1.0, weight_range=1.0, weight_exp=4, eps=1e-7, rescale=False):
    batch, bins, tracks = t.shape
    g = np.ones(bins)
    if weight_range > 1:
        sigma = (bins / 2 - 0.5) / math.log(weight_range) ** (1 / weight_exp)
        g = np.array([math.exp(-(((n - (bins / 2 - 0.5)) / sigma) ** weight_exp)) for n in range(bins)])
        g /= g.max()
    out = np.empty((batch, tracks))
    for i, k in np.ndindex(batch, tracks):
        a, b = g * t[i, :, k], g * p[i, :, k]
        poisson = (sum(b) - sum(a) * math.log(sum(b) + eps)) / sum(g)
        multinomial = -sum((a + eps) * np.log((b + eps) / sum(b))) / sum(g)
        out[i, k] = multinomial + total_weight * poisson
    return out.mean(axis=1) * (2 / (1 + total_weight) if rescale else 1)


CASES = [
    (losses.CosineMSE, slow_cosine_mse, {}),
    (losses.CosineMSE, slow_cosine_mse, {"max_weight": 2.5}),
    (losses.CosineMSE, slow_cosine_mse, {"max_weight": 0.5}),
    (losses.CosineMSE, slow_cosine_mse, {"max_weight": 1000.0}),
    (losses.CosineMSELog, slow_cosine_mse_log, {"max_weight": 100}),
    (losses.CosineMSELog, slow_cosine_mse_log, {"max_weight": 1.5, "multiplier": 1}),
    (losses.SummedPoisson, slow_summed_poisson, {}),
    (losses.SummedPoisson, slow_summed_poisson, {"log_transform": False, "eps": 1e-3}),
    (losses.SummedPoissonMultinomial, slow_summed_poisson_multinomial, {}),
    (losses.SummedPoissonMultinomial, slow_summed_poisson_multinomial, {"total_weight": 0.2, "norm": "max"}),
    (losses.SummedPoissonMultinomial, slow_summed_poisson_multinomial, {"log_transform": False, "eps": 1e-2}),
    (losses.PoissonKL, slow_poisson_kl, {}),
    (losses.PoissonKL, slow_poisson_kl, {"total_weight": 0.2, "norm": "max", "log_transform": False}),
    (losses.GiniPower, slow_gini_power, {}),
    (losses.GiniPower, slow_gini_power, {"starting_power": 1.5, "increase_scale": 2.0}),
]
CASES_3D = [
    (losses.SummedPoissonMultinomial, slow_summed_poisson_multinomial, {"axis": -2, "log_transform": False}),
    (losses.PoissonKL, slow_poisson_kl, {"axis": -2}),
    (losses.PoissonMultinomial, slow_poisson_multinomial, {}),
    (losses.PoissonMultinomial, slow_poisson_multinomial, {"total_weight": 0.2, "rescale": True}),
    (losses.PoissonMultinomial, slow_poisson_multinomial, {"weight_range": 8, "eps": 1e-3}),
    (losses.PoissonMultinomial, slow_poisson_multinomial, {"weight_range": 8, "weight_exp": 1}),
]
EVERY = [(kind, slow, settings, (6, 7)) for kind, slow, settings in CASES] + [
    (kind, slow, settings, (2, bins, 3)) for kind, slow, settings in CASES_3D for bins in (8, 9)
]
LAST_CASE = {kind: (settings, shape) for kind, _, settings, shape in EVERY}


def targets_and_predictions(rng, shape):
    """Counts with many zeros and exact hits, one empty sample, and positive predictions."""
    t = rng.poisson(1.0, size=shape) * rng.gamma(2.0, size=shape)
    p = rng.gamma(2.0, size=shape)
    t[0] = 0
    p[-1, 0] = t[-1, 0] = 2.0
    return t.astype("float32"), p.astype("float32")


def float32_close(got, want):
    """Whether all agree to 10⁻⁶ of the largest: they are differences of terms that may be larger than they are."""
    got, want = np.asarray(got, "float64"), np.asarray(want)
    return got.shape == want.shape and np.abs(got - want).max() <= 1e-6 * np.abs(want).max()


@pytest.mark.parametrize(("kind", "slow", "settings", "shape"), EVERY)
def test_formula(kind, slow, settings, shape, rng):
    t, p = targets_and_predictions(rng, shape)
    want = slow(t.astype("float64"), p.astype("float64"), **settings)
    assert float32_close(keras.ops.convert_to_numpy(kind(reduction="none", **settings)(t, p)), want)
    np.testing.assert_allclose(float(kind(**settings)(t, p)), want.mean(), rtol=0, atol=1e-6 * np.abs(want).max())


def test_poisson_of_keras_is_the_specified_one(rng):
    """The Poisson loss of Enformer and Basenji2 is Keras' own."""
    t, p = targets_and_predictions(rng, (2, 9, 3))
    want = np.mean(p.astype("float64") - t * np.log(p.astype("float64") + 1e-7))
    np.testing.assert_allclose(float(keras.losses.Poisson()(t, p)), want, rtol=1e-6)


@pytest.mark.parametrize("bins", [7, 512])
@pytest.mark.parametrize("settings", [{"total_weight": 0.2}, {"weight_range": 8.0}])
def test_poisson_multinomial_weighs_samples_and_bins_at_any_length(settings, bins, rng):
    t, p = targets_and_predictions(rng, (3, bins, 4))
    want = slow_poisson_multinomial(t.astype("float64"), p.astype("float64"), **settings)
    weight = np.array([0.0, 1.0, 2.5], "float32")
    got = float(losses.PoissonMultinomial(**settings)(t, p, sample_weight=weight))
    np.testing.assert_allclose(got, want @ weight / 3, rtol=0, atol=1e-6 * np.abs(want * weight).max())


@pytest.mark.skipif(not TRAINS, reason="this backend only predicts")
@pytest.mark.parametrize(("kind", "slow", "settings", "shape"), EVERY)
def test_gradient_is_that_of_the_formula(kind, slow, settings, shape, rng, loss_gradient, numeric_gradient):
    t, p = targets_and_predictions(rng, shape)
    t[0], p[-1, 0] = 0.25, 1.5  # where a formula has a kink, differences say nothing
    want = numeric_gradient(lambda x: slow(t.astype("float64"), x, **settings).mean(), p)
    got = loss_gradient(kind(**settings), t, p)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("kind", [losses.CosineMSE, losses.CosineMSELog])
def test_cosine_losses_take_negative_predictions(kind, rng):
    t, p = targets_and_predictions(rng, (6, 7))
    slow = slow_cosine_mse if kind is losses.CosineMSE else slow_cosine_mse_log
    want = slow(t.astype("float64"), -p.astype("float64"), max_weight=3.0).mean()
    np.testing.assert_allclose(float(kind(max_weight=3.0)(t, -p)), want, rtol=1e-5)


def test_poisson_multinomial_of_weight_one_is_the_poisson_loss(rng):
    t, p = targets_and_predictions(rng, (2, 512, 3))
    want = np.mean(p - t * np.log(p + 1e-7))
    np.testing.assert_allclose(float(losses.PoissonMultinomial()(t, p)), want, rtol=1e-5)


def test_poisson_multinomial_weighs_samples(rng):
    t, p = targets_and_predictions(rng, (2, 8, 3))
    loss = losses.PoissonMultinomial(total_weight=0.2)
    want = slow_poisson_multinomial(t, p, total_weight=0.2) @ [1.0, 3.0] / 2
    np.testing.assert_allclose(float(loss(t, p, sample_weight=np.array([1.0, 3.0]))), want, rtol=1e-5)


@pytest.mark.parametrize(("kind", "slow", "settings", "shape"), EVERY)
def test_sixteen_bit_predictions_are_summed_in_float32(kind, slow, settings, shape, rng):
    t, p = targets_and_predictions(rng, shape)
    t, p = t * 300, (p * 300).astype("float16")  # sums and squares beyond 65504
    want = slow(t.astype("float64"), p.astype("float64"), **settings).mean()
    got = float(kind(**settings)(t, keras.ops.convert_to_tensor(p)))
    np.testing.assert_allclose(got, want, rtol=1e-4)


@pytest.mark.parametrize(("kind", "slow", "settings", "shape"), EVERY)
def test_configuration_is_complete(kind, slow, settings, shape, rng):
    loss = kind(**settings, reduction="sum", name="mine", dtype="float32")
    entry = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(entry)
    assert entry["registered_name"] == f"crested_like>{kind.__name__}"
    assert type(again) is kind
    assert again.get_config() == loss.get_config() == loss.get_config() | settings
    assert {"name": "mine", "reduction": "sum", "dtype": "float32"}.items() <= loss.get_config().items()
    pair = targets_and_predictions(rng, shape)
    assert float(again(*pair)) == float(loss(*pair))


def test_default_names():
    assert losses.PoissonMultinomial().name == "poisson_multinomial"
    assert losses.PoissonKL().name == "poisson_kl"


OLD = [
    ("Losses>CosineMSELoss", losses.CosineMSE, {"name": "cosine_mse_loss", "max_weight": 1.0}, {}),
    (
        "Losses>CosineMSELogLoss",
        losses.CosineMSELog,
        {"name": "CosineMSELogLoss", "max_weight": 100},
        {"multiplier": 1000},
    ),
    ("Losses>PoissonLoss", losses.SummedPoisson, {"name": "PoissonLoss", "log_transform": True, "eps": 1e-7}, {}),
    *(
        (
            f"Losses>{name}",
            kind,
            {"name": name, "total_weight": 0.2, "eps": 1e-7, "log_transform": False, "axis": -2, "norm": "max"},
            {},
        )
        for name, kind in [
            ("PoissonMultinomialLoss", losses.SummedPoissonMultinomial),
            ("PoissonKLLoss", losses.PoissonKL),
        ]
    ),
    ("Custom>GiniLoss", losses.GiniPower, {"name": "gini_loss"}, {"starting_power": 1, "increase_scale": 1}),
]


@pytest.mark.parametrize(("registered_name", "kind", "config", "unsaved"), OLD)
def test_reads_entries_of_older_files(registered_name, kind, config, unsaved):
    config = {"reduction": "sum_over_batch_size", **config}
    entry = {
        "module": "crested.tl.losses",
        "class_name": registered_name.split(">")[1],
        "config": config,
        "registered_name": registered_name,
    }
    loss = keras.saving.deserialize_keras_object(entry)
    assert type(loss) is kind
    assert loss.get_config() == {**config, **unsaved, "dtype": "float32"}


@pytest.mark.skipif(not TRAINS, reason="this backend only predicts")
@pytest.mark.parametrize("kind", LAST_CASE)
def test_gradients_are_finite_at_empty_samples_and_exact_hits(kind, rng):
    settings, shape = LAST_CASE[kind]
    t, p = targets_and_predictions(rng, shape)
    model = keras.Sequential([keras.Input(shape[1:]), keras.layers.Dense(shape[-1], use_bias=False)])
    model.set_weights([np.eye(shape[-1], dtype="float32")])
    p[1] = 1e-6  # next to nothing predicted
    model.compile(keras.optimizers.SGD(1e-3), loss=kind(**settings))
    model.train_on_batch(p, t)
    after = keras.ops.convert_to_numpy(model.weights[0].value)
    assert np.isfinite(after).all()
    assert np.abs(after - np.eye(shape[-1])).max() > 1e-7


@pytest.mark.skipif(not TRAINS, reason="this backend only predicts")
@pytest.mark.parametrize("power", [0.5, 1.0])
def test_gini_power_has_a_gradient_at_an_exact_hit(power):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, use_bias=False)])
    model.set_weights([np.eye(3, dtype="float32")])
    model.compile(keras.optimizers.SGD(1.0), loss=losses.GiniPower(starting_power=power, increase_scale=0.0))
    y = np.array([[1.0, 2.0, 3.0]], "float32")
    model.train_on_batch(y, y)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.weights[0].value), np.eye(3))


def test_empty_predictions_and_targets_keep_a_finite_loss():
    zeros = np.zeros((1, 16, 2), "float32")
    assert np.isfinite(float(losses.PoissonMultinomial()(zeros + 5, zeros)))
    assert np.isfinite(float(losses.PoissonMultinomial(weight_range=4)(zeros[:, :1], zeros[:, :1])))


def test_refuses_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match=r"Targets have shape \(4,\), predictions \(4, 1\); they must be equal"):
        losses.CosineMSE()(np.ones(4), np.ones((4, 1)))
    with pytest.raises(ValueError, match=r"takes \(batch, bins, tracks\); got shape \(4, 1\)"):
        losses.PoissonMultinomial()(np.ones((4, 1)), np.ones((4, 1)))


def test_refuses_bad_settings():
    with pytest.raises(ValueError, match="norm must be one of 'sum', 'max'; got 'mean'"):
        losses.PoissonKL(norm="mean")
    with pytest.raises(ValueError, match=r"weight_range must be at least 1.*got 0\.5"):
        losses.PoissonMultinomial(weight_range=0.5)
    with pytest.raises(TypeError, match=r"weight_exp must be an integer of at least 1; got 1\.5"):
        losses.PoissonMultinomial(weight_exp=1.5)
