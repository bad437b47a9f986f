"""Seconds and memory of one Borzoi window on a GPU, in float32 and bfloat16, beside borzoi-pytorch and Flashzoi.

Contestants take turns as in ``one_window.py``, each in a process of its own; the rate of a large matrix product in the
same numbers on the same card stands beside them. Where there is no GPU, or with ``--check``, the same code runs a small
network of this package on the CPU instead, and the page says "not measured".

    python benchmarks/gpu_window.py --rounds 5 --peers-python peers/bin/python
    python benchmarks/gpu_window.py --check

Writes ``docs/benchmarks/gpu_window.md`` and ``.json`` beside it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import one_window
import windows

LENGTH, TRACKS = one_window.MODELS["borzoi"]
PRECISIONS = ("float32", "bfloat16")
#: Side of the matrices whose product says what a card can do.
SIDE = 8_192
#: Of the check on the CPU.
SMALL = {
    "input_length": 4_096,
    "output_bins": 32,
    "stem_filters": 8,
    "tower_filters": (8, 8, 8, 8, 16, 16),
    "attention_heads": 2,
    "transformer_blocks": 1,
}
OURS = ("torch", "jax")
PEERS = ("borzoi-pytorch", "flashzoi")
OUT = one_window.DOCS / "gpu_window.json"

Predict = Callable[[np.ndarray], np.ndarray]


# --- in the process that is measured -----------------------------------------------------------------------------


def ours(precision: str, small: bool) -> Predict:
    import crested_like

    network = crested_like.tl.zoo.borzoi(**SMALL if small else {}, heads={"human": 8 if small else TRACKS})
    if precision != "float32":
        network = crested_like.tl.accelerate(network, precision=precision)
    return lambda x: crested_like.tl.predict(x, network)


def borzoi_pytorch(name: str, precision: str) -> Predict:
    import borzoi_pytorch
    import torch
    from borzoi_pytorch.config_borzoi import BorzoiConfig

    if name == "flashzoi":
        network = borzoi_pytorch.Borzoi(BorzoiConfig(flashed=True))
    else:
        network = borzoi_pytorch.Borzoi(BorzoiConfig())
    network = network.eval().to("cuda", getattr(torch, precision))

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 1))).to("cuda", getattr(torch, precision))
            return network(given).float().cpu().numpy()

    return predict


def compete(name: str, precision: str, window: Path, small: bool) -> None:
    """Predict at every turn."""
    import keras

    x = np.load(window).astype(np.float32)[None]
    build = (lambda: ours(precision, small)) if name in OURS else (lambda: borzoi_pytorch(name, precision))
    packages = ("borzoi-pytorch", "keras", *measuring.PACKAGES[keras.backend.backend()])
    measuring.take_turns(build, x, packages, device_memory)


def device_memory() -> float | None:
    """Most memory of the card that was in use, in GB."""
    if os.environ["KERAS_BACKEND"] == "jax":
        import jax

        told = jax.devices()[0].memory_stats() or {}
        return told["peak_bytes_in_use"] / 1e9 if "peak_bytes_in_use" in told else None
    import torch

    return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None


def ceiling(precision: str, side: int) -> None:
    """Print the rate of a matrix product in TFLOP/s by PyTorch, the best of five."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    a, b = (torch.randn(side, side, device=device, dtype=getattr(torch, precision)) for _ in range(2))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        float((a @ b)[0, 0])  # waits for the card
        seconds.append(time.perf_counter() - start)
    print(2 * side**3 / min(seconds) / 1e12)


# --- in the process that calls them in turns ---------------------------------------------------------------------


def card() -> str | None:
    """Name and driver of the GPU, if there is one."""
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def commands(peers: list[str], window: Path, small: bool) -> dict[str, tuple[list[str], str]]:
    """Processes that compete, by name and precision."""
    options = ["--window", str(window), *(["--small"] if small else [])]
    backends = [name for name in OURS if importlib.util.find_spec(name)]
    found = {
        f"crested_like/{backend}/{precision}": (
            [sys.executable, __file__, "--compete", backend, "--precision", precision, *options],
            backend,
        )
        for backend, precision in product(backends, PRECISIONS)
    }
    contestant = one_window.BY_NAME["borzoi-pytorch/torch"]
    python = None if small else one_window.interpreter(contestant, peers)
    if python is not None:
        found |= {
            f"{name}/torch/{precision}": (
                [python, __file__, "--compete", name, "--precision", precision, *options],
                "torch",
            )
            for name, precision in product(PEERS, PRECISIONS)
        }
    return found


