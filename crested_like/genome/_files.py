"""Sequence files as plain text, read from start to end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from crested_like._errors import SequenceError
from crested_like.genome._support import existing_file, open_text


def read_fasta(path: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """Sequences of a FASTA file, one after the other, without an index.

    For files of model inputs; a genome is read with :class:`crested_like.Genome`.

    Parameters
    ----------
    path
        FASTA text, perhaps compressed with gzip or bgzip.

    Yields
    ------
    tuple[str, str]
        Name (the first word after ``>``) and letters as they stand in the file, line breaks removed.

    Raises
    ------
    SequenceError
        If the file has no sequence, text before the first ``>``, or a record without a name or letters; gives the line.

    Examples
    --------
    >>> dict(read_fasta("promoters.fa"))  # doctest: +SKIP
    {'promoter_1': 'ACGTTT...', 'promoter_2': 'GGCATC...'}
    """
    return _records(existing_file(path, "FASTA file"))


def _records(path: Path) -> Iterator[tuple[str, str]]:
    name: str | None = None
    header = 0
    parts: list[str] = []
    with open_text(path) as lines:
        for number, line in enumerate(lines, start=1):
            text = line.strip()
            if text.startswith(">"):
                if name is not None:
                    yield name, _joined(parts, name, path, header)
                name, parts, header = _name(text, path, number), [], number
            elif text and name is None:
                raise SequenceError(
                    f"{path} is no FASTA file: line {number:,} is {text[:40]!r}; '>' and a name must come first."
                )
            elif text:
                parts.append("".join(text.split()))
    if name is None:
        raise SequenceError(f"{path} holds no sequence: no line starts with '>'.")
    yield name, _joined(parts, name, path, header)


def _name(text: str, path: Path, number: int) -> str:
    words = text[1:].split(maxsplit=1)
    if not words:
        raise SequenceError(f"{path}, line {number:,}: a '>' without a name. Give each sequence a name.")
    return words[0]


def _joined(parts: list[str], name: str, path: Path, header: int) -> str:
    if not parts:
        raise SequenceError(f"{path}, line {header:,}: the sequence {name!r} has no letters.")
    return "".join(parts)
