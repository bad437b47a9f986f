from __future__ import annotations

import numpy as np
import pytest

from crested_like.datasets.batches._augment import (
    Augmentation,
    bases_of,
    one_hot_of_codes,
    stretch,
    substituted,
    targets_of,
)

LETTERS = "ACGTN"


def text(codes):
    return "".join(LETTERS[code] for code in codes)


def codes(letters):
    return np.array([LETTERS.index(letter) for letter in letters], np.uint8)


@pytest.mark.parametrize(
    ("start", "length", "want"),
    [
        (0, 5, "ACGTN"),
        (1, 2, "CG"),
        (-2, 4, "NNAC"),
        (3, 4, "TNNN"),
        (-3, 11, "NNNACGTNNNN"),
        (9, 2, "NN"),
        (-5, 2, "NN"),
    ],
)
def test_stretch(start, length, want):
    assert text(stretch(codes("ACGTN"), start, length)) == want


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shift", [-3, -1, 0, 2])
@pytest.mark.parametrize(("start", "length"), [(0, 12), (2, 6), (-2, 8)])
def test_turned_first_then_moved(start, length, shift, flip):
    window = "AACCCGTNTTGA"
    wide = "N" * 20 + window + "N" * 20  # bases of the window move in, and Ns beyond it
    around = wide[20 + start - 5 : 20 + start + length + 5]
    if flip:
        around = around[::-1].translate(str.maketrans("ACGT", "TGCA"))
    want = around[5 - shift : 5 - shift + length]  # to the right: what was before comes in from the left
    assert text(bases_of(codes(window), start, length, flip=flip, shift=shift)) == want


def test_a_shift_of_two_as_published():
    assert text(bases_of(codes("CTCTC"), 0, 5, flip=False, shift=2)) == "NNCTC"


def test_substitutions(rng):
    window = rng.integers(0, 5, 100_000, dtype=np.uint8)
    before = window.copy()
    changed = substituted(window, 0.1, rng)
    np.testing.assert_array_equal(window, before)
    known = window < 4
    np.testing.assert_array_equal(changed[~known], window[~known])
    assert np.isin(changed[known], range(4)).all()
    share = (changed != window)[known].mean()
    assert abs(share - 0.075) < 0.004  # a quarter is drawn as it was; four standard deviations


def test_one_hot_of_codes(rng):
    window = rng.integers(0, 5, (2, 30), dtype=np.uint8)
    want = np.stack([(window == base) for base in range(4)], axis=-1)
    found = one_hot_of_codes(window)
    np.testing.assert_array_equal(found, want)
    assert found.dtype == np.float32


def test_targets_of_the_other_strand(rng):
    targets = rng.normal(size=(4, 3)).astype("f2")
    want = [[targets[3 - b, pair] for pair in (1, 0, 2)] for b in range(4)]
    np.testing.assert_array_equal(targets_of(targets, True, np.array([1, 0, 2])), want)
    np.testing.assert_array_equal(targets_of(targets, True, None), targets[::-1])
    np.testing.assert_array_equal(targets_of(targets, False, np.array([1, 0, 2])), targets)
    np.testing.assert_array_equal(targets_of(targets[0], True, None), targets[0])


def test_strand_and_shift(rng):
    drawn = [Augmentation(rc=True, max_shift=2).strand_and_shift(rng) for _ in range(2000)]
    flips, shifts = np.transpose(drawn)
    assert 0.45 < flips.mean() < 0.55
    counts = np.bincount(shifts + 2, minlength=5)
    assert len(counts) == 5
    assert (np.abs(counts - 400) < 80).all()


def test_one_kind_of_augmentation_changes_no_other():
    def shifts(rc):
        return [Augmentation(rc=rc, max_shift=9).strand_and_shift(np.random.default_rng(i))[1] for i in range(20)]

    assert shifts(True) == shifts(False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_shift": -1}, "max_shift must be an integer of at least 0"),
        ({"mutate": 1.0}, "mutate must be at least 0 and below 1"),
        ({"bins": 0}, "bins must be an integer of at least 1"),
        ({"flank": 10}, r"flank=10 is for pieces of windows; say how many bins="),
        ({"bins": 4, "flank": -1}, "flank must be an integer of at least 0"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**settings)
