"""What comes out of a design."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crested_like._atomic import atomic_path
from crested_like.tl.design._goals import Goal, broken_by, scores_of
from crested_like.tl.design._member import Member
from crested_like.tl.design._starts import text_of

if TYPE_CHECKING:
    from crested_like.tl.readout._bound import BoundReadout

_LINE = 60


@dataclass(frozen=True)
class Designs:
    """Designed sequences, what they are worth, and how they came about.

    ``table`` has a row a sequence: ``name``, ``score_before``, ``score``, each goal before (``..._before``) and now,
    ``broken`` (how far its bounds are broken, where there are any), ``changes`` (bases that differ from the start) and
    ``sequence``. ``history`` has a row a change: ``name``, ``round`` (from 1), ``start`` (0-based), ``before``,
    ``after``, ``motif`` and ``strand`` (of what was inserted), and score and goals after that round.
    """

    table: pd.DataFrame
    history: pd.DataFrame
    starts: list[str] = field(repr=False)
    """The sequences that were begun with."""
    settings: dict[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def of(
        cls,
        names: list[str],
        starts: list[str],
        firsts: list[Member],
        designs: list[Member],
        goals: list[Goal],
        settings: dict[str, Any],
    ) -> Designs:
        """Put together what became of each sequence."""
        before, now = (np.stack([member.values for member in members]) for members in (firsts, designs))
        columns: dict[str, Any] = {"name": names}
        columns |= {"score_before": scores_of(before, goals), "score": scores_of(now, goals)}
        for i, goal in enumerate(goals):
            columns |= {f"{goal.name}_before": before[:, i], str(goal.name): now[:, i]}
        if any(goal.at_least is not None or goal.at_most is not None for goal in goals):
            columns["broken"] = broken_by(now, goals)
        columns["changes"] = [
            int((first.codes != last.codes).sum()) for first, last in zip(firsts, designs, strict=True)
        ]
        columns["sequence"] = [text_of(member.codes) for member in designs]
        return cls(pd.DataFrame(columns), _history(names, designs, goals), starts, settings)

    @property
    def names(self) -> list[str]:
        """What the sequences are called."""
        return self.table["name"].tolist()

    @property
    def sequences(self) -> list[str]:
        """The designed sequences."""
        return self.table["sequence"].tolist()

    def __len__(self) -> int:
        return len(self.table)

    def to_fasta(self, path: str | os.PathLike[str]) -> None:
        """Write the designed sequences, each with its score before and now in its header."""
        with atomic_path(path) as part, part.open("w") as file:
            for row in self.table.itertuples():
                file.write(f">{row.name} score={row.score:.6g} before={row.score_before:.6g} changes={row.changes}\n")
                file.writelines(row.sequence[i : i + _LINE] + "\n" for i in range(0, len(row.sequence), _LINE))

    def to_tsv(self, path: str | os.PathLike[str]) -> None:
        """Write the table, tab-separated."""
        write_tsv(self.table, path)

    def history_to_tsv(self, path: str | os.PathLike[str]) -> None:
        """Write the history of changes, tab-separated."""
        write_tsv(self.history, path)


def write_tsv(table: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table, tab-separated, whole or not at all."""
    with atomic_path(path) as part:
        table.to_csv(part, sep="\t", index=False)


def _history(names: list[str], designs: list[Member], goals: list[Goal]) -> pd.DataFrame:
    rows = []
    for name, member in zip(names, designs, strict=True):
        for step in member.path:
            values = np.array([step.values])
            after = {"score": float(scores_of(values, goals)[0])}
            after |= {str(goal.name): value for goal, value in zip(goals, step.values, strict=True)}
            for change in step.changes:
                motif, _, strand = change.what.rpartition(" ")
                place = {"start": change.start, "before": change.before, "after": change.after}
                rows.append({"name": name, "round": step.round + 1, **place, "motif": motif, "strand": strand, **after})
    columns = ["name", "round", "start", "before", "after", "motif", "strand", "score", *[g.name for g in goals]]
    return pd.DataFrame(rows, columns=columns)


def described(goals: list[Goal], bound: list[BoundReadout]) -> list[dict[str, Any]]:
    """Goals in plain values."""
    return [
        {"name": g.name, "weight": g.weight, "at_least": g.at_least, "at_most": g.at_most, **b.describe()}
        for g, b in zip(goals, bound, strict=True)
    ]