def checked(folder: Path, threads: int) -> dict[str, Any]:
    """The same code on the CPU with a small network: errors of each precision, or what went wrong."""
    window = folder / "small.npy"
    np.save(window, windows.one_hot("".join(np.random.default_rng(0).choice(list("ACGT"), SMALL["input_length"]))))
    entries = measuring.in_turns(commands([], window, small=True), 1, threads)
    return {name: {key: row[key] for key in ("error", "seconds") if key in row} for name, row in _rows(entries).items()}


def _rows(entries: dict[str, dict]) -> dict[str, dict]:
    return {name: measuring.summary(entry) for name, entry in entries.items()}


def table(report: dict) -> str:
    """The result as a page for the docs."""
    lines = ["# One Borzoi window on a GPU", ""]
    if report["card"] is None:
        good = [name for name, row in report["checks"].items() if "error" not in row]
        bad = [f"{name}: {row['error']}" for name, row in report["checks"].items() if "error" in row]
        lines += [
            "Not measured: no GPU was at hand. The benchmark's own code ran on the CPU with a small network for "
            f"{', '.join(good) or 'none'}.",
            "",
            *bad,
            f"Checked on {report['date']} with `python benchmarks/gpu_window.py --check`.",
            "",
        ]
        return "\n".join(lines)
    rates = ", ".join(f"{rate:.0f} TFLOP/s in {precision}" for precision, rate in report["ceiling"].items())
    lines += [
        f"{LENGTH:,} bp of human DNA, {TRACKS:,} tracks, one window a batch, the result copied to the computer's "
        "memory. Each contestant in a process of its own, in turns; median of so many rounds, in brackets the least "
        f"and the most. A matrix product of {SIDE:,} by {SIDE:,} by PyTorch on the same card: {rates}.",
        "",
        "| package | backend | numbers | rounds | seconds | memory of the card | warm-up |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    rows = _rows(report["contestants"])
    good = {name: row for name, row in rows.items() if "error" not in row}
    for name, row in sorted(good.items(), key=lambda item: item[1]["seconds"]):
        low, high = row["spread"]
        memory = "" if row["device_gb"] is None else f"{row['device_gb']:.1f} GB"
        lines.append(
            f"| {' | '.join(name.split('/'))} | {row['count']} | {row['seconds']:.2f} ({low:.2f} to {high:.2f}) | "
            f"{memory} | {row['warm_up']:.0f} s |"
        )
    lines += ["", *(f"{name}: {row['error']}." for name, row in rows.items() if "error" in row)]
    command = f"python benchmarks/gpu_window.py --rounds {measuring.rounds_of(good.values())}"
    lines += [f"Card: {report['card']}.", *measuring.ending(report, good.values(), command)]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--check", action="store_true", help="run the small network on the CPU, whatever there is")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all processors")
    parser.add_argument("--peers-python", nargs="+", default=[sys.executable], help="interpreters with the peers")
    parser.add_argument("--data", type=Path, help="folder with hg38_chr1_1mb; without it a random sequence is used")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file; the page goes beside it")
    parser.add_argument("--compete", choices=[*OURS, *PEERS], help=argparse.SUPPRESS)
    parser.add_argument("--ceiling", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--precision", choices=PRECISIONS, help=argparse.SUPPRESS)
    parser.add_argument("--window", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--small", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.compete:
        compete(given.compete, given.precision, given.window, given.small)
        return
    if given.ceiling:
        ceiling(given.precision, SIDE)
        return
    found = None if given.check else card()
    report: dict[str, Any] = {"card": found}
    with tempfile.TemporaryDirectory() as folder:
        if found is None:
            report["checks"] = checked(Path(folder), given.threads)
        else:
            window = Path(folder) / "window.npy"
            sequence, report["window"] = windows.real_window(LENGTH, given.data)
            np.save(window, windows.one_hot(sequence))
            report["ceiling"] = {}
            for precision in PRECISIONS:
                command = [sys.executable, __file__, "--ceiling", "--precision", precision]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                report["ceiling"][precision] = float(done.stdout)
            wanted = commands(given.peers_python, window, small=False)
            report["contestants"] = measuring.in_turns(wanted, given.rounds, given.threads, gpu=True)
    measuring.written(report, given.threads, given.out, table)


if __name__ == "__main__":
    main()
