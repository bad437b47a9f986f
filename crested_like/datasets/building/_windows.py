"""Windows of a dataset: taken from stretches of a genome, or given in a table."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from crested_like._checks import int_at_least, positive_int
from crested_like._errors import DatasetError
from crested_like.datasets._layout import WINDOW_COLUMNS
from crested_like.datasets.building._intervals import Intervals
from crested_like.genome import Genome, Region
from crested_like.genome._support import existing_file, listed

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

#: A ``sequences.bed``, or a table with the columns ``chrom``, ``start``, ``end`` and ``label``.
Windows: TypeAlias = "str | os.PathLike[str] | pd.DataFrame"

_UNMAPPABLE = 0.5  # from which fraction on a window is left out


def rejoined(contigs: Sequence[Region], labels: Sequence[str]) -> list[Region]:
    """Contigs named after their set, those that touch and are in one set put together; sorted within chromosomes."""
    joined: list[Region] = []
    for contig, label in sorted(zip(contigs, labels, strict=True), key=lambda pair: (pair[0].chrom, pair[0].start)):
        last = joined[-1] if joined else None
        if last is not None and (last.chrom, last.end, last.name) == (contig.chrom, contig.start, label):
            joined[-1] = Region(last.chrom, last.start, contig.end, label)
        else:
            joined.append(Region(contig.chrom, contig.start, contig.end, label))
    return joined


def apart(stretches: Sequence[Region], distance: int) -> list[Region]:
    """Sorted stretches cut back where one of another set is nearer than ``distance`` bp, both sides alike."""
    left, right = [0] * len(stretches), [0] * len(stretches)
    for i, (one, other) in enumerate(pairwise(stretches)):
        if one.chrom == other.chrom and one.name != other.name:
            excess = max(distance - (other.start - one.end), 0)
            right[i], left[i + 1] = excess // 2, excess - excess // 2
    cut = zip(stretches, left, right, strict=True)
    return [
        Region(whole.chrom, whole.start + a, whole.end - b, whole.name) for whole, a, b in cut if a + b < whole.width
    ]


def windows_in(
    stretches: Sequence[Region],
    labels: Sequence[str],
    width: int,
    crop_bp: int,
    stride: int,
    unmappable: Intervals,
    limit: int | None,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Windows whose targets, ``width`` bp wide, lie in the stretches; label by label, each shuffled."""
    limit = None if limit is None else positive_int("limit", limit)
    parts, hidden = [], 0
    for label in labels:
        own = [region for region in stretches if region.name == label]
        rows = [(r.chrom, start) for r in own for start in range(r.start, r.end - width + 1, stride)]
        kept = []
        for row in rng.permutation(len(rows)).tolist():
            chrom, start = rows[row]
            if unmappable.bases(chrom, start, start + width) < _UNMAPPABLE * width:
                kept.append((chrom, start))
        hidden += len(rows) - len(kept)
        if not kept:
            why = (
                f"all {len(rows):,} of them are unmappable" if rows else f"its stretches are shorter than {width:,} bp"
            )
            raise DatasetError(f"There are no windows for {label!r}: {why}.")
        parts.append(_table(kept[:limit], label, width, crop_bp))
    if hidden:
        log.info("Left out %s windows that are unmappable to half or more", f"{hidden:,}")
    return pd.concat(parts, ignore_index=True)


def _table(places: Sequence[tuple[str, int]], label: str, width: int, crop_bp: int) -> pd.DataFrame:
    chroms, starts = zip(*places, strict=True)
    target = np.array(starts, np.int64)
    columns = {
        "chrom": list(chroms),
        "start": target - crop_bp,
        "end": target + width + crop_bp,
        "target_start": target,
        "target_end": target + width,
        "label": label,
        "source_index": np.arange(len(target)),
    }
    return pd.DataFrame(columns)[list(WINDOW_COLUMNS)]


