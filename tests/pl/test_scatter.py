from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from crested_like import pl
from crested_like.pl._scatter import pearson


def notes(axes):
    return axes.texts[0].get_text()


@pytest.mark.parametrize("log", [False, True])
def test_a_panel_a_track_with_its_correlation(rng, log):
    truth = rng.gamma(1.0, size=(2, 50, 3))
    prediction = truth * rng.gamma(5, 0.2, size=truth.shape)
    prediction[0, 0, 1] = np.nan
    figure = pl.scatter(truth, prediction, labels=["a", "b", "c"], log=log)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b", "c"]
    for i, axes in enumerate(figure.axes):
        x, y = truth[..., i].ravel(), prediction[..., i].ravel()
        known = np.isfinite(y)
        x, y = (np.log2(1 + x[known]), np.log2(1 + y[known])) if log else (x[known], y[known])
        assert notes(axes) == f"r = {np.corrcoef(x, y)[0, 1]:.3f}\nn = {known.sum()}"
        np.testing.assert_allclose(np.sort(axes.lines[1].get_xdata()), np.sort(x))
    assert figure.axes[0].get_ylabel() == ("log2(1 + predicted)" if log else "predicted")


def test_many_points_are_a_density(rng):
    truth = rng.normal(size=30_000)
    axes = pl.scatter(truth, truth + rng.normal(size=30_000)).axes[0]
    counts = axes.collections[0].get_array()
    assert counts.sum() == 30_000
    assert len(axes.lines) == 1, "only the line where both are equal"


def test_labelled_arrays_name_their_tracks(predictions):
    figure = pl.scatter(predictions.transpose("track", "region", "bin"), predictions, tracks=[2])
    assert figure.axes[0].get_title(loc="left") == "DNASE: brain"
    assert notes(figure.axes[0]).startswith("r = 1.000")


def test_constant_values_have_no_correlation():
    assert np.isnan(pearson(np.ones(3), np.arange(3.0)))
    assert notes(pl.scatter(np.ones(5), np.arange(5.0)).axes[0]).startswith("r not defined")


def test_errors():
    with pytest.raises(ValueError, match=r"must have one shape; got \(3,\) and \(4,\)"):
        pl.scatter(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="1 to 24 of the 30 tracks"):
        pl.scatter(np.ones((3, 30)), np.ones((3, 30)))
    with pytest.raises(ValueError, match="no two values of track 0"):
        pl.scatter(np.full(3, np.nan), np.ones(3))
    with pytest.raises(ValueError, match="not defined for values of -1 and less"):
        pl.scatter(np.array([-2.0, 1]), np.ones(2), log=True)
    with pytest.raises(ValueError, match="2 labels were given for 1 tracks"):
        pl.scatter(np.arange(3.0), np.arange(3.0), labels=["a", "b"])
