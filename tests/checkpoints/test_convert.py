"""Weight files into models: every way a file can be found, read, and be the wrong one."""

import json
import shutil

import h5py
import keras
import numpy as np
import pytest

from crested_like._errors import CheckpointError
from crested_like.checkpoints import convert
from crested_like.checkpoints._apply import Pair, fill, layers_in_order
from crested_like.checkpoints._baskerville_build import build
from crested_like.checkpoints._baskerville_params import read_params
from crested_like.layers._initializers import nothing_drawn


@pytest.fixture(scope="module")
def original(randomise, small):
    """A model with the human head, as its authors would have it."""
    with nothing_drawn():
        return randomise(build(read_params(small), ["human"]))


@pytest.fixture
def folder(tmp_path, params, original, write_h5):
    """``model0_best.h5`` and its ``params.json``."""
    (tmp_path / "params.json").write_text(json.dumps(params))
    write_h5(tmp_path / "model0_best.h5", layers_in_order(original))
    return tmp_path


def same_weights(model, original):
    assert [w.path for w in model.weights] == [w.path for w in original.weights]
    return all(np.array_equal(a, b) for a, b in zip(model.get_weights(), original.get_weights(), strict=True))


def test_converts_a_folder(folder, original):
    model = convert(folder)
    assert same_weights(model, original)
    assert model.output_shape == (None, 48, 5)


def test_params_one_folder_up(folder, original):
    inner = folder / "f0"
    inner.mkdir()
    (folder / "model0_best.h5").rename(inner / "model0_best.h5")
    assert same_weights(convert(inner / "model0_best.h5"), original)


@pytest.mark.parametrize("form", [dict, str, None])
def test_params_given(form, folder, params, original):
    shutil.move(folder / "params.json", folder / "other.json")
    given = {dict: params, str: str(folder / "other.json"), None: folder / "other.json"}[form]
    assert same_weights(convert(folder, params=given), original)


@pytest.mark.parametrize("first", [0, 3, 20])
def test_order_is_by_number_wherever_it_starts(first, folder, original, write_h5):
    write_h5(folder / "model0_best.h5", layers_in_order(original), first=first)
    with h5py.File(folder / "model0_best.h5", "a") as file:  # the order of the list is not that of making
        group = file["model_weights"]
        group.attrs["layer_names"] = sorted(group.attrs["layer_names"])
    assert same_weights(convert(folder), original)


def test_weights_alone_and_long_lists_in_parts(folder, original, write_h5):
    path = write_h5(folder / "model0_best.h5", layers_in_order(original), group="")
    with h5py.File(path, "a") as file:
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        parts = [names[:5], *([name] for name in names[5:15]), names[15:]]
        for i, part in enumerate(parts):
            file.attrs[f"layer_names{i}"] = part
    assert same_weights(convert(folder), original)


def test_attention_biases_of_heads_by_keys(folder, original):
    with h5py.File(folder / "model0_best.h5", "a") as file:
        group = file["model_weights/multihead_attention/multihead_attention"]
        for name in ("r_w_bias:0", "r_r_bias:0"):
            value = group[name][0, :, 0]
            del group[name]
            group[name] = value
    assert same_weights(convert(folder), original)


def test_writes_a_file(folder, original, tmp_path):
    convert(folder, out=tmp_path / "out.keras")
    assert same_weights(keras.models.load_model(tmp_path / "out.keras"), original)


def test_builds_in_float32_under_any_policy(folder):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = convert(folder)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}


def test_draws_nothing_that_is_overwritten(folder):
    model = convert(folder)
    assert type(model.get_layer("tower_1_conv").kernel_initializer).__name__ == "Zeros"
    with pytest.raises(CheckpointError):
        convert(folder, head="mouse")
    assert np.any(build(read_params(folder / "params.json"), ["human"]).get_layer("tower_1_conv").kernel)


