"""A run that was interrupted goes on as if it had not been; one that is not the same is refused."""

import errno
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

from crested_like._errors import TrainingError
from crested_like.checkpoints._keras import load_keras
from crested_like.tl import fit
from crested_like.tl.training import _state
from crested_like.tl.training._random import seed_everything

SETTINGS = {
    "loss": {"name": "poisson_multinomial", "total_weight": 0.2},
    "optimizer": {"learning_rate": 0.02, "clip_global_norm": 1.0, "weight_decay": 0.01},
    "schedule": {"warmup": 5, "decay": "cosine"},
    "rounds": 4,
    "ema": 0.9,
    "calibration": 2,
    "seed": 3,
}


class StoppedError(Exception):
    pass


class StopAt(keras.callbacks.Callback):
    def __init__(self, number, batch):
        super().__init__()
        self.where = (number, batch)

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == self.where:
            raise StoppedError


def arrays(path):
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        return {name: np.load(archive.open(name)) for name in names}


def without_time(history):
    return history.drop(columns="seconds")


def check_same_run(folder, other):
    """Figures to the last bit, and every array of the checkpoint."""
    tables = [pd.read_csv(path / "history.csv", float_precision="round_trip") for path in (folder, other)]
    pd.testing.assert_frame_equal(*map(without_time, tables), check_exact=True)
    a, b = (arrays(path / "checkpoint.zip") for path in (folder, other))
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    x, y = (load_keras(path / "model.keras").get_weights() for path in (folder, other))
    for first, second in zip(x, y, strict=True):
        np.testing.assert_array_equal(first, second)


def test_going_on_in_the_middle_of_a_round(tiny, toy, tmp_path):
    def run(out, **more):
        return fit(tiny(), toy(), valid=toy(2, seed=99), out=out, progress=False, **SETTINGS, **more)

    whole = run(tmp_path / "whole")
    with pytest.raises(StoppedError):
        run(tmp_path / "broken", callbacks=[StopAt(3, 1)])
    assert not (tmp_path / "broken" / "model.keras").exists()
    assert len(pd.read_csv(tmp_path / "broken" / "history.csv")) == 2
    tiny(("human", "mouse"))  # names and default seeds of later layers depend on what was made before
    again = run(tmp_path / "broken")
    check_same_run(tmp_path / "whole", tmp_path / "broken")
    pd.testing.assert_frame_equal(without_time(whole.history), without_time(again.history), check_exact=True)
    assert whole.history["loss"].nunique() == 4


def test_dropout_matters_to_that(tiny, toy, tmp_path, monkeypatch):
    """Without the states of seeds the resumed run is another one: the test above can fail."""
    run = {"valid": toy(2, seed=99), "progress": False, **SETTINGS}
    whole = fit(tiny(), toy(), **run)
    with pytest.raises(StoppedError):
        fit(tiny(), toy(), out=tmp_path / "x", callbacks=[StopAt(3, 1)], **run)
    restore = _state.read_state

    def forgetful(path, model):
        restore(path, model)
        seed_everything(model, 17)

    monkeypatch.setattr("crested_like.tl.training._folder.read_state", forgetful)
    other = fit(tiny(), toy(), out=tmp_path / "x", **run)
    assert whole.history["loss"][3] != other.history["loss"][3]


