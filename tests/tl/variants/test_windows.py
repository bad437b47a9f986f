import numpy as np
import pytest

from crested_like.genome import PlacedVariant, Variant
from crested_like.tl import Geometry
from crested_like.tl.variants._windows import Job, stitched, window_starts

LENGTH = 20


def job(letters, position, ref, alt, start=None, compensate=True):
    found = letters[position : position + len(ref)]
    placed = PlacedVariant(Variant("chr1", position, ref, alt), "chr1", found, "ok")
    return Job(placed, position - LENGTH // 2 if start is None else start, compensate)


def alternatives(genome, *args, **options):
    return [stretch.letters(genome, LENGTH) for stretch in job(*args, **options).alternatives]


def test_substitutions_need_one_sequence(genome, letters):
    at = 1000
    made = job(letters, at, letters[at], "N")
    assert made.reference.letters(genome, LENGTH) == letters[at - 10 : at + 10]
    assert alternatives(genome, letters, at, letters[at], "N") == [
        f"{letters[at - 10 : at]}N{letters[at + 1 : at + 10]}"
    ]
    assert alternatives(genome, letters, at, letters[at : at + 2], "NN") == [
        f"{letters[at - 10 : at]}NN{letters[at + 2 : at + 10]}"
    ]


def test_a_ref_that_the_genome_does_not_have_is_written(genome, letters):
    at = 1000
    wrong = "A" if letters[at] != "A" else "C"
    placed = PlacedVariant(Variant("chr1", at, wrong, "G"), "chr1", letters[at], "ref_mismatch")
    assert (
        Job(placed, at - 10).reference.letters(genome, LENGTH)
        == letters[at - 10 : at] + wrong + letters[at + 1 : at + 10]
    )


def test_either_flank_of_an_insertion_is_in_its_place(genome, letters):
    at = 1000
    left, right = alternatives(genome, letters, at, letters[at], f"{letters[at]}NNN")
    assert left == f"{letters[at - 10 : at + 1]}NNN{letters[at + 1 : at + 7]}"
    assert right == f"{letters[at - 7 : at + 1]}NNN{letters[at + 1 : at + 10]}"


def test_either_flank_of_a_deletion_is_in_its_place(genome, letters):
    at = 1000
    left, right = alternatives(genome, letters, at, letters[at : at + 4], letters[at])
    assert left == letters[at - 10 : at + 1] + letters[at + 4 : at + 13]
    assert right == letters[at - 13 : at + 1] + letters[at + 4 : at + 10]
    assert alternatives(genome, letters, at, letters[at : at + 4], letters[at], compensate=False) == [left]


def test_insertions_longer_than_a_flank(genome, letters):
    at = 1000
    left, right = alternatives(genome, letters, at, letters[at], "N" * 18)
    assert left == f"{letters[at - 10 : at]}{'N' * 10}"
    assert right == f"{'N' * 11}{letters[at + 1 : at + 10]}"


def test_windows_beyond_the_ends_of_a_chromosome(genome, letters):
    left, right = alternatives(genome, letters, 2, letters[2], f"{letters[2]}G")
    assert left == f"{'N' * 8}{letters[:3]}G{letters[3:11]}"
    assert right == f"{'N' * 7}{letters[:3]}G{letters[3:12]}"


@pytest.mark.parametrize(
    ("changed", "want"),
    [
        ((8, 8), "LLRRR"),  # between two bins
        ((9, 9), "LLMRR"),  # inside one
        ((9, 10), "LLMRR"),
        ((7, 9), "LMMRR"),
        ((0, 0), "RRRRR"),
        ((2, 18), "MMMMM"),
        ((20, 20), "LLLLL"),
    ],
)
def test_bins_are_taken_from_where_they_lie(changed, want):
    geometry = Geometry(LENGTH, 5, 4, 0)
    left, right = np.zeros((5, 2), "float32"), np.full((5, 2), 2, "float32")
    found = stitched(left, right, geometry, changed)
    assert "".join({0: "L", 1: "M", 2: "R"}[value] for value in found[:, 0].tolist()) == want


def test_one_value_is_the_mean():
    left, right = np.array([[1.0, 2]], "float32")[0], np.array([3.0, 6], "float32")
    assert stitched(left, right, Geometry(LENGTH, 1, None, 0), (3, 3)).tolist() == [2.0, 4.0]


def placed(*places):
    return [
        PlacedVariant(Variant(chrom, position, "A", "C"), chrom, "A", status)
        for chrom, position, status in ((*place, "ok")[:3] for place in places)
    ]


def test_windows_are_centred():
    assert window_starts(placed(("chr1", 100), ("chr1", 103)), 10, 0) == [95, 98]


def test_neighbours_share_a_window_whatever_their_order():
    items = placed(("chr1", 109), ("chr2", 101), ("chr1", 100), ("chr1", 111), ("chr1", 105, "skipped: x"))
    found = window_starts(items, 10, 9)
    assert found == [104 - 5, 101 - 5, 104 - 5, 111 - 5, 105 - 5]
    assert window_starts(items[::-1], 10, 9) == found[::-1]
