"""Training data: read what Basenji, Enformer, Borzoi and CREsted were trained on. No keras here."""

from crested_like.datasets._basenji import BasenjiDataset, Example, Statistics
from crested_like.datasets._tfrecord import byte_features, read_records

__all__ = ["BasenjiDataset", "Example", "Statistics", "byte_features", "read_records"]
