"""Whether each published network, at full size, predicts the same on every backend from one file.

For each network: built with its published defaults on one backend, given random weights under which every part
matters (``tests/full_size/weights.py``), saved, loaded in a fresh process on each backend, and run on one window of
human DNA. Per pair of backends and track, the error is the largest difference over bins divided by the track's range
(maximum - minimum over bins). To show that such an error could be seen at all, parts of the network are also made
wrong on purpose.

    python benchmarks/full_size_agreement.py [--models borzoi ...] [--backends jax torch ...]

Writes ``docs/benchmarks/full_size_agreement.json`` and a table beside it. Needs about 10 GB of memory and 3 GB of disk
for a moment, and some minutes a network.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import windows

TOLERANCE = 2e-5
#: Input lengths, and the backend that writes the file: each writes some.
MODELS = {
    "basenji2": (131_072, "jax"),
    "enformer": (196_608, "torch"),
    "borzoi": (524_288, "tensorflow"),
    "borzoi_prime": (524_288, "jax"),
    "flashzoi": (524_288, "torch"),
}
BACKENDS = ("tensorflow", "jax", "torch", "openvino")
TITLES = {
    "basenji2": "Basenji2",
    "enformer": "Enformer",
    "borzoi": "Borzoi",
    "borzoi_prime": "Borzoi Prime",
    "flashzoi": "Flashzoi",
}
ROOT = Path(__file__).resolve().parent.parent
WORKER = ROOT / "tests" / "full_size" / "worker.py"


def run(backend: str, *arguments: object) -> None:
    """A step of the worker, in a fresh process."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, str(WORKER), *map(str, arguments)], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments))} on {backend} failed:\n{done.stderr[-4000:]}")


def compare(results: dict[str, np.ndarray]) -> list[dict]:
    """Worst and median track of every pair of results."""
    rows = []
    for first, second in itertools.combinations(results, 2):
        errors = np.abs(results[first] - results[second]).max(axis=0) / np.ptp(results[first], axis=0)
        rows.append({"pair": [first, second], "worst": float(errors.max()), "median": float(np.median(errors))})
    return rows


def check(name: str, backends: list[str], data: Path | None, writer: str, scratch: Path) -> dict:
    """All about one network."""
    length, _ = MODELS[name]
    sequence, source = windows.real_window(length, data)
    with tempfile.TemporaryDirectory(dir=scratch, prefix=f"{name}-") as temporary:
        folder = Path(temporary)
        window = folder / "window.npy"
        np.save(window, windows.one_hot(sequence))
        run(writer, "write", name, window, folder)
        facts = json.loads((folder / "facts.json").read_text())
        results = {"in memory": np.load(folder / "in_memory.npy")}
        for backend in backends:
            run(backend, "load", folder, window, folder / f"{backend}.npy")
            results[backend] = np.load(folder / f"{backend}.npy")
        return {"window": source, **facts, "shape": results["in memory"].shape, "pairs": compare(results)}


def versions() -> dict[str, str]:
    """Versions of what takes part."""
    names = ("keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "openvino", "numpy")
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def table(report: dict) -> str:
    """The result as a page for the docs."""
    lines = [
        "# One file, every backend",
        "",
        "Each network at its published size, with random weights under which every part matters (no zero projection",
        "or scale, batch-norm statistics of the data, attention logits of standard deviation 2 and more), saved on one",
        "backend, loaded on each in a fresh process, and run on one window of human DNA in float32. The error of a",
        "track is the largest difference over bins divided by its range (maximum - minimum over bins); shown are the",
        f"worst and the median track of any pair of backends. The limit is {report['tolerance']:.0e}.",
        "",
        "| network | window | written on | worst pair | worst track | median track |",
        "|---|---|---|---|---:|---:|",
    ]
    models = {name: report["models"][name] for name in MODELS if name in report["models"]}
    for name, found in models.items():
        pair = max(found["pairs"], key=lambda row: row["worst"])
        lines.append(
            f"| {TITLES[name]} | {found['window']} | {found['written on']} | {' - '.join(pair['pair'])} "
            f"| {pair['worst']:.1e} | {max(row['median'] for row in found['pairs']):.1e} |"
        )
    lines += [
        "",
        '"In memory" is the model that was saved, run layer by layer. All pairs, worst track:',
        "",
        f"| | {' | '.join(TITLES[name] for name in models)} |",
        f"|---|{'---:|' * len(models)}",
    ]
    errors = {name: {tuple(row["pair"]): row["worst"] for row in found["pairs"]} for name, found in models.items()}
    for pair in dict.fromkeys(pair for rows in errors.values() for pair in rows):
        cells = [f"{rows[pair]:.1e}" if pair in rows else "" for rows in errors.values()]
        lines.append(f"| {' - '.join(pair)} | {' | '.join(cells)} |")
    lines += [
        "",
        "What the same measure gives when a part of the network is wrong (the track that moves least, and the median):",
        "",
        "| network | what is wrong | least | median |",
        "|---|---|---:|---:|",
    ]
    for name, found in models.items():
        for what, moved in found["moved by"].items():
            lines.append(f"| {TITLES[name]} | {what} | {moved['least']:.2g} | {moved['median']:.2g} |")
    lines += [
        "",
        f"Versions: {', '.join(f'{name} {version}' for name, version in report['versions'].items())}. "
        "Made by `python benchmarks/full_size_agreement.py`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, help="default: those that are installed")
    parser.add_argument("--writer", choices=BACKENDS[:3], help="the backend that writes; default: another each network")
    parser.add_argument("--data", type=Path, help="folder with hg38_chr1_1mb; without it a random sequence is used")
    parser.add_argument("--scratch", type=Path, help="folder for models and predictions; default: the system's")
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "docs" / "benchmarks" / "full_size_agreement.json",
        help="JSON file; the table goes beside it. Networks it holds already are kept",
    )
    given = parser.parse_args()
    backends = given.backends or [name for name in BACKENDS if importlib.util.find_spec(name)]
    report = {"tolerance": TOLERANCE, "models": {}}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    if given.out.exists():
        report = json.loads(given.out.read_text())
    report["versions"] = versions()
    for name in given.models:
        writer = given.writer or (MODELS[name][1] if MODELS[name][1] in backends else backends[0])
        found = report["models"][name] = check(name, backends, given.data, writer, given.scratch)
        worst = max(found["pairs"], key=lambda row: row["worst"])
        print(f"{name}: worst {worst['worst']:.1e} ({' and '.join(worst['pair'])}); moved by {found['moved by']}")
        given.out.write_text(json.dumps(report, indent=1) + "\n")
        given.out.with_suffix(".md").write_text(table(report))


if __name__ == "__main__":
    main()
