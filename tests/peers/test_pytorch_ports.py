"""PyTorch ports run with weights that matter: their own files, converted, give their own numbers.

The weights are ours, exported; the port loads them with its own loader, computes, and saves them in its own way.
"""

import keras
import pytest

from crested_like._errors import CheckpointError
from crested_like.checkpoints import convert, export
from crested_like.checkpoints._export import _arrays_for
from crested_like.checkpoints._state_dict import GAMMA_TOLERANCE
from crested_like.tl import predict, zoo

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.slow, pytest.mark.timeout(1800)]

SMALL_BORZOI = {"input_length": 16_384, "output_bins": 128, "transformer_blocks": 2, "position_length": 4_096}
SMALL_ENFORMER = {
    "input_length": 8_192,
    "output_bins": 40,
    "stem_filters": 48,
    "tower_filters": (48, 64, 80, 96),
    "transformer_blocks": 2,
    "attention_heads": 2,
    "key_size": 16,
    "heads": {"human": 7, "mouse": 5},
}
# MultiMolecule's words
MULTIMOLECULE = {
    "Borzoi": {
        "sequence_length": 4_096,
        "target_length": 64,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "attention_head_size": 8,
        "attention_value_size": 16,
        "num_rel_pos_features": 8,
        "stem_channels": 12,
        "conv_tower_channels": [16, 18, 20, 24, 28],
        "head_hidden_size": 40,
        "num_labels": 5,
    },
    "Enformer": {
        "sequence_length": 4_096,
        "target_length": 20,
        "hidden_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "attention_head_size": 8,
        "num_downsamples": 5,
        "dim_divisible_by": 4,
        "num_labels": 5,
    },
    "Basenji": {
        "sequence_length": 4_096,
        "crop_bins": 2,
        "stem_channels": 18,
        "conv_tower_channels": [20, 24, 28],
        "head_hidden_size": 32,
        "num_labels": 6,
    },
}


def tracks_last(tensor):
    return tensor.detach().numpy().swapaxes(1, 2)


def check(converted, one_hot, wanted, apart, tolerance):
    got = predict(one_hot, converted)
    got = got if isinstance(got, dict) else {"tracks": got}
    assert set(got) == set(wanted)
    for head, values in wanted.items():
        assert apart(got[head], values) <= tolerance, head


class TestBorzoiPytorch:
    """borzoi-pytorch; its widths are fixed, so that small means short and shallow. Flashzoi needs a GPU there."""

    @pytest.mark.parametrize("size", ["small", "full"])
    @pytest.mark.parametrize("name", ["borzoi", "borzoi_prime"])
    def test_its_own_file_gives_its_numbers(
        self, name, size, with_weights_that_matter, without_positions, apart, tolerance, tmp_path
    ):
        package = pytest.importorskip("borzoi_pytorch")
        settings = SMALL_BORZOI if size == "small" else {"position_length": 4_096}
        ours, one_hot = with_weights_that_matter(getattr(zoo, name)(**settings))
        export(ours, "borzoi-pytorch", tmp_path / "ours" / "model.safetensors")
        length = ours.input_shape[1]
        del ours
        theirs = (package.Prime if name == "borzoi_prime" else package.Borzoi).from_pretrained(tmp_path / "ours").eval()
        with torch.inference_mode():
            wanted = {"tracks": tracks_last(theirs(torch.from_numpy(one_hot.swapaxes(1, 2).copy())))}
        theirs.save_pretrained(tmp_path / "theirs")
        del theirs
        converted = convert(tmp_path / "theirs", input_length=length)
        check(converted, one_hot, wanted, apart, tolerance)
        broken = predict(one_hot, without_positions(converted))
        assert apart(broken, wanted["tracks"]) > 100 * tolerance


def position_table(theirs):
    """What a port's attention sees as the features of distances, once it has run: what its projection is given."""
    seen = []
    projection = next(module for name, module in theirs.named_modules() if name.endswith("to_rel_k"))
    projection.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().numpy().copy()))
    return seen


def with_table(model, seen):
    """Give a network the port's table: computed in float32, whose log-gamma is off by 3e-3 (see layers.positions)."""
    for layer in model.layers:
        if layer.name.endswith("_attention"):
            ours = layer._position_table
            theirs = seen[0].reshape(ours.shape)
            assert abs(theirs - ours).max() < GAMMA_TOLERANCE
            layer._position_table = theirs


