"""Losses by name, the course of the learning rate, clipping, decay, averages, accumulation."""

import keras
import numpy as np
import pytest

from crested_like._errors import RecipeError
from crested_like.tl import losses
from crested_like.tl.training._config import parse
from crested_like.tl.training._optimizer import LOSSES, WarmUp, loss_of, optimizer_of


def host(value):
    return keras.ops.convert_to_numpy(value)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_can_be_named(name):
    made = loss_of({"name": name})
    assert isinstance(made, keras.losses.Loss)
    assert made.name == name


def test_arguments_of_a_loss():
    made = loss_of({"name": "poisson_multinomial", "total_weight": 0.2})
    assert isinstance(made, losses.PoissonMultinomial)
    assert made.total_weight == 0.2
    kl = loss_of({"name": "poisson_kl", "eps": 0.5, "norm": "max"})  # of a base class, and of the base's base
    assert (kl.eps, kl.norm) == (0.5, "max")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "poison"}, "loss.name: there is no loss 'poison'. Did you mean 'poisson'"),
        ({"total_weight": 1}, "loss.name: there is no loss None"),
        ({"name": "poisson", "total_weight": 1}, "loss.total_weight: 'poisson' has no such argument. It has none"),
        ({"name": "poisson_multinomial", "total_wait": 1}, r"'poisson_multinomial' has no such argument. Did you mean"),
        ({"name": "poisson_multinomial", "weight_range": 0.5}, "loss: weight_range must be at least 1"),
    ],
)
def test_losses_that_there_are_not(table, message):
    with pytest.raises(RecipeError, match=message):
        loss_of(table)


def test_poisson_is_the_mean_over_everything(rng):
    t, p = rng.poisson(3, (2, 5, 3)).astype("float32"), rng.uniform(0.01, 9, (2, 5, 3)).astype("float32")
    want = np.mean(p.astype(float) - t * np.log(p.astype(float) + 1e-7))
    np.testing.assert_allclose(host(loss_of({"name": "poisson"})(t, p)), want, rtol=1e-6)


def slow_rate(update, peak, warmup, start, decay_steps, final):
    if update < warmup:
        return peak * (start + (1 - start) * update / warmup)
    if decay_steps is None:
        return peak
    progress = min(1, (update - warmup) / decay_steps)
    return peak * (final + (1 - final) * (1 + np.cos(np.pi * progress)) / 2)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {"warmup": 20, "start": 0.0, "decay_steps": None, "final": 0.0},
        {"warmup": 0, "start": 0.0, "decay_steps": 30, "final": 0.1},
        {"warmup": 5, "start": 0.05, "decay_steps": 17, "final": 0.02},
    ],
)
def test_course_of_the_learning_rate(settings, accumulate):
    rate = WarmUp(6e-5, accumulate=accumulate, **settings)
    got = [float(host(rate(step))) for step in range(120)]
    np.testing.assert_allclose(got, [slow_rate(step // accumulate, 6e-5, **settings) for step in range(120)], rtol=2e-6)
    assert WarmUp.from_config(rate.get_config()).get_config() == rate.get_config()


def test_a_decay_lasts_to_the_end_of_the_run():
    tables = {
        "schedule": {"warmup": 10, "decay": "cosine"},
        "training": {"rounds": 5, "accumulate": 2},
    }
    rate = optimizer_of(parse(tables), steps=20)._learning_rate
    assert rate.decay_steps == 5 * 20 // 2 - 10
    tables["schedule"]["warmup"] = 50
    with pytest.raises(RecipeError, match=r"50 updates of warm-up leave none of the run's 50 to decay over"):
        optimizer_of(parse(tables), steps=20)


def updated(gradients, *, optimizer=None, training=None, starts=None, names=("kernel", "bias"), times=1):
    """Values of variables after applying the same gradients some times, and the optimiser."""
    starts = [np.zeros_like(g) for g in gradients] if starts is None else starts
    variables = [keras.Variable(s.astype("float32"), name=n) for s, n in zip(starts, names, strict=True)]
    table = {"name": "sgd", "learning_rate": 1.0, **(optimizer or {})}
    made = optimizer_of(parse({"optimizer": table, "training": training or {}}), steps=1)
    made.build(variables)
    for _ in range(times):
        made.apply([keras.ops.convert_to_tensor(g.astype("float32")) for g in gradients], variables)
    return [host(v.value) for v in variables], made


def test_clipping_by_the_norm_of_each_variable_and_of_all():
    big, small = np.array([3.0, 4.0]), np.array([0.6, 0.8])
    (a, b), _ = updated([big, small], optimizer={"clip_norm": 2.0})
    np.testing.assert_allclose(a, -big * 2 / 5, rtol=1e-6)
    np.testing.assert_allclose(b, -small, rtol=1e-6)
    (a, b), _ = updated([big, small], optimizer={"clip_global_norm": 2.0})
    norm = np.sqrt(25 + 1)
    np.testing.assert_allclose(a, -big * 2 / norm, rtol=1e-6)
    np.testing.assert_allclose(b, -small * 2 / norm, rtol=1e-6)


def test_decay_spares_biases():
    zero, one = np.zeros(2), np.ones(2)
    decay = {"weight_decay": 0.25, "learning_rate": 0.5}
    (a, b), _ = updated([zero, zero], optimizer=decay, starts=[one, one])
    np.testing.assert_allclose(a, 1 - 0.25 * 0.5, rtol=1e-6)
    np.testing.assert_array_equal(b, one)
    (a, b), _ = updated([zero, zero], optimizer={**decay, "no_weight_decay": []}, starts=[one, one])
    np.testing.assert_allclose(b, 1 - 0.25 * 0.5, rtol=1e-6)


def test_average_of_the_weights():
    (a,), made = updated([np.ones(1)], training={"ema": 0.75}, names=("kernel",), times=4)
    weights, average = [-1.0, -2.0, -3.0, -4.0], -1.0  # the first update sets it
    for weight in weights[1:]:
        average = 0.75 * average + 0.25 * weight
    variable = keras.Variable(np.zeros(1, "float32"))
    np.testing.assert_allclose(a, weights[-1:])
    made.finalize_variable_values([variable])
    np.testing.assert_allclose(host(variable.value), [average], rtol=1e-6)


def test_half_precision_scales_its_loss():
    made = optimizer_of(parse({"training": {"precision": "mixed_float16"}}), steps=1)
    assert isinstance(made, keras.optimizers.LossScaleOptimizer)
    made = optimizer_of(parse({"training": {"precision": "mixed_bfloat16"}}), steps=1)
    assert isinstance(made, keras.optimizers.Adam)
