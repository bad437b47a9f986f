"""Weight files of other packages: made, converted, exported, and wrong in every way."""

import json
import shutil

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from crested_like._errors import CheckpointError
from crested_like.checkpoints import convert, export
from crested_like.checkpoints._keras import save_keras
from crested_like.layers._initializers import nothing_drawn
from crested_like.tl import zoo

COMMON = {"input_length": 1024, "stem_filters": 6, "tower_filters": (6, 8, 8, 8, 8, 12), "transformer_blocks": 2}
COMMON |= {"attention_heads": 2}
BORZOI = {**COMMON, "key_size": 4, "position_features": 6, "position_length": 4096, "output_bins": 16}
NETWORKS = {
    "borzoi": ("borzoi-pytorch", {**BORZOI, "heads": {"human": 5}, "final_filters": 10}),
    "borzoi, two heads": ("borzoi-pytorch", {**BORZOI, "heads": {"human": 5, "mouse": 3}, "value_size": 5}),
    "borzoi_prime": ("borzoi-pytorch", {**BORZOI, "heads": {"mouse": 3}}),
    "flashzoi": ("borzoi-pytorch", {**COMMON, "rotary_dim": 4, "heads": {"human": 5}, "output_bins": 16}),
    "enformer": ("enformer-pytorch", {**COMMON, "key_size": 4, "output_bins": 4, "heads": {"human": 5, "mouse": 3}}),
    "enformer, one head": (
        "enformer-pytorch",
        {**COMMON, "gamma_axis": "features", "output_bins": 8, "heads": {"x": 2}},
    ),
}


@pytest.fixture(scope="module")
def network(randomise):
    """One of the networks above, with weights of which none is zero, and what its file cannot say."""

    def make(name):
        form, settings = NETWORKS[name]
        with nothing_drawn():
            model = randomise(getattr(zoo, name.split(",")[0])(**settings))
        return form, model, {key: settings[key] for key in ("input_length", "rotary_dim") if key in settings}

    return make


@pytest.fixture
def written(network, tmp_path):
    """A small Borzoi as borzoi-pytorch would write it."""
    form, model, _ = network("borzoi")
    return export(model, form, tmp_path / "model.safetensors")


def changed(path, change):
    """Rewrite the arrays of a file."""
    arrays = load_file(path)
    change(arrays)
    save_file(arrays, path)


def changed_config(path, **values):
    config = path.with_name("config.json")
    config.write_text(json.dumps({**json.loads(config.read_text()), **values}))


@pytest.mark.parametrize("name", NETWORKS)
def test_out_and_back_is_the_same(name, network, tmp_path, rng):
    form, model, settings = network(name)
    path = export(model, form, tmp_path / "model.safetensors")
    again = convert(path, **settings)
    assert again.name == name.split(",")[0]
    assert {w.path for w in again.weights} == {w.path for w in model.weights}
    theirs = {w.path: w for w in again.weights}
    for weight in model.weights:
        assert np.array_equal(*(keras.ops.convert_to_numpy(w) for w in (weight, theirs[weight.path]))), weight.path
    one_hot = np.eye(4, dtype="float32")[rng.integers(0, 4, (1, 1024))]
    for a, b in zip(*(keras.tree.flatten(m.predict_on_batch(one_hot)) for m in (model, again)), strict=True):
        assert np.array_equal(a, b)
    export(again, form, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("head", ["human", "mouse"])
def test_one_head(head, network, tmp_path):
    form, model, settings = network("borzoi, two heads")
    path = export(model, form, tmp_path / "model.safetensors")
    one = convert(path, head=head, **settings)
    assert one.output_shape == (None, 16, {"human": 5, "mouse": 3}[head])
    with pytest.raises(CheckpointError, match=r"no head 'Human'.*Did you mean 'human'.*human, mouse"):
        convert(path, head="Human", **settings)


@pytest.mark.parametrize("place", ["beside", "above", "given", "content"])
def test_where_the_config_is(place, written, tmp_path):
    config = written.with_name("config.json")
    given = {}
    if place == "above":
        folder = tmp_path / "weights"
        folder.mkdir()
        written = written.rename(folder / written.name)
    elif place == "given":
        given = {"params": config.rename(tmp_path / "other.json")}
    elif place == "content":
        given = {"params": json.loads(config.read_text())}
        config.unlink()
    assert convert(written, input_length=1024, **given).output_shape == (None, 16, 5)


def test_without_a_config_the_published_numbers_hold(written):
    written.with_name("config.json").unlink()
    model = convert(written, output_bins=None, input_length=2048)
    assert model.output_shape == (None, 64, 5)
    assert model.get_layer("transformer_1_attention").position_length == 4096


def test_writes_a_file_that_any_keras_opens(written, tmp_path):
    model = convert(written, input_length=1024, out=tmp_path / "x.keras")
    again = keras.models.load_model(tmp_path / "x.keras")
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))


