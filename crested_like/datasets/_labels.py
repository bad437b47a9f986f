"""Which windows or regions are in which split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crested_like._errors import DatasetError
from crested_like.datasets._source import as_labels

#: A label for every region; chromosomes by label, the rest being "train"; or the name of a column.
Labels: TypeAlias = "Sequence[str] | Mapping[str, str | Sequence[str]] | str"
REST = "train"
_USUAL = ("label", "split")


def labels_of(chroms: Sequence[str], labels: Labels | None, table: Any = None) -> list[str]:
    """The label of every region.

    Parameters
    ----------
    chroms
        Chromosome of every region.
    labels
        As given by a user; None for the column ``label`` or ``split`` of the table, or ``train`` for all.
    table
        The table that the regions came in, if it was one.

    Raises
    ------
    DatasetError
        If numbers differ, there is no such column, or a chromosome that is named has no region.
    """
    if labels is None or isinstance(labels, str):
        labels = _column(table, labels)
    if isinstance(labels, Mapping):
        label_of = {chrom: label for label, group in labels.items() for chrom in as_labels(group)}
        if idle := set(label_of) - set(chroms):
            raise DatasetError(f"No region lies on {', '.join(sorted(idle))}, which labels= names.")
        return [label_of.get(chrom, REST) for chrom in chroms]
    if len(labels) != len(chroms):
        raise DatasetError(f"There are {len(chroms):,} regions, but labels for {len(labels):,}.")
    return list(map(str, labels))


def _column(table: Any, name: str | None) -> list[str] | dict[str, str]:
    """Labels in a column of a table; where none is named and none looks like it, no labels."""
    columns = list(getattr(table, "columns", ()))
    name = name or next((usual for usual in _USUAL if usual in columns), None)
    if name is None:
        return {}
    if name not in columns:
        known = ", ".join(map(str, columns)) or "none"
        raise DatasetError(f"The table of regions has no column {name!r}; its columns: {known}.")
    return [str(label) for label in table[name]]


def rows_by_label(labels: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """Rows of each label, labels in the order of their first row."""
    column = np.asarray(labels)
    return {label: np.flatnonzero(column == label) for label in dict.fromkeys(labels)}
