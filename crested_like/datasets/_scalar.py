"""Training data with one value a region and output: peak heights, topics, classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crested_like._checks import positive_int
from crested_like._errors import DatasetError
from crested_like._tracks import from_columns, tracks_of
from crested_like.datasets._labels import Labels, labels_of, rows_by_label
from crested_like.datasets._letters import codes_at
from crested_like.datasets._source import as_labels, check_label
from crested_like.genome import Genome, Region, Regions, check_regions, regions_of, resolve_genome
from crested_like.genome._anndata import regions_of_anndata

if TYPE_CHECKING:
    from anndata import AnnData


@dataclass(frozen=True, eq=False)
class ScalarLayout:
    """What all examples have in common where an example has one value a track, and no bins.

    Attributes
    ----------
    seq_length
        Bases of a sequence.
    tracks
        Names of the outputs.
    assembly
        Name of the genome.
    """

    seq_length: int
    tracks: pd.DataFrame
    assembly: str | None = None
    pool_width: None = None
    target_length: None = None
    crop_bp: None = None
    strand_pairs: None = None

    @property
    def num_targets(self) -> int:
        """Number of outputs."""
        return len(self.tracks)


class ScalarTargets:
    """Regions of a genome with one value an output: training data for peak regression, topics and classes.

    Parameters
    ----------
    regions
        A BED file, a table or a list of regions.
    values
        ``(regions, outputs)``: an array or sparse matrix, a table whose columns name the outputs, or the path of one
        with a header, tab-separated, whose first column names the regions.
    genome
        A genome, its name, or the path of a FASTA file; by default the one registered last.
    seq_length
        Bases of a sequence, around the centre of its region; by default the width of the regions, if they have one.
    labels
        Which regions are in which split: a label for every region; or chromosomes by label, the rest being ``train``;
        or the name of a column of the table of regions. By default its column ``label`` or ``split``, or all are
        ``train``.
    outputs
        Names of the outputs, or a table of them, where ``values`` does not name them.

    Raises
    ------
    DatasetError
        If the numbers of regions, values, labels or outputs differ, a value is no finite number, or a chromosome in
        ``labels`` has no region.
    RegionError
        If a region does not lie on the genome.

    Examples
    --------
    >>> data = ScalarTargets("peaks.bed", heights, "hg38.fa", labels={"valid": "chr8"})  # doctest: +SKIP
    >>> codes, heights = data.read("valid", 0)  # doctest: +SKIP
    """

    def __init__(
        self,
        regions: Regions,
        values: Any,
        genome: Genome | str | os.PathLike[str] | None = None,
        *,
        seq_length: int | None = None,
        labels: Labels | None = None,
        outputs: Any = None,
    ):
        given = regions_of(regions)
        self.genome = resolve_genome(genome)
        if not given:
            raise DatasetError("There are no regions.")
        check_regions(given, self.genome)
        table, named = _values(values)
        self._values, names = table, named if outputs is None else outputs
        if len(given) != len(table):
            raise DatasetError(f"There are {len(given):,} regions, but values for {len(table):,}.")
        tracks = from_columns({"identifier": [f"output_{i}" for i in range(table.shape[1])]})
        tracks = tracks if names is None else tracks_of(names)
        if len(tracks) != table.shape[1]:
            raise DatasetError(f"There are {table.shape[1]:,} values a region, but names of {len(tracks):,} outputs.")
        length = _common_width(given) if seq_length is None else positive_int("seq_length", seq_length)
        self.layout = ScalarLayout(length, tracks, self.genome.name)
        self._regions = [region.resize(length) for region in given]
        self._rows = rows_by_label(labels_of([region.chrom for region in given], labels, regions))
        self.labels = tuple(self._rows)

    @classmethod
    def from_anndata(
        cls,
        adata: AnnData,
        genome: Genome | str | os.PathLike[str] | None = None,
        *,
        seq_length: int | None = None,
        labels: Labels | None = None,
    ) -> ScalarTargets:
        """Outputs are the observations, regions the variables of an AnnData, as in CREsted.

        Parameters
        ----------
        adata
            Its variables are regions: by columns ``chrom``, ``start``, ``end``, or by names ``chrom:start-end``, both
            0-based half-open.
        genome, seq_length
            As above.
        labels
            As above; a name is that of a column of ``.var``. By default its column ``label`` or ``split``.
        """
        if labels is None or isinstance(labels, str):
            labels = labels_of([""] * adata.n_vars, labels, adata.var)
        if adata.X is None:
            raise DatasetError("The AnnData has no values: .X is empty.")
        values, names = adata.X[:].T, list(adata.obs_names)
        return cls(regions_of_anndata(adata), values, genome, seq_length=seq_length, labels=labels, outputs=names)

    def windows(self, label: str) -> pd.DataFrame:
        """Where the examples of a split lie: ``chrom``, ``start``, ``end`` of the sequences, 0-based half-open."""
        rows = self._rows[check_label(label, self.labels, type(self).__name__)]
        table = pd.DataFrame([(r.chrom, r.start, r.end) for r in (self._regions[i] for i in rows)])
        table.columns = ["chrom", "start", "end"]
        return table.assign(label=label, source_index=rows)

    def count(self, label: str) -> int:
        """How many examples a split has."""
        return len(self._rows[check_label(label, self.labels, type(self).__name__)])

    def read(self, label: str, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """One example: index codes ``(L,)`` and values ``(outputs,)``."""
        row = self._rows[label][index]
        region = self._regions[row]
        return codes_at(self.genome, region.chrom, region.start, region.end), self._values[row]

    def order(self, labels: str | Sequence[str], rng: np.random.Generator) -> NDArray[np.intp]:
        """Any order: regions are read one as fast as the other."""
        return rng.permutation(sum(map(self.count, as_labels(labels))))


def _values(values: Any) -> tuple[NDArray[np.float32], list[str] | None]:
    """Values as an array, and the names of their columns where they have any."""
    if isinstance(values, str | os.PathLike):
        values = pd.read_csv(Path(values).expanduser(), sep="\t", index_col=0)
    names = [str(name) for name in values.columns] if hasattr(values, "columns") else None
    dense = values.toarray() if hasattr(values, "toarray") else values  # of scipy's sparse matrices
    try:
        array = np.ascontiguousarray(dense, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"Values must be numbers, one row a region and one column an output ({error}).") from None
    if array.ndim != 2:
        raise DatasetError(f"Values must have two axes, regions and outputs; got an array of shape {array.shape}.")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        row, column = bad[0].tolist()
        raise DatasetError(
            f"{len(bad):,} of {array.size:,} values are no finite numbers, the first that of region {row:,} and "
            f"output {names[column] if names else column}. Remove these regions or fill in numbers."
        )
    return array, names


def _common_width(regions: Sequence[Region]) -> int:
    widths = sorted({region.width for region in regions})
    if len(widths) > 1:
        some = ", ".join(f"{width:,}" for width in widths[:3]) + (", ..." if len(widths) > 3 else "")
        raise DatasetError(f"Regions are {some} bp wide. Say how many bases seq_length= a sequence is to have.")
    return widths[0]
