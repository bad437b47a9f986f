"""Metrics and losses of presence and absence against slow answers in float64."""

import keras
import numpy as np
import pytest
from keras import ops

from crested_like.tl import metrics

pytestmark = pytest.mark.skipif(keras.backend.backend() == "openvino", reason="metrics are for training and evaluation")


@pytest.fixture
def batches(rng):
    """Three batches of a common feature, a rare one, one that is never there and one that always is."""

    def batch():
        rates = np.array([0.4, 0.01, 0.0, 1.0])
        there = (rng.random((3, 500, 4)) < rates).astype("float32")
        odds = 2 * there - 1 + rng.normal(size=there.shape)
        odds[..., 1] -= 6  # rare features have small probabilities
        return there, (1 / (1 + np.exp(-odds))).astype("float32")

    return [batch() for _ in range(3)]


def joined(batches):
    return [np.concatenate([batch[i].reshape(-1, 4) for batch in batches]).astype("float64") for i in (0, 1)]


def slow_mcc(batches, threshold):
    there, said = joined(batches)
    values = []
    for feature in range(4):
        t, p = there[:, feature] > 0.5, said[:, feature] >= threshold
        hits, alarms, misses, rest = (t & p).sum(), (~t & p).sum(), (t & ~p).sum(), (~t & ~p).sum()
        spread = float(hits + alarms) * (hits + misses) * (rest + alarms) * (rest + misses)
        values.append((float(hits) * rest - float(alarms) * misses) / np.sqrt(spread) if spread else 0.0)
    return np.array(values)


def slow_average_precision(batches):
    there, said = joined(batches)
    values = []
    for feature in range(4):
        order = np.argsort(-said[:, feature], kind="stable")
        hits = np.cumsum(there[order, feature])
        precision = hits / np.arange(1, len(hits) + 1)
        values.append((there[order, feature] * precision).sum() / max(hits[-1], 1))
    return np.array(values)


def measured(metric, batches):
    for batch in batches:
        metric.update_state(*batch)
    return ops.convert_to_numpy(metric.result())


@pytest.mark.parametrize("threshold", [0.5, 0.01])
def test_matthews_correlation(threshold, batches):
    got = measured(metrics.MatthewsCorrelation(threshold), batches)
    assert np.abs(got - slow_mcc(batches, threshold)).max() < 1e-5
    assert got.max() > 0.05


def test_matthews_correlation_of_many_bases():
    """Counts whose product is beyond float32."""
    there = np.tile(np.array([1, 0, 0, 0], "float32"), 250_000)[None, :, None]
    said = np.where(there > 0, 0.9, 0.1).astype("float32")
    assert measured(metrics.MatthewsCorrelation(), [(there, said)] * 3) == pytest.approx(1.0, abs=1e-5)


def test_average_precision(batches):
    want = slow_average_precision(batches)
    for bins, most in ((1_000, 5e-3), (100_000, 1e-4)):  # what shares a bin has no order
        assert np.abs(measured(metrics.AveragePrecision(bins), batches) - want).max() < most
    assert want[1] > 0.05, "the rare feature is told apart"


def test_weights_leave_out(batches):
    there, said = batches[0]
    kept = np.zeros(there.shape[:2], "float32")
    kept[:, :200] = 1
    for metric in (metrics.MatthewsCorrelation, metrics.AveragePrecision):
        weighted = metric()
        weighted.update_state(there, said, sample_weight=kept)
        part = measured(metric(), [(there[:, :200], said[:, :200])])
        assert np.abs(ops.convert_to_numpy(weighted.result()) - part).max() < 1e-5


@pytest.mark.parametrize("metric", [metrics.MatthewsCorrelation(0.2), metrics.AveragePrecision(50)])
def test_configuration(metric):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert again.get_config() == metric.get_config()
    assert metric.name in ("mcc", "pr_auc")


def test_errors():
    with pytest.raises(ValueError, match="threshold must be"):
        metrics.MatthewsCorrelation(1.5)
    with pytest.raises(ValueError, match="bins must be an integer of at least 2"):
        metrics.AveragePrecision(1)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_keras_losses_are_those_of_two_classes(gamma, batches, rng):
    """Cross-entropy and focal loss over "absent" and "present", from the probability of the latter alone."""
    there, said = batches[0]
    two = np.stack([1 - said, said], axis=-1).astype("float64")
    right = np.take_along_axis(two, there.astype(int)[..., None], axis=-1)[..., 0]
    want = np.mean(-((1 - right) ** gamma) * np.log(right))
    loss = keras.losses.BinaryFocalCrossentropy(gamma=gamma) if gamma else keras.losses.BinaryCrossentropy()
    assert float(loss(there, said)) == pytest.approx(want, rel=1e-4)
