"""Motifs written into sequences where they do most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like._checks import int_at_least, one_of, positive_int
from crested_like._errors import RegionError
from crested_like.genome import Motif, motifs_of
from crested_like.tl.design._designs import Designs, described
from crested_like.tl.design._goals import Wanted, best_first, goals_of
from crested_like.tl.design._member import Change, Member, Step
from crested_like.tl.design._scorer import Options, Scorer
from crested_like.tl.design._starts import changeable, starts_of, text_of

if TYPE_CHECKING:
    from crested_like.genome import Genome
    from crested_like.tl.readout._bound import BoundReadout

STRANDS = ("both", "+", "-")


def insert_motifs(
    input: Any,
    model: keras.Model | Sequence[keras.Model],
    genome: Genome | str | None = None,
    *,
    motifs: Any,
    readout: Wanted,
    copies: int = 1,
    order: Literal["given", "best"] = "given",
    strands: Literal["both", "+", "-"] = "both",
    spacing: int | tuple[int, int] = 0,
    step: int = 1,
    protect: Any = None,
    within: Any = None,
    rc: bool = False,
    unstranded: bool = False,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> Designs:
    """Write motifs into sequences, one after the other, each where the model likes it best.

    Motifs replace bases, so that the length stays; a base that fits an IUPAC letter or is likely in a matrix stays as
    it is. What has been inserted is not written over again.

    Parameters
    ----------
    input, model, genome, readout, protect, within, rc, unstranded, batch_size, progress
        As for :func:`crested_like.tl.evolve`. No base of a motif may be protected, even one that would not change.
    motifs
        IUPAC letters, a matrix of probabilities ``(width, 4)``, a :class:`~crested_like.genome.Motif`, the path of a
        MEME file, or a list or dict of these.
    copies
        How often each motif is inserted.
    order
        ``"given"``: in their order; ``"best"``: each time the motif that brings most.
    strands
        On which strands motifs may lie.
    spacing
        Bases at least between inserted motifs; or the fewest and the most to the nearest one.
    step
        Try every so many bases only.

    Returns
    -------
    Designs
        Its history says motif, place and strand of each insertion.

    Raises
    ------
    MotifError
        If something is no motif.
    RegionError
        If there is no place for a motif.

    Examples
    --------
    >>> from crested_like import tl
    >>> designs = tl.insert_motifs(start, model, motifs={"AP-1": "TGASTCA"}, readout=readout)  # doctest: +SKIP
    """
    goals, models = goals_of(readout), list(model) if isinstance(model, list | tuple) else [model]
    rules = _Rules(
        order=one_of("order", order, ("given", "best")),
        strands=one_of("strands", strands, STRANDS),
        spacing=_spacing(spacing),
        step=positive_int("step", step),
    )
    wanted = [motif for motif in motifs_of(motifs) for _ in range(positive_int("copies", copies))]
    scorer = Scorer(models, goals, Options(rc, unstranded, batch_size))
    starts = starts_of(input, scorer.input_length, genome)
    masks = [
        changeable(codes, window, protect, within, name)
        for codes, window, name in zip(starts.codes, starts.windows, starts.names, strict=True)
    ]
    bound = [scorer.bind(window) for window in starts.windows]
    firsts, designs = [], []
    with _bar(len(starts.names) * len(wanted), progress) as bar:
        for number, name in enumerate(starts.names):
            codes = starts.codes[number]
            firsts.append(Member(codes, scorer.values(codes[None], bound[number])[0]))
            designs.append(_with_motifs(firsts[-1], wanted, masks[number], scorer, bound[number], rules, name, bar))
    settings = {**vars(rules), "motifs": [m.name for m in wanted], "goals": described(goals, bound[0])}
    return Designs.of(starts.names, [text_of(codes) for codes in starts.codes], firsts, designs, goals, settings)


@dataclass(frozen=True, kw_only=True)
class _Rules:
    order: str
    strands: str
    spacing: tuple[int, int | None]
    step: int


def _spacing(given: int | tuple[int, int]) -> tuple[int, int | None]:
    if isinstance(given, tuple | list):
        if len(given) != 2 or given[0] > given[1]:
            raise ValueError(
                f"spacing is a number of bases or the fewest and the most, such as (5, 20); got {given!r}."
            )
        return int_at_least("spacing", given[0], 0), int_at_least("spacing", given[1], 0)
    return int_at_least("spacing", given, 0), None


def stranded(motif: Motif, strands: str) -> list[tuple[str, Motif]]:
    """The motif as it reads on each of the strands asked for."""
    both = [("+", motif), ("-", motif.reverse_complement())]
    return [(strand, turned) for strand, turned in both if strands in ("both", strand)]


def _with_motifs(
    member: Member,
    wanted: list[Motif],
    may: NDArray[np.bool_],
    scorer: Scorer,
    bound: list[BoundReadout],
    rules: _Rules,
    name: str,
    bar: Any,
) -> Member:
    left, taken = list(wanted), []
    while left:
        tried = []
        distinct = {motif.name: motif for motif in (left if rules.order == "best" else left[:1])}
        for motif in distinct.values():
            starts = _free(len(motif), may, taken, rules)
            for strand, turned in stranded(motif, rules.strands) if starts.size else ():
                windows = np.lib.stride_tricks.sliding_window_view(member.codes, len(motif))[starts]
                texts = turned.written_over(windows)
                values = scorer.rewritten(member.codes, starts, texts, bound)
                i = best_first(values, scorer.goals)[0]
                tried.append((motif, strand, int(starts[i]), texts[i], values[i]))
        if not tried:
            raise RegionError(
                f"There is no place in {name!r} for {' or '.join(map(repr, distinct))} after {len(taken)} insertions: "
                f"allow more with within=, protect= or spacing=."
            )
        motif, strand, start, text, values = tried[best_first(np.stack([one[-1] for one in tried]), scorer.goals)[0]]
        member = _written(member, len(member.path), start, text, f"{motif.name} {strand}", values)
        taken.append((start, start + len(motif)))
        left.remove(motif)
        bar.update(1)
    return member


def _free(width: int, may: NDArray[np.bool_], taken: list[tuple[int, int]], rules: _Rules) -> NDArray[np.intp]:
    """Where a motif may begin."""
    if width > len(may):
        return np.empty(0, np.intp)
    starts = np.flatnonzero(np.lib.stride_tricks.sliding_window_view(may, width).all(axis=1))[:: rules.step]
    if not taken:
        return starts
    gaps = np.stack([np.maximum(start - (starts + width), starts - end) for start, end in taken]).min(axis=0)
    fewest, most = rules.spacing
    return starts[(gaps >= fewest) & (gaps <= (np.inf if most is None else most))]


def _written(member: Member, round: int, start: int, text: Any, what: str, values: NDArray[np.float64]) -> Member:
    codes = member.codes.copy()
    change = Change(start, text_of(codes[start : start + len(text)]), text_of(text), what)
    codes[start : start + len(text)] = text
    return Member(codes, values, (*member.path, Step(round, (change,), tuple(values.tolist()))))


def _bar(total: int, progress: bool | None) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=total, desc="inserting", unit="motif", disable=None if progress is None else not progress)
