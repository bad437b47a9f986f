"""``crested-like plan``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any, Optional

import typer

from crested_like.cli import _console as console
from crested_like.cli._backend_option import BackendOption, use_backend
from crested_like.cli._engine_options import CLUSTER
from crested_like.cli._input import read_input
from crested_like.cli._options import (
    EMBEDDED,
    MODEL,
    GenomeOption,
    HeadOption,
    JsonOption,
    ModelsOption,
    Number,
    RcOption,
    RegionOption,
    ShiftsOption,
    SourceArgument,
    TargetsOption,
    TracksOption,
    UnstrandedOption,
    shifts_of,
    tracks_of,
)
from crested_like.cli._report import load_models

#: Shown below the help.
EXAMPLES = """crested-like plan --region all --genome hg38.fa --workers 8 --seconds-per-window 0.5 --price 2

crested-like plan regions.bed --genome hg38.fa --measure"""

#: What follows from a plan's own numbers.
DERIVED = ("bytes_per_window", "windows_per_hour", "worker_hours", "hours", "cost")

Decimal = Optional[float]  # noqa: UP045 - read by typer at run time


def plan(
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
    tile: Annotated[
        bool,
        typer.Option(
            "--tile/--no-tile", help="As for predict: windows side by side, or one each.", rich_help_panel=MODEL
        ),
    ] = True,
    kept_bins: Annotated[
        Number, typer.Option(min=1, help="Bins in the middle of each window to keep.", rich_help_panel=MODEL)
    ] = None,
    backend: BackendOption = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Machines or cards that share the windows.", rich_help_panel=CLUSTER)
    ] = 1,
    seconds_per_window: Annotated[
        Decimal, typer.Option(help="What one of them takes for a window.", rich_help_panel=CLUSTER)
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure that on this machine.", rich_help_panel=CLUSTER)
    ] = False,
    price: Annotated[Decimal, typer.Option(help="Of an hour of one worker.", rich_help_panel=CLUSTER)] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what predicting regions or a whole genome takes: windows, bytes, memory, hours and cost.

    Nothing is computed but, with --measure, a few windows of random DNA.
    """
    given = read_input(source, region, genome, "plan")
    options: dict[str, Any] = {
        "head": head,
        "tracks": tracks_of(tracks),
        "rc": rc,
        "shifts": shifts_of(shifts),
        "unstranded": unstranded,
        "tile": tile,
        "kept_bins": kept_bins,
        "workers": workers,
        "seconds_per_window": seconds_per_window,
        "measure": measure,
        "price": price,
    }
    use_backend(backend)
    from crested_like import tl

    names = model or [EMBEDDED]
    loaded = load_models(names, targets)
    where = None if given.genome is None else str(given.genome)
    found = tl.plan_regions(given.items, loaded, where, **options)
    if as_json:
        derived = {name: getattr(found, name) for name in DERIVED}
        typer.echo(json.dumps({"models": names, **asdict(found), **derived}, indent=2))
        return
    rows: dict[str, Any] = {
        "model": ", ".join(names),
        "regions": f"{found.regions:,}",
        "windows": f"{found.windows:,}, {found.passes} time{'' if found.passes == 1 else 's'} through a network each",
        "result": f"{_bytes(found.result_bytes)}, {_bytes(found.bytes_per_window)} a window",
        "memory of a worker": _bytes(found.worker_bytes),
    }
    if found.hours is not None:
        rows |= {
            "a window": f"{found.seconds_per_window:.3g} s, {found.windows_per_hour:,.0f} an hour",
            "all windows": f"{found.worker_hours:,.2f} hours of one worker",
            f"on {workers:,} worker{'' if workers == 1 else 's'}": f"{found.hours:,.2f} hours",
            "cost": None if found.cost is None else f"{found.cost:,.2f}",
        }
    console.stdout().print(console.facts(rows))
    if found.hours is None:
        console.note("For hours and cost say --seconds-per-window, or --measure it on this machine.")


def _bytes(count: int) -> str:
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if size < 1_000:
            break
        size, unit = size / 1_000, larger
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
