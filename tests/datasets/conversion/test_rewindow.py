from __future__ import annotations

import pandas as pd
import pytest

from crested_like._errors import DatasetError
from crested_like.datasets import Layout
from crested_like.datasets.conversion._rewindow import beyond_ends, chosen_tracks, rewindow

TRACKS = pd.DataFrame({"identifier": ["a"], "description": ["a"]})
BARNYARD = Layout(131_072, 128, 896, TRACKS, crop_bp=8_192)


def moved(layout, length, start, **options):
    """The window of an example that starts somewhere, after a change of length."""
    new = rewindow(layout, length, **options)
    end = start + layout.seq_length
    table = pd.DataFrame({"chrom": ["chr1"], "start": [start], "end": [end], "label": ["x"], "source_index": [0]})
    return new.windows(table).iloc[0]


@pytest.mark.parametrize(("length", "start", "end"), [(393_216, 797_314, 1_190_530), (196_608, 895_618, 1_092_226)])
def test_published_windows(length, start, end):
    window = moved(BARNYARD, length, 928_386)
    assert (window["start"], window["end"]) == (start, end)
    assert (window["target_start"], window["target_end"]) == (928_386 + 8_192, 1_059_458 - 8_192)


@pytest.mark.parametrize("old", [10, 11, 512, 513])
@pytest.mark.parametrize("length", [1, 2, 7, 8, 511, 512, 513, 1024])
@pytest.mark.parametrize("start", [0, 1, 1000, 1001])
def test_centre_and_length_are_exact(old, length, start):
    window = moved(Layout(old, 2, 3, TRACKS, crop_bp=1), length, start)
    centre = (start + start + old) // 2
    assert window["start"] == centre - length // 2
    assert window["end"] - window["start"] == length
    assert window["target_start"] == start + 1


@pytest.mark.parametrize("length", [*range(30, 70), 200])
@pytest.mark.parametrize("crop", [0, 5])
def test_bins_that_are_wholly_inside(length, crop):
    layout = Layout(64, 8, (64 - 2 * crop) // 8, TRACKS, crop_bp=crop)
    new = rewindow(layout, length, crop_targets=True)
    start = 32 - length // 2  # of the new window, where the old one starts at 0
    bins = [(crop + 8 * i, crop + 8 * (i + 1)) for i in range(layout.target_length)]
    inside = [i for i, (low, high) in enumerate(bins) if low >= start and high <= start + length]
    assert new.bins == (inside[0], inside[-1] + 1)
    assert new.layout.target_length == len(inside)
    assert new.layout.crop_bp == bins[inside[0]][0] - start


def test_no_bin_is_left():
    with pytest.raises(DatasetError, match="No bin of 128 bp lies wholly inside a window of 100 bp"):
        rewindow(BARNYARD, 100, crop_targets=True)
    with pytest.raises(ValueError, match="sequence_length must be an integer of at least 1; got 0"):
        rewindow(BARNYARD, 0)


def test_ends_of_chromosomes():
    table = pd.DataFrame({"chrom": ["a", "a", "b", "b"], "start": [0, -1, 5, 6], "end": [10, 9, 15, 16]})
    assert beyond_ends(table, {"a": 10, "b": 15}).tolist() == [False, True, False, True]


def test_tracks_that_know_no_pairs_get_numbers():
    table, alone = chosen_tracks(pd.concat([TRACKS] * 3, ignore_index=True), [2, 0])
    assert table["index"].tolist() == [2, 0]
    assert alone == []


def test_only_what_was_lost_is_reported():
    pairs = pd.DataFrame({"identifier": ["a+", "a-", "b+"], "strand_pair": [1, 0, -1]})
    table, alone = chosen_tracks(pairs, [0, 2])
    assert table["strand_pair"].tolist() == [-1, -1]
    assert alone == ["a+"]  # that of b+ was missing before
