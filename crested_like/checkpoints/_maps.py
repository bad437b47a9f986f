"""Name maps: which array of a published file is which weight of our networks. The maps themselves are data.

How a map file is written is told in ``maps/README.md``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from crested_like.checkpoints._apply import Pair
from crested_like.checkpoints._axes import Axes

FILE, OURS = 0, 1
#: Layers of a series, such as transformer blocks, that are looked for.
MOST = 64

_NUMBER = re.compile(r"\{(?:(\d*)i([+-]\d+)?|(\d+)-i)\}")


@dataclass(frozen=True)
class Part:
    """An array of a layer: what it is called on both sides, and its axes where they differ."""

    file: str
    ours: str
    axes: Axes | None = None


@dataclass(frozen=True)
class Rule:
    """A layer of the file and one of ours; their names may be templates for a series, or for every head."""

    file: str
    ours: str
    parts: tuple[Part, ...]

    @property
    def is_series(self) -> bool:
        """Whether it stands for several layers, numbered."""
        return bool(_NUMBER.search(self.ours))

    def named(self, **names: str) -> Rule:
        """With ``{head}`` or ``{last}`` filled in."""
        file, ours = self.file, self.ours
        for key, value in names.items():
            file, ours = file.replace(f"{{{key}}}", value), ours.replace(f"{{{key}}}", value)
        return replace(self, file=file, ours=ours)

    def members(self) -> list[Rule]:
        """The layers of a series, as many as there may be."""
        filled = ((_numbered(self.file, i), _numbered(self.ours, i)) for i in range(1, MOST + 1))
        return [replace(self, file=file, ours=ours) for file, ours in filled if file and ours]

    def arrays(self, side: int, separator: str) -> list[str]:
        """Full names of its arrays on one side."""
        layer = (self.file, self.ours)[side]
        return [f"{layer}{separator}{(part.file, part.ours)[side]}" for part in self.parts]


def _numbered(template: str, i: int) -> str | None:
    """Fill in ``{i}``, ``{2i-2}`` and ``{3-i}``; None where that would be negative."""
    numbers: list[int] = []

    def fill(match: re.Match[str]) -> str:
        factor, shift, start = match.groups()
        numbers.append(int(start) - i if start else int(factor or 1) * i + int(shift or 0))
        return str(numbers[-1])

    text = _NUMBER.sub(fill, template)
    return text if min(numbers, default=0) >= 0 else None


@dataclass(frozen=True)
class NameMap:
    """What is known of one architecture in one format."""

    architecture: str
    """Builder in ``tl.zoo``."""
    known_by: tuple[str, ...]
    """Arrays that tell it from others."""
    rules: tuple[Rule, ...]
    unused: tuple[str, ...] = ()
    separator: str = "."

    def fits(self, names: Collection[str]) -> bool:
        """Whether a file with these arrays is of this kind."""
        return all(name in names for name in self.known_by)

    def is_unused(self, name: str) -> bool:
        """Whether an array is known to have no place in the network."""
        return any(name.startswith(mark) if mark[-1] in "./" else name.endswith(mark) for mark in self.unused)

    def to_ours(self, names: Collection[str], head: str = "tracks") -> list[Pair]:
        """For the arrays of a file the weights they become.

        Parameters
        ----------
        names
            All arrays of the file.
        head
            What the head is called, where the file has but one and no name for it.
        """
        return [
            Pair(
                f"{rule.file}{self.separator}{part.file}",
                f"{rule.ours}/{part.ours}",
                part.axes.forth if part.axes else None,
            )
            for rule in self._present(names, FILE, head)
            for part in rule.parts
            if f"{rule.file}{self.separator}{part.file}" in names
        ]

    def to_file(self, paths: Collection[str]) -> list[Pair]:
        """The other way round: for the weights of a model the arrays of a file that they become."""
        return [
            Pair(
                f"{rule.ours}/{part.ours}",
                f"{rule.file}{self.separator}{part.file}",
                part.axes.back if part.axes else None,
            )
            for rule in self._present(paths, OURS)
            for part in rule.parts
            if f"{rule.ours}/{part.ours}" in paths
        ]

    def _present(self, names: Collection[str], side: int, head: str = "") -> list[Rule]:
        """Layers that are there, seen from one side, with both names filled in."""
        separator = (self.separator, "/")[side]

        def there(rule: Rule) -> bool:
            return any(array in names for array in rule.arrays(side, separator))

        series = [member for rule in self.rules if rule.is_series for member in rule.members() if there(member)]
        outright = []
        for rule in self.rules:
            if not rule.is_series:
                # {last} ends a series of ours, and is no member of that of the file: seen from there, one more
                rule = rule.named(last=str(_last(rule, series) + (side == FILE)))
                heads = _heads((rule.file, rule.ours)[side], names, separator) or [head]
                outright += [named for named in (rule.named(head=name) for name in heads) if there(named)]
        claimed = {rule.ours for rule in outright}
        return [rule for rule in series if rule.ours not in claimed] + outright


def _last(rule: Rule, series: list[Rule]) -> int:
    """The highest number of a series that a layer called ``{last}`` continues."""
    pattern = re.escape(rule.ours).replace(r"\{last\}", r"(\d+)")
    matches = (re.fullmatch(pattern, member.ours) for member in series)
    return max((int(match[1]) for match in matches if match and match.groups()), default=0)


def _heads(template: str, names: Collection[str], separator: str) -> list[str]:
    """Names of the heads that are there; none where the template has no place for them."""
    if "{head}" not in template:
        return []
    pattern = re.compile(re.escape(template).replace(r"\{head\}", r"(\w+?)") + re.escape(separator))
    return list(dict.fromkeys(match[1] for name in names if (match := pattern.match(name))))


@cache
def maps_of(form: str) -> tuple[NameMap, ...]:
    """All architectures of a format, such as ``"borzoi_pytorch"``, in the order in which they are to be tried."""
    table = _read(form)
    layouts = _layouts(table)
    separator = table.get("separator", ".")
    return tuple(
        NameMap(
            architecture=variant["architecture"],
            known_by=tuple(variant["known_by"]),
            rules=tuple(
                _rules({**table.get("layers", {}), **variant.get("layers", {})}, {**layouts, **_layouts(variant)})
            ),
            unused=(*table.get("unused", ()), *variant.get("unused", ())),
            separator=separator,
        )
        for variant in table["variants"].values()
    )


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.files(__package__) / "maps" / f"{name}.toml").read_text())


def _layouts(table: Mapping[str, Any]) -> dict[str, tuple[Part, ...]]:
    own = table.get("layouts", {})
    found = _layouts(_read(f"layouts_{table['common']}")) if "common" in table else {}
    return {**found, **{kind: tuple(_part(file, text) for file, text in parts.items()) for kind, parts in own.items()}}


def _part(file: str, text: str) -> Part:
    ours, colon, axes = text.partition(":")
    return Part(file, ours.strip(), Axes.parse(axes) if colon else None)


def _rules(layers: Mapping[str, str], layouts: Mapping[str, tuple[Part, ...]]) -> Iterator[Rule]:
    for file, text in layers.items():
        ours, _, kind = (part.strip() for part in text.partition(":"))
        yield Rule(file, ours, layouts[kind])
