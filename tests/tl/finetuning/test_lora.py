import keras
import numpy as np
import pytest

import crested_like as crested
from crested_like import attach, layers, tl
from crested_like._errors import LayerError, ModelFileError
from crested_like.checkpoints._keras import save_keras
from crested_like.tl import zoo
from crested_like.tl.finetuning._freeze import learning
from crested_like.tl.finetuning._lora import lora_layers

TRAINS = keras.backend.backend() in ("tensorflow", "jax", "torch")
ALL = ("attention", "convolution", "dense")

BORZOI = {
    "input_length": 256,
    "stem_filters": 6,
    "tower_filters": (6, 8, 12),
    "attention_heads": 2,
    "key_size": 4,
    "position_features": 4,
    "transformer_blocks": 1,
    "heads": {"human": 3},
}
NT = {"width": 12, "attention_heads": 2, "key_size": 4, "feedforward_width": 10, "transformer_blocks": 1}
FAMILIES = {
    "borzoi": lambda: zoo.borzoi(**BORZOI, output_bins=24, final_filters=10),
    "flashzoi": lambda: zoo.flashzoi(**BORZOI, output_bins=24, final_filters=10, rotary_dim=4),
    "enformer": lambda: zoo.enformer(
        input_length=256,
        output_bins=12,
        stem_filters=6,
        tower_filters=(6, 8, 12),
        attention_heads=2,
        key_size=4,
        transformer_blocks=1,
        heads={"human": 3, "mouse": 2},
    ),
    "segment_nt": lambda: zoo.segment_nt(input_length=240, features=["exon", "intron"], **NT),
}


@pytest.fixture(scope="module")
def families(shaken):
    return {name: shaken(build()) for name, build in FAMILIES.items()}


@pytest.fixture(scope="module")
def borzoi(families):
    return families["borzoi"]


def an_input(model, rng, count=2):
    if len(model.input_shape) == 2:
        return rng.integers(5, 4000, (count, model.input_shape[1])).astype("int32")
    return np.eye(4, dtype="float32")[rng.integers(0, 4, (count, model.input_shape[1]))]


def predicted(model, x):
    return keras.tree.flatten(model.predict(x, verbose=0))


def trained(model, x, rng, steps=2):
    """The model after some steps of training on random numbers."""
    outputs = model.output
    y = keras.tree.map_structure(lambda t: rng.poisson(1.0, (len(x), *t.shape[1:])).astype("float32"), outputs)
    model.compile(keras.optimizers.Adam(3e-2), keras.tree.map_structure(lambda _: "mse", outputs))
    for _ in range(steps):
        model.train_on_batch(x, y)
    return model


def values_by_name(model):
    """Weights by the names of layers, to compare networks made at different times."""
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(
        len(ours[k]) == len(theirs[k]) and all(map(np.array_equal, ours[k], theirs[k])) for k in ours
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_new_adapters_change_no_output_and_are_many_where_asked_for(family, families, rng):
    model = families[family]
    x = an_input(model, rng)
    adapted = tl.add_lora(model, 2, where=ALL)
    for got, want in zip(predicted(adapted, x), predicted(model, x), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6 * np.abs(want).max())
    kinds = {type(layer) for layer in adapted.layers}
    assert layers.Lora in kinds
    assert kinds & {layers.LoraMultiheadAttention, layers.LoraRotaryAttention, layers.LoraSelfAttention}
    assert [layer.name for layer in adapted.layers] == [layer.name for layer in model.layers]


@pytest.mark.skipif(not TRAINS, reason="this backend only predicts")
@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[pytest.mark.slow] if name != "segment_nt" else []) for name in FAMILIES]
)
def test_trains_adapters_and_heads_merges_and_unmerges(family, families, rng):
    model = families[family]
    before, x = values_by_name(model), an_input(model, rng)
    adapted = tl.add_lora(model, 2, alpha=4, where=ALL)
    start = {w.path: np.array(w) for w in adapted.weights}
    trained(adapted, x, rng)
    heads = ("head_", "segment")
    for weight in adapted.weights:
        learns = weight.path.startswith(heads) or "/down/" in weight.path or "/up/" in weight.path
        same = np.array_equal(weight, start[weight.path])
        # queries and keys get no gradient where there is but one position; elsewhere everything moves
        assert same is not learns, weight.path
    assert equal(values_by_name(model), before), "the given model is as it was"

    merged, without = tl.merge_lora(adapted), tl.unmerge_lora(adapted)
    for got, want, old in zip(predicted(merged, x), predicted(adapted, x), predicted(without, x), strict=True):
        assert np.abs(got - want).max() <= 5e-5 * np.abs(want).max()  # trained at random, it enlarges rounding
        assert np.abs(old - want).max() > 1e-3 * np.abs(want).max(), "the adapters matter"
    trunk = {name: arrays for name, arrays in before.items() if not name.startswith(heads)}
    assert equal({k: v for k, v in values_by_name(without).items() if k in trunk}, trunk)
    assert {k: [w.shape for w in v] for k, v in values_by_name(merged).items()} == {
        k: [w.shape for w in v] for k, v in before.items()
    }
    assert [type(layer) for layer in merged.layers] == [type(layer) for layer in model.layers]
    for ours, theirs in zip(merged.layers, model.layers, strict=True):
        assert ours.get_config().keys() == theirs.get_config().keys()
    assert merged.count_params() == model.count_params() == sum(np.size(w) for w in merged.get_weights())
    assert len(merged.trainable_weights) == len(model.trainable_weights)


