"""Whether each published network, at full size, predicts the same on every backend from one file.

For each network: built with its published defaults on one backend, given random weights under which every part
matters (``tests/full_size/weights.py``), saved, loaded in a fresh process on each backend, and run on one window of
human DNA: as it is, and in the form that ``tl.predict`` computes. Per pair of these and track, the error is the largest
difference over bins divided by the track's range (maximum - minimum over bins). To show that such an error could be
seen at all, parts of the network are also made wrong on purpose. The window with one base changed is predicted from
what the window itself left behind, as variants are scored, and compared with its prediction from the start.

    python benchmarks/full_size_agreement.py [--models borzoi ...] [--backends jax torch ...]

Writes ``docs/benchmarks/agreement.json``, from which the documentation makes its table. Needs about 10 GB of memory and
3 GB of disk for a moment, and some minutes a network.
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


def of_variant(window: np.ndarray, reused: np.ndarray, whole: np.ndarray) -> dict:
    """How far a variant's prediction is from the one from the start, and how far the variant moves it."""
    spread = np.ptp(whole, axis=0)
    found = {"worst": np.abs(reused - whole).max(axis=0) / spread, "moved": np.abs(window - whole).max(axis=0) / spread}
    return {"worst": float(found["worst"].max()), "moved": float(np.median(found["moved"]))}


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
        variants = {}
        for backend in backends:
            run(backend, "load", folder, window, folder / f"{backend}.npy")
            results[backend] = np.load(folder / f"{backend}.npy")
            run(backend, "fast", folder, window, folder / "fast.npy")
            results[f"{backend}, rewritten"] = np.load(folder / "fast.npy")
            run(backend, "variant", folder, window, folder / "variant.npy")
            variants[backend] = of_variant(*np.load(folder / "variant.npy"))
        found = {"window": source, **facts, "shape": results["in memory"].shape, "pairs": compare(results)}
        return {**found, "variant": variants}


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
        default=ROOT / "docs" / "benchmarks" / "agreement.json",
        help="JSON file; networks it holds already are kept",
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


if __name__ == "__main__":
    main()
