"""``crested-like predict``."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from crested_like.cli._backend_option import BackendOption, use_backend
from crested_like.cli._engine_options import (
    AddressOption,
    EngineName,
    EngineOption,
    ProcessorsOption,
    WorkersOption,
    engine_of,
)
from crested_like.cli._input import read_input
from crested_like.cli._options import (
    EMBEDDED,
    MODEL,
    RESULT,
    BatchSizeOption,
    File,
    GenomeOption,
    HeadOption,
    JsonOption,
    ModelsOption,
    Number,
    OverwriteOption,
    ProgressOption,
    RcOption,
    RegionOption,
    RestartOption,
    ShiftsOption,
    SourceArgument,
    TargetsOption,
    TopOption,
    TracksOption,
    TransformOption,
    UnstrandedOption,
    UntransformOption,
    shifts_of,
    tracks_of,
    untransform_of,
)
from crested_like.cli._output import Format, result_path
from crested_like.cli._report import Request, check_plot, run

#: Shown below the help.
EXAMPLES = """crested-like predict --region chr1:150001-160000 --genome hg38.fa --tracks DNASE --out dnase.zarr

crested-like predict --region chr2 --genome hg38.fa --tracks "assay=CAGE strand=+" --out chr2.bw"""


def predict(
    source: SourceArgument = None,
    region: RegionOption = None,
    genome: GenomeOption = None,
    model: ModelsOption = None,
    targets: TargetsOption = None,
    head: HeadOption = None,
    tracks: TracksOption = None,
    rc: RcOption = False,
    shifts: ShiftsOption = "0",
    unstranded: UnstrandedOption = False,
    untransform: UntransformOption = False,
    transform: TransformOption = None,
    tile: Annotated[
        bool,
        typer.Option(
            "--tile/--no-tile",
            help="Cover regions wider than the output by windows side by side, or only their middle.",
            rich_help_panel=MODEL,
        ),
    ] = True,
    kept_bins: Annotated[
        Number,
        typer.Option(min=1, help="Bins in the middle of each window to keep; default all.", rich_help_panel=MODEL),
    ] = None,
    batch_size: BatchSizeOption = None,
    backend: BackendOption = None,
    engine: EngineOption = EngineName.local,
    address: AddressOption = None,
    workers: WorkersOption = None,
    processors: ProcessorsOption = None,
    out: Annotated[
        File,
        typer.Option(
            "--out", "-o", help="File in the format of its ending; default predictions.zarr.", rich_help_panel=RESULT
        ),
    ] = None,
    format: Annotated[
        Optional[Format],  # noqa: UP045
        typer.Option(help="Format, where --out does not tell; bw is bigWig.", rich_help_panel=RESULT),
    ] = None,
    overwrite: OverwriteOption = False,
    restart: RestartOption = False,
    plot: Annotated[
        File, typer.Option(help="Draw tracks into this .png, .pdf or .svg.", rich_help_panel=RESULT)
    ] = None,
    plot_tracks: Annotated[
        str, typer.Option(help="How many of the strongest to draw, or which, as for --tracks.", rich_help_panel=RESULT)
    ] = "8",
    top: TopOption = 10,
    as_json: JsonOption = False,
    progress: ProgressOption = None,
) -> None:
    """Predict coverage for sequences (FASTA), regions of a genome (BED or --region), its genes (GTF), or all of it.

    By default with the small model that comes with the package. A run that was interrupted goes on where it stopped
    when the same is asked again.
    """
    given = read_input(source, region, genome)
    target = result_path(out, format, overwrite=overwrite)
    options = {
        "head": head,
        "tracks": tracks_of(tracks),
        "rc": rc,
        "shifts": shifts_of(shifts),
        "unstranded": unstranded,
        "untransform": untransform_of(untransform, transform),
        "tile": tile,
        "kept_bins": kept_bins,
        "batch_size": batch_size,
        "overwrite": overwrite,
        "resume": not restart,
        "progress": progress,
        "engine": engine_of(engine, address, workers, processors),
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
            as_json=as_json,
            options=options,
        )
    )
