"""A run from what was asked to what is printed, shared by the verbs that predict."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from crested_like.cli import _console as console
from crested_like.cli._facts import of_model
from crested_like.cli._input import Source
from crested_like.cli._options import tracks_of
from crested_like.cli._output import READING, written_paths

if TYPE_CHECKING:
    import keras
    import pandas as pd
    import xarray as xr

_DRAWN_REGIONS = 6
_LARGE = 1 << 30  # bytes that are not read again for tables


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything that is asked of one run."""

    models: Sequence[str]
    source: Source
    out: Path
    targets: Path | None = None
    """Track table of models whose file names no tracks."""
    plot: Path | None = None
    plot_tracks: str = "8"
    top: int = 10
    as_json: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    """Arguments of ``tl.predict_regions``."""


def check_plot(path: Path | None) -> None:
    """Make sure, before any work, that a figure can be drawn and its name stands for a format."""
    if path is None:
        return
    from crested_like.pl._save import check_figure_path, matplotlib_part

    check_figure_path(path)
    matplotlib_part("figure")


def load_models(names: Sequence[str], targets: Path | None = None) -> list[keras.Model]:
    """Models by name or path, with the tracks of a table where one is given."""
    from crested_like import attach
    from crested_like.registry import load_model

    loaded = [load_model(name) for name in names]
    return loaded if targets is None else [attach(model, targets) for model in loaded]


def run(request: Request, models: list[keras.Model] | None = None) -> xr.DataArray:
    """Predict, write, draw and print."""
    from crested_like.tl._geometry import geometry
    from crested_like.tl._heads import check_head
    from crested_like.tl.regions._predict_regions import predict_regions

    loaded = models or load_models(request.models, request.targets)
    head = check_head(loaded[0], request.options.get("head"))
    told = of_model(loaded[0], head)
    if request.plot is not None and geometry(loaded[0], head).bin_size is None:
        raise ValueError("--plot draws coverage along a sequence, and this model gives one value per sequence.")
    model = loaded if len(loaded) > 1 else loaded[0]
    genome = None if request.source.genome is None else str(request.source.genome)
    began = time.monotonic()
    array = predict_regions(request.source.items, model, genome, out=request.out, **request.options)
    seconds = time.monotonic() - began
    files = written_paths(request.out, [str(track) for track in array["track"].to_numpy()])
    rows = {"model": _named(request.models), **told, "predicted": request.source.words, "on": _backend()}
    if not request.as_json:
        console.stdout().print(console.facts(rows))
        _print_strongest(array, request.top)
    if request.plot is not None:
        draw(array, request.plot, request.plot_tracks)
    if request.as_json:
        typer.echo(json.dumps(_summary(request, array, files, seconds), indent=2))
    else:
        console.stdout().print(console.facts({**_written(array, files), "figure": request.plot}))
    return array


def _summary(request: Request, array: xr.DataArray, files: list[Path], seconds: float) -> dict[str, Any]:
    """What was done, for other programs."""
    return {
        "models": list(request.models),
        "backend": _backend(),
        "genome": None if request.source.genome is None else str(request.source.genome),
        "sizes": {str(dim): size for dim, size in array.sizes.items()},
        "bin_size": int(array.attrs["bin_size"]) or None,
        "units": array.attrs["units"],
        "seconds": round(seconds, 3),
        "written": [str(path) for path in files],
        "figure": None if request.plot is None else str(request.plot),
    }


def _named(models: Sequence[str]) -> str:
    return models[0] if len(models) == 1 else f"mean of {', '.join(models)}"


def _backend() -> str:
    import keras

    return f"keras {keras.__version__} with {keras.backend.backend()}"


def _print_strongest(array: xr.DataArray, top: int) -> None:
    from crested_like import pl

    if top < 1:
        return
    if array.nbytes > _LARGE or _ragged(array):
        console.note("The tables of the strongest tracks and bins are left out: regions differ in width, or are many.")
        return
    tracks = pl.strongest_tracks(array, top)
    columns = {
        "track": tracks["track"],
        "description": tracks["description"],
        "mean": tracks["mean"].map(_number),
        "max": tracks["max"].map(_number),
        "maximum at": _places(tracks),
    }
    console.stdout().print(console.table("Strongest tracks", _said(columns), right=("mean", "max"), keep="track"))
    bins = pl.strongest_bins(array, top)
    title = "Strongest bins" if "bin" in array.dims else "Strongest sequences"
    columns = {
        "where": _places(bins),
        "mean of tracks": bins["mean"].map(_number),
        "max": bins["max"].map(_number),
        "track": bins["track"],
        "description": bins["description"],
    }
    console.stdout().print(console.table(title, _said(columns), right=("mean of tracks", "max"), keep="where"))


def _ragged(array: xr.DataArray) -> bool:
    """Whether some regions end before others, and NaN follows."""
    widths = (array["end"] - array["start"]).to_numpy()
    return "bin" in array.dims and bool((widths != widths[0]).any())


def _said(columns: dict[str, Any]) -> dict[str, list[Any]]:
    """Columns without those that are empty, such as descriptions nobody gave."""
    return {name: list(values) for name, values in columns.items() if any(value != "" for value in values)}


def _number(value: float) -> str:
    from crested_like.pl._style import number_text

    return number_text(value)


def _places(table: pd.DataFrame) -> list[str]:
    """Places as region strings: 1-based, both ends included."""
    return [
        f"{chrom}:{start + 1:,}-{end:,}"
        for chrom, start, end in zip(table["chrom"], table["start"], table["end"], strict=True)
    ]


def _written(array: xr.DataArray, files: list[Path]) -> dict[str, Any]:
    shape = " x ".join(f"{size:,} {dim}{'' if size == 1 else 's'}" for dim, size in array.sizes.items())
    if len(files) > 1:
        return {"written": f"{len(files):,} files, {files[0]} to {files[-1]}", "holding": shape}
    reading = READING.get(files[0].suffix.lower())
    return {"written": files[0], "holding": shape, "in Python": reading and reading.format(path=files[0])}


def draw(array: xr.DataArray, path: Path, wanted: str) -> None:
    """Draw the strongest tracks, or those asked for."""
    from crested_like import pl

    regions = range(min(array.sizes["region"], _DRAWN_REGIONS))
    if len(regions) < array.sizes["region"]:
        console.note(f"The figure shows the first {len(regions)} of {array.sizes['region']:,} regions.")
    figure = pl.tracks(array, tracks=_tracks_to_draw(array, wanted), regions=list(regions))
    pl.save(figure, path)


def _tracks_to_draw(array: xr.DataArray, wanted: str) -> list[int]:
    from crested_like import pl
    from crested_like._card import resolve_tracks

    if wanted.isdecimal():
        return pl.strongest_tracks(array, int(wanted)).index.tolist()
    return resolve_tracks(tracks_of([wanted]), _track_table(array), array.sizes["track"]).tolist()


def _track_table(array: xr.DataArray) -> pd.DataFrame:
    import pandas as pd

    names = array["track"].to_numpy().astype(str)
    told = array["description"].to_numpy().astype(str) if "description" in array.coords else names
    return pd.DataFrame({"identifier": names, "description": told})
