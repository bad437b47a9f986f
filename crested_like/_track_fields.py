"""What a track table says between the lines: assay, target, sample, strand, partner and transform of each track."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from crested_like._checks import did_you_mean
from crested_like._errors import TrackError

#: Columns that :func:`described` adds.
FIELDS = ("assay", "target", "sample", "strand", "pair", "transform")
#: What an assay looks like before the first colon of a description: ``CAGE:liver``, ``RNA3:Bladder, b cell``.
_ASSAY = re.compile(r"(?P<assay>[A-Z][A-Z0-9-]*):(?P<rest>.*)", re.DOTALL)
#: Assays whose descriptions go on with what was pulled down: ``CHIP:CTCF:MCF-7``.
_WITH_TARGET = ("CHIP",)
_TERM = re.compile(r'(?<!\S)(\w+)=("[^"]*"|\S+)')
_SHOWN = 8


def described(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column for each of the :data:`FIELDS`; columns of these names that are there already are kept.

    All are text, empty where nothing is known:

    * ``assay``: what comes before the description's first colon, ``CAGE``, ``RNA``, ``DNASE``, ...
    * ``target``: of ChIP-seq, the protein or mark.
    * ``sample``: the rest of the description.
    * ``strand``: ``+`` or ``-`` where the identifier ends so and there is an opposite strand, else ``.``.
    * ``pair``: identifier of the track of the opposite strand.
    * ``transform``: how coverage was squashed, from ``sum_stat``, ``scale``, ``clip_soft`` and ``clip``.
    """
    made = _of_descriptions(table["description"].astype(str))
    made["strand"], made["pair"] = _strands(table)
    made["transform"] = _transforms(table)
    added = [name for name in FIELDS if name not in table.columns]
    first = table[["identifier", "description"]]
    rest = table.drop(columns=["identifier", "description"])
    return pd.concat([first, pd.DataFrame({name: made[name] for name in added}, index=table.index), rest], axis=1)


def _of_descriptions(descriptions: pd.Series) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"assay": [], "target": [], "sample": []}
    for text in descriptions:
        match = _ASSAY.fullmatch(text)
        assay, sample = (match["assay"], match["rest"]) if match else ("", text)
        target, colon, rest = sample.partition(":")
        if assay not in _WITH_TARGET or not colon:
            target, rest = "", sample
        for name, value in zip(found, (assay, target, rest.strip(" ,")), strict=True):
            found[name].append(value)
    return found


def _strands(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    names = table["identifier"].astype(str).tolist()
    known = set(names)
    if "strand_pair" in table:
        partners = table["strand_pair"].tolist()
        named = dict(zip(table.index, names, strict=True))
        paired = [partner != row for row, partner in zip(table.index, partners, strict=True)]
        pairs = [named.get(partner, "") if two else "" for partner, two in zip(partners, paired, strict=True)]
    else:  # names such as CD4+ are no strands: the other one must be there too
        turned = [name[:-1] + {"+": "-", "-": "+"}.get(name[-1:], name[-1:]) for name in names]
        paired = [other != name and other in known for other, name in zip(turned, names, strict=True)]
        pairs = [""] * len(names)
    signs = [name[-1] if two and name.endswith(("+", "-")) else "." for name, two in zip(names, paired, strict=True)]
    return signs, pairs


def _transforms(table: pd.DataFrame) -> list[str]:
    told = [name for name in ("sum_stat", "scale", "clip_soft", "clip") if name in table.columns]
    columns = [table[name].tolist() for name in told]
    return [
        ", ".join(
            str(value) if name == "sum_stat" else f"{name} {value:g}"
            for name, value in zip(told, values, strict=True)
            if not pd.isna(value) and not (name == "scale" and value == 1)
        )
        for values in (zip(*columns, strict=True) if columns else [()] * len(table))
    ]


def with_fields(table: pd.DataFrame, fields: Mapping[str, Any]) -> pd.DataFrame:
    """Rows whose columns have the given values, or one of several; case does not matter.

    Raises
    ------
    TrackError
        If there is no such column, or a value occurs nowhere in it.
    """
    chosen = pd.Series(True, index=table.index)
    for name, wanted in fields.items():
        if name not in table.columns:
            raise TrackError(
                f"Tracks have no field {name!r}.{did_you_mean(name, map(str, table.columns))} "
                f"Fields: {', '.join(map(str, table.columns))}."
            )
        values = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)
        column = _comparable(table[name])
        for value in values:
            if _comparable_value(value) not in set(column):
                raise TrackError(f"No track has {name} {value!r}.{_allowed(table[name], str(value))}")
        chosen &= column.isin([_comparable_value(value) for value in values])
    return table[chosen]


def _comparable(column: pd.Series) -> pd.Series:
    return column.map(_comparable_value)


def _comparable_value(value: Any) -> str:
    try:
        return f"{float(value):g}"
    except (TypeError, ValueError):
        return str(value).lower()


def _allowed(column: pd.Series, wanted: str) -> str:
    known = sorted({str(value) for value in column if value != ""})
    hint = did_you_mean(wanted, known)
    if hint or not known:
        return hint
    more = f" and {len(known) - _SHOWN:,} more" if len(known) > _SHOWN else ""
    return f" There are {', '.join(map(repr, known[:_SHOWN]))}{more}."


def fields_in(query: str, known: Iterable[str]) -> tuple[str, dict[str, list[str]]]:
    """A query without its terms ``field=value``, and these.

    Examples
    --------
    >>> fields_in('assay=RNA|CAGE strand=+ adult liver', ["assay", "strand"])
    ('adult liver', {'assay': ['RNA', 'CAGE'], 'strand': ['+']})
    """
    names = set(known)
    fields: dict[str, list[str]] = {}

    def take(match: re.Match[str]) -> str:
        if match[1] not in names:
            return match[0]
        fields.setdefault(match[1], []).extend(match[2].strip('"').split("|"))
        return ""

    text = _TERM.sub(take, query)
    return (" ".join(text.split()), fields) if fields else (query, {})
