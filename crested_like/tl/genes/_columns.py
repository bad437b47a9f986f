"""Columns of a table of genes: tracks, or pairs of tracks of which a gene takes the one of its own strand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from crested_like._track_fields import described

if TYPE_CHECKING:
    import pandas as pd

Strand = Literal["same", "both"]


@dataclass(frozen=True)
class Columns:
    """Where the values of each column come from.

    Attributes
    ----------
    labels
        Identifiers, or numbers where none are known.
    descriptions
        What the tracks are.
    plus, minus
        For genes of either strand the track among those predicted, ``(columns,)``; -1 where there is none.
    """

    labels: list[Any]
    descriptions: list[str]
    plus: NDArray[np.intp]
    minus: NDArray[np.intp]

    def of_gene(self, values: NDArray[np.float64], strand: str, *, largest: bool) -> NDArray[np.float64]:
        """One gene's values by column, from those by track; of a gene without a strand both count.

        Parameters
        ----------
        values
            ``(tracks,)``.
        strand
            The gene's: ``"+"``, ``"-"`` or ``"."``.
        largest
            Whether values are maxima rather than sums or means, for genes without a strand.
        """
        padded = np.append(values, np.nan)
        plus, minus = padded[self.plus], padded[self.minus]
        if strand == "+":
            return plus
        if strand == "-":
            return minus
        both = np.maximum(plus, minus) if largest else plus + minus
        return np.where(self.plus == self.minus, plus, both)


def columns_of(tracks: NDArray[np.intp], table: pd.DataFrame | None, strand: Strand) -> Columns:
    """Columns for some output channels.

    Parameters
    ----------
    tracks
        Output channels that are predicted.
    table
        The model's track table, if it is known.
    strand
        ``"both"``: every track is a column. ``"same"``: two tracks that are each other's opposite strand are one
        column, and one of them alone is a column that genes of the other strand have no value in.
    """
    each = np.arange(len(tracks))
    if table is None:
        return Columns(tracks.tolist(), [""] * len(tracks), each, each)
    rows = described(table).iloc[tracks]
    names, texts = rows["identifier"].tolist(), rows["description"].tolist()
    if strand == "both":
        return Columns(names, texts, each, each)
    strands, pairs = rows["strand"].tolist(), _partners(tracks, rows)
    labels, descriptions, plus, minus = [], [], [], []
    for i, sign in enumerate(strands):
        j = pairs[i]
        if sign != "." and 0 <= j < i:
            continue  # in the column of its partner
        labels.append(_stem(names[i], names[j]) if sign != "." and j >= 0 else names[i])
        descriptions.append(texts[i])
        plus.append({"+": i, "-": j}.get(sign, i))
        minus.append({"+": j, "-": i}.get(sign, i))
    return Columns(labels, descriptions, np.array(plus, np.intp), np.array(minus, np.intp))


def _partners(tracks: NDArray[np.intp], rows: pd.DataFrame) -> list[int]:
    """For each track the place of its opposite strand among them, or -1."""
    place = {name: i for i, name in reversed(list(enumerate(rows["identifier"])))}
    if "strand_pair" in rows:
        channel = {number: i for i, number in reversed(list(enumerate(tracks.tolist())))}
        return [channel.get(partner, -1) for partner in rows["strand_pair"].tolist()]
    turned = [name[:-1] + {"+": "-", "-": "+"}.get(name[-1:], "") for name in rows["identifier"]]
    return [place.get(name, -1) for name in turned]


def _stem(name: str, other: str) -> str:
    """What two tracks of opposite strands have in common: ``RNA`` of ``RNA+`` and ``RNA-``."""
    return name[:-1] if name[:-1] and name[:-1] == other[:-1] else name
