"""What the verbs on training data let one choose from; a test compares it with what the functions take."""

from __future__ import annotations

from enum import StrEnum


class Container(StrEnum):
    """What a dataset can be written as."""

    tfrecord = "tfrecord"
    zarr = "zarr"
    hdf5 = "hdf5"
    text = "text-hdf5"


class Version(StrEnum):
    """Versions of the target transform."""

    new = "new"
    old = "old"
