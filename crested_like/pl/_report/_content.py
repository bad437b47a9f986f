"""Arrays and tables as what the page's scripts read."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like.genome import regions_of
from crested_like.pl import _style as style
from crested_like.pl._bases import method_of, rows_of, strongest_window
from crested_like.pl._genes import model_of, models_between
from crested_like.pl._ism import mean_loss
from crested_like.pl._report._numbers import Numbers
from crested_like.pl._tracks import Span

if TYPE_CHECKING:
    import pandas as pd

Place = tuple[str, int, int]  # chromosome, start, end: 0-based, half-open, in bp
#: Columns of numbers that a table of variants can have on a page.
MOST_SCORES = 200
#: Bases shown at first of a longer sequence.
_LETTERS = 200


def tracks_of(tracks: Any, numbers: Numbers) -> dict[str, Any]:
    """Regions and tracks of one array of predictions, or of several by name."""
    sets: list[list[dict[str, str]]] = []
    regions: list[dict[str, Any]] = []
    named = tracks if isinstance(tracks, Mapping) else {"": tracks}
    for name, array in named.items():
        _check_tracks(array)
        array = array if "region" in array.dims else array.expand_dims("region")
        array = array.transpose("region", "bin", "track")
        sets.append(_track_labels(array))
        for i in range(array.sizes["region"]):
            region = span_of(array.isel(region=i))
            regions.append(
                {
                    "set": len(sets) - 1,
                    "name": " · ".join(part for part in (str(name), style.region_text(region.title)) if part)
                    or f"region {i + 1}",
                    **_place(region),
                    "values": [numbers.halves(track) for track in region.values.T],
                }
            )
    return {"sets": sets, "regions": regions}


def _check_tracks(array: Any) -> None:
    dims = getattr(array, "dims", ())
    if "bin" not in dims or "track" not in dims or not all(array.sizes.values()):
        raise ValueError(
            f"tracks= takes what tl.predict_regions() gives, (region, bin, track); got "
            f"{'the dimensions ' + ', '.join(map(str, dims)) if dims else type(array).__name__}."
        )


def span_of(array: Any) -> Span:
    """One region of predictions ``(bin, track)`` at its place."""

    def told(name: str, default: Any) -> Any:
        return array[name].item() if name in array.coords and not array[name].ndim else default

    size, start = int(array.attrs.get("bin_size") or 1), int(told("start", 0))
    bins = (int(told("end", start)) - start) // size or array.sizes["bin"]  # shorter regions are filled up with NaN
    return Span(str(told("region", "")), str(told("chrom", "")), start, size, array.isel(bin=slice(bins)).to_numpy())


def _place(region: Span) -> dict[str, Any]:
    return {
        "chrom": region.chrom,
        "start": region.start,
        "binSize": region.bin_size,
        "bins": len(region.values),
    }


def _track_labels(array: Any) -> list[dict[str, str]]:
    count = array.sizes["track"]
    names = array["track"].to_numpy().tolist() if "track" in array.coords else list(range(count))
    told = array["description"].to_numpy().tolist() if "description" in array.coords else [""] * count
    rows = []
    for name, description in zip(names, told, strict=True):
        label = style.label_of(name, str(description))
        assay, colon, _ = str(description).partition(":")
        group = assay if colon and style.hue_of(assay) else "tracks"
        rows.append({"label": label.title, "detail": label.detail, "color": label.color, "group": group})
    return rows


def variants_of(table: pd.DataFrame, overlays: Mapping[Any, Any] | None, numbers: Numbers) -> dict[str, Any]:
    """Columns of a table of variants, and predictions of both alleles of some of them."""
    columns = [_column(str(name), table[name], numbers) for name in table.columns]
    scores = sum(column["kind"] == "score" for column in columns)
    if scores > MOST_SCORES:
        raise ValueError(
            f"The table has {scores:,} columns of scores; at most {MOST_SCORES} fit a page. Pass only those to "
            f"be shown, such as table[[...]]."
        )
    keys = _keys(table)
    made = {str(_row_of(key, keys, len(table))): _overlay(pair, numbers) for key, pair in (overlays or {}).items()}
    return {"rows": len(table), "columns": columns, "overlays": made}


def _column(name: str, values: pd.Series, numbers: Numbers) -> dict[str, Any]:
    kind = values.dtype.kind if isinstance(values.dtype, np.dtype) else "O"
    if kind == "f":
        return {"name": name, "kind": "score", **numbers.floats(values.to_numpy())}
    if kind in "iu" and (not len(values) or (values.min() >= -(2**31) and values.max() < 2**31)):
        return {"name": name, "kind": "integer", **numbers.integers(values.to_numpy())}
    texts = ["" if value is None or value != value else str(value) for value in values.astype(object)]
    return {"name": name, "kind": "text", "values": texts}


def _keys(table: pd.DataFrame) -> dict[str, int]:
    """Rows by ``chrom:position:ref:alt``, and by name; the first of those alike."""
    found: dict[str, int] = {}
    if {"chrom", "position", "ref", "alt"} <= set(table.columns):
        for row, parts in enumerate(zip(*(table[c] for c in ("chrom", "position", "ref", "alt")), strict=True)):
            found.setdefault(":".join(map(str, parts)), row)
    if "name" in table.columns:
        for row, name in enumerate(table["name"].astype(str)):
            found.setdefault(name, row)
    return found


def _row_of(key: Any, keys: Mapping[str, int], rows: int) -> int:
    if isinstance(key, int | np.integer) and 0 <= key < rows:
        return int(key)
    if str(key) in keys:
        return keys[str(key)]
    raise ValueError(
        f"overlays= has {str(key)!r}, which is no row of the table. Give the number of a row from 0 to {rows - 1:,}, a "
        f"name, or chrom:position:ref:alt."
    )


def _overlay(pair: Any, numbers: Numbers) -> dict[str, Any]:
    reference, alternative = (array.isel(region=0) if "region" in array.dims else array for array in pair)
    labels = _track_labels(reference)
    one, other = (span_of(array.transpose("bin", "track")) for array in (reference, alternative))
    if (one.start, one.bin_size, one.values.shape) != (other.start, other.bin_size, other.values.shape):
        raise ValueError("Both predictions of an overlay must be of one window and of the same tracks.")
    rows = [
        {**label, "reference": numbers.halves(a), "alternative": numbers.halves(b)}
        for label, a, b in zip(labels, one.values.T, other.values.T, strict=True)
    ]
    return {**_place(one), "tracks": rows}


def logos_of(logos: Any, numbers: Numbers) -> list[dict[str, Any]]:
    """Contributions and effects of bases: arrays that cover the same bases are rows of one sequence."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, array in (logos if isinstance(logos, Mapping) else {"": logos}).items():
        for i in range(_sequences(array)):
            (row,) = rows_of(_one(array, i), 0, 0, "").values()
            place = row.chrom, row.start, len(row.values), "" if row.chrom else row.title or i
            one = found.setdefault(place, _sequence(row, i))
            one["rows"] += _logo_rows(str(name), method_of(array), row.values, numbers)
    named = [one["name"] for one in found.values()]
    for one in found.values():
        if named.count(one["name"]) > 1:  # parts of one region
            one["name"] += f" ({one['start'] + 1:,}-{one['start'] + one['length']:,})"
    return list(found.values())


