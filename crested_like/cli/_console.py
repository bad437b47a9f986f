"""Results go to stdout, everything said about the work to stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Columns where the output is no terminal: tables are not cut to a width nobody sees.
_WIDE = 180


def stdout() -> Console:
    """Console for results."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def stderr() -> Console:
    """Console for notes and errors."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else _WIDE, highlight=False)


def note(text: str) -> None:
    """Say what is going on."""
    stderr().print(Text(text, style="dim"), soft_wrap=True)


def fail(text: str) -> None:
    """Say what went wrong."""
    stderr().print(Text("Error: ", style="bold red"), Text(text, style="red"), sep="", soft_wrap=True)


def traceback() -> None:
    """Show where the error that is being handled came from."""
    stderr().print_exception(show_locals=False, extra_lines=1)


def set_up_logging(*, verbose: bool) -> None:
    """Send the library's log to stderr."""
    from rich.logging import RichHandler

    logger = logging.getLogger("crested_like")
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    for handler in [handler for handler in logger.handlers if isinstance(handler, RichHandler)]:
        logger.removeHandler(handler)
    logger.addHandler(RichHandler(console=stderr(), show_time=False, show_path=False, markup=False))


def table(title: str, columns: Mapping[str, list[Any]], *, right: tuple[str, ...] = (), keep: str = "") -> Table:
    """A plain table: no lines but the one below the header.

    Parameters
    ----------
    title, columns
        What is in it; None is an empty cell.
    right
        Columns of numbers.
    keep
        The column that is never cut.
    """
    from rich import box

    made = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        made.add_column(
            name,
            justify="right" if name in right else "left",
            no_wrap=True,
            overflow="ignore" if name == keep else "ellipsis",
            min_width=max(map(len, [name, *map(str, columns[name])])) if name == keep or name in right else None,
        )
    for row in zip(*columns.values(), strict=True):
        made.add_row(*(Text("" if value is None else str(value)) for value in row))
    return made


def facts(rows: dict[str, Any]) -> Table:
    """Names and values, one a line, without those that are not known."""
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows.items():
        if value not in (None, "", (), {}):
            made.add_row(name, Text(str(value)))
    return made
