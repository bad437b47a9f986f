"""DNA letters as index codes, one byte a base: the form in which training data keep sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crested_like._errors import SequenceError
from crested_like.datasets._layout import N_CODE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crested_like.genome import Genome

_INVALID = 255
_TABLE = bytearray([_INVALID]) * 256
for _letters, _codes in (("ACGT", range(4)), ("NRYSWKMBDHV", [N_CODE] * 11)):
    for _letter, _code in zip(_letters, _codes, strict=True):
        _TABLE[ord(_letter)] = _TABLE[ord(_letter.lower())] = _code


def codes_of(letters: str) -> NDArray[np.uint8]:
    """Index codes of DNA letters in either case: 0 to 3 for A, C, G, T, and 4 for N and other ambiguity letters.

    Raises
    ------
    SequenceError
        If a character is no DNA letter.

    Examples
    --------
    >>> codes_of("ACgtRN").tolist()
    [0, 1, 2, 3, 4, 4]
    """
    codes = np.frombuffer(letters.encode("ascii", "replace").translate(_TABLE), np.uint8)
    if codes.max(initial=0) == _INVALID:
        position = int(codes.argmax())
        raise SequenceError(f"A sequence has {letters[position]!r} at position {position:,}, which is no DNA letter.")
    return codes


def codes_at(genome: Genome, chrom: str, start: int, end: int) -> NDArray[np.uint8]:
    """Index codes of a stretch of a chromosome, 0-based half-open; N beyond its ends."""
    return codes_of(genome.fetch(chrom, start, end))
