"""What a motif does where it is: the effect of destroying its occurrences."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crested_like._checks import positive_int
from crested_like._errors import RegionError
from crested_like.genome import Motif, Site, find_motifs, motifs_of
from crested_like.tl.design._backgrounds import spread
from crested_like.tl.design._goals import Wanted, goals_of
from crested_like.tl.design._scorer import Options, Scorer
from crested_like.tl.design._starts import Starts, starts_of, text_of

if TYPE_CHECKING:
    from crested_like.genome import Genome

log = logging.getLogger(__name__)
#: Shuffles drawn for each that is wanted, so that those with the motif in them can be left out.
_DRAWN = 8


def ablate(
    input: Any,
    model: keras.Model | Sequence[keras.Model],
    genome: Genome | str | None = None,
    *,
    readout: Wanted,
    motifs: Any = None,
    sites: Any = None,
    shuffles: int = 20,
    together: bool = False,
    p_value: float = 1e-4,
    seed: int = 0,
    rc: bool = False,
    unstranded: bool = False,
    batch_size: int | None = None,
) -> pd.DataFrame:
    """Effect of the motifs that sequences have: the mean change of a readout when they are shuffled.

    Each occurrence is replaced by shuffles of its own bases in which the motif does not occur any more.

    Parameters
    ----------
    input, model, genome, rc, unstranded, batch_size
        As for :func:`crested_like.tl.predict`.
    readout
        A :class:`Readout`, or several as a list or a dict by name.
    motifs
        Motifs to be looked for on both strands, as for :func:`crested_like.genome.find_motifs`.
    sites
        Instead of motifs, the places themselves: pairs ``(start, end)``, 0-based half-open offsets from the first
        base, in every sequence; or a table with the columns ``name``, ``start`` and ``end``.
    shuffles
        Of each occurrence.
    together
        Destroy all occurrences of a motif in a sequence at once, rather than each by itself.
    p_value
        Of the score of a motif that is a matrix.
    seed
        Of what is drawn.

    Returns
    -------
    pandas.DataFrame
        A row for each occurrence: ``name`` of the sequence, ``motif``, ``start``, ``end``, ``strand`` (or ``sites``,
        their number, with ``together``), ``readout`` if there are several, and ``n``, ``before``, ``after``,
        ``effect``, ``sd``, ``se``, ``q05``, ``q95`` as of :func:`crested_like.tl.marginalize`: an effect below 0
        means that the motif raises the readout. Without any occurrence it has no row.

    Raises
    ------
    ValueError
        If there are neither motifs nor sites, or both.
    RegionError
        If a site lies outside its sequence.

    Examples
    --------
    >>> from crested_like import tl
    >>> tl.ablate("enhancers.fa", model, motifs={"AP-1": "TGASTCA"}, readout=readout)  # doctest: +SKIP
    """
    goals, models = goals_of(readout), list(model) if isinstance(model, list | tuple) else [model]
    positive_int("shuffles", shuffles)
    if (motifs is None) == (sites is None):
        raise ValueError("Say what is to be destroyed: either motifs= to look for, or sites= to take as they are.")
    wanted = {} if motifs is None else {motif.name: motif for motif in motifs_of(motifs)}
    scorer = Scorer(models, goals, Options(rc, unstranded, batch_size))
    starts = starts_of(input, scorer.input_length, genome)
    if motifs is None:
        found = _given_sites(sites, starts)
    else:
        found = find_motifs([text_of(codes) for codes in starts.codes], list(wanted.values()), p_value=p_value)
    if not found:
        log.warning("None of the motifs %s occurs in the sequences.", ", ".join(wanted))
    rng, rows = np.random.default_rng(seed), []
    known: dict[int, tuple[Any, NDArray[np.float64]]] = {}
    for own in _parts(found, together):
        number = own[0].sequence
        codes = starts.codes[number]
        if number not in known:
            bound = scorer.bind(starts.windows[number])
            known[number] = bound, scorer.values(codes[None], bound)[0]
        bound, before = known[number]
        changed = np.repeat(codes[None], shuffles, axis=0)
        for site in own:
            changed[:, site.start : site.end] = _destroyed(codes, site, wanted.get(site.motif), shuffles, p_value, rng)
        after = scorer.values(changed, bound)
        where = {"sites": len(own)} if together else {"start": own[0].start, "end": own[0].end, "strand": own[0].strand}
        for i, goal in enumerate(goals):
            told = {"name": starts.names[number], "motif": own[0].motif, **where}
            told |= {"readout": goal.name} if len(goals) > 1 else {}
            rows.append({**told, **spread(np.repeat(before[i], shuffles), after[:, i])})
    return pd.DataFrame(rows, columns=None if rows else _columns(together, len(goals) > 1))


def _columns(together: bool, several: bool) -> list[str]:
    where = ["sites"] if together else ["start", "end", "strand"]
    measured = ["n", "before", "after", "effect", "sd", "se", "q05", "q95"]
    return ["name", "motif", *where, *(["readout"] if several else []), *measured]


def _parts(sites: list[Site], together: bool) -> list[list[Site]]:
    if not together:
        return [[site] for site in sites]
    parts: dict[tuple[int, str], list[Site]] = {}
    for site in sites:
        parts.setdefault((site.sequence, site.motif), []).append(site)
    return list(parts.values())


def _given_sites(given: Any, starts: Starts) -> list[Site]:
    """Sites of pairs that hold for every sequence, or of a table by name."""
    if isinstance(given, pd.DataFrame):
        missing = [name for name in ("name", "start", "end") if name not in given]
        if missing:
            raise RegionError(f"The table of sites lacks {', '.join(missing)}; it needs name, start and end.")
        numbers = {name: i for i, name in enumerate(starts.names)}
        unknown = sorted(set(given["name"].astype(str)) - set(numbers))
        if unknown:
            raise RegionError(f"There is no sequence {', '.join(map(repr, unknown[:5]))} for the sites that name it.")
        triples = [(numbers[str(row.name_)], int(row.start), int(row.end))
                   for row in given.rename(columns={"name": "name_"}).itertuples()]  # fmt: skip
    else:
        triples = [(i, int(start), int(end)) for i in range(len(starts.names)) for start, end in given]
    length = starts.codes.shape[1]
    off = [f"{start:,} to {end:,}" for _, start, end in triples if not 0 <= start < end <= length]
    if off:
        raise RegionError(f"Sites lie in 0 to {length:,}, start before end; got {', '.join(off[:5])}.")
    return [Site(i, f"{start}-{end}", start, end, ".", float("nan")) for i, start, end in triples]


def _destroyed(
    codes: NDArray[np.uint8], site: Site, motif: Motif | None, count: int, p_value: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Other bases for a site, ``(count, width)``: shuffles of its own, or random ones where each of those is a site."""
    own = codes[site.start : site.end]
    drawn = rng.permuted(np.repeat(own[None], _DRAWN * count, axis=0), axis=1)
    other = rng.integers(0, 4, drawn.shape, dtype=np.uint8)
    texts = np.concatenate([drawn[(drawn != own).any(axis=1)], other])
    if motif is None:
        return texts[:count]
    reach = len(motif) - 1
    left, right = max(site.start - reach, 0), min(site.end + reach, len(codes))
    around = np.repeat(codes[None, left:right], len(texts), axis=0)
    around[:, site.start - left : site.end - left] = texts
    again = find_motifs([text_of(row) for row in around], motif, p_value=p_value, overlapping=True)
    clean = np.setdiff1d(np.arange(len(texts)), [one.sequence for one in again])
    return texts[clean if len(clean) >= count else np.arange(len(texts))][:count]
