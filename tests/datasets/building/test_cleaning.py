from __future__ import annotations

import numpy as np
import pytest

from crested_like._errors import DatasetError
from crested_like.datasets.building._cleaning import UpperQuantile, cleaned, finished

NAN = np.nan


def array(*values):
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("baseline", [2, 2, 9, 2, 4, 2, 1]),  # the median, with no data as 0
        ("zero", [0, 2, 9, 2, 4, 0, 1]),
        ("interpolate", [2, 2, 9, 2, 4, 2.5, 1]),
    ],
)
def test_bases_without_data(missing, expected):
    given = array(NAN, 2, 9, 2, 4, NAN, 1)
    got = cleaned(given, bins=8, missing=missing)
    assert got.dtype == np.float32
    assert got.tolist() == expected
    assert np.isnan(given[0])  # what was given is not changed


def test_a_file_that_leaves_out_what_is_not_covered():
    given = np.full(100, NAN, np.float32)
    given[40:45] = 7
    assert cleaned(given, bins=10).tolist() == np.nan_to_num(given).tolist()


def test_no_data_at_all():
    given = np.full(5, NAN, np.float32)
    for missing in ("baseline", "zero", "interpolate"):
        assert cleaned(given, bins=8, missing=missing).tolist() == [0] * 5


def test_no_data_may_be_refused():
    with pytest.raises(DatasetError, match=r"no data at 2 of 4 bases, the first at \+1\. .* missing="):
        cleaned(array(0, NAN, NAN, 1), bins=8, missing="error")
    assert cleaned(array(0, 1), bins=8, missing="error").tolist() == [0, 1]


def test_blacklisted_bases_are_clipped_to_the_median():
    given = array(3, -9, 2, 50, 60, 1, 4, 3)
    listed = np.array([0, 1, 1, 1, 0, 0, 0, 0], bool)
    assert cleaned(given, bins=8, blacklisted=listed).tolist() == [3, -3, 2, 3, 60, 1, 4, 3]


def test_few_bins_have_no_baseline():
    given = array(3, 9, NAN, 5)
    listed = np.array([0, 1, 0, 0], bool)
    assert cleaned(given, bins=7, blacklisted=listed).tolist() == [3, 0, 0, 5]


@pytest.mark.parametrize("quantile", [0.0, 0.3, 0.9, 0.99, 0.9999999, 1.0])
@pytest.mark.parametrize("total", [1, 2, 17, 1000])
def test_quantile_of_values_seen_once(rng, quantile, total):
    values = rng.integers(0, 50, total).astype("float16")  # with ties
    top = UpperQuantile(quantile, total)
    for part in np.array_split(values, 5):
        top.add(part)
    assert top.value() == pytest.approx(np.quantile(values.astype("float64"), quantile), rel=1e-12)
    assert len(top._kept) <= total * (1 - quantile) + 2


def test_what_is_rare_is_taken_down(rng):
    targets = rng.uniform(0, 10, (20, 3)).astype("float16")
    assert finished(targets).tolist() == targets.tolist()
    ceiling = np.array([5.0, 20.0, 7.25])
    assert finished(targets, ceiling).tolist() == np.minimum(targets, ceiling).tolist()
    unmappable = rng.random(20) < 0.5
    got = finished(targets, unmappable=unmappable, unmappable_quantile=0.5)
    expected = targets.copy()
    for track in range(3):
        limit = np.float16(np.quantile(targets[:, track].astype("float32"), 0.5))
        expected[unmappable, track] = np.minimum(expected[unmappable, track], limit)
    np.testing.assert_array_equal(got, expected)
    rounded = finished(targets, decimals=1)
    np.testing.assert_array_equal(rounded, np.array([[round(float(x), 1) for x in row] for row in targets], "float16"))
