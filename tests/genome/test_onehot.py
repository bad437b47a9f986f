from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from crested_like.genome import (
    check_one_hot,
    one_hot,
    one_hot_batch,
    reverse_complement,
    reverse_complement_one_hot,
    shift_one_hot,
)

LETTERS = "ACGTNRYSWKMBDHVacgtnryswkmbdhv"


def slow_one_hot(sequence):
    return np.array([[float(base == letter.upper()) for base in "ACGT"] for letter in sequence], "float32").reshape(
        -1, 4
    )


def random_dna(rng, length, letters=LETTERS):
    return "".join(rng.choice(list(letters), length))


def test_one_hot(rng):
    sequence = random_dna(rng, 500)
    got = one_hot(sequence)
    assert got.dtype == np.float32
    assert got.flags.writeable
    np.testing.assert_array_equal(got, slow_one_hot(sequence))
    np.testing.assert_array_equal(one_hot(sequence.encode()), got)
    np.testing.assert_array_equal(one_hot(bytearray(sequence.encode())), got)


def test_every_letter():
    np.testing.assert_array_equal(one_hot(LETTERS), slow_one_hot(LETTERS))
    assert one_hot("NRYSWKMBDHVnryswkmbdhv").sum() == 0


def test_empty_sequence():
    assert one_hot("").shape == (0, 4)


@pytest.mark.parametrize("letter", [chr(code) for code in range(256) if chr(code) not in LETTERS] + ["€", "😀"])
def test_other_characters(letter):
    with pytest.raises(ValueError, match=r"at position 3 \(0-based\)") as caught:
        one_hot("ACG" + letter + "T!")
    assert f"has {letter!r} at" in str(caught.value)
    assert "Allowed are A, C, G, T" in str(caught.value)


def test_other_characters_in_bytes():
    with pytest.raises(ValueError, match=r"has 'X' at position 1,000 \(0-based\)"):
        one_hot(b"A" * 1000 + b"X")


def test_rna_is_told_what_to_do():
    with pytest.raises(ValueError, match=r"'U' at position 1 \(0-based\) \(U is RNA: write T\)"):
        one_hot("AUG")


@pytest.mark.parametrize("sequence", [5, None, ["ACGT"]])
def test_not_a_sequence(sequence):
    with pytest.raises(TypeError, match="must be a str or bytes of DNA letters; got"):
        one_hot(sequence)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", bool])
def test_batch(rng, dtype):
    sequences = [random_dna(rng, 37) for _ in range(5)]
    got = one_hot_batch([sequences[0].encode(), *sequences[1:]], dtype=dtype)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.stack([slow_one_hot(s) for s in sequences]).astype(dtype))


def test_batch_from_an_iterator():
    assert one_hot_batch(iter(["ACGT", "AAAA"])).shape == (2, 4, 4)


def test_batch_reports_all_bad_sequences():
    with pytest.raises(ValueError, match="Sequence 1 has 3 bases; sequence 0 has 4") as caught:
        one_hot_batch(["ACGT", "ACG", "ACGT", "AC-T"])
    assert "Sequence 3 has '-' at position 2 (0-based)" in str(caught.value)
    assert "Sequence 2" not in str(caught.value)


def test_batch_reports_ten_at_most():
    with pytest.raises(ValueError, match=r"Sequence 9 has 'X'.*\n  \.\.\. and 1,190 more$"):
        one_hot_batch(["X"] * 1200)


def test_batch_of_none():
    with pytest.raises(ValueError, match="No sequences were given"):
        one_hot_batch([])


def test_batch_of_one_string():
    with pytest.raises(TypeError, match="Put it in a list"):
        one_hot_batch("ACGT")


def test_batch_of_something_else():
    with pytest.raises(TypeError, match="Sequence 1 must be a str or bytes"):
        one_hot_batch(["ACGT", [1, 2, 3, 4]])


def test_reverse_complement():
    assert reverse_complement("AACGTTN") == "NAACGTT"
    assert reverse_complement("RYSWKMBDHVN") == "NBDHVKMWSRY"
    assert reverse_complement("acGTry") == "ryACgt"
    assert reverse_complement("") == ""


