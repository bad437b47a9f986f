"""A new head, phases, adapters; what learns in each of them."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

import crested_like as crested
from crested_like import attach, tl
from crested_like._card import ModelCard
from crested_like._errors import GeometryError, RecipeError
from crested_like.tl import zoo
from crested_like.tl.finetuning._freeze import learning
from crested_like.tl.rewriting._rebuild import rebuilt
from crested_like.tl.training._fit import Run

pytestmark = pytest.mark.skipif(
    keras.backend.backend() not in ("tensorflow", "jax", "torch"), reason="this backend only predicts"
)

BORZOI = {
    "stem_filters": 6,
    "tower_filters": (6, 8, 12),
    "attention_heads": 2,
    "key_size": 4,
    "position_features": 4,
    "transformer_blocks": 1,
    "final_filters": 10,
}
#: Short phases; every weight moves visibly.
QUICK = [
    tl.Phase(train="head", learning_rate=1e-2, rounds=2, patience=None),
    tl.Phase(learning_rate=1e-2, rounds=1, patience=None),
]


class Random(keras.utils.PyDataset):
    """Always the same random batches."""

    def __init__(self, shape, batches=2, length=256, classes=False):
        super().__init__()
        rng = np.random.default_rng(0)
        self.x = np.eye(4, dtype="float32")[rng.integers(0, 4, (batches, 2, length))]
        self.y = rng.poisson(1.0, (batches, 2, *shape)).astype("float32")
        if classes:
            self.y = (self.y > 1).astype("float32")

    def __len__(self):
        return len(self.x)

    def __getitem__(self, number):
        return self.x[number], self.y[number]


class Windows:
    """A dataset in memory: random windows whose targets follow from their bases."""

    labels = ("train", "valid")

    def __init__(self, layout, shape):
        self.layout, rng = layout, np.random.default_rng(0)
        self.codes = rng.integers(0, 4, (4, layout.seq_length)).astype(np.uint8)
        self.targets = rng.gamma(1.0, size=(4, *shape)).astype(np.float32)

    def windows(self, label):
        return pd.DataFrame({"chrom": ["chr1"] * 2, "start": [0] * 2, "end": [self.layout.seq_length] * 2})

    def count(self, label):
        return 2

    def read(self, label, index):
        number = 2 * self.labels.index(label) + index
        return self.codes[number], self.targets[number]

    def order(self, labels, rng):
        return rng.permutation(2 if isinstance(labels, str) else 2 * len(labels))


@pytest.fixture(scope="module")
def borzoi(shaken):
    model = shaken(zoo.borzoi(heads={"human": 3}, input_length=256, output_bins=24, **BORZOI))
    return attach(model, ModelCard(name="base", license="MIT", num_tracks=3))


def values(model):
    return {w.path: np.array(w) for w in model.weights}


def moved(before, after):
    return {path for path, value in after.items() if not np.array_equal(value, before.get(path))}


def blocks_of(paths):
    return {path.split("/")[0].split("_")[0] for path in paths}


def test_head_first_then_everything(borzoi):
    before = values(borzoi)
    run = tl.finetune(borzoi, Random((24, 2)), tracks=["a", "b"], phases=QUICK, progress=False)
    assert run.history["phase"].tolist() == [1, 1, 2]
    assert run.history["loss"].notna().all()
    assert not moved(before, values(borzoi)), "the given model is as it was"
    changed = moved(before, values(run.model))
    assert blocks_of(changed) == {"stem", "tower", "transformer", "upsample", "skip", "final", "head"}
    assert run.best_round == 3
    assert run.figures["loss"] == run.history["loss"].iloc[-1]
    card = crested.card_of(run.model)
    assert card.track_table().identifier.tolist() == ["a", "b"]
    assert (card.name, card.license) == ("base_tracks", "MIT")
    assert card.recipe["trunk"] == "base"
    assert card.recipe["phases"]["1_head"]["rounds"] == 2


def test_the_head_alone_moves_in_its_phase(borzoi):
    run = tl.finetune(borzoi, Random((24, 2)), tracks=2, phases=QUICK[:1], progress=False)
    assert {path.split("/")[0] for path in moved(values(borzoi), values(run.model))} == {"head_tracks"}
    assert learning(run.model) == ("head_tracks",)


@pytest.mark.parametrize(
    ("freeze", "still"),
    [("trunk", {"head"}), ("transformer_1", {"upsample", "skip", "final", "head"}), ({"patterns": "*_norm"}, None)],
)
def test_what_is_frozen_stays(freeze, still, borzoi):
    run = tl.finetune(borzoi, Random((24, 2)), tracks=2, freeze=freeze, phases=QUICK, progress=False)
    changed = moved(values(borzoi), values(run.model))
    if still is None:
        assert not any("_norm/" in path for path in changed)
        assert "stem" in blocks_of(changed)
    else:
        assert blocks_of(changed) == still


def test_adapters(borzoi, tmp_path):
    data = Random((24, 2))
    run = tl.finetune(borzoi, data, tracks=["a", "b"], lora=2, phases=QUICK, progress=False)
    changed = moved(values(borzoi), values(tl.unmerge_lora(run.model)))
    assert {path.split("/")[0] for path in changed} == {"head_tracks"}
    assert all(np.any(np.array(w)) for w in run.model.weights if "/up/" in w.path), "adapters learnt"
    want = run.model.predict(data.x[0], verbose=0)
    np.testing.assert_allclose(tl.merge_lora(run.model).predict(data.x[0], verbose=0), want, rtol=1e-4, atol=1e-5)
    again = tl.load_lora(borzoi, tl.save_lora(run.model, tmp_path / "a.safetensors"))
    np.testing.assert_allclose(again.predict(data.x[0], verbose=0), want, rtol=1e-5, atol=1e-6)
    assert crested.card_of(again).track_table().identifier.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("head", "classes", "loss"),
    [
        ("scalar", False, "cosine_mse_log"),
        ({"kind": "scalar", "activation": "sigmoid", "bins": 4, "pool": "flatten"}, True, "binary_crossentropy"),
        ({"kind": "scalar", "activation": "softmax"}, True, "categorical_crossentropy"),
        ({"kind": "scalar", "activation": "linear", "name": "fold"}, False, "mean_squared_error"),
    ],
)
def test_scalars(head, classes, loss, borzoi):
    run = tl.finetune(borzoi, Random((3,), classes=classes), tracks=3, head=head, phases=QUICK[:1], progress=False)
    assert run.model.output_shape == (None, 3)
    assert crested.card_of(run.model).recipe["loss"]["name"] == loss


@pytest.fixture(scope="module")
def trunks(shaken, borzoi):
    enformer = zoo.enformer(
        input_length=256,
        output_bins=12,
        heads={"human": 3},
        **{key: BORZOI[key] for key in ("stem_filters", "tower_filters", "attention_heads", "key_size")},
        transformer_blocks=1,
    )
    nt = zoo.nucleotide_transformer(
        tokens=41, width=12, attention_heads=2, key_size=4, feedforward_width=10, transformer_blocks=1
    )
    return {"borzoi": borzoi, "enformer": shaken(enformer), "nucleotide_transformer": shaken(nt)}


class TestSegmentation:
    @pytest.mark.parametrize(
        "trunk",
        ["nucleotide_transformer", *(pytest.param(name, marks=pytest.mark.slow) for name in ("borzoi", "enformer"))],
    )
    @pytest.mark.parametrize(("freeze", "loss"), [("trunk", {"name": "segmentation", "gamma": 0.0}), (None, None)])
    def test_learns_on_any_trunk(self, trunk, freeze, loss, trunks):
        model = trunks[trunk]
        bases = {"borzoi": 96, "enformer": 192, "nucleotide_transformer": 240}[trunk]
        data = Random((bases, 2), classes=True)
        if trunk == "nucleotide_transformer":
            data.x = np.random.default_rng(0).integers(5, 4000, (2, 2, 41)).astype("int32")
        phases = [tl.Phase(learning_rate=3e-3, rounds=6, patience=None)]
        settings = {"head": "segmentation", "freeze": freeze, "loss": loss, "phases": phases}
        run = tl.finetune(model, data, tracks=["exon", "intron"], **settings, progress=False)
        losses = run.history["loss"]
        assert losses.iloc[-1] < losses.iloc[0]
        names = {path.split("/")[0] for path in moved(values(model), values(run.model))}
        assert any(not name.startswith("segment_") for name in names) is (freeze is None)
        assert crested.card_of(run.model).recipe["loss"] == (loss or {"name": "segmentation"})


class TestDatasets:
    def layout(self, **changes):
        from crested_like.datasets._layout import Layout

        tracks = pd.DataFrame({"identifier": ["a", "b"], "strand_pair": [1, 0]})
        settings = {"seq_length": 512, "pool_width": 4, "target_length": 80, "tracks": tracks, "crop_bp": 96}
        return Layout(**{**settings, **changes})

    def test_model_is_taken_to_the_windows(self, borzoi):
        source = Windows(self.layout(), (80, 2))
        run = tl.finetune(borzoi, source, phases=QUICK[:1], progress=False, batch_size=2)
        assert tl.geometry(run.model) == tl.Geometry(input_length=512, output_bins=80, bin_size=4, crop=96)
        assert crested.card_of(run.model).track_table().identifier.tolist() == ["a", "b"]
        assert run.history["valid_pearson_r"].notna().all()
        attention = run.model.get_layer("transformer_1_attention")
        assert attention.position_length == 16, "position features are those that the trunk was trained with"

    def test_pieces_are_trained_on_and_windows_validated(self, borzoi):
        source = Windows(self.layout(), (80, 2))
        augment = {"bins": 24, "flank": 80, "rc": True}
        run = tl.finetune(borzoi, source, augment=augment, lora=2, phases=QUICK, progress=False, precision="float32")
        assert run.model.input_shape == (None, 512, 4)
        assert len(run.history) == 3
        assert any("/up/" in path for path in moved(values(borzoi), values(run.model)))

    def test_one_value_a_window(self, borzoi):
        from crested_like.datasets._scalar import ScalarLayout

        source = Windows(ScalarLayout(128, pd.DataFrame({"identifier": ["a", "b"]})), (2,))
        run = tl.finetune(borzoi, source, head="scalar", phases=QUICK[:1], progress=False, batch_size=2)
        assert run.model.input_shape == (None, 128, 4)
        assert run.model.output_shape == (None, 2)

    def test_other_bins_are_refused(self, borzoi):
        source = Windows(self.layout(pool_width=8, target_length=40), (40, 2))
        with pytest.raises(RecipeError, match=r"do not fit: .*the model has 4 bp in a bin, the data have 8"):
            tl.finetune(borzoi, source)

    def test_windows_that_the_network_cannot_take_are_refused(self, borzoi):
        source = Windows(self.layout(seq_length=500, crop_bp=90), (80, 2))
        with pytest.raises(GeometryError):
            tl.finetune(borzoi, source)


@pytest.mark.slow
def test_goes_on_where_it_was(borzoi, tmp_path):
    data, settings = Random((24, 2)), {"tracks": 2, "lora": 2, "progress": False}
    # Adam takes whole steps where a gradient is nothing but rounding
    phases = [replace(phase, optimizer={"name": "sgd"}) for phase in QUICK]
    first = tl.finetune(borzoi, data, phases=phases[:1], out=tmp_path, **settings)
    both = tl.finetune(borzoi, data, phases=phases, out=tmp_path, **settings)
    assert both.history.iloc[:2].equals(first.history)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1_head", "2_all"]
    assert both.folder == tmp_path / "2_all"
    saved = keras.models.load_model(both.folder / "base_tracks.keras")
    x = data.x[0]
    np.testing.assert_allclose(saved.predict(x, verbose=0), both.model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    at_once = tl.finetune(borzoi, data, phases=phases, **settings)
    np.testing.assert_allclose(at_once.model.predict(x, verbose=0), both.model.predict(x, verbose=0), rtol=1e-4)
    assert np.abs(at_once.model.predict(x, verbose=0) - first.model.predict(x, verbose=0)).max() > 1e-3


def test_default_phases(borzoi, monkeypatch):
    seen = []

    def fit(model, data, *, rounds, optimizer, **rest):
        seen.append((rounds, optimizer["learning_rate"], len(learning(model))))
        return Run(model, pd.DataFrame([{"round": 1, "loss": 1.0}]), 1, None, "name")

    monkeypatch.setattr("crested_like.tl.finetuning._finetune.fit", fit)
    data = Random((24, 2))
    tl.finetune(borzoi, data, tracks=2)
    tl.finetune(borzoi, data, tracks=2, lora={"rank": 2, "where": "attention"})
    tl.finetune(borzoi, data, tracks=2, freeze="trunk")
    tl.finetune(borzoi, data, head=None)
    everything = len([layer for layer in borzoi.layers if layer.weights])
    assert seen == [
        *[(5, 1e-3, 1), (20, 1e-4, everything)],
        *[(5, 1e-3, 1), (20, 5e-4, 2)],
        (20, 1e-3, 1),
        (20, 1e-4, everything),
    ]


def test_says_what_is_wrong(borzoi):
    data = Random((24, 2))
    with pytest.raises(RecipeError, match="give either lora= or freeze="):
        tl.finetune(borzoi, data, tracks=2, lora=2, freeze="trunk")
    with pytest.raises(RecipeError, match="head=None keeps the old ones"):
        tl.finetune(borzoi, data, tracks=2, head=None)
    with pytest.raises(RecipeError, match="Batches do not say what their targets are"):
        tl.finetune(borzoi, data)
    with pytest.raises(RecipeError, match=r"training\.round: no such key\. Did you mean 'rounds'"):
        tl.finetune(borzoi, data, tracks=2, round=3)
    with pytest.raises(RecipeError, match="needs at least one phase"):
        tl.finetune(borzoi, data, tracks=2, phases=[])
    with pytest.raises(ValueError, match="train must be one of 'head', 'all'; got 'trunk'"):
        tl.Phase(train="trunk", learning_rate=1)


def test_copies_share_nothing(borzoi):
    copy = rebuilt(borzoi)
    assert not {id(layer) for layer in copy.layers} & {id(layer) for layer in borzoi.layers}
    assert all(map(np.array_equal, copy.get_weights(), borzoi.get_weights()))
    assert crested.card_of(copy) is crested.card_of(borzoi)


def test_copies_of_models_inside_models(rng):
    x = keras.Input((16, 4))
    inner = keras.Sequential([keras.Input((16, 4)), keras.layers.Conv1D(3, 3, padding="same")], name="inner")
    shared = keras.layers.Dense(3, name="shared")
    model = keras.Model(x, {"out": shared(shared(inner(x)) + 1.0)})
    copy = rebuilt(model)
    one_hot = rng.normal(size=(2, 16, 4)).astype("float32")
    np.testing.assert_allclose(
        copy.predict(one_hot, verbose=0)["out"], model.predict(one_hot, verbose=0)["out"], rtol=1e-5, atol=1e-6
    )
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert copy.get_layer("inner") is not model.get_layer("inner")
