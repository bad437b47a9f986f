"""DNA letters as one-hot arrays, and back to the other strand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from crested_like._errors import SequenceError
from crested_like.genome._support import listed

_BASES = "ACGT"
_AMBIGUOUS = "NRYSWKMBDHV"
_ALLOWED = f"A, C, G, T, and {', '.join(_AMBIGUOUS)} for an unknown base, in either case"
_ROW_OF_UNKNOWN, _INVALID = len(_BASES), 255


def _code_table() -> bytes:
    """Byte of a letter -> row of the one-hot table."""
    table = bytearray([_INVALID]) * 256
    for letters, rows in ((_BASES, range(4)), (_AMBIGUOUS, [_ROW_OF_UNKNOWN] * len(_AMBIGUOUS))):
        for letter, row in zip(letters, rows, strict=True):
            table[ord(letter)] = table[ord(letter.lower())] = row
    return bytes(table)


_CODES = _code_table()
_ROWS = np.vstack([np.eye(4), np.zeros((1, 4))])
_COMPLEMENT = {ord(a): b for a, b in zip("ACGTNRYSWKMBDHV", "TGCANYRSWMKVHDB", strict=True)}
_COMPLEMENT |= {ord(chr(a).lower()): b.lower() for a, b in _COMPLEMENT.items()}


def one_hot(sequence: str | bytes) -> NDArray[np.float32]:
    """One-hot array of a DNA sequence.

    Parameters
    ----------
    sequence
        DNA letters in either case. N and the other IUPAC ambiguity letters (R, Y, S, W, K, M, B, D, H, V) become a
        row of zeros.

    Returns
    -------
    numpy.ndarray
        ``(L, 4)``, float32, order A, C, G, T.

    Raises
    ------
    SequenceError
        If a character is no DNA letter; names it and its 0-based position.

    Examples
    --------
    >>> one_hot("aCN").tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    codes = _codes(sequence)
    if problem := _invalid(sequence, codes):
        raise SequenceError(f"The sequence has {problem}. Allowed are {_ALLOWED}.")
    return np.take(_ROWS.astype(np.float32), np.frombuffer(codes, np.uint8), axis=0)


