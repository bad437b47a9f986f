"""What the benchmarks measure with: fresh processes on a number of processors, seconds, memory, and the machine."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import IO, Any

import numpy as np

#: Names a backend's package goes by.
PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "torch": ("torch",),
    "jax": ("jax",),
    "openvino": ("openvino",),
}


# --- in the process that is measured -----------------------------------------------------------------------------


class Memory:
    """The highest resident memory of this process, and of it what a prediction takes beyond what was there before."""

    def __init__(self) -> None:
        self.highest, self._before = 0.0, 0.0

    def begin(self) -> None:
        """Look at it before a prediction, and forget the highest so far (Linux)."""
        self._note()
        STATUS.with_name("clear_refs").write_text("5")
        self._before = self._told("VmRSS")

    def end(self) -> float:
        """What the prediction took at most, in GB."""
        return self._note() - self._before

    def _note(self) -> float:
        now = self._told("VmHWM")
        self.highest = max(self.highest, now)
        return now

    @staticmethod
    def _told(name: str) -> float:
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1024 / 1e9


#: Where Linux tells what a process is like.
STATUS = Path("/proc/self/status")


def timed(
    predict: Callable[[Any], Any], x: Any, memory: Memory, device_gb: Callable[[], float | None] = lambda: None
) -> dict:
    """Seconds of one prediction, of the clock and of all processors, and its memory."""
    memory.begin()
    before, used = time.perf_counter(), time.process_time()
    shape = np.asarray(predict(x)).shape
    took = {"seconds": time.perf_counter() - before, "processor_seconds": time.process_time() - used}
    own = memory.end()
    return {**took, "own_gb": own, "peak_gb": memory.highest, "device_gb": device_gb(), "output_shape": shape}


def take_turns(
    build: Callable[[], Callable[[Any], Any]],
    x: Any,
    packages: Iterable[str],
    device_gb: Callable[[], float | None] = lambda: None,
    first: Any = None,
) -> None:
    """Build a network and predict, and predict again for every line of the standard input; print what each took.

    Parameters
    ----------
    build
        Gives what predicts ``x``.
    packages
        Whose versions to tell.
    device_gb
        Highest memory of an accelerator so far.
    first
        What to predict first, where less than ``x`` is enough to compile all that it needs.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # packages print, too
    start, memory = time.perf_counter(), Memory()
    predict = build()
    told = {"build_seconds": time.perf_counter() - start, "versions": installed(*packages)}
    print(
        json.dumps({**told, **timed(predict, x if first is None else first, memory, device_gb)}),
        file=answers,
        flush=True,
    )
    for _ in sys.stdin:
        print(json.dumps(timed(predict, x, memory, device_gb)), file=answers, flush=True)


def installed(*packages: str) -> dict[str, str]:
    """Versions of those of the packages that are there."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


# --- in the process that starts the others ----------------------------------------------------------------------


def started(
    command: list[str], backend: str, threads: int, errors: IO[str], *, gpu: bool = False
) -> subprocess.Popen[str]:
    """A command on a backend and its share of processors, whose input and output are at hand."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    if not gpu:
        environment |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    processors = sorted(os.sched_getaffinity(0))[:threads]
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, processors),
    )


def run(command: list[str], backend: str, threads: int, out: Path) -> dict:
    """Run a command on a backend and its share of processors; what it wrote into ``out``, or its error."""
    with tempfile.TemporaryFile("w+") as errors:
        process = started(command, backend, threads, errors)
        process.communicate()
        errors.seek(0)
        if process.returncode:
            return {"error": cause(errors.read()) or f"ended with {process.returncode}"}
    return json.loads(out.read_text())


class Waiting:
    """A process of :func:`take_turns`, which has predicted once and waits for its turns."""

    def __init__(self, command: list[str], backend: str, threads: int, *, gpu: bool = False) -> None:
        self.threads = threads
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open as long as the process)
        self.process = started(command, backend, threads, self.errors, gpu=gpu)
        self.warm_up = self._answer()

    def turn(self) -> dict:
        """What one more prediction takes, and how fast the machine is just before."""
        if "error" in self.warm_up:
            return self.warm_up
        rates = {"machine_gflops": peak_gflops(self.threads), "torch_gflops": peak_gflops(self.threads, "torch")}
        print("again", file=self.process.stdin, flush=True)
        return {**self._answer(), **rates}

    def _answer(self) -> dict:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        code = self.process.wait()
        self.errors.seek(0)
        self.warm_up = {"error": cause(self.errors.read()) or f"ended with {code}"}
        return self.warm_up

    def end(self) -> None:
        """Let the process go."""
        self.process.communicate()
        self.errors.close()


