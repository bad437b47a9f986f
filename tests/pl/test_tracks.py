from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from crested_like import pl
from crested_like._errors import BackendError
from crested_like.pl import _save

pytest.importorskip("matplotlib")


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [t.get_text() for t in figure.texts]


def heights(axes):
    return axes.patches[0].get_data()


def test_every_track_has_a_row_and_every_region_a_column(predictions):
    figure = pl.tracks(predictions)
    assert len(figure.axes) == 6
    shown, bottom = texts(figure), figure.axes[2]
    assert {"liver", "brain", "CAGE · a+", "DNASE · b", "enhancer", "chr1:1,001-1,512", "tiny", "9"} <= set(shown)
    assert bottom.get_xlabel() == "chr1 (bp)"
    assert [axes.xaxis.get_visible() for axes in figure.axes] == [False, False, True] * 2


def test_values_stand_at_their_genomic_places(predictions):
    axes = pl.tracks(predictions, regions=[1], tracks=[2]).axes[0]
    values, edges, _ = heights(axes)
    np.testing.assert_array_equal(values, predictions[1, :, 2])
    np.testing.assert_array_equal(edges, 50_000 + np.arange(17) * 32)
    assert axes.get_xlim() == (50_000, 50_512)
    assert axes.get_xlabel() == "chr2 · hg38 (bp)"


def test_a_track_has_one_scale_in_all_regions(predictions):
    figure = pl.tracks(predictions)
    assert figure.axes[2].get_ylim() == figure.axes[5].get_ylim() == pytest.approx((0, 9 * 1.04))
    shared = pl.tracks(predictions, share_y=True)
    assert [axes.get_ylim()[1] for axes in shared.axes] == pytest.approx([9 * 1.04] * 6)


def test_a_part_can_be_shown_alone(predictions):
    axes = pl.tracks(predictions[0], tracks=[0], span=(1_100, 1_200)).axes[0]
    values, edges, _ = heights(axes)
    assert (edges[0], edges[-1], len(values)) == (1_096, 1_224, 4)
    assert axes.get_ylim()[1] == pytest.approx(float(values.max()) * 1.04)
    with pytest.raises(ValueError, match="No bin lies in 5 to 9: those of chr1:1001-1512 cover 1,000 to 1,512"):
        pl.tracks(predictions[0], span=(5, 9))


def test_plain_numbers_are_placed_by_hand():
    axes = pl.tracks(np.arange(8.0), start=100, bin_size=10, chrom="chr3", labels=["signal"], colors="#112233").axes[0]
    assert axes.get_xlim() == (100, 180)
    assert axes.get_xlabel() == "chr3 (bp)"
    assert axes.texts[0].get_text() == "signal"
    assert axes.patches[0].get_facecolor() == pytest.approx((0x11 / 255, 0x22 / 255, 0x33 / 255, 1))


def test_the_figure_grows_with_the_tracks_and_stays_readable():
    small, large = (pl.tracks(np.ones((4, count))).get_figheight() for count in (1, 60))
    assert small < 1.5
    assert 10 < large < 20


def test_signal_that_is_all_zero_or_negative_is_drawn():
    limits = [axes.get_ylim() for axes in pl.tracks(np.stack([np.zeros(4), -np.ones(4)], axis=1)).axes]
    assert limits[0] == (0, 1.04)
    assert limits[1] == (-1.04, 0)


def test_long_labels_are_broken_and_cut_to_fit():
    text = "epithelial cell of alveolus of lung of a female embryo of twenty-one weeks, treated for three days"
    written = [t.get_text() for t in pl.tracks(np.ones((4, 1)), labels=[text]).axes[0].texts]
    assert text.startswith(written[0])
    assert written[1].endswith("…")
    assert text.startswith(f"{written[0]} {written[1][:-1]}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tracks": [3]}, "There are 3 tracks, numbered 0 to 2; got 3"),
        ({"tracks": []}, "1 to 100 tracks can be drawn in one figure; got 0"),
        ({"regions": [0] * 9}, "1 to 8 regions can be drawn in one figure; got 9"),
        ({"labels": ["a"]}, "1 labels were given for 3 tracks"),
    ],
)
def test_what_cannot_be_drawn_is_said(predictions, change, message):
    with pytest.raises(ValueError, match=message):
        pl.tracks(predictions, **change)


def test_arrays_without_bins_are_refused(predictions):
    with pytest.raises(ValueError, match="its dimensions are region, track"):
        pl.tracks(predictions.isel(bin=0, drop=True))
    with pytest.raises(ValueError, match=r"got shape \(2, 3, 4\)"):
        pl.tracks(np.ones((2, 3, 4)))


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_figures_are_saved_by_ending(predictions, tmp_path, ending):
    path = pl.save(pl.tracks(predictions[0]), tmp_path / "new" / f"tracks{ending}", dpi=60)
    assert path.stat().st_size > 1_000
    assert list(path.parent.iterdir()) == [path]
    if ending == ".svg":
        assert "liver" in path.read_text()


def test_unknown_figure_ending(predictions, tmp_path):
    with pytest.raises(ValueError, match=r"Cannot draw into 'tracks.foo': the name must end in one of .png"):
        pl.save(pl.tracks(predictions[0]), tmp_path / "tracks.foo")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(BackendError, match=r"pip install 'crested_like\[plot\]'"):
        _save.matplotlib_part("figure")


def test_neither_keras_nor_pyplot_is_imported():
    code = (
        "import sys, numpy; from crested_like import pl; pl.tracks(numpy.ones((4, 1)));"
        "sys.exit(bool({'keras', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
