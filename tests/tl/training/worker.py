"""A training in a process of its own: ``python worker.py '{"out": ..., ...}'`` prints its losses and figures as JSON.

Keys: ``config`` (a recipe, then nothing else); or ``out`` (folder), ``model`` (file; by default the tiny network),
``kill`` (round and batch at which the process kills itself), ``data`` and ``valid`` (toy settings), everything else are
arguments of ``tl.fit``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import keras

sys.path.insert(0, str(Path(__file__).parent))

from conftest import Toy, network

from crested_like.checkpoints._keras import load_keras
from crested_like.tl import fit


class Kill(keras.callbacks.Callback):
    """SIGKILL in the middle of a round: nothing is cleaned up."""

    def __init__(self, number: int, batch: int):
        super().__init__()
        self.number, self.last = number, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == (self.number, self.last):
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    job = json.loads(sys.argv[1])
    if "config" in job:
        tell(fit(job["config"], progress=False))
        return
    model = load_keras(job.pop("model")) if "model" in job else network()
    callbacks = [Kill(*job.pop("kill"))] if "kill" in job else []
    data, valid = job.pop("data", {}), job.pop("valid", {"steps": 2, "seed": 99})
    run = fit(
        model,
        Toy(**data),
        valid=None if valid is None else Toy(**valid),
        callbacks=callbacks,
        progress=False,
        **job,
    )
    tell(run)


def tell(run) -> None:
    print(json.dumps({"history": run.history.to_dict("list"), "best": run.best_round}))


main()
