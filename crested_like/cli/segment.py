"""``crested-like segment``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crested_like.cli import _console as console
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
    MODEL,
    RESULT,
    BatchSizeOption,
    GenomeOption,
    Number,
    OverwriteOption,
    ProgressOption,
    RegionOption,
    RestartOption,
    SourceArgument,
)

if TYPE_CHECKING:
    import xarray as xr

#: Shown below the help.
EXAMPLES = """crested-like segment sequences.fa --model segment_nt --out found.bed

crested-like segment --model segment_nt --region chr1:100,001-130,000 --genome hg38.fa --out found.gff3"""


def segment(
    source: SourceArgument = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Name or .keras file.", rich_help_panel=MODEL)] = "",
    region: RegionOption = None,
    genome: GenomeOption = None,
    overlap: Annotated[
        Number,
        typer.Option(min=0, help="Bases that windows share; by default a quarter.", rich_help_panel=MODEL),
    ] = None,
    batch_size: BatchSizeOption = None,
    backend: BackendOption = None,
    engine: EngineOption = EngineName.local,
    address: AddressOption = None,
    workers: WorkersOption = None,
    processors: ProcessorsOption = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help=".bed or .gff3: intervals; .bw: one bigWig a feature; .zarr, .h5, .npz: probabilities.",
            rich_help_panel=RESULT,
        ),
    ] = Path("segments.bed"),
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Probability from which on a base counts.", rich_help_panel=RESULT)
    ] = 0.5,
    overwrite: OverwriteOption = False,
    restart: RestartOption = False,
    progress: ProgressOption = None,
) -> None:
    """Find genomic elements, base by base, in sequences (FASTA) or regions of a genome (BED or --region).

    A run to probabilities that was interrupted goes on where it stopped when the same is asked again.
    """
    given = read_input(source, region, genome, "segment")
    if not model:
        raise ValueError(
            "Say which segmentation model to use with --model: a .keras file, or a name that crested-like models lists."
        )
    if out.exists() and not overwrite:
        raise FileExistsError(f"{out} is there already. Choose another name with --out, or give --overwrite.")
    runner = engine_of(engine, address, workers, processors)
    use_backend(backend)
    from crested_like import load_model, tl

    loaded = load_model(model)
    genome_path = None if given.genome is None else str(given.genome)
    found = tl.segment(
        given.items,
        loaded,
        genome_path,
        overlap=overlap,
        out=out,
        threshold=threshold,
        batch_size=batch_size,
        resume=not restart,
        overwrite=overwrite,
        engine=runner,
        progress=progress,
    )
    console.stdout().print(console.facts({"model": model, "segmented": given.words}))
    _print_features(found, threshold)
    console.stdout().print(console.facts({"written": out}))


def _print_features(found: xr.DataArray, threshold: float) -> None:
    from rich.table import Table

    from crested_like import tl

    stretches = tl.intervals(found, threshold)
    table = Table("feature", "intervals", "bases", "of all", box=None)
    bases = int(found.notnull().any("feature").sum())
    for feature in found["feature"].to_numpy():
        own = stretches[stretches["feature"] == feature]
        covered = int((own["end"] - own["start"]).sum())
        table.add_row(str(feature), f"{len(own):,}", f"{covered:,}", f"{covered / bases:.1%}")
    console.stdout().print(table)
