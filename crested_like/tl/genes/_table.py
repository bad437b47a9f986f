"""A table of genes by tracks: in memory, as AnnData, and in files."""

from __future__ import annotations

import importlib.util
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crested_like._errors import BackendError
from crested_like.genome import Gene
from crested_like.tl._parquet import require_parquet
from crested_like.tl.genes._columns import Columns

if TYPE_CHECKING:
    from anndata import AnnData

#: What is told of a gene, in files and in AnnData.
GENE_COLUMNS = ("name", "identifier", "chrom", "start", "end", "strand", "exon_bases")
#: Rows of a text table written at a time.
_ROWS = 4_096


@dataclass(frozen=True)
class Expression:
    """Values of genes by column, and what they are.

    Attributes
    ----------
    values
        ``(genes, columns)``, float32.
    attrs
        What else there is to know, as plain values.
    """

    genes: Sequence[Gene]
    columns: Columns
    values: NDArray[np.float32]
    attrs: Mapping[str, Any]

    def frame(self) -> pd.DataFrame:
        """Genes by tracks."""
        index = pd.Index(labels_of(self.genes), name="gene")
        table = pd.DataFrame(np.array(self.values), index=index, columns=pd.Index(self.columns.labels, name="track"))
        table.attrs = dict(self.attrs)
        return table

    def described(self) -> pd.DataFrame:
        """What is known of the genes, one a row."""
        told = [[getattr(gene, name) for name in GENE_COLUMNS] for gene in self.genes]
        return pd.DataFrame(told, columns=list(GENE_COLUMNS), index=pd.Index(labels_of(self.genes), name="gene"))

    def anndata(self) -> AnnData:
        """Tracks by genes, as tools for expression have it: an observation a track, a variable a gene."""
        check_anndata()
        from anndata import AnnData

        obs = pd.DataFrame({"description": self.columns.descriptions}, index=[str(c) for c in self.columns.labels])
        return AnnData(np.ascontiguousarray(np.array(self.values).T), obs=obs, var=self.described(), uns={**self.attrs})


def labels_of(genes: Sequence[Gene]) -> list[str]:
    """A label for each gene, no two the same: its name, with the identifier where several are called so."""
    named = Counter(gene.name for gene in genes)
    known = Counter((gene.name, gene.identifier) for gene in genes)
    return [
        gene.name
        if named[gene.name] == 1
        else f"{gene.name} ({gene.identifier})"
        if known[gene.name, gene.identifier] == 1
        else f"{gene.name} ({gene.chrom})"
        for gene in genes
    ]


def check_out(out: str | os.PathLike[str]) -> Path:
    """Path to write to, after a check that its ending stands for a format that can be written.

    Raises
    ------
    ValueError
        If it does not.
    BackendError
        If a package is needed that is not installed.
    """
    path = Path(out).expanduser()
    ending = _ending(path)
    if ending == ".h5ad":
        check_anndata()
    if ending == ".parquet":
        require_parquet(".tsv.gz or .h5ad")
    return path


def check_anndata() -> None:
    """Make sure that AnnData can be made."""
    if importlib.util.find_spec("anndata") is None:
        raise BackendError(
            "anndata is needed for AnnData and .h5ad files and is not installed. Install it with: "
            "pip install 'crested_like[anndata]', or write .tsv.gz."
        )


def write(found: Expression, path: Path) -> None:
    """Write a table in the format of the name's ending."""
    _WRITERS[_ending(path)](found, path)


def _ending(path: Path) -> str:
    for ending in sorted(_WRITERS, key=len, reverse=True):
        if path.name.lower().endswith(ending):
            return ending
    raise ValueError(f"Genes are written to {', '.join('*' + ending for ending in _WRITERS)}; got {path.name!r}.")


def _whole(found: Expression, rows: slice) -> pd.DataFrame:
    """Some genes: what is known of them, then their values."""
    values = pd.DataFrame(
        np.array(found.values[rows]), columns=[str(label) for label in found.columns.labels], dtype=np.float32
    )
    told = found.described().iloc[rows].reset_index()
    return pd.concat([told, values], axis=1)


def _write_text(found: Expression, path: Path) -> None:
    packed: Any = {"method": "gzip", "mtime": 0} if path.name.lower().endswith(".gz") else None
    for start in range(0, max(1, len(found.genes)), _ROWS):
        _whole(found, slice(start, start + _ROWS)).to_csv(
            path,
            sep="\t",
            index=False,
            header=start == 0,
            mode="w" if start == 0 else "a",
            na_rep="NA",
            lineterminator="\n",
            compression=packed,
        )


def _write_parquet(found: Expression, path: Path) -> None:
    table = _whole(found, slice(None))
    table.attrs = {"crested_like": json.dumps(dict(found.attrs))}
    table.to_parquet(path, engine="pyarrow", index=False)


def _write_anndata(found: Expression, path: Path) -> None:
    found.anndata().write_h5ad(path)


#: One writer a file ending.
_WRITERS: dict[str, Callable[[Expression, Path], None]] = {
    ".tsv": _write_text,
    ".tsv.gz": _write_text,
    ".parquet": _write_parquet,
    ".h5ad": _write_anndata,
}
