from __future__ import annotations

import itertools
import json
import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from crested_like.genome import Tokenizer, one_hot, one_hot_of_tokens, tokenizer

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/nucleotide_tokenizer/cases.json").read_text())
NAMES = list(GOLDEN["tokenizers"])
OTHER_NAMES = ["v2_1mer", "v2_2mer", "v2_5mer"]
SPECIAL = ["<unk>", "<pad>", "<mask>", "<cls>"]


def vocabulary(name):
    """String of a token -> id, from the whole list; of equal strings the later holds."""
    k = 1 if name == "single_base" else int(name[3])
    kmers = ["".join(letters) for letters in itertools.product("ATCG", repeat=k)]
    ends = ["<eos>", "<bos>"]
    strings = [*SPECIAL, *kmers, *"ATCGN", *ends] if name == "v1_6mer" else [*SPECIAL, *ends, *kmers, *"ATCGN"]
    return k, {string: number for number, string in enumerate(strings)}


def slow_tokens(k, sequence):
    tokens = []
    for piece in re.split("(N)", sequence):
        cut = len(piece) - len(piece) % k
        tokens += [piece[i : i + k] for i in range(0, cut, k)] + list(piece[cut:])
    return tokens


def slow_encode(name, sequence):
    k, ids = vocabulary(name)
    return ([3] if name != "single_base" else []) + [ids[token] for token in slow_tokens(k, sequence)]


# --- golden numbers


@pytest.mark.parametrize("name", NAMES)
def test_vocabulary(name):
    want, got = GOLDEN["tokenizers"][name], tokenizer(name)
    assert got.name == name
    assert got.vocabulary_size == want["vocabulary_list_length"]
    assert got.special_ids == want["special"]
    assert got.base_ids == want["single"]
    assert (got.pad_id, got.mask_id, got.cls_id) == (1, 2, 3)
    for kmer, number in want.get("kmer_probe", {}).items():
        assert got.encode(kmer).tolist() == [3, number]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: repr(case["sequence"]))
def test_gives_the_published_ids(case, name):
    this, sequence, want = tokenizer(name), case["sequence"], case[name]
    if "error" in want:
        with pytest.raises(ValueError, match=re.escape(f"the unknown token {want['offending_token']!r} at position")):
            this.encode(sequence)
        return
    got = this.encode(sequence)
    assert got.dtype == np.int32
    assert got.tolist() == want["ids"]
    assert this.tokens(got) == want["tokens"]
    np.testing.assert_array_equal(this.encode(sequence.encode()), got)


@pytest.mark.parametrize("case", GOLDEN["fixed_length_batches"])
def test_gives_the_published_batches_of_a_fixed_length(case):
    this = tokenizer(case["tokenizer"])
    if "error" in case:
        with pytest.raises(ValueError, match=r"too long. Trim them, or give a length of 5:\n  Sequence 0 has 5 tokens"):
            this.encode_batch(case["sequences"], length=case["fixed_length"])
        return
    got = this.encode_batch(case["sequences"], length=case["fixed_length"])
    assert got.dtype == np.int32
    assert got.tolist() == case["ids"]


@pytest.mark.parametrize("case", GOLDEN["longest_in_batch"])
def test_gives_the_published_batches_as_long_as_the_longest(case):
    assert tokenizer(case["tokenizer"]).encode_batch(case["sequences"]).tolist() == case["ids"]


# --- an independent answer


@pytest.mark.parametrize("name", NAMES + OTHER_NAMES)
@pytest.mark.parametrize("share_of_n", [0.0, 0.02, 0.3, 1.0])
def test_any_dna(rng, name, share_of_n):
    this = tokenizer(name)
    for length in [*range(20), 1000]:
        letters = rng.choice(list("ACGTN"), length, p=[(1 - share_of_n) / 4] * 4 + [share_of_n])
        sequence = "".join(letters)
        ids = this.encode(sequence)
        assert ids.dtype == np.int32
        assert ids.tolist() == slow_encode(name, sequence)
        tokens = this.tokens(ids)
        assert tokens[this.adds_special :] == slow_tokens(this.k, sequence)
        assert "".join(tokens[this.adds_special :]) == sequence


