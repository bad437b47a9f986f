"""``crested-like predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from crested_like.cli._backend_option import BackendOption, use_backend
from crested_like.cli._input import (
    MODEL,
    RESULT,
    BatchSizeOption,
    GenomeOption,
    OverwriteOption,
    RegionOption,
    SourceArgument,
    read_input,
)
from crested_like.cli._output import Format, result_path
from crested_like.cli._report import Request, check_plot, run, tracks_asked

#: The model that comes with the package.
EMBEDDED = "borzoi_mini_human"

WantedPath = Optional[Path]  # noqa: UP045 - read by typer at run time
WantedList = Optional[list[str]]  # noqa: UP045


def predict(
    source: SourceArgument = None,
    region: RegionOption = None,
    genome: GenomeOption = None,
    model: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--model", "-m", help="Name or .keras file; repeated, the mean is taken.", rich_help_panel=MODEL),
    ] = None,
    targets: Annotated[
        WantedPath,
        typer.Option(help="Track table of a model whose file names no tracks (targets.txt).", rich_help_panel=MODEL),
    ] = None,
    head: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Output of a model with several.", rich_help_panel=MODEL),
    ] = None,
    tracks: Annotated[
        WantedList,
        typer.Option(
            "--tracks",
            "-t",
            help="Words to search for, identifiers, or numbers (0,5,7 or 0:10).",
            rich_help_panel=MODEL,
        ),
    ] = None,
    rc: Annotated[bool, typer.Option("--rc", help="Average over both strands.", rich_help_panel=MODEL)] = False,
    shifts: Annotated[
        str, typer.Option(help="Average over these shifts in bp, such as -1,0,1.", rich_help_panel=MODEL)
    ] = "0",
    unstranded: Annotated[
        bool, typer.Option("--unstranded", help="For --rc: no track has a strand.", rich_help_panel=MODEL)
    ] = False,
    batch_size: BatchSizeOption = None,
    backend: BackendOption = None,
    out: Annotated[
        WantedPath,
        typer.Option(
            "--out", "-o", help="File in the format of its ending; default predictions.zarr.", rich_help_panel=RESULT
        ),
    ] = None,
    format: Annotated[
        Optional[Format],  # noqa: UP045
        typer.Option(help="Format, where --out does not tell; bw is bigWig.", rich_help_panel=RESULT),
    ] = None,
    overwrite: OverwriteOption = False,
    plot: Annotated[
        WantedPath, typer.Option(help="Draw tracks into this .png, .pdf or .svg.", rich_help_panel=RESULT)
    ] = None,
    plot_tracks: Annotated[
        str, typer.Option(help="How many of the strongest to draw, or which, as for --tracks.", rich_help_panel=RESULT)
    ] = "8",
    top: Annotated[int, typer.Option(min=0, help="Rows of the printed tables.", rich_help_panel=RESULT)] = 10,
) -> None:
    """Predict coverage for sequences (FASTA), or for regions of a genome (BED or --region).

    By default with the small model that comes with the package.
    """
    given = read_input(source, region, genome)
    target = result_path(out, format, overwrite=overwrite)
    options = {
        "head": head,
        "tracks": tracks_asked(tracks),
        "rc": rc,
        "shifts": _shifts(shifts),
        "unstranded": unstranded,
        "batch_size": batch_size,
    }
    check_plot(plot)
    use_backend(backend)
    run(
        Request(
            models=model or [EMBEDDED],
            source=given,
            out=target,
            targets=targets,
            plot=plot,
            plot_tracks=plot_tracks,
            top=top,
            options=options,
        )
    )


def _shifts(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--shifts takes whole numbers with commas between, such as -1,0,1; got {text!r}.") from None
