"""Joblib's files of parameters read without joblib or JAX, and what must never be run."""

import builtins
import bz2
import contextlib
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import sys
import tempfile
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from crested_like._errors import CheckpointError
from crested_like.checkpoints import _compressed
from crested_like.checkpoints._joblib_file import joblib_tree
from crested_like.checkpoints._npz_file import npz_tree

TWINS = Path(__file__).parents[3] / "shared" / "golden"
#: How many arrays there are.
GOLDEN = {
    "nucleotide_transformer_v1_tiny/pytree_ckpt": 58,
    "nucleotide_transformer_v2_tiny/pytree_ckpt": 51,
    "segment_nt_tiny/pytree_ckpt": 73,
    "segment_enformer_tiny/params": 87,
    "segment_enformer_tiny/state": 36,
    "segment_borzoi_tiny/params": 94,
    "segment_borzoi_tiny/state": 48,
}
START = b"\x80\x04"


# --- pickles by hand, as neither joblib nor JAX need be there --------------------------------------------------------


class Code(bytes):
    """Instructions of a pickle, as opposed to raw bytes."""


def code(value):
    """Instructions that make a value; those given as such stay as they are."""
    match value:
        case Code():
            return value
        case None | bool():
            return Code({None: b"N", True: b"\x88", False: b"\x89"}[value])
        case int():
            return Code(b"J" + struct.pack("<i", value))
        case str():
            return Code(b"X" + struct.pack("<I", len(value.encode())) + value.encode())
        case bytes():
            return Code(b"B" + struct.pack("<I", len(value)) + value)
        case tuple():
            return Code(b"(" + b"".join(map(code, value)) + b"t")
        case dict():
            return Code(b"}(" + b"".join(code(key) + code(item) for key, item in value.items()) + b"u")


def name(dotted):
    module, attribute = dotted.rsplit(".", 1)
    return Code(code(module) + code(attribute) + b"\x93")


def call(function, *arguments):
    return Code(name(function) + code(arguments) + b"R")


def dtype(letters, order="<"):
    return Code(call("numpy.dtype", letters, False, True) + code((3, order, None, None, None, -1, -1, 0)) + b"b")


def joblib_array(array, aligned=True, raw=None, **changes):
    """An array of NumPy as joblib writes it."""
    order = "C" if array.flags.c_contiguous else "F"
    state = {
        "subclass": name("numpy.ndarray"),
        "shape": array.shape,
        "order": order,
        "dtype": dtype(array.dtype.str[1:]),
    }
    state |= {"allow_mmap": True} | ({"numpy_array_alignment_bytes": 16} if aligned else {}) | changes
    made = name("joblib.numpy_pickle.NumpyArrayWrapper") + b")\x81" + code(state) + b"b"
    return Code(made + (b"\x05" + b"\xff" * 5 if aligned else b"") + (array.tobytes(order) if raw is None else raw))


def jax_array(array, function="numpy.core.multiarray._reconstruct", raw=None, **changes):
    """An array of JAX as joblib writes it."""
    fortran = not array.flags.c_contiguous
    raw = array.tobytes("F" if fortran else "C") if raw is None else raw
    state = {"version": 1, "shape": array.shape, "dtype": dtype(array.dtype.str[1:]), "fortran": fortran, "raw": raw}
    empty = name(function), (name("numpy.ndarray"), (0,), b"b"), tuple((state | changes).values())
    return call("jax._src.array._reconstruct_array", *empty, {"weak_type": False, "named_shape": {}})


WRITERS = {"joblib": joblib_array, "jax": jax_array}
W = np.arange(6, dtype="float32").reshape(2, 3) + 0.5


def document(tree):
    return START + code(tree) + b"."


def small(write=joblib_array):
    """A file of four arrays of all kinds."""
    counts = {"counter": write(np.array(7, "int32"))}
    return document({"net/~/linear": {"w": write(W), "b": write(W[0])}, "net/~/t": {"w": write(W.T), **counts}})


@pytest.fixture
def read(tmp_path):
    """All arrays of a file with this content."""

    def read(content):
        path = tmp_path / "params.joblib"
        path.write_bytes(content)
        with joblib_tree(path) as tree:
            return {name: np.asarray(array) for name, array in tree.items()}

    return read


# --- good files ------------------------------------------------------------------------------------------------------


