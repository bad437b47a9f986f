from __future__ import annotations

import json
import logging
import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from crested_like._card import ModelCard, attach
from crested_like._errors import ModelFileError
from crested_like.checkpoints._keras import load_keras, portable, read_card, save_keras


@pytest.fixture
def published(golden_dir) -> Path:
    return golden_dir / "crested_dilated_cnn_tiny"


@pytest.fixture
def small_model() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((32, 4)),
            keras.layers.Conv1D(6, 5, kernel_initializer="ones", bias_initializer="ones"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3, kernel_initializer="he_normal"),
        ],
        name="small",
    )


def entries(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rezip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_published_file_gives_its_numbers_also_after_writing_it_again(published, tmp_path):
    one_hot = np.load(published / "input.npz")["one_hot"].astype("float32")
    want = np.load(published / "expected.npz")["output_0"]
    model = load_keras(published / "model.keras")
    written = save_keras(model, tmp_path / "again.keras")
    for loaded in (model, load_keras(written)):
        assert np.abs(loaded.predict(one_hot, verbose=0) - want).max() <= 2e-5 * np.abs(want).max()
    # what older Keras refuses and what loading need not draw is gone
    text = entries(written)["config.json"].decode()
    for key in ("input_axes", "output_axes", "quantization_config", "renorm", "HeNormal", "GlorotUniform"):
        assert key not in text
    assert '"Ones"' in text


def test_file_is_what_keras_writes_and_loads(small_model, tmp_path, rng):
    path = save_keras(small_model, tmp_path / "deep" / "m.keras")
    assert list(entries(path)) == ["metadata.json", "config.json", "model.weights.h5"]
    with zipfile.ZipFile(path) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    x = rng.normal(size=(2, 32, 4)).astype("float32")
    again = keras.models.load_model(path)
    np.testing.assert_allclose(again.predict(x, verbose=0), small_model.predict(x, verbose=0), atol=1e-6)
    assert [path.name for path in path.parent.iterdir()] == ["m.keras"]


def test_card_travels(small_model, tmp_path):
    path = save_keras(small_model, tmp_path / "m.keras", ModelCard(name="mine", num_tracks=3))
    assert read_card(path) == ModelCard(name="mine", num_tracks=3)
    attach(small_model, ["a", "b", "c"])
    assert read_card(save_keras(small_model, path)).track_table()["identifier"].tolist() == ["a", "b", "c"]
    assert load_keras(path).output_shape == (None, 28, 3)  # Keras ignores the extra entry


def test_files_without_or_with_an_odd_card(published, tmp_path):
    assert read_card(published / "model.keras") is None
    files = entries(published / "model.keras")
    newer = rezip(tmp_path / "n.keras", {**files, "card.json": b'{"name": "m", "from_the_future": 1}'})
    assert read_card(newer) == ModelCard(name="m")
    odd = rezip(tmp_path / "o.keras", {**files, "card.json": b'{"name": 5}'})
    with pytest.raises(ModelFileError, match=r"o.keras has a card that cannot be read: name: must be a string; got 5"):
        read_card(odd)
    broken = rezip(tmp_path / "b.keras", {**files, "card.json": b"[1]"})
    with pytest.raises(ModelFileError, match=r"b.keras is damaged: its card.json is not a JSON object"):
        read_card(broken)


def test_interrupted_write_leaves_the_old_file(small_model, tmp_path, monkeypatch):
    path = save_keras(small_model, tmp_path / "m.keras")
    before = path.read_bytes()

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(small_model), "save_weights", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_keras(small_model, path)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m.keras"]


def test_what_cannot_be_saved(small_model, tmp_path):
    with pytest.raises(ModelFileError, match=r"must be called \*.keras; got 'm.h5'"):
        save_keras(small_model, tmp_path / "m.h5")
    with pytest.raises(ModelFileError, match="has no weights yet"):
        save_keras(keras.Sequential([keras.layers.Dense(2)]), tmp_path / "m.keras")


def test_portable_keeps_what_says_something():
    config = {
        "renorm": True,
        "renorm_momentum": 0.9,
        "quantization_config": {"mode": "int8"},
        "layers": [{"renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99, "units": 2}],
        "kernel_initializer": {
            "module": "keras.initializers",
            "class_name": "HeNormal",
            "config": {"input_axes": None},
        },
        "initializer": "glorot_uniform",
        "gamma_initializer": {"class_name": "Constant", "config": {"value": 2}},
        "bias_initializer": "ones",
        "beta_initializer": None,
    }
    assert portable(config) == {
        "renorm": True,
        "renorm_momentum": 0.9,
        "quantization_config": {"mode": "int8"},
        "layers": [{"units": 2}],
        "kernel_initializer": {
            "module": "keras.initializers",
            "class_name": "Zeros",
            "config": {},
            "registered_name": None,
        },
        "initializer": "zeros",
        "gamma_initializer": {"class_name": "Constant", "config": {"value": 2}},
        "bias_initializer": "ones",
        "beta_initializer": None,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\x89HDF\r\n\x1a\n....", r"it is an HDF5 file\. Convert it with crested_like.checkpoints.convert"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "it is a web page"),
        (b"\x1f\x8b\x08", "it is a gzip archive"),
        (b"\x80\x04\x95", "it is a pickle, which is never opened"),
        (b"some text", "it is of another kind"),
    ],
)
def test_what_is_no_keras_model(tmp_path, content, message):
    path = tmp_path / "m.keras"
    path.write_bytes(content)
    with pytest.raises(
        ModelFileError, match=rf"m.keras is no Keras model \(a .keras file is a zip archive\); {message}"
    ):
        load_keras(path)


def test_missing_folder_and_truncated(published, tmp_path):
    with pytest.raises(ModelFileError, match=r"There is no file .*none.keras"):
        load_keras(tmp_path / "none.keras")
    with pytest.raises(ModelFileError, match=r"is a folder; give the .keras file in it"):
        load_keras(tmp_path)
    cut = tmp_path / "cut.keras"
    cut.write_bytes((published / "model.keras").read_bytes()[:-2000])
    with pytest.raises(ModelFileError, match=r"cut.keras is truncated or damaged .* Fetch or save it again"):
        load_keras(cut)


def test_other_zip_archives(published, tmp_path):
    files = entries(published / "model.keras")
    with pytest.raises(ModelFileError, match=r"zip archive without config.json\. It holds a.txt"):
        load_keras(rezip(tmp_path / "a.keras", {"a.txt": b""}))
    with pytest.raises(ModelFileError, match=r"zip archive without model.weights.h5\. It holds config.json"):
        load_keras(rezip(tmp_path / "b.keras", {"config.json": b"{}"}))
    with pytest.raises(ModelFileError, match=r"damaged: its config.json cannot be read"):
        load_keras(rezip(tmp_path / "c.keras", {**files, "config.json": b"{"}))
    with pytest.raises(ModelFileError, match=r"its config.json describes none"):
        load_keras(rezip(tmp_path / "d.keras", {**files, "config.json": b"{}"}))
    with pytest.raises(ModelFileError, match=r"e.keras cannot be loaded as a Keras model"):
        load_keras(rezip(tmp_path / "e.keras", {**files, "model.weights.h5": b"nothing"}))


def test_what_unpacks_to_more_than_weights_can(tmp_path, published):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(published / "model.keras") as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("config.json", old.read("config.json"))
        with new.open("model.weights.h5", "w") as stream:
            for _ in range(120):
                stream.write(bytes(2**20))
    with pytest.raises(ModelFileError, match=r"refused: its entry 'model\.weights\.h5' would unpack from .* bytes"):
        load_keras(path)


def test_unknown_layer_is_named(small_model, tmp_path):
    path = save_keras(small_model, tmp_path / "m.keras")
    files = entries(path)
    config = json.loads(files["config.json"])
    config["config"]["layers"][1].update(class_name="Mystery", module="nowhere.at_all", registered_name="lab>Mystery")
    rezip(path, {**files, "config.json": json.dumps(config).encode()})
    with pytest.raises(ModelFileError, match=r"Could not locate class 'Mystery'\. Import the package that defines it"):
        load_keras(path)


def test_lambda_is_never_executed(tmp_path):
    dna = keras.Input((8, 4))
    model = keras.Model(dna, keras.layers.Lambda(lambda x: x * 2, output_shape=(8, 4))(dna))
    model.save(tmp_path / "l.keras")
    with pytest.raises(ModelFileError, match=r"it holds Python code \(a Lambda layer\), which is never executed"):
        load_keras(tmp_path / "l.keras")


@pytest.mark.skipif(keras.backend.backend() in ("openvino", "numpy"), reason="this backend does not compile models")
def test_compiled_models(small_model, tmp_path, caplog):
    small_model.compile("adam", "mse")
    path = save_keras(small_model, tmp_path / "m.keras")
    assert load_keras(path).compiled
    files = entries(path)
    config = json.loads(files["config.json"])
    config["compile_config"]["loss"] = {
        "module": "lab",
        "class_name": "LabLoss",
        "config": {},
        "registered_name": "lab>LabLoss",
    }
    odd = rezip(tmp_path / "odd.keras", {**files, "config.json": json.dumps(config).encode()})
    with caplog.at_level(logging.WARNING):
        model = load_keras(odd)
    assert not model.compiled
    assert "odd.keras was loaded for prediction only" in caplog.text
    assert "LabLoss" in caplog.text


def test_copy_loads_without_its_folder(published, tmp_path):
    shutil.copy(published / "model.keras", tmp_path / "a name with spaces.keras")
    assert load_keras(str(tmp_path / "a name with spaces.keras")).output_shape == (None, 4)
