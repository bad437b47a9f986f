"""Sets that have nothing in common, for training, validation and test, or folds."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from crested_like._checks import int_at_least, positive_int
from crested_like._errors import DatasetError
from crested_like.datasets.building._contigs import contigs_of
from crested_like.datasets.building._homology import Homology, homologous
from crested_like.datasets.building._intervals import Intervals
from crested_like.datasets.building._windows import apart, rejoined, target_width, windows_in
from crested_like.genome import Genome, Region, Regions, resolve_genome
from crested_like.genome._support import unknown_chromosome

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

#: A share of the genome, or the chromosomes that are wholly in a set.
Share: TypeAlias = "float | str | Iterable[str] | None"
AnyGenome: TypeAlias = "Genome | str | os.PathLike[str]"

_DEFAULT_SHARE = 0.1


def split_genome(
    genome: AnyGenome,
    *,
    seq_length: int,
    crop_bp: int = 0,
    stride: int | None = None,
    folds: int | None = None,
    valid: Share = None,
    test: Share = None,
    chromosomes: Iterable[str] | None = None,
    gaps: Regions | None = None,
    break_length: int | None = 786_432,
    homology: Homology | None = None,
    min_aligned: int = 1,
    separate: bool = False,
    unmappable: Regions | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Windows of a genome in sets for training, validation and test, or in folds.

    Chromosomes without their gaps are cut into contigs, and contigs dealt out to the sets, at random or by chromosome.
    Within a set, windows are taken every ``stride`` and shuffled. The stretches that the targets cover never overlap
    between sets; with ``separate``, whole sequences do not. The same arguments give the same windows.

    Parameters
    ----------
    genome
        A :class:`crested_like.Genome`, its name, or a FASTA file.
    seq_length
        Bases of a sequence.
    crop_bp
        Bases at each side of it that have no targets.
    stride
        Bases from one window to the next; by default ``seq_length``. With ``seq_length - 2 * crop_bp`` the targets
        of a contig follow each other without a gap.
    folds
        Number of equal sets, ``fold0``, ``fold1``, ...; by default there are train, valid and test.
    valid, test
        The share of the genome in each, by default 0.1; or chromosomes, as a name or a list of names. Where one is
        given as chromosomes, the other defaults to nothing. What is left is train.
    chromosomes, gaps
        Which chromosomes, by default all but the mitochondrial one and alternative copies (``_alt``, ``_fix``,
        ``_hap``); and what to leave out of them, by default runs of at least 1,000 N.
    break_length
        Longer contigs are cut into equal parts; None leaves them whole.
    homology, min_aligned
        Regions that are alike, so that contigs with at least ``min_aligned`` bases of them come into one set: a BEDPE
        file of pairs, or a BED file with the name of a group of regions in its fourth column. Give the blocks of
        alignments, not whole chains: each contig under one region is taken to be alike to each under the other.
    separate
        Whether to keep the sets ``2 * crop_bp`` apart, so that no base is in sequences of two of them.
    unmappable
        Regions where reads cannot be placed; windows whose targets are in them to half or more are left out.
    limit
        Windows of a set at most, for a trial.
    seed
        Of all that is drawn.

    Returns
    -------
    pandas.DataFrame
        Columns ``chrom``, ``start``, ``end``, ``target_start``, ``target_end`` (0-based half-open), ``label`` and
        ``source_index``, the place within the label. A sequence may begin before its chromosome or end after it: there
        it is N.

    Raises
    ------
    RegionError
        If a chromosome is not in the genome.
    DatasetError
        If no contig is long enough, a set would be empty, or arguments contradict each other.

    Examples
    --------
    >>> split_genome("hg38.fa", seq_length=196_608, crop_bp=40_960, folds=8)  # doctest: +SKIP
    """
    found = split_genomes(
        {"genome": genome},
        seq_length=seq_length,
        crop_bp=crop_bp,
        stride=stride,
        folds=folds,
        valid=valid,
        test=test,
        chromosomes={"genome": chromosomes},
        gaps={"genome": gaps},
        break_length=break_length,
        homology=homology,
        min_aligned=min_aligned,
        separate=separate,
        unmappable={"genome": unmappable},
        limit=limit,
        seed=seed,
    )
    return found["genome"]


