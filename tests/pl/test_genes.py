from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from crested_like import pl
from crested_like.genome import Gene, Transcript
from crested_like.pl import _genes as gene_models
from crested_like.pl._page import text_width

LOW, HIGH, INCHES = 10_000, 110_000, 5.0


def extents(rows):
    """What each model takes in bp, name included, by row; from matplotlib's own widths."""
    per_point = (HIGH - LOW) / (INCHES * 72)
    for row in rows:
        places = []
        for model, middle in zip(row.models, row.middles, strict=True):
            half = text_width(model.name, 5.8) * per_point / 2
            places.append((min(max(model.start, LOW), middle - half), max(min(model.end, HIGH), middle + half)))
        yield places


def test_neither_genes_nor_names_meet(rng):
    models = [
        gene_models.Model(f"GENE{i}", "chr1", "+", ((int(start), int(start) + int(rng.integers(50, 9_000))),))
        for i, start in enumerate(rng.integers(0, 120_000, 25))
    ]
    models = [m for m in models if m.start < HIGH and m.end > LOW]
    rows, left_out = gene_models.packed(models, LOW, HIGH, INCHES)
    assert sum(len(row.models) for row in rows) + left_out == len(models)
    assert 1 < len(rows) <= gene_models.MOST_ROWS
    for places in extents(rows):
        for (_, end), (start, _) in itertools.pairwise(places):
            assert end < start
        assert all(start >= LOW and end <= HIGH for start, end in places), "names stay on the page"


def test_genes_and_transcripts_are_drawn_and_what_lies_elsewhere_is_not():
    genes = [
        Transcript("t", "FIRST", "chr1", "+", ((1_000, 1_100), (1_300, 1_400)), ((1_050, 1_100),)),
        Gene("SECOND", "ENSG1", "chr1", "-", ((1_200, 1_500),)),
        Gene("THIRD", "ENSG2", "chr2", "-", ((1_200, 1_500),)),
        Gene("FOURTH", "ENSG3", "chr1", "-", ((9_200, 9_500),)),
    ]
    found = gene_models.models_between(genes, "chr1", 1_000, 2_000)
    assert [gene.name for gene in found] == ["FIRST", "SECOND"]
    figure = pl.tracks(np.ones((100, 1)), start=1_000, bin_size=10, chrom="chr1", genes=genes)
    axes = figure.axes[-1]
    assert [text.get_text() for text in axes.texts if text.get_style() == "italic"] == ["FIRST", "SECOND"]
    exons = [path.get_extents() for part in axes.collections for path in part.get_paths()]
    assert {(box.x0, box.x1) for box in exons} == {(1_000, 1_100), (1_300, 1_400), (1_050, 1_100), (1_200, 1_500)}
    assert axes.get_xlabel() == "chr1 (bp)"


def test_what_is_no_gene_is_refused():
    with pytest.raises(TypeError, match=r"genome\.Gene and genome\.Transcript objects; got 'x'"):
        pl.tracks(np.ones((10, 1)), genes=["x"])


def test_what_does_not_fit_is_counted():
    genes = [Gene(f"G{i}", f"E{i}", "chr1", "+", ((0, 100),)) for i in range(7)]
    figure = pl.tracks(np.ones((10, 1)), bin_size=10, chrom="chr1", genes=genes)
    assert "3 more are not drawn" in [text.get_text() for text in figure.axes[-1].texts]


def test_an_empty_stretch_says_so():
    figure = pl.tracks(np.ones((10, 1)), bin_size=10, chrom="chr1", genes=[])
    assert "none here" in [text.get_text() for text in figure.axes[-1].texts]


def test_highlights_lie_behind_all_rows_at_their_places():
    marked = [("chr1", 120, 150, "peak"), ("chr2", 0, 10_000), ("chr1", 5_000, 5_001)]
    figure = pl.tracks(np.ones((40, 3)), start=100, bin_size=10, chrom="chr1", highlight=marked)
    behind = figure.axes[-1]
    assert [(band.get_x(), band.get_width()) for band in behind.patches if band.get_width() < 400] == [(120, 30)]
    assert [text.get_text() for text in behind.texts] == ["peak"]
    assert behind.get_zorder() < figure.axes[0].get_zorder()
    top, bottom = figure.axes[0].get_position(), figure.axes[2].get_position()
    assert (behind.get_position().y1, behind.get_position().y0) == pytest.approx((top.y1, bottom.y0))
