"""Files written by the newest Keras load on this one. The nox session ``minimum`` runs it on the oldest."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest

import crested_like as crested

FOLDER = os.environ.get("CRESTED_LIKE_SAMPLE_MODELS", "")
PACKAGED = "borzoi_mini_human"

pytestmark = pytest.mark.skipif(not FOLDER, reason="no files of another Keras; nox -s minimum writes them")


def samples():
    return sorted(path.stem for path in Path(FOLDER).glob("*.npz")) if FOLDER else []


def test_every_architecture_is_there():
    assert set(samples()) == {"basenji2", "enformer", "borzoi", "borzoi_prime", "flashzoi", PACKAGED}


@pytest.mark.parametrize("name", samples())
def test_predicts_as_it_did_where_it_was_written(name):
    path = crested.get_model(PACKAGED)[0] if name == PACKAGED else f"{FOLDER}/{name}.keras"
    model = keras.models.load_model(path)
    noted = dict(np.load(f"{FOLDER}/{name}.npz"))
    got = model.predict(noted.pop("one_hot").astype("float32"), verbose=0)
    got = got if isinstance(got, dict) else {"output": got}
    assert set(got) == set(noted)
    for head, want in noted.items():
        assert np.abs(got[head] - want).max() <= 2e-5 * np.abs(want).max(), head


@pytest.mark.parametrize("name", [name for name in samples() if name != PACKAGED])
def test_brings_its_card(name):
    assert crested.model_card(Path(FOLDER) / f"{name}.keras").architecture == name
