from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import crested_like as crested
from crested_like._errors import TrackError
from crested_like.tl import predict, predict_regions

REGIONS = ["chr1:2001-2100", "chr1:2301-2400", "chr2:1-100"]


def test_coordinates(named, genome):
    got = predict_regions(REGIONS, named, genome, tracks=["brain", "liver+"])
    assert got.dims == ("region", "bin", "track")
    assert got.shape == (3, 16, 2)
    np.testing.assert_array_equal(got, predict(REGIONS, named, genome, tracks=[2, 0]))
    assert got.region.values.tolist() == REGIONS
    assert got.track.values.tolist() == ["brain", "liver+"]
    # the window's 1024 bp lie around 2050, and its 16 bins of 8 bp in the middle of it
    assert (int(got.start[0]), int(got.end[0])) == (2050 - 64, 2050 + 64)
    assert got.bin_start.values[0].tolist() == list(range(1986, 2114, 8))
    assert got.attrs["bin_size"] == 8
    assert got.attrs["genome"] == "small"


@pytest.mark.parametrize("ending", [".zarr", ".h5", ".hdf5", ".npz"])
def test_files_hold_the_same(named, genome, tmp_path, ending):
    want = predict_regions(REGIONS, named, genome)
    path = tmp_path / f"new/out{ending}"
    got = predict_regions(REGIONS, named, genome, out=path, batch_size=1)
    xr.testing.assert_allclose(got.reset_coords(drop=True), want.reset_coords(drop=True), rtol=1e-5)
    assert {p.name for p in path.parent.iterdir()} == {path.name}
    for name in want.coords:
        np.testing.assert_array_equal(got[name], want[name])
    assert dict(got.attrs) == dict(want.attrs)


def test_zarr_and_hdf5_are_readable_without_us(named, genome, tmp_path):
    import h5py

    want = predict_regions(REGIONS, named, genome, out=tmp_path / "a.zarr")
    opened = xr.open_zarr(tmp_path / "a.zarr", chunks=None)["prediction"]
    np.testing.assert_array_equal(opened.sel(track="brain"), want.values[..., 2])
    predict_regions(REGIONS, named, genome, out=tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["prediction"][:], want.values)
        assert file["track"].asstr()[:].tolist() == ["liver+", "liver-", "brain"]


def test_bigwig_takes_each_base_from_the_nearest_centre(named, genome, tmp_path):
    pytest.importorskip("pybigtools")
    regions = [("chr1", 2096, 2096 + 1), ("chr1", 2000, 2001), ("chr1", 40, 41), ("chr1", 2000, 2001)]
    got = predict_regions(regions, named, genome, out=tmp_path / "x.bw")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.brain.bw", "x.liver+.bw", "x.liver-.bw"]
    values = crested.genome.read_bigwig(tmp_path / "x.brain.bw", "chr1", 0, 5000)
    starts, ends, predicted = got.start.values.tolist(), got.end.values.tolist(), got.values[..., 2]
    want = np.full(5000, np.nan)
    for base in range(5000):
        covering = [r for r in range(4) if starts[r] <= base < ends[r]]
        if covering:
            nearest = min(covering, key=lambda r: (abs(base + 0.5 - (starts[r] + ends[r]) / 2), r))
            want[base] = predicted[nearest, (base - starts[nearest]) // 8]
    np.testing.assert_allclose(values, want, rtol=1e-6)


def test_one_bigwig_for_one_track(named, genome, tmp_path):
    pytest.importorskip("pybigtools")
    predict_regions(REGIONS[:1], named, genome, tracks=["brain"], out=tmp_path / "x.bw")
    assert [p.name for p in tmp_path.iterdir()] == ["x.bw"]


def test_one_region_as_a_tuple(named, genome):
    got, want = (predict_regions(place, named, genome) for place in (("chr1", 1000, 1100), "chr1:1001-1100"))
    np.testing.assert_array_equal(got, want)
    assert got["start"].to_numpy().tolist() == want["start"].to_numpy().tolist()


def test_sequences_without_coordinates(named, genome):
    sequence = genome.fetch("chr1", 0, 1024)
    got = predict_regions([("mine", sequence)], named)
    assert (got.chrom.item(), int(got.start[0]), int(got.end[0])) == ("mine", 448, 576)


def test_models_with_one_value_per_sequence(golden_dir, genome, tmp_path):
    import keras

    model = keras.models.load_model(golden_dir / "crested_simple_convnet_tiny" / "model.keras")
    got = predict_regions(REGIONS, model, genome)
    assert got.dims == ("region", "track")
    assert got.track.values.tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"one value per sequence. Choose .zarr, .h5 or .npz"):
        predict_regions(REGIONS, model, genome, out=tmp_path / "x.bw")


def test_nothing_is_lost_or_left_half_written(named, genome, tmp_path, monkeypatch):
    from crested_like.tl import _predict

    target = tmp_path / "x.zarr"
    target.mkdir()
    (target / "precious").touch()
    with pytest.raises(FileExistsError, match="is there already; remove it or choose another name"):
        predict_regions(REGIONS, named, genome, out=target)
    calls = []

    def failing(model, x):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("power cut")
        return np.zeros((len(x), 16, 3), np.float32)

    monkeypatch.setattr(_predict, "forward", failing)
    for ending in (".zarr", ".h5", ".npz", ".bw"):
        calls[:] = [1]  # the first batch fails: there is nothing to go on from
        with pytest.raises(RuntimeError, match="power cut"):
            predict_regions(REGIONS, named, genome, out=tmp_path / f"y{ending}", batch_size=1)
    assert [p.name for p in tmp_path.iterdir()] == ["x.zarr"]


def test_unknown_ending_and_heads(named, two_heads, genome, tmp_path):
    with pytest.raises(ValueError, match=r"'x.csv': it must end in one of .zarr"):
        predict_regions(REGIONS, named, genome, out=tmp_path / "x.csv")
    with pytest.raises(TrackError, match="pick one with head="):
        predict_regions(REGIONS, two_heads, genome)
