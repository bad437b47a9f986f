"""How well an engine keeps workers busy, and what the driver needs, with workers that sleep.

Each worker sleeps a fixed time for every unit, so that two processors are enough for many workers: what is measured is
the engine alone. Efficiency is the time that perfect workers need over the time it took, from when all workers have
begun. The driver's memory is that of its process at the end of runs of more and more units, which take no time.

    python benchmarks/cluster_scaling.py
    python benchmarks/cluster_scaling.py --workers 1 8 64 --units 1000 10000

Writes ``docs/benchmarks/cluster_scaling.md`` and ``.json`` beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import measuring

OUT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks" / "cluster_scaling.json"


class Sleeping:
    """A unit is a nap; the first ones last until every worker has one."""

    def __init__(self, folder: str, workers: int, seconds: float) -> None:
        self.folder, self.workers, self.seconds = Path(folder), workers, seconds

    def do(self, units: Iterable[int]) -> Iterator[float]:
        """Sleep; says when it began."""
        for _ in units:
            here = self.folder / str(os.getpid())
            if self.seconds and not here.exists():
                here.touch()
                while len(list(self.folder.iterdir())) < self.workers:
                    time.sleep(0.1)
            began = time.time()
            time.sleep(self.seconds)
            yield began


def drive(workers: int, units: int, seconds: float) -> None:
    """Run units on a cluster of this machine, and print what it took."""
    import psutil
    import ray

    from crested_like.engine import Ray

    ray.init(num_cpus=workers, log_to_driver=False, include_dashboard=False, object_store_memory=2**28)
    with tempfile.TemporaryDirectory() as folder:
        task = Sleeping(folder, workers, seconds)
        first = time.time() if not seconds else float("inf")
        for _, began in Ray(processors=1, workers=workers).run(task, range(units)):
            first = min(first, began)
        took = time.time() - first
    memory = psutil.Process().memory_info().rss
    print(json.dumps({"workers": workers, "units": units, "seconds": took, "driver_mb": memory / 1e6}))


def table(report: dict) -> str:
    """The result as a page for the docs."""
    nap = report["nap"]
    lines = [
        "# Scaling of an engine with workers that sleep",
        "",
        f"Workers of a Ray cluster on one machine, which sleep {nap:g} s for every unit and import no Keras: what is "
        "measured is the engine. Efficiency is the time of perfect workers over the time it took, from the first nap "
        "after all workers have started.",
        "",
        "| workers | units | seconds | efficiency |",
        "|---:|---:|---:|---:|",
    ]
    for row in report["scaling"]:
        share = nap * row["units"] / row["workers"] / row["seconds"]
        lines.append(f"| {row['workers']} | {row['units']:,} | {row['seconds']:.1f} | {share:.0%} |")
    lines += [
        "",
        "The driver's resident memory at the end of runs of more and more units, which take no time, on two workers:",
        "",
        "| units | seconds | units a second | memory of the driver |",
        "|---:|---:|---:|---:|",
    ]
    for row in report["driver"]:
        rate = row["units"] / row["seconds"]
        lines.append(f"| {row['units']:,} | {row['seconds']:.0f} | {rate:,.0f} | {row['driver_mb']:.0f} MB |")
    command = "python benchmarks/cluster_scaling.py"
    return "\n".join([*lines, "", *measuring.ending(report, [{"versions": report["versions"]}], command)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--units", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--each", type=int, default=20, help="units of a worker that sleeps")
    parser.add_argument("--nap", type=float, default=2.0, help="seconds of a unit")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--drive", nargs=3, type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.drive:
        workers, units, seconds = given.drive
        drive(int(workers), int(units), seconds)
        return

    def run(workers: int, units: int, seconds: float) -> dict:
        command = [sys.executable, __file__, "--drive", str(workers), str(units), str(seconds)]
        environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        row = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))  # Ray prints, too
        print(row, flush=True)
        return row

    report = {
        "nap": given.nap,
        "versions": measuring.installed("crested_like", "ray"),
        "scaling": [run(workers, given.each * workers, given.nap) for workers in given.workers],
        "driver": [run(2, units, 0) for units in given.units],
    }
    measuring.written(report, len(os.sched_getaffinity(0)), given.out, table)


if __name__ == "__main__":
    main()
