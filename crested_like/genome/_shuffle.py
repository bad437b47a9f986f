"""DNA in random order: with the same bases, or with the same pairs of neighbours."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import positive_int
from crested_like._errors import SequenceError
from crested_like.genome._onehot import one_hot

_UNKNOWN = 4
#: Letters by code; every ambiguity letter counts as N.
_LETTERS = np.frombuffer(b"ACGTN", np.uint8)


@overload
def shuffle_dna(sequence: str, count: None = None, *, dinucleotides: bool = True, seed: Any = 0) -> str: ...
@overload
def shuffle_dna(sequence: str, count: int, *, dinucleotides: bool = True, seed: Any = 0) -> list[str]: ...
@overload
def shuffle_dna(
    sequence: NDArray[Any], count: int | None = None, *, dinucleotides: bool = True, seed: Any = 0
) -> NDArray[Any]: ...
def shuffle_dna(sequence: Any, count: int | None = None, *, dinucleotides: bool = True, seed: Any = 0) -> Any:
    """Shuffle DNA, by default so that every pair of neighbours occurs exactly as often as before.

    With ``dinucleotides``, each order with the same counts of all pairs (and hence the same first and last base) is
    equally likely: a random walk chooses the last exit from each base, the other exits are shuffled, and the exits are
    followed (Altschul & Erickson 1985, with Wilson's algorithm for the last exits). N is a letter like the others.

    Parameters
    ----------
    sequence
        DNA letters in either case, or one-hot DNA ``(L, 4)``, order A, C, G, T, rows of zeros for N.
    count
        How many shuffled sequences; default one, without a list or an axis for it.
    dinucleotides
        Keep the counts of pairs; otherwise those of single bases only.
    seed
        A number, or a :class:`numpy.random.Generator` to go on with.

    Returns
    -------
    str, list of str or numpy.ndarray
        As given: upper-case letters (ambiguity letters as N), or an array ``(L, 4)`` or ``(count, L, 4)`` of its type.

    Raises
    ------
    SequenceError
        If a letter is no DNA, or a row of an array is neither one-hot nor zeros.

    Examples
    --------
    >>> shuffle_dna("AACCAC", seed=1)
    'AACACC'
    >>> shuffle_dna("AACCAC", 2, dinucleotides=False)
    ['CCCAAA', 'ACACAC']
    """
    rng = np.random.default_rng(seed)
    codes = _codes_of_array(sequence) if isinstance(sequence, np.ndarray) else _codes_of_array(one_hot(sequence))
    shuffle = _dinucleotide_shuffle if dinucleotides else lambda codes, rng: rng.permutation(codes)
    shuffled = [shuffle(codes, rng) for _ in range(1 if count is None else positive_int("count", count))]
    if isinstance(sequence, np.ndarray):
        rows = np.vstack([np.eye(4), np.zeros((1, 4))]).astype(sequence.dtype)
        return rows[shuffled[0]] if count is None else rows[np.stack(shuffled)]
    texts = [_LETTERS[order].tobytes().decode() for order in shuffled]
    return texts[0] if count is None else texts


def _codes_of_array(x: NDArray[Any]) -> NDArray[np.intp]:
    if x.ndim != 2 or x.shape[1] != 4:
        raise SequenceError(f"One-hot DNA to be shuffled must have the shape (L, 4); got {x.shape}.")
    largest = x.max(axis=1)
    wrong = np.flatnonzero((x.sum(axis=1) != largest) | ((largest != 0) & (largest != 1)))
    if len(wrong):
        raise SequenceError(
            f"Only bases and N can be shuffled, and {len(wrong):,} of {len(x):,} rows are mixtures, the first at "
            f"position {wrong[0]:,} (0-based): {x[wrong[0]].tolist()}. Give one-hot rows, or zeros for N."
        )
    return np.where(largest == 0, _UNKNOWN, x.argmax(axis=1))


def _dinucleotide_shuffle(codes: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    if len(codes) < 4:  # one order only
        return codes
    exits = {code: codes[1:][codes[:-1] == code] for code in np.unique(codes[:-1]).tolist()}
    last = _last_exits(exits, int(codes[-1]), rng)
    following = []
    for code in range(_UNKNOWN + 1):
        nexts = exits.get(code, codes[:0])
        if code in last:
            nexts = np.delete(nexts, last[code])
            chosen = exits[code][last[code] : last[code] + 1]
            following.append(iter([*rng.permutation(nexts).tolist(), *chosen.tolist()]))
        else:
            following.append(iter(rng.permutation(nexts).tolist()))
    order = [int(codes[0])]
    for _ in range(len(codes) - 1):
        order.append(next(following[order[-1]]))
    return np.array(order, np.intp)


def _last_exits(exits: dict[int, NDArray[np.intp]], end: int, rng: np.random.Generator) -> dict[int, int]:
    """Exit by which each base but the last is left for good: a random tree towards the end (Wilson's algorithm)."""
    reached, chosen = {end}, {}
    for start in exits:
        walk, here = {}, start
        while here not in reached:
            walk[here] = int(rng.integers(len(exits[here])))  # coming by again replaces it: loops are forgotten
            here = int(exits[here][walk[here]])
        here = start
        while here not in reached:
            chosen[here] = walk[here]
            reached.add(here)
            here = int(exits[here][walk[here]])
    return chosen