def given_windows(source: Windows, genome: Genome, seq_length: int, crop_bp: int) -> pd.DataFrame:
    """Windows of a prepared table, in its order within each label.

    Parameters
    ----------
    source
        A ``sequences.bed`` (chromosome, start, end, label), or a table with these columns. All intervals span the
        sequence or all the targets, as their width tells; other columns are not looked at.
    genome
        What they lie on.
    seq_length, crop_bp
        Of the dataset.

    Raises
    ------
    DatasetError
        If there are none, the widths are others, or targets do not lie on a chromosome; lists the first ten.
    """
    table, what = (source, "The table of windows") if isinstance(source, pd.DataFrame) else _read(source)
    if missing := [name for name in ("chrom", "start", "end", "label") if name not in table]:
        raise DatasetError(f"{what} needs the columns chrom, start, end and label; missing: {', '.join(missing)}.")
    if table.empty:
        raise DatasetError(f"{what} has no windows.")
    target = seq_length - 2 * crop_bp
    widths = set(table["end"] - table["start"])
    if widths != {seq_length} and widths != {target}:
        shown = ", ".join(f"{width:,}" for width in sorted(widths)[:3])
        raise DatasetError(
            f"{what}: windows are {shown} bp wide; all must span the sequence ({seq_length:,}) or all the targets "
            f"({target:,})."
        )
    start = table["start"].to_numpy(np.int64) + (crop_bp if widths == {seq_length} else 0)
    labels = table["label"].astype(str)
    chroms = table["chrom"].astype(str)
    _check_places(chroms.tolist(), start, target, genome, what)
    parts = [
        _table([(chroms.iloc[i], int(start[i])) for i in rows], label, target, crop_bp)
        for label, rows in ((label, np.flatnonzero(labels == label)) for label in dict.fromkeys(labels))
    ]
    return pd.concat(parts, ignore_index=True)


def _read(path: str | os.PathLike[str]) -> tuple[pd.DataFrame, str]:
    found = existing_file(path, "File of windows")
    types = {"chrom": str, "start": np.int64, "end": np.int64, "label": str}
    try:
        table = pd.read_csv(found, sep="\t", header=None, names=list(types), dtype=types, usecols=range(4), comment="#")
    except ValueError as error:
        raise DatasetError(f"{found}: no table of chromosome, start, end and label ({error}).") from None
    return table, str(found)


def _check_places(chroms: Sequence[str], starts: NDArray[np.int64], width: int, genome: Genome, what: str) -> None:
    sizes = genome.chromosomes
    problems = []
    for row, (chrom, start) in enumerate(zip(chroms, starts.tolist(), strict=True)):
        if chrom not in sizes:
            problems.append(f"row {row:,}: chromosome {chrom!r} is not in {genome.name!r}.")
        elif start < 0 or start + width > sizes[chrom]:
            problems.append(
                f"row {row:,}: targets from {start:,} to {start + width:,} are not on {chrom}, {sizes[chrom]:,} bp."
            )
    if problems:
        raise DatasetError(f"{what} does not lie on the genome:\n{listed(problems)}")


def unmappable_bins(hidden: Intervals, chrom: str, start: int, bins: int, width: int) -> NDArray[np.bool_]:
    """``(bins,)``: which bins are unmappable in half or more of their bases."""
    mask = hidden.mask(chrom, start, start + bins * width)
    return mask.reshape(bins, width).mean(axis=1) >= _UNMAPPABLE


def in_genomic_order(windows: pd.DataFrame) -> Iterator[tuple[int, str, int, int]]:
    """Row, chromosome and the targets' interval of each window, along the genome: files are read once, forward."""
    order = np.lexsort([windows["target_start"].to_numpy(), windows["chrom"].to_numpy(str)])
    columns = [windows[name].to_numpy() for name in ("chrom", "target_start", "target_end")]
    for row in order.tolist():
        yield row, str(columns[0][row]), int(columns[1][row]), int(columns[2][row])


def target_width(seq_length: int, crop_bp: int) -> int:
    """Bases that the targets span."""
    width = positive_int("seq_length", seq_length) - 2 * int_at_least("crop_bp", crop_bp, 0)
    if width < 1:
        raise DatasetError(f"Cropping {crop_bp:,} bp at each side leaves nothing of {seq_length:,} bp.")
    return width


def crop_of(seq_length: int, pool_width: int, crop_bp: int | None, target_length: int | None) -> int:
    """Bases cropped at each side, such that whole bins are left."""
    if target_length is not None:
        spare = positive_int("seq_length", seq_length) - positive_int("target_length", target_length) * pool_width
        if spare < 0 or spare % 2 or (crop_bp is not None and 2 * crop_bp != spare):
            raise DatasetError(
                f"{target_length:,} bins of {pool_width} bp do not lie in the middle of {seq_length:,} bp"
                + ("." if crop_bp is None else f" with {crop_bp:,} bp cropped at each side.")
            )
        return spare // 2
    width = target_width(seq_length, crop_bp or 0)
    if width % pool_width:
        raise DatasetError(
            f"The targets span {width:,} bp ({seq_length:,} less {crop_bp or 0:,} at each side), which are not whole "
            f"bins of {pool_width} bp."
        )
    return crop_bp or 0