def golden_path(golden_dir, case):
    folder, stem = case.split("/")
    return golden_dir / folder / "jax_model" / f"{stem}.joblib"


@pytest.mark.parametrize("case", GOLDEN)
def test_every_array_is_found(case, golden_dir):
    path = golden_path(golden_dir, case)
    with joblib_tree(path) as tree:
        arrays = {name: np.asarray(array) for name, array in tree.items()}
        assert {name: (array.shape, array.dtype) for name, array in tree.items()} == {
            name: (array.shape, array.dtype) for name, array in arrays.items()
        }
    assert len(arrays) == GOLDEN[case]
    assert all(np.isfinite(array).all() and array.any() for array in arrays.values())
    counters = {array.dtype for name, array in arrays.items() if name.endswith("//counter")}
    assert {array.dtype for array in arrays.values()} - {np.dtype("float32")} == counters
    config = json.loads((path.parents[1] / "config.json").read_text())
    if path.stem != "state":  # moving averages and counters are not counted there
        assert sum(array.size for array in arrays.values()) == config["parameter_count"]


def test_names_of_arrays(golden_dir):
    with joblib_tree(golden_path(golden_dir, "nucleotide_transformer_v1_tiny/pytree_ckpt")) as tree:
        assert tree["esm_transformer/~/embed//embeddings"].shape == (4105, 32)
    with joblib_tree(golden_path(golden_dir, "segment_borzoi_tiny/params")) as tree:
        assert tree["Borzoi/~_stem/conv1_d//b"].shape == (24, 1)
    with joblib_tree(golden_path(golden_dir, "segment_borzoi_tiny/state")) as tree:
        assert tree["Borzoi/~_conv_tower/layer_0/conv_block/batch_norm/~/mean_ema//counter"].shape == ()


@pytest.mark.parity
@pytest.mark.parametrize("case", GOLDEN)
def test_equals_its_twin(case, golden_dir):
    folder, stem = case.split("/")
    twin = TWINS / folder / f"{'state' if stem == 'state' else 'params'}.npz"
    if not twin.is_file():
        pytest.skip(f"the same arrays as .npz are not there: {twin}")
    with joblib_tree(golden_path(golden_dir, case)) as tree, npz_tree(twin) as flat, np.load(twin) as want:
        assert set(tree) == set(flat) == set(want.files)
        for name, array in want.items():
            for found in (tree[name], flat[name]):
                assert (found.shape, found.dtype) == (array.shape, array.dtype), name
                assert np.asarray(found).tobytes() == array.tobytes(), name


@pytest.mark.parametrize("writer", WRITERS)
def test_orders_types_and_scalars(writer, read):
    arrays = read(small(WRITERS[writer]))
    want = {"net/~/linear//w": W, "net/~/linear//b": W[0], "net/~/t//w": W.T, "net/~/t//counter": np.array(7, "int32")}
    assert list(arrays) == list(want)
    for name, array in want.items():
        assert arrays[name].dtype == array.dtype
        assert np.array_equal(arrays[name], array), name


def test_spellings_of_other_releases(read):
    for array in (
        joblib_array(W, aligned=False),
        joblib_array(W, aligned=False, numpy_array_alignment_bytes=None),
        jax_array(W, "numpy._core.multiarray._reconstruct"),
    ):
        assert np.array_equal(read(document({"net": {"w": array}}))["net//w"], W)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_protocols(protocol, read):
    """What Python's own pickler writes around two arrays."""
    first, middle, last = pickle.dumps({"net": {"w": 123_456, "v": 123_456}}, protocol).split(code(123_456))
    content = first + joblib_array(W) + middle + joblib_array(W + 1) + last
    arrays = read(content)
    assert np.array_equal(arrays["net//w"], W)
    assert np.array_equal(arrays["net//v"], W + 1)


def test_arrays_stay_in_the_file(tmp_path):
    path = tmp_path / "params.joblib"
    path.write_bytes(small())
    with joblib_tree(path) as tree:
        content = bytearray(path.read_bytes())
        array = tree["net/~/linear//w"]
        content[array.offset : array.offset + 4] = np.float32(99).tobytes()
        path.write_bytes(content)
        assert np.asarray(array)[0, 0] == 99
        assert np.asarray(array, "float64").dtype == np.float64
        path.write_bytes(content[:-20])
        with pytest.raises(CheckpointError, match="truncated, or was changed"):
            np.asarray(tree["net/~/t//counter"])
        path.unlink()
        with pytest.raises(CheckpointError, match="no longer open"):
            np.asarray(array)


