from __future__ import annotations

import numpy as np
import pytest

from crested_like import pl


def test_tracks_are_sorted_by_their_peak_and_placed(predictions):
    table = pl.strongest_tracks(predictions, 2)
    assert table.index.tolist() == [2, 0]
    first = table.iloc[0]
    assert (first["track"], first["description"], first["max"]) == ("b", "DNASE:brain", 9)
    assert first["mean"] == pytest.approx(float(predictions[..., 2].mean()))
    assert (first["region"], first["chrom"], first["start"], first["end"]) == ("enhancer", "chr2", 50_160, 50_192)


def test_bins_are_summits_of_the_mean_over_tracks(predictions):
    table = pl.strongest_bins(predictions, 3)
    assert len(table) == 3
    first = table.iloc[0]
    assert (first["chrom"], first["start"], first["track"], first["max"]) == ("chr2", 50_160, "b", 9)
    assert first["mean"] == pytest.approx(float(predictions[1, 5].mean()))
    assert table["mean"].is_monotonic_decreasing


def test_of_a_peak_of_several_bins_the_summit_is_listed_once(predictions):
    predictions[:] = 0
    predictions[0, 4:9] = np.array([1, 2, 5, 2, 1])[:, None]
    table = pl.strongest_bins(predictions, 2)
    assert table["start"].tolist()[0] == 1_000 + 6 * 32
    assert table["mean"].tolist() == [5, 0]


def test_one_value_per_sequence(predictions):
    scalar = predictions.isel(bin=5, drop=True)
    scalar.attrs["bin_size"] = 0
    tracks, bins = pl.strongest_tracks(scalar), pl.strongest_bins(scalar)
    assert (tracks["start"][2], tracks["end"][2]) == (50_000, 50_512)
    assert bins["region"].tolist() == ["enhancer", "chr1:1001-1512"]


def test_axes_that_are_missing_are_named(predictions):
    with pytest.raises(ValueError, match="needs the dimensions region and track; it has bin, track"):
        pl.strongest_tracks(predictions[0])
    with pytest.raises(ValueError, match="n must be an integer of at least 1"):
        pl.strongest_tracks(predictions, 0)
