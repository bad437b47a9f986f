"""``crested-like show``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crested_like.cli import _console as console

if TYPE_CHECKING:
    from crested_like._card import ModelCard

#: Shown below the help.
EXAMPLES = "crested-like show borzoi_human_rep0"


def show(
    name: Annotated[str, typer.Argument(help="Name or alias of a model, or path of a .keras file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show everything that is known of a model."""
    from crested_like.registry import model_card

    card = model_card(name)
    if as_json:
        typer.echo(json.dumps(card.to_dict(), indent=2))
        return
    from crested_like.registry._models import cached_file

    stored: object = name
    if card.sources:
        cached = cached_file(card)
        stored = cached.path if cached else f"not fetched yet: crested-like fetch {card.name}"
    rows = {
        "name": card.name,
        "also called": ", ".join(card.aliases),
        "architecture": card.architecture,
        "task": card.task,
        "species": " ".join(part for part in (card.species, f"({card.genome})" if card.genome else "") if part),
        "replicate": card.replicate,
        "input": _count(card.input_length, "bp"),
        "output": _output(card),
        "heads": _heads(card),
        "tracks named": _tracks_known(card),
        "targets": f"{card.transform} transform" if card.transform else None,
        "parameters": _count(card.parameters, ""),
        "size": card.size,
        "licence": card.license,
        "citation": card.citation,
        "data": card.data_source,
        "page": card.page,
        "notes": card.notes,
        "trained by": _listed(card.recipe),
        "test figures": _listed(card.metrics),
        "format": card.format if card.sources else None,
        "source": "\n".join(card.sources),
        "sha256": card.sha256,
        "stored at": stored,
    }
    console.stdout().print(console.facts(rows))


def _count(value: int | None, unit: str) -> str | None:
    return None if value is None else f"{value:,} {unit}".strip()


def _output(card: ModelCard) -> str | None:
    parts = []
    if card.output_bins is not None and card.bin_size is not None:
        parts.append(f"{card.output_bins:,} bins of {card.bin_size:,} bp")
    if card.num_tracks is not None:
        parts.append(f"{card.num_tracks:,} tracks")
    return " x ".join(parts) or None


def _heads(card: ModelCard) -> str:
    return ", ".join(
        f"{head} ({own['num_tracks']:,} tracks)" if "num_tracks" in own else head for head, own in card.heads.items()
    )


def _tracks_known(card: ModelCard) -> str | None:
    """Where the track table is, without fetching it."""
    if card.tracks is None:
        return "by head" if any("tracks" in own for own in card.heads.values()) else None
    if "columns" in card.tracks:
        columns = card.tracks["columns"]
        return "yes, with strand pairs" if "strand_pair" in columns else "yes"
    return f"in {card.tracks['sources'][0]}"


def _listed(values: Any) -> str:
    return "\n".join(f"{key}: {value}" for key, value in values.items())
