"""Where motifs occur."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crested_like.genome._motifs import _IUPAC, Motif, motifs_of
from crested_like.genome._onehot import one_hot_batch

#: Scores are counted in steps of this many bits.
_STEP = 0.01
#: Added to a probability of zero, so that its logarithm exists.
_PSEUDO = 1e-3


@dataclass(frozen=True)
class Site:
    """An occurrence of a motif in a sequence; 0-based half-open, in bp from the sequence's first base."""

    sequence: int
    motif: str
    start: int
    end: int
    strand: str
    score: float
    """Log2 odds against equal bases, in bits; for IUPAC letters the number of letters."""


def find_motifs(
    sequences: str | Sequence[str], motifs: Any, *, p_value: float = 1e-4, overlapping: bool = False
) -> list[Site]:
    """Occurrences of motifs in sequences, on both strands.

    Motifs given as IUPAC letters are found where each base is one that its letter stands for. Matrices are found where
    their log odds against equal bases are so high that one place in ``1 / p_value`` of random DNA has as much.

    Parameters
    ----------
    sequences
        DNA, all of one length; N matches nothing but the letter N.
    motifs
        As for :func:`motifs_of`.
    p_value
        Of a matrix' score, on one strand.
    overlapping
        Keep occurrences of a motif that overlap others of the same motif; otherwise the best of those stays.

    Returns
    -------
    list of Site
        By sequence, motif and place.

    Examples
    --------
    >>> [(site.motif, site.start, site.strand) for site in find_motifs("AATGACTCATTCCGGAA", {"AP-1": "TGASTCA"})]
    [('AP-1', 2, '+')]
    """
    x = one_hot_batch([sequences] if isinstance(sequences, str) else list(sequences), np.float64)
    found = []
    for motif in motifs_of(motifs):
        if len(motif) > x.shape[1]:
            continue
        sites = _sites(x, motif, p_value)
        found += sites if overlapping else _without_overlaps(sites)
    order = {motif.name: i for i, motif in enumerate(motifs_of(motifs))}
    return sorted(found, key=lambda site: (site.sequence, order[site.motif], site.start))


def _sites(x: NDArray[np.float64], motif: Motif, p_value: float) -> list[Site]:
    found: dict[tuple[int, int], Site] = {}
    for strand, turned in (("+", motif), ("-", motif.reverse_complement())):
        scores, threshold = _letter_scores(x, turned) if turned.letters else _matrix_scores(x, turned, p_value)
        for sequence, start in np.argwhere(scores >= threshold).tolist():
            score = float(scores[sequence, start])
            known = found.get((sequence, start))
            if known is None or score > known.score:  # a palindrome is one site
                end = start + len(motif)
                found[sequence, start] = Site(sequence, motif.name, start, end, strand, round(score, 6))
    return list(found.values())


def _letter_scores(x: NDArray[np.float64], motif: Motif) -> tuple[NDArray[np.float64], float]:
    """Letters that fit, of those that say anything, and their number."""
    table = np.array([[0.0] * 4 if letter == "N" else _IUPAC[letter] for letter in motif.letters or ""], float)
    return _scan(x, table), float(table.any(axis=1).sum())


def _matrix_scores(x: NDArray[np.float64], motif: Motif, p_value: float) -> tuple[NDArray[np.float64], float]:
    """Log odds in bits, minus infinity where a base is not known, and the score that has the p-value."""
    odds = (motif.probabilities + _PSEUDO) / (1 + 4 * _PSEUDO) / 0.25
    steps = np.round(np.log2(odds) / _STEP)
    known = _scan(x, np.ones_like(steps)) == len(motif)
    scores = np.where(known, np.round(_scan(x, steps)) * _STEP, -np.inf)
    return scores, (_threshold(steps.astype(int), p_value) - 0.5) * _STEP


def _threshold(steps: NDArray[np.int_], p_value: float) -> int:
    """Least score, in steps, that random DNA reaches no more often than that; the greatest if none is so rare."""
    chances = np.ones(1)
    for row in steps - steps.min(axis=1, keepdims=True):
        longer = np.zeros(len(chances) + row.max())
        for step in row:
            longer[step : step + len(chances)] += 0.25 * chances
        chances = longer
    at_least = np.cumsum(chances[::-1])[::-1]
    rare = np.flatnonzero(at_least <= p_value * (1 + 1e-9))
    reached = rare[chances[rare] > 0]
    return int((reached[0] if reached.size else np.flatnonzero(chances)[-1]) + steps.min(axis=1).sum())


def _scan(x: NDArray[np.float64], table: NDArray[np.float64]) -> NDArray[np.float64]:
    places = x.shape[1] - len(table) + 1
    return sum(x[:, i : i + places] @ row for i, row in enumerate(table))


def _without_overlaps(sites: list[Site]) -> list[Site]:
    """The best of sites that overlap, the first of equals."""
    kept: dict[int, list[Site]] = {}
    for site in sorted(sites, key=lambda site: (-site.score, site.start)):
        others = kept.setdefault(site.sequence, [])
        if all(site.end <= other.start or other.end <= site.start for other in others):
            others.append(site)
    return [site for others in kept.values() for site in others]
