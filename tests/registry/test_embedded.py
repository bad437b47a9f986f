"""The models that come inside the package."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import pytest

import crested_like as crested
from crested_like.checkpoints._keras import read_card
from crested_like.datasets import BasenjiDataset


@dataclass(frozen=True)
class Embedded:
    name: str
    path: str
    tracks: int
    data: str
    """Folder of the dataset that it was trained on."""


KNOWN = {"borzoi_mini_human": (74, "hg38"), "borzoi_mini_mouse": (32, "mm10")}


@pytest.fixture(params=KNOWN)
def embedded(request, monkeypatch, tmp_path):
    """A model as somebody without network and with an empty cache gets it."""
    monkeypatch.setenv("CRESTED_LIKE_OFFLINE", "1")
    monkeypatch.setenv("CRESTED_LIKE_DATA_DIR", str(tmp_path))
    path, names = crested.get_model(request.param)
    assert not list(tmp_path.iterdir())
    tracks, data = KNOWN[request.param]
    assert len(names) == tracks
    return Embedded(request.param, path, tracks, data)


def test_works_offline_in_three_lines(embedded):
    import keras

    model = keras.models.load_model(embedded.path)
    assert model.input_shape == (None, 131_072, 4)
    assert model.output_shape == (None, 2048, embedded.tracks)
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} <= {"keras", "crested_like"}
    predictions = crested.tl.predict("ACGTTGCA" * (131_072 // 8), model)
    assert predictions.shape == (1, 2048, embedded.tracks)
    assert np.isfinite(predictions).all()


def test_is_small_enough_for_the_package(embedded):
    assert os.path.getsize(embedded.path) < 3_000_000


def test_card_travels_in_the_file(embedded):
    entry = crested.model_card(embedded.name)
    inside = read_card(embedded.path)
    assert inside.replace(sha256=entry.sha256).to_dict() == entry.to_dict()
    assert entry.parameters == crested.load_model(embedded.name).count_params()


def test_the_best_of_the_seeds_is_shipped(embedded):
    metrics = crested.model_card(embedded.name).metrics
    best = max(metrics["seeds"].values(), key=lambda run: run["valid_pearson_r"])
    assert best["shipped"]
    assert metrics["valid_pearson_r"] == best["valid_pearson_r"] == pytest.approx(max(best["curve"]), abs=2e-3)
    assert metrics["test_pearson_r"] == best["test_pearson_r"]


def test_tracks_have_mutual_strand_pairs(embedded):
    tracks = crested.get_tracks(embedded.name)
    pairs = tracks["strand_pair"].to_numpy()
    np.testing.assert_array_equal(pairs[pairs], np.arange(embedded.tracks))
    stranded = tracks["identifier"].str.endswith(("+", "-"))
    np.testing.assert_array_equal(pairs != np.arange(embedded.tracks), stranded)
    assert {"sum_stat", "clip", "clip_soft", "scale", "description"} <= set(tracks.columns)


@pytest.mark.parity
@pytest.mark.parametrize("label", ["valid", "test"])
def test_reaches_the_figure_on_its_card(embedded, data_dir, label):
    """Mean over tracks of Pearson's r over all bins of a split; 5e-4 leaves room for other backends' rounding."""
    model = crested.load_model(embedded.name)
    examples = list(BasenjiDataset(data_dir / "tiny" / embedded.data).iter(label, one_hot=True))
    truth = np.concatenate([e.targets for e in examples]).astype(float)
    found = np.concatenate(
        [np.asarray(model.predict_on_batch(e.sequence[None].astype("float32")))[0] for e in examples]
    )
    each = [np.corrcoef(truth[:, i], found[:, i])[0, 1] for i in range(truth.shape[1])]
    assert np.mean(each) == pytest.approx(crested.model_card(embedded.name).metrics[f"{label}_pearson_r"], abs=5e-4)