# --- what could run code ---------------------------------------------------------------------------------------------


class Runs:
    """An object whose pickle calls a function when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture
def marker(tmp_path):
    """A file that exists once something in a weight file was run."""
    path = tmp_path / "was_run"
    yield path
    assert not path.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_is_refused(protocol, read, marker):
    touch, makes = f"touch {marker}", f"open({str(marker)!r}, 'w')"
    for runs in (
        Runs(os.system, touch),
        Runs(builtins.eval, makes),
        Runs(builtins.exec, makes),
        Runs(builtins.getattr, builtins.print, "__self__"),
        Runs(Path.touch, marker),
        Runs(Runs, Runs(os.system, touch)),
        (Runs(os.system, touch), W),
    ):
        for tree in (runs, {"net": {"w": runs}}, {"net": {"w": np.array([runs], dtype=object)}}):
            with pytest.raises(CheckpointError, match=r"is refused: .*could run code|is no file of joblib: it begins"):
                read(pickle.dumps(tree, protocol))


@pytest.mark.parametrize("where", ["shape", "order", "dtype", "allow_mmap", "subclass", "numpy_array_alignment_bytes"])
def test_code_within_an_array_is_refused(where, read, marker):
    runs = call("os.system", f"touch {marker}")
    arrays = [joblib_array(W, **{where: runs})]
    arrays += [jax_array(W, **{where: runs})] if where in ("shape", "dtype") else []
    for array in arrays:
        with pytest.raises(CheckpointError, match=r"is refused.*os\.system.*could run code"):
            read(document({"net": {"w": array}}))


REFUSED_NAMES = [
    "os.system",
    "posix.system",
    "builtins.eval",
    "builtins.dict",
    "numpy.load",
    "numpy.matrix",
    "numpy.core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct.__globals__",
    "numpy.ndarray.tofile",
    "joblib.numpy_pickle.NumpyArrayWrapper.read",
    "joblib.numpy_pickle.NDArrayWrapper",
    "jax._src.array.ArrayImpl",
    "collections.OrderedDict",
    "crested_like.checkpoints._joblib_file._Name",
]


@pytest.mark.parametrize("refused", REFUSED_NAMES)
def test_only_names_of_arrays_are_known(refused, read):
    module, attribute = refused.rsplit(".", 1)
    for named in (name(refused), f"c{module}\n{attribute}\n".encode(), code("numpy") + code(refused) + b"\x93"):
        with pytest.raises(CheckpointError, match=rf"is refused: beside arrays it holds the name .*{refused}"):
            read(START + named + b".")


def test_no_name_is_imported(read, monkeypatch):
    """Even known names are never looked up: the modules could be anybody's."""
    for module in ("joblib", "joblib.numpy_pickle", "jax", "jax._src", "jax._src.array", "numpy.core.multiarray"):
        monkeypatch.setitem(sys.modules, module, None)
    for write in WRITERS.values():
        assert read(small(write))


@pytest.mark.parametrize(
    ("calls", "match"),
    [
        (call("numpy.ndarray", (10**6, 10**6)), "a call that makes no array"),
        (call("numpy.core.multiarray._reconstruct", name("numpy.ndarray"), (0,), b"b"), "a call that makes no array"),
        (call("joblib.numpy_pickle.NumpyArrayWrapper", 1, 2), "a call that makes no array"),
        (call("jax._src.array._reconstruct_array", name("numpy.dtype"), ("f4",), (1,), {}), "a call that makes no"),
        (Code(call("numpy.dtype", "f4", False, True) + code(()) + b"R"), "a call that makes no array"),
        (Code(code("os.system") + code(("true",)) + b"R"), "a call that makes no array"),
        (Code(joblib_array(W) + code(()) + b"R"), "a call that makes no array"),
        (Code(name("numpy.ndarray") + b")\x81"), "an object that is no array"),
        (Code(name("joblib.numpy_pickle.NumpyArrayWrapper") + code((1,)) + b"\x81"), "an object that is no array"),
        (Code(code({}) + code({"__class__": 1}) + b"b"), "the state of an object that is no array"),
        (Code(name("numpy.dtype") + code({"__class__": 1}) + b"b"), "the state of an object that is no array"),
        (Code(joblib_array(W) + code({"path": "/etc/hostname"}) + b"b"), "the state of an object that is no array"),
        (Code(dtype("f4") + code((3, "<", None, ("x",), {}, 4, 1, 16)) + b"b"), "the state of an object that is no"),
        (Code(b"(" + b"ios\nsystem\n"), "the instruction INST"),
        (Code(b"(" + name("numpy.dtype") + b"o"), "the instruction OBJ"),
        (Code(b"P1\n"), "the instruction PERSID"),
        (Code(b"\x82\x01"), "the instruction EXT1"),
        (Code(name("numpy.dtype") + code(()) + code({}) + b"\x92"), "the instruction NEWOBJ_EX"),
        (Code(b"]"), "the instruction EMPTY_LIST"),
        (Code(b"2"), "the instruction DUP"),
    ],
)
def test_known_names_for_other_ends(calls, match, read):
    with pytest.raises(CheckpointError, match=f"is refused: beside arrays it holds {match}"):
        read(document({"net": {"w": calls}}))


