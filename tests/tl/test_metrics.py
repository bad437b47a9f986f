import keras
import numpy as np
import pytest

from crested_like.tl import metrics

# Keras' tensors on JAX and torch, under NumPy 2.4
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
    pytest.mark.skipif(
        keras.backend.backend() == "openvino",
        reason="metrics are for training and evaluation, which OpenVINO does not do: there a variable that is updated "
        "again and again grows its graph without end",
    ),
]

TRAINS = keras.backend.backend() in {"tensorflow", "jax", "torch"}

# Slow answers in float64 from all data at once.


def pearson(t, p, eps=0.0):
    n = t.size
    top = n * (t * p).sum() - t.sum() * p.sum()
    return top / (np.sqrt((n * (t * t).sum() - t.sum() ** 2) * (n * (p * p).sum() - p.sum() ** 2)) + eps)


def slow_pooled_pearson(batches):
    t, p = joined(batches)
    return pearson(t, p, 1e-7)


def slow_pooled_pearson_log(batches):
    t, p = joined(batches)
    return pearson(np.log(1 + 1000 * t), np.log(1 + 1000 * np.maximum(p, 0)), 1e-7)


def slow_concordance(batches):
    t, p = joined(batches)
    cov = np.mean((t - t.mean()) * (p - p.mean()))
    return 2 * cov / (t.var() + p.var() + (t.mean() - p.mean()) ** 2 + 1e-7)


def slow_zero_penalty(batches):
    return np.mean([np.abs(np.sign(p) * np.log(1 + 1000 * np.abs(p)))[t == 0].sum() for t, p in batches])


def slow_batch_spearman(batches):
    per_class = []
    batches = [[y.reshape(-1, y.shape[-1]) for y in pair] for pair in batches]
    for c in range(batches[0][0].shape[-1]):
        values = []
        for t, p in batches:
            ranks = [np.empty(len(t)), np.empty(len(t))]
            for rank, y in zip(ranks, (t[:, c], p[:, c]), strict=True):
                rank[sorted(range(len(y)), key=lambda i, y=y: y[i])] = np.arange(len(y))
            values.append(pearson(*ranks, 1e-7))
        per_class.append(np.mean(values))
    return np.mean(per_class)


def slow_pearson_r(batches):
    return np.mean([pearson(t, p) for t, p in tracks_of(batches)])


def slow_r2(batches):
    return np.mean([1 - ((t - p) ** 2).sum() / ((t - t.mean()) ** 2).sum() for t, p in tracks_of(batches)])


def joined(batches):
    return [np.concatenate([pair[i].ravel() for pair in batches]).astype("float64") for i in (0, 1)]


def tracks_of(batches):
    tracks = batches[0][0].shape[-1]
    t, p = (y.reshape(-1, 1) for y in joined(batches))
    return [(t[k::tracks], p[k::tracks]) for k in range(tracks)]


SLOW = {
    metrics.PooledPearson: slow_pooled_pearson,
    metrics.PooledPearsonLog: slow_pooled_pearson_log,
    metrics.Concordance: slow_concordance,
    metrics.ZeroPenalty: slow_zero_penalty,
    metrics.BatchSpearman: slow_batch_spearman,
    metrics.PearsonR: slow_pearson_r,
    metrics.R2: slow_r2,
}
PER_TRACK = [metrics.PearsonR, metrics.R2]


def make_batches(rng, sizes=(5, 1, 7), shape=(4,)):
    batches = []
    for n in sizes:
        t = rng.poisson(1.5, size=(n, *shape)) * rng.gamma(2.0, size=(n, *shape))
        batches.append((t.astype("float32"), (0.5 * t + rng.normal(size=t.shape)).astype("float32")))
    return batches


def value_of(metric):
    return keras.ops.convert_to_numpy(metric.result())


def streamed(metric, batches, **kwargs):
    for t, p in batches:
        metric.update_state(t, p, **kwargs)
    return value_of(metric)


