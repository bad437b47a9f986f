"""Seconds and peak memory of one full-length window on the CPU: each backend of this package, and its peers.

Every contestant has a process of its own, on the same number of processors. It builds the network with its published
sizes and untrained weights, and predicts one window of human DNA, one window a batch, by the call that its
documentation gives. That first prediction compiles, and is shown apart. Then contestants take turns, one prediction
each a round, while the others wait: a machine that is slower for a while is so for all of them. Medians over the
rounds are reported, and beside each prediction the rate of a large matrix product in NumPy. Contestants that wait
keep their memory: name fewer with ``--only`` where it does not last for all.

    python benchmarks/one_window.py                              # all that is installed, one round
    python benchmarks/one_window.py --rounds 5                   # as the documentation's numbers are made
    python benchmarks/one_window.py --model enformer --threads 4
    python benchmarks/one_window.py --peers-python one/bin/python another/bin/python

Writes ``docs/benchmarks/<model>_window.md``, ``.json`` and ``.svg``.
"""

from __future__ import annotations

import argparse
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

#: Input length and tracks of the head in use.
MODELS = {
    "borzoi": (524_288, 7_611),
    "borzoi_prime": (524_288, 5_431),
    "enformer": (196_608, 5_313),
    "basenji2": (131_072, 5_313),
}
TITLES = {"borzoi": "Borzoi", "borzoi_prime": "Borzoi Prime", "enformer": "Enformer", "basenji2": "Basenji2"}
OURS = "crested_like"
DOCS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"


@dataclass(frozen=True)
class Contestant:
    """A package on a backend."""

    package: str
    backend: str
    models: tuple[str, ...] = tuple(MODELS)

    def __str__(self) -> str:
        return f"{self.package}/{self.backend}"


CONTESTANTS = [
    *(Contestant(OURS, backend) for backend in ("tensorflow", "jax", "torch", "openvino")),
    *(Contestant("crested", backend, ("borzoi", "borzoi_prime", "enformer")) for backend in ("tensorflow", "torch")),
    Contestant("borzoi-pytorch", "torch", ("borzoi", "borzoi_prime")),
    Contestant("enformer-pytorch", "torch", ("enformer",)),
    Contestant("multimolecule", "torch", ("basenji2", "enformer", "borzoi")),
]
BY_NAME = {str(contestant): contestant for contestant in CONTESTANTS}


# --- in the process of a contestant ------------------------------------------------------------------------------

Predict = Callable[[np.ndarray], np.ndarray]


def ours(model: str) -> Predict:
    import crested_like

    network = getattr(crested_like.tl.zoo, model)(heads={"human": MODELS[model][1]})
    return lambda x: crested_like.tl.predict(x, network)


def crested(model: str) -> Predict:
    import crested

    length, tracks = MODELS[model]
    return getattr(crested.tl.zoo, model)(length, tracks).predict_on_batch


def borzoi_pytorch(model: str) -> Predict:
    import borzoi_pytorch
    from borzoi_pytorch.config_borzoi import BorzoiConfig

    if model == "borzoi_prime":
        network = borzoi_pytorch.Prime(BorzoiConfig(bins_to_return=12_288))
    else:
        network = borzoi_pytorch.Borzoi(BorzoiConfig())
    return without_gradients(network, lambda x: x.transpose(0, 2, 1))


def enformer_pytorch(model: str) -> Predict:
    from enformer_pytorch import Enformer

    heads = {"human": MODELS[model][1]}
    network = Enformer.from_hparams(dim=1536, depth=11, heads=8, output_heads=heads, target_length=896)
    return without_gradients(network, lambda x: x, lambda y: y["human"])


def multimolecule(model: str) -> Predict:
    import multimolecule

    name = {"basenji2": "Basenji", "enformer": "Enformer", "borzoi": "Borzoi"}[model]
    config = getattr(multimolecule, f"{name}Config")()
    network = getattr(multimolecule, f"{name}ForTokenPrediction")(config)
    return without_gradients(network, lambda x: x.argmax(axis=-1), lambda y: y.logits)


def without_gradients(network, given: Callable, found: Callable = lambda y: y) -> Predict:
    """The prediction of a PyTorch module, from what it takes and out of what it gives."""
    import torch

    network.eval()

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return found(network(torch.from_numpy(np.ascontiguousarray(given(x))))).numpy()

    return predict


BUILDERS = {
    OURS: ours,
    "crested": crested,
    "borzoi-pytorch": borzoi_pytorch,
    "enformer-pytorch": enformer_pytorch,
    "multimolecule": multimolecule,
}


def compete(contestant: Contestant, model: str, window: Path) -> None:
    """Predict one window at every turn."""
    x = np.load(window).astype(np.float32)[None]
    packages = (contestant.package, "keras", *measuring.PACKAGES[contestant.backend])
    measuring.take_turns(lambda: BUILDERS[contestant.package](model), x, packages)


# --- in the process that calls them one after the other ----------------------------------------------------------


def interpreter(contestant: Contestant, candidates: list[str]) -> str | None:
    """The first interpreter that has what a contestant needs."""
    modules = [contestant.package.replace("-", "_"), contestant.backend]
    code = f"import importlib.util as u, sys; sys.exit(not all(u.find_spec(m) for m in {modules}))"
    return next((python for python in candidates if subprocess.run([python, "-c", code]).returncode == 0), None)