def test_model_file_keeps_adapters_and_what_learns(borzoi, rng, tmp_path):
    adapted = tl.add_lora(borzoi, 2)
    for layer in adapted.layers:
        layer.set_weights([w + rng.normal(scale=0.1, size=w.shape) for w in layer.get_weights()])
    for save in (keras.Model.save, save_keras):
        save(adapted, tmp_path / "adapted.keras")
        again = keras.models.load_model(tmp_path / "adapted.keras")
        assert equal(values_by_name(again), values_by_name(adapted))
        assert learning(again) == learning(adapted)
        x = an_input(borzoi, rng)
        np.testing.assert_allclose(*predicted(again, x), *predicted(adapted, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"where": "attention"}, {"transformer_1_attention"}),
        ({"where": "dense", "patterns": "transformer_*"}, {"transformer_1_expand", "transformer_1_contract"}),
        ({"patterns": ["tower_1*", "stem_*"]}, {"tower_1_conv", "stem_conv"}),
    ],
)
def test_adapters_where_they_are_wanted(settings, wanted, borzoi):
    adapted = tl.add_lora(borzoi, 2, **settings)
    assert set(learning(adapted)) == {*wanted, "head_human"}
    assert {layer.name for layer in lora_layers(adapted)} == wanted


def test_freezing_a_model_with_adapters_never_frees_its_kernels(borzoi):
    adapted = tl.add_lora(borzoi, 2, where="attention")
    tl.freeze(adapted, until="trunk")
    assert learning(adapted) == ("head_human",)
    tl.freeze(adapted, patterns="*_norm")
    kernels = [w.path for w in adapted.trainable_weights if w.path.startswith("transformer_1_attention")]
    assert len(kernels) == 10
    assert all("/down/" in path or "/up/" in path for path in kernels)


