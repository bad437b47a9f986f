"""``crested-like verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crested_like.cli import _console as console
from crested_like.cli._options import File, Texts

#: Shown below the help.
EXAMPLES = """crested-like verify borzoi_mini_human

crested-like verify model.keras --expected numbers.npz"""


def verify(
    model: Annotated[str, typer.Argument(help="Name of a model, or path of a .keras file.")],
    backend: Annotated[
        Texts,
        typer.Option("--backend", "-b", help="Compare only these; default all that are installed."),
    ] = None,
    expected: Annotated[
        File,
        typer.Option("--expected", help="NPZ file of an input (one_hot) and the outputs it is to give."),
    ] = None,
) -> None:
    """Run a model on every installed backend and show how far the results are apart."""
    from crested_like import get_model
    from crested_like.tl._verify import TOLERANCE
    from crested_like.tl._verify import verify as compare

    path = Path(model) if Path(model).exists() else Path(get_model(model)[0])
    found = compare(path, backends=backend, expected=expected)
    if not found:
        console.note("Only one backend is installed, so there is nothing to compare. The file loads and runs on it.")
        return
    columns = {
        "": [pair.first for pair in found],
        "and": [pair.second for pair in found],
        "worst output": [pair.output for pair in found],
        "greatest difference / greatest value": [f"{pair.difference:.1e}" for pair in found],
        f"within {TOLERANCE:.0e}": ["yes" if pair.agrees else "NO" for pair in found],
    }
    console.stdout().print(console.table(str(path), columns, keep="and"))
    if not all(pair.agrees for pair in found):
        raise typer.Exit(1)
