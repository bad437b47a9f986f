"""``crested-like design``."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from crested_like.cli import _console as console
from crested_like.cli._backend_option import BackendOption, use_backend
from crested_like.cli._input import read_input
from crested_like.cli._options import (
    EMBEDDED,
    INPUT,
    READOUT,
    RESULT,
    AgainstOption,
    BatchSizeOption,
    BinsOption,
    GenomeOption,
    HeadOption,
    JsonOption,
    LogOption,
    ModelsOption,
    Number,
    OverwriteOption,
    PlaceOption,
    RcOption,
    RegionOption,
    SourceArgument,
    TargetsOption,
    Texts,
    TracksOption,
    UnstrandedOption,
    bins_of,
    span_of,
    tracks_of,
)
from crested_like.cli._report import load_models

if TYPE_CHECKING:
    from crested_like.tl import Designs

_CHANGES = "What may change"

#: Shown below the help.
EXAMPLES = """crested-like design --random 2 --tracks HepG2 --within 65,001-65,200 --out designs.fa

crested-like design start.fa --tracks 0 --against 5 --insert AP-1=TGASTCA --insert motifs.meme"""


class Propose(StrEnum):
    """Which substitutions are predicted."""

    all = "all"
    random = "random"
    gradient = "gradient"


def design(
    source: SourceArgument = None,
    region: RegionOption = None,
    genome: GenomeOption = None,
    random: Annotated[int, typer.Option(min=0, help="Begin with so many random sequences.", rich_help_panel=INPUT)] = 0,
    gc: Annotated[float, typer.Option(min=0, max=1, help="Their share of G and C.", rich_help_panel=INPUT)] = 0.5,
    tracks: TracksOption = None,
    against: AgainstOption = None,
    bins: BinsOption = None,
    place: PlaceOption = None,
    log: LogOption = False,
    lower: Annotated[bool, typer.Option("--lower", help="Lower it instead.", rich_help_panel=READOUT)] = False,
    insert: Annotated[
        Texts,
        typer.Option(help="Insert motifs: letters, NAME=LETTERS or a MEME file.", rich_help_panel=_CHANGES),
    ] = None,
    within: Annotated[
        Texts,
        typer.Option(help="Change only bases 101-200 (counted from 1), or chr1:101-200.", rich_help_panel=_CHANGES),
    ] = None,
    protect: Annotated[
        Texts, typer.Option(help="Never change these, given likewise.", rich_help_panel=_CHANGES)
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of evolution.", rich_help_panel=_CHANGES)] = 10,
    mutations: Annotated[int, typer.Option(min=1, help="Changes a round.", rich_help_panel=_CHANGES)] = 1,
    propose: Annotated[
        Optional[Propose],  # noqa: UP045
        typer.Option(help="Changes that are predicted; by default those of the gradient.", rich_help_panel=_CHANGES),
    ] = None,
    candidates: Annotated[
        Number, typer.Option(min=1, help="How many of them a round; default 64.", rich_help_panel=_CHANGES)
    ] = None,
    beam: Annotated[int, typer.Option(min=1, help="Sequences carried on.", rich_help_panel=_CHANGES)] = 1,
    temperature: Annotated[
        float, typer.Option(min=0, help="Draw changes instead of taking the best.", rich_help_panel=_CHANGES)
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.", rich_help_panel=_CHANGES)] = 0,
    model: ModelsOption = None,
    targets: TargetsOption = None,
    head: HeadOption = None,
    rc: RcOption = False,
    unstranded: UnstrandedOption = False,
    batch_size: BatchSizeOption = None,
    backend: BackendOption = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="FASTA; tables go beside it.", rich_help_panel=RESULT)
    ] = Path("designs.fa"),
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Design sequences: change bases, or insert motifs, so that what a model predicts rises.

    An evolution that was cut off goes on with the same command. Exit code 0 means done; 1 an error, which is told; 2
    wrong use.
    """
    files = _files(out, overwrite=overwrite)
    places = {"within": _places("--within", within), "protect": _places("--protect", protect)}
    chosen_bins = bins_of(bins)
    if random and (source is not None or region):
        raise ValueError("--random makes the sequences to begin with: leave out the file or --region.")
    given = None if random else read_input(source, region, genome, "design")
    use_backend(backend)
    from crested_like import tl
    from crested_like.genome import random_dna

    models = load_models(model or [EMBEDDED], targets)
    readout = tl.Readout(
        tracks_of(tracks), against=tracks_of(against), bins=chosen_bins, region=place, log=log, head=head
    )
    start = random_dna(_length(models[0], head), random, gc=gc, seed=seed) if given is None else given.items
    where = None if given is None or given.genome is None else str(given.genome)
    call: dict[str, Any] = {"readout": tl.Goal(readout, weight=-1.0 if lower else 1.0), **places}
    call |= {"rc": rc, "unstranded": unstranded, "batch_size": batch_size}
    if insert:
        designs = tl.insert_motifs(start, models, where, motifs=[_motif(text) for text in insert], **call)
    else:
        call |= {"rounds": rounds, "mutations": mutations, "propose": propose or _default(), "candidates": candidates}
        call |= {"beam": beam, "temperature": temperature, "seed": seed, "checkpoint": files["state"]}
        designs = tl.evolve(start, models, where, **call)
    designs.to_fasta(files["sequences"])
    designs.to_tsv(files["table"])
    designs.history_to_tsv(files["history"])
    files["state"].unlink(missing_ok=True)
    _print(designs, model or [EMBEDDED], files, as_json=as_json)


