"""One file on every installed backend, and beside numbers that are known."""

import keras
import numpy as np
import pytest

from crested_like._backend import installed_backends
from crested_like._errors import ModelFileError
from crested_like.tl import zoo
from crested_like.tl._verify import verify

from .conftest import shake

BACKEND = keras.backend.backend()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    model = shake(
        zoo.basenji2(
            heads={"human": 3, "mouse": 2},
            input_length=256,
            output_bins=8,
            stem_filters=4,
            tower_filters=(4, 6),
            residual_blocks=2,
            residual_filters=3,
            final_filters=6,
        )
    )
    path = tmp_path_factory.mktemp("verify") / "model.keras"
    model.save(path)
    one_hot = np.eye(4, dtype="float32")[np.random.default_rng(3).integers(0, 4, (2, 256))]
    return path, one_hot, {name: np.asarray(value) for name, value in model.predict_on_batch(one_hot).items()}


def test_every_pair_of_backends(file):
    found = verify(file[0])
    count = len(installed_backends())
    assert len(found) == count * (count - 1) // 2
    assert all(pair.agrees and pair.output in ("human", "mouse") for pair in found)


def test_expected_numbers(file, tmp_path):
    path, one_hot, outputs = file
    np.savez(tmp_path / "right.npz", one_hot=one_hot, **outputs)
    (pair,) = verify(path, backends=[BACKEND], expected=tmp_path / "right.npz")
    assert pair.agrees
    assert (pair.first, pair.second) == ("expected", BACKEND)
    outputs = {**outputs, "mouse": outputs["mouse"] * 1.001}
    np.savez(tmp_path / "wrong.npz", one_hot=one_hot, **outputs)
    (pair,) = verify(path, backends=[BACKEND], expected=tmp_path / "wrong.npz")
    assert not pair.agrees
    assert pair.output == "mouse"
    assert pair.difference == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mouse": None}, "expected has the outputs human, and .* has human, mouse"),
        ({"mouse": np.zeros((2, 8, 5), "float32")}, r"mouse of expected has the shape \(2, 8, 5\)"),
        ({"one_hot": None}, "must hold the input as 'one_hot'; it holds human, mouse"),
        ({"one_hot": np.zeros((1, 100, 4), "float32")}, r"cannot be run on .*must be \(N, 256, 4\); got \(1, 100, 4\)"),
    ],
)
def test_expectations_of_something_else(change, message, file, tmp_path):
    path, one_hot, outputs = file
    given = {"one_hot": one_hot, **outputs, **change}
    np.savez(tmp_path / "x.npz", **{key: value for key, value in given.items() if value is not None})
    with pytest.raises(ModelFileError, match=message):
        verify(path, backends=[BACKEND], expected=tmp_path / "x.npz")


def test_what_is_no_model(tmp_path):
    (tmp_path / "x.keras").write_bytes(b"no")
    with pytest.raises(ModelFileError, match=f"cannot be run on {BACKEND}: .*no Keras model"):
        verify(tmp_path / "x.keras", backends=[BACKEND])
    with pytest.raises(ValueError, match="backend must be one of"):
        verify(tmp_path / "x.keras", backends=["theano"])