@pytest.mark.parametrize("shape", [(4,), (6, 3)])
@pytest.mark.parametrize("kind", SLOW)
def test_formula_over_batches_of_any_size(kind, shape, rng):
    batches = make_batches(rng, shape=shape)
    metric = kind()
    got = streamed(metric, batches)
    assert got.shape == ()
    np.testing.assert_allclose(got, SLOW[kind](batches), rtol=1e-5, atol=1e-6)
    metric.reset_state()
    np.testing.assert_allclose(streamed(metric, batches[:1]), SLOW[kind](batches[:1]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", SLOW)
def test_sixteen_bit_predictions(kind, rng):
    batches = [(t * 100, (p * 100).astype("float16")) for t, p in make_batches(rng, sizes=(50, 60))]
    wide = [(t, p.astype("float32")) for t, p in batches]
    got = streamed(kind(), [(t, keras.ops.convert_to_tensor(p)) for t, p in batches])
    np.testing.assert_allclose(got, SLOW[kind](wide), rtol=1e-5)


@pytest.mark.parametrize("kind", PER_TRACK)
def test_one_value_a_track(kind, rng):
    batches = make_batches(rng, shape=(6, 3))
    got = streamed(kind(average=False), batches)
    want = [SLOW[kind]([pair]) for pair in tracks_of(batches)]
    np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("kind", PER_TRACK)
@pytest.mark.parametrize("sizes", [(40,), (1,) * 13 + (27,)])
def test_coverage_of_whole_windows_to_a_millionth(kind, sizes, rng):
    """Counts of thousands of bins, most of them empty, as coverage is; every track on a scale of its own."""
    scale = np.array([0.01, 1.0, 30.0, 1000.0], "float32")
    batches = []
    for t, noise in make_batches(rng, sizes, (600, 4)):
        t[rng.random(t.shape) < 0.8] = 0
        batches.append((t * scale, (0.7 * t + 0.1 * noise) * scale))
    got = streamed(kind(average=False), batches)
    np.testing.assert_allclose(got, [SLOW[kind]([pair]) for pair in tracks_of(batches)], rtol=0, atol=1e-6)
    np.testing.assert_allclose(streamed(kind(), batches), SLOW[kind](batches), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", PER_TRACK)
def test_large_means_do_not_cancel(kind, rng):
    """A plain float32 sum of squares loses everything here: mean² is 10⁸ times the variance."""
    batches = [(t + np.float32(1e4), p + np.float32(1e4)) for t, p in make_batches(rng, (3,) * 20, (2000, 2))]
    np.testing.assert_allclose(streamed(kind(), batches), SLOW[kind](batches), rtol=1e-4)


@pytest.mark.parametrize("kind", [*PER_TRACK, metrics.PooledPearson, metrics.Concordance])
def test_many_updates_do_not_drift(kind, rng):
    batches = make_batches(rng, (1,) * 400, (32, 2))
    np.testing.assert_allclose(streamed(kind(), batches), SLOW[kind](batches), rtol=1e-5)


@pytest.mark.parametrize("kind", [*PER_TRACK, metrics.PooledPearson, metrics.PooledPearsonLog, metrics.Concordance])
def test_weight_counts_as_copies(kind, rng):
    ((t, p),) = make_batches(rng, (4,), (6, 3))
    copies = [0, 1, 2, 3]
    metric = kind()
    for part in (slice(0, 1), slice(1, 4)):  # a batch of no weight first
        metric.update_state(t[part], p[part], sample_weight=np.array(copies[part]))
    want = SLOW[kind]([(np.repeat(t, copies, axis=0), np.repeat(p, copies, axis=0))])
    np.testing.assert_allclose(value_of(metric), want, rtol=1e-5)


def test_weight_may_be_given_by_bin_and_by_element(rng):
    ((t, p),) = make_batches(rng, (2,), (6, 3))
    keep = np.array([True, True, False, True, False, True])
    weight = np.broadcast_to(keep, (2, 6)).astype("float32")
    by_bin, by_element = metrics.PearsonR(), metrics.PearsonR()
    by_bin.update_state(t, p, sample_weight=weight)
    by_element.update_state(t, p, sample_weight=np.repeat(weight[..., None], 3, axis=-1))
    want = slow_pearson_r([(t[:, keep], p[:, keep])])
    np.testing.assert_allclose([value_of(by_bin), value_of(by_element)], want, rtol=1e-5)


def test_weight_scales_the_zero_penalty(rng):
    ((t, p),) = make_batches(rng, (3,))
    metric = metrics.ZeroPenalty()
    metric.update_state(t, p, sample_weight=np.array([1.0, 0.0, 2.0]))
    want = slow_zero_penalty([(t[:1], p[:1])]) + 2 * slow_zero_penalty([(t[2:], p[2:])])
    np.testing.assert_allclose(value_of(metric), want, rtol=1e-5)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1234.567])
def test_constant_track_is_undefined_and_left_out(constant, rng):
    ((t, p),) = make_batches(rng, (30,), (100, 3))
    t[..., 1] = constant
    for kind in PER_TRACK:
        want = SLOW[kind]([(t[..., [0, 2]], p[..., [0, 2]])])
        np.testing.assert_allclose(streamed(kind(), [(t, p)] * 2), want, rtol=1e-5)
        np.testing.assert_array_equal(np.isnan(streamed(kind(average=False), [(t, p)] * 2)), [False, True, False])
        assert np.isnan(streamed(kind(), [(t[..., 1:2], p[..., 1:2])]))


def test_constant_prediction_has_no_correlation_but_an_r2(rng):
    ((t, p),) = make_batches(rng, (30,))
    p[:] = 0.7
    assert np.isnan(streamed(metrics.PearsonR(), [(t, p)]))
    np.testing.assert_allclose(streamed(metrics.R2(), [(t, p)]), slow_r2([(t, p)]), rtol=1e-5)


def test_perfect_prediction(rng):
    ((t, _),) = make_batches(rng, (30,))
    for kind in (*PER_TRACK, metrics.PooledPearson, metrics.Concordance):
        np.testing.assert_allclose(streamed(kind(), [(t, t)]), 1.0, rtol=1e-6)


@pytest.mark.parametrize("kind", [metrics.PooledPearson, metrics.PooledPearsonLog, metrics.Concordance])
def test_pooled_metrics_are_zero_before_any_data_and_for_constants(kind):
    assert value_of(kind()) == 0
    assert streamed(kind(), [(np.zeros((3, 2)), np.ones((3, 2)))]) == 0


def test_counts_beyond_the_integers_of_float32(rng):
    """Two heavy batches: n² times the variances would overflow float32."""
    ((t, p),) = make_batches(rng, (30,))
    metric = metrics.PooledPearson()
    for _ in range(2):
        metric.update_state(t * 1e3, p * 1e3, sample_weight=np.full(30, 1e9))
    np.testing.assert_allclose(value_of(metric), slow_pooled_pearson([(t, p)]), rtol=1e-5)


@pytest.mark.parametrize("kind", SLOW)
def test_configuration_is_complete(kind):
    settings = {"average": False} if kind in PER_TRACK else {}
    settings |= {"num_classes": 7} if kind is metrics.BatchSpearman else {}
    metric = kind(name="mine", dtype="float32", **settings)
    entry = keras.saving.serialize_keras_object(metric)
    again = keras.saving.deserialize_keras_object(entry)
    assert entry["registered_name"] == f"crested_like>{kind.__name__}"
    assert type(again) is kind
    assert again.get_config() == metric.get_config() == {"name": "mine", "dtype": "float32", **settings}


OLD = {
    "PearsonCorrelation": (metrics.PooledPearson, "pearson_correlation"),
    "PearsonCorrelationLog": (metrics.PooledPearsonLog, "pearson_correlation_log"),
    "ConcordanceCorrelationCoefficient": (metrics.Concordance, "concordance_correlation_coefficient"),
    "ZeroPenaltyMetric": (metrics.ZeroPenalty, "zero_penalty_metric"),
    "SpearmanCorrelationPerClass": (metrics.BatchSpearman, "multiclass_spearman_correlation"),
}


@pytest.mark.parametrize("old", OLD)
def test_reads_entries_of_older_files(old, rng):
    kind, name = OLD[old]
    entry = {
        "module": "crested.tl.metrics",
        "class_name": old,
        "config": {"name": name, "dtype": "float32"},
        "registered_name": f"Metrics>{old}",
    }
    metric = keras.saving.deserialize_keras_object(entry)
    assert type(metric) is kind
    assert metric.name == name
    batches = make_batches(rng)
    np.testing.assert_allclose(streamed(metric, batches), SLOW[kind](batches), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not TRAINS, reason="this backend only predicts")
def test_fit_and_evaluate_agree_with_numpy(rng):
    model = keras.Sequential([keras.Input((9, 4)), keras.layers.Conv1D(3, 1, activation="softplus")])
    model.compile("sgd", "mse", metrics=[kind() for kind in SLOW], weighted_metrics=[metrics.PearsonR(name="weighted")])
    x = rng.normal(size=(10, 9, 4)).astype("float32")
    y = rng.poisson(1.0, size=(10, 9, 3)).astype("float32")
    history = model.fit(x, y, sample_weight=np.ones((10, 1)), batch_size=4, epochs=2, verbose=0).history
    assert {kind().name for kind in SLOW} <= set(history)
    quiet = {"batch_size": 4, "verbose": 0, "return_dict": True}
    got = model.evaluate(x, y, sample_weight=np.repeat([[1.0], [0.0]], 5, axis=0), **quiet)
    p = model.predict(x, verbose=0)
    batches = [(y[i : i + 4], p[i : i + 4]) for i in range(0, 10, 4)]
    for kind, slow in SLOW.items():
        np.testing.assert_allclose(got[kind().name], slow(batches), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(got["weighted"], slow_pearson_r([(y[:5], p[:5])]), rtol=1e-4)


@pytest.mark.skipif(not TRAINS, reason="this backend only predicts")
def test_metrics_travel_with_a_saved_model(tmp_path, rng):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse", metrics=[metrics.PearsonR(), metrics.R2(average=True)])
    x, y = rng.normal(size=(2, 20, 3)).astype("float32")
    want = model.evaluate(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "model.keras").evaluate(x, y, verbose=0), want)


def test_spearman_refuses_weights():
    with pytest.raises(ValueError, match="takes no sample_weight; list it under metrics="):
        metrics.BatchSpearman().update_state(np.ones((3, 2)), np.ones((3, 2)), sample_weight=np.ones(3))


@pytest.mark.parametrize("metric", [metrics.PearsonR(), metrics.BatchSpearman(num_classes=3)])
def test_refuses_another_number_of_tracks(metric):
    if metric.state is None:
        metric.update_state(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"holds the state of 3 tracks; got an array of 5\. Use one metric a head"):
        metric.update_state(np.ones((2, 5)), np.ones((2, 5)))


def test_refuses_shapes_that_would_broadcast_and_results_of_nothing():
    with pytest.raises(ValueError, match=r"Targets have shape \(4,\), predictions \(4, 1\)"):
        metrics.PooledPearson().update_state(np.ones(4), np.ones((4, 1)))
    with pytest.raises(ValueError, match="'pearson_r' has seen no data"):
        metrics.PearsonR().result()
