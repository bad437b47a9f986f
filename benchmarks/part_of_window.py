"""Seconds and peak memory of some tracks and bins of a Borzoi window, beside those of all of them.

``tl.accelerate(model, tracks=..., bins=...)`` of the network at its published size with untrained weights, each
selection in a process of its own, in turns.

    python benchmarks/part_of_window.py                        # the current backend, one round
    python benchmarks/part_of_window.py --rounds 5 --backends torch jax

Writes ``docs/benchmarks/part_of_window.md`` and ``.json`` beside it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import measuring
import numpy as np
import one_window
import windows

LENGTH, TRACKS = one_window.MODELS["borzoi"]
BINS = 6_144
#: Tracks and bins of each selection.
SELECTIONS = {"all": (TRACKS, BINS), "tracks": (10, BINS), "bins": (TRACKS, 64), "both": (10, 64)}
OUT = one_window.DOCS / "part_of_window.json"


def predict_part(window: Path, tracks: int, bins: int) -> None:
    """Predict the part of the window at every turn."""
    import keras

    import crested_like

    def build() -> Callable[[np.ndarray], np.ndarray]:
        network = crested_like.tl.zoo.borzoi(heads={"human": TRACKS})
        first = (BINS - bins) // 2
        part = crested_like.tl.accelerate(network, tracks=list(range(tracks)), bins=range(first, first + bins))
        return lambda x: crested_like.tl.predict(x, part)

    packages = ("keras", *measuring.PACKAGES[keras.backend.backend()])
    measuring.take_turns(build, np.load(window).astype(np.float32)[None], packages)


def table(report: dict) -> str:
    """The result as a page for the docs."""
    lines = [
        "# Part of a Borzoi window on the CPU",
        "",
        f"`tl.accelerate(model, tracks=, bins=)` of one window of {LENGTH:,} bp of human DNA, float32: each selection "
        "in a process of its own, in turns; median of so many rounds, in brackets the least and the most. The highest "
        "resident memory of the process, and what the prediction took of it beyond the network and its libraries.",
        "",
        "| backend | tracks | bins | rounds | seconds | peak memory | of it the prediction |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    rows = {name: measuring.summary(entry) for name, entry in report["contestants"].items()}
    for name, row in rows.items():
        backend, selection = name.split("/")
        if "error" in row:
            lines.append(f"| {backend} | {selection} | | | {row['error']} | | |")
            continue
        (tracks, bins), (low, high) = SELECTIONS[selection], row["spread"]
        lines.append(
            f"| {backend} | {tracks:,} | {bins:,} | {row['count']} | {row['seconds']:.1f} ({low:.1f} to {high:.1f}) | "
            f"{row['peak_gb']:.1f} GB | {row['own_gb']:.2f} GB |"
        )
    good = [row for row in rows.values() if "error" not in row]
    command = f"python benchmarks/part_of_window.py --rounds {measuring.rounds_of(good)}"
    return "\n".join([*lines, "", *measuring.ending(report, good, command)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--backends", nargs="+", default=["torch"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all processors")
    parser.add_argument("--data", type=Path, help="folder with hg38_chr1_1mb; without it a random sequence is used")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file; the page goes beside it")
    parser.add_argument("--select", choices=list(SELECTIONS), help=argparse.SUPPRESS)
    parser.add_argument("--window", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.select:
        predict_part(given.window, *SELECTIONS[given.select])
        return
    sequence, source = windows.real_window(LENGTH, given.data)
    with tempfile.TemporaryDirectory() as folder:
        window = Path(folder) / "window.npy"
        np.save(window, windows.one_hot(sequence))
        commands = {
            f"{backend}/{selection}": (
                [sys.executable, __file__, "--select", selection, "--window", str(window)],
                backend,
            )
            for backend in given.backends
            for selection in SELECTIONS
        }
        contestants = measuring.in_turns(commands, given.rounds, given.threads)
    measuring.written({"window": source, "contestants": contestants}, given.threads, given.out, table)


if __name__ == "__main__":
    main()
