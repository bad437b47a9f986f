"""Seconds and peak memory of explaining one gene's coverage over a full Borzoi window of 524,288 bp, on the CPU.

Borzoi has its published size and untrained weights. The number that is explained is that of a gene: coverage of some
tracks summed over the bins of its exons, on a logarithmic scale. Every contestant runs in a fresh process, one after
the other: each backend of this package by ``tl.explain``, with what it chooses by itself for the memory that is free,
and CREsted by ``tl.contribution_scores`` with its saliency map, on a model that ends in that very number. Nobody may
take more address space than ``--limit`` gigabytes.

    python benchmarks/borzoi_attribution.py                        # all that is installed
    python benchmarks/borzoi_attribution.py --only crested_like/jax --runs 1
    python benchmarks/borzoi_attribution.py --peers-python /path/to/other/venv/bin/python

Writes ``docs/benchmarks/borzoi_attribution.md`` and ``.json`` beside it; rows that are there already are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import windows

LENGTH, OUTPUT_BINS = 524_288, 6_144
#: Bins of the exons of a gene in the middle of the window, and tracks that are averaged.
EXONS = ((2_950, 2_954), (2_990, 2_995), (3_060, 3_063), (3_110, 3_128))
TRACKS = range(7_600, 7_610)
OURS, CRESTED = "crested_like", "crested"
CONTESTANTS = (*(f"{OURS}/{name}" for name in ("tensorflow", "jax", "torch")), f"{CRESTED}/tensorflow")
DOCS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"


# --- in the process of a contestant ------------------------------------------------------------------------------


def ours() -> Callable[[np.ndarray], Any]:
    from crested_like.tl import Readout, explain, zoo

    network = zoo.borzoi()
    for weight in network.weights:  # zero at first: nothing would come through the attention
        if "embedding_layer" in weight.path and "kernel" in weight.path:
            weight.assign(0.02 * np.random.default_rng(0).standard_normal(weight.shape, np.float32))
    bins = [number for first, last in EXONS for number in range(first, last)]
    readout = Readout(TRACKS, bins=bins, log=True)
    return lambda x: explain(x, network, readout=readout)


def crested() -> Callable[[np.ndarray], Any]:
    import crested
    import keras

    network = crested.tl.zoo.borzoi(LENGTH, 7_611)
    weights = np.zeros((OUTPUT_BINS, 1), np.float32)
    for first, last in EXONS:
        weights[first:last] = 1.0
    y = network.output[:, :, TRACKS.start : TRACKS.stop]
    y = keras.ops.mean(keras.ops.log2(1 + keras.ops.sum(y * weights, axis=1)), axis=-1, keepdims=True)
    gene = keras.Model(network.input, y)
    return lambda x: crested.tl.contribution_scores(x, 0, gene, method="saliency_map", batch_size=1)[0]


def compete(contestant: str, window: Path, out: Path, runs: int, limit: float) -> None:
    """Run one contestant in this process and write what it took."""
    x = np.load(window).astype(np.float32)[None]
    build = ours if contestant.startswith(f"{OURS}/") else crested
    start = time.perf_counter()
    explain = build()
    built = time.perf_counter() - start
    if limit:
        before = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        most = before + int(limit * 1e9) - now  # address space beyond what is resident already
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    seconds, processor = [], []
    for _ in range(runs):
        before, used = time.perf_counter(), time.process_time()
        found = np.asarray(explain(x))
        seconds.append(time.perf_counter() - before)
        processor.append(time.process_time() - used)
    package, backend = contestant.split("/")
    row = {
        "build_seconds": built,
        "first_seconds": seconds[0],
        "seconds": seconds[-1],
        "processor_seconds": processor[-1],
        "runs": runs,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "bases_with_scores": int((found != 0).any(axis=-1).sum()),
        "versions": measuring.installed(package, "keras", *measuring.PACKAGES[backend]),
    }
    out.write_text(json.dumps(row))


# --- in the process that calls them one after the other ----------------------------------------------------------


def has(python: str, contestant: str) -> bool:
    """Whether an interpreter has what a contestant needs."""
    code = f"import importlib.util as u, sys; sys.exit(not all(u.find_spec(m) for m in {contestant.split('/')}))"
    return subprocess.run([python, "-c", code]).returncode == 0


def table(report: dict) -> str:
    """The result as a page for the docs."""
    exons = sum(last - first for first, last in EXONS)
    lines = [
        "# Explaining one gene over a Borzoi window on the CPU",
        "",
        f"The gradient of log2(1 + coverage) of {exons} exon bins, averaged over {len(TRACKS)} tracks, with respect to "
        f"all {LENGTH:,} bases: Borzoi at its published size, float32. Each contestant in a fresh process; seconds of "
        "the last run, the processors' own seconds, and the highest resident memory of the process.",
        "",
        "| package | backend | runs | seconds | processor seconds | peak memory |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, row in sorted(report["contestants"].items(), key=lambda item: item[1].get("processor_seconds", 1e9)):
        package, backend = name.split("/")
        if "error" in row:
            lines.append(f"| {package} | {backend} | | | | {row['error']} with {row['limit_gb'] or 'all'} GB |")
            continue
        package = f"**{package}**" if package == OURS else package
        lines.append(
            f"| {package} | {backend} | {row['runs']} | {row['seconds']:.0f} | {row['processor_seconds']:.0f} | "
            f"{row['peak_gb']:.1f} GB |"
        )
    measured = [row for row in report["contestants"].values() if "error" not in row]
    ending = measuring.ending(report, measured, "python benchmarks/borzoi_attribution.py")
    return "\n".join([*lines, "", f"Window: {report['window']}.", *ending])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--runs", type=int, default=2, help="the last one counts (default 2)")
    parser.add_argument("--limit", type=float, default=16.0, help="GB that nobody may exceed; 0: no limit (default 16)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all processors")
    parser.add_argument("--peers-python", default=sys.executable, help="interpreter that has CREsted")
    parser.add_argument("--data", type=Path, help="folder with hg38_chr1_1mb; without it a random sequence is used")
    parser.add_argument("--out", type=Path, default=DOCS / "borzoi_attribution.json")
    parser.add_argument("--compete", help=argparse.SUPPRESS)
    parser.add_argument("--window", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.compete:
        compete(given.compete, given.window, given.out, given.runs, given.limit)
        return
    report = json.loads(given.out.read_text()) if given.out.exists() else {"contestants": {}}
    with tempfile.TemporaryDirectory() as folder:
        window, result = Path(folder) / "window.npy", Path(folder) / "result.json"
        sequence, report["window"] = windows.real_window(LENGTH, given.data)
        np.save(window, windows.one_hot(sequence))
        for contestant in given.only:
            python = sys.executable if contestant.startswith(f"{OURS}/") else given.peers_python
            if not has(python, contestant):
                print(f"{contestant} is left out: it is not installed.")
                continue
            command = [python, __file__, "--compete", contestant, "--window", str(window), "--out", str(result)]
            command += ["--runs", str(given.runs), "--limit", str(given.limit)]
            row = measuring.run(command, contestant.split("/")[1], given.threads, result) | {"limit_gb": given.limit}
            print(f"{contestant}: {row}", flush=True)
            report["contestants"][contestant] = row
            measuring.written(report, given.threads, given.out, table)


if __name__ == "__main__":
    main()