def test_settings_reach_the_network(folder):
    model = convert(folder, input_length=512, output_bins=100, activation="gelu_sigmoid")
    assert (model.input_shape[1], model.output_shape[1]) == (512, 100)
    assert model.get_layer("trunk").activation.__name__ == "gelu_sigmoid"


def model_config(*layers):
    return json.dumps({"class_name": "Functional", "config": {"layers": list(layers)}})


BASENJI_GELU = {"class_name": "GELU", "config": {}, "name": "gelu"}


def keras_gelu(**arguments):
    nodes = [["conv1d", 0, 0, arguments]]
    return {"class_name": "TFOpLambda", "config": {"function": "nn.gelu"}, "inbound_nodes": nodes}


@pytest.mark.parametrize(
    ("layer", "activation"),
    [
        (BASENJI_GELU, "gelu_sigmoid"),
        (keras_gelu(approximate=True), "gelu_tanh"),
        (keras_gelu(), "gelu_tanh"),
        (keras_gelu(approximate=False), "gelu_erf"),
    ],
)
def test_the_file_knows_its_gelu(layer, activation, folder):
    with h5py.File(folder / "model0_best.h5", "a") as file:
        file.attrs["model_config"] = model_config({"class_name": "Dense", "config": {}}, layer)
    assert convert(folder).get_layer("trunk").activation.__name__ == activation
    assert convert(folder, activation="gelu_erf").get_layer("trunk").activation.__name__ == "gelu_erf"


def test_file_with_two_gelus(folder):
    with h5py.File(folder / "model0_best.h5", "a") as file:
        file.attrs["model_config"] = model_config(BASENJI_GELU, keras_gelu(approximate=True))
    with pytest.raises(CheckpointError, match=r"several forms of GELU: gelu_sigmoid, gelu_tanh\. Say which"):
        convert(folder)


# Which head


@pytest.mark.parametrize("name", ["model1.h5", "model1_best.h5", "model1_check.h5", "model.h5", "anything.h5"])
def test_head_by_name_or_units(name, folder, params, randomise, write_h5):
    with nothing_drawn():
        mouse = randomise(build(read_params(params), ["mouse"]))
    (folder / "model0_best.h5").unlink()
    write_h5(folder / name, layers_in_order(mouse))
    assert same_weights(convert(folder), mouse)


HEADS = [
    ("model0_best.h5", {"head": "mouse"}, "ends in 5 units, but the head asked for, 'mouse', has 3"),
    ("model0_best.h5", {"head": "mose"}, "There is no head 'mose'. Did you mean 'mouse'.* Heads are: 'human'"),
    ("model1_best.h5", {}, "ends in 5 units, but the head that the name model1_best.h5 stands for, 'mouse', has 3"),
    ("model2.h5", {}, "model2.h5 should hold head 2"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), HEADS)
def test_wrong_head(name, arguments, message, folder):
    (folder / "model0_best.h5").rename(folder / name)
    with pytest.raises(CheckpointError, match=message):
        convert(folder, **arguments)


@pytest.mark.parametrize(("units", "message"), [((5, 5), "several heads have as many.*head="), ((4, 3), "no head has")])
def test_head_that_units_do_not_tell(units, message, folder, params):
    (folder / "model0_best.h5").rename(folder / "model.h5")
    params["model"]["head_human"]["units"], params["model"]["head_mouse"]["units"] = units
    with pytest.raises(CheckpointError, match=message):
        convert(folder, params=params)


# Finding the file


def test_several_weight_files(folder):
    shutil.copy(folder / "model0_best.h5", folder / "model1_best.h5")
    with pytest.raises(
        CheckpointError, match=r"several weight files: model0_best\.h5, model1_best\.h5\. Give the path"
    ):
        convert(folder)


def test_no_weight_file(tmp_path):
    with pytest.raises(CheckpointError, match="holds no weight file"):
        convert(tmp_path)
    with pytest.raises(CheckpointError, match="There is no file or folder"):
        convert(tmp_path / "model.h5")


def test_no_params(folder):
    (folder / "params.json").unlink()
    with pytest.raises(CheckpointError, match=r"no params\.json in .* Give params=, or architecture= .*basenji2"):
        convert(folder)


