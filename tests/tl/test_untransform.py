from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from crested_like import attach, tl
from crested_like._card import ModelCard
from crested_like._errors import TrackError

ROWS = [
    ("sum", 5.0, 2.0),
    ("sum_sqrt", 5.0, 0.5),
    ("mean", np.inf, 1.0),
    ("sum_exp75", 5.0, 2.0),
    ("mean_sqrt", 8.0, 1.0),
]
TABLE = pd.DataFrame(ROWS, columns=["sum_stat", "clip_soft", "scale"]).assign(identifier=list("abcde"))


def slow(x, stat, soft, scale, version, unscale):
    """One value, as the specification has it."""
    new = version == "new"
    x = x if new else x / scale
    if x > soft:
        x = soft - 1 + (x - soft + 1) ** 2 if new else soft + (x - soft) ** 2
    if stat.endswith("_sqrt"):
        x = -1 + (x + 1) ** 2 if new else x ** (4 / 3)
    elif stat == "sum_exp75":
        x = (x + 1) ** (4 / 3) - 1
    if new:
        return x / scale if unscale else x
    return x if unscale else x * scale


@pytest.fixture
def values(rng):
    return rng.gamma(0.5, 20, (2, 7, 5))


def expected(values, version, unscale=True):
    flat = values.reshape(-1, values.shape[-1]).tolist()
    out = [[slow(x, *row, version, unscale) for x, row in zip(xs, ROWS, strict=True)] for xs in flat]
    return np.reshape(out, values.shape)


@pytest.mark.parametrize("version", ["new", "old"])
@pytest.mark.parametrize("unscale", [True, False])
def test_as_one_number_at_a_time(values, version, unscale, monkeypatch):
    want = expected(values, version, unscale)
    np.testing.assert_allclose(tl.untransform(values, TABLE, version, unscale=unscale), want, rtol=1e-12)
    monkeypatch.setattr("crested_like.tl._untransform._CHUNK", 7)
    np.testing.assert_allclose(tl.untransform(values, TABLE, version, unscale=unscale), want, rtol=1e-12)
    np.testing.assert_allclose(tl.untransform(values[1, 3], TABLE, version, unscale=unscale), want[1, 3], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_types(values, dtype):
    small = values.astype(dtype)
    got = tl.untransform(small, TABLE, "new")
    assert got.dtype == ("float64" if dtype == "float64" else "float32")
    np.testing.assert_allclose(got, expected(small.astype(float), "new"), rtol=1e-6)


def test_a_file_a_card_and_a_model(values, tmp_path):
    want = tl.untransform(values, TABLE, "old")
    path = tmp_path / "targets.txt"
    TABLE.to_csv(path, sep="\t")
    np.testing.assert_array_equal(tl.untransform(values, path, "old"), want)
    card = ModelCard(name="m", transform="old").with_tracks(TABLE)
    np.testing.assert_array_equal(tl.untransform(values, card), want)

    class Stub:
        name, outputs, output_names = "stub", (), ()

    np.testing.assert_array_equal(tl.untransform(values, attach(Stub(), card)), want)
    said = tl.untransform(values, attach(Stub(), card), "new")
    np.testing.assert_allclose(said, expected(values, "new"), rtol=1e-12)
    heads = ModelCard(name="m", transform="old").with_tracks(TABLE, "human").with_tracks(TABLE[:2], "mouse")
    np.testing.assert_array_equal(tl.untransform(values[..., :2], heads, head="mouse"), want[..., :2])
    with pytest.raises(TrackError, match=r"Nothing is known of the tracks of 'stub'.*attach"):
        tl.untransform(values, Stub(), "old")


def test_labelled_arrays(values):
    array = xr.DataArray(
        values, dims=("region", "bin", "track"), attrs={"units": "coverage, new transform", "genome": "g"}
    )
    want = expected(values, "new")
    got = tl.untransform(array, TABLE, "new")
    np.testing.assert_allclose(got, want)
    assert got.attrs == {"units": "coverage", "genome": "g"}
    assert array.attrs["units"] == "coverage, new transform"
    named = array.assign_coords(track=list("abcde"))
    some = named.sel(track=["d", "b"]).transpose("track", "region", "bin")
    got = tl.untransform(some, TABLE, "new")
    assert got.dims == ("track", "region", "bin")
    np.testing.assert_allclose(got.transpose("region", "bin", "track"), want[..., [3, 1]])
    numbered = array.assign_coords(track=np.arange(5)).isel(track=[4, 0])
    np.testing.assert_allclose(tl.untransform(numbered, TABLE, "new"), want[..., [4, 0]])
    with pytest.raises(TrackError, match="1 of 5 tracks are not in the table, the first 'x'"):
        tl.untransform(array.assign_coords(track=list("abcdx")), TABLE, "new")
    with pytest.raises(TrackError, match="needs a dimension 'track'; it has 'region', 'bin', 'channel'"):
        tl.untransform(array.rename(track="channel"), TABLE, "new")


@pytest.mark.parametrize(
    ("change", "tracks", "version", "error", "match"),
    [
        (lambda x: x[..., :4], TABLE, "new", TrackError, r"each of the 5 tracks of the table .* shape \(2, 7, 4\)"),
        (lambda x: x[0, 0, 0], TABLE, "new", TrackError, r"got the shape \(\)"),
        (lambda x: x, TABLE, None, TrackError, "Say which transform made the targets"),
        (lambda x: x, TABLE, "newest", ValueError, "version must be one of 'new', 'old'"),
        (lambda x: x, TABLE[["identifier"]], "new", TrackError, "none of the columns sum_stat, scale, clip_soft"),
        (lambda x: np.where(np.arange(5) == 3, np.nan, x), TABLE, "old", ValueError, r"the one at \(0, 0, 3\) is nan"),
        (lambda x: np.where(x == x[1, 2, 4], np.inf, x), TABLE, "old", ValueError, r"the one at \(1, 2, 4\) is inf"),
        (lambda x: x, "no.txt", "old", TrackError, "Cannot read a track table from no.txt"),
    ],
)
def test_what_cannot_be_undone(values, change, tracks, version, error, match):
    with pytest.raises(error, match=match):
        tl.untransform(change(values), tracks, version)


def test_a_prediction_below_the_range_is_no_nan():
    assert np.isfinite(tl.untransform(np.full((3, 5), -2.5), TABLE, "old")).all()
    assert np.isfinite(tl.untransform(np.full((3, 5), -2.5), TABLE, "new")).all()
