from __future__ import annotations

import pytest

from crested_like.pl import _style as style


@pytest.mark.parametrize(
    ("identifier", "description", "title", "detail"),
    [
        ("CNhs1+", "CAGE:adult liver", "adult liver", "CAGE · CNhs1+"),
        ("E1", "CHIP:CTCF:K562", "K562", "CHIP CTCF · E1"),
        ("E2", "CAGE:carcinoma cell line:Ca9-22", "carcinoma cell line: Ca9-22", "CAGE · E2"),
        ("t-", "RNA3:Skin, macrophage", "Skin, macrophage", "RNA3 · t-"),
        ("Astro", "Astro", "Astro", ""),
        ("x", "", "x", ""),
        (7, "unknown:thing", "unknown: thing", "7"),
    ],
)
def test_label_says_what_is_known(identifier, description, title, detail):
    label = style.label_of(identifier, description)
    assert (label.title, label.detail) == (title, detail)


def test_minus_strand_is_lighter_than_plus_and_keeps_its_text_readable():
    plus, minus = (style.label_of(f"a{strand}", "CAGE:liver") for strand in "+-")
    assert plus.color == style.ASSAYS["CAGE"] == minus.text_color
    assert minus.color == style.lighter(plus.color) != plus.color


def test_a_color_that_was_asked_for_is_taken_as_it_is():
    assert style.label_of("a-", "CAGE:liver", "#000000").color == "#000000"


def test_colors_are_given_once_each_or_by_identifier():
    assert style.colors_for("red", ["a", "b"]) == ["red", "red"]
    assert style.colors_for(["red", "blue"], ["a", "b"]) == ["red", "blue"]
    assert style.colors_for({"b": "blue"}, ["a", "b"]) == [None, "blue"]
    with pytest.raises(ValueError, match="1 colors were given for 2 tracks"):
        style.colors_for(["red"], ["a", "b"])


@pytest.mark.parametrize(
    ("span", "unit"), [(2_000, (1, "bp")), (65_536, (1_000, "kb")), (50_000_000, (1_000_000, "Mb"))]
)
def test_unit_fits_the_span(span, unit):
    assert style.unit_of(span) == unit


def test_ticks_have_the_decimals_they_need():
    assert style.tick_text(11_500_000, 1_000_000, 250_000) == "11.50"
    assert style.tick_text(11_500_000, 1_000, 10_000) == "11,500"
    assert style.tick_text(11_500_123, 1, 500) == "11,500,123"


@pytest.mark.parametrize(("name", "text"), [("chr1:1000-20000", "chr1:1,000-20,000"), ("peak:1", "peak:1"), ("a", "a")])
def test_region_names_get_separators(name, text):
    assert style.region_text(name) == text