def test_arguments_that_make_no_sense(folder, params):
    with pytest.raises(CheckpointError, match="Give params or architecture, not both"):
        convert(folder, params=params, architecture="borzoi")
    with pytest.raises(CheckpointError, match=r"'inputlength' is no setting .* Did you mean 'input_length'"):
        convert(folder, inputlength=512)
    with pytest.raises(CheckpointError, match=r"out must be called \*\.keras"):
        convert(folder, out="model.h5")
    with pytest.raises(ValueError, match="activation must be one of 'gelu_tanh'"):
        convert(folder, activation="gelu")
    with pytest.raises(ValueError, match="architecture must be one of 'basenji2'"):
        convert(folder, architecture="enformer")


def test_activation_without_effect(trunk_of, folder):
    content = trunk_of({"name": "conv_dna", "filters": 4}, activation="relu")
    with pytest.raises(CheckpointError, match="no block of this network uses gelu"):
        convert(folder, params=content, activation="gelu_erf")


# Reading the file


def test_truncated_file(folder):
    path = folder / "model0_best.h5"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="is truncated or damaged"):
        convert(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"version https://git-lfs", "is not an HDF5 file: it begins with b'version '"), (b"", "it is empty")],
)
def test_not_hdf5(content, message, folder):
    (folder / "model0_best.h5").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        convert(folder)


def test_unknown_format(tmp_path):
    (tmp_path / "model.xyz").write_bytes(b"GIF89a")
    with pytest.raises(CheckpointError, match=r"of no known format. Known are: baskerville-h5 \(\*\.h5"):
        convert(tmp_path / "model.xyz")


def damage(path, how):
    with h5py.File(path, "a") as file:
        how(file)


def test_training_checkpoint(folder):
    damage(folder / "model0_best.h5", lambda file: file.create_group("optimizer_weights"))
    with pytest.raises(CheckpointError, match="training checkpoint: it holds the state of an optimizer"):
        convert(folder)


def test_other_hdf5(folder):
    damage(folder / "model0_best.h5", lambda file: file.move("model_weights", "layers"))
    with pytest.raises(CheckpointError, match=r"not one of Keras 2: it lists no layer_names\. It holds: layers"):
        convert(folder)


def test_array_that_is_listed_but_missing(folder):
    damage(folder / "model0_best.h5", lambda file: file.__delitem__("model_weights/conv1d/conv1d/bias:0"))
    with pytest.raises(CheckpointError, match=r"is truncated or damaged .*bias:0"):
        convert(folder)


def test_array_that_no_layer_lists(folder):
    damage(folder / "model0_best.h5", lambda file: file.create_dataset("model_weights/conv1d/mask", data=[1.0]))
    with pytest.raises(CheckpointError, match="arrays that none of its layers lists: /model_weights/conv1d/mask"):
        convert(folder)


def test_layer_of_no_known_kind(folder):
    def how(file):
        group = file["model_weights/dense"]
        group.attrs["weight_names"] = [name.replace("kernel", "matrix") for name in group.attrs["weight_names"]]
        group["dense"].move("kernel:0", "matrix:0")

    damage(folder / "model0_best.h5", how)
    with pytest.raises(CheckpointError, match="layer 'dense' is of no kind known here; its weights are matrix, bias"):
        convert(folder)


# The file and the network


def test_wrong_network_lists_everything(folder, params):
    params["model"]["trunk"][0]["filters"] = 9  # wrong shapes
    params["model"]["trunk"][2]["repeat"] = 2  # weights that nothing fills
    params["model"]["trunk"].insert(5, {"name": "conv_nac"})
    with pytest.raises(CheckpointError) as error:
        convert(folder, params=params)
    text = str(error.value)
    assert r"wrong shape: conv1d/kernel (7, 4, 6) for stem_conv/kernel (7, 4, 9)" in text
    assert "unset: transformer_2_attention/q_layer/kernel (8, 8)" in text
    assert "unset: final_conv/kernel (1, 8, 8)" in text
    assert "right architecture or parameter file" in text


