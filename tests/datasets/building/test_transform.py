from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from crested_like._errors import TrackError
from crested_like.datasets._layout import TRANSFORMS
from crested_like.datasets.building._transform import STATISTICS, TargetTransform

WIDTH = 8


def table_of(**columns):
    length = max(len(values) for values in columns.values())
    return pd.DataFrame({"identifier": [f"track{i}" for i in range(length)], **columns})


def slow_targets(slow_target, coverage, table, version, width=WIDTH):
    bins = len(coverage) // width
    rows = [
        [
            slow_target(coverage[i * width : (i + 1) * width, t].tolist(), *settings, version)
            for t, settings in enumerate(zip(*(table[c] for c in COLUMNS), strict=True))
        ]
        for i in range(bins)
    ]
    return np.array(rows, np.float16)


COLUMNS = ("sum_stat", "scale", "clip_soft", "clip")


@pytest.fixture
def coverage(rng):
    """Bins of which some stay below the thresholds, some pass the soft and some the hard one."""
    level = np.repeat(10.0 ** rng.uniform(-3, 5, (40, len(STATISTICS))), WIDTH, axis=0)
    return level * rng.uniform(0, 2, level.shape).astype("float32")


@pytest.mark.parametrize("version", TRANSFORMS)
@pytest.mark.parametrize("scale", [1.0, 0.37, 2.5])
def test_every_statistic_as_one_number_at_a_time(coverage, version, scale, slow_target):
    names = list(STATISTICS)
    soft, ceiling = 4.0 + np.arange(len(names)), 32.0 + np.arange(len(names))
    table = table_of(sum_stat=names, scale=[scale] * len(names), clip_soft=soft, clip=ceiling)
    transform = TargetTransform.of(table, version)
    expected = slow_targets(slow_target, coverage, table, version)
    got = transform.apply(coverage, WIDTH)
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(transform.take([3, 1]).apply(coverage[:, [3, 1]], WIDTH), expected[:, [3, 1]])
    squashed = expected.astype(float) / (scale if version == "old" else 1)
    at_ceiling = np.isclose(squashed, ceiling, rtol=1e-3)
    for region in (squashed < soft, (squashed > soft) & ~at_ceiling, at_ceiling):  # the data reach all three
        assert region.sum() > 20


@pytest.mark.parametrize("version", TRANSFORMS)
@pytest.mark.parametrize("clip_soft", [np.inf, 5.0])
def test_the_inverse_is_within_float16(coverage, version, clip_soft, slow_pool):
    """Without a ceiling, the pooled coverage lies between the inverses of the neighbours in float16."""
    names = list(STATISTICS)
    coverage = np.minimum(coverage, 5000.0)
    coverage[:, names.index("peak")] /= 1e6  # from a mean of 1/4 on it is saturated
    scales = np.linspace(0.5, 2, len(names))
    transform = TargetTransform.of(table_of(sum_stat=names, scale=scales, clip_soft=[clip_soft] * len(names)), version)
    targets = transform.apply(coverage, WIDTH)
    pooled = np.array(
        [[slow_pool(column.tolist(), name) for name, column in zip(names, rows.T, strict=True)]
         for rows in coverage.reshape(-1, WIDTH, len(names))]
    )  # fmt: skip
    low, high = (transform.invert(np.nextafter(targets, np.float16(side))) for side in (-np.inf, np.inf))
    assert ((low <= pooled) & (pooled <= high)).all()
    kept = transform.invert(targets, unscale=False)
    np.testing.assert_allclose(kept, transform.invert(targets) * scales, rtol=1e-12)


def test_leading_axes(coverage):
    table = table_of(sum_stat=["sum_sqrt", "max"], scale=[1, 2])
    transform = TargetTransform.of(table, "new")
    several = coverage[:, :2].reshape(5, 2, 32, 2)
    got = transform.apply(several, WIDTH)
    assert got.shape == (5, 2, 4, 2)
    np.testing.assert_array_equal(got[3, 1], transform.apply(several[3, 1], WIDTH))


def test_columns_and_cells_may_be_missing():
    bare = TargetTransform.of(pd.DataFrame({"identifier": ["a"]}), "new")
    assert bare.apply(np.full((4, 1), 1e4), 4).tolist() == [[40_000.0]]
    assert bare.apply(np.full((4, 1), 1e6), 4).tolist() == [[65_504.0]]  # the largest of float16
    holes = TargetTransform.of(table_of(sum_stat=["mean", None], clip=[8, None], scale=[None, 2]), "new")
    assert holes.apply(np.full((4, 2), 10.0), 4).tolist() == [[8.0, 80.0]]


def test_a_negative_scale_turns_the_other_strand():
    table = table_of(sum_stat=["sum_sqrt"], scale=[-1])
    transform = TargetTransform.of(table, "new")
    assert transform.apply(np.full((4, 1), -2.0), 4).tolist() == [[2.0]]
    assert transform.invert(np.array([[2.0]])).tolist() == [[-8.0]]


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"sum_stat": ["sum", "sum_sqr", "x"]}, r"'track1' has the sum_stat 'sum_sqr' \(2 such tracks .*Did you mean"),
        ({"scale": [1, 0]}, "'track1': a scale of 0 or none"),
        ({"scale": [1, np.inf]}, "'track1': a scale of 0 or none"),
        ({"clip": [0.0, -1, -1, -1, 5]}, "'track0', 'track1', 'track2' and 1 more: a clip that is no positive number"),
        ({"clip_soft": ["many"]}, "'track0': a clip_soft that is no positive number"),
    ],
)
def test_tables_that_make_no_sense(columns, match):
    with pytest.raises(TrackError, match=match):
        TargetTransform.of(table_of(**columns), "new")


@pytest.mark.parametrize(
    ("version", "name", "least"), [("new", "sum_sqrt", -1), ("new", "sum_exp75", -1), ("old", "mean_sqrt", 0)]
)
def test_roots_of_negative_coverage(version, name, least):
    transform = TargetTransform.of(table_of(sum_stat=["sum", name]), version)
    with pytest.raises(TrackError, match=f"'track1': coverage that pools to -8; no root .* less than {least}"):
        transform.apply(np.full((2, 2), -8.0 if name == "mean_sqrt" else -4.0), 2)


def test_shapes_that_do_not_fit():
    transform = TargetTransform.of(table_of(sum_stat=["sum", "sum"]), "new")
    with pytest.raises(ValueError, match="10 bases are not whole bins of 4 bp"):
        transform.apply(np.zeros((10, 2)), 4)
    with pytest.raises(TrackError, match=r"one value for each of 2 tracks; got \(8, 3\)"):
        transform.apply(np.zeros((8, 3)), 4)
    with pytest.raises(ValueError, match="version must be one of 'new', 'old'; got 'older'"):
        TargetTransform.of(table_of(sum_stat=["sum"]), "older")


@pytest.mark.parametrize("name", ["borzoi_human", "borzoi_prime_mouse", "enformer_basenji2_human"])
def test_published_tables_are_understood(data_dir, name):
    from crested_like._tracks import read_tracks

    table = read_tracks(data_dir / "targets" / f"{name}.txt")
    transform = TargetTransform.of(table, "old")
    assert len(transform) == len(table)
    assert (transform.clip_soft < np.inf).any() == ("clip_soft" in table)
