"""Trees of Haiku against the numbers of the original code."""

import json
import shutil

import keras
import numpy as np
import pytest
from keras import ops

from crested_like._errors import CheckpointError
from crested_like.checkpoints import convert
from crested_like.tl import zoo

TRANSFORMERS = ("nucleotide_transformer_v1_tiny", "nucleotide_transformer_v2_tiny")
NETWORKS = (*TRANSFORMERS, "segment_nt_tiny", "segment_enformer_tiny", "segment_borzoi_tiny")
#: What the original calls an intermediate, and our layer.
LANGUAGE = {
    "logits": "logits",
    "embeddings_after_layer_1": "transformer_1_add",
    "final_norm_embeddings": "trunk",
}
SEGMENT = {
    "probabilities": "segment",
    "logits": "segment_logits",
    "unet_output": "segment_final_conv_2",
    "unet_downsample_0": "segment_down_1_pool",
    "unet_upsample_0": "segment_up_1_repeat",
}
TAPS = {
    "nucleotide_transformer_v1_tiny": LANGUAGE,
    "nucleotide_transformer_v2_tiny": LANGUAGE,
    "segment_nt_tiny": {**LANGUAGE, **SEGMENT},
    "segment_enformer_tiny": {
        **SEGMENT,
        "stem": "stem_pool",
        "conv_tower": "tower_2_pool",
        "transformer_tower": "transformer_2_add",
    },
    "segment_borzoi_tiny": {
        **SEGMENT,
        "stem": "stem_pool",
        "conv_tower": "tower_3_pool",
        "transformer_tower": "transformer_2_add",
        "unet_conv": "upsample_2",
        "embedding": "trunk",
    },
}
#: Of the published networks' other outputs, which their segmentation has no use for.
ASIDE = {"segment_enformer_tiny": {"embedding", "human_head", "mouse_head"}, "segment_borzoi_tiny": {"human_head"}}
ATTENTION = "attention_weights_layer_1"


def stored(path):
    with np.load(path) as archive:
        return dict(archive)


def variants(name, inputs):
    """Inputs by the suffix of their outputs."""
    if "one_hot" in inputs:
        return {"": inputs["one_hot"]}
    return {key.removeprefix("tokens"): tokens for key, tokens in inputs.items()}


@pytest.mark.parity
@pytest.mark.parametrize("name", NETWORKS)
def test_gives_the_published_numbers(name, golden_dir, check_parity):
    folder, taps = golden_dir / name, TAPS[name]
    expected, compared = stored(folder / "outputs.npz"), set()
    model = convert(folder)
    tapped = keras.Model(model.inputs, {key: model.get_layer(layer).output for key, layer in taps.items()})
    for suffix, x in variants(name, stored(folder / "inputs.npz")).items():
        got = tapped.predict(x, verbose=0)
        for key in taps:
            if key + suffix in expected:
                check_parity(name, key + suffix, got[key], expected[key + suffix])
                compared.add(key + suffix)
    left = {key for key in expected if key not in compared and not key.startswith(ATTENTION)}
    assert left == ASIDE.get(name, set()), "nothing expected was left out"


@pytest.mark.parity
@pytest.mark.parametrize(
    "name", ["nucleotide_transformer_v1_tiny", "nucleotide_transformer_v2_tiny", "segment_nt_tiny"]
)
def test_gives_the_published_attention(name, golden_dir, check_parity):
    folder = golden_dir / name
    expected = stored(folder / "outputs.npz")
    model = convert(folder)
    inner = keras.Model(model.inputs, model.get_layer("transformer_1_attention_norm").output)
    for suffix, tokens in variants(name, stored(folder / "inputs.npz")).items():
        x = (ops.convert_to_tensor(part) for part in (inner.predict(tokens, verbose=0), tokens))
        weights = model.get_layer("transformer_1_attention").attention_weights(*x)
        check_parity(name, ATTENTION + suffix, ops.convert_to_numpy(weights), expected[ATTENTION + suffix])


@pytest.fixture
def copied(golden_dir, tmp_path):
    """The published files of a network alone, free to be changed."""

    def copy(name):
        shutil.copytree(golden_dir / name / "jax_model", tmp_path / name / "jax_model")
        return tmp_path / name / "jax_model"

    return copy