def test_arrays_left_over(folder, params):
    params["model"]["trunk"][1]["repeat"] = 1
    with pytest.raises(CheckpointError, match=r"- unused: conv1d_2/kernel \(5, 6, 8\)"):
        convert(folder, params=params)


@pytest.fixture
def dense():
    dna = keras.Input((2,))
    return keras.Model(dna, keras.layers.Dense(3, name="d")(dna))


def test_fill_with_a_change(dense):
    arrays = {"w": np.arange(6.0).reshape(3, 2), "b": np.ones(3), "step": np.zeros(())}
    pairs = [Pair("w", "d/kernel", np.transpose), Pair("b", "d/bias")]
    fill(dense, arrays, pairs, source="x", unused=["step"])
    assert dense.get_weights()[0].tolist() == [[0, 2, 4], [1, 3, 5]]


def test_fill_says_all_that_is_wrong(dense):
    before = dense.get_weights()
    arrays = {"w": np.zeros((2, 3)), "extra": np.zeros(4)}
    pairs = [Pair("w", "d/kernel", np.transpose), Pair("w", "d/kernel"), Pair("no", "d/bias"), Pair("extra", "no")]
    with pytest.raises(CheckpointError) as error:
        fill(dense, arrays, pairs, source="x.h5")
    for part in (
        "x.h5 does not fit the network",
        "wrong shape: w (2, 3) as (3, 2) for d/kernel (2, 3)",
        "used twice: w",
        "set twice: d/kernel",
        "unused: extra (4,)",
        "unset: d/bias (3,)",
    ):
        assert part in str(error.value)
    assert all(np.array_equal(a, b) for a, b in zip(dense.get_weights(), before, strict=True))


# Published architectures without a parameter file


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("basenji2_tiny", "basenji2"),
        ("basenji2_release_tiny", "basenji2"),
        ("baskerville_borzoi_tiny", "borzoi"),
        ("baskerville_borzoi_prime_tiny", "borzoi_prime"),
    ],
)
def test_architecture_with_the_widths_of_the_arrays(name, architecture, golden_dir):
    path = golden_dir / name / "model0.h5"
    model, other = convert(path, architecture=architecture), convert(path)
    assert model.name == architecture
    assert model.output_shape == other.output_shape
    assert {w.path: tuple(w.shape) for w in model.weights} == {w.path: tuple(w.shape) for w in other.weights}
    activations = [m.get_layer("trunk").activation.__name__ for m in (model, other)]
    assert activations == ["gelu_sigmoid" if "release" in name else "gelu_tanh"] * 2


def test_architecture_at_another_length(golden_dir):
    path = golden_dir / "baskerville_borzoi_tiny" / "model1.h5"
    model = convert(path, architecture="borzoi", input_length=2048)
    assert model.output_shape == (None, 448, 3)
    assert model.get_layer("head_mouse").units == 3
    model = convert(path, architecture="borzoi", output_bins=100, head="rat", position_length=64)
    assert model.output_shape == (None, 100, 3)
    assert model.get_layer("head_rat").units == 3


WRONG = [
    ("baskerville_borzoi_tiny", "borzoi_prime", {}, "is no borzoi_prime .*it has 2 U-Net stages"),
    ("baskerville_borzoi_tiny", "basenji2", {}, r"is no basenji2 .*its layers are: 5 convolution"),
    ("basenji2_tiny", "borzoi", {}, "is no borzoi .*19 convolution, 19 batch norm, 1 dense"),
    ("basenji2_tiny", "basenji2", {"position_length": 8}, "position_length has no effect on basenji2"),
]


@pytest.mark.parametrize(("name", "architecture", "settings", "message"), WRONG)
def test_wrong_architecture(name, architecture, settings, message, golden_dir):
    with pytest.raises(CheckpointError, match=message):
        convert(golden_dir / name / "model0.h5", architecture=architecture, **settings)