def one_hot_batch(sequences: Sequence[str | bytes], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """One-hot array of several DNA sequences of one length.

    Parameters
    ----------
    sequences
        DNA letters, as for :func:`one_hot`.
    dtype
        Type of the result.

    Returns
    -------
    numpy.ndarray
        ``(N, L, 4)``, order A, C, G, T.

    Raises
    ------
    SequenceError
        If a character is no DNA letter or the lengths differ; names all such sequences (0-based), up to ten.

    Examples
    --------
    >>> one_hot_batch(["ACGT", "NNNN"]).sum(axis=(1, 2)).tolist()
    [4.0, 0.0]
    """
    if isinstance(sequences, (str, bytes)):
        raise TypeError("sequences must be a list of sequences; got one. Put it in a list, or use one_hot().")
    sequences = list(sequences)
    if not sequences:
        raise SequenceError("No sequences were given; at least one is needed.")
    length = len(sequences[0])
    rows = _ROWS.astype(dtype)
    out = np.empty((len(sequences), length, 4), rows.dtype)
    problems = []
    for index, sequence in enumerate(sequences):
        codes = _codes(sequence, f"Sequence {index}")
        if problem := _invalid(sequence, codes):
            problems.append(f"Sequence {index} has {problem}.")
        elif len(codes) != length:
            problems.append(f"Sequence {index} has {len(codes):,} bases; sequence 0 has {length:,}.")
        else:
            np.take(rows, np.frombuffer(codes, np.uint8), axis=0, out=out[index], mode="clip")
    if problems:
        raise SequenceError(f"Sequences must have one length and only {_ALLOWED}:\n{listed(problems)}")
    return out


def _codes(sequence: str | bytes, what: str = "A sequence") -> bytes:
    if isinstance(sequence, str):  # a letter outside ASCII becomes one '?', which is no DNA either
        sequence = sequence.encode("ascii", "replace")
    if not isinstance(sequence, (bytes, bytearray)):
        raise TypeError(f"{what} must be a str or bytes of DNA letters; got {type(sequence).__name__}.")
    return bytes(sequence.translate(_CODES))


def _invalid(sequence: str | bytes, codes: bytes) -> str:
    """What the first letter is that is not DNA, and where; empty if there is none."""
    position = codes.find(_INVALID)
    if position < 0:
        return ""
    letter = sequence[position] if isinstance(sequence, str) else chr(sequence[position])
    note = " (U is RNA: write T)" if letter in "Uu" else ""
    return f"{letter!r} at position {position:,} (0-based){note}"


def reverse_complement(sequence: str) -> str:
    """The other strand of a DNA sequence, read 5' to 3'; IUPAC letters and case are kept.

    Raises
    ------
    SequenceError
        If a character is no DNA letter.

    Examples
    --------
    >>> reverse_complement("AACgr")
    'ycGTT'
    """
    if not isinstance(sequence, str):
        raise TypeError(f"A sequence must be a str of DNA letters; got {type(sequence).__name__}.")
    if problem := _invalid(sequence, _codes(sequence)):
        raise SequenceError(f"The sequence has {problem}. Allowed are {_ALLOWED}.")
    return sequence.translate(_COMPLEMENT)[::-1]


def reverse_complement_one_hot(x: NDArray[Any]) -> NDArray[Any]:
    """The other strand of one-hot DNA, as a new contiguous array.

    Parameters
    ----------
    x
        ``(L, 4)`` or ``(N, L, 4)``, order A, C, G, T.
    """
    return np.ascontiguousarray(_with_bases_last(x)[..., ::-1, ::-1])


def shift_one_hot(x: NDArray[Any], shift: int) -> NDArray[Any]:
    """One-hot DNA moved along its window; vacated positions are N (zeros).

    Parameters
    ----------
    x
        ``(L, 4)`` or ``(N, L, 4)``, order A, C, G, T.
    shift
        In bp; positive moves the sequence to the right, so that +2 turns ``CTCTC`` into ``NNCTC``.

    Returns
    -------
    numpy.ndarray
        A new array with the shape and type of ``x``.
    """
    x = _with_bases_last(x)
    length = x.shape[-2]
    out = np.zeros_like(x)
    kept = max(length - abs(shift), 0)
    if shift >= 0:
        out[..., length - kept :, :] = x[..., :kept, :]
    else:
        out[..., :kept, :] = x[..., length - kept :, :]
    return out


def _with_bases_last(x: NDArray[Any]) -> NDArray[Any]:
    x = np.asarray(x)
    if x.ndim not in (2, 3) or x.shape[-1] != 4:
        raise SequenceError(_wrong_shape(x.shape))
    return x


def check_one_hot(x: Any) -> NDArray[Any]:
    """Check an array that is to be given to a model as DNA.

    Rows need not be one-hot: mixtures of bases, and rows of zeros for N, are fine, and no row is made to sum to one.
    Values below zero are refused: they are no amount of a base, and mean as a rule that scores or gradients were given.

    Parameters
    ----------
    x
        ``(L, 4)`` or ``(N, L, 4)``, numbers or booleans, order A, C, G, T.

    Returns
    -------
    numpy.ndarray
        ``(N, L, 4)``; floats keep their type, anything else becomes float32.

    Raises
    ------
    SequenceError
        If the shape or type is another, or a value is negative, infinite or NaN.
    """
    x = np.asarray(x)
    if x.dtype.kind not in "biuf" and x.dtype.name != "bfloat16":  # bfloat16 is foreign to NumPy and has no kind
        raise SequenceError(f"One-hot DNA must be an array of numbers; got one of type {x.dtype}.")
    x = _with_bases_last(x)
    if x.dtype.kind != "f":
        x = x.astype(np.float32)
    if x.size and not (np.isfinite(x.min()) and np.isfinite(x.max())):
        raise SequenceError(f"One-hot DNA must be finite; {_first(~np.isfinite(x), x)}.")
    if x.size and x.min() < 0:
        raise SequenceError(f"One-hot DNA must not be negative; {_first(x < 0, x)}.")
    return x if x.ndim == 3 else x[None]


def _first(bad: NDArray[np.bool_], x: NDArray[Any]) -> str:
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{int(bad.sum()):,} of {x.size:,} values are not, the first at index {where}: {float(x[where])}"


def _wrong_shape(shape: tuple[int, ...]) -> str:
    text = f"One-hot DNA must have the shape (L, 4) or (N, L, 4), order A, C, G, T; got {shape}."
    if len(shape) in (2, 3) and shape[-2] == 4:
        swap = "x.T" if len(shape) == 2 else "x.transpose(0, 2, 1)"
        return f"{text} The bases are on the wrong axis: transpose it with {swap}."
    return text
