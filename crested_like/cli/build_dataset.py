"""``crested-like build-dataset``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from crested_like.cli import _console as console
from crested_like.cli._dataset_options import Container, Version
from crested_like.cli._options import File, Number, Texts

#: Shown below the help.
EXAMPLES = (
    "crested-like build-dataset targets.txt --genome hg38.fa --seq-length 131072 --pool-width 32 --crop-bp 32768 "
    "--valid chr8 --test chr9 --out data.zarr"
)


_SHAPE, _SETS, _VALUES, _WORK = "Shape", "Sets", "Values", "Work"


class Missing(StrEnum):
    """What bases without data become."""

    baseline = "baseline"
    zero = "zero"
    interpolate = "interpolate"
    error = "error"


def build_dataset(
    tracks: Annotated[
        Path, typer.Argument(help="targets.txt: tab-separated, with columns identifier and file, and perhaps others.")
    ],
    genome: Annotated[Path, typer.Option("--genome", "-g", help="FASTA file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder or file to write.")],
    seq_length: Annotated[int, typer.Option(min=1, help="Bases of a sequence.", rich_help_panel=_SHAPE)],
    pool_width: Annotated[int, typer.Option(min=1, help="Bases of a bin.", rich_help_panel=_SHAPE)],
    crop_bp: Annotated[
        int, typer.Option(min=0, help="Bases at each side without targets.", rich_help_panel=_SHAPE)
    ] = 0,
    format: Annotated[Container, typer.Option(help="What to write.", rich_help_panel=_WORK)] = Container.zarr,
    windows: Annotated[
        File, typer.Option(help="A prepared sequences.bed; nothing is split then.", rich_help_panel=_SETS)
    ] = None,
    folds: Annotated[Number, typer.Option(min=2, help="Number of equal sets.", rich_help_panel=_SETS)] = None,
    valid: Annotated[
        Texts, typer.Option(help="Share of the genome, or a chromosome; repeatable.", rich_help_panel=_SETS)
    ] = None,
    test: Annotated[Texts, typer.Option(help="Likewise; the rest is train.", rich_help_panel=_SETS)] = None,
    chromosome: Annotated[Texts, typer.Option(help="Only these; repeatable.", rich_help_panel=_SETS)] = None,
    stride: Annotated[
        Number, typer.Option(min=1, help="Bases between windows; default: the sequence.", rich_help_panel=_SETS)
    ] = None,
    break_length: Annotated[Number, typer.Option(min=1, help="Longer contigs are cut.", rich_help_panel=_SETS)] = None,
    gaps: Annotated[
        File, typer.Option(help="BED of what to leave out; default: runs of N.", rich_help_panel=_SETS)
    ] = None,
    homology: Annotated[
        File, typer.Option(help="BEDPE of regions that belong in one set.", rich_help_panel=_SETS)
    ] = None,
    min_aligned: Annotated[
        Number, typer.Option(min=1, help="Bases that count as homologous.", rich_help_panel=_SETS)
    ] = None,
    separate: Annotated[
        bool, typer.Option("--separate", help="No base is in sequences of two sets.", rich_help_panel=_SETS)
    ] = False,
    limit: Annotated[
        Number, typer.Option(min=1, help="Windows of a set at most, for a trial.", rich_help_panel=_SETS)
    ] = None,
    seed: Annotated[Number, typer.Option(min=0, help="Of what is drawn; default 0.", rich_help_panel=_SETS)] = None,
    version: Annotated[Version, typer.Option(help="Formulas of the targets.", rich_help_panel=_VALUES)] = Version.new,
    blacklist: Annotated[File, typer.Option(help="BED of artefacts.", rich_help_panel=_VALUES)] = None,
    unmappable: Annotated[File, typer.Option(help="BED where reads cannot be placed.", rich_help_panel=_VALUES)] = None,
    store_unmappable: Annotated[
        bool, typer.Option("--store-unmappable", help="Keep which bins these are.", rich_help_panel=_VALUES)
    ] = False,
    unmappable_quantile: Annotated[
        float, typer.Option(min=0, max=1, help="Ceiling of such bins in an example.", rich_help_panel=_VALUES)
    ] = 1.0,
    track_quantile: Annotated[
        float, typer.Option(min=0, max=1, help="Ceiling of a whole track; 1 for none.", rich_help_panel=_VALUES)
    ] = 0.9999999,
    missing: Annotated[
        Missing, typer.Option(help="What bases without data become.", rich_help_panel=_VALUES)
    ] = Missing.baseline,
    missing_as_zero: Annotated[
        bool, typer.Option("--missing-chromosomes-are-zero", help="Of bigWig files.", rich_help_panel=_VALUES)
    ] = False,
    nan_is_missing: Annotated[
        bool, typer.Option("--nan-is-missing", help="Take stored NaN for no data.", rich_help_panel=_VALUES)
    ] = False,
    decimals: Annotated[
        Number, typer.Option(min=0, help="Round targets, to save space.", rich_help_panel=_VALUES)
    ] = None,
    per_file: Annotated[int, typer.Option(min=1, help="Examples of a TFRecord file.", rich_help_panel=_WORK)] = 256,
    workers: Annotated[
        int, typer.Option("--workers", "-j", min=1, help="Processes at a time.", rich_help_panel=_WORK)
    ] = 1,
    restart: Annotated[
        bool, typer.Option("--restart", help="Do not go on where an earlier run stopped.", rich_help_panel=_WORK)
    ] = False,
) -> None:
    """Build a dataset from coverage (bigWig, BED, w5) and a genome."""
    from crested_like import datasets

    splitting = {
        "folds": folds,
        "valid": _share("--valid", valid),
        "test": _share("--test", test),
        "chromosomes": chromosome,
        "stride": stride,
        "break_length": break_length,
        "gaps": gaps,
        "homology": homology,
        "min_aligned": min_aligned,
        "separate": separate or None,
        "limit": limit,
        "seed": seed,
    }
    made = datasets.build(
        tracks, genome, out, seq_length=seq_length, pool_width=pool_width, crop_bp=crop_bp, format=format.value,
        windows=windows, version=version.value, blacklist=blacklist, unmappable=unmappable,
        store_unmappable=store_unmappable, track_quantile=track_quantile,
        unmappable_quantile=unmappable_quantile, missing=missing.value,
        missing_chromosomes="zero" if missing_as_zero else "error", nan="missing" if nan_is_missing else "error",
        decimals=decimals, per_file=per_file, workers=workers, resume=not restart,
        **{name: value for name, value in splitting.items() if value is not None},
    )  # fmt: skip
    console.stdout().print(console.facts(made.rows()))


def _share(option: str, given: list[str] | None) -> float | list[str] | None:
    """A share of the genome if it is below 1, else names of chromosomes, which may be numbers."""
    if given is None:
        return None
    try:
        share = float(given[0])
    except ValueError:
        return given
    if not share < 1:
        return given
    if len(given) > 1:
        raise ValueError(f"{option} is one share of the genome, or chromosomes; got {', '.join(given)}.")
    return share
