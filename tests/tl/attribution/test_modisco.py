import numpy as np
import pytest
import xarray as xr

from crested_like.tl import to_modisco


def scores(values, **attrs):
    letters = np.array([list("ACGN"), list("TTGA")])
    coords = {"base": list("ACGT"), "letter": (("sequence", "position"), letters)}
    return xr.DataArray(values, dims=("sequence", "position", "base"), coords=coords, attrs=attrs)


@pytest.fixture
def values(rng):
    return rng.normal(size=(2, 4, 4)).astype("float32")


def read(paths):
    return [np.load(paths[name])["arr_0"] for name in ("one_hot", "hypothetical", "actual")]


def test_bases_come_before_positions(values, tmp_path):
    one_hot, hypothetical, actual = read(to_modisco(scores(values, hypothetical=1), tmp_path / "new"))
    assert one_hot.shape == (2, 4, 4)
    assert one_hot.dtype == hypothetical.dtype == np.float32
    np.testing.assert_array_equal(one_hot[0].T, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(hypothetical, values.transpose(0, 2, 1))
    np.testing.assert_array_equal(actual, hypothetical * one_hot)


def test_effects_of_substitutions_are_centred(values, tmp_path):
    _, hypothetical, _ = read(to_modisco(scores(values, method="ism"), tmp_path))
    np.testing.assert_allclose(hypothetical.transpose(0, 2, 1), values - values.mean(-1, keepdims=True), atol=1e-6)


def test_bases_that_are_there_are_not_enough(values, tmp_path):
    with pytest.raises(ValueError, match=r"\(saliency\) are of the bases that are there: use explain\(..., hypotheti"):
        to_modisco(scores(values, method="saliency", hypothetical=0), tmp_path)
