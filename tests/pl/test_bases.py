from __future__ import annotations

import time

import numpy as np
import pytest
import xarray as xr

pytest.importorskip("matplotlib")


from crested_like import pl
from crested_like.genome import Gene
from crested_like.pl._ism import mean_loss, reference_of
from crested_like.pl._letters import BASES, COLORS, draw_letters, stacks

START = 5_000


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [t.get_text() for t in figure.texts]


@pytest.fixture
def sequence(rng):
    return rng.integers(0, 4, 300)


@pytest.fixture
def contributions(rng, sequence):
    """As explain gives it: two sequences of 300 bases, the second with a strong stretch at 100 to 110."""
    values = np.zeros((2, 300, 4), np.float32)
    values[:, np.arange(300), sequence] = rng.normal(scale=0.1, size=(2, 300))
    values[1, np.arange(100, 110), sequence[100:110]] = 2
    coords = {
        "sequence": ["one", "two"],
        "chrom": ("sequence", ["chr1", "chr2"]),
        "start": ("sequence", [START, START]),
        "base": list("ACGT"),
    }
    dims = ("sequence", "position", "base")
    return xr.DataArray(values, dims=dims, coords=coords, attrs={"method": "input_x_gradient"})


@pytest.fixture
def effects(rng, sequence):
    values = rng.normal(size=(300, 4))
    values[np.arange(300), sequence] = 0
    values[:5] = np.nan
    return values


def slow_stacks(row):
    """Bottom of each letter of one base."""
    up = down = 0.0
    bottoms = np.zeros(4)
    for base in sorted(range(4), key=lambda b: abs(row[b])):
        if row[base] > 0:
            bottoms[base], up = up, up + row[base]
        elif row[base] < 0:
            bottoms[base], down = down, down + row[base]
    return bottoms


def test_letters_stand_on_each_other(rng):
    values = rng.normal(size=(40, 4))
    values[3] = 0
    bottoms, heights = stacks(values)
    np.testing.assert_allclose(bottoms, [slow_stacks(row) for row in values])
    np.testing.assert_array_equal(heights, values)


def test_each_letter_fills_its_base_to_its_height():
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    values = np.array([[2.0, 0, 0, 0], [0, 0, 0, -1.5], [0.5, 0, 0, 0]])
    assert draw_letters(axes, values, 100) == (-1.5, 2.0)
    by_color = {patch.get_facecolor()[:3]: patch.get_path().vertices for patch in axes.patches}
    assert len(by_color) == 2, "a path a base"
    from matplotlib.colors import to_rgb

    a, t = by_color[to_rgb(COLORS["A"])], by_color[to_rgb(COLORS["T"])]
    assert (t[:, 1].min(), t[:, 1].max()) == (-1.5, 0)
    assert 101 <= t[:, 0].min() < t[:, 0].max() <= 102
    assert a[:, 1].max() == 2
    assert a[:, 0].min() == pytest.approx(100.03)
    assert a[:, 0].max() == pytest.approx(102.97)
    # a T that hangs down stands on its head: its bar, the wide part, is at the far end
    bar = t[t[:, 1] < -1.4]
    assert np.ptp(bar[:, 0]) == pytest.approx(0.94)


def test_logo_shows_a_sequence_at_its_place(contributions):
    figure = pl.logo(contributions, sequence="two", span=(5_090, 5_130), motifs=[("chr2", 5_100, 5_110, "GATA", "-")])
    shown = texts(figure)
    assert {"input x gradient", "GATA", "motifs", "whole sequence", "two"} <= set(shown)
    letters = figure.axes[2]
    assert letters.get_xlim() == (5_090, 5_130)
    assert letters.get_ylim()[1] == pytest.approx(2 * 1.04)
    assert figure.axes[-1].get_xlabel() == "chr2 (bp)"
    assert figure.axes[0].get_xlim() == (START, START + 300), "the whole above"


def test_a_sequence_called_by_its_region_is_called_by_what_is_shown(contributions):
    regions = contributions.assign_coords(sequence=["chr1:5100-5100", "chr2:1-2000"])
    assert "chr1:5,001-5,300" in texts(pl.logo(regions))


