"""Where scores stand among those of other variants."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crested_like._errors import VariantError
from crested_like.genome.variants._lines import is_vcf
from crested_like.tl._parquet import require_parquet
from crested_like.tl.variants._table import score_columns

#: Endings of the tables that ``score_variants`` writes.
_TABLES = (".tsv", ".tsv.gz", ".parquet", ".h5", ".hdf5")


def quantiles(scores: NDArray[np.float32], background: NDArray[np.float32]) -> NDArray[np.float32]:
    """Part of a background's scores that lie below each score, those equal to it counting half.

    Parameters
    ----------
    scores, background
        ``(rows, ...)`` and ``(others, ...)``, the same statistic and track in the same place; NaN is no score.

    Returns
    -------
    numpy.ndarray
        As ``scores``; 0 to 1, NaN where there is no score or no background.
    """
    flat, others = (y.reshape(len(y), -1) for y in (scores, background))
    out = np.full(flat.shape, np.nan, np.float32)
    for column in range(flat.shape[1]):
        known = np.sort(others[:, column][np.isfinite(others[:, column])])
        mine = flat[:, column]
        if known.size:
            below, up_to = (np.searchsorted(known, mine, side) for side in ("left", "right"))
            out[:, column] = np.where(np.isfinite(mine), (below + up_to) / 2 / known.size, np.nan)
    return out.reshape(scores.shape)


def is_table(background: Any) -> bool:
    """Whether a background is scores that were computed before, rather than variants to be scored."""
    if isinstance(background, pd.DataFrame):
        return "status" in background.columns
    if not isinstance(background, str | os.PathLike):
        return False
    path = Path(background).expanduser()
    if not path.is_file() or not path.name.lower().endswith(_TABLES):
        return False
    return path.suffix.lower() not in (".tsv", ".gz") or (not is_vcf(path) and "status" in _header(path))


def scores_in(background: Any, names: Sequence[str], labels: Sequence[str]) -> NDArray[np.float32]:
    """Scores of a table or of a file that was written before: ``(rows, statistics, columns)``.

    Raises
    ------
    VariantError
        If it lacks statistics or tracks.
    """
    if not isinstance(background, pd.DataFrame):
        path = Path(background).expanduser()
        if path.suffix.lower() in (".h5", ".hdf5"):
            return _of_hdf5(path, names, labels)
        if path.suffix.lower() == ".parquet":
            require_parquet(".tsv.gz")
            background = pd.read_parquet(path)
        else:
            background = pd.read_csv(path, sep="\t", low_memory=False)
    columns = score_columns(names, labels)
    _check_there(columns, background.columns)
    values = background[columns].to_numpy(np.float32)
    return values.reshape(len(values), len(names), len(labels))


def _of_hdf5(path: Path, names: Sequence[str], labels: Sequence[str]) -> NDArray[np.float32]:
    import h5py

    with h5py.File(path) as file:
        _check_there(names, file)
        there = [name.decode() for name in file["target_ids"][:]]
        wanted = list(labels) if labels != ("",) else there
        _check_there(wanted, there)
        columns = [there.index(label) for label in wanted]
        return np.stack([file[name][:][:, columns] for name in names], axis=1).astype(np.float32)


def _check_there(wanted: Sequence[str], there: Any) -> None:
    missing = [name for name in wanted if name not in there]
    if missing:
        raise VariantError(
            f"The background lacks {len(missing):,} of the {len(wanted):,} statistics or tracks that are scored, the "
            f"first {missing[0]!r}. Score it in the same way, or give its variants instead of its scores."
        )


def _header(path: Path) -> list[str]:
    return list(pd.read_csv(path, sep="\t", nrows=0).columns)