def split_genomes(
    genomes: Mapping[str, AnyGenome],
    *,
    seq_length: int,
    crop_bp: int = 0,
    stride: int | None = None,
    folds: int | None = None,
    valid: Share = None,
    test: Share = None,
    chromosomes: Mapping[str, Iterable[str] | None] | None = None,
    gaps: Mapping[str, Regions | None] | None = None,
    break_length: int | None = 786_432,
    homology: Homology | None = None,
    min_aligned: int = 1,
    separate: bool = False,
    unmappable: Mapping[str, Regions | None] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> dict[str, pd.DataFrame]:
    """Windows of several genomes in the same sets, such that homologous regions of two species are in one.

    Parameters
    ----------
    genomes
        By name.
    chromosomes, gaps, unmappable
        As for :func:`split_genome`, by the name of the genome.
    homology
        Pairs of regions by the names of two genomes, ``{("human", "mouse"): "hg38.mm10.bedpe"}``, or groups of
        regions by genome, ``{"human": "human.bed", "mouse": "mouse.bed"}``, in which one name is one group.
    seq_length, crop_bp, stride, folds, valid, test, break_length, min_aligned, separate, limit, seed
        As for :func:`split_genome`. With several genomes ``valid`` and ``test`` are shares.

    Returns
    -------
    dict
        By the name of the genome, a table as :func:`split_genome` gives it.

    Raises
    ------
    RegionError, DatasetError
        As for :func:`split_genome`.

    Examples
    --------
    >>> windows = split_genomes(
    ...     {"human": "hg38.fa", "mouse": "mm10.fa"},
    ...     seq_length=524_288,
    ...     crop_bp=163_840,
    ...     folds=8,
    ...     homology={("human", "mouse"): "hg38.mm10.bedpe"},
    ... )  # doctest: +SKIP
    """
    width = target_width(seq_length, crop_bp)
    stride = positive_int("stride", seq_length if stride is None else stride)
    int_at_least("seed", seed, 0)
    resolved = {name: resolve_genome(genome) for name, genome in genomes.items()}
    contigs = {
        name: contigs_of(
            genome,
            shortest=width,
            longest=None if break_length is None else positive_int("break_length", break_length),
            chromosomes=_of(chromosomes, name, "chromosomes", genomes),
            gaps=_of(gaps, name, "gaps", genomes),
        )
        for name, genome in resolved.items()
    }
    hidden = {name: Intervals.of(_of(unmappable, name, "unmappable", genomes)) for name in genomes}
    for name, intervals in hidden.items():
        intervals.check(resolved[name].chromosomes, "the unmappable regions")
    labels, order = _labels(resolved, contigs, folds, valid, test, homology, min_aligned, seed)
    found = {}
    for number, (name, own) in enumerate(contigs.items()):
        stretches = rejoined(own, labels[name])
        if separate:
            stretches = apart(stretches, 2 * crop_bp)
        rng = np.random.default_rng([seed, 1 + number])
        found[name] = windows_in(stretches, order, width, crop_bp, stride, hidden[name], limit, rng)
    return found


def _of(by_genome: Mapping[str, Any] | None, name: str, what: str, genomes: Mapping[str, Any]) -> Any:
    unknown = set(by_genome or ()) - set(genomes)
    if unknown:
        raise DatasetError(f"{what} is given for {sorted(unknown)[0]!r}; the genomes are {', '.join(genomes)}.")
    return (by_genome or {}).get(name)


def _labels(
    genomes: Mapping[str, Genome],
    contigs: Mapping[str, Sequence[Region]],
    folds: int | None,
    valid: Share,
    test: Share,
    homology: Homology | None,
    min_aligned: int,
    seed: int,
) -> tuple[dict[str, list[str]], list[str]]:
    """The set of each contig, by genome, and all sets in their order."""
    if named := _named(valid, test):
        if folds is not None or homology is not None or len(genomes) > 1:
            raise DatasetError(
                "valid and test can be chromosomes of one genome, without folds and homology; otherwise give shares, "
                "such as 0.1."
            )
        (name,) = genomes
        return {name: _by_chromosome(contigs[name], named, genomes[name])}, ["train", *named]
    shares = _shares(folds, valid, test)
    widths = np.array([contig.width for own in contigs.values() for contig in own])
    groups = homologous(contigs, homology, min_aligned)
    dealt = iter(_dealt(groups, widths, shares, np.random.default_rng([seed, 0])))
    return {name: [next(dealt) for _ in own] for name, own in contigs.items()}, list(shares)


def _named(valid: Share, test: Share) -> dict[str, list[str]]:
    """The chromosomes of each set, if they are given."""
    given = {label: share for label, share in (("valid", valid), ("test", test)) if share is not None}
    named = {
        label: [share] if isinstance(share, str) else list(share)
        for label, share in given.items()
        if not isinstance(share, int | float)
    }
    if any(not isinstance(name, str) for names in named.values() for name in names):
        raise DatasetError(f"valid and test are shares such as 0.1, or names of chromosomes; got {given}.")
    if named and len(named) < len(given):
        raise DatasetError(f"valid and test must both be shares or both be chromosomes; got {given}.")
    return named


def _by_chromosome(contigs: Sequence[Region], named: Mapping[str, list[str]], genome: Genome) -> list[str]:
    label_of: dict[str, str] = {}
    for label, chroms in named.items():
        for chrom in chroms:
            if chrom not in genome.chromosomes:
                raise unknown_chromosome(chrom, genome.chromosomes, f"genome {genome.name!r}")
            if label_of.setdefault(chrom, label) != label:
                raise DatasetError(f"Chromosome {chrom!r} is in valid and in test; it can be in one of them.")
    return [label_of.get(contig.chrom, "train") for contig in contigs]


def _shares(folds: int | None, valid: Share, test: Share) -> dict[str, float]:
    if folds is not None:
        if valid is not None or test is not None:
            raise DatasetError("Give folds, or valid and test, not both.")
        number = int_at_least("folds", folds, 2)
        return {f"fold{i}": 1 / number for i in range(number)}
    given = {"valid": valid, "test": test}
    shares = {name: float(_DEFAULT_SHARE if share is None else share) for name, share in given.items()}  # type: ignore[arg-type]
    if min(shares.values()) < 0 or sum(shares.values()) >= 1:
        raise DatasetError(f"valid and test must be shares that leave something for train; got {shares}.")
    return {"train": 1 - sum(shares.values()), **{name: share for name, share in shares.items() if share}}


def _dealt(
    groups: NDArray[np.intp], widths: NDArray[np.int64], shares: Mapping[str, float], rng: np.random.Generator
) -> list[str]:
    """A set for each contig: groups come whole, the largest first, each where there is room, drawn by how much."""
    sizes = np.bincount(groups, weights=widths)
    found = np.flatnonzero(sizes)
    if len(found) < len(shares):
        raise DatasetError(
            f"The {len(groups):,} contigs form {len(found):,} groups of homologous ones, too few for {len(shares)} "
            f"sets. Cut contigs shorter with break_length, raise min_aligned, or ask for fewer sets."
        )
    shuffled = rng.permutation(found)
    wanted = np.array(list(shares.values())) * widths.sum()
    held = np.zeros(len(shares))
    chosen = np.zeros(len(sizes), np.intp)
    for left, group in zip(
        range(len(found), 0, -1), shuffled[np.argsort(-sizes[shuffled], kind="stable")], strict=True
    ):
        room = wanted - held
        if left <= (held == 0).sum():  # no set is to stay empty
            room[held > 0] = 0
        fits = np.where(room >= sizes[group], room, 0)
        chosen[group] = rng.choice(len(room), p=fits / fits.sum()) if fits.any() else room.argmax()
        held[chosen[group]] += sizes[group]
    labels = list(shares)
    _compare(dict(zip(labels, held / widths.sum(), strict=True)), shares, sizes.max() / widths.sum())
    return [labels[chosen[group]] for group in groups]


def _compare(made: Mapping[str, float], shares: Mapping[str, float], largest: float) -> None:
    """Warn where contigs are so large that shares differ from what was asked for by more than a fourth."""
    if any(not 0.75 <= made[label] / share <= 1.25 for label, share in shares.items()):
        log.warning(
            "Sets have other shares of the genome than asked for (%s), because the largest group of contigs is %.0f%% "
            "of it. Cut contigs shorter with break_length, or raise min_aligned.",
            ", ".join(f"{label} {made[label]:.1%} instead of {share:.1%}" for label, share in shares.items()),
            100 * largest,
        )
