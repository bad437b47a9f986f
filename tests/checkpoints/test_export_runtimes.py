"""Networks exported whole, run in the runtime they were exported for."""

import keras
import numpy as np
import pytest

from crested_like._errors import CheckpointError
from crested_like.checkpoints import export
from crested_like.layers._initializers import nothing_drawn
from crested_like.tl import zoo

BACKEND = keras.backend.backend()
SMALL = {"input_length": 1024, "stem_filters": 6, "tower_filters": (6, 8, 12), "transformer_blocks": 1}
SMALL |= {"attention_heads": 2, "output_bins": 16}
NETWORKS = {
    "basenji2": {
        "input_length": 1024,
        "output_bins": 48,
        "stem_filters": 6,
        "tower_filters": (6, 8),
        "residual_blocks": 2,
        "residual_filters": 4,
        "final_filters": 8,
        "heads": {"human": 3},
    },
    "enformer": {**SMALL, "key_size": 4, "heads": {"human": 3}},
    "borzoi": {**SMALL, "key_size": 4, "heads": {"human": 3}},
    "flashzoi": {**SMALL, "rotary_dim": 4, "heads": {"human": 3}},
}

pytestmark = pytest.mark.slow


@pytest.fixture(params=list(NETWORKS))
def example(request, randomise, rng):
    """A network that never ran, and an input."""
    with nothing_drawn():
        model = randomise(getattr(zoo, request.param)(**NETWORKS[request.param]))
    one_hot = np.eye(4, dtype="float32")[rng.integers(0, 4, (1, 1024))]
    return model, one_hot


def close(got, model, one_hot):
    want = model.predict_on_batch(one_hot)
    assert np.abs(np.asarray(got) - want).max() <= 2e-5 * np.abs(want).max()


@pytest.mark.skipif(BACKEND not in ("tensorflow", "torch"), reason="what OpenVINO converts from")
def test_openvino(example, tmp_path):
    openvino = pytest.importorskip("openvino")
    model, one_hot = example
    path = export(model, "openvino", tmp_path / "model.xml")
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    close(compiled(one_hot)[0], model, one_hot)


@pytest.mark.skipif(BACKEND not in ("tensorflow", "jax"), reason="what TensorFlow writes")
def test_saved_model(example, tmp_path):
    tensorflow = pytest.importorskip("tensorflow")
    model, one_hot = example
    path = export(model, "tf_saved_model", tmp_path / "model")
    loaded = tensorflow.saved_model.load(path)
    close(loaded.serve(one_hot), model, one_hot)


@pytest.mark.skipif(BACKEND != "torch", reason="tf2onnx, which the others need, does not know NumPy 2")
def test_onnx(example, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    model, one_hot = example
    path = export(model, "onnx", tmp_path / "model.onnx")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    close(session.run(None, {session.get_inputs()[0].name: one_hot})[0], model, one_hot)


@pytest.mark.skipif(BACKEND != "openvino", reason="a backend that exports nothing")
def test_a_backend_that_cannot(example, tmp_path):
    with pytest.raises(CheckpointError, match="onnx cannot be written with the backend in use"):
        export(example[0], "onnx", tmp_path / "model.onnx")
    assert not any(tmp_path.iterdir())