def test_models_of_crested_too(golden_dir, rng):
    folder = golden_dir / "crested_borzoi_tiny"
    model = keras.models.load_model(folder / "model.keras", compile=False)
    x = np.load(folder / "input.npz")["one_hot"].astype("float32")
    adapted = tl.add_lora(model, 2)
    assert any(isinstance(layer, layers.LoraMultiheadAttention) for layer in adapted.layers)
    for got, want in zip(predicted(adapted, x), predicted(model, x), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    assert equal(values_by_name(tl.unmerge_lora(adapted)), values_by_name(model))


def test_bins_lie_where_they_lay():
    x = dna = keras.Input((65, 4))
    x = keras.layers.Conv1D(4, 5, strides=2, padding="same")(x)
    x = keras.layers.Conv1D(4, 5, padding="valid", dilation_rate=2)(x)
    model = keras.Model(dna, keras.layers.Dense(1)(x))
    assert tl.geometry(tl.add_lora(model, 2)) == tl.geometry(model) == tl.Geometry(65, 25, 2, 8)


@pytest.mark.skipif(not TRAINS, reason="this backend only predicts")
@pytest.mark.parametrize("policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)])
def test_mixed_precision(policy, rng, shaken):
    keras.config.set_dtype_policy(policy)
    try:
        model = shaken(FAMILIES["borzoi"]())
        adapted = tl.add_lora(model, 2, where=ALL)
    finally:
        keras.config.set_dtype_policy("float32")
    assert {w.dtype for w in adapted.trainable_weights} == {"float32"}
    assert adapted.get_layer("stem_conv").down.compute_dtype == policy.removeprefix("mixed_")
    x = an_input(model, rng)
    (got,), (want,) = predicted(adapted, x), predicted(model, x)
    assert np.abs(got - want).max() <= 4e-2 * np.abs(want).max()  # 8 significant bits, some products deep
    before = [np.array(w) for w in adapted.trainable_weights]
    trained(adapted, x, rng)
    moved = [np.abs(np.array(w) - old).max() for w, old in zip(adapted.trainable_weights, before, strict=True)]
    assert np.isfinite(moved).all()
    assert np.mean(np.array(moved) > 0) > 0.9


@pytest.fixture(scope="module")
def tuned(borzoi):
    """A new head and adapters, all with weights that matter."""
    rng = np.random.default_rng(3)
    with_head = tl.replace_head(attach(borzoi, ["a", "b", "c"]), ["liver", "brain"], name="mine")
    adapted = tl.add_lora(with_head, 3, alpha=6)
    for weight in adapted.trainable_weights:
        weight.assign(rng.normal(scale=0.2, size=weight.shape))
    return adapted


class TestFiles:
    @pytest.fixture
    def path(self, tuned, tmp_path):
        return tl.save_lora(tuned, tmp_path / "mine.safetensors")

    def test_round_trip(self, tuned, borzoi, path, rng):
        again = tl.load_lora(borzoi, path)
        x = an_input(borzoi, rng)
        np.testing.assert_allclose(*predicted(again, x), *predicted(tuned, x), rtol=1e-5, atol=1e-6)
        assert equal(values_by_name(again), values_by_name(tuned))
        assert again.layers[-1].name == "head_mine"
        assert learning(again) == learning(tuned)
        assert crested.card_of(again).track_table().identifier.tolist() == ["liver", "brain"]

    def test_holds_nothing_of_the_trunk(self, tuned, path):
        learning = sum(np.size(w) for w in tuned.trainable_weights)
        assert path.stat().st_size - 4 * learning < 40_000, "the rest tells what it is"
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            assert sum(file.get_tensor(key).size for key in file.keys()) == learning  # noqa: SIM118 - no mapping

    def test_fits_the_model_at_another_length(self, tuned, borzoi, path, rng):
        longer = tl.load_lora(tl.with_input_length(borzoi, 512), path)
        x = an_input(longer, rng)
        want = tl.with_input_length(tuned, 512).predict(x, verbose=0)
        np.testing.assert_allclose(longer.predict(x, verbose=0), want, rtol=1e-5, atol=1e-6)

    def test_keeps_what_else_learnt(self, borzoi, tmp_path, rng):
        adapted = tl.add_lora(borzoi, 2, where="attention")
        adapted.get_layer("final_norm").trainable = True
        for weight in adapted.get_layer("final_norm").weights:
            weight.assign(rng.uniform(1, 2, weight.shape))
        again = tl.load_lora(borzoi, tl.save_lora(adapted, tmp_path / "norm.safetensors"))
        assert equal(values_by_name(again), values_by_name(adapted))

    def test_token_models(self, families, tmp_path, rng):
        model = families["segment_nt"]
        with_head = tl.replace_head(model, ["enhancer"], kind="segmentation", name="mine")
        adapted = tl.add_lora(with_head, 2)
        again = tl.load_lora(model, tl.save_lora(adapted, tmp_path / "nt.safetensors"))
        x = an_input(model, rng)
        np.testing.assert_allclose(*predicted(again, x), *predicted(adapted, x), rtol=1e-5, atol=1e-6)

    def test_refuses_another_model(self, path, borzoi, families, shaken, tuned):
        other = shaken(FAMILIES["borzoi"](), seed=5)
        with pytest.raises(ModelFileError, match=r"trained on other weights than those of model 'borzoi': \d+ kernels"):
            tl.load_lora(other, path)
        with pytest.raises(LayerError, match=r"'segment_nt', which lacks the layers .*Load the one it was made from"):
            tl.load_lora(families["segment_nt"], path)
        with pytest.raises(LayerError, match="which has adapters already"):
            tl.load_lora(tuned, path)

    def test_refuses_other_files(self, borzoi, tmp_path):
        from safetensors.numpy import save_file

        plain = tmp_path / "plain.safetensors"
        save_file({"a": np.zeros(3)}, plain)
        with pytest.raises(ModelFileError, match="is no file of adapters"):
            tl.load_lora(borzoi, plain)
        broken = tmp_path / "broken.safetensors"
        broken.write_bytes(plain.read_bytes()[:20])
        with pytest.raises(ModelFileError, match="cannot be read as a file of adapters"):
            tl.load_lora(borzoi, broken)
        with pytest.raises(ModelFileError, match="There is no file"):
            tl.load_lora(borzoi, tmp_path / "missing.safetensors")

    def test_refuses_to_save_what_is_none(self, borzoi, tuned, tmp_path):
        with pytest.raises(LayerError, match="has no adapters to save"):
            tl.save_lora(borzoi, tmp_path / "none.safetensors")
        with pytest.raises(ModelFileError, match=r"must be called \*\.safetensors; got 'mine\.keras'"):
            tl.save_lora(tuned, tmp_path / "mine.keras")
        assert not list(tmp_path.iterdir())


def test_refuses_what_makes_no_sense(borzoi):
    with pytest.raises(LayerError, match=r"has adapters already\. Fold them in with merge_lora\(\)"):
        tl.add_lora(tl.add_lora(borzoi, 2))
    for undo in (tl.merge_lora, tl.unmerge_lora):
        with pytest.raises(LayerError, match="'borzoi' has no adapters"):
            undo(borzoi)
    with pytest.raises(ValueError, match="where must be one of 'attention', 'convolution', 'dense'; got 'norm'"):
        tl.add_lora(borzoi, where="norm")
    with pytest.raises(LayerError, match=r"No layer fits 'head_\*'"):  # heads get none
        tl.add_lora(borzoi, where="dense", patterns="head_*")
    with pytest.raises(LayerError, match="no layer of the kind attention to adapt"):
        tl.add_lora(zoo.basenji2(input_length=256, output_bins=None, tower_filters=(4, 4)), where="attention")