@pytest.mark.parametrize("name", NAMES + OTHER_NAMES)
def test_any_text(rng, name):
    """Letters, names of special tokens and N mixed, so that some names are cut out whole and most are not."""
    this, (k, ids) = tokenizer(name), vocabulary(name)
    whole = 0
    for _ in range(200):
        parts = rng.choice(["A", "TC", "GGG", "ATTCCG", "N", "<mask>", "<cls>", "a"], 4, p=[0.12] * 6 + [0.14] * 2)
        sequence = "".join(parts)
        wrong = [token for token in slow_tokens(k, sequence) if token not in ids]
        if not wrong:
            whole += "<" in sequence
            assert this.encode(sequence).tolist() == slow_encode(name, sequence)
            continue
        with pytest.raises(ValueError, match="unknown token") as caught:
            this.encode(sequence)
        assert f"the unknown token {wrong[0]!r} at" in str(caught.value)
    assert (whole > 0) == (k > 4)  # the names have five and six letters


@pytest.mark.parametrize("name", NAMES + OTHER_NAMES)
def test_every_id_has_its_string(name):
    this, (_, ids) = tokenizer(name), vocabulary(name)
    assert this.tokens(list(ids.values())) == list(ids)
    assert this.vocabulary_size == max(ids.values()) + 1


def test_ids_of_the_largest_k_fit():
    largest = tokenizer("v2_15mer")
    assert largest.encode("G" * 15 + "N").tolist() == [3, 6 + 4**15 - 1, 6 + 4**15 + 4]
    assert largest.tokens([6 + 4**15 - 1]) == ["G" * 15]


# --- curiosities


def test_an_aligned_mask_is_the_mask_token():
    for name in ("v1_6mer", "v2_6mer"):
        this = tokenizer(name)
        ids = this.encode("ATTCCG<mask>ATTCCGAN<mask>")
        assert ids[2] == ids[-1] == this.mask_id
        assert this.tokens(ids) == ["<cls>", "ATTCCG", "<mask>", "ATTCCG", "A", "N", "<mask>"]
        with pytest.raises(ValueError, match=r"token 'A<mask' at position 0 \(0-based\), because of '<' at position 1"):
            this.encode("A<mask>")


def test_the_two_vocabularies_are_apart_by_two():
    sequence = "ATTCCGAAAAATCN"
    assert (tokenizer("v2_6mer").encode(sequence)[1:] - tokenizer("v1_6mer").encode(sequence)[1:] == 2).all()


# --- errors


@pytest.mark.parametrize(
    ("sequence", "text"),
    [
        ("ACGTAC" * 200 + "ACgTAC", "token 'ACgTAC' at position 1,200 (0-based), because of 'g' at position 1,202."),
        ("ACGTACACU", "token 'U' at position 8 (0-based). Allowed are"),
        ("NNACGTAC€", "token '€' at position 8 (0-based). Allowed are"),
        ("NNACGT😀C", "token 'ACGT😀C' at position 2 (0-based), because of '😀' at position 6. Allowed are"),
        (b"NNACGT\xffC", "token 'ACGTÿC' at position 2 (0-based), because of 'ÿ' at position 6. Allowed are"),
        ("<mask>ACG\n", "token '\\n' at position 9 (0-based). Allowed are"),
    ],
)
def test_unknown_tokens(sequence, text):
    with pytest.raises(ValueError, match=r"^The sequence has the unknown") as caught:
        tokenizer("v2_6mer").encode(sequence)
    assert text in str(caught.value)
    assert "Allowed are A, C, G, T and N in upper case: use sequence.upper(), and write T for U" in str(caught.value)


def test_all_bad_sequences_of_a_batch_are_named():
    with pytest.raises(ValueError, match=r"that v2_3mer does not know\. Allowed are") as caught:
        tokenizer("v2_3mer").encode_batch(["ACG", "aCG", "ACGR", "ACGT" * 9], length=2)
    assert str(caught.value).endswith(
        "\n  Sequence 1 has the unknown token 'aCG' at position 0 (0-based), because of 'a' at position 0."
        "\n  Sequence 2 has the unknown token 'R' at position 3 (0-based)."
    )
    with pytest.raises(ValueError, match="give a length of 14") as caught:
        tokenizer("v2_3mer").encode_batch(["ACG", "ACGT", "ACG" * 13], length=2)
    assert str(caught.value).endswith(
        "\n  Sequence 1 has 3 tokens with <cls>; length is 2.\n  Sequence 2 has 14 tokens with <cls>; length is 2."
    )


def test_batches_of_nothing():
    this = tokenizer("v2_6mer")
    with pytest.raises(ValueError, match="No sequences were given; at least one is needed"):
        this.encode_batch([])
    with pytest.raises(TypeError, match=r"got one\. Put it in a list, or use encode"):
        this.encode_batch("ACGT")
    with pytest.raises(TypeError, match="Sequence 1 must be a str or bytes of DNA letters; got int"):
        this.encode_batch(["ACGT", 5])
    with pytest.raises(ValueError, match="length must be an integer of at least 1; got 0"):
        this.encode_batch(["ACGT"], length=0)


