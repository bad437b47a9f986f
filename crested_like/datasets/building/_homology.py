"""Which contigs are alike: those that have homologous regions in common must not be in different sets."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from crested_like._errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crested_like.genome import Region

#: A file or table; or several, by the genome or the pair of genomes that they are about.
Homology: TypeAlias = "str | os.PathLike[str] | pd.DataFrame | Mapping[Any, Any]"

_PAIRS = ("chrom1", "start1", "end1", "chrom2", "start2", "end2")
_GROUPS = ("chrom", "start", "end", "group")


def homologous(
    contigs: Mapping[str, Sequence[Region]], homology: Homology | None, min_aligned: int = 1
) -> NDArray[np.intp]:
    """Group of each contig, such that contigs with homologous regions in common are in one group.

    Parameters
    ----------
    contigs
        By genome; they must not overlap.
    homology
        Pairs of homologous regions, as BEDPE (chromosome, start, end, and the same of the other region), or groups of
        them, as BED with the group's name in the fourth column. For one genome a file or table; for several, tables of
        groups by genome, in which names mean the same, and pairs by two genomes: ``{("human", "mouse"): "a.bedpe"}``.
    min_aligned
        Bases that two contigs, or a contig and a group, must have in common.

    Returns
    -------
    numpy.ndarray
        ``(contigs,)``: a number for each, genome after genome; one group has one number.

    Raises
    ------
    DatasetError
        If a table is neither, names a genome that is not there, or none of its chromosomes is in the contigs.
    """
    places = {name: _Places(own, offset) for name, own, offset in _with_offsets(contigs)}
    union = _Union(sum(map(len, contigs.values())))
    shared: dict[Any, int] = defaultdict(int)  # bases by two contigs, or by group and contig
    for genomes, table in _tables(homology, list(contigs)):
        if len(genomes) == 2:
            for both, bases in _of_pairs(table, places[genomes[0]], places[genomes[1]]):
                shared[both] += bases
        else:
            for member, bases in _of_groups(table, places[genomes[0]]):
                shared[member] += bases
    first_of_group: dict[str, int] = {}
    for (one, other), bases in shared.items():
        if bases >= min_aligned:
            union.join(first_of_group.setdefault(one, other) if isinstance(one, str) else one, other)
    return union.roots()


def _with_offsets(contigs: Mapping[str, Sequence[Region]]) -> Iterator[tuple[str, Sequence[Region], int]]:
    offset = 0
    for name, own in contigs.items():
        yield name, own, offset
        offset += len(own)


class _Places:
    """Finds the contigs of a genome that a region overlaps."""

    def __init__(self, contigs: Sequence[Region], offset: int):
        by_chrom: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for number, contig in enumerate(contigs, start=offset):
            by_chrom[contig.chrom].append((contig.start, contig.end, number))
        self._sorted = {chrom: np.array(sorted(own)) for chrom, own in by_chrom.items()}

    def overlapping(self, chroms: pd.Series, starts: pd.Series, ends: pd.Series) -> list[list[tuple[int, int]]]:
        """For each region the contigs and how many of their bases lie in it."""
        found: list[list[tuple[int, int]]] = [[] for _ in range(len(chroms))]
        first, last = starts.to_numpy(), ends.to_numpy()
        for chrom, rows in self._sorted.items():
            at = np.flatnonzero(chroms.to_numpy() == chrom)
            low = np.searchsorted(rows[:, 1], first[at], side="right")
            high = np.searchsorted(rows[:, 0], last[at], side="left")
            for i, some in ((i, rows[a:b].tolist()) for i, a, b in zip(at, low, high, strict=True) if a < b):
                found[i] = [(number, int(min(end, last[i]) - max(start, first[i]))) for start, end, number in some]
        return found

    def check(self, chroms: pd.Series, what: str) -> None:
        if len(chroms) and not set(chroms) & set(self._sorted):
            raise DatasetError(
                f"None of the chromosomes of {what} ({chroms.iloc[0]}, ...) is among those of the contigs "
                f"({next(iter(self._sorted))}, ...). Are they named in another way, or of another genome?"
            )


class _Union:
    """Disjoint sets of numbers."""

    def __init__(self, size: int):
        self._parent = list(range(size))

    def _root(self, number: int) -> int:
        while self._parent[number] != number:
            self._parent[number] = number = self._parent[self._parent[number]]
        return number

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self._root(one), self._root(other)))
        self._parent[second] = first

    def roots(self) -> NDArray[np.intp]:
        return np.array([self._root(number) for number in range(len(self._parent))], np.intp)


def _of_pairs(table: pd.DataFrame, one: _Places, other: _Places) -> Iterator[tuple[tuple[int, int], int]]:
    one.check(table["chrom1"], "the first regions of the pairs")
    other.check(table["chrom2"], "the second regions of the pairs")
    first = one.overlapping(table["chrom1"], table["start1"], table["end1"])
    second = other.overlapping(table["chrom2"], table["start2"], table["end2"])
    for here, there in zip(first, second, strict=True):
        for contig, bases in here:
            for partner, their_bases in there:
                if contig != partner:
                    yield (min(contig, partner), max(contig, partner)), min(bases, their_bases)


def _of_groups(table: pd.DataFrame, places: _Places) -> Iterator[tuple[tuple[str, int], int]]:
    places.check(table["chrom"], "the homologous regions")
    found = places.overlapping(table["chrom"], table["start"], table["end"])
    for name, contigs in zip(table["group"], found, strict=True):
        for contig, bases in contigs:
            yield (name, contig), bases


def _tables(homology: Homology | None, genomes: list[str]) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """Each table with the one genome of its groups, or the two of its pairs."""
    if homology is None:
        return
    if not isinstance(homology, Mapping):
        if len(genomes) > 1:
            raise DatasetError(
                f"There are several genomes, {', '.join(genomes)}: give homology by genome, or pairs by two genomes, "
                f"as {{({genomes[0]!r}, {genomes[1]!r}): table}}."
            )
        table = _table(homology)
        yield tuple(genomes) * (2 if "chrom1" in table else 1), table
        return
    for key, item in homology.items():
        names = key if isinstance(key, tuple) else (key,)
        table = _table(item)
        pairs = "chrom1" in table
        if not set(names) <= set(genomes) or not 1 <= len(names) <= 2 or (len(names) == 2 and not pairs):
            raise DatasetError(
                f"homology has the key {key!r}: it must be one of the genomes {', '.join(genomes)}, or for pairs two "
                f"of them."
            )
        yield names * 2 if pairs and len(names) == 1 else names, table


def _table(source: Any) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        found = next((names for names in (_PAIRS, _GROUPS) if set(names) <= set(source.columns)), None)
        if found is None:
            raise DatasetError(
                f"A table of homologous regions needs the columns {', '.join(_PAIRS)}, or {', '.join(_GROUPS)}."
            )
        return _checked(source[list(found)].reset_index(drop=True), "The table of homologous regions")
    path = Path(source).expanduser()
    try:
        table = pd.read_csv(path, sep="\t", header=None, comment="#", dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise DatasetError(f"{path}: no table of homologous regions ({error}).") from None
    columns = _PAIRS if table.shape[1] >= 6 and _is_number(table[4]) and _is_number(table[5]) else _GROUPS
    if table.shape[1] < len(columns):
        raise DatasetError(
            f"{path} has {table.shape[1]} columns. Homologous regions are given as pairs (BEDPE: chromosome, start "
            f"and end of both) or as groups (BED, with the group's name in the fourth column)."
        )
    table = table.iloc[:, : len(columns)].set_axis(list(columns), axis=1)
    if columns == _PAIRS:  # in BEDPE, "." is a mate that is not known
        table = table[(table["chrom1"] != ".") & (table["chrom2"] != ".")]
    return _checked(table, str(path))


def _is_number(column: pd.Series) -> bool:
    return bool(column.str.fullmatch(r"-?\d+").all())


def _checked(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """Names as text and positions as numbers, or an error that gives the first bad line."""
    columns = {name: table[name].astype(str) for name in table if not str(name).startswith(("start", "end"))}
    for start, end in (("start", "end"), ("start1", "end1"), ("start2", "end2")):
        if start in table:
            pair = table[[start, end]].apply(pd.to_numeric, errors="coerce")
            wrong = ~(pair[end] > pair[start])  # also where one is no number
            if wrong.any():
                raise DatasetError(f"{what}: line {wrong.idxmax() + 1:,} has no proper {start} and {end}.")
            columns |= {name: pair[name].astype(np.int64) for name in pair}
    return pd.DataFrame(columns)
