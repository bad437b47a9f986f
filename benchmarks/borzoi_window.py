"""Seconds and peak memory of one full-length window on the CPU: each backend of this package, and its peers.

Every contestant runs in a fresh process, one after the other, on the same number of processors: it builds the network
with its published sizes and untrained weights, and predicts one window of human DNA twice, one window a batch, by the
call that its documentation gives. What is reported is the second run, and the highest resident memory of the process.

    python benchmarks/borzoi_window.py                         # all that is installed
    python benchmarks/borzoi_window.py --model enformer --threads 4
    python benchmarks/borzoi_window.py --peers-python /path/to/other/venv/bin/python

Writes ``docs/benchmarks/<model>_window.md`` and ``.json`` beside it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import measuring
import numpy as np
import windows

#: Input length and tracks of the head, or heads, in use.
MODELS = {"borzoi": (524_288, 7_611), "borzoi_prime": (524_288, 5_431), "enformer": (196_608, 5_313)}
TITLES = {"borzoi": "Borzoi", "borzoi_prime": "Borzoi Prime", "enformer": "Enformer"}
OURS = "crested_like"
DOCS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"


@dataclass(frozen=True)
class Contestant:
    """A package on a backend."""

    package: str
    backend: str

    def __str__(self) -> str:
        return f"{self.package}/{self.backend}"


CONTESTANTS = [
    *(Contestant(OURS, backend) for backend in ("tensorflow", "jax", "torch", "openvino")),
    *(Contestant("crested", backend) for backend in ("tensorflow", "torch")),
    Contestant("borzoi-pytorch", "torch"),
]


# --- in the process of a contestant ------------------------------------------------------------------------------


def ours(model: str) -> Callable[[np.ndarray], np.ndarray]:
    import crested_like

    network = getattr(crested_like.tl.zoo, model)(heads={"human": MODELS[model][1]})
    return lambda x: crested_like.tl.predict(x, network)


def crested(model: str) -> Callable[[np.ndarray], np.ndarray]:
    import crested

    length, tracks = MODELS[model]
    return getattr(crested.tl.zoo, model)(length, tracks).predict_on_batch


def borzoi_pytorch(model: str) -> Callable[[np.ndarray], np.ndarray]:
    import borzoi_pytorch
    import torch
    from borzoi_pytorch.config_borzoi import BorzoiConfig

    if model == "borzoi_prime":
        network = borzoi_pytorch.Prime(BorzoiConfig(bins_to_return=12_288))
    else:
        network = borzoi_pytorch.Borzoi(BorzoiConfig())
    network.eval()

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(x).permute(0, 2, 1)).numpy()

    return predict


BUILDERS = {OURS: ours, "crested": crested, "borzoi-pytorch": borzoi_pytorch}


def compete(contestant: Contestant, model: str, window: Path, out: Path) -> None:
    """Run one contestant in this process and write what it took."""
    x = np.load(window).astype(np.float32)[None]
    found = {
        **measuring.twice(lambda: BUILDERS[contestant.package](model), x),
        "versions": measuring.installed(contestant.package, "keras", *measuring.PACKAGES[contestant.backend]),
    }
    out.write_text(json.dumps(found))


# --- in the process that calls them one after the other ----------------------------------------------------------


def has(python: str, contestant: Contestant) -> bool:
    """Whether an interpreter has what a contestant needs."""
    modules = [contestant.package.replace("-", "_"), contestant.backend]
    code = f"import importlib.util as u, sys; sys.exit(not all(u.find_spec(m) for m in {modules}))"
    return subprocess.run([python, "-c", code]).returncode == 0


def run(contestant: Contestant, python: str, given: argparse.Namespace, window: Path, out: Path) -> dict:
    """What one contestant took, in a fresh process on its share of processors."""
    command = [python, __file__, "--compete", str(contestant), "--model", given.model]
    command += ["--window", str(window), "--out", str(out)]
    return measuring.run(command, contestant.backend, given.threads, out)


def table(report: dict) -> str:
    """The result as a page for the docs."""
    model, facts, found = report["model"], report["machine"], report["contestants"]
    length, tracks = MODELS[model]
    good = {name: row for name, row in found.items() if "error" not in row}
    versions: dict[str, str] = {}
    for row in good.values():
        versions.update(row["versions"])
    lines = [
        f"# One {TITLES[model]} window on the CPU",
        "",
        f"{length:,} bp of human DNA, {tracks:,} tracks, float32, one window a batch. Each contestant in a "
        "fresh process; seconds of the second of two runs, and the highest resident memory of the process.",
        "",
        "| package | backend | seconds | processor seconds | peak memory |",
        "|---|---|---:|---:|---:|",
    ]
    for name, row in sorted(good.items(), key=lambda item: item[1]["seconds"]):
        package, backend = name.split("/")
        package = f"**{package}**" if package == OURS else package
        figures = f"{row['seconds']:.1f} | {row['processor_seconds']:.1f} | {row['peak_gb']:.1f} GB"
        lines.append(f"| {package} | {backend} | {figures} |")
    lines += [
        "",
        measuring.machine_line(facts),
        f"Versions: {', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}.",
        f"Measured on {report['date']} with `python benchmarks/borzoi_window.py --model {model}`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(MODELS), default="borzoi")
    parser.add_argument("--only", nargs="+", choices=list(map(str, CONTESTANTS)), help="contestants; default: all")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all processors")
    parser.add_argument("--peers-python", default=sys.executable, help="interpreter with the peers' packages")
    parser.add_argument("--data", type=Path, help="folder with hg38_chr1_1mb; without it a random sequence is used")
    parser.add_argument("--out", type=Path, help="JSON file; the table goes beside it. Rows it holds already are kept")
    parser.add_argument("--compete", help=argparse.SUPPRESS)
    parser.add_argument("--window", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.compete:
        compete(Contestant(*given.compete.split("/")), given.model, given.window, given.out)
        return
    out = given.out or DOCS / f"{given.model}_window.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    report = json.loads(out.read_text()) if out.exists() else {"model": given.model, "contestants": {}}
    sequence, report["window"] = windows.real_window(MODELS[given.model][0], given.data)
    with tempfile.TemporaryDirectory() as folder:
        window, result = Path(folder) / "window.npy", Path(folder) / "result.json"
        np.save(window, windows.one_hot(sequence))
        for contestant in CONTESTANTS:
            python = sys.executable if contestant.package == OURS else given.peers_python
            wanted = not given.only or str(contestant) in given.only
            if not wanted or (contestant.package == "borzoi-pytorch" and given.model == "enformer"):
                continue
            if not has(python, contestant):
                print(f"{contestant}: not installed, left out")
                continue
            row = report["contestants"][str(contestant)] = run(contestant, python, given, window, result)
            print(f"{contestant}: {row}", flush=True)
    report["machine"] = measuring.machine(given.threads)
    report["date"] = datetime.date.today().isoformat()
    out.write_text(json.dumps(report, indent=1) + "\n")
    out.with_suffix(".md").write_text(table(report))


if __name__ == "__main__":
    main()
