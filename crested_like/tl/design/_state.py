"""Where an evolution is, in a file, so that it can go on after an interruption."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from crested_like._atomic import atomic_path
from crested_like._errors import ResumeError
from crested_like.tl.design._member import Change, Member, Step
from crested_like.tl.design._starts import Starts, text_of

_FORMAT = "crested_like evolution 1"


class State:
    """What is known of each sequence after its last round; without a path it is kept nowhere."""

    def __init__(self, path: Path | None, request: dict[str, Any], found: dict[str, Any]) -> None:
        self.path, self.request, self.found = path, request, found

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None, request: dict[str, Any]) -> State:
        """The state of a file, or a new one.

        Raises
        ------
        ResumeError
            If the file is something else, or of another call; says in what it differs.
        """
        if path is None:
            return cls(None, {}, {})
        path, request = Path(path).expanduser(), _plain(request)
        if not path.exists():
            return cls(path, request, {})
        try:
            data = json.loads(path.read_text())
            known = data["request"] if data["format"] == _FORMAT else None
        except (ValueError, KeyError, TypeError, UnicodeDecodeError):
            known = None
        if known is None:
            raise ResumeError(f"{path} is no state of an evolution; remove it, or name another file as checkpoint.")
        differing = [key for key in request if known.get(key) != request[key]]
        if differing:
            raise ResumeError(
                f"{path} is of another evolution: it differs in {', '.join(differing)}. Remove it to begin anew, or "
                f"name another file as checkpoint."
            )
        return cls(path, request, data["sequences"])

    def of(self, number: int, rng: np.random.Generator) -> tuple[Member, list[Member], int] | None:
        """Best member, members and rounds done of a sequence, and its generator set to where it was."""
        kept = self.found.get(str(number))
        if kept is None:
            return None
        rng.bit_generator.state = kept["rng"]
        members = [_member(data) for data in kept["members"]]
        return _member(kept["best"]), members, kept["rounds"]

    def keep(self, number: int, best: Member, members: list[Member], rounds: int, rng: np.random.Generator) -> None:
        """Write what a round has brought."""
        if self.path is None:
            return
        self.found[str(number)] = {
            "rounds": rounds,
            "best": _data(best),
            "members": [_data(member) for member in members],
            "rng": rng.bit_generator.state,
        }
        with atomic_path(self.path) as path:
            path.write_text(json.dumps({"format": _FORMAT, "request": self.request, "sequences": self.found}))


def _data(member: Member) -> dict[str, Any]:
    path = [[s.round, [[c.start, c.before, c.after, c.what] for c in s.changes], s.values] for s in member.path]
    return {"sequence": text_of(member.codes), "values": member.values.tolist(), "path": path}


def _member(data: dict[str, Any]) -> Member:
    codes = np.array(["ACGTN".index(letter) for letter in data["sequence"]], np.uint8)
    path = tuple(Step(r, tuple(Change(*c) for c in changes), tuple(v)) for r, changes, v in data["path"])
    return Member(codes, np.array(data["values"], float), path)


def _plain(request: dict[str, Any]) -> dict[str, Any]:
    """The request in plain values; sequences, masks and weights as hashes."""
    plain = {key: value for key, value in request.items() if key not in ("starts", "masks", "models")}
    starts: Starts = request["starts"]
    plain["input"] = _hash([starts.codes, *[np.array(name.encode()) for name in starts.names]])
    plain["protect and within"] = _hash(request["masks"])
    plain["model"] = [_hash(model.get_weights()) for model in request["models"]]
    return json.loads(json.dumps(plain))


def _hash(arrays: list[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
