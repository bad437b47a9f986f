"""Scores in files: tables, HDF5 and VCF, by the ending of the name."""

from __future__ import annotations

import gzip
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crested_like._atomic import atomic_path
from crested_like._hdf5 import new_file
from crested_like.genome.variants import annotate_vcf
from crested_like.genome.variants._annotate import InfoField
from crested_like.tl._parquet import require_parquet
from crested_like.tl.variants._plan import Plan
from crested_like.tl.variants._statistics import STATISTICS

#: A VCF record with more fields than this is read by nobody.
MOST_FIELDS = 2_000
#: Rows of a text table written at a time.
_ROWS = 4_096


@dataclass(frozen=True)
class Result:
    """Everything there is to write."""

    plan: Plan
    table: pd.DataFrame
    scores: NDArray[np.float32]
    quantiles: NDArray[np.float32] | None
    source: Path | None
    """The VCF file that the variants come from, if they come from one."""


def check_out(out: str | os.PathLike[str], columns: int, *, genes: bool) -> Path:
    """Path to write to, after a check that its ending stands for a format that can hold the result.

    Raises
    ------
    ValueError
        If the ending is none of those known, or a VCF file cannot hold the scores.
    BackendError
        If Parquet is wanted and pyarrow is not installed.
    """
    path = Path(out).expanduser()
    ending = ending_of(path)
    if ending == ".parquet":
        require_parquet(".tsv.gz or .h5")
    if ending in (".vcf", ".vcf.gz"):
        if genes:
            raise ValueError(f"{path.name}: a VCF record has no place for a score of each gene. Write a table or .h5.")
        if columns > MOST_FIELDS:
            raise ValueError(
                f"{path.name}: {columns:,} scores a variant are too many for VCF, at most {MOST_FIELDS:,} are written. "
                f"Choose tracks= or a readout, or write .h5 or .parquet."
            )
    return path


def ending_of(path: Path) -> str:
    """The ending that says the format.

    Raises
    ------
    ValueError
        If it says none.
    """
    for ending in sorted(WRITERS, key=len, reverse=True):
        if path.name.lower().endswith(ending):
            return ending
    raise ValueError(f"Cannot tell a format from the name {path.name!r}: it must end in one of {', '.join(WRITERS)}.")


def write(result: Result, path: Path) -> None:
    """Write a result in the format of the name's ending; whole or not at all."""
    with atomic_path(path) as unfinished:
        WRITERS[ending_of(path)](result, unfinished)


def _write_tsv(result: Result, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        _rows_as_text(result.table, file)


def _write_tsv_gz(result: Result, path: Path) -> None:
    # without a time or name in it, so that the same scores are the same bytes
    with (
        path.open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as file,
    ):
        _rows_as_text(result.table, file)


def _rows_as_text(table: pd.DataFrame, file: Any) -> None:
    for start in range(0, max(len(table), 1), _ROWS):
        part = table.iloc[start : start + _ROWS]
        part.to_csv(file, sep="\t", index=False, header=start == 0, na_rep="NA", lineterminator="\n")


def _write_parquet(result: Result, path: Path) -> None:
    result.table.to_parquet(path, engine="pyarrow", index=False)


def _write_hdf5(result: Result, path: Path) -> None:
    """Names as Basenji's and Baskerville's files have them; what is more has names of its own."""
    plan = result.plan
    variants = list(dict.fromkeys((id(row.placed), row.placed) for row in plan.rows))
    number = {key: i for i, (key, _) in enumerate(variants)}
    items = [placed.variant for _, placed in variants]
    with new_file(path) as new:
        file = new.root
        for name, value in result.table.attrs.items():
            file.attrs[name] = value
        file["chr"] = _bytes([v.chrom for v in items])
        file["pos"] = np.array([v.position + 1 for v in items], np.uint32)
        file["ref_allele"] = _bytes([v.ref for v in items])
        file["alt_allele"] = _bytes([v.alt for v in items])
        file["snp"] = _bytes([v.name or str(v) for v in items])
        file["status"] = _bytes([placed.status for _, placed in variants])
        file["target_ids"] = _bytes([label or "readout" for label in plan.labels])
        file["target_labels"] = _bytes(plan.descriptions)
        if "gene" in result.table:
            file["si"] = np.array([number[id(row.placed)] for row in plan.rows], np.uint32)
            file["gene"] = _bytes(result.table["gene_id"])
            file["gene_name"] = _bytes(result.table["gene"])
        for i, name in enumerate(plan.names):
            file.create_dataset(name, data=result.scores[:, i, :])
            if result.quantiles is not None:
                file.create_dataset(f"{name}_quantile", data=result.quantiles[:, i, :])
            new.check()


def _bytes(texts: Sequence[str] | pd.Series) -> NDArray[np.bytes_]:
    return np.array([str(text).encode() for text in texts] or [b""], dtype="S")


def _write_vcf(result: Result, path: Path) -> None:
    plan = result.plan
    fields = [InfoField("CL_STATUS", "String", "Whether the variant was scored, and if not, why")]
    parts = [(name, what) for name in plan.names for what in ((name, ""), (f"{name}_quantile", "quantile of "))]
    values: list[Any] = [result.table["status"].tolist()]
    for name, (title, what) in parts:
        scores = result.quantiles if what else result.scores
        if scores is None:
            continue
        doc = " ".join((STATISTICS[name].__doc__ or "").split()).rstrip(".")
        for j, key in enumerate(_keys(title, plan.labels)):
            told = f", track {plan.labels[j]} ({plan.descriptions[j]})" if plan.labels[j] else ""
            fields.append(InfoField(key, "Float", f"{what}{name}{told}: {doc}"))
            values.append(scores[:, plan.names.index(name), j].tolist())
    variants = [row.placed.variant for row in plan.rows]
    names = {row.placed.variant.chrom: plan.genome.chromosomes.get(row.placed.chrom) for row in plan.rows}
    annotate_vcf(result.source, path, fields, variants, list(zip(*values, strict=True)), names)


def _keys(title: str, labels: Sequence[str]) -> list[str]:
    """INFO keys of a statistic, one a column: letters, numbers, ``_`` and ``.`` only, no two the same."""
    keys: list[str] = []
    for label in labels:
        clean = label.replace("+", "_plus").replace("-", "_minus") if label[-1:] in ("+", "-") else label
        key = "_".join(filter(None, ["CL", title, re.sub(r"[^0-9A-Za-z_.]", "_", clean)]))
        keys.append(key if key not in keys else f"{key}_{len(keys)}")
    return keys


#: One writer a file ending.
WRITERS: dict[str, Callable[[Result, Path], None]] = {
    ".tsv": _write_tsv,
    ".tsv.gz": _write_tsv_gz,
    ".parquet": _write_parquet,
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
    ".vcf": _write_vcf,
    ".vcf.gz": _write_vcf,
}
