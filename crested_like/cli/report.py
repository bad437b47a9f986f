"""``crested-like report``."""

from __future__ import annotations

import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from crested_like.cli import _console as console
from crested_like.cli._options import RESULT, File, OverwriteOption, Text, Texts, tracks_of

SHOWN = "Shown"
#: Shown below the help.
EXAMPLES = """crested-like report predictions.zarr scores.tsv --gtf genes.gtf --out report.html

crested-like report predictions.zarr --tracks CAGE --region chr1:4001-6000 --title "A promoter" --out cage.html"""


def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES...",
            help="What other verbs wrote: predictions and attributions (.zarr, .h5, .npz), variants (.tsv, .parquet).",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Page to write.", rich_help_panel=RESULT)] = Path(
        "report.html"
    ),
    title: Annotated[str, typer.Option(help="Heading of the page.", rich_help_panel=SHOWN)] = "Report",
    tracks: Annotated[
        Texts,
        typer.Option(
            "--tracks",
            "-t",
            help="Words to search for, identifiers, or numbers (0:10).",
            rich_help_panel=SHOWN,
        ),
    ] = None,
    region: Annotated[
        Texts,
        typer.Option(
            "--region",
            "-r",
            help="Only these predictions: a name or a place; repeatable.",
            rich_help_panel=SHOWN,
        ),
    ] = None,
    gtf: Annotated[File, typer.Option(help="Genes to show (GTF).", rich_help_panel=SHOWN)] = None,
    motifs: Annotated[File, typer.Option(help="Motifs to show as boxes (BED).", rich_help_panel=SHOWN)] = None,
    highlight: Annotated[File, typer.Option(help="Regions to mark (BED).", rich_help_panel=SHOWN)] = None,
    model: Annotated[
        Text,
        typer.Option("--model", "-m", help="Model whose card to show: a name or a .keras file.", rich_help_panel=SHOWN),
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Make one interactive page of a run, which opens in any browser, without a network."""
    from crested_like import pl
    from crested_like.pl._report._files import read_run
    from crested_like.pl._report._report import check_page_path

    target = check_page_path(out)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} is there already. Choose another name with --out, or give --overwrite.")
    run = read_run(files)
    if "tracks" in run:
        run["tracks"] = _chosen(run["tracks"], tracks, region)
    elif tracks or region:
        raise ValueError("--tracks and --region choose of predictions, and none of the files holds any.")
    written = pl.report(
        target,
        title=title,
        genes=gtf,
        motifs=motifs,
        highlight=highlight,
        facts={**_card(model), "Versions": _versions(), "Run": {"files": [str(path) for path in files], **_command()}},
        **run,
    )
    console.stdout().print(
        console.facts({**_said(run), "written": written, "size": f"{written.stat().st_size / 1e6:,.1f} MB"})
    )


def _chosen(given: Any, tracks: list[str] | None, region: list[str] | None) -> Any:
    """The tracks and regions that are wanted of predictions, or of each of several."""
    if isinstance(given, dict):
        return {name: _chosen(array, tracks, region) for name, array in given.items()}
    import pandas as pd

    from crested_like._card import resolve_tracks
    from crested_like.pl._report._files import chosen_regions

    array = chosen_regions(given, region) if region else given
    if not tracks:
        return array
    columns = {"identifier": "track", "description": "description"}
    told = {name: array[coord].to_numpy().astype(str) for name, coord in columns.items() if coord in array.coords}
    chosen = resolve_tracks(tracks_of(tracks), pd.DataFrame(told), array.sizes["track"])
    return array.isel(track=chosen)


def _card(model: str | None) -> dict[str, Any]:
    if model is None:
        return {}
    from crested_like import model_card

    shown = ("name", "architecture", "species", "genome", "replicate", "parameters", "transform", "license", "citation")
    card = model_card(model)
    return {"Model": {name: getattr(card, name) for name in shown if getattr(card, name)}}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("crested_like", "keras", "numpy", "pandas", "xarray"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _command() -> dict[str, str]:
    program = Path(sys.argv[0]).name
    return {"command": f"crested-like {shlex.join(sys.argv[1:])}"} if "crested" in program else {}


def _said(run: dict[str, Any]) -> dict[str, str]:
    rows = {}
    for name, given in run.items():
        parts = list(given.values()) if isinstance(given, dict) else [given]
        if name == "variants":
            rows[name] = f"{len(given):,}"
        else:
            shapes = (" x ".join(f"{size:,} {dim}s" for dim, size in array.sizes.items()) for array in parts)
            rows[{"logos": "contributions"}.get(name, name)] = "; ".join(shapes)
    return rows
