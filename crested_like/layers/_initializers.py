"""Initializers with a seed of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras

_drawing = ContextVar("drawing", default=True)


def fresh(initializer: Any) -> Any:
    """The initializer of this name, config or object, as a new object.

    One random initializer used for two weights of equal shape would draw equal values.
    """
    if not _drawing.get():
        return keras.initializers.Zeros()
    found = keras.initializers.get(initializer)
    return found.clone() if isinstance(found, keras.initializers.Initializer) else found


@contextmanager
def nothing_drawn() -> Iterator[None]:
    """Build networks of zeros while the context lasts: for weights that are read next, drawing is most of the time."""
    token = _drawing.set(False)
    try:
        yield
    finally:
        _drawing.reset(token)
