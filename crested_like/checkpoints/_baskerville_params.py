"""Reads a Baskerville ``params.json``: what it says, with every default filled in, or all that is wrong with it.

The original ignores or swallows many wrong keys; here each is an error that names the block and the key. No keras.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crested_like._checks import did_you_mean
from crested_like._errors import CheckpointError
from crested_like.checkpoints import _baskerville_keys as keys

PARAMS = "params.json"
HEAD = "head"
#: Dense layers that a head ends in.
FINAL = ("final", "dense")


@dataclass(frozen=True)
class Block:
    """One entry of the trunk or of a head, with every key of its kind."""

    name: str
    where: str
    """Such as ``trunk[3] 'unet_conv'``, for messages."""
    values: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.values[key]


@dataclass(frozen=True)
class Network:
    """A network as its parameter file describes it."""

    seq_length: int
    activation: str
    """Of the trunk's last layer, which no entry lists; ``"linear"`` for none."""
    trunk: tuple[Block, ...]
    heads: Mapping[str, tuple[Block, ...]]
    """By name without the leading ``head_``, in the natural order that numbers the data sets and the files."""
    train: Mapping[str, Any] = field(default_factory=dict)
    """The training section as it stands."""

    @property
    def uses_gelu(self) -> bool:
        """Whether any block asks for the function whose form files leave open."""
        blocks = [*self.trunk, *(block for head in self.heads.values() for block in head)]
        inner = [block for block in blocks if block.name not in FINAL]  # these hand the name to Keras
        named = [block.values.get(key) for block in inner for key in ("activation", "activation_end")]
        return "gelu" in [self.activation, *named]


def read_params(source: str | Path | Mapping[str, Any]) -> Network:
    """Network of a ``params.json``, or of the same as a dict.

    Raises
    ------
    CheckpointError
        If the file is no JSON, or with a list of all that the grammar does not allow.
    """
    if isinstance(source, Mapping):
        return _Reader("params").network(source)
    path = Path(source)
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
    except OSError as error:
        raise CheckpointError(f"The parameter file {path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # malformed JSON or UTF-8, or a repeated key
        raise CheckpointError(f"The parameter file {path} is not valid JSON: {error}") from error
    return _Reader(str(path)).network(content)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice in one object"
        )
    return values


class _Reader:
    """Collects what is wrong with a file while reading it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[str] = []

    def network(self, content: Any) -> Network:
        """The whole file."""
        if not isinstance(content, Mapping) or not isinstance(content.get("model"), Mapping):
            self.problems.append("it must be a JSON object that holds an object 'model'.")
            self._stop_at_problems()
        for section in content:
            if section not in keys.SECTIONS:
                self.problems.append(f"unknown section {section!r}; allowed are {', '.join(keys.SECTIONS)}.")
        model = self._modern("model", content["model"])
        heads = sorted((key for key in model if key.startswith(HEAD)), key=_natural)
        values = self._checked(
            "model", {k: v for k, v in model.items() if k not in heads}, keys.MODEL, keys.MODEL_REFUSED
        )
        if not heads:
            self.problems.append("model: has no head; a key such as 'head_human' must hold one.")
        if len({head_name(key) for key in heads}) < len(heads):
            self.problems.append(f"model: two of the heads {', '.join(heads)} have the same name.")
        inherited = {key: values[key] for key in keys.INHERITED if values.get(key)}
        trunk = model.get("trunk")
        network = Network(
            seq_length=values["seq_length"],
            activation=values["activation"] or "linear",
            trunk=self._blocks("trunk", trunk if isinstance(trunk, list) else [], inherited),
            heads={head_name(key): self._blocks(key, model[key], inherited) for key in heads},
            train=self._train(content.get("train", {})),
        )
        self._stop_at_problems()
        return network

    def _stop_at_problems(self) -> None:
        if self.problems:
            listed = "".join(f"\n- {problem}" for problem in self.problems)
            raise CheckpointError(f"{self.source} does not describe a network that can be built:{listed}")

    def _train(self, section: Any) -> dict[str, Any]:
        if not isinstance(section, Mapping):
            self.problems.append("train: is no object.")
            return {}
        self._checked("train", {k: v for k, v in section.items() if k in keys.TRAIN}, keys.TRAIN, {})
        return dict(section)

    def _blocks(self, key: str, entries: Any, inherited: Mapping[str, Any]) -> tuple[Block, ...]:
        listed = entries if isinstance(entries, list) else [entries]
        if not listed and key != "trunk":
            self.problems.append(f"{key}: is an empty list of blocks.")
        blocks = [self._block(f"{key}[{i}]", entry, inherited) for i, entry in enumerate(listed)]
        return tuple(block for block in blocks if block is not None)

    def _block(self, where: str, entry: Any, inherited: Mapping[str, Any]) -> Block | None:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            self.problems.append(f"{where}: must be an object with the 'name' of a block; got {entry!r}.")
            return None
        name = entry["name"]
        where = f"{where} {name!r}"
        if name not in keys.BLOCKS:
            known = "is not supported" if name in keys.UNSUPPORTED else "is unknown"
            self.problems.append(
                f"{where}: this block {known}.{did_you_mean(name, keys.BLOCKS)} Supported: {', '.join(keys.BLOCKS)}."
            )
            return None
        spec = keys.BLOCKS[name]
        given = self._modern(where, {key: value for key, value in entry.items() if key != "name"})
        before = len(self.problems)
        handed_down = {key: value for key, value in inherited.items() if key in spec.inherits}
        values = self._checked(where, given, spec.keys, {**keys.REFUSED, **spec.refused}, handed_down)
        if len(self.problems) == before and (complaint := spec.rule(values)):
            self.problems.append(f"{where}: {complaint}.")
        return Block(name, where, values)

    def _checked(
        self,
        where: str,
        given: Mapping[str, Any],
        allowed: Mapping[str, keys.Key],
        refused: Mapping[str, str],
        inherited: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """All allowed keys with their values; complaints about the rest."""
        for key, value in given.items():
            if key not in allowed and key in refused:
                self.problems.append(f"{where}: key {key!r} is not allowed: {refused[key]}.")
            elif key not in allowed:
                self.problems.append(
                    f"{where}: unknown key {key!r}.{did_you_mean(key, allowed)} Allowed: {', '.join(sorted(allowed))}."
                )
            elif complaint := allowed[key].check(value):
                self.problems.append(f"{where}: {key!r} {complaint}; got {json.dumps(value)[:80]}.")
        values = {key: spec.default for key, spec in allowed.items()} | (dict(inherited) if inherited else {})
        for key, spec in allowed.items():
            if spec.required and key not in given and not values[key]:
                self.problems.append(f"{where}: the key {key!r} is missing.")
        return values | {key: value for key, value in given.items() if key in allowed}

    def _modern(self, where: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The entry with ``batch_norm``, the word of files from before 2021, as ``norm_type``."""
        if "batch_norm" not in given:
            return given
        if "norm_type" in given or not isinstance(given["batch_norm"], bool):
            self.problems.append(f"{where}: 'batch_norm' must be true or false, and not stand beside 'norm_type'.")
        rest = {key: value for key, value in given.items() if key != "batch_norm"}
        return {"norm_type": "batch" if given["batch_norm"] is True else None, **rest}


def _natural(key: str) -> list[tuple[int, int, str]]:
    """Order in which head2 comes before head10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", key) if part]


def head_name(key: str) -> str:
    """Name of a head: its key without ``head_``; a bare ``head`` keeps it."""
    return key.removeprefix(HEAD).lstrip("_") or HEAD
