"""``crested-like train``."""

from __future__ import annotations

import logging
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from crested_like.cli import _console as console
from crested_like.cli._backend_option import BackendOption, use_backend
from crested_like.cli._options import File, Texts

#: Shown below the help.
EXAMPLES = """crested-like train recipe.toml

crested-like train recipe.toml --set training.seed=1 --set data.human.path=data/hg38 --out runs/second"""


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="TOML file: model, data, optimizer and the rest.")],
    changes: Annotated[
        Texts,
        typer.Option("--set", "-s", metavar="KEY=VALUE", help="Replace an entry: training.rounds=3; repeatable."),
    ] = None,
    out: Annotated[
        File,
        typer.Option("--out", "-o", help="Folder of the run, in place of output.folder."),
    ] = None,
    backend: BackendOption = None,
) -> None:
    """Train a model as a recipe says. The same command goes on with a run that was interrupted."""
    use_backend(backend)
    from crested_like._errors import RecipeError
    from crested_like.tl.training._config import parse
    from crested_like.tl.training._toml import read_tables, with_changes

    tables = with_changes(read_tables(recipe), dict(map(change, changes or [])))
    if parse(tables).output.folder is None and out is None:
        raise RecipeError("Nothing says where the run is to be kept: give --out, or output.folder in the recipe.")
    logging.getLogger("crested_like.train").setLevel(logging.INFO)
    from crested_like.tl import fit

    run = fit(tables, out=out)
    figures = {name: value for name, value in run.figures.items() if name not in ("round", "seconds", "learning_rate")}
    best = f"{run.best_round} of {len(run.history)}"
    console.stdout().print(
        console.facts(
            {
                "best round": best,
                **{name: f"{value:.5g}" for name, value in figures.items()},
                "model": run.model_path,
                "history": None if run.folder is None else run.folder / "history.csv",
            }
        )
    )


def change(text: str) -> tuple[str, Any]:
    """Key and value of ``--set``: a TOML value, or else a text.

    Examples
    --------
    >>> change("training.rounds=3"), change("data.human.path=data/hg38"), change("augment.rc=true")
    (('training.rounds', 3), ('data.human.path', 'data/hg38'), ('augment.rc', True))
    """
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise ValueError(f"--set takes KEY=VALUE, such as training.rounds=3; got {text!r}.")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value
