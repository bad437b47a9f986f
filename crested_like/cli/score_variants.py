"""``crested-like score-variants``."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from crested_like.cli._options import (
    EMBEDDED,
    INPUT,
    MODEL,
    READOUT,
    RESULT,
    BatchSizeOption,
    File,
    GenomeOption,
    HeadOption,
    JsonOption,
    ModelsOption,
    Number,
    OverwriteOption,
    PlaceOption,
    RcOption,
    RestartOption,
    ShiftsOption,
    TargetsOption,
    Text,
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
EXAMPLES = """crested-like score-variants variants.vcf --genome hg38.fa --tracks DNASE --out scores.tsv

crested-like score-variants chr1:150001:A:G --genome hg38.fa --tracks CAGE --statistics logSAD,JSD --out -"""


class OnMismatch(StrEnum):
    """What is done with a variant whose REF the genome does not have."""

    flag = "flag"
    skip = "skip"
    error = "error"


def score_variants(
    variants: Annotated[
        list[str],
        typer.Argument(metavar="VARIANTS...", help="A VCF, BCF or table file; or strings such as chr1:12345:A:G."),
    ],
    genome: GenomeOption = None,
    on_mismatch: Annotated[
        OnMismatch, typer.Option(help="Where the genome does not have REF.", rich_help_panel=INPUT)
    ] = OnMismatch.flag,
    part: Annotated[
        Text, typer.Option(help="Only variants of this part of a VCF file, chr1:1-2,000.", rich_help_panel=INPUT)
    ] = None,
    model: ModelsOption = None,
    targets: TargetsOption = None,
    head: HeadOption = None,
    rc: RcOption = False,
    shifts: ShiftsOption = "0",
    unstranded: UnstrandedOption = False,
    untransform: UntransformOption = False,
    transform: TransformOption = None,
    share: Annotated[
        int, typer.Option(min=0, help="Variants within so many bp share a window.", rich_help_panel=MODEL)
    ] = 0,
    batch_size: BatchSizeOption = None,
    backend: BackendOption = None,
    engine: EngineOption = EngineName.local,
    address: AddressOption = None,
    workers: WorkersOption = None,
    processors: ProcessorsOption = None,
    tracks: TracksOption = None,
    statistics: Annotated[
        Text,
        typer.Option("--statistics", "-s", help="SAD,logSAD,D2 and others, with commas.", rich_help_panel=READOUT),
    ] = None,
    local: Annotated[Number, typer.Option(min=0, help="Only bins within so many bp.", rich_help_panel=READOUT)] = None,
    gtf: Annotated[
        File, typer.Option(help="Exons of each gene of this file in the window.", rich_help_panel=READOUT)
    ] = None,
    gene: Annotated[Texts, typer.Option(help="Only this gene of --gtf; repeatable.", rich_help_panel=READOUT)] = None,
    place: PlaceOption = None,
    background: Annotated[
        File,
        typer.Option(help="Variants, or scores written before, to rank among.", rich_help_panel=READOUT),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help=".tsv, .tsv.gz, .parquet, .h5, .vcf or .vcf.gz; - prints .tsv.", rich_help_panel=RESULT
        ),
    ] = Path("scores.tsv"),
    overwrite: OverwriteOption = False,
    restart: RestartOption = False,
    as_json: JsonOption = False,
    top: TopOption = 10,
) -> None:
    """Score variants: how much each alternative allele changes what a model predicts.

    The same command goes on with a run that was cut off. Exit code 0 means done, also where variants are flagged or
    skipped; 1 an error, which is told; 2 wrong use.
    """
    if genome is None:
        raise typer.BadParameter("A genome is needed to read the sequences around variants from: add --genome FASTA.")
    if gene and gtf is None:
        raise typer.BadParameter("--gene is looked up in --gtf: give the GTF file, too.")
    if as_json and str(out) == "-":
        raise typer.BadParameter("--json and --out - both print on standard output; write the scores to a file.")
    moved = shifts_of(shifts)
    runner = engine_of(engine, address, workers, processors)
    use_backend(backend)
    from crested_like import tl
    from crested_like.genome import read_genes, read_variants

    source: Any = variants[0] if len(variants) == 1 else variants
    if part is not None:
        source = read_variants(source, part)
    options: dict[str, Any] = {"tracks": tracks_of(tracks), "head": head}
    if place is not None:
        options = {"readout": tl.Readout(**options, region=place)}
    loaded = load_models(model or [EMBEDDED], targets)
    table = tl.score_variants(
        source,
        loaded,
        str(genome),
        **options,
        statistics=None if statistics is None else [name.strip() for name in statistics.split(",")],
        genes=None if gtf is None else read_genes(gtf, gene),
        local=local,
        rc=rc,
        shifts=moved,
        unstranded=unstranded,
        untransform=untransform_of(untransform, transform),
        on_mismatch=on_mismatch.value,
        engine=runner,
        share=share,
        background=None if background is None else str(background),
        batch_size=batch_size,
        out=None if str(out) == "-" else out,
        overwrite=overwrite,
        resume=not restart,
    )
    if str(out) == "-":
        table.to_csv(sys.stdout, sep="\t", index=False, na_rep="NA")
        return
    told = _summary(table, model or [EMBEDDED], out)
    if as_json:
        typer.echo(json.dumps(told, indent=1))
    else:
        _print(table, told, top)


def _summary(table: pd.DataFrame, models: list[str], out: Path) -> dict[str, Any]:
    status = table["status"].value_counts(sort=False).to_dict()
    statistics = table.attrs["statistics"]
    return {
        "model": ", ".join(models),
        "rows": len(table),
        "scored": int(sum(n for text, n in status.items() if not text.startswith("skipped"))),
        "ref_mismatch": int(status.get("ref_mismatch", 0)),
        "skipped": {text.partition(": ")[2]: int(n) for text, n in status.items() if text.startswith("skipped")},
        "statistics": statistics,
        "columns": [name for name in table.columns if name.partition(":")[0] in statistics],
        "out": str(out),
    }


def _print(table: pd.DataFrame, told: dict[str, Any], top: int) -> None:
    statistic, columns = told["statistics"][0], told["columns"]
    own = table[[name for name in columns if name.partition(":")[0] == statistic]]
    known = own[own.notna().any(axis=1)]
    if top and len(known):
        strongest = known.abs().max(axis=1).sort_values(ascending=False, kind="stable").index[:top]
        rows = table.loc[strongest]
        tracks = known.loc[strongest].abs().idxmax(axis=1)
        shown: dict[str, list[Any]] = {
            "variant": [f"{c}:{p}:{r}:{a}" for c, p, r, a in rows[["chrom", "position", "ref", "alt"]].to_numpy()],
            "name": rows["name"].tolist(),
            **({"gene": rows["gene"].tolist()} if "gene" in rows else {}),
            "status": rows["status"].tolist(),
            statistic: [f"{own.at[row, track]:.4g}" for row, track in tracks.items()],
            "track": [track.partition(":")[2] for track in tracks],
        }
        shown = {name: values for name, values in shown.items() if any(values)}
        console.stdout().print(console.table("Strongest", shown, right=(statistic,), keep="variant"))
    facts = {
        "model": told["model"],
        "scored": f"{told['scored']:,} of {told['rows']:,}",
        "REF not the genome's": f"{told['ref_mismatch']:,}" if told["ref_mismatch"] else "",
        "skipped": "; ".join(f"{count:,} {why}" for why, count in told["skipped"].items()),
        "written": told["out"],
    }
    console.stdout().print(console.facts(facts))