@pytest.mark.parametrize("sequence", [5, None, ["ACGT"]])
def test_not_a_sequence(sequence):
    with pytest.raises(TypeError, match="A sequence must be a str or bytes of DNA letters; got"):
        tokenizer("v1_6mer").encode(sequence)


def test_ids_that_are_none():
    this = tokenizer("v2_3mer")
    with pytest.raises(ValueError, match=r"v2_3mer has the ids 0 to 74; 2 of 3 ids are not, the first at index 1: 75"):
        this.tokens([74, 75, -1])
    with pytest.raises(ValueError, match=r"ids must have the shape \(T,\); got \(1, 2\). Give one row"):
        this.tokens([[3, 4]])
    with pytest.raises(ValueError, match="must be integers; got values of type float64"):
        this.tokens([3.0])
    assert this.tokens([]) == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("V2_6mer", " Did you mean 'v2_6mer'"),
        ("v1_3mer", " Did you mean 'v2_3mer' or 'v1_6mer'"),
        ("singlebase", " Did you mean 'single_base'?"),
        ("v2_0mer", " Did you mean"),
        ("v2_06mer", " Did you mean 'v2_6mer'"),
        ("", ""),
        (6, ""),
    ],
)
def test_unknown_names(name, hint):
    with pytest.raises(ValueError, match=r"or 'v2_\{k\}mer' with a k from 1 to 15, such as 'v2_6mer'; got") as caught:
        tokenizer(name)
    assert f"got {name!r}.{hint}" in str(caught.value)


def test_k_that_is_too_large():
    with pytest.raises(ValueError, match="k must be at most 15, or ids do not fit in int32; got 16"):
        tokenizer("v2_16mer")


def test_tokenizers_are_values():
    assert tokenizer("v2_6mer") == Tokenizer("v2_6mer", k=6, first_kmer=6, eos_id=4, bos_id=5)
    assert len({tokenizer("v2_6mer"), tokenizer("v2_6mer"), tokenizer("v1_6mer")}) == 2
    with pytest.raises(FrozenInstanceError):
        tokenizer("v2_6mer").k = 3


# --- single bases


def test_single_bases_are_not_padded():
    this = tokenizer("single_base")
    assert this.encode_batch(["ACGT", "NNNN"]).tolist() == [[10, 12, 13, 11], [14] * 4]
    assert this.encode_batch(["ACG", "NNN"], length=3).shape == (2, 3)
    with pytest.raises(ValueError, match="single_base does not pad, as its networks would read <pad> as a base") as e:
        this.encode_batch(["ACGT", "ACG"])
    assert str(e.value).endswith("the letter N:\n  Sequence 1 has 3 tokens; the longest has 4.")
    with pytest.raises(ValueError, match="letter N:\n  Sequence 0 has 4 tokens; length is 5"):
        this.encode_batch(["ACGT"], length=5)
    with pytest.raises(ValueError, match="give a length of 4:\n  Sequence 0 has 4 tokens; length is 3"):
        this.encode_batch(["ACGT", "ACG"], length=3)


def test_one_hot_of_single_bases(rng):
    sequences = ["".join(rng.choice(list("ACGTN"), 50)) for _ in range(3)]
    this = tokenizer("single_base")
    got = one_hot_of_tokens(this.encode_batch(sequences))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.stack([one_hot(sequence) for sequence in sequences]))
    np.testing.assert_array_equal(one_hot_of_tokens(this.encode(sequences[0])), got[0])
    assert one_hot_of_tokens(this.encode("")).shape == (0, 4)


@pytest.mark.parametrize("token_id", [*range(10), 15, -1])
def test_no_other_id_has_a_one_hot_row(token_id):
    text = rf"10 to 14; 1 of 4 ids are not, the first at index \(1, 0\): {token_id}. .* letter N, not with <pad>"
    with pytest.raises(ValueError, match=text):
        one_hot_of_tokens(np.array([[10, 11], [token_id, 14]]))


def test_one_hot_needs_ids():
    with pytest.raises(ValueError, match="must be integers; got values of type float32"):
        one_hot_of_tokens(np.eye(4, dtype="float32"))
    with pytest.raises(ValueError, match=r"ids must have the shape \(L,\) or \(N, L\); got \(\)"):
        one_hot_of_tokens(10)
