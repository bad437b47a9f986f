"""What an engine runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol


class Task(Protocol):
    """Work in numbered units that anyone may do in any order; it stores each unit's result by itself.

    A unit that was cut off is done again, elsewhere perhaps, so storing a result twice must leave what once leaves.
    Engines of several processes pickle the task, and every worker has a copy of its own.
    """

    def do(self, units: Iterable[int]) -> Iterator[Any]:
        """Do units one after the other, and give a few words on each as soon as its result is stored."""
