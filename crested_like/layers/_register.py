"""The one door into Keras' name table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import keras

T = TypeVar("T")

#: Package under which new files name our objects.
PACKAGE = "crested_like"


def serializable(name: str, formerly: tuple[str, ...] = ()) -> Callable[[T], T]:
    """Register a layer, function, loss or metric under ``crested_like>name``.

    Parameters
    ----------
    name
        Name written to new files.
    formerly
        Full names that older files carry (``"crested>X"``, or a bare ``"X"``). They are entered only where the
        table has no entry, so that a package that owns the name keeps it.
    """

    def register(obj: T) -> T:
        table = keras.saving.get_custom_objects()
        key = f"{PACKAGE}>{name}"
        if key in table:  # imported twice: keep the first
            return table[key]
        keras.saving.register_keras_serializable(PACKAGE, name)(obj)
        for old in formerly:
            table.setdefault(old, obj)
        return obj

    return register
