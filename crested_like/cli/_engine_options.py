"""What runs the work of a verb: this process, or a cluster."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from crested_like.cli._options import Number, Text

if TYPE_CHECKING:
    from crested_like.engine import Engine

CLUSTER = "Cluster"


class EngineName(StrEnum):
    """Engines by name."""

    local = "local"
    ray = "ray"


EngineOption = Annotated[
    EngineName, typer.Option("--engine", help="This process, or a Ray cluster.", rich_help_panel=CLUSTER)
]
AddressOption = Annotated[
    Text, typer.Option("--address", help="Of the Ray cluster; default the one here.", rich_help_panel=CLUSTER)
]
WorkersOption = Annotated[
    Number, typer.Option("--workers", min=1, help="Default: all there is room for.", rich_help_panel=CLUSTER)
]
ProcessorsOption = Annotated[
    Number, typer.Option("--processors", min=1, help="Threads of a worker; default 2.", rich_help_panel=CLUSTER)
]


def engine_of(name: EngineName, address: str | None, workers: int | None, processors: int | None) -> Engine:
    """What ``engine=`` is to get."""
    from crested_like.engine import Local, Ray

    given = {"address": address, "workers": workers, "processors": processors}
    given = {option: value for option, value in given.items() if value is not None}
    if name is EngineName.ray:
        return Ray(**given)  # type: ignore[arg-type]
    if given:
        raise ValueError(f"--{next(iter(given))} is of a cluster: give it with --engine ray.")
    return Local()
