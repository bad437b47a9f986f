"""Initializers with a seed of their own."""

from __future__ import annotations

from typing import Any

import keras


def fresh(initializer: Any) -> Any:
    """The initializer of this name, config or object, as a new object.

    One random initializer used for two weights of equal shape would draw equal values.
    """
    found = keras.initializers.get(initializer)
    return found.clone() if isinstance(found, keras.initializers.Initializer) else found
