"""Seconds of scoring single-base variants that lie in one Borzoi window, beside a peer's two predictions of each.

This package scores them with ``tl.score_variants``: the reference is predicted once, and of each alternative allele
only what the variant changes is computed. Peers predict the window with either allele, so theirs is the time of two
predictions a variant, one of which is measured at every turn. The networks have their published sizes and untrained
weights; all tracks are computed, and the statistic is SAD. How exact it is, ``full_size_agreement.py`` says.

    python benchmarks/variants_in_window.py --peers-python peers/bin/python              # one round
    python benchmarks/variants_in_window.py --rounds 5 --peers-python peers/bin/python

Writes ``docs/benchmarks/variants_in_window.md`` and ``.json`` beside it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import one_window
import windows

LENGTH, TRACKS = one_window.MODELS["borzoi"]
#: Bases between one variant and the next.
APART = 1_037
PEERS = ("borzoi-pytorch/torch", "crested/tensorflow")
OURS = ("torch", "jax", "tensorflow")
OUT = one_window.DOCS / "variants_in_window.json"


# --- in the process that is measured -----------------------------------------------------------------------------


def variants_of(sequence: str, count: int) -> list[str]:
    """Substitutions around the middle of a sequence, as ``chrom:position:REF:ALT``."""
    first = len(sequence) // 2 - APART * (count // 2)
    places = range(first, first + APART * count, APART)
    return [f"chr1:{place + 1}:{sequence[place]}:{'CGTA'['ACGT'.index(sequence[place])]}" for place in places]


def score(fasta: Path, count: int) -> None:
    """Score all variants at every turn."""
    import keras

    import crested_like

    _, sequence = fasta.read_text().split()

    def build() -> Callable[[list[str]], np.ndarray]:
        network = crested_like.tl.zoo.borzoi(heads={"human": TRACKS})
        return lambda variants: scores(variants, network)

    def scores(variants: list[str], network: Any) -> np.ndarray:
        table = crested_like.tl.score_variants(
            variants, network, fasta, statistics="SAD", share=LENGTH // 8, progress=False
        )
        return table.filter(like="SAD").to_numpy(np.float32)

    packages = ("keras", *measuring.PACKAGES[keras.backend.backend()])
    variants = variants_of(sequence, count)
    measuring.take_turns(build, variants, packages, first=variants[:2])


# --- in the process that calls them in turns ---------------------------------------------------------------------


def table(report: dict) -> str:
    """The result as a page for the docs."""
    count = report["variants"]
    rows = {name: measuring.summary(entry) for name, entry in report["contestants"].items()}
    good = {name: row for name, row in rows.items() if "error" not in row}
    total = {
        name: row["seconds"] * (1 if name.startswith("crested_like/") else 2 * count) for name, row in good.items()
    }
    peers = [total[name] for name in total if name in PEERS]
    lines = [
        f"# {count} variants in one Borzoi window on the CPU",
        "",
        f"{count} substitutions in one window of {LENGTH:,} bp of human DNA, {TRACKS:,} tracks, float32: the change of "
        "every track's sum over the window. This package scores all of them in one call. A peer's time is that of two "
        f"predictions of a window for each, {2 * count} times the median of those measured. In turns; in brackets the "
        "least and the most of what was measured. The speed-up is over the fastest peer.",
        "",
        "| package | backend | rounds | measured seconds | for all variants | peak memory | speed-up |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in sorted(good.items(), key=lambda item: total[item[0]]):
        package, backend = name.split("/")
        low, high = row["spread"]
        factor = f"{min(peers) / total[name]:.1f}" if peers else ""
        lines.append(
            f"| {package} | {backend} | {row['count']} | {row['seconds']:.1f} ({low:.1f} to {high:.1f}) | "
            f"{total[name]:.0f} s | {row['peak_gb']:.1f} GB | {factor} |"
        )
    lines += ["", *(f"{name}: {row['error']}." for name, row in rows.items() if "error" in row)]
    command = f"python benchmarks/variants_in_window.py --rounds {measuring.rounds_of(good.values())}"
    return "\n".join([*lines, *measuring.ending(report, good.values(), command)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--backends", nargs="+", choices=OURS, default=OURS, help="of this package")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all processors")
    parser.add_argument("--peers-python", nargs="+", default=[sys.executable], help="interpreters with the peers")
    parser.add_argument("--data", type=Path, help="folder with hg38_chr1_1mb; without it a random sequence is used")
    parser.add_argument("--out", type=Path, default=OUT, help="JSON file; the page goes beside it")
    parser.add_argument("--score", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.score:
        score(given.score, given.variants)
        return
    sequence, source = windows.real_window(windows.MEGABASE, given.data)
    wanted = one_window.installed("borzoi", list(given.peers), given.peers_python)
    with tempfile.TemporaryDirectory() as folder:
        fasta, window = Path(folder) / "chr1.fa", Path(folder) / "window.npy"
        fasta.write_text(f">chr1\n{sequence}\n")
        np.save(window, windows.one_hot(sequence[-LENGTH:]))
        ours = [sys.executable, __file__, "--score", str(fasta), "--variants", str(given.variants)]
        commands = {f"{one_window.OURS}/{backend}": (ours, backend) for backend in given.backends}
        commands |= {str(one): one_window.command(one, python, "borzoi", window) for one, python in wanted.items()}
        contestants = measuring.in_turns(commands, given.rounds, given.threads)
    report = {"window": source, "variants": given.variants, "contestants": contestants}
    measuring.written(report, given.threads, given.out, table)


if __name__ == "__main__":
    main()
