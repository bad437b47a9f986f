"""Motifs from letters, matrices and MEME files, and where they occur."""

import itertools

import numpy as np
import pytest

from crested_like._errors import MotifError
from crested_like.genome import Motif, find_motifs, motifs_of, random_dna, read_meme, reverse_complement

IUPAC = {
    **{"A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"},
    **{"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT"},
}
MEME = """MEME version 4

ALPHABET= ACGT

MOTIF MA1 AP1
letter-probability matrix: alength= 4 w= 3 nsites= 20 E= 0
 0.0 0.0 0.0 1.0
 0.1 0.2 0.7 0.0
 0.97 0.01 0.01 0.01
URL http://example.org

MOTIF second
letter-probability matrix: alength= 4 w= 1
0.25 0.25 0.25 0.25
"""


@pytest.mark.parametrize("letter", IUPAC)
def test_letters_become_equal_chances(letter):
    row = Motif.of(letter).probabilities[0]
    assert dict(zip("ACGT", row, strict=True)) == {
        base: pytest.approx((base in IUPAC[letter]) / len(IUPAC[letter])) for base in "ACGT"
    }
    assert Motif.of(letter).consensus == letter
    assert set(IUPAC[Motif.of(letter).reverse_complement().consensus]) == {
        reverse_complement(base) for base in IUPAC[letter]
    }


def test_meme_files_are_read(tmp_path):
    path = tmp_path / "motifs.meme"
    path.write_text(MEME)
    first, second = read_meme(path)
    assert (first.name, second.name) == ("MA1 AP1", "second")
    assert first.probabilities.tolist() == [[0, 0, 0, 1], pytest.approx([0.1, 0.2, 0.7, 0]), [0.97, 0.01, 0.01, 0.01]]
    assert (first.consensus, second.consensus) == ("TGA", "N")
    assert [motif.name for motif in motifs_of([str(path), "TGA"])] == ["MA1 AP1", "second", "TGA"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("0.7 0.0", "0.7"), r"line 8: a row has four numbers \(A, C, G, T\); got 3"),
        (("0.7 0.0", "0.7 x"), "line 8: ' ?0.1 0.2 0.7 x' is no row of four numbers"),
        (("0.7 0.0", "0.3 0.0"), r"motif of line 5: 1 of 3 rows of the motif 'MA1 AP1' are no probabilities"),
        (("ALPHABET= ACGT", "ALPHABET= ACGU"), "the alphabet is ACGU; only ACGT is DNA"),
        (("MOTIF", "NOTHING"), "holds no motif"),
    ],
)
def test_a_malformed_file_is_told_by_its_line(tmp_path, change, message):
    path = tmp_path / "motifs.meme"
    path.write_text(MEME.replace(*change))
    with pytest.raises(MotifError, match=message):
        read_meme(path)


def test_all_wrong_motifs_are_told_at_once():
    with pytest.raises(MotifError, match=r"'TGX' has 'X'(.|\n)*Transpose it(.|\n)*called 'a'"):
        motifs_of(["TGX", np.full((4, 7), 0.25), ("a", "TGA"), ("a", "TGC")])
    with pytest.raises(MotifError, match="No motif was given"):
        motifs_of([])


def test_a_base_that_fits_stays():
    motif = Motif.of("TRNA")
    codes = np.array([["ACGTN".index(letter) for letter in "CGTC"], ["ACGTN".index(letter) for letter in "ACNN"]])
    assert ["".join("ACGTN"[c] for c in row) for row in motif.written_over(codes)] == ["TGTA", "TAAA"]


def matches(text, letters):
    return [
        i
        for i in range(len(text) - len(letters) + 1)
        if all(text[i + j] in IUPAC[letter] for j, letter in enumerate(letters))
    ]


@pytest.mark.parametrize("letters", ["TGANTCA", "CCWGG", "TATAR"])
def test_letters_are_found_on_both_strands(letters):
    texts = random_dna(400, 3)
    turned = Motif.of(letters).reverse_complement().consensus
    want = {(i, at) for i, text in enumerate(texts) for at in {*matches(text, letters), *matches(text, turned)}}
    found = find_motifs(texts, letters, overlapping=True)
    assert {(site.sequence, site.start) for site in found} == want
    forward = {(i, at) for i, text in enumerate(texts) for at in matches(text, letters)}
    assert all((site.strand == "+") == ((site.sequence, site.start) in forward) for site in found)


def test_a_matrix_is_found_as_rarely_as_its_p_value_says():
    matrix = np.array([[0.8, 0.1, 0.05, 0.05], [0.1, 0.1, 0.1, 0.7], [0.25, 0.25, 0.4, 0.1], [0.02, 0.9, 0.04, 0.04]])
    words = ["".join(word) for word in itertools.product("ACGT", repeat=4)]
    odds = np.log2((matrix + 1e-3) / 1.004 / 0.25).round(2)
    scores = {word: sum(odds[i]["ACGT".index(base)] for i, base in enumerate(word)) for word in words}
    for p_value in (0.05, 0.01):
        allowed = int(p_value * len(words))
        hits = {w for w in words if any(s.strand == "+" for s in find_motifs(w, matrix, p_value=p_value))}
        both = {w for w in words if find_motifs(w, matrix, p_value=p_value)}
        best = {w for w in words if sum(scores[v] >= scores[w] - 1e-9 for v in words) <= allowed}
        assert hits <= best
        assert both == best | {reverse_complement(w) for w in best}


def test_of_overlapping_sites_the_best_stays():
    found = find_motifs("ACACACAC", "ACAC")
    assert [(site.start, site.end) for site in found] == [(0, 4), (4, 8)]
    assert [site.start for site in find_motifs("ACACACAC", "ACAC", overlapping=True)] == [0, 2, 4]
    assert find_motifs("NCAC", "ACAC") == []
    assert [site.start for site in find_motifs("TTNCA", "NCA")] == [2]


def test_random_dna_has_the_gc_content_asked_for():
    (text,) = random_dna(20_000, 1, gc=0.3)
    assert abs(sum(letter in "GC" for letter in text) / len(text) - 0.3) < 0.02
    assert random_dna(10, 2) == random_dna(10, 2)
    with pytest.raises(ValueError, match="gc must lie between 0 and 1"):
        random_dna(10, 1, gc=1.5)
