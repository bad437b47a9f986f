"""A stretch of DNA for the demo: made up, the same every time, and composed like a human chromosome."""

from __future__ import annotations

import numpy as np

_LETTERS = np.frombuffer(b"ACGT", np.uint8)
_GENOME = (0.295, 0.205, 0.205, 0.295)
_ISLAND = (0.17, 0.33, 0.33, 0.17)
_ISLAND_LENGTH = 1_200
_ISLAND_EVERY = 16_000
#: Binding sites that promoters and enhancers are rich in: SP1, NRF1, ETS, AP-1, CTCF, NFY.
_SITES = (
    "GGGGCGGGGC",
    "GCGCATGCGC",
    "ACCGGAAGTG",
    "TGAGTCA",
    "CCACCAGGGGGCGCTA",
    "AGCCAATCAG",
)


def demo_sequence(length: int, seed: int = 0) -> str:
    """Random DNA: 41 % GC, few CpG, and every 16 kb a CpG island full of binding sites.

    Examples
    --------
    >>> sequence = demo_sequence(50_000)
    >>> len(sequence), sequence == demo_sequence(50_000)
    (50000, True)
    """
    rng = np.random.default_rng(seed)
    dna = rng.choice(_LETTERS, length, p=_GENOME)
    _deplete_cpg(dna, rng)
    for start in range(_ISLAND_EVERY // 2, length - _ISLAND_LENGTH, _ISLAND_EVERY):
        dna[start : start + _ISLAND_LENGTH] = rng.choice(_LETTERS, _ISLAND_LENGTH, p=_ISLAND)
        for _ in range(24):
            site = np.frombuffer(_SITES[rng.integers(len(_SITES))].encode(), np.uint8)
            at = start + rng.integers(_ISLAND_LENGTH - len(site))
            dna[at : at + len(site)] = site
    return dna.tobytes().decode()


def _deplete_cpg(dna: np.ndarray, rng: np.random.Generator) -> None:
    """Turn four of five CpG into TpG or CpA, as methylation does over the ages."""
    places = np.flatnonzero((dna[:-1] == ord("C")) & (dna[1:] == ord("G")))
    places = places[rng.random(len(places)) < 0.8]
    forward = rng.random(len(places)) < 0.5
    dna[places[forward]] = ord("T")
    dna[places[~forward] + 1] = ord("A")
