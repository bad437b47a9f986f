"""TensorFlow's checkpoints read without TensorFlow."""

import shutil

import numpy as np
import pytest

from crested_like._errors import CheckpointError
from crested_like.checkpoints import convert
from crested_like.checkpoints._tensor_bundle import tensor_bundle

NAME = "enformer_tiny-1"


@pytest.fixture
def index(golden_dir, tmp_path):
    """A real checkpoint, free to be damaged."""
    for path in (golden_dir / "enformer_sonnet_tiny").glob(f"{NAME}.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / f"{NAME}.index"


def test_every_array_is_found(index):
    arrays = tensor_bundle(index)
    assert arrays["module/_trunk/_layers/0/_layers/0/w"].shape == (15, 4, 24)
    assert arrays["save_counter"].shape == ()
    assert all(np.isfinite(np.asarray(array, "float64")).all() for array in arrays.values())


@pytest.mark.parametrize("end", [0, 10, 1000, -1])
def test_a_truncated_index(end, index):
    index.write_bytes(index.read_bytes()[:end])
    with pytest.raises(CheckpointError, match="damaged, or no index"):
        tensor_bundle(index)


@pytest.mark.parametrize("place", range(5, 8000, 800))
def test_a_flipped_bit_in_the_index(place, index):
    content = bytearray(index.read_bytes())
    content[place] ^= 16
    index.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged, or no index"):
        tensor_bundle(index)


def test_data_missing_short_or_wrong(index):
    data = next(index.parent.glob("*.data-*"))
    content = bytearray(data.read_bytes())
    arrays = tensor_bundle(index)
    content[arrays["module/_heads/human/_layers/0/w"].offset + 5] ^= 1
    data.write_bytes(content)
    with pytest.raises(CheckpointError, match="checksum of an array is wrong"):
        convert(index, input_length=1024, output_bins=40)
    data.write_bytes(content[:100])
    with pytest.raises(CheckpointError, match="truncated"):
        convert(index, input_length=1024, output_bins=40)
    data.unlink()
    with pytest.raises(CheckpointError, match=f"needs {data.name} beside it"):
        convert(index)


@pytest.mark.parity
class TestAgainstTensorFlow:
    @pytest.fixture
    def tf(self):
        return pytest.importorskip("tensorflow", reason="compares with TensorFlow itself")

    @pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"])
    def test_every_type(self, tf, dtype, tmp_path):
        values = tf.cast(tf.reshape(tf.range(24), (2, 3, 4)), dtype)
        path = tf.train.Checkpoint(x=tf.Variable(values), text=tf.Variable("word")).save(str(tmp_path / "x"))
        found = tensor_bundle(tmp_path / f"{path.rsplit('/', 1)[-1]}.index")
        assert "text" not in found
        assert np.array_equal(np.asarray(found["x"], "float64"), tf.cast(values, "float64").numpy())

    def test_many_arrays_in_many_blocks(self, tf, tmp_path):
        rng = np.random.default_rng(0)
        arrays = {f"layer{i}/a_long_name_that_fills_blocks/{i % 7}": rng.normal(size=(i % 5, 3)) for i in range(3000)}
        raw = tf.raw_ops
        raw.SaveV2(
            prefix=str(tmp_path / "x"),
            tensor_names=list(arrays),
            shape_and_slices=[""] * len(arrays),
            tensors=[tf.constant(array) for array in arrays.values()],
        )
        found = tensor_bundle(tmp_path / "x.index")
        assert set(found) == set(arrays)
        assert all(np.array_equal(np.asarray(found[name]), array) for name, array in arrays.items())
