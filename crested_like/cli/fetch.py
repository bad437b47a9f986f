"""``crested-like fetch``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from crested_like.cli import _console as console
from crested_like.cli._options import File, Texts

#: Shown below the help.
EXAMPLES = "crested-like fetch borzoi_human_rep0 borzoi_human_rep1"


def fetch(
    names: Annotated[Texts, typer.Argument(help="Names or aliases of models.")] = None,
    all_of: Annotated[
        File,
        typer.Option(
            "--all", metavar="FILE", help="A file with one name a line ('#' begins a comment), or - for stdin."
        ),
    ] = None,
) -> None:
    """Download models ahead of use, for a machine or a cluster without network.

    Everything that can be fetched is fetched; what failed is listed at the end.
    """
    from crested_like._errors import CrestedLikeError
    from crested_like.registry import fetch_all

    wanted = list(dict.fromkeys([*(names or []), *(_listed_in(all_of) if all_of else [])]))
    if not wanted:
        console.fail("Say which models to fetch: their names, or --all FILE with one name a line.")
        raise typer.Exit(2)
    failures = []
    for number, name in enumerate(wanted, start=1):
        try:
            for path in fetch_all([name], progressbar=sys.stderr.isatty()).values():
                console.stdout().print(f"[{number}/{len(wanted)}] {name}  {path}", markup=False, soft_wrap=True)
        except CrestedLikeError as error:
            failures.append(name)
            console.fail(f"[{number}/{len(wanted)}] {name}: {error}")
    done = len(wanted) - len(failures)
    console.note(f"{done} of {len(wanted)} models are ready.")
    if failures:
        console.fail(f"{len(failures)} could not be fetched: {', '.join(failures)}. Run it again to go on with those.")
        raise typer.Exit(1)


def _listed_in(path: Path) -> list[str]:
    if str(path) == "-":
        text = sys.stdin.read()
    elif path.is_file():
        text = path.read_text(encoding="utf-8")
    else:
        raise FileNotFoundError(f"There is no file {path}; --all takes a file with one model name a line.")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    names = [line for line in lines if line]
    if not names:
        raise ValueError(f"{path} names no model; it needs one name a line.")
    return names
