import numpy as np
import pytest

from crested_like._errors import GeometryError
from crested_like.tl import Geometry
from crested_like.tl.readout._bins import bases_in_bins, chosen_bins, text_of_bins, weights_of

SHAPE = Geometry(1024, 16, 8, 448)


def slow_bases(intervals, origin, size, count):
    inside = {base for start, end in intervals for base in range(start, end)}
    return [sum(base in inside for base in range(origin + i * size, origin + (i + 1) * size)) for i in range(count)]


@pytest.mark.parametrize(
    "intervals",
    [
        [(100, 108)],  # one whole bin
        [(101, 103)],
        [(107, 109)],  # across an edge
        [(90, 101), (103, 130), (131, 132)],
        [(0, 1000)],
        [(20, 100), (180, 300)],  # just outside at either side
        [],
    ],
)
def test_bases_of_intervals(intervals):
    found = bases_in_bins(intervals, 100, 8, 10)
    assert found.tolist() == slow_bases(intervals, 100, 8, 10)


def test_random_intervals(rng):
    for _ in range(50):
        edges = np.sort(rng.choice(400, 10, replace=False)) - 50
        intervals = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
        assert bases_in_bins(intervals, 13, 7, 40).tolist() == slow_bases(intervals, 13, 7, 40)


def test_overlap_rules():
    bases = np.array([0, 1, 3, 4, 5, 8])
    assert weights_of(bases, 8, "any").tolist() == [0, 1, 1, 1, 1, 1]
    assert weights_of(bases, 8, "majority").tolist() == [0, 0, 0, 1, 1, 1]
    assert weights_of(bases, 8, "fraction").tolist() == [0, 1 / 8, 3 / 8, 4 / 8, 5 / 8, 1]


@pytest.mark.parametrize(
    ("bins", "want"),
    [
        (3, [3]),
        ([5, 2, 5], [2, 5]),
        (range(4, 8, 2), [4, 6]),
        (slice(-2, None), [14, 15]),
        (np.arange(16) % 8 == 1, [1, 9]),
    ],
)
def test_chosen_bins(bins, want):
    weights = chosen_bins(bins, SHAPE)
    assert np.flatnonzero(weights).tolist() == want
    assert set(weights.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("bins", "message"),
    [
        ([3, 16, -1], r"No such bin: 16, -1\. The model has 16, numbered 0 to 15"),
        ([], r"No bins were chosen"),
        (slice(3, 3), r"selects none of 16"),
        ([True, False], r"A mask of bins needs 16 values; got the shape \(2,\)"),
        ([0.5], r"whole numbers, a range, a slice or a mask; got \[0\.5\]"),
        ("middle", r"whole numbers, a range, a slice or a mask; got 'middle'"),
    ],
)
def test_wrong_bins(bins, message):
    with pytest.raises(GeometryError, match=message):
        chosen_bins(bins, SHAPE)


@pytest.mark.parametrize(
    ("bins", "text"),
    [
        (3, "bins 3"),
        ([9, 2, 7, 6, 5, 2], "bins 2, 5 to 7, 9"),
        (range(1000, 1048), "bins 1000 to 1047"),
        (slice(-4, None), "bins -4:"),
        (slice(None, 8, 2), "bins :8:2"),
        (np.arange(16) % 8 == 1, "bins 1, 9"),
        (range(0, 60, 2), "bins 0, 2, 4, 6, 8, 10, 12, 14, 16, 18 ... (30 bins)"),
    ],
)
def test_bins_as_text(bins, text):
    assert text_of_bins(bins) == text
