"""``crested-like models``."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from crested_like.cli import _console as console
from crested_like.cli._options import Text

#: Shown below the help.
EXAMPLES = "crested-like models mouse --architecture borzoi"


def models(
    query: Annotated[Text, typer.Argument(help="Words that have to occur in a model's entry.")] = None,
    species: Annotated[Text, typer.Option(help="For example human or mouse.")] = None,
    architecture: Annotated[Text, typer.Option(help="For example borzoi, borzoi_prime, enformer.")] = None,
    genome: Annotated[Text, typer.Option(help="For example hg38.")] = None,
    task: Annotated[Text, typer.Option(help="What it was trained for.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models that can be asked for by name."""
    from crested_like.registry import list_models, model_card

    asked = {"species": species, "architecture": architecture, "genome": genome, "task": task}
    found = list_models(query, **{key: value for key, value in asked.items() if value is not None})
    if as_json:
        typer.echo(json.dumps([model_card(name).to_dict() for name in found["name"]], indent=2))
        return
    if found.empty:
        console.note("No model fits. Leave out some words or filters; crested-like models lists all.")
        raise typer.Exit(1)
    columns: dict[str, Any] = {
        "name": found["name"],
        "architecture": found["architecture"],
        "species": found["species"],
        "input (bp)": [_number(value) for value in found["input_length"]],
        "bin (bp)": [_number(value) for value in found["bin_size"]],
        "tracks": [_number(value) for value in found["num_tracks"]],
        "size": found["size"].fillna(""),
        "licence": found["license"],
    }
    right = ("input (bp)", "bin (bp)", "tracks", "size")
    console.stdout().print(
        console.table("", {name: list(column) for name, column in columns.items()}, right=right, keep="name")
    )
    console.note(f"{len(found)} models. crested-like show NAME tells more; crested-like predict --model NAME uses one.")


def _number(value: Any) -> str | None:
    import pandas as pd

    return None if pd.isna(value) else f"{value:,}"
