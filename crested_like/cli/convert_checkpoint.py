"""``crested-like convert-checkpoint``."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Annotated, Any

import typer

from crested_like.cli import _console as console
from crested_like.cli._backend_option import BackendOption, use_backend
from crested_like.cli._options import File, Text, Texts

#: Shown below the help.
EXAMPLES = "crested-like convert-checkpoint model0_best.h5 --params params.json --out model.keras"


def convert_checkpoint(
    source: Annotated[
        Path, typer.Argument(help="Weight file as it was published, or a folder that holds exactly one.")
    ],
    out: Annotated[
        File, typer.Option("--out", "-o", help="File to write; default the source's name with .keras, here.")
    ] = None,
    params: Annotated[
        File, typer.Option(help="File with the architecture; looked for beside the source if not given.")
    ] = None,
    head: Annotated[Text, typer.Option(help="Output to keep of several.")] = None,
    architecture: Annotated[Text, typer.Option(help="Family, where the file does not say it.")] = None,
    targets: Annotated[
        File, typer.Option(help="Track table to store in the file (targets.txt, or one name a line).")
    ] = None,
    settings: Annotated[
        Texts,
        typer.Option("--set", metavar="KEY=VALUE", help="A constant that no file holds, such as input_length=524288."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
    backend: BackendOption = None,
) -> None:
    """Turn a published checkpoint into a plain .keras file."""
    target = out or Path(f"{source.name.removesuffix(source.suffix)}.keras")
    if target.suffix != ".keras":
        raise ValueError(f"A Keras model file must be called *.keras; got --out {target.name}.")
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} is there already. Choose another name with --out, or give --overwrite.")
    told = dict(_setting(text) for text in settings or [])
    use_backend(backend)
    from crested_like import attach, checkpoints
    from crested_like.checkpoints._keras import save_keras
    from crested_like.cli._facts import of_model

    model = checkpoints.convert(source, params=params, head=head, architecture=architecture, **told)
    if targets is not None:
        attach(model, targets)
    save_keras(model, target)
    rows = {"source": source, **of_model(model), "parameters": f"{model.count_params():,}", "written": target}
    console.stdout().print(console.facts(rows))


def _setting(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip().isidentifier():
        raise ValueError(f"--set takes KEY=VALUE, such as input_length=524288; got {text!r}.")
    try:
        return key.strip(), ast.literal_eval(
            value.strip().replace(",", "") if value.replace(",", "").isdecimal() else value
        )
    except (ValueError, SyntaxError):  # a word
        return key.strip(), value.strip()