def worker(**job):
    environment = {**os.environ, "KERAS_BACKEND": keras.backend.backend(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, str(Path(__file__).with_name("worker.py")), json.dumps(job)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=500,
    )


@pytest.mark.slow
def test_going_on_after_sigkill(tmp_path):
    done = worker(out=str(tmp_path / "whole"), **SETTINGS)
    assert done.returncode == 0, done.stderr
    killed = worker(out=str(tmp_path / "killed"), kill=[3, 1], **SETTINGS)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.keras").exists()
    again = worker(out=str(tmp_path / "killed"), **SETTINGS)
    assert again.returncode == 0, again.stderr
    check_same_run(tmp_path / "whole", tmp_path / "killed")


def test_a_run_that_is_done_is_not_trained_on(tiny, toy, tmp_path):
    first = fit(tiny(), toy(), valid=toy(1, seed=9), out=tmp_path, rounds=2, progress=False)
    second = fit(tiny(seed=5), toy(), valid=toy(1, seed=9), out=tmp_path, rounds=2, progress=False)
    assert second.best_round == first.best_round
    for a, b in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    longer = fit(tiny(), toy(), valid=toy(1, seed=9), out=tmp_path, rounds=3, progress=False)
    assert longer.history["round"].tolist() == [1, 2, 3]


def test_another_configuration_is_refused(tiny, toy, tmp_path):
    run = {"valid": toy(1, seed=9), "out": tmp_path, "progress": False}
    fit(tiny(), toy(), rounds=1, **run)
    with pytest.raises(TrainingError, match=r"optimizer.learning_rate was 0.0001, now 0.5; training.seed was 0, now 1"):
        fit(tiny(), toy(), rounds=2, seed=1, optimizer={"learning_rate": 0.5}, **run)
    with pytest.raises(TrainingError, match=r"data.batches was 4, now 5"):
        fit(tiny(), toy(5), rounds=2, **run)
    with pytest.raises(TrainingError, match=r"model.parameters was .*, now "):
        fit(tiny(("human", "mouse")), toy(), rounds=2, **run)
    other = "jax" if keras.backend.backend() != "jax" else "torch"
    progress = _state.read_progress(tmp_path / "checkpoint.zip")
    assert _state.changed(progress.settings, {**progress.settings, "backend": other}, ()) == [
        f'backend was "{keras.backend.backend()}", now "{other}"'
    ]


def test_a_decay_that_would_become_longer_is_another_configuration(tiny, toy, tmp_path):
    run = {"valid": toy(1, seed=9), "out": tmp_path, "progress": False}
    fit(tiny(), toy(), rounds=1, schedule={"decay": "cosine"}, **run)
    with pytest.raises(TrainingError, match=r"schedule.decay_steps was 4, now 8"):
        fit(tiny(), toy(), rounds=2, schedule={"decay": "cosine"}, **run)


def test_a_damaged_checkpoint_is_named(tiny, toy, tmp_path):
    run = {"valid": toy(1, seed=9), "out": tmp_path, "progress": False}
    fit(tiny(), toy(), rounds=1, **run)
    path = tmp_path / "checkpoint.zip"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(TrainingError, match=r"checkpoint.zip is damaged \(File is not a zip file\)"):
        fit(tiny(), toy(), rounds=2, **run)
    path.unlink()
    with pytest.raises(TrainingError, match=r"holds .*keras, but no checkpoint to go on from"):
        fit(tiny(), toy(), rounds=2, **run)


def test_two_processes_do_not_share_a_folder(tiny, toy, tmp_path):
    from filelock import FileLock

    with FileLock(tmp_path / ".lock"), pytest.raises(TrainingError, match=r"Another process is training in"):
        fit(tiny(), toy(), out=tmp_path, rounds=1, progress=False)


def check_whole(folder, before, run):
    """The checkpoint is as it was, nothing unfinished lies about, and the run goes on."""
    assert (folder / "checkpoint.zip").read_bytes() == before
    assert not [path.name for path in folder.iterdir() if path.name.startswith((".part", ".best"))]
    after = run(rounds=2)
    assert after.history["round"].tolist() == [1, 2]


def test_a_full_disk_leaves_the_last_checkpoint_whole(tiny, toy, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")

    def run(rounds):
        return fit(tiny(), toy(), valid=toy(1, seed=9), out=tmp_path, progress=False, rounds=rounds)

    run(rounds=1)
    before = (tmp_path / "checkpoint.zip").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with monkeypatch.context() as patch:
        patch.setattr("crested_like.tl.training._folder.save_keras", lambda *_: None)  # HDF5 would end the process
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        try:
            with pytest.raises(OSError, match=r"File too large"):
                run(rounds=2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
    check_whole(tmp_path, before, run)


def test_a_model_that_has_no_room_is_not_begun(tiny, toy, tmp_path, monkeypatch):
    def run(rounds):
        return fit(tiny(), toy(), out=tmp_path, progress=False, rounds=rounds)

    run(rounds=1)
    before = (tmp_path / "checkpoint.zip").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
        with pytest.raises(OSError, match=r"has room for 0 MiB; the best model needs 1. Make room") as raised:
            run(rounds=2)
    assert raised.value.errno == errno.ENOSPC
    check_whole(tmp_path, before, run)
