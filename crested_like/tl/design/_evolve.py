"""In-silico evolution: sequences that change base by base towards a goal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np

from crested_like._checks import int_at_least, one_of, positive_int
from crested_like.tl.design._designs import Designs, described
from crested_like.tl.design._goals import Wanted, best_first, broken_by, goals_of, scores_of
from crested_like.tl.design._member import Member
from crested_like.tl.design._propose import PROPOSALS, Proposer
from crested_like.tl.design._scorer import Options, Scorer
from crested_like.tl.design._starts import changeable, starts_of, text_of
from crested_like.tl.design._state import State

if TYPE_CHECKING:
    from crested_like.genome import Genome
    from crested_like.tl.readout._bound import BoundReadout


def evolve(
    input: Any,
    model: keras.Model | Sequence[keras.Model],
    genome: Genome | str | None = None,
    *,
    readout: Wanted,
    rounds: int = 20,
    mutations: int = 1,
    propose: Literal["all", "random", "gradient"] = "all",
    candidates: int | None = None,
    protect: Any = None,
    within: Any = None,
    beam: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    rc: bool = False,
    unstranded: bool = False,
    batch_size: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Designs:
    """Change sequences base by base so that a readout rises, or several reach what is wanted of them.

    In each round substitutions are proposed, the model predicts each of them, and the best are kept. A sequence is
    done when no proposal makes it better, or after ``rounds``. The same call gives the same designs.

    Parameters
    ----------
    input, model, genome
        As for :func:`crested_like.tl.predict`: the sequences to begin with, such as ``genome.random_dna(...)`` or
        regions; one model, or several whose mean counts. Bases that are N stay so.
    readout
        A :class:`Readout` that is to be raised; a :class:`Goal` of one with a weight or bounds; or several, as a list
        or as a dict by name.
    rounds
        Rounds at most.
    mutations
        Substitutions a round at most: the best at as many places are made together where that is better than the
        best one alone.
    propose
        ``"all"``: every substitution of every base that may change; ``"random"``: ``candidates`` of these, drawn anew
        each round; ``"gradient"``: the ``candidates`` of which the gradient promises most, for models that are too
        large for the others.
    candidates
        Substitutions predicted a round for ``"random"`` and ``"gradient"``; default 64.
    protect, within
        Bases that must stay, and those among which all changes are made: a boolean mask ``(L,)``; pairs
        ``(start, end)``, 0-based half-open offsets from the first base; or regions of the genome.
    beam
        Sequences carried from round to round for each that is given; the best of them is the design.
    temperature
        Above 0, each round draws one proposal with a chance proportional to ``exp(score / temperature)``, of those
        that break no bound further, and the best sequence met on the way is the design. It leaves hills that a greedy
        choice stays on; it goes with ``beam=1`` and ``mutations=1``.
    seed
        Of everything that is drawn.
    rc, unstranded
        Average predictions over both strands, as for :func:`crested_like.tl.predict`.
    batch_size
        Sequences computed at a time; default as many as fit safely into memory.
    checkpoint
        A ``.json`` file that is written after each round. If it is there and of the same call, the evolution goes on
        from it, and ends as it would have without the interruption.
    progress
        Show a progress bar; by default only in a terminal.

    Returns
    -------
    Designs
        The sequences, a table of what became of each, and the history of changes.

    Raises
    ------
    ValueError
        If settings exclude each other.
    RegionError
        If protected places lie outside a sequence, or nothing may change.
    TrackError, GeometryError
        If a readout does not fit the model, or gives more than one number a sequence.
    GradientError
        If gradients are asked for where there are none.
    ResumeError
        If the checkpoint is of another call.

    Examples
    --------
    >>> import crested_like as crested
    >>> from crested_like import tl
    >>> start = crested.genome.random_dna(512, 1)  # doctest: +SKIP
    >>> tl.evolve(start, model, readout=tl.Readout("liver"), rounds=10).to_fasta("designs.fa")  # doctest: +SKIP
    """
    goals, models = goals_of(readout), list(model) if isinstance(model, list | tuple) else [model]
    plan = _Plan(
        rounds=positive_int("rounds", rounds),
        mutations=positive_int("mutations", mutations),
        propose=one_of("propose", propose, PROPOSALS),
        candidates=_candidates(propose, candidates),
        beam=positive_int("beam", beam),
        temperature=float(temperature),
        seed=int_at_least("seed", seed, 0),
    )
    plan.check()
    scorer = Scorer(models, goals, Options(rc, unstranded, batch_size))
    starts = starts_of(input, scorer.input_length, genome)
    masks = [
        changeable(codes, window, protect, within, name)
        for codes, window, name in zip(starts.codes, starts.windows, starts.names, strict=True)
    ]
    bound = [scorer.bind(window) for window in starts.windows]
    proposers = [Proposer(scorer, b, plan.propose, plan.candidates, mask) for b, mask in zip(bound, masks, strict=True)]
    request = {**vars(plan), "rc": rc, "unstranded": unstranded, "goals": described(goals, bound[0])}
    state = State.open(checkpoint, {**request, "starts": starts, "masks": masks, "models": models})
    firsts, designs = [], []
    with _bar(len(starts.names) * plan.rounds, progress) as bar:
        for number in range(len(starts.names)):
            first = Member(starts.codes[number], scorer.values(starts.codes[number][None], bound[number])[0])
            firsts.append(first)
            designs.append(_evolved(number, first, scorer, bound[number], proposers[number], plan, state, bar))
    return Designs.of(starts.names, [text_of(codes) for codes in starts.codes], firsts, designs, goals, request)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """How sequences evolve."""

    rounds: int
    mutations: int
    propose: str
    candidates: int | None
    beam: int
    temperature: float
    seed: int

    def check(self) -> None:
        """Raise where settings exclude each other."""
        if not np.isfinite(self.temperature) or self.temperature < 0:
            raise ValueError(f"temperature must be a number of at least 0, in score units; got {self.temperature:g}.")
        if self.temperature and (self.beam > 1 or self.mutations > 1):
            raise ValueError(
                "temperature draws one change a round: leave beam and mutations at 1, or temperature at 0."
            )


def _candidates(propose: str, candidates: int | None) -> int | None:
    if propose == "all":
        if candidates is not None:
            raise ValueError('candidates is for propose="random" and "gradient"; "all" predicts every substitution.')
        return None
    return 64 if candidates is None else positive_int("candidates", candidates)


def _evolved(
    number: int,
    first: Member,
    scorer: Scorer,
    bound: list[BoundReadout],
    proposer: Proposer,
    plan: _Plan,
    state: State,
    bar: Any,
) -> Member:
    """The best descendant of one sequence."""
    rng = np.random.default_rng([plan.seed, number])
    begun = state.of(number, rng)
    best, members, start = (first, [first], 0) if begun is None else begun
    bar.update(start)
    for round in range(start, plan.rounds):
        if plan.temperature:
            following = [_drawn(members[0], scorer, bound, proposer, plan, rng, round)]
        else:
            following = _bred(members, scorer, bound, proposer, plan, rng, round)
        settled = plan.propose != "random" and all(a is b for a, b in zip(members, following, strict=False))
        if settled and len(members) == len(following):
            bar.update(plan.rounds - round)
            state.keep(number, best, members, plan.rounds, rng)
            break
        members = following
        best = _best([best, *members], scorer)
        state.keep(number, best, members, round + 1, rng)
        bar.update(1)
    return best


def _best(members: list[Member], scorer: Scorer) -> Member:
    return members[best_first(np.stack([member.values for member in members]), scorer.goals)[0]]


def _bred(
    members: list[Member],
    scorer: Scorer,
    bound: list[BoundReadout],
    proposer: Proposer,
    plan: _Plan,
    rng: np.random.Generator,
    round: int,
) -> list[Member]:
    """The best of members and their children, each sequence once."""
    pool = list(members)
    for member in members:
        places, letters = proposer.propose(member, rng)
        values = scorer.edited(member.codes, places, letters, bound)
        order = best_first(values, scorer.goals)
        pool += [member.child(round, [(places[i], letters[i])], values[i]) for i in order[: plan.beam].tolist()]
        if plan.mutations > 1:
            edits = _better_together(order, places, letters, values, member, scorer, plan.mutations)
            if len(edits) > 1:
                codes = member.codes.copy()
                codes[[place for place, _ in edits]] = [letter for _, letter in edits]
                pool.append(member.child(round, edits, scorer.values(codes[None], bound)[0]))
    order = best_first(np.stack([member.values for member in pool]), scorer.goals)
    kept: dict[bytes, Member] = {}
    for i in order.tolist():
        kept.setdefault(pool[i].codes.tobytes(), pool[i])
    return list(kept.values())[: plan.beam]


def _better_together(
    order: Any, places: Any, letters: Any, values: Any, member: Member, scorer: Scorer, mutations: int
) -> list[tuple[int, int]]:
    """The best substitutions at different places, each of which is better than none."""
    now = member.values[None]
    broken, score = broken_by(values, scorer.goals), scores_of(values, scorer.goals)
    broken_now, score_now = broken_by(now, scorer.goals)[0], scores_of(now, scorer.goals)[0]
    better = (broken < broken_now) | ((broken == broken_now) & (score > score_now))
    edits: dict[int, int] = {}
    for i in order.tolist():
        if better[i] and len(edits) < mutations:
            edits.setdefault(int(places[i]), int(letters[i]))
    return list(edits.items())


def _drawn(
    member: Member,
    scorer: Scorer,
    bound: list[BoundReadout],
    proposer: Proposer,
    plan: _Plan,
    rng: np.random.Generator,
    round: int,
) -> Member:
    """One child, drawn by its score from those that break no bound further."""
    places, letters = proposer.propose(member, rng)
    values = scorer.edited(member.codes, places, letters, bound)
    broken = broken_by(values, scorer.goals)
    limit = max(broken.min(), broken_by(member.values[None], scorer.goals)[0])
    score = np.where(broken <= limit, scores_of(values, scorer.goals), -np.inf)
    chances = np.exp((score - score.max()) / plan.temperature)
    i = int(rng.choice(len(places), p=chances / chances.sum()))
    return member.child(round, [(places[i], letters[i])], values[i])


def _bar(total: int, progress: bool | None) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=total, desc="evolving", unit="round", disable=None if progress is None else not progress)
