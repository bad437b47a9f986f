"""Checks of arguments and their wording, once for the whole package."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Collection, Iterable


def positive_int(name: str, value: object) -> int:
    """Return ``value`` as an int of at least 1, or raise a ValueError that names the argument."""
    return int_at_least(name, value, 1)


def int_at_least(name: str, value: object, least: int) -> int:
    """Return ``value`` as an int of at least ``least``, or raise a ValueError that names the argument."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be an integer of at least {least}; got {value!r}.") from None
    if isinstance(value, bool) or number < least:
        raise ValueError(f"{name} must be an integer of at least {least}; got {value!r}.")
    return number


def fraction(name: str, value: float) -> float:
    """Return ``value`` as a float in [0, 1), the range of a dropout rate."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and below 1; got {value!r}.")
    return float(value)


def one_of(name: str, value: str, allowed: Collection[str]) -> str:
    """Return ``value`` if it is one of ``allowed``, or raise a ValueError that lists them."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}.")
    return value


def did_you_mean(word: str, known: Iterable[str], n: int = 3) -> str:
    """A sentence that suggests near spellings, with a leading space, or an empty string."""
    lower = {k.lower(): k for k in known}
    close = [lower[k] for k in difflib.get_close_matches(word.lower(), lower, n=n)]
    return f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
