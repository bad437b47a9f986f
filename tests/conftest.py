"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

import crested_like  # chooses the backend before any test imports keras

HERE = Path(__file__).parent
SHARED = HERE.parent.parent / "shared"
DATA = Path(os.environ.get("CRESTED_LIKE_TEST_DATA") or SHARED / "data")
GOLDEN = HERE / "golden"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@pytest.fixture
def small_files():
    """No file of this process can grow beyond some bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="session", autouse=True)
def _quick_to_compile(request):
    """JAX spends most of a small test compiling; the parity and slow tests run as users do."""
    import keras

    if keras.backend.backend() == "jax" and "not parity" in request.config.option.markexpr:
        import jax

        jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data that is not part of the project; skips where it is missing."""
    if not DATA.is_dir():
        pytest.skip(f"real data not found at {DATA}; set CRESTED_LIKE_TEST_DATA to the folder that holds it")
    return DATA


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def record_parity():
    """Keep the worst error of a model and a quantity: ``(name, quantity, error / largest value)``.

    Where ``CRESTED_LIKE_RECORD_PARITY`` names a folder (``docs/parity``), the figures of this run go into its
    ``<backend>.json``, from which the documentation makes its table.
    """
    figures: dict[str, dict[str, float]] = {}

    def record(name: str, quantity: str, error: float) -> None:
        worst = figures.setdefault(name, {})
        worst[quantity] = max(worst.get(quantity, 0.0), float(f"{error:.2g}"))

    yield record
    folder = os.environ.get("CRESTED_LIKE_RECORD_PARITY")
    if folder and figures:
        import keras

        path = Path(folder) / f"{keras.backend.backend()}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.parent / f".{path.name}.lock"):  # tests run in several processes
            known = json.loads(path.read_text()) if path.is_file() else []
            kept = [row for row in known if row["quantity"] not in figures.get(row["name"], {})]
            kept += [
                {"name": name, "quantity": quantity, "error": error}
                for name, worst in figures.items()
                for quantity, error in worst.items()
            ]
            path.write_text(json.dumps(sorted(kept, key=lambda row: (row["name"], row["quantity"])), indent=1) + "\n")


@pytest.fixture(scope="session")
def planted():
    """A world in which it is known what every base does: the module ``tests/planted/truth.py``."""
    spec = importlib.util.spec_from_file_location("planted_truth", HERE / "planted" / "truth.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def planted_model(planted):
    """The network that was trained on that world: 512 bp to eight bins of two tracks."""
    return crested_like.load_model(planted.MODEL)
