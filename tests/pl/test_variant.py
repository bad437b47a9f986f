from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from crested_like import pl
from crested_like.genome.variants import parse_variant
from crested_like.pl._variant import Stairs, difference, on_reference

START, BIN, BINS = 1_000, 10, 40


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [t.get_text() for t in figure.texts]


def slow_place(base, variant):
    """Where a base of the sequence with the alternative allele lies on the reference."""
    first, ref, alt = variant.trimmed
    if base < first + min(len(ref), len(alt)):
        return base
    if base < first + len(alt):
        return None  # inserted
    return base - len(alt) + len(ref)


@pytest.mark.parametrize(
    "text", ["chr1:1201:A:G", "chr1:1201:A:ACCCCCCC", "chr1:1201:ATTTTTTTTTTTTTTTT:A", "chr1:1201:AT:G"]
)
def test_bins_of_the_alternative_are_drawn_where_they_belong(text, rng):
    """Base by base: the difference of per-base values, with inserted bases left out and deleted ones not compared."""
    variant = parse_variant(text)
    alternative = rng.random(BINS).astype(np.float32)
    reference = np.zeros(BINS, np.float32)
    edges = START + np.arange(BINS + 1.0) * BIN
    moved = on_reference(edges, variant)
    got_edges, got = difference(Stairs(edges, reference[:, None]), Stairs(moved, alternative[:, None]), 0)
    values = {
        slow_place(START + i, variant): alternative[i // BIN]
        for i in range(BINS * BIN)
        if slow_place(START + i, variant) is not None
    }
    compared = 0
    for place, want in values.items():
        if got_edges[0] <= place < got_edges[-1]:
            index = np.searchsorted(got_edges, place, "right") - 1
            assert got[index] == pytest.approx(want), place
            compared += 1
    assert compared > BINS * BIN - 20


def test_alleles_their_difference_and_the_place_are_drawn(predictions):
    reference = predictions[:1]
    alternative = reference.copy(deep=True)
    alternative[0, 10, 0] += 3
    figure = pl.variant(reference, alternative, "chr1:1325:A:G", tracks=[0, 2])
    shown = texts(figure)
    assert {"chr1:1,325  A > G", "■ REF A", "■ ALT G", "liver", "brain", "tiny"} <= set(shown)
    filled, line = figure.axes[0].patches
    np.testing.assert_array_equal(filled.get_data().values, reference[0, :, 0])
    np.testing.assert_array_equal(line.get_data().values, alternative[0, :, 0])
    up, down = figure.axes[1].patches
    np.testing.assert_allclose(up.get_data().values, np.eye(16)[10] * 3, atol=1e-6)
    assert not down.get_data().values.any()
    behind = figure.axes[-1]
    assert behind.patches[0].get_x() == 1_324
    assert shown.count("ALT \N{MINUS SIGN} REF") == 2


def test_what_cannot_be_compared_is_said(predictions):
    one, other = predictions[:1], predictions[1:]
    with pytest.raises(ValueError, match="lies outside of the predictions, which cover chr1 1,001 to 1,512"):
        pl.variant(one, one, "chr1:5000:A:G")
    with pytest.raises(ValueError, match="lies outside"):
        pl.variant(one, one, "chr3:1100:A:G")
    with pytest.raises(ValueError, match=r"must be of one window and of the same tracks; got \(16, 3\) from 1,000"):
        pl.variant(one, other, "chr1:1100:A:G")
    with pytest.raises(ValueError, match="drawn in one window; got 2 regions"):
        pl.variant(predictions, predictions, "chr1:1100:A:G")


def test_names_of_chromosomes_may_differ_by_chr(predictions):
    assert pl.variant(predictions[:1], predictions[:1], "1:1100:A:G", span=(1_000, 1_200))