def test_reverse_complement_twice(rng):
    sequence = random_dna(rng, 300)
    assert reverse_complement(reverse_complement(sequence)) == sequence


def test_reverse_complement_checks():
    with pytest.raises(ValueError, match="has 'U' at position 1"):
        reverse_complement("AU")
    with pytest.raises(TypeError, match="got bytes"):
        reverse_complement(b"ACGT")


def test_reverse_complement_one_hot(rng):
    sequences = [random_dna(rng, 21) for _ in range(3)]
    got = reverse_complement_one_hot(one_hot_batch(sequences))
    np.testing.assert_array_equal(got, one_hot_batch([reverse_complement(s) for s in sequences]))
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(reverse_complement_one_hot(one_hot(sequences[0])), got[0])


@pytest.mark.parametrize(
    ("shift", "want"),
    [(2, "NNCTC"), (-2, "CTCNN"), (0, "CTCTC"), (5, "NNNNN"), (-9, "NNNNN"), (4, "NNNNC"), (-4, "CNNNN")],
)
def test_shift(shift, want):
    x = one_hot_batch(["CTCTC", "CTCTC"])
    before = x.copy()
    np.testing.assert_array_equal(shift_one_hot(x, shift), one_hot_batch([want, want]))
    np.testing.assert_array_equal(shift_one_hot(x[0], shift), one_hot(want))
    np.testing.assert_array_equal(x, before)


def test_shift_gives_a_copy():
    x = one_hot("ACGT")
    assert not np.shares_memory(shift_one_hot(x, 0), x)
    assert shift_one_hot(x.astype("uint8"), 1).dtype == np.uint8


@pytest.mark.parametrize("shape", [(5, 4), (2, 5, 4)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8", bool, ml_dtypes.bfloat16])
def test_check_accepts(shape, dtype):
    got = check_one_hot(np.ones(shape, dtype))
    assert got.shape == (shape[0] if len(shape) == 3 else 1, 5, 4)
    assert got.dtype == (dtype if str(np.dtype(dtype)).startswith("float") else np.float32)


def test_check_accepts_soft_rows():
    x = np.array([[0.1, 0.2, 0.3, 0.1], [0.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(check_one_hot(x), x[None])


def test_check_accepts_an_empty_batch():
    assert check_one_hot(np.zeros((0, 5, 4))).shape == (0, 5, 4)


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((4, 7), r"got \(4, 7\)\. The bases are on the wrong axis: transpose it with x\.T\."),
        ((2, 4, 7), r"got \(2, 4, 7\)\. .* transpose it with x\.transpose\(0, 2, 1\)\."),
        ((2, 7, 5), r"shape \(L, 4\) or \(N, L, 4\), order A, C, G, T; got \(2, 7, 5\)\.$"),
        ((4,), r"got \(4,\)"),
        ((), r"got \(\)"),
        ((1, 1, 7, 4), r"got \(1, 1, 7, 4\)\.$"),
    ],
)
def test_check_refuses_shapes(shape, match):
    with pytest.raises(ValueError, match=match):
        check_one_hot(np.zeros(shape))
    with pytest.raises(ValueError, match=match):
        shift_one_hot(np.zeros(shape), 1)
    with pytest.raises(ValueError, match=match):
        reverse_complement_one_hot(np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64", ml_dtypes.bfloat16])
def test_check_refuses_what_is_not_finite(value, dtype):
    x = np.zeros((2, 3, 4), dtype)
    x[1, 2, 3] = value
    with pytest.raises(
        ValueError, match=rf"must be finite; 1 of 24 values are not, the first at index \(1, 2, 3\): {value}"
    ):
        check_one_hot(x)


def test_check_refuses_negative_values():
    with pytest.raises(
        ValueError, match=r"must not be negative; 2 of 8 values are not, the first at index \(0, 1\): -0\.5"
    ):
        check_one_hot([[0, -0.5, 1, 0], [0, 0, 0, -1]])


@pytest.mark.parametrize("x", [["ACGT"], np.zeros((3, 4), complex), [None]])
def test_check_refuses_other_types(x):
    with pytest.raises(ValueError, match="must be an array of numbers; got one of type"):
        check_one_hot(x)
