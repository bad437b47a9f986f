"""``crested-like genes``."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crested_like.cli import _console as console
from crested_like.cli._backend_option import BackendOption, use_backend
from crested_like.cli._options import (
    EMBEDDED,
    INPUT,
    READOUT,
    RESULT,
    BatchSizeOption,
    File,
    GenomeOption,
    HeadOption,
    JsonOption,
    ModelsOption,
    OverwriteOption,
    ProgressOption,
    RcOption,
    RestartOption,
    ShiftsOption,
    TargetsOption,
    Texts,
    TopOption,
    TracksOption,
    TransformOption,
    UnstrandedOption,
    UntransformOption,
    shifts_of,
    tracks_of,
    untransform_of,
)
from crested_like.cli._report import load_models

if TYPE_CHECKING:
    import pandas as pd

#: Shown below the help.
EXAMPLES = """crested-like genes GATA4 TP53 --gtf genes.gtf.gz --genome hg38.fa --tracks assay=RNA --out genes.tsv

crested-like genes --gtf genes.gtf.gz --genome hg38.fa --tracks assay=RNA --untransform --out genes.h5ad"""


class Strand(StrEnum):
    """Which tracks a gene takes."""

    same = "same"
    both = "both"


class Overlap(StrEnum):
    """Which bins at the edges of exons count."""

    any = "any"
    majority = "majority"
    fraction = "fraction"


class Reduce(StrEnum):
    """How bins become one number."""

    sum = "sum"
    mean = "mean"
    max = "max"


def genes(
    names: Annotated[
        Texts, typer.Argument(metavar="[GENES...]", help="Names or identifiers; by default all of the GTF file.")
    ] = None,
    gtf: Annotated[
        File, typer.Option(help="GTF file that tells where exons are, perhaps compressed.", rich_help_panel=INPUT)
    ] = None,
    genome: GenomeOption = None,
    listed: Annotated[
        File, typer.Option("--list", help="File with a gene a line, instead of GENES.", rich_help_panel=INPUT)
    ] = None,
    model: ModelsOption = None,
    targets: TargetsOption = None,
    head: HeadOption = None,
    rc: RcOption = False,
    shifts: ShiftsOption = "0",
    unstranded: UnstrandedOption = False,
    batch_size: BatchSizeOption = None,
    backend: BackendOption = None,
    tracks: TracksOption = None,
    strand: Annotated[
        Strand, typer.Option(help="Tracks of the gene's own strand, or of both.", rich_help_panel=READOUT)
    ] = Strand.same,
    overlap: Annotated[
        Overlap,
        typer.Option(
            help="Bins at edges of exons: touched, half inside, or by the part inside.", rich_help_panel=READOUT
        ),
    ] = Overlap.any,
    reduce: Annotated[Reduce, typer.Option(help="Over these bins.", rich_help_panel=READOUT)] = Reduce.sum,
    span: Annotated[bool, typer.Option("--span", help="Count introns too.", rich_help_panel=READOUT)] = False,
    untransform: UntransformOption = False,
    transform: TransformOption = None,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help=".tsv, .tsv.gz, .parquet or .h5ad; - prints .tsv.", rich_help_panel=RESULT),
    ] = Path("genes.tsv"),
    overwrite: OverwriteOption = False,
    restart: RestartOption = False,
    top: TopOption = 10,
    as_json: JsonOption = False,
    progress: ProgressOption = None,
) -> None:
    """Predict the expression of genes: coverage summed over exons, genes by tracks.

    The same command goes on with a run that was cut off. Exit code 0 means done, 1 an error, which is told, 2 wrong
    use.
    """
    printed = str(out) == "-"
    _check(gtf=gtf, genome=genome, names=names, listed=listed, as_json=as_json, printed=printed)
    options: dict[str, Any] = {
        "gtf": gtf,
        "head": head,
        "tracks": tracks_of(tracks),
        "strand": strand.value,
        "overlap": overlap.value,
        "reduce": reduce.value,
        "span": span,
        "untransform": untransform_of(untransform, transform),
        "rc": rc,
        "shifts": shifts_of(shifts),
        "unstranded": unstranded,
        "batch_size": batch_size,
        "overwrite": overwrite,
        "resume": not restart,
        "progress": progress,
    }
    asked = names or (None if listed is None else _lines(listed))
    use_backend(backend)
    from crested_like import tl

    loaded = load_models(model or [EMBEDDED], targets)
    began = time.monotonic()
    if printed:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "genes.tsv"
            tl.predict_genes(asked, loaded, str(genome), out=path, **options)
            with path.open(encoding="utf-8") as file:
                shutil.copyfileobj(file, sys.stdout)
        return
    table = tl.predict_genes(asked, loaded, str(genome), out=out, **options)
    if as_json:
        told = {**table.attrs, "genes": len(table), "columns": table.shape[1], "written": str(out)}
        typer.echo(json.dumps({**told, "seconds": round(time.monotonic() - began, 3)}, indent=2))
        return
    _print_strongest(table, top)
    holding = f"{len(table):,} genes x {table.shape[1]:,} tracks, {table.attrs['units']}"
    console.stdout().print(console.facts({"model": table.attrs["model"], "written": out, "holding": holding}))


def _check(
    *,
    gtf: Path | None,
    genome: Path | None,
    names: list[str] | None,
    listed: Path | None,
    as_json: bool,
    printed: bool,
) -> None:
    if gtf is None:
        raise ValueError("A GTF file is needed to know where exons are: add --gtf FILE.")
    if genome is None:
        raise ValueError("A genome is needed to read the genes' sequences from: add --genome FASTA.")
    if names and listed is not None:
        raise ValueError(f"Give either genes or --list, not both: {names[0]} and {listed}.")
    if as_json and printed:
        raise ValueError("--json and --out - both print on standard output; write the genes to a file.")


def _lines(path: Path) -> list[str]:
    """Genes of a file, one a line."""
    found = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    names = [line for line in found if line and not line.startswith("#")]
    if not names:
        raise ValueError(f"{path} names no gene; it needs one a line.")
    return names


def _print_strongest(table: pd.DataFrame, top: int) -> None:
    shown = table[table.notna().any(axis=1)]
    if top < 1 or shown.empty:
        return
    strongest = shown.mean(axis=1).nlargest(top)
    rows = shown.loc[strongest.index]
    columns = {
        "gene": list(strongest.index),
        "mean of tracks": [f"{value:,.4g}" for value in strongest],
        "max": [f"{value:,.4g}" for value in rows.max(axis=1)],
        "track": [str(track) for track in rows.idxmax(axis=1)],
    }
    title = "Strongest genes"
    console.stdout().print(console.table(title, columns, right=("mean of tracks", "max"), keep="gene"))
