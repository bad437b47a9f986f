from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def predictions(rng):
    """Two regions, 16 bins of 32 bp, 3 tracks; as predict_regions gives them."""
    xr = pytest.importorskip("xarray")
    values = rng.random((2, 16, 3)).astype(np.float32)
    values[1, 5, 2] = 9
    values[0, 10, 0] = 4
    starts = np.array([1_000, 50_000])
    return xr.DataArray(
        values,
        dims=("region", "bin", "track"),
        coords={
            "region": ["chr1:1001-1512", "enhancer"],
            "chrom": ("region", ["chr1", "chr2"]),
            "start": ("region", starts),
            "end": ("region", starts + 512),
            "bin": np.arange(16),
            "bin_start": (("region", "bin"), starts[:, None] + np.arange(16) * 32),
            "track": ["a+", "a-", "b"],
            "description": ("track", ["CAGE:liver", "CAGE:liver", "DNASE:brain"]),
        },
        attrs={"bin_size": 32, "model": "tiny", "genome": "hg38", "input_length": 1024, "units": "coverage"},
        name="prediction",
    )
