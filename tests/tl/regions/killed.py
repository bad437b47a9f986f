"""Run as a script: predict regions and be killed, as ``kill -9`` does, at some point. Units that are done are noted."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import crested_like as crested
from crested_like._unfinished import Unfinished
from crested_like.tl import predict_regions
from crested_like.tl.regions import _files, _stores


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def note_and_die(notes: Path, point: str) -> None:
    """Arrange for the end: ``compute:3`` in the third unit, ``mark:3`` when it is stored and not marked, ``finish``."""
    from crested_like.tl._predict import Predictor

    where, _, number = point.partition(":")
    seen = {"compute": 0, "mark": 0}
    compute, mark, finish = Predictor.__call__, Unfinished.mark, _stores.ZarrStore.finish
    write = _files.write_bigwig

    def counted_compute(self, batch):
        seen["compute"] += 1
        if where == "compute" and seen["compute"] == int(number):
            die()
        return compute(self, batch)

    def counted_mark(self, entry):
        seen["mark"] += 1
        if where == "mark" and seen["mark"] == int(number):
            die()
        mark(self, entry)
        with notes.open("a") as file:
            file.write(f"{entry['unit']}\n")

    def dying_finish(self):
        finish(self)
        if where == "finish":
            die()

    def dying_write(path, *arguments):
        write(path, *arguments)
        if where == "finish":
            die()

    Predictor.__call__, Unfinished.mark = counted_compute, counted_mark
    _stores.ZarrStore.finish, _files.write_bigwig = dying_finish, dying_write


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    note_and_die(Path(told["notes"]), told["point"])
    model = crested.load_model(told["model"])
    genome = crested.Genome(told["genome"], name="small")
    predict_regions(told["regions"], model, genome, out=told["out"], progress=False, **told["options"])
