from collections import Counter
from itertools import pairwise, permutations

import numpy as np
import pytest

from crested_like._errors import SequenceError
from crested_like.genome import one_hot, shuffle_dna


def pairs(sequence):
    return Counter(a + b for a, b in pairwise(sequence))


@pytest.mark.parametrize("seed", range(20))
def test_pairs_of_neighbours_and_both_ends_stay(seed):
    rng = np.random.default_rng(seed)
    sequence = "".join(rng.choice(list("ACGTN"), size=rng.integers(1, 400), p=[0.4, 0.3, 0.2, 0.09, 0.01]))
    shuffled = shuffle_dna(sequence, seed=seed)
    assert pairs(shuffled) == pairs(sequence)
    assert (shuffled[0], shuffled[-1]) == (sequence[0], sequence[-1])
    if len(sequence) > 50:
        assert shuffled != sequence


def test_every_order_with_the_same_pairs_is_equally_likely():
    sequence = "ACGAACTA"
    possible = {"".join(order) for order in permutations(sequence[1:-1])}
    possible = {f"A{order}A" for order in possible if pairs(f"A{order}A") == pairs(sequence)}
    rng = np.random.default_rng(0)
    draws = 200 * len(possible)
    seen = Counter(shuffle_dna(sequence, seed=rng) for _ in range(draws))
    assert set(seen) == possible
    squares = sum((seen[order] - 200) ** 2 / 200 for order in possible)
    freedom = len(possible) - 1
    assert squares < freedom + 4 * np.sqrt(2 * freedom)  # chi-squared: mean and spread of its distribution


def test_single_bases():
    sequence = "AAAACCCGGT" * 10
    shuffled = shuffle_dna(sequence, 2, dinucleotides=False, seed=3)
    assert [Counter(text) for text in shuffled] == [Counter(sequence)] * 2
    assert pairs(shuffled[0]) != pairs(sequence)


def test_arrays_are_shuffled_as_their_letters_are():
    sequence = "ACGTTGCANNACGATT" * 3
    text = shuffle_dna(sequence, 4, seed=7)
    array = shuffle_dna(one_hot(sequence).astype("float16"), 4, seed=7)
    assert array.dtype == np.float16
    np.testing.assert_array_equal(array, np.stack([one_hot(t) for t in text]))
    np.testing.assert_array_equal(shuffle_dna(one_hot(sequence), seed=7), one_hot(text[0]))


def test_seeds():
    sequence = "ACGTTGCAACGATT" * 5
    assert shuffle_dna(sequence, seed=1) == shuffle_dna(sequence, seed=1) != shuffle_dna(sequence, seed=2)
    assert len(set(shuffle_dna(sequence, 5, seed=1))) == 5


@pytest.mark.parametrize("sequence", ["", "A", "AC", "ACG", "AAAAAA", "acgt"])
def test_what_has_one_order_only(sequence):
    assert shuffle_dna(sequence) == sequence.upper()


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ("ACXT", "'X' at position 2"),
        (np.zeros((3, 5)), r"must have the shape \(L, 4\); got \(3, 5\)"),
        (np.full((3, 4), 0.25), r"3 of 3 rows are mixtures, the first at position 0 .*\[0.25, 0.25, 0.25, 0.25\]"),
    ],
)
def test_what_cannot_be_shuffled(sequence, message):
    with pytest.raises(SequenceError, match=message):
        shuffle_dna(sequence)


def test_count_must_be_positive():
    with pytest.raises(ValueError, match="count must be an integer of at least 1; got 0"):
        shuffle_dna("ACGT", 0)