@pytest.mark.parametrize("letters", ["O8", "V8", "f8", "f2", "i8", "S4", "U4", "O", ">f4", "object"])
def test_other_types_are_refused(letters, read, marker):
    """Joblib itself would go on with an unrestricted pickle after an array of objects."""
    code_behind = pickle.dumps(Runs(os.system, f"touch {marker}"))
    for array in (joblib_array(W, dtype=dtype(letters), raw=code_behind), jax_array(W, dtype=dtype(letters))):
        with pytest.raises(CheckpointError, match=f"is refused: it holds an array of type '{letters}'"):
            read(document({"net": {"w": array}}))


def test_another_byte_order(read):
    for array in (joblib_array(W, dtype=dtype("f4", ">")), jax_array(W, dtype=dtype("f4", ">"))):
        with pytest.raises(CheckpointError, match="big-endian"):
            read(document({"net": {"w": array}}))


@pytest.mark.parametrize(
    ("tree", "match"),
    [
        (joblib_array(W), "holds no arrays"),
        ({}, "holds no arrays"),
        ({"net": {}}, "holds no arrays"),
        ("text", "holds no arrays"),
        ((1, 2), "holds no arrays"),
        ({"w": joblib_array(W)}, "'w' is no dict"),
        ({"net": {"w": joblib_array(W), "lr": 3}}, "'net//lr' is no array"),
        ({"net": {"w": name("numpy.dtype")}}, "'net//w' is no array"),
        ({"net": {"w": Code(name("joblib.numpy_pickle.NumpyArrayWrapper") + b")\x81")}}, "'net//w' is no array"),
        ({"net": {"w": {"w": joblib_array(W)}}}, "'net//w' is no array"),
        ({"net": {3: joblib_array(W)}}, "a name that is no text"),
        ({"net": {"w": Code(joblib_array(W) + b"q\x00"), "v": Code(b"h\x00")}}, "'net//v' is there twice"),
        ({"net//a": {"w": joblib_array(W)}, "net": {"a//w": joblib_array(W)}}, "'net//a//w' is there twice"),
    ],
)
def test_what_is_no_tree(tree, match, read):
    with pytest.raises(CheckpointError, match=match):
        read(document(tree))


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b".",
        b"NN.",
        b"(N.",
        b"(",
        b"t.",
        b"u.",
        b"s.",
        b"Ns.",
        b"}NNs.",
        b"}(Nu.",
        b"R.",
        b"b.",
        b"\x93.",
        b"NN\x93.",
        b"cos",
        b"\x85.",
        b"N\x87.",
        b"(N\x86.",
        b"q\x00.",
        b"\x94.",
        b"h\x07.",
        b"}q\x00h\x01.",
        b"}q\x00(X\x01\x00\x00\x00ah\x00u.",  # a dict that holds itself
        b"X\xff\xff\xff\xff.",
        b"X\x01\x00\x00\x00\xff.",
        b"\x8d" + b"\xff" * 8 + b".",
        b"\x8e" + b"\xff" * 8 + b".",
        b"\x95" + b"\xff" * 8 + b".",
        b"\x80\xff.",
        b"\x00.",
    ],
)
def test_a_malformed_pickle(program, read):
    with pytest.raises(CheckpointError, match=r"damaged|holds no arrays|is no dict|is no array"):
        read(START + program)