def test_what_does_not_fit_says_so_before_it_starts(written, tmp_path, monkeypatch):
    size = written.stat().st_size
    monkeypatch.setattr("crested_like._memory.free_bytes", lambda: size)
    with pytest.raises(CheckpointError, match=r"needs about 0\.0 GB of memory, and 0\.0 GB are free"):
        convert(written, input_length=1024, out=tmp_path / "x.keras")
    assert not (tmp_path / "x.keras").exists()


class TestWrongFiles:
    def test_missing_and_extra_arrays(self, written):
        def change(arrays):
            arrays["res_tower.1.conv_layer.weight"] = arrays.pop("res_tower.0.conv_layer.bias")

        changed(written, change)
        with pytest.raises(CheckpointError) as raised:
            convert(written, input_length=1024)
        assert "unused: res_tower.1.conv_layer.weight (6,)" in str(raised.value)
        assert "unset: tower_1_conv/bias (6,)" in str(raised.value)

    def test_an_array_without_which_nothing_is_known(self, written):
        changed(written, lambda arrays: arrays.pop("conv_dna.conv_layer.weight"))
        with pytest.raises(CheckpointError, match=r"lacks an array: what becomes stem_conv/kernel of borzoi"):
            convert(written, input_length=1024)

    def test_transposed(self, written):
        name = "transformer.1.1.fn.1.weight"
        changed(written, lambda arrays: arrays.update({name: np.ascontiguousarray(arrays[name].T)}))
        with pytest.raises(CheckpointError) as raised:
            convert(written, input_length=1024)
        assert f"wrong shape: {name} (12, 24) as (24, 12) for transformer_2_expand/kernel (12, 24)" in str(raised.value)

    def test_another_number_of_axes(self, written):
        name = "conv_dna.conv_layer.weight"
        changed(written, lambda arrays: arrays.update({name: arrays[name][..., 0]}))
        with pytest.raises(CheckpointError, match=rf"{name}, which becomes stem_conv/kernel, has 2 axes instead of 3"):
            convert(written, input_length=1024)

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"depth": 3}, r"transformer_blocks = 3, but the arrays .* say 2"),
            (
                {"heads": 4},
                r"attention_heads = 4, .* say 2 \(transformer_1_attention/r_w_bias .* \(1, 2, 1, 4\)",
            ),
            ({"attn_dim_key": 64}, r"key_size = 64, .* say 4"),
        ],
    )
    def test_a_config_of_another_network(self, wrong, message, written):
        changed_config(written, **wrong)
        with pytest.raises(CheckpointError, match=message):
            convert(written, input_length=1024)

    @pytest.mark.parametrize("content", ["{", "[1]", ""])
    def test_a_config_that_is_none(self, content, written):
        written.with_name("config.json").write_text(content)
        with pytest.raises(CheckpointError, match=r"config\.json (cannot be read as JSON|must hold a JSON object)"):
            convert(written, input_length=1024)

    def test_another_architecture(self, written):
        with pytest.raises(CheckpointError, match=r"is no enformer: its arrays .* are those of borzoi"):
            convert(written, architecture="enformer")
        with pytest.raises(ValueError, match="architecture must be one of"):
            convert(written, architecture="borzio")

    def test_settings(self, written):
        with pytest.raises(CheckpointError, match=r"'input_lenght' is no setting.*Did you mean 'input_length'"):
            convert(written, input_lenght=1024)
        with pytest.raises(CheckpointError, match="gamma_axis has no effect on borzoi"):
            convert(written, gamma_axis="positions", input_length=1024)
        with pytest.raises(CheckpointError, match="does not make a network: input_length must be a multiple of 128"):
            convert(written, input_length=1000)

    def test_heads_that_do_not_divide(self, network, tmp_path):
        form, model, settings = network("flashzoi")
        path = export(model, form, tmp_path / "model.safetensors")
        path.with_name("config.json").unlink()
        with pytest.raises(CheckpointError, match=r"8 attention heads do not divide .* attention_heads="):
            convert(path, **settings)
        assert convert(path, attention_heads=2, output_bins=16, **settings).output_shape == (None, 16, 5)