def _files(out: Path, *, overwrite: bool) -> dict[str, Path]:
    """Files to be written, none of which is there."""
    if out.suffix.lower() not in (".fa", ".fasta", ".fna"):
        raise ValueError(f"--out is a FASTA file and must end in .fa, .fasta or .fna; got {out.name}.")
    endings = {"table": ".tsv", "history": ".history.tsv", "state": ".state.json"}
    files = {"sequences": out} | {name: out.with_suffix(ending) for name, ending in endings.items()}
    there = [str(path) for name, path in files.items() if name != "state" and path.exists()]
    if there and not overwrite:
        raise FileExistsError(
            f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} there already. Choose another name with "
            f"--out, or give --overwrite."
        )
    if not Path(os.path.abspath(out)).parent.is_dir():
        raise FileNotFoundError(f"Cannot write {out}: its folder does not exist. Make it first.")
    return files


def _places(option: str, texts: list[str] | None) -> Any:
    """Spans of bases, counted from 1 with both ends included, as pairs; or regions of the genome as they are."""
    if not texts:
        return None
    found = [span_of(option, text) for text in texts]
    if not any(found):
        return texts[0] if len(texts) == 1 else texts
    if not all(found):
        raise ValueError(f"{option} takes spans such as 101-200 or regions such as chr1:101-200, not both in one call.")
    return found


def _motif(text: str) -> Any:
    name, equals, letters = text.partition("=")
    return (name, letters) if equals else text


def _default() -> str:
    """How changes are proposed: by the gradient, where the backend takes any."""
    import keras

    return "gradient" if keras.backend.backend() in ("tensorflow", "jax", "torch") else "random"


def _length(model: Any, head: str | None) -> int:
    from crested_like.tl._geometry import geometry

    return geometry(model, head).input_length


def _print(designs: Designs, models: list[str], files: dict[str, Path], *, as_json: bool) -> None:
    table = designs.table
    columns = ["name", "score_before", "score", "changes"]
    written = {name: str(path) for name, path in files.items() if name != "state"}
    if as_json:
        told = {"model": ", ".join(models), "designs": table[columns].to_dict("records"), "written": written}
        typer.echo(json.dumps(told, indent=1))
        return
    shown = {
        "name": table["name"].tolist(),
        "before": [f"{value:.4g}" for value in table["score_before"]],
        "after": [f"{value:.4g}" for value in table["score"]],
        "bases changed": table["changes"].tolist(),
    }
    console.stdout().print(console.table("Designs", shown, right=("before", "after", "bases changed"), keep="name"))
    console.stdout().print(console.facts({"model": ", ".join(models), **written}))