def test_references_that_grow_without_bound(read):
    """Each tuple holds the one before twice; each dict many times."""
    doubled = START + b")" + b"q\x00h\x00\x86" * 10_000 + b"."
    nested = START + b"N" + b"\x85" * 200_000 + b"."
    shared = {"a0": Code(b"}(" + code("w") + joblib_array(W) + b"u" + b"q\x00")}
    shared |= {f"a{i}": Code(b"h\x00") for i in range(1, 5000)}
    for content in (doubled, nested):
        with pytest.raises(CheckpointError, match="holds no arrays"):
            read(content)
    with pytest.raises(CheckpointError, match="'a1//w' is there twice"):
        read(document(shared))
    with pytest.raises(CheckpointError, match="beside arrays it holds more than 1,048,576 bytes"):
        read(START + b"N" * 2**20 + b".")


# --- damaged files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", WRITERS)
def test_truncated_anywhere(writer, read):
    content = small(WRITERS[writer])
    for end in range(0, len(content), 5):
        with pytest.raises(CheckpointError, match=r"is no file of joblib: it is empty|damaged"):
            read(content[:end])


def test_bytes_after_the_end(read):
    for more in (b"\0", b".", small()):
        with pytest.raises(CheckpointError, match=f"is refused: {len(more):,} bytes follow after its end"):
            read(small() + more)


def test_no_file_of_joblib(read, tmp_path):
    for content in (b"", b"PK\x03\x04", b"\x89HDF", b"(dp0\n.", b"garbage"):
        with pytest.raises(CheckpointError, match=r"is no file of joblib: it (is empty|begins with)"):
            read(content)
    for path in (tmp_path, tmp_path / "missing.joblib"):
        with pytest.raises(CheckpointError, match="no such file"), joblib_tree(path):
            pass


HUGE = [(2**31 - 1,) * 4, (2**31 - 1,) * 32, (10**9,), (2, 4), (7,)]
NONE = [(2, -3), (0, 3), (0,) * 9, (1,) * 33, (True,), ("2", 3), (None,), ((2, 3),), 6, "23", None]


@pytest.mark.parametrize("shape", HUGE + NONE, ids=lambda shape: str(shape)[:30])
def test_a_shape_of_other_size(shape, read):
    for write in WRITERS.values():
        with pytest.raises(CheckpointError, match=r"damaged, or no file of joblib \(UnpicklingError"):
            read(document({"net": {"w": write(W, shape=shape)}}))


def test_a_shape_of_long_numbers(read):
    long = Code(b"\x8a\xff" + b"\x7f" * 255)
    for write in WRITERS.values():
        with pytest.raises(CheckpointError, match="not made of positive numbers"):
            read(document({"net": {"w": write(W, shape=(long,) * 30)}}))


@pytest.mark.parametrize("size", [0, 20, 23, 25, 28])
def test_a_wrong_number_of_bytes(size, read):
    raw = bytes(size)
    with pytest.raises(CheckpointError, match=f"an array of shape .2, 3. has {size} bytes"):
        read(document({"net": {"w": jax_array(W, raw=raw)}}))
    with pytest.raises(CheckpointError, match=r"is damaged|is refused"):
        read(document({"net": {"w": joblib_array(W, raw=raw)}}))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"order": "A"}, "state of an array of joblib"),
        ({"subclass": None}, "state of an array of joblib"),
        ({"subclass": name("numpy.dtype")}, "state of an array of joblib"),
        ({"dtype": "f4"}, "state of an array of joblib"),
        ({"dtype": call("numpy.dtype", "f4", False, True)}, "no byte order"),
        ({"aligned": False, "numpy_array_alignment_bytes": 16}, "is damaged"),
    ],
)
def test_a_state_that_is_none(changes, match, read):
    with pytest.raises(CheckpointError, match=match):
        read(document({"net": {"w": joblib_array(W, **changes)}}))


def test_a_state_of_jax_that_is_none(read):
    for changes in ({"version": 2}, {"dtype": "f4"}, {"fortran": None}, {"raw": "text"}, {"more": 1}):
        with pytest.raises(CheckpointError, match=r"state of an array of JAX|makes no array"):
            read(document({"net": {"w": jax_array(W, **changes)}}))


