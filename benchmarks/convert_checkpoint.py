"""Seconds and memory of converting a full-size checkpoint, by format.

A network of the published size is written in each format; then a fresh process imports Keras and its backend, notes
its memory, converts the file into a ``.keras`` file, and reports the seconds it took and how far its memory rose.

    python benchmarks/convert_checkpoint.py                       # on the backend that KERAS_BACKEND names
    python benchmarks/convert_checkpoint.py --only flashzoi

Writes ``docs/benchmarks/convert_checkpoint.md`` and ``.json`` beside it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"

#: Network, format it is written in, and the file.
CASES = {
    "borzoi": ("baskerville-h5", "model0_best.h5"),
    "borzoi_prime": ("borzoi-pytorch", "model.safetensors"),
    "flashzoi": ("borzoi-pytorch", "model.safetensors"),
    "enformer": ("enformer-pytorch", "model.safetensors"),
    "enformer as .bin": ("enformer-pytorch", "pytorch_model.bin"),
    "basenji2": ("baskerville-h5", "model_human.h5"),
}


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def write(name: str, file: Path) -> None:
    """A full-size network with small random weights."""
    import numpy as np

    from crested_like.checkpoints import export
    from crested_like.layers._initializers import nothing_drawn
    from crested_like.tl import zoo

    with nothing_drawn():
        model = getattr(zoo, name.split()[0])()
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(0.01 * rng.standard_normal(weight.shape, dtype=np.float32))
    form, _ = CASES[name]
    if file.suffix != ".bin":
        export(model, form, file)
        return
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(export(model, form, file.with_suffix(".safetensors"))), file)
    file.with_suffix(".safetensors").unlink()


def convert(name: str, file: Path, out: Path) -> None:
    """Convert in this process and report."""
    import keras

    from crested_like import checkpoints

    # what Keras imports to write a file, TensorFlow where it is installed, is there before the memory is noted
    keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(out)
    before, start = peak(), time.perf_counter()
    architecture = {"architecture": name} if file.suffix == ".h5" else {}
    model = checkpoints.convert(file, out=out, **architecture)
    seconds, risen = time.perf_counter() - start, peak() - before
    found = {"seconds": seconds, "risen": risen, "parameters": model.count_params(), "size": file.stat().st_size}
    out.with_suffix(".json").write_text(json.dumps(found))


def fresh(*words: str) -> None:
    subprocess.run([sys.executable, __file__, *words], check=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"})


def table(report: dict) -> str:
    lines = [
        "# Converting a checkpoint",
        "",
        "A published network from its file to a `.keras` file, in a fresh process; memory above that of the imported "
        "framework.",
        "",
        "| network | file | size | seconds | memory | memory over size |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, row in report["cases"].items():
        form, file = CASES[name]
        gigabytes = f"{row['size'] / 1e9:.2f} GB | {row['seconds']:.1f} | {row['risen'] / 1e9:.2f} GB"
        lines.append(f"| {name.split()[0]} | `{file}` ({form}) | {gigabytes} | {row['risen'] / row['size']:.2f} |")
    lines += [
        "",
        f"On {report['backend']}, measured on {report['date']} with `python benchmarks/convert_checkpoint.py`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--out", type=Path, default=DOCS / "convert_checkpoint.json")
    parser.add_argument("--step", choices=("write", "convert"), help=argparse.SUPPRESS)
    parser.add_argument("--files", nargs="+", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        {"write": write, "convert": convert}[given.step](given.only[0], *given.files)
        return
    report = json.loads(given.out.read_text()) if given.out.exists() else {"cases": {}}
    for name in given.only:
        with tempfile.TemporaryDirectory() as folder:
            source, result = Path(folder) / CASES[name][1], Path(folder) / "converted.keras"
            fresh("--step", "write", "--only", name, "--files", str(source))
            fresh("--step", "convert", "--only", name, "--files", str(source), str(result))
            report["cases"][name] = row = json.loads(result.with_suffix(".json").read_text())
        print(f"{name}: {row}", flush=True)
    import keras

    report |= {"backend": keras.backend.backend(), "date": datetime.date.today().isoformat()}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(report, indent=1) + "\n")
    given.out.with_suffix(".md").write_text(table(report))


if __name__ == "__main__":
    main()
