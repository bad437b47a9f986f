"""``crested-like evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crested_like.cli import _console as console
from crested_like.cli._backend_option import BackendOption, use_backend
from crested_like.cli._options import (
    MODEL,
    RESULT,
    BatchSizeOption,
    File,
    HeadOption,
    RcOption,
    TargetsOption,
    Texts,
    TopOption,
    TracksOption,
    UnstrandedOption,
    tracks_of,
)
from crested_like.cli._report import load_models

if TYPE_CHECKING:
    import pandas as pd

#: Shown below the help.
EXAMPLES = """crested-like evaluate best.keras --data data/hg38 --split valid --out figures.tsv

crested-like evaluate borzoi_mini_human --coverage CNhs10752+=mine.bw --regions regions.bed --genome hg38.fa"""

_DATA = "What to compare with"


def evaluate(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Names or .keras files.")],
    data: Annotated[
        File,
        typer.Option("--data", "-d", help="A dataset: folder, .zarr, .h5 or .toml.", rich_help_panel=_DATA),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Split of the dataset; several with commas between.", rich_help_panel=_DATA)
    ] = "test",
    coverage: Annotated[
        Texts,
        typer.Option(
            "--coverage",
            "-c",
            metavar="TRACK=FILE",
            help="A bigWig file of your own for a track, by identifier or number; repeatable.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    regions: Annotated[
        File,
        typer.Option(help="BED file: where to compare with --coverage.", rich_help_panel=_DATA),
    ] = None,
    genome: Annotated[
        File,
        typer.Option("--genome", "-g", help="FASTA that regions lie on.", rich_help_panel=_DATA),
    ] = None,
    targets: TargetsOption = None,
    head: HeadOption = None,
    tracks: TracksOption = None,
    rc: RcOption = False,
    unstranded: UnstrandedOption = False,
    average: Annotated[
        bool, typer.Option("--average", help="Measure the mean of all models.", rich_help_panel=MODEL)
    ] = False,
    spearman: Annotated[
        bool, typer.Option("--spearman", help="Rank correlation, too; needs memory.", rich_help_panel=MODEL)
    ] = False,
    batch_size: BatchSizeOption = None,
    backend: BackendOption = None,
    out: Annotated[
        File,
        typer.Option("--out", "-o", help="Write the table of all tracks (.tsv or .csv).", rich_help_panel=RESULT),
    ] = None,
    top: TopOption = 10,
) -> None:
    """Measure models track by track, on a dataset or against coverage files of your own."""
    if (data is None) == (not coverage):
        raise ValueError("Say what to compare with: --data, or --coverage with --regions and --genome.")
    if out is not None and out.suffix not in (".tsv", ".csv"):
        raise ValueError(f"--out must end in .tsv or .csv; got {out.name}.")
    files = dict(map(_file, coverage or []))
    use_backend(backend)
    from crested_like.tl import evaluate as measured

    table = measured(
        dict(zip(models, load_models(models, targets), strict=True)),
        files or data,
        split=tuple(split.split(",")),
        head=head,
        tracks=tracks_of(tracks),
        regions=None if regions is None else str(regions),
        genome=None if genome is None else str(genome),
        rc=rc,
        unstranded=unstranded,
        average=average,
        spearman=spearman,
        batch_size=batch_size,
    )
    if out is not None:
        _write(table, out)
    _print(table, top)


def _file(text: str) -> tuple[Any, str]:
    track, equals, file = text.partition("=")
    if not equals:
        raise ValueError(f"--coverage takes TRACK=FILE, such as CNhs10608+=mine.bw; got {text!r}.")
    return int(track) if track.isdecimal() else track, file


def _write(table: pd.DataFrame, path: Path) -> None:
    from crested_like._atomic import atomic_path

    with atomic_path(path) as temporary:
        table.to_csv(temporary, sep="," if path.suffix == ".csv" else "\t", index=False)


def _print(table: pd.DataFrame, top: int) -> None:
    figures = [name for name in ("pearson_r", "r2", "spearman_r") if name in table]
    by_model = table.groupby("model", sort=False)
    columns: dict[str, list[Any]] = {"model": list(by_model.groups), "tracks": list(by_model.size())}
    for name in figures:
        columns[f"mean {name}"] = _numbers(by_model[name].mean())
        columns[f"median {name}"] = _numbers(by_model[name].median())
    shown = table.sort_values("pearson_r", ascending=False).head(top)
    title = f"Over {int(table['bins'].iloc[0]):,} bins of {table['split'].iloc[0]}"
    right = tuple(name for name in columns if name != "model")
    console.stdout().print(console.table(title, columns, right=right, keep="model"))
    if top:
        rows = {name: list(shown[name]) for name in ("model", "identifier", "description")}
        rows |= {name: _numbers(shown[name]) for name in figures}
        console.stdout().print(console.table("Best tracks", rows, right=tuple(figures), keep="identifier"))


def _numbers(values: pd.Series) -> list[str]:
    return [f"{value:.4f}" for value in values]
