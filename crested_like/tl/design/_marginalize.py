"""What a motif does by itself: its effect in many backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
import pandas as pd

from crested_like._checks import one_of
from crested_like._errors import RegionError
from crested_like.genome import motifs_of
from crested_like.tl.design._backgrounds import backgrounds, spread
from crested_like.tl.design._goals import Wanted, goals_of
from crested_like.tl.design._insert import STRANDS, stranded
from crested_like.tl.design._scorer import Options, Scorer

if TYPE_CHECKING:
    from crested_like.genome import Genome


def marginalize(
    motifs: Any,
    model: keras.Model | Sequence[keras.Model],
    background: Any = None,
    genome: Genome | str | None = None,
    *,
    readout: Wanted,
    shuffles: int = 20,
    position: int | Sequence[int] | None = None,
    strands: Literal["both", "+", "-"] = "+",
    summary: bool = True,
    seed: int = 0,
    rc: bool = False,
    unstranded: bool = False,
    batch_size: int | None = None,
) -> pd.DataFrame:
    """Effect of motifs by themselves: the mean change of a readout when they are written into many backgrounds.

    Parameters
    ----------
    motifs
        As for :func:`crested_like.tl.insert_motifs`.
    model, genome, rc, unstranded, batch_size
        As for :func:`crested_like.tl.predict`.
    background
        Sequences or regions, as for :func:`crested_like.tl.predict`; default 100 random sequences of equal bases.
    readout
        A :class:`Readout`, or several as a list or a dict by name.
    shuffles
        Use so many shuffles of each background that keep its pairs of neighbours; 0 uses it as it is.
    position
        First base of the motif, or several to be tried, counted from 0; default such that it lies in the middle.
    strands
        On which strands the motifs are written.
    summary
        Give a row a motif; otherwise one for each background too.
    seed
        Of what is drawn.

    Returns
    -------
    pandas.DataFrame
        A row for each ``motif``, ``strand`` and ``position`` (and ``readout``, if there are several) with ``n``, the
        means ``before`` and ``after``, their difference ``effect``, its standard deviation ``sd`` and standard error
        ``se``, and its quantiles ``q05`` and ``q95`` over the backgrounds. With ``summary=False`` a row for each
        ``background`` as well, with ``before``, ``after`` and ``effect``.

    Raises
    ------
    MotifError
        If something is no motif.
    RegionError
        If a motif does not fit at a position.

    Examples
    --------
    >>> from crested_like import tl
    >>> tl.marginalize({"AP-1": "TGASTCA"}, model, readout=tl.Readout("liver"))  # doctest: +SKIP
    """
    goals, models = goals_of(readout), list(model) if isinstance(model, list | tuple) else [model]
    one_of("strands", strands, STRANDS)
    wanted = motifs_of(motifs)
    scorer = Scorer(models, goals, Options(rc, unstranded, batch_size))
    length = scorer.input_length
    positions = {motif.name: _positions(position, len(motif), length) for motif in wanted}
    off = [f"{motif.name!r} at {at}" for motif in wanted for at in positions[motif.name]
           if not 0 <= at <= length - len(motif)]  # fmt: skip
    if off:
        raise RegionError(f"{', '.join(off[:5])} does not fit into {length:,} bp; positions are counted from 0.")
    groups = backgrounds(background, scorer, genome, shuffles, seed)
    before = np.concatenate([scorer.values(group.codes, group.bound) for group in groups])
    names = [name for group in groups for name in group.names]
    rows: list[dict[str, Any]] = []
    for motif in wanted:
        for strand, turned in stranded(motif, strands):
            for at in positions[motif.name]:
                after = []
                for group in groups:
                    codes = group.codes.copy()
                    codes[:, at : at + len(motif)] = turned.written_over(codes[:, at : at + len(motif)])
                    after.append(scorer.values(codes, group.bound))
                head = {"motif": motif.name, "strand": strand, "position": at}
                rows += _rows(head, goals, before, np.concatenate(after), names, summary)
    return pd.DataFrame(rows)


def _positions(given: Any, width: int, length: int) -> list[int]:
    if given is None:
        return [(length - width) // 2]
    return [int(at) for at in (given if isinstance(given, Sequence | np.ndarray) else [given])]


def _rows(
    head: dict[str, Any], goals: list[Any], before: Any, after: Any, names: list[str], summary: bool
) -> list[dict[str, Any]]:
    rows = []
    for i, goal in enumerate(goals):
        told = {**head, "readout": goal.name} if len(goals) > 1 else head
        if summary:
            rows.append({**told, **spread(before[:, i], after[:, i])})
            continue
        for name, first, last in zip(names, before[:, i].tolist(), after[:, i].tolist(), strict=True):
            rows.append({**told, "background": name, "before": first, "after": last, "effect": last - first})
    return rows