def test_a_long_sequence_is_shown_where_it_is_strong(rng):
    values = np.zeros((5_000, 4))
    values[:, 0] = rng.normal(scale=0.01, size=5_000)
    values[3_000:3_050, 0] = 1
    low, high = pl.logo(values, start=100).axes[2].get_xlim()
    assert low <= 3_100
    assert high >= 3_150
    assert high - low == 200


def test_rows_by_name_share_places_and_perhaps_a_scale(contributions, sequence):
    rows = {"one": contributions[0], "ten times": contributions[0] * 10}
    apart, shared = pl.logo(rows, share_y=False), pl.logo(rows, share_y=True)
    (a, b), (c, d) = ([axes.get_ylim()[1] for axes in figure.axes[:2]] for figure in (apart, shared))
    assert b == pytest.approx(10 * a)
    assert c == d == b
    assert {"one", "ten times"} <= set(texts(apart))
    with pytest.raises(ValueError, match="must cover the same bases; got a:  0, 300 bp; b:  0, 10 bp"):
        pl.logo({"a": contributions[0].to_numpy(), "b": np.ones((10, 4))})


def test_bases_are_told_by_their_names_not_their_order(contributions):
    turned = contributions.isel(base=[3, 2, 1, 0])
    for array in (contributions, turned):
        figure = pl.logo(array, sequence=0)
        (first,) = {tuple(np.round(p.get_facecolor(), 3)) for p in figure.axes[0].patches[:1]}
        assert first[:3] == pytest.approx((0, 0x9E / 255, 0x73 / 255), abs=1e-3)
    a, b = (pl.logo(array).axes[0].patches[0].get_path().vertices for array in (contributions, turned))
    np.testing.assert_array_equal(a, b)


def test_five_hundred_letters_are_quick(rng, tmp_path):
    values = rng.normal(size=(500, 4))
    pl.save(pl.logo(values[:10]), tmp_path / "first.png")  # loads fonts
    begin = time.process_time()
    pl.save(pl.logo(values), tmp_path / "logo.png", dpi=100)
    assert time.process_time() - begin < 5  # 0.5 s on an idle machine


def test_what_is_no_logo_is_said(contributions):
    with pytest.raises(ValueError, match=r"or from \(L, 4\); got shape \(10, 3\)"):
        pl.logo(np.ones((10, 3)))
    with pytest.raises(ValueError, match="There is no sequence 'x'; there are one, two"):
        pl.logo(contributions, sequence="x")
    with pytest.raises(ValueError, match="There are 2 sequences, numbered from 0; got 2"):
        pl.logo(contributions, sequence=2)
    with pytest.raises(ValueError, match="At most 600 bases can be read as letters; span has 1,000"):
        pl.logo(np.ones((2_000, 4)), span=(0, 1_000))
    with pytest.raises(ValueError, match="got the dimensions sequence, position"):
        pl.ism(contributions[..., 0])


def test_reference_and_mean_loss(effects, sequence):
    own = reference_of(effects)
    np.testing.assert_array_equal(own[5:].argmax(axis=1), sequence[5:])
    assert own[5:].sum() == 295
    assert not own[:5].any()
    want = np.zeros((300, 4))
    for i in range(5, 300):
        want[i, sequence[i]] = -np.mean([effects[i, b] for b in range(4) if b != sequence[i]])
    np.testing.assert_allclose(mean_loss(effects), want)


def test_heat_map_has_a_row_a_base_and_symmetric_colours(effects):
    figure = pl.ism(effects, start=START, chrom="chr1", genes=[Gene("G", "E", "chr1", "+", ((5_010, 5_100),))])
    (image,) = figure.axes[1].images
    np.testing.assert_array_equal(image.get_array().filled(np.nan), effects.T)
    assert list(image.get_extent()) == [START, START + 300, 4, 0]
    low, high = image.get_clim()
    assert -low == high == pytest.approx(np.nanmax(np.abs(effects)))
    assert {*BASES, "G", "importance"} <= set(texts(figure))
    assert pl.ism(effects, limit=0.5).axes[1].images[0].get_clim() == (-0.5, 0.5)


def test_dots_mark_the_reference_where_there_is_room(effects, sequence):
    axes = pl.ism(effects, span=(50, 100)).axes[1]
    x, y = axes.lines[0].get_data()
    np.testing.assert_array_equal(x, np.arange(50, 100) + 0.5)
    np.testing.assert_array_equal(y, sequence[50:100] + 0.5)
    assert not pl.ism(effects).axes[1].lines
