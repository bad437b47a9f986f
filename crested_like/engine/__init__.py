"""Engines: what computes the units of a long run, this process or the workers of a cluster. No keras here."""

from __future__ import annotations

from typing import TypeAlias

from crested_like._checks import one_of
from crested_like.engine._local import Local
from crested_like.engine._ray import Ray
from crested_like.engine._task import Task

__all__ = ["Engine", "Local", "Ray", "Task", "engine_of"]

Engine: TypeAlias = Local | Ray

_BY_NAME: dict[str, type[Local] | type[Ray]] = {"local": Local, "ray": Ray}


def engine_of(engine: str | Engine) -> Engine:
    """The engine that a name stands for, with its defaults; an engine as it is."""
    if isinstance(engine, Local | Ray):
        return engine
    return _BY_NAME[one_of("engine", engine, tuple(_BY_NAME))]()