class TestMultimolecule:
    def test_a_table_of_another_length(self, golden_dir, tmp_path):
        path = tmp_path / "model.safetensors"
        folder = golden_dir / "multimolecule_enformer_tiny"
        shutil.copy(folder / "model.safetensors", path)
        shutil.copy(folder / "config.json", tmp_path)
        with pytest.raises(CheckpointError, match=r"table of gamma features \(3071, 3\) .* for 512 positions"):
            convert(path, input_length=4096, output_bins=None)
        changed_config(path, use_precomputed_gamma_basis=False)
        with pytest.raises(CheckpointError, match=r"differs from the one .* gamma_axis='features'"):
            convert(path)

    def test_n_that_was_learnt_is_told(self, golden_dir, tmp_path, caplog):
        path = tmp_path / "model.safetensors"
        folder = golden_dir / "multimolecule_borzoi_tiny"
        shutil.copy(folder / "model.safetensors", path)
        shutil.copy(folder / "config.json", tmp_path)
        before = convert(path)
        assert not caplog.records
        changed(path, lambda arrays: arrays["model.encoder.stem.conv1.weight"][:, 4].fill(0.5))
        after = convert(path)
        assert "for N are not the mean" in caplog.text
        assert all(np.array_equal(a, b) for a, b in zip(before.get_weights(), after.get_weights(), strict=True))

    def test_an_unknown_activation(self, golden_dir, tmp_path):
        folder = golden_dir / "multimolecule_borzoi_tiny"
        config = {**json.loads((folder / "config.json").read_text()), "hidden_act": "swish"}
        with pytest.raises(CheckpointError, match=r"hidden_act must be one of gelu, .*got 'swish'"):
            convert(folder / "model.safetensors", params=config)


class TestKerasFiles:
    def test_stay_as_they_are(self, golden_dir, tmp_path):
        path = golden_dir / "crested_borzoi_tiny_keras34" / "model.keras"
        model = convert(path, out=tmp_path / "again.keras")
        again = keras.models.load_model(tmp_path / "again.keras")
        assert [w.path for w in again.weights] == [w.path for w in model.weights]
        assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))

    def test_nothing_can_be_said_of_them(self, golden_dir):
        with pytest.raises(CheckpointError, match=r"input_length=512 has no effect on .*architecture="):
            convert(golden_dir / "crested_borzoi_tiny_keras34" / "model.keras", input_length=512)

    def test_only_what_is_on_a_map_is_rebuilt(self, golden_dir, network, tmp_path):
        with pytest.raises(CheckpointError, match="is no borzoi"):
            convert(golden_dir / "crested_enformer_tiny_keras34" / "model.keras", architecture="borzoi")
        ours = save_keras(network("borzoi")[1], tmp_path / "ours.keras")
        with pytest.raises(CheckpointError, match="no known network"):
            convert(ours, architecture="borzoi")


class TestExport:
    def test_a_name_of_another_kind(self, network, tmp_path):
        form, model, _ = network("borzoi")
        with pytest.raises(CheckpointError, match=r"called \*\.safetensors for the format 'borzoi-pytorch'"):
            export(model, form, tmp_path / "model.pt")
        with pytest.raises(ValueError, match="format must be one of"):
            export(model, "torch", tmp_path / "model.pt")

    def test_a_network_that_has_no_place_there(self, network, tmp_path):
        _, model, _ = network("enformer")
        with pytest.raises(CheckpointError, match=r"no place for the network 'enformer': .* stem_residual_"):
            export(model, "borzoi-pytorch", tmp_path / "model.safetensors")
        assert not any(tmp_path.iterdir())
