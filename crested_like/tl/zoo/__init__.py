"""Architectures: functional graphs of plain Keras layers and :mod:`crested_like.layers`."""

from crested_like._backend import require_backend

require_backend()

from crested_like.tl.zoo.basenji2 import Basenji2Config, basenji2  # noqa: E402 - after the check of the backend
from crested_like.tl.zoo.borzoi import BorzoiConfig, borzoi, borzoi_prime, flashzoi  # noqa: E402
from crested_like.tl.zoo.enformer import EnformerConfig, enformer  # noqa: E402
from crested_like.tl.zoo.nucleotide_transformer import (  # noqa: E402
    NucleotideTransformerConfig,
    nucleotide_transformer,
)
from crested_like.tl.zoo.segmentation import (  # noqa: E402
    FEATURES,
    segment_borzoi,
    segment_enformer,
    segment_nt,
    segmentation_head,
)

__all__ = [
    "FEATURES",
    "Basenji2Config",
    "BorzoiConfig",
    "EnformerConfig",
    "NucleotideTransformerConfig",
    "basenji2",
    "borzoi",
    "borzoi_prime",
    "enformer",
    "flashzoi",
    "nucleotide_transformer",
    "segment_borzoi",
    "segment_enformer",
    "segment_nt",
    "segmentation_head",
]
