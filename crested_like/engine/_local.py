"""Units of work in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from crested_like.engine._task import Task


@dataclass(frozen=True)
class Local:
    """The process that calls it."""

    def run(self, task: Task, units: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Do units, in their order: pairs of the number of each and what the task says of it."""
        with closing(task.do(units)) as answers:  # type: ignore[type-var]
            yield from zip(units, answers, strict=True)
