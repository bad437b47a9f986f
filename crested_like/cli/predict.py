"""``crested-like predict``."""

from __future__ import annotations

from enum import StrEnum
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

#: Shown below the help.
EXAMPLES = """crested-like predict --region chr1:150001-160000 --genome hg38.fa --tracks DNASE --out dnase.zarr

crested-like predict --region chr2 --genome hg38.fa --tracks "assay=CAGE strand=+" --out chr2.bw"""


class Version(StrEnum):
    """Versions of the target transform."""

    old = "old"
    new = "new"


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
            help="Words to search for (also assay=RNA), identifiers, or numbers (0,5,7 or 0:10).",
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
    untransform: Annotated[
        bool,
        typer.Option("--untransform", help="Give coverage: undo how targets were squashed.", rich_help_panel=MODEL),
    ] = False,
    transform: Annotated[
        Optional[Version],  # noqa: UP045
        typer.Option(help="For --untransform: the version, where the card does not know it.", rich_help_panel=MODEL),
    ] = None,
    tile: Annotated[
        bool,
        typer.Option(
            "--tile/--no-tile",
            help="Cover regions wider than the output by windows side by side, or only their middle.",
            rich_help_panel=MODEL,
        ),
    ] = True,
    kept_bins: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Bins in the middle of each window to keep; default all.", rich_help_panel=MODEL),
    ] = None,
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
    restart: Annotated[
        bool, typer.Option("--restart", help="Do not go on where an earlier run stopped.", rich_help_panel=RESULT)
    ] = False,
    plot: Annotated[
        WantedPath, typer.Option(help="Draw tracks into this .png, .pdf or .svg.", rich_help_panel=RESULT)
    ] = None,
    plot_tracks: Annotated[
        str, typer.Option(help="How many of the strongest to draw, or which, as for --tracks.", rich_help_panel=RESULT)
    ] = "8",
    top: Annotated[int, typer.Option(min=0, help="Rows of the printed tables.", rich_help_panel=RESULT)] = 10,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was done as JSON, and no tables.", rich_help_panel=RESULT)
    ] = False,
    progress: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option("--progress/--no-progress", help="By default in a terminal.", rich_help_panel=RESULT),
    ] = None,
) -> None:
    """Predict coverage for sequences (FASTA), regions of a genome (BED or --region), its genes (GTF), or all of it.

    By default with the small model that comes with the package. A run that was interrupted goes on where it stopped
    when the same is asked again.
    """
    given = read_input(source, region, genome)
    target = result_path(out, format, overwrite=overwrite)
    options = {
        "head": head,
        "tracks": tracks_asked(tracks),
        "rc": rc,
        "shifts": _shifts(shifts),
        "unstranded": unstranded,
        "untransform": transform.value if untransform and transform else untransform,
        "tile": tile,
        "kept_bins": kept_bins,
        "batch_size": batch_size,
        "overwrite": overwrite,
        "resume": not restart,
        "progress": progress,
    }
    if transform and not untransform:
        raise ValueError("--transform says how to undo the target transform: give it with --untransform.")
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
            as_json=as_json,
            options=options,
        )
    )


def _shifts(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--shifts takes whole numbers with commas between, such as -1,0,1; got {text!r}.") from None
