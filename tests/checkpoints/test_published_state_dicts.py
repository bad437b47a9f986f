"""Weights of other packages against the numbers of the original code."""

import keras
import numpy as np
import pytest

from crested_like.checkpoints import convert

pytestmark = pytest.mark.parity

HEADS = ("human", "mouse")
BORZOI = {"int_stem_pool": "stem_pool", "int_tower": "tower_6_pool", "int_transformer": "transformer_2_add"}
BORZOI |= {"int_crop": "crop"}
ENFORMER = {"int_stem": "stem_pool", "int_tower": "tower_3_pool", "int_transformer": "transformer_2_add"}
ENFORMER |= {"int_trunk": "trunk"}
MULTIMOLECULE = {"int_tower": "tower_{}_pool", "int_transformer": "transformer_2_add", "int_dilated": "residual_7_add"}

#: Folder, file, what no file says, and where the intermediates are.
SETS = [
    ("borzoi_pytorch_tiny", "model.safetensors", {"input_length": 4096}, BORZOI),
    ("borzoi_pytorch_prime_tiny", "model.safetensors", {"input_length": 4096}, BORZOI),
    ("flashzoi_tiny", "model.safetensors", {"input_length": 4096, "rotary_dim": 16}, BORZOI),
    ("flashzoi_h4_tiny", "model.safetensors", {"input_length": 4096, "rotary_dim": 8}, BORZOI),
    ("enformer_pytorch_tiny", "model.safetensors", {"input_length": 1024}, ENFORMER),
    ("enformer_pytorch_tiny", "pytorch_model.bin", {"input_length": 1024}, ENFORMER),
    ("enformer_sonnet_tiny", "enformer_tiny-1.index", {"input_length": 1024, "output_bins": 40}, ENFORMER),
    ("enformer_sonnet_tiny", "enformer_tiny-1", {"input_length": 1024, "output_bins": 40}, ENFORMER),
    ("enformer_sonnet_tiny", "", {"input_length": 1024, "output_bins": 40}, ENFORMER),
]


def stored(path):
    with np.load(path) as archive:
        return dict(archive)


def predicted(model, taps, one_hot):
    """Outputs by head, and the intermediates, as (B, positions, channels)."""
    layers = {key: model.get_layer(name).output for key, name in taps.items()}
    layers |= {layer.name.removeprefix("head_"): layer.output for layer in model.layers if layer.name[:5] == "head_"}
    outputs = keras.Model(model.input, list(layers.values())).predict(one_hot.astype("float32"), verbose=0)
    return dict(zip(layers, outputs, strict=True))


@pytest.mark.parametrize(("name", "file", "settings", "taps"), SETS)
def test_gives_the_published_numbers(name, file, settings, taps, golden_dir, check_parity):
    folder = golden_dir / name
    expected = stored(folder / "expected.npz")
    got = predicted(convert(folder / file, **settings), taps, stored(folder / "input.npz")["one_hot"])
    assert set(got) == set(expected), "nothing expected was left out"
    for key, value in got.items():
        tracks_first = key in HEADS and name.startswith(("borzoi", "flashzoi"))
        check_parity(name, key, value, expected[key].swapaxes(1, 2) if tracks_first else expected[key])


def test_published_gamma_features_on_request(golden_dir, check_parity):
    folder = golden_dir / "enformer_pytorch_tiny"
    expected = stored(folder / "expected_official_gamma.npz")
    model = convert(folder / "model.safetensors", input_length=1024, gamma_axis="positions")
    got = predicted(model, ENFORMER, stored(folder / "input.npz")["one_hot"])
    for key, want in expected.items():
        check_parity("enformer_pytorch_tiny, published gamma", key, got[key], want)


@pytest.mark.parametrize("name", ["borzoi", "borzoi_prime", "enformer"])
def test_crested_rebuilt(name, golden_dir, check_parity):
    folder = golden_dir / f"crested_{name}_tiny"
    model = convert(folder / "model.keras", architecture=name)
    got = keras.tree.flatten(model.predict(stored(folder / "input.npz")["one_hot"].astype("float32"), verbose=0))
    expected = stored(folder / "expected.npz")
    for number, value in enumerate(got):
        check_parity(f"crested_{name}_tiny, rebuilt", f"output_{number}", value, expected[f"output_{number}"])
    assert {"tower_1_conv", "transformer_1_attention"} <= {layer.name for layer in model.layers}


@pytest.mark.parametrize("head", HEADS)
def test_one_head_of_two(head, golden_dir, check_parity):
    folder = golden_dir / "borzoi_pytorch_tiny"
    model = convert(folder / "model.safetensors", head=head, input_length=4096)
    got = model.predict(stored(folder / "input.npz")["one_hot"].astype("float32"), verbose=0)
    check_parity("borzoi_pytorch_tiny", head, got, stored(folder / "expected.npz")[head].swapaxes(1, 2))


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("multimolecule_borzoi_tiny", 6),
        ("multimolecule_basenji_tiny", 3),
        ("multimolecule_enformer_tiny", 2),
        ("multimolecule_enformer_tiny/computed_gamma", 3),
    ],
)
def test_multimolecule(name, stages, golden_dir, check_parity):
    folder = golden_dir / name
    expected, given = stored(folder / "expected.npz"), stored(folder / "input.npz")
    model = convert(folder / "model.safetensors")
    taps = {key: layer.format(stages) for key, layer in MULTIMOLECULE.items() if key in expected}
    got = predicted(model, taps, given["one_hot"])
    (head,) = set(got) - set(taps)
    check_parity(name, "tracks", got.pop(head), np.logaddexp(0, expected["logits_zero_n"]))
    for key, value in got.items():  # of the sequence without N
        check_parity(name, key, value[:1], expected[key][:1])
