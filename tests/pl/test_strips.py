from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from crested_like import pl


def labels(figure):
    return [axes.texts[i].get_text() for axes in figure.axes[1:] for i in range(len(axes.texts))]


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "split": "test",
            "description": ["CAGE:liver", "CAGE:brain", "DNASE:liver", "unnamed"],
            "pearson_r": [0.4, 0.6, 0.9, np.nan],
            "spearman_r": [0.1, 0.2, 0.3, 0.4],
        }
    )


def test_assays_in_the_order_of_their_medians(table):
    figure = pl.correlations(table)
    told = labels(figure)
    assert [name for name in told if name in ("CAGE", "DNASE", "other")] == ["DNASE", "CAGE", "other"]
    assert {"2 tracks", "1 track", "0.9", "0.5"} <= set(told)
    assert figure.axes[0].get_xlabel() == "Pearson r"
    np.testing.assert_array_equal(np.sort(figure.axes[2].lines[0].get_xdata()), [0.4, 0.6])


def test_another_figure_another_grouping_and_several_models(table):
    twice = pd.concat([table.assign(model="a"), table.assign(model="b")])
    figure = pl.correlations(twice, figure="spearman_r", by="split")
    told = labels(figure)
    assert {"a · 4 tracks", "b · 4 tracks", "0.25"} <= set(told)
    assert told.count("test") == 1
    assert figure.axes[0].get_xlabel() == "Spearman r"


def test_effects_have_their_mean_and_interval(rng):
    values = {"weak": rng.normal(0.1, 0.2, 50), "strong": rng.normal(1, 0.2, 50), "one": [0.5]}
    figure = pl.effects(values, unit="change")
    told = labels(figure)
    assert [name for name in told if name in values] == ["strong", "one", "weak"]
    interval = figure.axes[1].lines[1].get_xdata()
    own = values["strong"]
    half = 1.96 * own.std(ddof=1) / np.sqrt(50)
    np.testing.assert_allclose(interval, [own.mean() - half, own.mean() + half])
    unordered = labels(pl.effects(pd.DataFrame({"b": [0.0, 1], "a": [5.0, 6]}), order=False))
    assert [name for name in unordered if name in ("a", "b")] == ["b", "a"]


def test_effects_of_a_row_a_background_are_told_apart_by_what_differs():
    rows = {"motif": ["GATA"] * 3 + ["SP1"], "strand": ["+", "+", "-", "+"], "position": 5, "effect": [1.0, 2, 3, 9]}
    told = labels(pl.effects(pd.DataFrame(rows), order=False))
    assert [name for name in told if "·" in name] == ["GATA · +", "GATA · -", "SP1 · +"]
    assert told.count("2 sequences") == 1


def test_errors(table):
    with pytest.raises(ValueError, match="no column 'r2'; it has split, description"):
        pl.correlations(table, figure="r2")
    with pytest.raises(ValueError, match="1 to 60 rows can be drawn in one figure; got 0"):
        pl.effects({})
    with pytest.raises(ValueError, match="all values are missing"):
        pl.effects({"a": [np.nan]})