@pytest.mark.parametrize("writer", WRITERS)
def test_any_byte_changed(writer, read):
    """A result or a refusal, and nothing else."""
    content, rng = small(WRITERS[writer]), np.random.default_rng(1)
    outcomes = set()
    for place, change in zip(rng.integers(len(content), size=400), rng.integers(1, 256, size=400), strict=True):
        changed = bytearray(content)
        changed[place] ^= change
        with contextlib.suppress(CheckpointError):
            outcomes.add(len(read(changed)))
    assert outcomes <= {3, 4}
    assert 4 in outcomes  # a change in an array is no damage that could be seen


# --- compressed files ------------------------------------------------------------------------------------------------

COMPRESS = {"zlib": zlib.compress, "gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder of temporary files, which must be empty in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


@pytest.mark.parametrize("kind", COMPRESS)
def test_compressed(kind, read, temporary, monkeypatch, tmp_path):
    want = read(small())
    arrays = read(COMPRESS[kind](small()))
    assert all(np.array_equal(arrays[name], array) for name, array in want.items())
    monkeypatch.setattr(_compressed, "_CHUNK", 7)
    assert read(COMPRESS[kind](small(jax_array))).keys() == want.keys()
    with joblib_tree(tmp_path / "params.joblib") as tree:
        assert len(list(temporary.iterdir())) == 1
    with pytest.raises(CheckpointError, match=r"params\.joblib is no longer open"):
        np.asarray(tree["net/~/linear//w"])


@pytest.mark.parametrize("kind", COMPRESS)
def test_compressed_and_damaged(kind, read, temporary):
    content = COMPRESS[kind](small())
    for end in range(6, len(content), 5):
        with pytest.raises(CheckpointError, match=r"is truncated|is damaged"):
            read(content[:end])
    for more in (b"\0", content):
        with pytest.raises(CheckpointError, match=f"bytes follow after its {kind} data"):
            read(content + more)
    with pytest.raises(CheckpointError, match="is no file of joblib: it begins with"):
        read(COMPRESS[kind](content))
    rng = np.random.default_rng(2)
    for place in rng.integers(6, len(content), size=40):
        changed = bytearray(content)
        changed[place] ^= 8
        with contextlib.suppress(CheckpointError):
            assert len(read(changed)) == 4


def test_compressed_code(read, temporary, marker):
    with pytest.raises(CheckpointError, match=r"is refused.*posix\.system"):
        read(gzip.compress(pickle.dumps(Runs(os.system, f"touch {marker}"))))


@pytest.mark.parametrize("kind", COMPRESS)
def test_a_bomb(kind, read, temporary, monkeypatch):
    monkeypatch.setattr(_compressed, "_NEVER_TOO_LARGE", 2**20)
    monkeypatch.setattr(_compressed, "_CHUNK", 2**16)
    content = COMPRESS[kind](bytes(2**22))
    with pytest.raises(
        CheckpointError, match=r"is refused: its [\d,]+ bytes unpack to more than 1,[\d,]+ \(the bound is"
    ):
        read(content)


def test_a_small_file_may_be_all_zeros(read, temporary):
    zeros = np.zeros((1000, 1000), "float32")
    content = zlib.compress(document({"net": {"w": joblib_array(zeros)}}))
    assert len(content) < zeros.nbytes / 500
    assert np.array_equal(read(content)["net//w"], zeros)


def test_no_room_for_a_copy(read, temporary, monkeypatch):
    monkeypatch.setattr(_compressed.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(CheckpointError, match=r"cannot be unpacked into .*TMPDIR"):
        read(zlib.compress(small()))


def test_memory_that_xz_asks_for(read, temporary, monkeypatch):
    monkeypatch.setattr(_compressed, "_MOST_MEMORY", 2**20)
    with pytest.raises(CheckpointError, match="Memory usage limit"):
        read(lzma.compress(small(), preset=6))


def test_lz4(read):
    with pytest.raises(CheckpointError, match="compressed with lz4, which is not supported"):
        read(b"\x04\x22\x4d\x18" + bytes(20))


# --- .npz ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def read_npz(tmp_path):
    """All arrays of an ``.npz`` file with this content."""

    def read_npz(content):
        path = tmp_path / "params.npz"
        path.write_bytes(content)
        with npz_tree(path) as tree:
            return {name: np.asarray(array) for name, array in tree.items()}

    return read_npz


def npz(save=np.savez, **arrays):
    content = io.BytesIO()
    save(content, **arrays)
    return content.getvalue()


ARRAYS = {"net/~/linear//w": W, "net/~/t//w": W.T, "net/~/t//counter": np.array(7, "int32")}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(save, read_npz):
    arrays = read_npz(npz(save, **ARRAYS))
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert np.array_equal(arrays[name], array), name


def test_npz_is_read_while_open(tmp_path):
    np.savez(tmp_path / "x.npz", **ARRAYS)
    with npz_tree(tmp_path / "x.npz") as tree:
        array = tree["net/~/t//w"]
        assert (array.shape, array.dtype) == ((3, 2), np.float32)
        assert np.asarray(array, "float64").dtype == np.float64
    with pytest.raises(CheckpointError, match="cannot be read"):
        np.asarray(array)


@pytest.mark.parametrize(
    "array",
    [W.astype("float64"), W.astype("float16"), W.astype(">f4"), W > 0, np.array(["x"]), np.arange(3)],
    ids=lambda array: array.dtype.str,
)
def test_other_types_in_npz(array, read_npz):
    with pytest.raises(
        CheckpointError, match=f"is refused: its entry 'net//w.npy' is of type '.?{array.dtype.str[1:]}'"
    ):
        read_npz(npz(**{"net//w": array}))


def test_code_in_npz(read_npz, marker):
    objects = np.array([Runs(os.system, f"touch {marker}")], dtype=object)
    with pytest.raises(CheckpointError, match=r"is of type '\|O'.*could run code"):
        read_npz(npz(**{"net//w": objects}))
    fields = np.zeros(3, [("a", "O")])
    with pytest.raises(CheckpointError, match="is no plain array"):
        read_npz(npz(**{"net//w": fields}))


def test_what_is_no_tree_in_npz(read_npz, tmp_path):
    for content in (b"", b"PK\x03\x04", START + b"}."):
        with pytest.raises(CheckpointError, match=r"is no \.npz file"):
            read_npz(content)
    with pytest.raises(CheckpointError, match="cannot be read"), npz_tree(tmp_path / "missing.npz"):
        pass
    with pytest.raises(CheckpointError, match="holds no arrays"):
        read_npz(npz())
    with pytest.raises(CheckpointError, match=r"'arr_0\.npy' is no 'module//parameter'"):
        read_npz(npz(arr_0=W))


RAW = W.tobytes()


def entry(header, raw=RAW, times=1, **options):
    """An ``.npz`` file with one entry as given."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", **options) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the same name twice
        for _ in range(times):
            archive.writestr("net//w.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + raw)
    return content.getvalue()


def header(shape, descr="<f4"):
    return f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()


def test_damaged_npz(read_npz):
    assert np.array_equal(read_npz(entry(header((2, 3))))["net//w"], W)
    for shape in [*HUGE, (0, 3), (1,) * 33, (10**400,), "(2 3)"]:
        with pytest.raises(CheckpointError, match="damaged"):
            read_npz(entry(header(shape)))
    for other in (b"", b"{", header((2, -3)), header("6"), b"(" * 5000, b"__import__('os').system('true')"):
        with pytest.raises(CheckpointError, match="is no plain array"):
            read_npz(entry(other))
    with pytest.raises(CheckpointError, match="there twice"):
        read_npz(entry(header((2, 3)), times=2))
    with pytest.raises(CheckpointError, match="compressed as NumPy never does"):
        read_npz(entry(header((2, 3)), compression=zipfile.ZIP_LZMA))


def test_a_small_npz_may_be_all_zeros(read_npz):
    zeros = entry(header((2**20,)), bytes(2**22), compression=zipfile.ZIP_DEFLATED)
    assert len(read_npz(zeros)["net//w"]) == 2**20


def test_a_bomb_in_npz(read_npz, monkeypatch):
    monkeypatch.setattr(_compressed, "_NEVER_TOO_LARGE", 2**20)
    with pytest.raises(CheckpointError, match=r"unpack to more than 1,[\d,]+ \(the bound is 200 times"):
        read_npz(entry(header((2**20,)), bytes(2**22), compression=zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_any_byte_of_npz_changed(save, read_npz):
    content, rng = npz(save, **ARRAYS), np.random.default_rng(3)
    for place, change in zip(rng.integers(len(content), size=400), rng.integers(1, 256, size=400), strict=True):
        changed = bytearray(content)
        changed[place] ^= change
        with contextlib.suppress(CheckpointError):
            assert len(read_npz(changed)) <= 3