class TestEnformerPytorch:
    @pytest.mark.parametrize(
        ("size", "gamma_axis"), [("small", "features"), ("full", "positions"), ("full", "features")]
    )
    def test_its_own_file_gives_its_numbers(
        self, size, gamma_axis, with_weights_that_matter, without_positions, apart, tolerance, tmp_path
    ):
        package = pytest.importorskip("enformer_pytorch")
        settings = {**(SMALL_ENFORMER if size == "small" else {}), "gamma_axis": gamma_axis}
        ours, one_hot = with_weights_that_matter(zoo.enformer(**settings))
        export(ours, "enformer-pytorch", tmp_path / "ours" / "model.safetensors")
        length = ours.input_shape[1]
        del ours
        theirs = package.Enformer.from_pretrained(tmp_path / "ours", use_tf_gamma=gamma_axis == "positions").eval()
        seen = position_table(theirs)
        with torch.inference_mode():
            wanted = {head: values.numpy() for head, values in theirs(torch.from_numpy(one_hot)).items()}
        theirs.config.to_json_file(tmp_path / "config.json")
        torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
        del theirs
        converted = convert(tmp_path / "pytorch_model.bin", input_length=length, gamma_axis=gamma_axis)
        with_table(converted, seen)
        check(converted, one_hot, wanted, apart, tolerance)
        broken = predict(one_hot, without_positions(converted))
        assert max(apart(broken[head], wanted[head]) for head in wanted) > 100 * tolerance


class TestMultimolecule:
    """MultiMolecule has no export of ours: its networks are filled through the map of names, backwards."""

    @pytest.mark.parametrize("size", ["small", "full"])
    @pytest.mark.parametrize("name", ["Borzoi", "Enformer", "Basenji"])
    def test_its_own_file_gives_its_numbers(
        self, name, size, with_weights_that_matter, without_positions, apart, tolerance, tmp_path
    ):
        package = pytest.importorskip("multimolecule")
        settings = MULTIMOLECULE[name] if size == "small" else {}
        config = getattr(package, f"{name}Config")(**settings)
        theirs = getattr(package, f"{name}ForTokenPrediction")(config).eval()
        theirs.save_pretrained(tmp_path / "untrained")
        blank = convert(tmp_path / "untrained")
        ours, one_hot = with_weights_that_matter(blank)
        _, arrays = _arrays_for(ours, "multimolecule")
        del ours, blank
        left_out = theirs.load_state_dict({key: torch.from_numpy(value) for key, value in arrays.items()}, strict=False)
        assert not left_out.unexpected_keys
        assert all(key.endswith("num_batches_tracked") for key in left_out.missing_keys)
        seen = position_table(theirs) if name == "Enformer" else []
        with torch.inference_mode():
            ids = torch.from_numpy(one_hot.argmax(axis=-1))
            wanted = {"tracks": torch.nn.functional.softplus(theirs(ids).logits).numpy()}
        theirs.save_pretrained(tmp_path / "theirs")
        del theirs
        converted = convert(tmp_path / "theirs")
        if seen:
            with_table(converted, seen)
        check(converted, one_hot, wanted, apart, tolerance)
        if name != "Basenji":
            broken = predict(one_hot, without_positions(converted))
            assert apart(broken, wanted["tracks"]) > 100 * tolerance


def test_a_file_that_a_port_broke_is_refused(with_weights_that_matter, tmp_path):
    """Half of a checkpoint is an error, not a network with random parts."""
    ours, _ = with_weights_that_matter(zoo.enformer(**SMALL_ENFORMER))
    export(ours, "enformer-pytorch", tmp_path / "model.safetensors")
    from safetensors.torch import load_file

    arrays = load_file(tmp_path / "model.safetensors")
    torch.save({key: value for key, value in arrays.items() if "conv_tower.2" not in key}, tmp_path / "half.bin")
    with pytest.raises(CheckpointError, match=r"unused|unset"):
        convert(tmp_path / "half.bin", input_length=8_192)
    assert keras.backend.backend()