def test_hyperparameters_alone_are_enough(copied, tmp_path):
    for name in TRANSFORMERS:
        model = convert(copied(name), out=tmp_path / f"{name}.keras")
        again = keras.models.load_model(tmp_path / f"{name}.keras")
        assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))
    embedding = convert(copied("segment_nt_tiny"), input_length=96).get_layer("embedding")
    assert embedding.tokenizer == "v2_6mer"


def test_a_folder_of_flat_arrays(copied, golden_dir, tmp_path):
    from crested_like.checkpoints._joblib_file import joblib_tree

    for part in ("params", "state"):
        with joblib_tree(golden_dir / "segment_enformer_tiny" / "jax_model" / f"{part}.joblib") as tree:
            np.savez(tmp_path / f"{part}.npz", **{name: np.asarray(array) for name, array in tree.items()})
    np.savez(tmp_path / "expected.npz", output=np.zeros(3))
    model, same = convert(tmp_path, input_length=256), convert(golden_dir / "segment_enformer_tiny")
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), same.get_weights(), strict=True))
    (tmp_path / "params.npz").unlink()
    with pytest.raises(CheckpointError, match="holds no weight file"):
        convert(tmp_path)


@pytest.mark.parametrize(("name", "length"), [("segment_enformer_tiny", 256), ("segment_borzoi_tiny", 512)])
def test_no_parameter_file_at_all(name, length, copied, golden_dir):
    settings = {"input_length": length, "output_bins": 96} if "borzoi" in name else {"input_length": length}
    model = convert(copied(name), **settings)
    assert all(
        np.array_equal(a, b) for a, b in zip(model.get_weights(), convert(golden_dir / name).get_weights(), strict=True)
    )
    assert model.get_layer("segment").features == zoo.FEATURES


def test_running_statistics_are_the_averages(golden_dir):
    from crested_like.checkpoints._joblib_file import joblib_tree

    folder = golden_dir / "segment_borzoi_tiny"
    model = convert(folder)
    name = "Borzoi/~_conv_tower/layer_0/conv_block/batch_norm/~/var_ema//"
    with joblib_tree(folder / "jax_model" / "state.joblib") as state:
        average, hidden = (np.asarray(state[name + kind]).ravel() for kind in ("average", "hidden"))
    found = ops.convert_to_numpy(model.get_layer("tower_1_norm").moving_variance)
    assert np.array_equal(found, average)
    assert not np.allclose(found, hidden)


class TestErrors:
    def test_missing_statistics(self, copied):
        folder = copied("segment_enformer_tiny")
        (folder / "state.joblib").unlink()
        with pytest.raises(CheckpointError, match=r"unset: stem_residual_norm/moving_mean \(24,\)"):
            convert(folder, input_length=256)

    def test_how_many_heads(self, copied):
        folder = copied("segment_nt_tiny")
        (folder / "hyperparams.json").unlink()
        with pytest.raises(CheckpointError, match=r"no array tells\. Say it with attention_heads="):
            convert(folder)
        with pytest.raises(CheckpointError, match=r"5 attention heads of .* do not make the 32 channels"):
            convert(folder, attention_heads=5)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"add_bias_kv": True}, "add_bias_kv must be False"),
            ({"embed_dim": 64}, r"says width = 64, but the arrays .* say 32 \(embedding/embeddings has the shape"),
            ({"features": ["exon"]}, r"says features = .*but the arrays"),
            ({"ffn_activation_name": "relu"}, "ffn_activation_name = 'relu' with use_glu_in_ffn = True"),
            ({"num_layers": 4}, "says transformer_blocks = 4, but the arrays"),
        ],
        ids=str,
    )
    def test_a_file_that_says_otherwise(self, changes, message, copied):
        folder = copied("segment_nt_tiny")
        path = folder / "hyperparams.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
        with pytest.raises(CheckpointError, match=message):
            convert(folder)

    def test_no_track_heads(self, copied):
        with pytest.raises(CheckpointError, match="segment_nt has no track heads"):
            convert(copied("segment_nt_tiny"), head="human")

    def test_settings_of_other_networks(self, copied):
        with pytest.raises(CheckpointError, match="rotary_dim has no effect on segment_nt"):
            convert(copied("segment_nt_tiny"), rotary_dim=8)

    def test_lengths_that_do_not_fit(self, copied):
        with pytest.raises(CheckpointError, match="input_length must be a multiple of 24 bp"):
            convert(copied("segment_nt_tiny"), input_length=100)
