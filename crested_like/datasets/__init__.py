"""Training data: read what Basenji, Enformer, Borzoi and CREsted were trained on.

Nothing here needs keras but ``Batches``, which is imported at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crested_like.datasets._layout import Layout
from crested_like.datasets._on_the_fly import OnTheFly
from crested_like.datasets._open import open_dataset
from crested_like.datasets._scalar import ScalarTargets
from crested_like.datasets._writing import Block, Writer, open_writer
from crested_like.datasets.building._build import BuildSummary, build
from crested_like.datasets.building._coverage import Coverage, open_coverage
from crested_like.datasets.building._folds import split_genome, split_genomes
from crested_like.datasets.conversion._convert import convert
from crested_like.datasets.conversion._summary import Summary
from crested_like.datasets.formats._arrays import ArrayDataset
from crested_like.datasets.formats._basenji import BasenjiDataset, Example, Statistics
from crested_like.datasets.formats._text_hdf5 import TextDataset
from crested_like.datasets.formats._tfrecord import byte_features, count_records, read_records, write_records

if TYPE_CHECKING:
    from crested_like.datasets.batches._batches import Batches

__all__ = [
    "ArrayDataset",
    "BasenjiDataset",
    "Batches",
    "Block",
    "BuildSummary",
    "Coverage",
    "Example",
    "Layout",
    "OnTheFly",
    "ScalarTargets",
    "Statistics",
    "Summary",
    "TextDataset",
    "Writer",
    "build",
    "byte_features",
    "convert",
    "count_records",
    "open_coverage",
    "open_dataset",
    "open_writer",
    "read_records",
    "split_genome",
    "split_genomes",
    "write_records",
]


def __getattr__(name: str) -> object:
    if name != "Batches":
        raise AttributeError(f"module 'crested_like.datasets' has no attribute {name!r}")
    from crested_like.datasets.batches._batches import Batches

    return Batches
