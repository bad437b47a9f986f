"""Scores as a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crested_like.tl.variants._plan import Plan, Row

#: What is put after the name of a statistic for its place among those of a background.
QUANTILE = "_quantile"


def variant_columns(rows: Sequence[Row]) -> pd.DataFrame:
    """What is known of each row without any prediction."""
    variants = [row.placed.variant for row in rows]
    table = {
        "chrom": [variant.chrom for variant in variants],
        "position": np.array([variant.position + 1 for variant in variants], np.int64),
        "ref": [variant.ref for variant in variants],
        "alt": [variant.alt for variant in variants],
        "name": [variant.name for variant in variants],
        "status": [row.placed.status for row in rows],
        "genome_ref": [row.placed.genome_ref for row in rows],
    }
    if any(row.gene is not None for row in rows):
        table["gene"] = [row.gene.name if row.gene else "" for row in rows]
        table["gene_id"] = [row.gene.identifier if row.gene else "" for row in rows]
    return pd.DataFrame(table)


def score_columns(names: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Names of the columns: ``"SAD:track"``, or ``"SAD"`` for a single number."""
    return [f"{name}:{label}" if label else name for name in names for label in labels]


def table_of(plan: Plan, scores: NDArray[np.float32], quantiles: NDArray[np.float32] | None) -> pd.DataFrame:
    """The whole table: one row a variant, or a variant and gene, in the order given."""
    parts = [variant_columns(plan.rows), _scores(plan, scores, "")]
    if quantiles is not None:
        parts.append(_scores(plan, quantiles, QUANTILE))
    table = pd.concat(parts, axis=1)
    table.attrs = {"statistics": list(plan.names), **{k: v for k, v in (plan.settings or {}).items() if v is not None}}
    return table


def _scores(plan: Plan, scores: NDArray[np.float32], suffix: str) -> pd.DataFrame:
    names = score_columns([name + suffix for name in plan.names], plan.labels)
    return pd.DataFrame(np.array(scores, np.float32).reshape(len(scores), -1), columns=names)