def installed(model: str, only: list[str] | None, peers: list[str]) -> dict[Contestant, str]:
    """Interpreters of the contestants that are there."""
    found = {}
    for contestant in CONTESTANTS:
        if model not in contestant.models or (only and str(contestant) not in only):
            continue
        python = interpreter(contestant, [sys.executable] if contestant.package == OURS else peers)
        if python is None:
            print(f"{contestant}: not installed, left out")
        else:
            found[contestant] = python
    return found


def command(contestant: Contestant, python: str, model: str, window: Path) -> tuple[list[str], str]:
    """The process that competes, and its backend."""
    options = ["--compete", str(contestant), "--model", model, "--window", str(window)]
    return [python, __file__, *options], contestant.backend


def ratios(good: dict[str, dict]) -> str:
    """Our fastest beside the fastest peer, and our leanest beside the leanest."""
    mine = {name: row for name, row in good.items() if name.startswith(f"{OURS}/")}
    peers = {name: row for name, row in good.items() if name not in mine}
    if not mine or not peers:
        return ""
    fastest, lean = min(mine, key=lambda name: mine[name]["seconds"]), min(mine, key=lambda name: mine[name]["peak_gb"])
    peer = min(peers, key=lambda name: peers[name]["seconds"])
    thrifty = min(peers, key=lambda name: peers[name]["peak_gb"])
    time = mine[fastest]["seconds"] / peers[peer]["seconds"]
    memory = {name: mine[name]["peak_gb"] / peers[thrifty]["peak_gb"] for name in (fastest, lean)}
    return (
        f"On {fastest.split('/')[1]} it takes {time:.2f} of the time of the fastest peer ({peer}), and "
        f"{memory[fastest]:.2f} of the memory of the leanest ({thrifty}); on {lean.split('/')[1]} {memory[lean]:.2f} "
        "of that memory."
    )


def table(report: dict) -> str:
    """The result as a page for the docs."""
    model = report["model"]
    length, tracks = MODELS[model]
    rows = {name: measuring.summary(entry) for name, entry in report["contestants"].items()}
    good = {name: row for name, row in rows.items() if "error" not in row}
    lines = [
        f"# One {TITLES[model]} window on the CPU",
        "",
        f"{length:,} bp of human DNA, {tracks:,} tracks, float32, one window a batch. Each contestant in a process of "
        "its own, in turns; median of so many rounds, in brackets the least and the most, and the highest resident "
        "memory of the process. The warm-up is what building the network and the first prediction take. The last "
        "column is the rate of a large matrix product in NumPy just before.",
        "",
        "| package | backend | rounds | seconds | processor seconds | peak memory | warm-up | machine |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in sorted(good.items(), key=lambda item: item[1]["seconds"]):
        package, backend = name.split("/")
        package = f"**{package}**" if package == OURS else package
        low, high = row["spread"]
        lines.append(
            f"| {package} | {backend} | {row['count']} | {row['seconds']:.1f} ({low:.1f} to {high:.1f}) | "
            f"{row['processor_seconds']:.1f} | {row['peak_gb']:.1f} GB | {row['warm_up']:.0f} s | "
            f"{row['machine_gflops']:.0f} GFLOP/s |"
        )
    lines += ["", *(f"{name}: {row['error']}." for name, row in rows.items() if "error" in row)]
    lines += [
        ratios(good),
        "",
        f"![Seconds and memory]({model}_window.svg)",
        "",
        "GPU: not measured.",
        "",
    ]
    command = f"python benchmarks/one_window.py --model {model} --rounds {measuring.rounds_of(good.values())}"
    lines += measuring.ending(report, good.values(), command)
    return "\n".join(lines)


def draw(report: dict, out: Path) -> None:
    """Seconds against memory, a point a contestant."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for name, entry in report["contestants"].items():
        row = measuring.summary(entry)
        if "error" in row:
            continue
        mine = name.startswith(f"{OURS}/")
        axes.plot(row["seconds"], row["peak_gb"], "o", color="C0" if mine else "0.5")
        axes.annotate(name, (row["seconds"], row["peak_gb"]), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel="seconds", ylabel="peak memory, GB", xlim=(0, None), ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.2)
    figure.savefig(out, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=list(MODELS), default="borzoi")
    parser.add_argument("--rounds", type=int, default=1, help="over all contestants; default: 1")
    parser.add_argument("--only", nargs="+", choices=list(BY_NAME), help="contestants; default: all")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all processors")
    parser.add_argument(
        "--peers-python", nargs="+", default=[sys.executable], help="interpreters with the peers' packages"
    )
    parser.add_argument("--data", type=Path, help="folder with hg38_chr1_1mb; without it a random sequence is used")
    parser.add_argument("--out", type=Path, help="JSON file; the page goes beside it. Contestants left out are kept")
    parser.add_argument("--compete", help=argparse.SUPPRESS)
    parser.add_argument("--window", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.compete:
        compete(BY_NAME[given.compete], given.model, given.window)
        return
    out = given.out or DOCS / f"{given.model}_window.json"
    report = json.loads(out.read_text()) if out.exists() else {"model": given.model}
    wanted = installed(given.model, given.only, given.peers_python)
    known = {name: entry for name, entry in report.get("contestants", {}).items() if name not in map(str, wanted)}
    sequence, report["window"] = windows.real_window(MODELS[given.model][0], given.data)
    with tempfile.TemporaryDirectory() as folder:
        window = Path(folder) / "window.npy"
        np.save(window, windows.one_hot(sequence))
        commands = {str(one): command(one, python, given.model, window) for one, python in wanted.items()}
        report["contestants"] = {**known, **measuring.in_turns(commands, given.rounds, given.threads)}
    measuring.written(report, given.threads, out, table)
    draw(report, out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
