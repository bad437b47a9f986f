"""What the benchmarks measure with: fresh processes on a number of processors, seconds, memory, and the machine."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: Names a backend's package goes by.
PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "torch": ("torch",),
    "jax": ("jax",),
    "openvino": ("openvino",),
}


# --- in the process that is measured -----------------------------------------------------------------------------


def twice(build: Callable[[], Callable[[Any], Any]], x: Any) -> dict:
    """Build a network and predict twice: the first run compiles, the second counts."""
    start = time.perf_counter()
    predict = build()
    built = time.perf_counter()
    seconds, processor = [], []
    for _ in range(2):
        before, used = time.perf_counter(), time.process_time()
        shape = np.asarray(predict(x)).shape
        seconds.append(time.perf_counter() - before)
        processor.append(time.process_time() - used)
    return {
        "build_seconds": built - start,
        "first_seconds": seconds[0],
        "seconds": seconds[1],
        "processor_seconds": processor[1],
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "output_shape": shape,
    }


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


def run(command: list[str], backend: str, threads: int, out: Path) -> dict:
    """Run a command on a backend and its share of processors; what it wrote into ``out``, or its error."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
    }
    processors = sorted(os.sched_getaffinity(0))[:threads]
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, processors),
    )
    if done.returncode:
        return {"error": _cause(done.stderr) or f"ended with {done.returncode}"}
    return json.loads(out.read_text())


#: Side of the matrices that measure what a machine can do.
SIDE = 4_096


def peak_gflops(threads: int) -> float:
    """Rate of a large float32 matrix product in NumPy just now, the best of three in a fresh process."""
    code = (
        "import numpy as np, time\n"
        f"a = np.random.default_rng(0).random(({SIDE}, {SIDE}), dtype='float32')\n"
        "seconds = []\n"
        "for _ in range(4):\n"
        "    start = time.perf_counter(); a @ a; seconds.append(time.perf_counter() - start)\n"
        f"print(2 * {SIDE}**3 / min(seconds[1:]) / 1e9)\n"
    )
    processors = sorted(os.sched_getaffinity(0))[:threads]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OPENBLAS_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, processors),
    )
    return float(done.stdout)


def _cause(stderr: str) -> str:
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


def machine_line(facts: dict) -> str:
    """A sentence on the machine."""
    return (
        f"Machine: {facts['threads']} threads of a {facts['processor'] or 'processor of unknown name'} "
        f"({', '.join(facts.get('instruction sets', []))}), {facts.get('memory_gb', '?')} GB of memory, "
        f"{facts['system']}, Python {facts['python']}."
    )
