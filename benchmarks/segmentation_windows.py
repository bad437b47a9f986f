"""Seconds, memory and share of the processor's peak of one full-length window of each segmentation network.

Every network runs at its published size, with untrained weights, in a process of its own on each backend, and predicts
one window of human DNA by ``tl.predict``. The first prediction compiles, and is shown apart; then backends take turns,
and medians are reported. The peak is that of a matrix product of 4,096 by 4,096 on the same processors, the best of
three before each prediction, in PyTorch and in NumPy, whose products differ.

    python benchmarks/segmentation_windows.py                         # all networks and installed backends, one round
    python benchmarks/segmentation_windows.py --rounds 5              # as the documentation's numbers are made
    python benchmarks/segmentation_windows.py --models segment_nt --backends jax

Writes ``docs/benchmarks/segmentation_windows.md`` and ``.json`` beside it; rows that are there already are kept.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import measuring
import windows
from multiply_adds import multiply_adds

#: Bases of the published inputs.
MODELS = {"segment_nt": 30_000, "segment_enformer": 196_608, "segment_borzoi": 524_288}
TITLES = {"segment_nt": "SegmentNT", "segment_enformer": "SegmentEnformer", "segment_borzoi": "SegmentBorzoi"}
BACKENDS = ("tensorflow", "jax", "torch", "openvino")
DOCS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"


# --- in the process that is measured -----------------------------------------------------------------------------


def window_of(model: str, window: Path) -> None:
    """Predict one window at every turn."""
    import keras

    import crested_like

    def build() -> Any:
        network = getattr(crested_like.tl.zoo, model)()
        return lambda x: crested_like.tl.predict(x, network)

    measuring.take_turns(build, window.read_text(), ("keras", *measuring.PACKAGES[keras.backend.backend()]))


def facts_of(model: str) -> None:
    """Print what one window costs."""
    import crested_like

    network = getattr(crested_like.tl.zoo, model)()
    print(json.dumps({"parameters": network.count_params(), "multiply_adds": multiply_adds(network)}))


# --- in the process that calls them one after the other ----------------------------------------------------------


def table(report: dict) -> str:
    """The result as a page for the docs."""
    measured: list[dict] = []
    lines = [
        "# One window of the segmentation networks on the CPU",
        "",
        "Published sizes, float32, one window a batch, 14 features at every base. Each backend in a process of its "
        "own, in turns; median seconds of so many rounds, in brackets the least and the most, the highest resident "
        "memory of the process, and the rate of the direct algorithm's operations as a share of that of a matrix "
        f"product of {measuring.SIDE:,} by {measuring.SIDE:,} just before, in PyTorch and in NumPy (medians of the "
        "rounds' shares). The warm-up is what building the network and the first prediction take.",
        "",
        "| network | window | multiply-adds | backend | rounds | seconds | peak memory | warm-up | "
        "share of PyTorch's peak | of NumPy's |",
        "|---|---:|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for model, length in MODELS.items():
        entry = report["networks"].get(model)
        if entry is None:
            continue
        rows = {backend: measuring.summary(turns) for backend, turns in entry["backends"].items()}
        good = {backend: row for backend, row in rows.items() if "error" not in row}
        for backend, row in sorted(good.items(), key=lambda item: item[1]["seconds"]):
            measured.append(row)
            rounds = entry["backends"][backend]["rounds"]
            of_torch, of_numpy = (share(entry, rounds, peak) for peak in ("torch_gflops", "machine_gflops"))
            low, high = row["spread"]
            lines.append(
                f"| {TITLES[model]} | {length:,} bp | {entry['multiply_adds']:.2e} | {backend} | {row['count']} | "
                f"{row['seconds']:.1f} ({low:.1f} to {high:.1f}) | {row['peak_gb']:.1f} GB | {row['warm_up']:.0f} s | "
                f"{of_torch} | {of_numpy} |"
            )
    command = f"python benchmarks/segmentation_windows.py --rounds {measuring.rounds_of(measured)}"
    return "\n".join([*lines, "", *measuring.ending(report, measured, command)])


def share(entry: dict, rounds: list[dict], peak: str) -> str:
    """Median over the rounds of the rate of the direct algorithm's operations in a rate of the machine."""
    if rounds[0][peak] is None:
        return ""
    return f"{median(2 * entry['multiply_adds'] / one['seconds'] / one[peak] / 1e9 for one in rounds):.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--rounds", type=int, default=1, help="over all backends of a network; default: 1")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all processors")
    parser.add_argument("--data", type=Path, help="folder with hg38_chr1_1mb; without it a random sequence is used")
    parser.add_argument("--out", type=Path, default=DOCS / "segmentation_windows.json")
    parser.add_argument("--measure", choices=list(MODELS), help=argparse.SUPPRESS)
    parser.add_argument("--window", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure and given.window:
        window_of(given.measure, given.window)
        return
    if given.measure:
        facts_of(given.measure)
        return
    report = json.loads(given.out.read_text()) if given.out.exists() else {"networks": {}}
    backends = [name for name in given.backends if importlib.util.find_spec(name) is not None]
    with tempfile.TemporaryDirectory() as folder:
        window = Path(folder) / "window.txt"
        for model in given.models:
            print(model, flush=True)
            sequence, report["window"] = windows.real_window(MODELS[model], given.data)
            window.write_text(sequence)
            command = [sys.executable, __file__, "--measure", model]
            facts = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            known = report["networks"].get(model, {}).get("backends", {})
            commands = {name: ([*command, "--window", str(window)], name) for name in backends}
            found = measuring.in_turns(commands, given.rounds, given.threads)
            report["networks"][model] = {**facts, "backends": {**known, **found}}
    measuring.written(report, given.threads, given.out, table)


if __name__ == "__main__":
    main()
