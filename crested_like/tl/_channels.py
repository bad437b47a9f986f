"""Which output channels are meant, and which show them on the opposite strand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like._card import card_of, strand_pairs
from crested_like._errors import GeometryError, TrackError
from crested_like.tl._geometry import Geometry

if TYPE_CHECKING:
    import pandas as pd


def are_numbers(tracks: Any) -> bool:
    """Whether tracks are asked for by number alone, so that no table is needed."""
    if tracks is None or isinstance(tracks, slice | int | np.integer):
        return True
    return isinstance(tracks, list | tuple | range | np.ndarray) and all(
        isinstance(track, int | np.integer | np.bool_) for track in tracks
    )


def common_table(models: Sequence[keras.Model], head: str) -> pd.DataFrame | None:
    """Track table of the first model whose card has one; the others must not contradict it."""
    found: pd.DataFrame | None = None
    for model in models:
        card = card_of(model)
        table = None if card is None else card.track_table(head if head in card.heads else None)
        if found is None:
            found = table
        elif table is not None and table["identifier"].tolist() != found["identifier"].tolist():
            raise TrackError("Models to be averaged must have the same tracks in the same order; their cards differ.")
    return found


def check_turnable(geometry: Geometry, what: str = "rc=True") -> None:
    """Raise a GeometryError unless the bins of the reverse complement are the bins turned round."""
    if geometry.crop != geometry.crop_right:
        raise GeometryError(
            f"{what} needs bins that lie in the middle of the input; here {geometry.crop:,} bp are cropped "
            f"on the left and {geometry.crop_right:,} on the right."
        )


def opposite(table: pd.DataFrame | None, what: str = "rc=True") -> NDArray[np.intp]:
    """For every output channel the one that shows it on the reverse complement.

    Raises
    ------
    TrackError
        If the table names no strand pairs.
    """
    pairs = strand_pairs(table)
    if pairs is None:
        raise TrackError(
            f"{what} swaps the tracks of the two strands, and the model's card names no strand pairs. Give the "
            "track table with crested_like.attach(model, targets), or say unstranded=True if no track has a strand."
        )
    return pairs
