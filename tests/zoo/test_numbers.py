"""Numbers of the five architectures at tiny sizes: finite, varied, saved and loaded, in 16 bits, trained."""

import keras
import numpy as np
import pytest
from keras import ops

ARCHITECTURES = ["basenji2", "enformer", "borzoi", "borzoi_prime", "flashzoi"]


@pytest.fixture
def dna(rng):
    return np.eye(4, dtype="float32")[rng.integers(0, 4, (1, 256))]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_file_gives_the_same_numbers(name, published, dna, tmp_path):
    model = published(name)
    want = model.predict(dna, verbose=0)
    assert {head: array.shape for head, array in want.items()} == {"human": (1, 12, 3), "mouse": (1, 12, 2)}
    for array in want.values():
        assert np.isfinite(array).all()
        assert (array >= 0).all()
        assert (np.ptp(array, axis=1) > 0.05 * array.max(axis=1)).all(), "every track varies over bins"
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), model.get_weights(), strict=True))
    got = again.predict(dna, verbose=0)
    assert all(np.array_equal(got[head], want[head]) for head in want)


@pytest.mark.parametrize(
    ("name", "policy", "tolerance"),  # 8 and 11 significant bits, 20 layers deep
    [("enformer", "mixed_bfloat16", 0.12), ("enformer", "mixed_float16", 0.02), ("flashzoi", "mixed_bfloat16", 0.12)],
)
def test_mixed_precision_keeps_heads_in_float32(name, policy, tolerance, narrow, published, dna):
    keras.config.set_dtype_policy(policy)
    try:
        model = narrow(name)
    finally:
        keras.config.set_dtype_policy("float32")
    model.set_weights(published(name).get_weights())
    assert model.get_layer("head_human").compute_dtype == "float32"
    assert model.get_layer("transformer_1_attention").compute_dtype == policy.removeprefix("mixed_")
    got, want = model.predict(dna, verbose=0), published(name).predict(dna, verbose=0)
    for head in want:
        assert got[head].dtype == np.float32
        assert np.abs(got[head] - want[head]).max() < tolerance * want[head].max()


@pytest.mark.parametrize("name", ["enformer", "borzoi", "flashzoi"])
def test_down_to_a_single_position(name, narrow, dna):
    model = narrow(name, input_length=16, output_bins=None)
    assert all(np.isfinite(array).all() for array in model.predict(dna[:, :16], verbose=0).values())


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "openvino", reason="this backend does not train")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_trains(name, narrow, published, dna):
    model = narrow(name)
    before = published(name).get_weights()
    model.set_weights(before)
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="poisson")
    y = {head: np.ones((2, *output.shape[1:]), "float32") for head, output in model.output.items()}
    x = np.concatenate([dna, dna[:, ::-1]])
    assert np.isfinite([model.train_on_batch(x, y, return_dict=True)["loss"] for _ in range(2)]).all()
    still = [w.path for w, b in zip(model.weights, before, strict=True) if np.array_equal(ops.convert_to_numpy(w), b)]
    assert not still, "every weight moves"
