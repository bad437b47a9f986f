"""What is to be predicted: sequences of a FASTA file, or places of a genome."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import typer

from crested_like.cli import _console as console

_HOW = """Say what to {verb}: sequences, or places of a genome. For example

  crested-like {verb} sequences.fa
  crested-like {verb} --region chr1:1,000,001-1,100,000 --genome hg38.fa

A BED file with --genome does many regions at once; crested-like {verb} --help tells the rest.
To try it without any data: crested-like demo"""


@dataclass(frozen=True)
class Source:
    """Regions or named sequences as ``tl.predict_regions`` takes them, and the words for them."""

    items: list[Any]
    genome: Path | None
    words: str


def read_input(source: Path | None, regions: list[str] | None, genome: Path | None, verb: str = "predict") -> Source:
    """Read what the user gave; what is missing or does not go together is said with the way out.

    Raises
    ------
    RegionError, SequenceError
        If a line, a region or a record is malformed.
    FileNotFoundError
        If there is no such file.
    """
    from crested_like.genome import Genome, read_bed, read_fasta, regions_of
    from crested_like.genome._places import GTF_ENDINGS, places_of

    regions = regions or []
    if source is None and not regions:
        _usage(_HOW.format(verb=verb))
    if source is not None and regions:
        _usage(
            f"Give either a file or --region, not both. If {source} is the genome: "
            f"crested-like {verb} --region {regions[0]} --genome {source}"
        )
    if source is not None and _is_fasta(source):
        if genome is not None:
            _usage(
                f"{source} holds sequences, which need no --genome. To predict places of a genome, give --region or a "
                f"BED file."
            )
        records = list(read_fasta(source))
        return Source(records, None, f"{_count(len(records), 'sequence')} of {source}")
    if genome is None:
        what = f"the regions of {source}" if source else regions[0]
        _usage(f"A genome is needed to read {what} from: add --genome FASTA.")
    if not genome.is_file():
        raise FileNotFoundError(f"There is no file {genome}; --genome takes a FASTA file, plain or bgzip-compressed.")
    if source is None:
        found = regions_of(places_of(regions, Genome(genome)))
    else:
        found = places_of(source) if source.name.lower().endswith(GTF_ENDINGS) else read_bed(source)
    if not found:
        raise ValueError(f"{source} names no region.")
    return Source(found, genome, f"{_count(len(found), 'region')} of {genome}")


def _usage(text: str) -> NoReturn:
    console.stderr().print(text, markup=False, soft_wrap=True)
    raise typer.Exit(2)


def _is_fasta(path: Path) -> bool:
    """Whether a file starts as FASTA does; a BED file is everything else."""
    from crested_like.genome._support import existing_file, open_text

    with open_text(existing_file(path, "Input file")) as lines:
        return next((line.startswith(">") for line in lines if line.strip()), False)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
