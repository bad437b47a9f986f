"""Letters of DNA as shapes, so that a row of hundreds is four paths."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like.pl._save import matplotlib_part

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BASES = "ACGT"
#: The colours that readers of logos expect, in hues that colour-blind readers tell apart (Okabe and Ito 2008).
COLORS = {"A": "#009e73", "C": "#0072b2", "G": "#e69f00", "T": "#d55e00"}
_WIDTH = 0.94  # of a base


@cache
def _glyph(letter: str) -> tuple[NDArray[np.float64], Any]:
    """Corners and codes of a letter that fills the unit square."""
    bold = matplotlib_part("font_manager").FontProperties(family="DejaVu Sans", weight="bold")
    path = matplotlib_part("textpath").TextPath((0, 0), letter, size=10, prop=bold)
    box = path.get_extents()
    corners = (path.vertices - (box.x0, box.y0)) / (box.width, box.height)
    # the point of a closing code is ignored when drawn, but would widen the extents
    return np.clip(corners, 0, 1), path.codes


def stacks(values: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bottom and height of each letter: what is positive stacked up from 0, what is negative down, larger ones outside.

    Parameters
    ----------
    values
        ``(L, 4)``; NaN counts as 0.

    Returns
    -------
    bottoms, heights
        ``(L, 4)``; a negative height hangs down from its bottom.
    """
    values = np.nan_to_num(np.asarray(values, dtype=np.float64))
    order = np.argsort(np.abs(values), axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    bottoms = np.empty_like(values)
    for part in (np.maximum(ordered, 0), np.minimum(ordered, 0)):
        before = np.cumsum(part, axis=1) - part
        mine = part != 0
        rows, columns = np.nonzero(mine)
        bottoms[rows, order[rows, columns]] = before[rows, columns]
    bottoms[values == 0] = 0
    return bottoms, values


def draw_letters(axes: Axes, values: NDArray, start: float, *, alpha: float = 1.0) -> tuple[float, float]:
    """Draw a logo: the letter of each base as high as its value, upside down where that is negative.

    Parameters
    ----------
    axes
        What to draw on; its limits are not changed.
    values
        ``(L, 4)``, order A, C, G, T.
    start
        Place of the first base.

    Returns
    -------
    low, high
        Lowest and highest point of all letters, 0 included.
    """
    path_class = matplotlib_part("path").Path
    patch_class = matplotlib_part("patches").PathPatch
    bottoms, heights = stacks(values)
    for index, base in enumerate(BASES):
        places = np.flatnonzero(heights[:, index])
        if not len(places):
            continue
        corners, codes = _glyph(base)
        left = start + places + (1 - _WIDTH) / 2
        scaled = np.empty((len(places), len(corners), 2))
        scaled[..., 0] = left[:, None] + corners[:, 0] * _WIDTH
        scaled[..., 1] = bottoms[places, index, None] + corners[:, 1] * heights[places, index, None]
        path = path_class(scaled.reshape(-1, 2), np.tile(codes, len(places)))
        axes.add_patch(patch_class(path, facecolor=COLORS[base], edgecolor="none", alpha=alpha, zorder=3))
    ends = bottoms + heights
    return min(float(ends.min(initial=0)), 0.0), max(float(ends.max(initial=0)), 0.0)
