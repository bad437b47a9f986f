"""The model that comes inside the package."""

from __future__ import annotations

import os

import numpy as np
import pytest

import crested_like as crested
from crested_like.checkpoints._keras import read_card
from crested_like.datasets import BasenjiDataset

NAME = "borzoi_mini_human"


@pytest.fixture
def path(monkeypatch, tmp_path):
    """The file as somebody without network and with an empty cache gets it."""
    monkeypatch.setenv("CRESTED_LIKE_OFFLINE", "1")
    monkeypatch.setenv("CRESTED_LIKE_DATA_DIR", str(tmp_path))
    path, names = crested.get_model(NAME)
    assert not list(tmp_path.iterdir())
    assert len(names) == 74
    return path


def test_works_offline_in_three_lines(path):
    import keras

    model = keras.models.load_model(path)
    assert model.input_shape == (None, 131_072, 4)
    assert model.output_shape == (None, 2048, 74)
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} <= {"keras", "crested_like"}
    predictions = crested.tl.predict("ACGTTGCA" * (131_072 // 8), model)
    assert predictions.shape == (1, 2048, 74)
    assert np.isfinite(predictions).all()


def test_is_small_enough_for_the_package(path):
    assert os.path.getsize(path) < 3_000_000


def test_card_travels_in_the_file(path):
    entry = crested.model_card(NAME)
    inside = read_card(path)
    assert inside.replace(sha256=entry.sha256).to_dict() == entry.to_dict()
    assert entry.parameters == crested.load_model(NAME).count_params()


def test_tracks_have_mutual_strand_pairs(path):
    tracks = crested.get_tracks(NAME)
    pairs = tracks["strand_pair"].to_numpy()
    np.testing.assert_array_equal(pairs[pairs], np.arange(74))
    stranded = tracks["identifier"].str.endswith(("+", "-"))
    np.testing.assert_array_equal(pairs != np.arange(74), stranded)
    assert {"sum_stat", "clip", "clip_soft", "scale", "description"} <= set(tracks.columns)


@pytest.mark.parity
@pytest.mark.parametrize("label", ["valid", "test"])
def test_reaches_the_figure_on_its_card(path, data_dir, label):
    """Mean over tracks of Pearson's r over all bins of a split; 5e-4 leaves room for other backends' rounding."""
    model = crested.load_model(NAME)
    examples = list(BasenjiDataset(data_dir / "tiny" / "hg38").iter(label, one_hot=True))
    truth = np.concatenate([e.targets for e in examples]).astype(float)
    found = np.concatenate(
        [np.asarray(model.predict_on_batch(e.sequence[None].astype("float32")))[0] for e in examples]
    )
    each = [np.corrcoef(truth[:, i], found[:, i])[0, 1] for i in range(truth.shape[1])]
    assert np.mean(each) == pytest.approx(crested.model_card(NAME).metrics[f"{label}_pearson_r"], abs=5e-4)
