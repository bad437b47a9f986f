"""``crested-like explain``."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crested_like.cli import _console as console
from crested_like.cli._backend_option import BackendOption, use_backend
from crested_like.cli._input import read_input
from crested_like.cli._options import (
    EMBEDDED,
    MODEL,
    READOUT,
    RESULT,
    AgainstOption,
    BatchSizeOption,
    BinsOption,
    File,
    GenomeOption,
    HeadOption,
    JsonOption,
    LogOption,
    ModelsOption,
    OverwriteOption,
    PlaceOption,
    RcOption,
    RegionOption,
    RestartOption,
    SourceArgument,
    TargetsOption,
    Text,
    TopOption,
    TracksOption,
    UnstrandedOption,
    bins_of,
    span_of,
    tracks_of,
)
from crested_like.cli._report import check_plot, load_models

if TYPE_CHECKING:
    import xarray as xr

#: Shown below the help.
EXAMPLES = """crested-like explain --region chr1:150,001-150,200 --genome hg38.fa --tracks DNASE --plot logo.png

crested-like explain sequences.fa --method ism --window 100 --tracks 0 --out effects.npz"""


class Ways(StrEnum):
    """How it is found out what bases contribute."""

    input_x_gradient = "input_x_gradient"
    saliency = "saliency"
    integrated_gradients = "integrated_gradients"
    smooth_grad = "smooth_grad"
    ism = "ism"
    occlusion = "occlusion"


class Baseline(StrEnum):
    """Where integrated gradients begin."""

    zeros = "zeros"
    uniform = "uniform"
    shuffled = "shuffled"


def explain(
    source: SourceArgument = None,
    region: RegionOption = None,
    genome: GenomeOption = None,
    tracks: TracksOption = None,
    against: AgainstOption = None,
    bins: BinsOption = None,
    place: PlaceOption = None,
    gene: Annotated[Text, typer.Option(help="Gene whose exons count; with --gtf.", rich_help_panel=READOUT)] = None,
    gtf: Annotated[File, typer.Option(help="GTF file that the gene is in.", rich_help_panel=READOUT)] = None,
    log: LogOption = False,
    method: Annotated[
        Ways, typer.Option(help="ism and occlusion only predict.", rich_help_panel=MODEL)
    ] = Ways.input_x_gradient,
    window: Annotated[
        Text,
        typer.Option(
            help="Bases that are told of: 200 in the middle, 101-300 of the input (counted from 1), or chr1:101-300.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Of integrated gradients.", rich_help_panel=MODEL)] = 64,
    baseline: Annotated[
        Baseline, typer.Option(help="Where integrated gradients begin.", rich_help_panel=MODEL)
    ] = Baseline.zeros,
    width: Annotated[int, typer.Option(min=1, help="Bases that occlusion shuffles.", rich_help_panel=MODEL)] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of shuffles and noise.", rich_help_panel=MODEL)] = 0,
    model: ModelsOption = None,
    targets: TargetsOption = None,
    head: HeadOption = None,
    rc: RcOption = False,
    unstranded: UnstrandedOption = False,
    batch_size: BatchSizeOption = None,
    backend: BackendOption = None,
    hypothetical: Annotated[
        bool, typer.Option("--hypothetical", help="Write what all four bases would do.", rich_help_panel=RESULT)
    ] = False,
    modisco: Annotated[
        File, typer.Option(help="Folder to write tf-modisco's arrays to, too.", rich_help_panel=RESULT)
    ] = None,
    plot: Annotated[
        File, typer.Option(help="Draw the first into this .png, .pdf or .svg.", rich_help_panel=RESULT)
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help=".zarr, .h5 or .npz.", rich_help_panel=RESULT)] = Path(
        "attributions.zarr"
    ),
    overwrite: OverwriteOption = False,
    restart: RestartOption = False,
    top: TopOption = 10,
    as_json: JsonOption = False,
) -> None:
    """Explain a prediction: what each base of a sequence contributes to it.

    The same command goes on with a run that was cut off. Exit code 0 means done; 1 an error, which is told; 2 wrong
    use.
    """
    given = read_input(source, region, genome, "explain")
    if modisco is not None and method is Ways.occlusion:
        raise ValueError("tf-modisco needs what each of the four bases does, which occlusion does not tell.")
    choice = {"bins": bins_of(bins), "region": place, "gene": gene, "gtf": None if gtf is None else str(gtf)}
    part = _part(window)
    check_plot(plot)
    use_backend(backend)
    from crested_like import tl

    readout = tl.Readout(tracks_of(tracks), against=tracks_of(against), **choice, log=log, head=head)
    call: dict[str, Any] = {"readout": readout, "window": part, "rc": rc, "unstranded": unstranded}
    call |= {"batch_size": batch_size, "out": out, "resume": not restart, "overwrite": overwrite}
    verb = tl.explain
    if method is Ways.ism:
        verb = tl.ism
    elif method is Ways.occlusion:
        verb, call = tl.occlusion, {**call, "width": width, "seed": seed}
    else:
        call |= {"method": method.value, "steps": steps, "baseline": baseline.value, "seed": seed}
        call |= {"hypothetical": hypothetical or modisco is not None}
    where = None if given.genome is None else str(given.genome)
    scores = verb(given.items, load_models(model or [EMBEDDED], targets), where, **call)
    files = {"written": str(out)}
    if modisco is not None:
        files["for tf-modisco"] = str(tl.to_modisco(scores, modisco)["one_hot"].parent)
    if plot is not None:
        _draw(scores, plot)
        files["figure"] = str(plot)
    _print(scores, {"model": ", ".join(model or [EMBEDDED]), "explained": given.words}, files, top, as_json=as_json)


def _part(text: str | None) -> Any:
    """What ``window=`` is to get: a number, a pair counted from 0, or the text of a region."""
    if text is None:
        return None
    if text.replace(",", "").isdecimal():
        return int(text.replace(",", ""))
    return span_of("--window", text) or text


def _draw(scores: xr.DataArray, path: Path) -> None:
    from crested_like import pl

    if scores.attrs["method"] == "ism":
        figure = pl.ism(scores)
    else:
        hypothetical = scores.attrs.get("hypothetical")
        there = scores["letter"] == scores["base"]
        figure = pl.logo(scores.where(there, 0.0).assign_attrs(scores.attrs) if hypothetical else scores)
    pl.save(figure, path)


def _print(scores: xr.DataArray, facts: dict[str, Any], files: dict[str, str], top: int, *, as_json: bool) -> None:
    strongest = _strongest(scores, top)
    facts |= {"method": scores.attrs["method"], "readout": scores.attrs["readout"]}
    if "completeness_gap" in scores.attrs:
        facts["missing at most"] = f"{100 * scores.attrs['completeness_gap']:.2g} %"
    if as_json:
        values = dict(zip(scores["sequence"].to_numpy().tolist(), scores["value"].to_numpy().tolist(), strict=True))
        readout = json.loads(facts.pop("readout"))
        told = {**facts, "readout": readout, "values": values, "strongest": strongest, **files}
        typer.echo(json.dumps(told, indent=1))
        return
    console.stdout().print(console.facts(facts))
    if strongest:
        columns = {name: [row[name] for row in strongest] for name in strongest[0]}
        columns["score"] = [f"{score:.4g}" for score in columns["score"]]
        console.stdout().print(console.table("Strongest bases", columns, right=("score",), keep="where"))
    shape = " x ".join(f"{size:,} {dim}s" for dim, size in scores.sizes.items())
    console.stdout().print(console.facts({**files, "holding": shape}))


def _strongest(scores: xr.DataArray, top: int) -> list[dict[str, Any]]:
    """The bases that contribute most, the largest amount first; of substitutions the mean effect, turned round."""
    import numpy as np

    letters = scores["letter"].to_numpy()
    values = scores.to_numpy()
    if scores.attrs["method"] == "ism":
        amounts = -values.sum(axis=-1) / 3
    else:
        amounts = (values * (letters[..., None] == np.array(list("ACGT")))).sum(axis=-1)
    order = np.argsort(-np.abs(amounts), axis=None, kind="stable")[:top]
    found = []
    for row, position in zip(*np.unravel_index(order, amounts.shape), strict=True):
        place = f"{scores['chrom'].to_numpy()[row]}:{int(scores['start'].to_numpy()[row]) + int(position) + 1:,}"
        found.append(
            {
                "where": place,
                "sequence": str(scores["sequence"].to_numpy()[row]),
                "base": str(letters[row, position]),
                "score": float(amounts[row, position]),
            }
        )
    return found
