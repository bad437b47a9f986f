"""From arrays and tables to one file."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crested_like._atomic import atomic_path
from crested_like.pl._genes import Genes
from crested_like.pl._report import _content as content
from crested_like.pl._report._numbers import Numbers
from crested_like.pl._report._page import page

if TYPE_CHECKING:
    import pandas as pd


def report(
    out: str | os.PathLike[str],
    *,
    title: str = "Report",
    tracks: Any = None,
    variants: pd.DataFrame | None = None,
    overlays: Mapping[Any, tuple[Any, Any]] | None = None,
    logos: Any = None,
    genes: Genes | None = None,
    motifs: Any = None,
    highlight: Any = None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write a run as one interactive page that opens in any browser, without a network.

    Tracks can be moved, zoomed and chosen; the table of variants sorted, filtered, downloaded and opened row by row;
    contributions of bases zoomed to letters. Style, scripts and numbers (about three figures of each) are in the file.

    Parameters
    ----------
    out
        Ends in ``.html``; a file is replaced.
    title
        Heading of the page.
    tracks
        As ``tl.predict_regions`` gives it, ``(region, bin, track)``, or several arrays by name.
    variants
        A row a variant, as ``tl.score_variants`` gives it: ``chrom``, ``position`` (counted from 1), ``ref``, ``alt``;
        columns of floating-point numbers are scores.
    overlays
        Predictions of the reference and the alternative allele, by row of ``variants``: its number from 0, its name, or
        ``"chr1:1001:A:G"``. Each is one region as ``tl.predict_regions`` gives it.
    logos
        As ``tl.explain`` and ``tl.ism`` give it, ``(sequence, position, base)``, or several arrays by name.
    genes
        A GTF file, of which each gene's longest transcript is shown, or ``genome.Transcript`` and ``genome.Gene``
        objects.
    motifs, highlight
        Regions, as ``genome.regions_of`` takes them: motifs are boxes with their names, highlights bands.
    facts
        What else is to be told of the run, by name: model, options, versions. A mapping is a group of its own.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ValueError
        If there is nothing to show, an array has other axes, or there are more numbers than a browser opens.
    RegionError
        If a motif or a highlight is no region.

    Examples
    --------
    >>> pl.report("run.html", title="GATA4", tracks=coverage, variants=scores, genes="genes.gtf")  # doctest: +SKIP
    """
    target = check_page_path(out)
    if tracks is None and variants is None and logos is None:
        raise ValueError("There is nothing to show: give tracks=, variants= or logos=.")
    if overlays and variants is None:
        raise ValueError("overlays= belong to rows of variants=, which is missing.")
    numbers = Numbers()
    told: dict[str, Any] = {
        "tracks": None if tracks is None else content.tracks_of(tracks, numbers),
        "variants": None if variants is None else content.variants_of(variants, overlays, numbers),
        "logos": [] if logos is None else content.logos_of(logos, numbers),
        "motifs": content.regions_as_rows(motifs),
        "highlights": content.regions_as_rows(highlight),
        "facts": content.facts_of({**_facts_of_arrays(tracks, logos), **(facts or {})}),
    }
    places = content.places_of(told["tracks"], told["variants"], told["logos"])
    told["genes"] = content.genes_of(genes, places)
    text = page(
        told,
        numbers.text(),
        title=title,
        subtitle=_subtitle(told),
        generator=f"crested_like {_version()}",
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    return target


def check_page_path(path: str | os.PathLike[str]) -> Path:
    """Path of a page, after a check of its ending.

    Raises
    ------
    ValueError
        If it is another.
    """
    found = Path(path).expanduser()
    if found.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"A report is a page: its name must end in .html; got {found.name!r}.")
    return found


def _facts_of_arrays(tracks: Any, logos: Any) -> dict[str, dict[str, Any]]:
    """What arrays say of themselves."""
    found: dict[str, dict[str, Any]] = {}
    for title, given in (("Tracks", tracks), ("Contributions of bases", logos)):
        named = given if isinstance(given, Mapping) else {"": given}
        for name, array in named.items():
            attrs = {str(key).replace("_", " "): value for key, value in getattr(array, "attrs", {}).items()}
            told = {key: value for key, value in attrs.items() if isinstance(value, str | int | float)}
            found[f"{title}: {name}" if name else title] = told
    return found


def _subtitle(told: Mapping[str, Any]) -> str:
    parts = []
    if told["tracks"]:
        regions, tracks = len(told["tracks"]["regions"]), max(map(len, told["tracks"]["sets"]))
        parts.append(f"{_count(regions, 'region')}, {_count(tracks, 'track')}")
    if told["variants"]:
        parts.append(_count(told["variants"]["rows"], "variant"))
    if told["logos"]:
        parts.append(f"contributions of bases in {_count(len(told['logos']), 'sequence')}")
    return " · ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _version() -> str:
    try:
        return importlib.metadata.version("crested_like")
    except importlib.metadata.PackageNotFoundError:
        return ""
