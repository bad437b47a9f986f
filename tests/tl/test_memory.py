from __future__ import annotations

import os
import subprocess
import sys

import keras
import pytest

from crested_like.tl import _memory

MB = 2**20


def chain(length: int = 1024, widths: tuple[int, ...] = (64, 256, 16)) -> keras.Model:
    x = dna = keras.Input((length, 4))
    for width in widths:
        x = keras.layers.Conv1D(width, 3, padding="same")(x)
    return keras.Model(dna, x)


def test_peak_is_two_neighbours_of_a_chain():
    assert _memory.activation_bytes(chain()) == 4 * 1024 * (64 + 256)


def test_a_skip_stays_alive():
    x = dna = keras.Input((1024, 4))
    skip = x = keras.layers.Conv1D(100, 1)(x)
    for _ in range(3):
        x = keras.layers.Conv1D(100, 1)(x)
    model = keras.Model(dna, keras.layers.Add()([x, skip]))
    assert _memory.activation_bytes(model) == 4 * 1024 * 300


@pytest.mark.parametrize(
    ("free", "windows", "want"),
    [
        (10**12, 5, 5),
        (10**12, 65, 33),
        (0, 5, 1),
        (2 * 4 * 4 * 1024 * 320 * 3, 10, 3),
        (2 * 4 * 4 * 1024 * 320 * 3, 4, 2),
    ],
)
def test_batch_fits_and_is_even(monkeypatch, free, windows, want):
    monkeypatch.setattr(_memory, "free_bytes", lambda: free)
    assert _memory.batch_size_for([chain()], windows) == want


@pytest.mark.skipif(sys.platform != "linux", reason="address-space limits are tested on Linux")
def test_an_address_space_limit_counts():
    code = (
        "import resource, psutil\n"
        "from crested_like import _memory\n"
        "_memory.free_bytes()  # starts the backend, which takes address space of its own\n"
        "used = psutil.Process().memory_info().vms\n"
        f"resource.setrlimit(resource.RLIMIT_AS, (used + {1000 * MB}, resource.getrlimit(resource.RLIMIT_AS)[1]))\n"
        f"assert {100 * MB} < _memory.free_bytes() <= {1000 * MB}, _memory.free_bytes()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})


LIMITED = """
import resource, sys
import numpy as np, psutil, keras
import crested_like as crested
x = dna = keras.Input((65536, 4))
for i in range(3):
    x = keras.layers.Conv1D(256, 1)(x)
model = keras.Model(dna, keras.layers.Dense(1)(keras.layers.MaxPooling1D(64)(x)))
windows = np.zeros((48, 65536, 4), np.float32)
model.predict_on_batch(windows[:1])
used = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (used + 3 * 2**30, resource.getrlimit(resource.RLIMIT_AS)[1]))
crested.tl.predict(windows, model, batch_size=int(sys.argv[1]) if len(sys.argv) > 1 else None)
print("done")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="address-space limits are tested on Linux")
def test_default_batch_is_safe_under_a_limit_that_a_large_one_breaks():
    # 64 MB an activation: all 48 windows at once need over 6 GB, 3 GB are left
    def run(*args: str) -> subprocess.CompletedProcess:
        env = {**os.environ, "PYTHONWARNINGS": "ignore"}
        return subprocess.run([sys.executable, "-c", LIMITED, *args], capture_output=True, text=True, env=env)

    default = run()
    assert "done" in default.stdout, default.stderr[-2000:]
    assert "done" not in run("48").stdout