def in_turns(
    commands: Mapping[str, tuple[list[str], str]], rounds: int, threads: int, *, gpu: bool = False
) -> dict[str, dict]:
    """What contestants take to warm up and in each round, by name; each is given as its command and backend."""
    waiting = {}
    for name, (command, backend) in commands.items():
        waiting[name] = Waiting(command, backend, threads, gpu=gpu)
        print(f"{name}: {waiting[name].warm_up}", flush=True)
    found: dict[str, dict] = {name: {"warm_up": one.warm_up, "rounds": []} for name, one in waiting.items()}
    for number in range(rounds):
        for name, one in waiting.items():
            found[name]["rounds"].append(one.turn())
            print(f"{number + 1}/{rounds} {name}: {found[name]['rounds'][-1]}", flush=True)
    for one in waiting.values():
        one.end()
    return found


def summary(entry: Mapping[str, Any]) -> dict:
    """Medians over the rounds of one contestant; its error, if it has one."""
    failed = [one for one in (entry["warm_up"], *entry["rounds"]) if "error" in one]
    if failed:
        return failed[0]
    rounds = entry["rounds"]
    return {
        **{name: median(one[name] for one in rounds) for name in ("seconds", "processor_seconds", "machine_gflops")},
        "peak_gb": max(one["peak_gb"] for one in rounds),
        "own_gb": max(one.get("own_gb", 0.0) for one in rounds),
        "device_gb": rounds[-1].get("device_gb"),
        "spread": [pick(one["seconds"] for one in rounds) for pick in (min, max)],
        "warm_up": entry["warm_up"]["build_seconds"] + entry["warm_up"]["seconds"],
        "versions": entry["warm_up"]["versions"],
        "count": len(rounds),
    }


#: Side of the matrices that measure what a machine can do.
SIDE = 4_096


#: How to multiply such a matrix by itself, by library.
PRODUCTS = {
    "numpy": "import numpy as np; one = np.ones((side, side), 'float32'); product = lambda: one @ one",
    "torch": "import torch; one, out = torch.ones(side, side), torch.empty(side, side); "
    "product = lambda: torch.mm(one, one, out=out)",
}


def peak_gflops(threads: int, library: str = "numpy") -> float | None:
    """Rate of a large float32 matrix product just now, the best of three in a fresh process; None without the library.

    Libraries differ by their products: NumPy has that of OpenBLAS, PyTorch that of MKL.
    """
    if importlib.util.find_spec(library) is None:
        return None
    code = (
        f"import time; side = {SIDE}; {PRODUCTS[library]}\n"
        "seconds = []\n"
        "for _ in range(4):\n"
        "    start = time.perf_counter(); product(); seconds.append(time.perf_counter() - start)\n"
        "print(2 * side**3 / min(seconds[1:]) / 1e9)\n"
    )
    processors = sorted(os.sched_getaffinity(0))[:threads]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, processors),
    )
    return float(done.stdout)


def cause(stderr: str) -> str:
    """What ended a process: no memory, or the last line that names an error."""
    if re.search(r"MemoryError|bad_alloc|ResourceExhausted|OOM when|out of memory|can't allocate", stderr):
        return "out of memory"
    lines = stderr.strip().splitlines()
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (named or lines or [""])[-1][:300]


def machine(threads: int) -> dict:
    """What the numbers were measured on."""
    facts = {"threads": threads, "system": platform.system(), "python": platform.python_version()}
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {**facts, "processor": platform.processor()}
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    lines = {key.strip(): value.strip() for key, value in lines.items()}
    sets = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16")
    flags = lines.get("flags", "").split()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        **facts,
        "processor": lines.get("model name", ""),
        "instruction sets": [name for name in sets if name in flags],
        "memory_gb": round(memory),
    }


def written(report: dict, threads: int, out: Path, page: Callable[[dict], str]) -> None:
    """Note machine and day in a report, and write it as JSON, with its page beside it."""
    report |= {"machine": machine(threads), "date": datetime.date.today().isoformat()}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n")
    out.with_suffix(".md").write_text(page(report))


def ending(report: dict, rows: Iterable[Mapping[str, Any]], command: str) -> list[str]:
    """What a page ends with: the machine, versions, and how to repeat it; rows are those that were measured."""
    return [machine_line(report["machine"]), versions_line(rows), f"Measured on {report['date']} with `{command}`.", ""]


def versions_line(rows: Iterable[Mapping[str, Any]]) -> str:
    """A sentence on the packages that took part."""
    found = {name: version for row in rows for name, version in row["versions"].items()}
    return f"Versions: {', '.join(f'{name} {version}' for name, version in sorted(found.items()))}."


def rounds_of(rows: Iterable[Mapping[str, Any]]) -> int:
    """Most rounds of any contestant."""
    return max((row["count"] for row in rows), default=0)


def machine_line(facts: dict) -> str:
    """A sentence on the machine."""
    return (
        f"Machine: {facts['threads']} threads of a {facts['processor'] or 'processor of unknown name'} "
        f"({', '.join(facts.get('instruction sets', []))}), {facts.get('memory_gb', '?')} GB of memory, "
        f"{facts['system']}, Python {facts['python']}."
    )
