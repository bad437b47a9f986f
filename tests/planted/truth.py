"""A world in which it is known what every base does: three motifs in random DNA, two tracks of coverage.

A site counts on either strand, fully where it is intact, half with one base changed, not at all with more: each of its
bases matters as much as the next. Its effect is added to a constant and spread over the bins around its centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: The network that was trained on this world by ``scripts/train_planted_motifs.py``.
MODEL = Path(__file__).with_name("planted.keras")
LENGTH, BIN_SIZE, BINS = 512, 64, 8
TRACKS = ("first", "second")
#: Coverage of a bin without any site.
BASE = 4.0
#: How far an effect reaches: the standard deviation of its spread, in bp.
REACH = 48.0
_BASES = np.array(list("ACGT"))


@dataclass(frozen=True)
class Motif:
    """A motif, and what one intact site of it adds to a bin right at it, by track."""

    name: str
    consensus: str
    effects: tuple[float, float]


MOTIFS = (
    Motif("strong", "TGACTCATGC", (4.0, 1.0)),
    Motif("weak", "CCGGAAGTAA", (2.0, 4.0)),
    Motif("repressor", "GATTTGCACT", (-2.5, -1.5)),
)
#: Motifs by their effect on each track, the largest first.
ORDER = tuple(
    tuple(motif.name for motif in sorted(MOTIFS, key=lambda motif: -motif.effects[track]))
    for track in range(len(TRACKS))
)


@dataclass(frozen=True)
class Site:
    """Where a motif was planted: bases ``start`` to ``end - 1``, on either strand."""

    motif: str
    start: int
    end: int
    strand: str
    mismatches: int = 0


def random_dna(rng: np.random.Generator, length: int = LENGTH) -> str:
    """Bases drawn one by one, each as likely as the next."""
    return "".join(rng.choice(_BASES, length))


def draw(
    rng: np.random.Generator, counts: dict[str, int], *, mismatches: tuple[int, ...] = (0,), margin: int = 10
) -> tuple[str, list[Site]]:
    """Random DNA with sites planted in it that do not overlap.

    Parameters
    ----------
    counts
        Number of sites by motif.
    mismatches
        How many bases of a site are changed: one of these, drawn anew for every site.
    margin
        Bases left free at either end, and at least between sites.
    """
    letters = np.array(list(random_dna(rng)))
    wanted = [motif for motif in MOTIFS for _ in range(counts.get(motif.name, 0))]
    free = np.ones(LENGTH, bool)
    free[:margin] = free[LENGTH - margin :] = False
    sites = []
    for motif in wanted:
        size = len(motif.consensus)
        start = int(rng.choice(np.flatnonzero(np.lib.stride_tricks.sliding_window_view(free, size).all(axis=1))))
        strand, changed = str(rng.choice(["+", "-"])), int(rng.choice(mismatches))
        text = np.array(list(motif.consensus))
        for place in rng.choice(size, changed, replace=False):
            text[place] = rng.choice(_BASES[text[place] != _BASES])
        letters[start : start + size] = list(reverse_complement("".join(text)) if strand == "-" else "".join(text))
        free[max(start - margin, 0) : start + size + margin] = False
        sites.append(Site(motif.name, start, start + size, strand, changed))
    return "".join(letters), sites


def reverse_complement(text: str) -> str:
    """The other strand."""
    return text.translate(str.maketrans("ACGT", "TGCA"))[::-1]


def codes(sequence: str) -> NDArray[np.intp]:
    """0 to 3 for A, C, G, T."""
    return np.searchsorted(_BASES, list(sequence))


def occupancy(sequence: str, motif: Motif) -> NDArray[np.float64]:
    """How much of a site begins at every base, both strands added: ``(L - width + 1,)``."""
    windows = np.lib.stride_tricks.sliding_window_view(codes(sequence), len(motif.consensus))
    total = np.zeros(len(windows))
    for text in (motif.consensus, reverse_complement(motif.consensus)):
        wrong = (windows != codes(text)).sum(axis=1)
        total += np.where(wrong == 0, 1.0, np.where(wrong == 1, 0.5, 0.0))
    return total


def coverage(sequence: str) -> NDArray[np.float64]:
    """What is true of a sequence: ``(bins, tracks)``."""
    result = np.full((BINS, len(TRACKS)), BASE)
    middles = (np.arange(BINS) + 0.5) * BIN_SIZE
    for motif in MOTIFS:
        found = occupancy(sequence, motif)
        for start in np.flatnonzero(found):
            centre = start + len(motif.consensus) / 2
            spread = np.exp(-0.5 * ((middles - centre) / REACH) ** 2)
            result += found[start] * spread[:, None] * np.array(motif.effects)
    return np.maximum(result, 0.0)


def mask(sites: list[Site]) -> NDArray[np.bool_]:
    """True at the bases of sites: ``(L,)``."""
    inside = np.zeros(LENGTH, bool)
    for site in sites:
        inside[site.start : site.end] = True
    return inside
