"""From squashed targets back to coverage."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from crested_like._card import ModelCard, card_of
from crested_like._errors import TrackError
from crested_like._tracks import tracks_of
from crested_like.datasets.building._transform import TargetTransform

if TYPE_CHECKING:
    import keras
    import xarray as xr
    from numpy.typing import NDArray

Values = TypeVar("Values", "NDArray[Any]", "xr.DataArray")

_SQUASHING = ("sum_stat", "scale", "clip_soft")
_CHUNK = 1 << 22  # values computed at a time, in float64


def untransform(
    predictions: Values,
    tracks: pd.DataFrame | str | os.PathLike[str] | ModelCard | keras.Model,
    version: str | None = None,
    *,
    unscale: bool = True,
    head: str | None = None,
) -> Values:
    """Coverage of predictions, or of stored targets: what squashed them is undone, track by track.

    A value at its track's ceiling (``clip``) stays what the ceiling stands for: the targets do not tell how much more
    there was.

    Parameters
    ----------
    predictions
        ``(..., tracks)``, or an ``xarray.DataArray`` with a dimension ``track``. If that has names or numbers of
        tracks, they may be some of the table's in any order.
    tracks
        Track table with the columns ``sum_stat``, ``scale`` and ``clip_soft``, or its path; or a model that knows its
        tracks (:func:`crested_like.load_model`, :func:`crested_like.attach`), or its card.
    version
        ``"old"`` for the published Borzoi and its tables, ``"new"`` for Borzoi Prime and what is built today. A model
        or card may know it; otherwise it has to be said.
    unscale
        Whether to divide by each track's ``scale`` too, back to the units of its coverage file.
    head
        Which head, for a model or card of several.

    Returns
    -------
    The same kind and shape: the pooled coverage of each bin, a sum or mean as ``sum_stat`` says. float64 if that was
    given, else float32.

    Raises
    ------
    TrackError
        If the number or names of the tracks are others, the table does not say how they were squashed, or the version
        is not known.
    ValueError
        If a prediction is NaN or infinite.

    Notes
    -----
    With c for ``clip_soft``, of the version ``"new"``: above c, x becomes c - 1 + (x - c + 1)²; then for ``*_sqrt``,
    -1 + (x + 1)², for ``sum_exp75`` -1 + (x + 1)^(4/3) and for ``peak`` x² / 4; last, it is divided by the scale. Of
    ``"old"``: it is divided by the scale; above c, it becomes c + (x - c)²; for ``*_sqrt``, x^(4/3).

    Examples
    --------
    >>> table = pd.DataFrame({"identifier": ["a"], "sum_stat": ["sum_sqrt"], "clip_soft": [8.0], "scale": [1.0]})
    >>> untransform(np.array([[2.0], [9.0]]), table, "new").tolist()  # 9 stands for 7 + 2², 11 for 12² - 1
    [[8.0], [143.0]]
    """
    table, known = described(tracks, head)
    version = version or known
    if version is None:
        raise TrackError("Say which transform made the targets: version='old' for the published Borzoi, else 'new'.")
    xarray = sys.modules.get("xarray")  # who has a DataArray has imported it
    if xarray is None or not isinstance(predictions, xarray.DataArray):
        return undone(np.asarray(predictions), TargetTransform.of(table, version), unscale)
    last = _with_tracks_last(predictions)
    transform = TargetTransform.of(_rows_for(last, table), version)
    made = last.copy(data=undone(last.to_numpy(), transform, unscale)).transpose(*predictions.dims)
    return made.assign_attrs(units="coverage" if unscale else "scaled coverage")


def undoing(
    wanted: bool | str, models: Sequence[keras.Model], head: str, tracks: NDArray[np.intp]
) -> Callable[[NDArray[Any]], NDArray[Any]] | None:
    """What takes predictions of some tracks back to coverage, or None where that is not wanted.

    Parameters
    ----------
    wanted
        The version of the transform, or True for what the model's card says.
    models
        The models that predict; the first whose card is known tells how tracks were squashed.
    head
        Which of their outputs.
    tracks
        Output channels, in the order of the predictions' last axis.

    Raises
    ------
    TrackError
        If the track table or the version is not known.
    """
    if not wanted:
        return None
    knowing = next((model for model in models if card_of(model) is not None), models[0])
    card = card_of(knowing)
    try:
        table, known = described(knowing, head if card is not None and head in card.heads else None)
        version = wanted if isinstance(wanted, str) else known
        if version is None:
            raise TrackError("Its card does not say by which version of the transform.")
    except TrackError as error:
        raise TrackError(
            f"untransform={wanted!r} needs to know how the targets were squashed. {error} Give the table with "
            f"crested_like.attach(model, targets) and untransform='old' for the published Borzoi, else 'new', or leave "
            f"it out."
        ) from error
    transform = TargetTransform.of(table.iloc[tracks], version)
    return lambda values: undone(values, transform, True)


def described(tracks: Any, head: str | None) -> tuple[pd.DataFrame, str | None]:
    """The track table, and the version where it is known."""
    if isinstance(tracks, pd.DataFrame | str | os.PathLike):
        table, version = tracks_of(tracks), None
    else:
        card = tracks if isinstance(tracks, ModelCard) else card_of(tracks)
        found = None if card is None else card.track_table(head)
        if found is None:
            raise TrackError(
                f"Nothing is known of the tracks of {getattr(tracks, 'name', type(tracks).__name__)!r}. Give a track "
                f"table, or tell it with crested_like.attach(model, tracks)."
            )
        table, version = found, card.transform if head is None else card.for_head(head).transform
    if not set(_SQUASHING) & set(table.columns):
        raise TrackError(
            f"The track table does not say how the targets were squashed: it has none of the columns "
            f"{', '.join(_SQUASHING)}, only {', '.join(map(str, table.columns))}."
        )
    return table, version


def _with_tracks_last(array: xr.DataArray) -> xr.DataArray:
    if "track" not in array.dims:
        raise TrackError(f"The array needs a dimension 'track'; it has {', '.join(map(repr, array.dims))}.")
    return array.transpose(..., "track")


def _rows_for(array: xr.DataArray, table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the table that an array's tracks are, by name or number if it has them."""
    if "track" not in array.coords:
        return table
    labels = array["track"].to_numpy().tolist()
    known = range(len(table)) if all(isinstance(label, int) for label in labels) else table["identifier"]
    position = {label: row for row, label in enumerate(known)}
    if unknown := [label for label in labels if label not in position]:
        raise TrackError(f"{len(unknown):,} of {len(labels):,} tracks are not in the table, the first {unknown[0]!r}.")
    return table.iloc[[position[label] for label in labels]]


def undone(values: NDArray[Any], transform: TargetTransform, unscale: bool) -> NDArray[Any]:
    if values.ndim == 0 or values.shape[-1] != len(transform):
        raise TrackError(
            f"Predictions must have one value for each of the {len(transform):,} tracks of the table on their last "
            f"axis; got the shape {values.shape}."
        )
    rows = values.reshape(-1, len(transform))
    out = np.empty(rows.shape, np.float64 if values.dtype == np.float64 else np.float32)
    step = max(1, _CHUNK // max(1, len(transform)))
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step].astype(np.float64)
        bad = ~np.isfinite(chunk)
        if bad.any():
            row, track = (int(i) for i in np.argwhere(bad)[0])
            where = tuple(map(int, np.unravel_index((start + row) * len(transform) + track, values.shape)))
            raise ValueError(f"Predictions must be finite; the one at {where} is {chunk[row, track]}.")
        out[start : start + step] = transform.invert(chunk, unscale=unscale)
    return out.reshape(values.shape)
