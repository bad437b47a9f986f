"""Does a file give the same numbers on every backend? Each one runs it in a fresh process."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crested_like._backend import installed_backends
from crested_like._checks import one_of
from crested_like._errors import ModelFileError

#: Two correct computations in float32 agree to this part of the largest value.
TOLERANCE = 2e-5

Outputs = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Comparison:
    """Greatest difference of two results, over the greatest value: for the worst output."""

    first: str
    second: str
    output: str
    difference: float

    @property
    def agrees(self) -> bool:
        """Whether it is no more than float32 rounding."""
        return self.difference <= TOLERANCE


def verify(
    path: str | os.PathLike[str],
    *,
    backends: Collection[str] | None = None,
    expected: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> list[Comparison]:
    """Run one model file on several backends and compare what comes out.

    Parameters
    ----------
    path
        A ``.keras`` file.
    backends
        Which ones; by default all that are installed.
    expected
        An ``.npz`` file with the input as ``one_hot``, ``(N, L, 4)``, and the outputs that are to come out of it, by
        head or as ``output``. Without it the input is random DNA, and backends are compared with each other only.
    seed
        Of the random DNA.

    Returns
    -------
    list of Comparison
        Of every pair of backends, and of every backend with what was expected.

    Raises
    ------
    ModelFileError
        If a backend cannot load or run the file, or ``expected`` does not belong to it.
    """
    path = Path(path)
    installed = installed_backends()
    chosen = [one_of("backend", name, installed) for name in backends] if backends else installed
    with tempfile.TemporaryDirectory() as folder:
        given, wanted = _expected(Path(expected)) if expected is not None else (None, {})
        request = Path(folder) / "input.npz"
        np.savez(request, seed=seed, **({} if given is None else {"one_hot": given}))
        results = {name: _run(name, path, request, Path(folder) / f"{name}.npz") for name in chosen}
    pairs = [
        _compare(first, results[first], second, results[second]) for first, second in itertools.combinations(chosen, 2)
    ]
    if wanted:
        pairs += [_compare("expected", wanted, name, results[name]) for name in chosen]
    return pairs


def _expected(path: Path) -> tuple[NDArray[np.float32], Outputs]:
    try:
        with np.load(path) as stored:
            arrays = dict(stored)
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path} cannot be read as an .npz file: {error}") from error
    if "one_hot" not in arrays:
        raise ModelFileError(f"{path} must hold the input as 'one_hot'; it holds {', '.join(arrays) or 'nothing'}.")
    return np.asarray(arrays.pop("one_hot"), np.float32), arrays


def _run(backend: str, path: Path, request: Path, out: Path) -> Outputs:
    done = subprocess.run(
        [sys.executable, "-m", "crested_like.tl._verify", str(path), str(request), str(out)],
        env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip() or "it ended without a word").rsplit("\n", 1)[-1]
        raise ModelFileError(f"{path} cannot be run on {backend}: {last}")
    with np.load(out) as stored:
        return dict(stored)


def _compare(first: str, a: Outputs, second: str, b: Outputs) -> Comparison:
    if len(a) == len(b) == 1:  # the name of a single output says nothing
        a, b = ({"output": next(iter(values.values()))} for values in (a, b))
    if set(a) != set(b):
        raise ModelFileError(f"{first} has the outputs {', '.join(a)}, and {second} has {', '.join(b)}.")
    worst = Comparison(first, second, next(iter(a)), 0.0)
    for name, values in a.items():
        if values.shape != b[name].shape:
            raise ModelFileError(f"{name} of {first} has the shape {values.shape}, and of {second} {b[name].shape}.")
        difference = float(np.abs(values - b[name]).max() / max(np.abs(values).max(), np.finfo(np.float32).tiny))
        if not difference <= worst.difference:  # also where it is no number
            worst = Comparison(first, second, name, difference)
    return worst


def _answer(path: str, request: str, out: str) -> None:
    """Run the model: what the fresh process does."""
    from crested_like._backend import require_backend

    require_backend()
    import keras

    from crested_like.checkpoints._keras import load_keras
    from crested_like.tl._forward import forward
    from crested_like.tl._geometry import named_outputs

    model = load_keras(path)
    with np.load(request) as stored:
        given: dict[str, Any] = dict(stored)
    length = model.input_shape[1]
    batch = given.get("one_hot")
    if batch is None:
        letters = np.random.default_rng(int(given["seed"])).integers(0, 4, (1, length))
        batch = np.eye(4, dtype=np.float32)[letters]
    if batch.shape[1:] != (length, 4):
        raise ModelFileError(f"the input must be (N, {length}, 4); got {batch.shape}.")
    parts = {name: keras.Model(model.inputs, tensor) for name, tensor in named_outputs(model).items()}
    np.savez(out, **{name: forward(part, batch) for name, part in parts.items()})


if __name__ == "__main__":
    _answer(*sys.argv[1:])
