"""What the numbers of a run hang on, in short texts that two runs can be compared by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from crested_like._card import card_of


def of_model(model: keras.Model) -> str:
    """Name and digest of a network: of its graph and of all weights."""
    found = hashlib.sha256(_graph(model).encode())
    for weight in model.weights:
        values = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        found.update(f"{values.shape}{values.dtype}".encode())
        found.update(values.reshape(-1).view(np.uint8))
    card = card_of(model)
    return f"{card.name if card else model.name} {found.hexdigest()[:16]}"


def _graph(model: keras.Model) -> str:
    try:
        return json.dumps(model.get_config(), default=str, sort_keys=True)
    except (NotImplementedError, TypeError, ValueError):  # a layer of somebody's own that does not say how it is made
        return "\n".join(type(layer).__name__ for layer in model.layers)


def of_numbers(values: Sequence[int] | np.ndarray) -> str:
    """How many numbers there are, and their digest."""
    numbers = np.asarray(values, np.int64)
    return f"{len(numbers):,}, {hashlib.sha256(numbers.tobytes()).hexdigest()[:16]}"


def of_values(values: Any) -> str:
    """Digest of plain values, as JSON has them."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]
