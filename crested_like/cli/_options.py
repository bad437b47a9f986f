"""Options that verbs have in common, and what their texts stand for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from crested_like.cli._dataset_options import Version

#: The model that comes with the package.
EMBEDDED = "borzoi_mini_human"
#: Panels of the help.
INPUT, READOUT, MODEL, RESULT = "Input", "What is read out", "How", "Result"

# read by typer at run time, which does not know X | None
Text = Optional[str]  # noqa: UP045
Texts = Optional[list[str]]  # noqa: UP045
File = Optional[Path]  # noqa: UP045
Number = Optional[int]  # noqa: UP045
Choice = Optional[bool]  # noqa: UP045

SourceArgument = Annotated[
    File,
    typer.Argument(
        metavar="[FASTA|BED|GTF]", help="Sequences as FASTA, or with --genome regions as BED, genes as GTF."
    ),
]
RegionOption = Annotated[
    Texts,
    typer.Option(
        "--region",
        "-r",
        help="chr1:1,001-2,000, counted from 1; chr1, a whole chromosome; all of them: all. Repeatable.",
        rich_help_panel=INPUT,
    ),
]
GenomeOption = Annotated[File, typer.Option("--genome", "-g", help="FASTA that regions lie on.", rich_help_panel=INPUT)]

TracksOption = Annotated[
    Texts,
    typer.Option(
        "--tracks",
        "-t",
        help="Words to search for (also assay=RNA), identifiers, or numbers (0,5,7 or 0:10).",
        rich_help_panel=READOUT,
    ),
]
AgainstOption = Annotated[
    Texts, typer.Option(help="Tracks whose value is taken off that of --tracks.", rich_help_panel=READOUT)
]
BinsOption = Annotated[
    Text, typer.Option(help="Output bins that count, from 0, such as 500:510.", rich_help_panel=READOUT)
]
PlaceOption = Annotated[
    Text, typer.Option(help="Region of the genome that counts, chr1:1,001-2,000.", rich_help_panel=READOUT)
]
LogOption = Annotated[bool, typer.Option("--log", help="Take log2(1 + x) of each track.", rich_help_panel=READOUT)]
UntransformOption = Annotated[
    bool,
    typer.Option("--untransform", help="Take coverage: undo how targets were squashed.", rich_help_panel=READOUT),
]
TransformOption = Annotated[
    Optional[Version],  # noqa: UP045
    typer.Option(help="For --untransform: the version, where the card does not know it.", rich_help_panel=READOUT),
]

ModelsOption = Annotated[
    Texts,
    typer.Option("--model", "-m", help="Name or .keras file; repeated, the mean is taken.", rich_help_panel=MODEL),
]
TargetsOption = Annotated[
    File,
    typer.Option(help="Track table of a model whose file names no tracks (targets.txt).", rich_help_panel=MODEL),
]
HeadOption = Annotated[Text, typer.Option(help="Output of a model with several.", rich_help_panel=MODEL)]
RcOption = Annotated[bool, typer.Option("--rc", help="Average over both strands.", rich_help_panel=MODEL)]
ShiftsOption = Annotated[
    str, typer.Option(help="Average over these shifts in bp, such as -1,0,1.", rich_help_panel=MODEL)
]
UnstrandedOption = Annotated[
    bool, typer.Option("--unstranded", help="For --rc: no track has a strand.", rich_help_panel=MODEL)
]
BatchSizeOption = Annotated[
    Number, typer.Option(min=1, help="Windows at a time; by default what fits into memory.", rich_help_panel=MODEL)
]

OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.", rich_help_panel=RESULT)]
RestartOption = Annotated[
    bool, typer.Option("--restart", help="Do not go on where an earlier run stopped.", rich_help_panel=RESULT)
]
TopOption = Annotated[int, typer.Option(min=0, help="Rows of the printed tables.", rich_help_panel=RESULT)]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print what was done as JSON, and no tables.", rich_help_panel=RESULT)
]
ProgressOption = Annotated[
    Choice, typer.Option("--progress/--no-progress", help="By default in a terminal.", rich_help_panel=RESULT)
]

_SPAN = re.compile(r"([\d,]+)-([\d,]+)")


def tracks_of(texts: Sequence[str] | None) -> Any:
    """What ``tracks=`` is to get: channel numbers, a slice, identifiers, or a text to search for.

    Examples
    --------
    >>> tracks_of(["0,3"]), tracks_of(["0:4"]), tracks_of(["CNhs1+,CNhs2+"]), tracks_of(["adult liver"])
    ([0, 3], slice(0, 4, None), ['CNhs1+', 'CNhs2+'], 'adult liver')
    """
    if not texts:
        return None
    parts = [part.strip() for text in texts for part in (text.split(",") if " " not in text else [text])]
    parts = [part for part in parts if part]
    if all(part.isdecimal() for part in parts):
        return [int(part) for part in parts]
    ends = parts[0].split(":")
    if len(parts) == 1 and len(ends) == 2 and all(end.isdecimal() or not end for end in ends):
        return slice(*(int(end) if end else None for end in ends))
    return parts if len(parts) > 1 else parts[0]


def bins_of(text: str | None) -> Any:
    """What ``bins=`` is to get: numbers, or a slice."""
    if text is None:
        return None
    asked = tracks_of([text])
    if isinstance(asked, str) or (isinstance(asked, list) and not all(isinstance(item, int) for item in asked)):
        raise ValueError(f"--bins takes numbers such as 500:510 or 500,501; got {text!r}.")
    return asked


def shifts_of(text: str) -> tuple[int, ...]:
    """What ``shifts=`` is to get."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--shifts takes whole numbers with commas between, such as -1,0,1; got {text!r}.") from None


def untransform_of(wanted: bool, version: Version | None) -> bool | str:
    """What ``untransform=`` is to get."""
    if version and not wanted:
        raise ValueError("--transform says how to undo the target transform: give it with --untransform.")
    return version.value if version else wanted


def span_of(option: str, text: str) -> tuple[int, int] | None:
    """Bases ``101-200``, counted from 1 with both ends included, as a pair counted from 0; None for another text.

    Examples
    --------
    >>> span_of("--window", "101-1,200"), span_of("--window", "chr1:101-200")
    ((100, 1200), None)
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None:
        return None
    first, last = (int(part.replace(",", "")) for part in match.groups())
    if not 1 <= first <= last:
        raise ValueError(f"{option} counts bases from 1, the first before the last; got {text.strip()}.")
    return first - 1, last
