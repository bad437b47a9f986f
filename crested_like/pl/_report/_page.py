"""The page itself: a template, in which everything from outside is text and nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

#: Scripts in the order in which they need each other.
SCRIPTS = ("data.js", "viewer.js", "rows.js", "sections.js", "variants.js", "start.js")


def page(data: Any, numbers: str, *, title: str, subtitle: str, generator: str, created: str) -> str:
    """Text of the page.

    Its policy forbids whatever is not in it: no address is asked for anything, and no script runs but its own.
    """
    style, script = _part("page.css"), "\n".join(_part(name) for name in SCRIPTS)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        f"base-uri 'none'; form-action 'none'"
    )
    plain = {"title": title, "subtitle": subtitle, "generator": generator, "created": created, "policy": policy}
    parts = {name: html.escape(text, quote=True) for name, text in plain.items()}
    parts |= {"style": style, "script": script, "numbers": numbers, "data": as_json(data)}
    return _fill(_part("page.html"), parts)


def as_json(data: Any) -> str:
    """JSON that no text in it can leave: without ``<``, so without the end of a script."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _fill(template: str, parts: Mapping[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)  # one pass: what is filled in is not read


def _part(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
