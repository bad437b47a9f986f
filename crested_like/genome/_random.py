"""Random DNA."""

from __future__ import annotations

from typing import Any

import numpy as np

from crested_like._checks import positive_int


def random_dna(length: int, count: int, *, gc: float = 0.5, seed: Any = 0) -> list[str]:
    """Sequences of bases drawn one by one.

    Parameters
    ----------
    length, count
        Bases of a sequence, and number of sequences.
    gc
        Chance of a base to be C or G, 0 to 1.
    seed
        A number, or a :class:`numpy.random.Generator` to go on with.

    Examples
    --------
    >>> random_dna(8, 2, gc=0.4)
    ['GAAATTGT', 'GTTATATA']
    """
    if not 0 <= gc <= 1:
        raise ValueError(f"gc must lie between 0 and 1; got {gc!r}.")
    rng = np.random.default_rng(seed)
    chances = [(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]
    size = positive_int("count", count), positive_int("length", length)
    drawn = rng.choice(np.frombuffer(b"ACGT", np.uint8), size, p=chances)
    return [row.tobytes().decode() for row in drawn]