def _sequence(row: Span, index: int) -> dict[str, Any]:
    low, high = (0, len(row.values)) if len(row.values) <= 300 else strongest_window(row.values, _LETTERS)
    return {
        "name": style.region_text(row.title) or f"sequence {index + 1}",
        "chrom": row.chrom,
        "start": row.start,
        "length": len(row.values),
        "show": [row.start + low, row.start + high],
        "rows": [],
    }


def _sequences(array: Any) -> int:
    if hasattr(array, "dims"):
        return int(array.sizes.get("sequence", 1))
    return len(array) if np.ndim(array) == 3 else 1


def _one(array: Any, index: int) -> Any:
    if hasattr(array, "dims"):
        return array.isel(sequence=index) if "sequence" in array.dims else array
    return array[index] if np.ndim(array) == 3 else array


def _logo_rows(name: str, method: str, values: NDArray, numbers: Numbers) -> list[dict[str, Any]]:
    if "ism" not in f"{name} {method}".lower().replace("-", " ").split() and "mutagenesis" not in method:
        return [
            {
                "kind": "letters",
                "label": name or method or "contribution",
                "detail": method if name and name != method else "",
                **_packed(values, numbers),
            }
        ]
    heat = {
        "values": numbers.halves(values),
        "kind": "ism",
        "label": name or "substitutions",
        "detail": "effect of each",
    }
    importance = _packed(mean_loss(values), numbers)
    return [{"kind": "letters", "label": "importance", "detail": "mean loss if replaced", **importance}, heat]


