"""``crested-like convert-dataset``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer

from crested_like.cli import _console as console
from crested_like.cli._dataset_options import Container, Version
from crested_like.cli._options import Number, Text, Texts

#: Shown below the help.
EXAMPLES = """crested-like convert-dataset data/hg38 --tracks CAGE --out cage.zarr

crested-like convert-dataset data/hg38 --sequence-length 196608 --genome hg38.fa --out data/longer"""


_WINDOWS, _CHOICE, _SOURCE, _RUN = "Windows", "What to take", "About the source", "The run"


class Edge(StrEnum):
    """What becomes of windows beyond the end of a chromosome."""

    pad = "pad"
    drop = "drop"
    error = "error"


_BY_ENDING = {".zarr": Container.zarr, ".h5": Container.hdf5, ".hdf5": Container.hdf5, "": Container.tfrecord}


def convert_dataset(
    source: Annotated[
        list[Path], typer.Argument(help="Folder of a dataset, a .zarr or .h5 of one, or some of its .tfr files.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="What to write: .zarr, .h5, or a folder for TFRecords (no ending).")
    ],
    format: Annotated[
        Optional[Container],  # noqa: UP045
        typer.Option("--format", help="Format, where --out does not tell; text-hdf5 is for text models."),
    ] = None,
    sequence_length: Annotated[
        Number,
        typer.Option("--sequence-length", "-l", min=1, help="Bases of the new windows.", rich_help_panel=_WINDOWS),
    ] = None,
    genome: Annotated[
        Text,
        typer.Option("--genome", "-g", help="FASTA of the dataset's assembly.", rich_help_panel=_WINDOWS),
    ] = None,
    edge: Annotated[
        Edge, typer.Option(help="Windows beyond the end of a chromosome.", rich_help_panel=_WINDOWS)
    ] = Edge.pad,
    crop_targets: Annotated[
        bool,
        typer.Option("--crop-targets", help="Leave out bins that are not inside.", rich_help_panel=_WINDOWS),
    ] = False,
    subset: Annotated[
        Texts,
        typer.Option("--subset", "-s", help="Split to take, such as valid; repeatable.", rich_help_panel=_CHOICE),
    ] = None,
    tracks: Annotated[
        Texts,
        typer.Option(
            "--tracks",
            "-t",
            help="Words to search for, identifiers, or numbers (0,5,7 or 0:10).",
            rich_help_panel=_CHOICE,
        ),
    ] = None,
    check_assembly: Annotated[
        bool,
        typer.Option("--check-assembly/--no-check-assembly", help="Compare with the genome.", rich_help_panel=_SOURCE),
    ] = True,
    assembly: Annotated[Text, typer.Option(help="Name of the assembly, to keep.", rich_help_panel=_SOURCE)] = None,
    transform: Annotated[
        Optional[Version],  # noqa: UP045
        typer.Option(help="Version of the target transform, to keep.", rich_help_panel=_SOURCE),
    ] = None,
    records_per_file: Annotated[
        Number,
        typer.Option(min=1, help="Examples of a file, else they are counted first.", rich_help_panel=_SOURCE),
    ] = None,
    per_file: Annotated[
        int, typer.Option(min=1, help="Examples of a TFRecord file to write.", rich_help_panel=_RUN)
    ] = 256,
    workers: Annotated[
        Number,
        typer.Option("--workers", "-j", min=1, help="Files at the same time.", rich_help_panel=_RUN),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Do not go on where an earlier run stopped.", rich_help_panel=_RUN)
    ] = False,
) -> None:
    """Write training data with other windows, splits or tracks, or in another container."""
    wanted = format or _BY_ENDING.get(out.suffix.lower())
    if wanted is None:
        raise ValueError(f"Cannot tell a format from --out {out.name}: give --format.")
    from crested_like.cli._options import tracks_of
    from crested_like.datasets import convert

    summary = convert(
        list(source),
        out,
        format=wanted.value,
        sequence_length=sequence_length,
        genome=genome,
        subset=subset or None,
        tracks=tracks_of(tracks),
        edge=edge.value,
        crop_targets=crop_targets,
        check_assembly=check_assembly,
        assembly=assembly,
        transform=transform and transform.value,
        records_per_file=records_per_file,
        per_file=per_file,
        workers=workers,
        resume=not restart,
    )
    console.stdout().print(console.facts(summary.rows()))
