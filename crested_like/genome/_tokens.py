"""DNA letters as token ids, for networks that read k-mers or single bases from an embedding table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import did_you_mean, positive_int
from crested_like._errors import SequenceError
from crested_like.genome._support import listed

_BASES = "ATCG"  # the vocabularies' own order, not the alphabetical one
_N, _OTHER = 4, 5  # digits of the letter N, and of what is neither a base nor N
_LARGEST_K = 15  # ids of longer k-mers do not fit in int32
_DIGITS = bytes((_BASES + "N").find(chr(code)) % (_OTHER + 1) for code in range(256))  # find() says -1 for others
_HELP = (
    "Allowed are A, C, G, T and N in upper case: use sequence.upper(), and write T for U and N for any other letter."
)
_IDS_OF_ROWS = (10, 12, 13, 11)  # of the single-base tokenizer, in the order of one-hot DNA: A, C, G, T


@dataclass(frozen=True)
class Tokenizer:
    """The vocabulary of a network that reads tokens, and the rule that cuts DNA into them.

    A sequence is split at every N. Each piece is cut into non-overlapping k-mers from its left end, and what is left
    of it, fewer than k letters, into single bases; every N is a token of its own. :func:`tokenizer` makes the
    tokenizers of published models (Dalla-Torre et al. 2024, Nucleotide Transformer, Methods).

    Parameters
    ----------
    name
        As given to :func:`tokenizer`.
    k
        Letters of a k-mer, at most 15.
    first_kmer
        Id of the k-mer of k A's. The others follow with the last letter fastest, in the order A, T, C, G; then come
        the single bases A, T, C, G, then N.
    eos_id, bos_id
        Ids of ``<eos>`` and ``<bos>``, which ``encode`` never gives.
    adds_special
        Whether ``<cls>`` goes before a sequence, and ``<pad>`` after one that is shorter than its batch.

    Examples
    --------
    >>> v2 = tokenizer("v2_6mer")
    >>> v2.encode("ATTCCGTN").tolist()
    [3, 369, 4103, 4106]
    >>> v2.tokens([3, 369, 4103, 4106])
    ['<cls>', 'ATTCCG', 'T', 'N']
    """

    name: str
    k: int
    first_kmer: int
    eos_id: int
    bos_id: int
    adds_special: bool = True

    def __post_init__(self) -> None:
        if positive_int("k", self.k) > _LARGEST_K:
            raise ValueError(f"k must be at most {_LARGEST_K}, or ids do not fit in int32; got {self.k}.")

    @property
    def special_ids(self) -> dict[str, int]:
        """Ids of ``<unk>``, ``<pad>``, ``<mask>``, ``<cls>``, ``<eos>`` and ``<bos>``."""
        return {"<unk>": 0, "<pad>": 1, "<mask>": 2, "<cls>": 3, "<eos>": self.eos_id, "<bos>": self.bos_id}

    @property
    def base_ids(self) -> dict[str, int]:
        """Ids of the single letters A, T, C, G and N."""
        first = self.first_kmer + 4**self.k
        return {letter: first + place for place, letter in enumerate(_BASES + "N")}

    @property
    def pad_id(self) -> int:
        """Id of ``<pad>``, which fills up the shorter sequences of a batch."""
        return self.special_ids["<pad>"]

    @property
    def mask_id(self) -> int:
        """Id of ``<mask>``, which stands for a token that is to be predicted."""
        return self.special_ids["<mask>"]

    @property
    def cls_id(self) -> int:
        """Id of ``<cls>``, the first token of every sequence where ``adds_special``."""
        return self.special_ids["<cls>"]

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest id.

        The embedding tables of the v1 models have two rows less: they leave out ``<eos>`` and ``<bos>``, the last ids.
        """
        return 1 + max(self.base_ids["N"], self.eos_id, self.bos_id)

    def encode(self, sequence: str | bytes) -> NDArray[np.int32]:
        """Token ids of a DNA sequence.

        Parameters
        ----------
        sequence
            A, C, G, T and N, in upper case. A k-mer may also be the name of a special token, such as ``<mask>``, if
            it is as long as a k-mer and stands where one is cut.

        Returns
        -------
        numpy.ndarray
            ``(T,)``, int32; the first is ``<cls>`` where ``adds_special``.

        Raises
        ------
        SequenceError
            If a token is not in the vocabulary; names it and its 0-based position. No letter is read as ``<unk>``.

        Examples
        --------
        >>> tokenizer("single_base").encode("ATCGN").tolist()
        [10, 11, 12, 13, 14]
        """
        ids, problem = self._encode(sequence)
        if problem:
            raise SequenceError(f"The sequence has {problem}. {_HELP}")
        return ids

    def encode_batch(self, sequences: Sequence[str | bytes], length: int | None = None) -> NDArray[np.int32]:
        """Token ids of several DNA sequences, padded on the right.

        Parameters
        ----------
        sequences
            As for :meth:`encode`.
        length
            Tokens of every row, ``<cls>`` included; without it those of the longest sequence.

        Returns
        -------
        numpy.ndarray
            ``(N, T)``, int32, ``<pad>`` after the shorter ones.

        Raises
        ------
        SequenceError
            If a token is not in the vocabulary, a sequence has more than ``length`` tokens, or one has fewer than
            the others and the tokenizer does not pad; names all such sequences (0-based), up to ten.

        Examples
        --------
        >>> tokenizer("v2_6mer").encode_batch(["ATTCCGATTCCG", "ATTCCG"], length=4).tolist()
        [[3, 369, 369, 1], [3, 369, 1, 1]]
        """
        if isinstance(sequences, (str, bytes)):
            raise TypeError("sequences must be a list of sequences; got one. Put it in a list, or use encode().")
        if length is not None:
            length = positive_int("length", length)
        encoded = [self._encode(sequence, f"Sequence {index}") for index, sequence in enumerate(sequences)]
        if not encoded:
            raise SequenceError("No sequences were given; at least one is needed.")
        if problems := [f"Sequence {index} has {problem}." for index, (_, problem) in enumerate(encoded) if problem]:
            raise SequenceError(f"Sequences have tokens that {self.name} does not know. {_HELP}\n{listed(problems)}")
        rows = [ids for ids, _ in encoded]
        out = np.full((len(rows), self._common_length(rows, length)), self.pad_id, np.int32)
        for row, ids in zip(out, rows, strict=True):
            row[: len(ids)] = ids
        return out

    def tokens(self, ids: Any) -> list[str]:
        """The strings that token ids stand for; joined, those without ``<cls>`` and ``<pad>`` are the sequence.

        Parameters
        ----------
        ids
            ``(T,)``, integers.

        Raises
        ------
        SequenceError
            If an id is not in the vocabulary, or the shape or type is another.
        """
        ids = _integers(ids)
        if ids.ndim != 1:
            raise SequenceError(f"ids must have the shape (T,); got {ids.shape}. Give one row of a batch at a time.")
        if (bad := (ids < 0) | (ids >= self.vocabulary_size)).any():
            raise SequenceError(f"{self.name} has the ids 0 to {self.vocabulary_size - 1:,}; {_first(bad, ids)}.")
        distinct, which = np.unique(ids, return_inverse=True)
        strings = [self._token(int(token_id)) for token_id in distinct]
        return [strings[place] for place in which]

    def _token(self, token_id: int) -> str:
        names = {number: name for name, number in (self.special_ids | self.base_ids).items()}
        if token_id in names:
            return names[token_id]
        index = token_id - self.first_kmer
        return "".join(_BASES[index // 4**power % 4] for power in reversed(range(self.k)))

    def _encode(self, sequence: str | bytes, what: str = "A sequence") -> tuple[NDArray[np.int32], str]:
        """Ids, and what the first token is that is not in the vocabulary; empty if there is none."""
        digits = _digits(sequence, what)
        at, is_kmer = self._cut(digits)
        ids = np.array([*self.base_ids.values(), 0], np.int32)[digits[at]]
        index = np.zeros(np.count_nonzero(is_kmer), np.int32)
        for place in range(self.k):
            index = 4 * index + digits[at[is_kmer] + place]
        ids[is_kmer] = self.first_kmer + index
        others = np.flatnonzero(digits == _OTHER)
        for token in np.unique(np.searchsorted(at, others, side="right") - 1):
            start = int(at[token])
            text = _text(sequence, start, start + (self.k if is_kmer[token] else 1))
            if text not in self.special_ids:
                return ids, _unknown(text, start, int(others[np.searchsorted(others, start)]) - start)
            ids[token] = self.special_ids[text]
        return (np.append(np.int32(self.cls_id), ids) if self.adds_special else ids), ""

    def _cut(self, digits: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Where each token starts, and whether it is a k-mer; the others are one letter."""
        ends = np.append(np.flatnonzero(digits == _N), len(digits))  # of the pieces between N's
        starts = np.append(0, ends[:-1] + 1)
        kmers = (ends - starts) // self.k
        if self.k == 1:  # a 1-mer is spelled like a single base, and the later of the two ids holds
            kmers[:] = 0
        counts = ends - starts - kmers * (self.k - 1) + 1  # tokens of a piece and the N behind it
        nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)  # token of its piece
        kmers = np.repeat(kmers, counts)
        at = np.repeat(starts, counts) + nth + (self.k - 1) * np.minimum(nth, kmers)
        return at[:-1], (nth < kmers)[:-1]  # no N is behind the last piece

    def _common_length(self, rows: Sequence[NDArray[np.int32]], length: int | None) -> int:
        """Tokens of each row of a batch, or an error if not all rows can have as many."""
        longest = max(map(len, rows))
        wanted = longest if length is None else length
        given = f"length is {wanted:,}" if length is not None else f"the longest has {wanted:,}"
        counted = " with <cls>" if self.adds_special else ""
        problems = [
            f"Sequence {index} has {len(ids):,} tokens{counted}; {given}."
            for index, ids in enumerate(rows)
            if len(ids) > wanted or (len(ids) < wanted and not self.adds_special)
        ]
        if not problems:
            return wanted
        if longest > wanted:
            raise SequenceError(
                f"Sequences are too long. Trim them, or give a length of {longest:,}:\n{listed(problems)}"
            )
        raise SequenceError(
            f"{self.name} does not pad, as its networks would read <pad> as a base. "
            f"Fill the sequences up with the letter N:\n{listed(problems)}"
        )


def tokenizer(name: str) -> Tokenizer:
    """Tokenizer of a published family of models.

    The v1 and v2 vocabularies differ by an offset of 2, so that the wrong one fails silently: ``ATTCCG`` is 367 in
    ``v1_6mer`` and 369 in ``v2_6mer``.

    Parameters
    ----------
    name
        ``v1_6mer`` for the v1 Nucleotide Transformers, ``v2_6mer`` for the v2 ones and SegmentNT (``v2_3mer`` and so
        on for other k), ``single_base`` for SegmentEnformer and SegmentBorzoi, which take its ids as one-hot rows
        (:func:`one_hot_of_tokens`) and have neither ``<cls>`` nor ``<pad>``.

    Raises
    ------
    ValueError
        If there is no such tokenizer.

    Examples
    --------
    >>> tokenizer("v1_6mer").encode("ATTCCG").tolist(), tokenizer("v2_6mer").encode("ATTCCG").tolist()
    ([3, 367], [3, 369])
    """
    if name == "v1_6mer":
        return Tokenizer(name, k=6, first_kmer=4, eos_id=4105, bos_id=4106)
    if name == "single_base":
        return Tokenizer(name, k=1, first_kmer=6, eos_id=4, bos_id=5, adds_special=False)
    if found := re.fullmatch("v2_([1-9][0-9]*)mer", str(name)):
        return Tokenizer(name, k=int(found[1]), first_kmer=6, eos_id=4, bos_id=5)
    hint = did_you_mean(str(name), ("v1_6mer", "v2_6mer", "v2_3mer", "single_base"))
    raise ValueError(
        f"name must be 'v1_6mer', 'single_base', or 'v2_{{k}}mer' with a k from 1 to {_LARGEST_K}, such as 'v2_6mer'; "
        f"got {name!r}.{hint}"
    )


def one_hot_of_tokens(ids: Any) -> NDArray[np.float32]:
    """One-hot DNA from the ids of the ``single_base`` tokenizer (SegmentEnformer and SegmentBorzoi).

    Parameters
    ----------
    ids
        ``(L,)`` or ``(N, L)``, integers: A 10, T 11, C 12, G 13, N 14.

    Returns
    -------
    numpy.ndarray
        ``(L, 4)`` or ``(N, L, 4)``, float32, order A, C, G, T; N is a row of zeros.

    Raises
    ------
    SequenceError
        If an id is another, such as ``<pad>``, or the shape or type is another.

    Examples
    --------
    >>> one_hot_of_tokens([10, 11, 14]).tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """
    ids = _integers(ids)
    if ids.ndim not in (1, 2):
        raise SequenceError(f"ids must have the shape (L,) or (N, L); got {ids.shape}.")
    if (bad := (ids < 10) | (ids > 14)).any():
        raise SequenceError(
            f"ids must be those of bases in the single_base tokenizer, 10 to 14; {_first(bad, ids)}. "
            f"Make them with tokenizer('single_base'), and pad sequences with the letter N, not with <pad>."
        )
    return (ids[..., None] == np.array(_IDS_OF_ROWS)).astype(np.float32)


def _digits(sequence: str | bytes, what: str) -> NDArray[np.uint8]:
    """Digits of a sequence's letters, one a character."""
    if isinstance(sequence, str):  # a letter outside ASCII becomes one '?', which is no DNA either
        sequence = sequence.encode("ascii", "replace")
    if not isinstance(sequence, (bytes, bytearray)):
        raise TypeError(f"{what} must be a str or bytes of DNA letters; got {type(sequence).__name__}.")
    return np.frombuffer(sequence.translate(_DIGITS), np.uint8)


def _text(sequence: str | bytes, start: int, end: int) -> str:
    part = sequence[start:end]
    return part if isinstance(part, str) else part.decode("latin-1")  # one character a byte


def _unknown(text: str, start: int, place: int) -> str:
    """What is wrong with a token, whose first bad letter is at ``place``."""
    letter = f", because of {text[place]!r} at position {start + place:,}" if len(text) > 1 else ""
    return f"the unknown token {text!r} at position {start:,} (0-based){letter}"


def _integers(ids: Any) -> NDArray[Any]:
    ids = np.asarray(ids)
    if ids.size and ids.dtype.kind not in "iu":
        raise SequenceError(f"Token ids must be integers; got values of type {ids.dtype}.")
    return ids.astype(np.int64)


def _first(bad: NDArray[np.bool_], ids: NDArray[Any]) -> str:
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    place = where if len(where) > 1 else where[0]
    return f"{int(bad.sum()):,} of {bad.size:,} ids are not, the first at index {place}: {int(ids[where])}"