def _packed(values: NDArray, numbers: Numbers) -> dict[str, Any]:
    """Values of bases; where each place has one at most, that and its letter."""
    known = np.nan_to_num(values)
    if ((known != 0).sum(axis=1) > 1).any():
        return {"values": numbers.halves(values)}
    letters = np.argmax(known != 0, axis=1)
    return {"values": numbers.halves(known[np.arange(len(known)), letters]), "letters": numbers.bytes(letters)}


def places_of(
    tracks: Mapping[str, Any] | None, variants: Mapping[str, Any] | None, logos: Sequence[Any]
) -> list[Place]:
    """Everywhere that something is shown."""
    regions = list(tracks["regions"]) if tracks else []
    found = [(r["chrom"], r["start"], r["start"] + r["bins"] * r["binSize"]) for r in regions]
    overlays = variants["overlays"].values() if variants else ()
    found += [(o["chrom"], o["start"], o["start"] + o["bins"] * o["binSize"]) for o in overlays]
    return found + [(one["chrom"], one["start"], one["start"] + one["length"]) for one in logos]


def genes_of(genes: Any, places: Iterable[Place]) -> list[dict[str, Any]]:
    """Genes that overlap what is shown."""
    if genes is None:
        return []
    if not isinstance(genes, str | os.PathLike):
        genes = list(genes)
        for gene in genes:
            model_of(gene)
    by_chrom: dict[str, list[Place]] = {}
    for place in places:
        by_chrom.setdefault(place[0], []).append(place)
    found = []
    for chrom, here in by_chrom.items():
        low, high = min(start for _, start, _ in here), max(end for *_, end in here)
        shown = [
            gene
            for gene in models_between(genes, chrom, low, high)
            if any(gene.start < end and gene.end > start for _, start, end in here)
        ]
        found += [{**vars(gene), "start": gene.start, "end": gene.end} for gene in shown]
    return found


def regions_as_rows(regions: Any) -> list[dict[str, Any]]:
    """Places to be marked."""
    found = [] if regions is None else regions_of(regions)
    return [{"name": r.name or "", "chrom": r.chrom, "start": r.start, "end": r.end, "strand": r.strand} for r in found]


def facts_of(facts: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Facts in groups: a group each mapping, what stands alone under one title."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, value in (facts or {}).items():
        told = value.items() if isinstance(value, Mapping) else [(name, value)]
        rows = [(str(key), _said(one)) for key, one in told if one is not None and one != "" and one != ()]
        groups.setdefault(str(name) if isinstance(value, Mapping) else "Run", []).extend(rows)
    return [{"title": title, "rows": rows} for title, rows in groups.items() if rows]


def _said(value: Any) -> str:
    if isinstance(value, str) and value.startswith("{"):
        with contextlib.suppress(ValueError):  # a readout, say, that an array carries as JSON
            return _said(json.loads(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_said(one)}" for key, one in value.items())
    if isinstance(value, list | tuple | set):
        return ", ".join(map(_said, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
