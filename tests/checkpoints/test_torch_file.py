"""PyTorch's files read without PyTorch, and what must never be run."""

import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from crested_like._errors import CheckpointError
from crested_like.checkpoints import convert
from crested_like.checkpoints._torch_file import torch_file


class Runs:
    """An object whose pickle runs a command when it is loaded."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def zipped(path, pickled, extra=()):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, content in dict(extra).items():
            archive.writestr(f"archive/{name}", content)
    return path


@pytest.fixture
def marker(tmp_path):
    """A file that exists once something in a weight file was run."""
    return tmp_path / "was_run"


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth"])
@pytest.mark.parametrize("wrap", [zipped, lambda path, pickled: path.write_bytes(pickled) and path])
def test_code_in_a_pickle_is_refused(suffix, wrap, tmp_path, marker):
    path = tmp_path / f"weights{suffix}"
    wrap(path, pickle.dumps({"stem.0.weight": Runs(marker)}))
    with pytest.raises(CheckpointError, match=r"run (any )?code|could run code"):
        convert(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("name", "message"), [("weights.joblib", r"refused.*could run code"), ("weights.pkl", r"pickle.*never opened")]
)
def test_other_pickles_are_refused(name, message, tmp_path, marker):
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"w": Runs(marker)}))
    with pytest.raises(CheckpointError, match=message):
        convert(path)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["builtins.eval", "builtins.getattr", "torch.load", "os.system", "numpy.frombuffer"])
def test_only_names_of_tensors_are_known(name, tmp_path):
    module, function = name.rsplit(".", 1)
    program = b"\x80\x02c" + f"{module}\n{function}\n".encode() + b"."
    with (
        pytest.raises(CheckpointError, match=f"refused.*{name}"),
        torch_file(zipped(tmp_path / "x.pt", program)),
    ):
        pass


@pytest.mark.parametrize("program", [b"", b"\x80\x02", b"\x80\x02}", b"\x80\x02(.", b"garbage", b"\x80\x02N0."])
def test_a_damaged_pickle(program, tmp_path):
    path = zipped(tmp_path / "x.pt", program)
    with pytest.raises(CheckpointError, match=r"cannot be read|no state dict"), torch_file(path):
        pass


def test_what_is_not_weights(tmp_path):
    with (
        pytest.raises(CheckpointError, match="TorchScript"),
        torch_file(zipped(tmp_path / "a.pt", pickle.dumps({}), {"constants.pkl": b""})),
    ):
        pass
    with (
        pytest.raises(CheckpointError, match="big-endian"),
        torch_file(zipped(tmp_path / "b.pt", pickle.dumps({}), {"byteorder": b"big"})),
    ):
        pass
    with (
        pytest.raises(CheckpointError, match="no state dict"),
        torch_file(zipped(tmp_path / "c.pt", pickle.dumps({"epoch": 3}))),
    ):
        pass


def test_what_unpacks_to_more_than_it_is(tmp_path):
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(10**7))
    with (
        pytest.raises(CheckpointError, match=r"refused: its entry 'archive/data\.pkl' is compressed"),
        torch_file(path),
    ):
        pass


class TestAgainstPyTorch:
    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch", reason="compares with PyTorch itself")

    @pytest.fixture
    def tensors(self, torch):
        base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
        kinds = ("float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
        return {
            "plain": base,
            "transposed": base.permute(2, 0, 1),
            "a part": base[1, :, 1:3],
            "every second": base[..., ::2],
            "repeated": base[:1, :1].expand(5, 3, 4),
            "scalar": torch.tensor(3),
            "empty": torch.zeros(0, 4),
            "half": base.to(torch.bfloat16),
            **{kind: (base > 3 if kind == "bool" else base).to(getattr(torch, kind)) for kind in kinds},
        }

    @pytest.mark.parametrize("nested", [None, "state_dict", "model_state_dict", "model"])
    def test_every_tensor_is_read(self, torch, tensors, nested, tmp_path):
        path = tmp_path / "x.pt"
        torch.save({nested: tensors, "epoch": 3} if nested else tensors, path)
        with torch_file(path) as found:
            assert set(found) == set(tensors)
            for name, tensor in tensors.items():
                assert tuple(found[name].shape) == tuple(tensor.shape), name
                assert np.array_equal(np.asarray(found[name], "float64"), tensor.double().numpy()), name

    def test_a_module_saved_whole_is_refused(self, torch, tmp_path):
        torch.save(torch.nn.Linear(2, 3), tmp_path / "x.pt")
        with pytest.raises(CheckpointError, match=r"refused.*Linear"), torch_file(tmp_path / "x.pt"):
            pass

    def test_parameters_are_tensors(self, torch, tmp_path):
        module = torch.nn.Linear(2, 3)
        torch.save(dict(module.named_parameters()), tmp_path / "x.pt")
        with torch_file(tmp_path / "x.pt") as found:
            assert np.array_equal(np.asarray(found["weight"]), module.weight.detach().numpy())

    def test_the_old_form_is_refused(self, torch, tensors, tmp_path):
        torch.save(tensors, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
        with pytest.raises(CheckpointError, match="bare pickle"), torch_file(tmp_path / "x.pt"):
            pass

    def test_missing_bytes(self, torch, tmp_path):
        whole = io.BytesIO()
        torch.save({"w": torch.arange(100.0)}, whole)
        path = tmp_path / "x.pt"
        with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                new.writestr(name, content[:-8] if name.endswith("data/0") else content)
        with torch_file(path) as found, pytest.raises(CheckpointError, match="shorter than its tensor"):
            np.asarray(found["w"])


def test_a_table_of_keys_is_no_model(tmp_path):
    path = tmp_path / "x.safetensors"
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0\0\0")
    with pytest.raises(CheckpointError, match="no known network"):
        convert(path)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(CheckpointError, match="damaged"):
        convert(path)
