"""Motifs: what a protein binds, as IUPAC letters, as a matrix of probabilities, or from a MEME file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crested_like._errors import MotifError
from crested_like.genome._support import existing_file, listed, open_text

#: Bases that each IUPAC letter stands for, as rows of A, C, G, T.
_IUPAC = {
    letter: tuple(base in bases for base in "ACGT")
    for letter, bases in {
        **{"A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"},
        **{"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT"},
    }.items()
}
_LETTER = {bases: letter for letter, bases in _IUPAC.items()}
_ENDINGS = (".meme", ".meme.gz", ".txt", ".motif")
#: A row of probabilities may miss 1 by this much: files round.
_ROUNDING = 0.02


@dataclass(frozen=True, eq=False)
class Motif:
    """A motif by name, with the probability of each base at each of its places.

    Parameters
    ----------
    name
        What it is called.
    probabilities
        ``(width, 4)``, order A, C, G, T; each row adds up to 1.

    Raises
    ------
    MotifError
        If the matrix has another shape, or a row is no distribution.

    Examples
    --------
    >>> motif = Motif.of("TGASTCA", name="AP-1")
    >>> motif.consensus, len(motif), motif.reverse_complement().consensus
    ('TGASTCA', 7, 'TGASTCA')
    """

    name: str
    probabilities: NDArray[np.float64]
    letters: str | None = field(default=None, repr=False)
    """The IUPAC letters it was given as, where it was: then it is found by them alone."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "probabilities", _checked(self.name, self.probabilities))

    @classmethod
    def of(cls, given: str | ArrayLike | Motif, name: str | None = None) -> Motif:
        """A motif of IUPAC letters or of a matrix of probabilities, ``(width, 4)``.

        Raises
        ------
        MotifError
            If a letter is no IUPAC letter of DNA, or the matrix is no matrix of probabilities.
        """
        if isinstance(given, Motif):
            return given if name is None else Motif(name, given.probabilities, given.letters)
        if not isinstance(given, str):
            return cls(name or "motif", np.asarray(given))
        letters = given.upper()
        wrong = sorted({letter for letter in letters if letter not in _IUPAC})
        if wrong or not letters:
            raise MotifError(
                f"The motif {given!r} has {', '.join(map(repr, wrong)) or 'no letters'}; allowed are the IUPAC letters "
                f"of DNA, {' '.join(_IUPAC)}. A MEME file is given by its path."
            )
        rows = np.array([_IUPAC[letter] for letter in letters], float)
        return cls(name or given, rows / rows.sum(axis=1, keepdims=True), letters)

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def consensus(self) -> str:
        """IUPAC letters: at each place the bases at least half as likely as the likeliest."""
        return "".join(_LETTER[tuple(row)] for row in self._likely.tolist())

    @property
    def _likely(self) -> NDArray[np.bool_]:
        p = self.probabilities
        return p >= 0.5 * p.max(axis=1, keepdims=True)

    def reverse_complement(self) -> Motif:
        """The same motif on the other strand."""
        letters = None
        if self.letters is not None:
            turned = np.array([_IUPAC[letter] for letter in self.letters])[::-1, ::-1]
            letters = "".join(_LETTER[tuple(row)] for row in turned.tolist())
        return Motif(self.name, self.probabilities[::-1, ::-1], letters)

    def written_over(self, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What stands where the motif was written over some bases.

        A base that is there stays if the motif likes it at least half as much as the best base of that place, so that
        ``N`` in a spaced motif leaves the sequence as it is; otherwise the likeliest base takes its place.

        Parameters
        ----------
        codes
            ``(..., width)``, 0 to 3 for A, C, G, T and 4 for N.
        """
        likely = np.concatenate([self._likely, np.zeros((len(self), 1), bool)], axis=1)
        stays = likely[np.arange(len(self)), codes]
        return np.where(stays, codes, self.probabilities.argmax(axis=1).astype(np.uint8))


def _checked(name: str, matrix: Any) -> NDArray[np.float64]:
    matrix = np.array(matrix, np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != 4 or not len(matrix):
        hint = " Transpose it." if matrix.ndim == 2 and matrix.shape[0] == 4 else ""
        raise MotifError(
            f"The motif {name!r} must be a matrix (width, 4), order A, C, G, T; got the shape {matrix.shape}.{hint}"
        )
    sums = matrix.sum(axis=1)
    wrong = np.flatnonzero(~((matrix >= 0).all(axis=1) & (abs(sums - 1) <= _ROUNDING)))
    if wrong.size:
        row = int(wrong[0])
        raise MotifError(
            f"{len(wrong)} of {len(matrix)} rows of the motif {name!r} are no probabilities, the first is row {row}: "
            f"{matrix[row].tolist()} adds up to {sums[row]:g}. Divide counts by the sum of their row."
        )
    return matrix / sums[:, None]


def motifs_of(given: Any) -> list[Motif]:
    """Motifs of whatever stands for some.

    Parameters
    ----------
    given
        IUPAC letters, a matrix ``(width, 4)``, a :class:`Motif`, the path of a MEME file, a dict of these by name, or
        a list of these.

    Raises
    ------
    MotifError
        If something is no motif, or two have one name; names all such.

    Examples
    --------
    >>> [motif.name for motif in motifs_of({"AP-1": "TGASTCA", "ETS": "CCGGAAGT"})]
    ['AP-1', 'ETS']
    """
    if isinstance(given, Mapping):
        pairs: list[tuple[str | None, Any]] = [(str(name), item) for name, item in given.items()]
    elif isinstance(given, str | os.PathLike | Motif) or (isinstance(given, np.ndarray) and given.ndim == 2):
        pairs = [(None, given)]
    else:
        pairs = [(None, item) for item in given]
    found, problems = [], []
    for name, item in pairs:
        try:
            found += _one_or_more(item, name)
        except MotifError as error:
            problems.append(str(error))
    names = [motif.name for motif in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems.append(f"Several motifs are called {', '.join(map(repr, twice))}; give each a name of its own.")
    if not found and not problems:
        problems.append("No motif was given; at least one is needed.")
    if problems:
        raise MotifError(problems[0] if len(problems) == 1 else f"The motifs are wrong:\n{listed(problems)}")
    return found


def _one_or_more(item: Any, name: str | None) -> list[Motif]:
    if isinstance(item, os.PathLike) or (isinstance(item, str) and _is_path(item)):
        return read_meme(item)
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
        name, item = item
    return [Motif.of(item, name)]


def _is_path(text: str) -> bool:
    return os.sep in text or text.lower().endswith(_ENDINGS)


def read_meme(path: str | os.PathLike[str]) -> list[Motif]:
    """Motifs of a file in the minimal MEME format.

    Parameters
    ----------
    path
        Text, perhaps compressed; of each ``MOTIF`` its ``letter-probability matrix`` is read.

    Returns
    -------
    list of Motif
        In the file's order, named ``identifier`` or, where there is one, ``identifier alternate``.

    Raises
    ------
    MotifError
        If the file holds no motif, or a matrix is malformed; names the line.
    """
    path = existing_file(path, "Motif file")
    with open_text(path) as lines:
        found = list(_meme_motifs(path, lines))
    if not found:
        raise MotifError(f"{path} holds no motif: a MEME file has lines that start with MOTIF, each with a matrix.")
    return found


def _meme_motifs(path: Path, lines: Any) -> Iterator[Motif]:
    name: str | None = None
    rows: list[list[float]] = []
    header, started = 0, False
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if words and words[0] == "ALPHABET=" and words[1:2] != ["ACGT"]:
            raise MotifError(f"{path}, line {number:,}: the alphabet is {' '.join(words[1:])}; only ACGT is DNA.")
        if words and words[0] == "MOTIF":
            if name is not None:
                yield _of_rows(path, name, rows, header)
            name, rows, header, started = " ".join(words[1:3]) or f"motif_{number}", [], number, False
        elif line.startswith("letter-probability matrix"):
            started = True
        elif started and words and (words[0][0].isdigit() or words[0][0] in ".-+"):
            try:
                rows.append([float(word) for word in words[:4]])
            except ValueError:
                raise MotifError(f"{path}, line {number:,}: {line.strip()[:60]!r} is no row of four numbers.") from None
            if len(words) != 4:
                raise MotifError(f"{path}, line {number:,}: a row has four numbers (A, C, G, T); got {len(words)}.")
        elif started and words:
            started = False  # URL and the like
    if name is not None:
        yield _of_rows(path, name, rows, header)


def _of_rows(path: Path, name: str, rows: list[list[float]], header: int) -> Motif:
    try:
        return Motif(name, np.array(rows))
    except MotifError as error:
        raise MotifError(f"{path}, motif of line {header:,}: {error}") from None
