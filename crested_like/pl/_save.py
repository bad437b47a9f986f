"""Matplotlib, which is optional, and figures written to files."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crested_like._atomic import atomic_path
from crested_like._errors import BackendError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: File endings a figure can be written as.
ENDINGS = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".tif", ".tiff")


def matplotlib_part(name: str) -> Any:
    """Import ``matplotlib.<name>``, or say how to install it."""
    try:
        return importlib.import_module(f"matplotlib.{name}")
    except ImportError as error:
        raise BackendError(
            f"matplotlib is needed to draw and could not be imported ({error}). "
            f"Install it with: pip install 'crested_like[plot]'"
        ) from error


def check_figure_path(path: str | os.PathLike[str]) -> Path:
    """Path of a figure, after a check that its ending stands for a format.

    Raises
    ------
    ValueError
        If it does not.
    """
    found = Path(path).expanduser()
    if found.suffix.lower() not in ENDINGS:
        raise ValueError(f"Cannot draw into {found.name!r}: the name must end in one of {', '.join(ENDINGS)}.")
    return found


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 200) -> Path:
    """Write a figure in the format of the path's ending; text stays text in PDF and SVG.

    Parameters
    ----------
    figure
        As :func:`tracks` gives it.
    path
        Ends in ``.png``, ``.pdf``, ``.svg``, ``.jpg`` or ``.tif``. Missing folders are made; a file is replaced.
    dpi
        Dots per inch of the formats made of dots.

    Raises
    ------
    ValueError
        If the ending stands for no format.
    """
    target = check_figure_path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    matplotlib = importlib.import_module("matplotlib")
    with atomic_path(target) as unfinished, matplotlib.rc_context({"pdf.fonttype": 42, "svg.fonttype": "none"}):
        figure.savefig(unfinished, dpi=dpi)
    return target
