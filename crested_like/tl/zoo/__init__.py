"""Architectures: functional graphs of plain Keras layers and :mod:`crested_like.layers`."""

from crested_like._backend import require_backend

require_backend()

from crested_like.tl.zoo.basenji2 import Basenji2Config, basenji2  # noqa: E402 - after the check of the backend
from crested_like.tl.zoo.borzoi import BorzoiConfig, borzoi, borzoi_prime, flashzoi  # noqa: E402
from crested_like.tl.zoo.enformer import EnformerConfig, enformer  # noqa: E402

__all__ = [
    "Basenji2Config",
    "BorzoiConfig",
    "EnformerConfig",
    "basenji2",
    "borzoi",
    "borzoi_prime",
    "enformer",
    "flashzoi",
]
