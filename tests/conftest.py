"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import crested_like  # noqa: F401 - chooses the backend before any test imports keras

HERE = Path(__file__).parent
SHARED = HERE.parent.parent / "shared"
DATA = Path(os.environ.get("CRESTED_LIKE_TEST_DATA") or SHARED / "data")
GOLDEN = HERE / "golden"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data that is not part of the project; skips where it is missing."""
    if not DATA.is_dir():
        pytest.skip(f"real data not found at {DATA}; set CRESTED_LIKE_TEST_DATA to the folder that holds it")
    return DATA


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    return GOLDEN
