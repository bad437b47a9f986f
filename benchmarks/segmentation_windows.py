"""Seconds, memory and share of the processor's peak of one full-length window of each segmentation network.

Every network runs at its published size, with untrained weights, in a fresh process on each backend, and predicts one
window of human DNA twice by ``tl.predict``; the second run counts. The peak is that of a matrix product of 4,096 by
4,096 on the same processors, the best of three by whichever of NumPy and the installed backends is fastest.

    python benchmarks/segmentation_windows.py                         # all networks and installed backends
    python benchmarks/segmentation_windows.py --models segment_nt --backends jax

Writes ``docs/benchmarks/segmentation_windows.md`` and ``.json`` beside it; rows that are there already are kept.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import windows
from multiply_adds import multiply_adds

#: Bases of the published inputs.
MODELS = {"segment_nt": 30_000, "segment_enformer": 196_608, "segment_borzoi": 524_288}
TITLES = {"segment_nt": "SegmentNT", "segment_enformer": "SegmentEnformer", "segment_borzoi": "SegmentBorzoi"}
BACKENDS = ("tensorflow", "jax", "torch", "openvino")
DOCS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
#: Side of the matrices that measure the peak.
SIDE = 4_096


# --- in the process that is measured -----------------------------------------------------------------------------


def window_of(model: str, sequence: str, out: Path) -> None:
    """Predict one window and write what it took."""
    import keras

    import crested_like

    network: Any = None

    def build() -> Any:
        nonlocal network
        network = getattr(crested_like.tl.zoo, model)()
        return lambda x: crested_like.tl.predict(x, network)

    found = measuring.twice(build, sequence)
    found |= {
        "parameters": network.count_params(),
        "multiply_adds": multiply_adds(network),
        "versions": measuring.installed("keras", *measuring.PACKAGES[keras.backend.backend()]),
    }
    out.write_text(json.dumps(found))


def matrix_product(out: Path) -> None:
    """Floating-point operations a second of a large matrix product, on the backend of this process."""
    import keras

    rng = np.random.default_rng(0)
    numpy_pair = [rng.standard_normal((SIDE, SIDE), dtype=np.float32) for _ in range(2)]
    pair = [keras.ops.convert_to_tensor(x) for x in numpy_pair]
    contestants = {
        "numpy": lambda: numpy_pair[0] @ numpy_pair[1],
        keras.backend.backend(): lambda: keras.ops.convert_to_numpy(keras.ops.matmul(*pair)),
    }
    found = {}
    for name, multiply in contestants.items():
        seconds = []
        for _ in range(4):
            before = time.perf_counter()
            multiply()
            seconds.append(time.perf_counter() - before)
        found[name] = 2 * SIDE**3 / min(seconds)
    out.write_text(json.dumps(found))


# --- in the process that calls them one after the other ----------------------------------------------------------


def table(report: dict) -> str:
    """The result as a page for the docs."""
    peak = report["peak"]
    versions: dict[str, str] = {}
    lines = [
        "# One window of the segmentation networks on the CPU",
        "",
        "Published sizes, float32, one window a batch, 14 features at every base. Seconds of the second of two runs, "
        "the highest resident memory of the process, and the rate of the direct algorithm's operations as a share of "
        f"{peak['rate'] / 1e9:.0f} GFLOP/s, a matrix product of {SIDE:,} by {SIDE:,} on the same processors "
        f"({peak['by']}).",
        "",
        "| network | window | multiply-adds | backend | seconds | peak memory | share of peak |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    for model, length in MODELS.items():
        rows = {backend: row for backend, row in report["networks"].get(model, {}).items() if "error" not in row}
        for backend, row in sorted(rows.items(), key=lambda item: item[1]["seconds"]):
            versions |= row["versions"]
            share = 2 * row["multiply_adds"] / row["seconds"] / peak["rate"]
            lines.append(
                f"| {TITLES[model]} | {length:,} bp | {row['multiply_adds']:.2e} | {backend} | {row['seconds']:.1f} | "
                f"{row['peak_gb']:.1f} GB | {100 * share:.0f} % |"
            )
    lines += [
        "",
        measuring.machine_line(report["machine"]),
        f"Versions: {', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}.",
        f"Measured on {report['date']} with `python benchmarks/segmentation_windows.py`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all processors")
    parser.add_argument("--data", type=Path, help="folder with hg38_chr1_1mb; without it a random sequence is used")
    parser.add_argument("--out", type=Path, default=DOCS / "segmentation_windows.json")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--window", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure == "peak":
        matrix_product(given.out)
        return
    if given.measure:
        window_of(given.measure, given.window.read_text(), given.out)
        return
    given.out.parent.mkdir(parents=True, exist_ok=True)
    report = json.loads(given.out.read_text()) if given.out.exists() else {"networks": {}}
    backends = [name for name in given.backends if importlib.util.find_spec(name) is not None]
    with tempfile.TemporaryDirectory() as folder:
        window, result = Path(folder) / "window.txt", Path(folder) / "result.json"

        def measure(what: str, backend: str) -> dict:
            command = [sys.executable, __file__, "--measure", what, "--window", str(window), "--out", str(result)]
            row = measuring.run(command, backend, given.threads, result)
            print(f"{what} on {backend}: {row}", flush=True)
            return row

        rates: dict[str, float] = {}
        for backend in backends:
            rates |= measure("peak", backend)
        best = max(rates, key=lambda name: rates[name])
        report["peak"] = {"rate": rates[best], "by": best}
        for model in given.models:
            sequence, report["window"] = windows.real_window(MODELS[model], given.data)
            window.write_text(sequence)
            report["networks"].setdefault(model, {}).update({name: measure(model, name) for name in backends})
    report["machine"] = measuring.machine(given.threads)
    report["date"] = datetime.date.today().isoformat()
    given.out.write_text(json.dumps(report, indent=1) + "\n")
    given.out.with_suffix(".md").write_text(table(report))


if __name__ == "__main__":
    main()
