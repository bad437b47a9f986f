"""Sums and products in one pass, for PyTorch, which compiles nothing and so makes every intermediate result."""

from __future__ import annotations

from typing import Any

import keras


def plus(x: Any, factor: float, y: Any) -> Any:
    """``x + factor y``."""
    if keras.backend.backend() == "torch":
        import torch

        return torch.add(x, y, alpha=factor)
    return x + factor * y


def times_plus(x: Any, factor: Any, summand: Any) -> Any:
    """``factor x + summand``."""
    if keras.backend.backend() == "torch":
        import torch

        return torch.addcmul(summand, x, factor)
    return x * factor + summand
