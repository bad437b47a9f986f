"""Where the signal is: short tables of labelled predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import positive_int

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def strongest_tracks(array: xr.DataArray, n: int = 10) -> pd.DataFrame:
    """Tracks with the highest peaks.

    Parameters
    ----------
    array
        As ``tl.predict_regions`` gives it: ``(region, bin, track)`` or ``(region, track)``. One region at a time is
        read, so it may be lazy.
    n
        How many; all if there are fewer.

    Returns
    -------
    pandas.DataFrame
        Index: position on the track axis, the strongest first. Columns: ``track``, ``description``, ``mean`` and
        ``max`` over all regions and bins, and where the maximum is: ``region``, ``chrom``, ``start``, ``end`` (of the
        bin; 0-based, half-open).

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> values = xr.DataArray(np.float32([[[1, 5], [2, 0]]]), dims=("region", "bin", "track"))
    >>> strongest_tracks(values, 1)[["mean", "max"]].values.tolist()
    [[2.5, 5.0]]
    """
    import pandas as pd

    positive_int("n", n)
    num_tracks = array.sizes["track"]
    total = np.zeros(num_tracks)
    peak = np.full(num_tracks, -np.inf)
    place = np.zeros((num_tracks, 2), np.intp)  # region, bin
    for region, values in enumerate(_regions(array)):
        total += values.mean(axis=0, dtype=np.float64)
        best = values.argmax(axis=0)
        height = values[best, np.arange(num_tracks)]
        higher = height > peak
        peak[higher] = height[higher]
        place[higher] = np.stack([np.full(num_tracks, region), best], axis=1)[higher]
    chosen = np.argsort(-peak, kind="stable")[:n]
    rows = [
        {
            **_labels(array, track),
            "mean": float(total[track] / array.sizes["region"]),
            "max": float(peak[track]),
            **_place(array, *place[track]),
        }
        for track in chosen
    ]
    return pd.DataFrame(rows, index=pd.Index(chosen))


def strongest_bins(array: xr.DataArray, n: int = 10) -> pd.DataFrame:
    """Bins with the highest mean over tracks; of a peak, which spans several bins, the summit alone.

    Parameters
    ----------
    array, n
        As for :func:`strongest_tracks`. For one value per sequence a region counts as one bin.

    Returns
    -------
    pandas.DataFrame
        The strongest first. Columns: ``region``, ``chrom``, ``start``, ``end`` (0-based, half-open), ``mean`` over
        tracks, and the strongest track there: ``max``, ``track``, ``description``.
    """
    import pandas as pd

    positive_int("n", n)
    found: list[tuple[float, int, int, int, float]] = []
    for region, values in enumerate(_regions(array)):
        profile = values.mean(axis=1, dtype=np.float64)
        summits = np.flatnonzero(_is_summit(profile))
        for index in summits[np.argsort(-profile[summits], kind="stable")[:n]]:
            track = int(values[index].argmax())
            found.append((float(profile[index]), region, int(index), track, float(values[index, track])))
    found = sorted(found, key=lambda item: -item[0])[:n]
    return pd.DataFrame(
        [
            {**_place(array, region, index), "mean": mean, "max": highest, **_labels(array, track)}
            for mean, region, index, track, highest in found
        ]
    )


def _regions(array: xr.DataArray) -> Any:
    """Values ``(bins, tracks)`` of one region after the other."""
    for name in ("region", "track"):
        if name not in array.dims:
            raise ValueError(
                f"The array needs the dimensions region and track; it has {', '.join(map(str, array.dims))}."
            )
    ordered = array.transpose("region", *(("bin",) if "bin" in array.dims else ()), "track")
    for i in range(ordered.sizes["region"]):
        values = ordered.isel(region=i).to_numpy()
        yield values if values.ndim == 2 else values[None]


def _is_summit(profile: NDArray) -> NDArray[np.bool_]:
    """Bins that are higher than the one before and no lower than the one after."""
    before, after = np.r_[-np.inf, profile[:-1]], np.r_[profile[1:], -np.inf]
    return (profile > before) & (profile >= after)


def _labels(array: xr.DataArray, track: int) -> dict[str, Any]:
    name = array["track"].isel(track=track).item() if "track" in array.coords else int(track)
    known = "description" in array.coords
    return {"track": name, "description": str(array["description"].isel(track=track).item()) if known else ""}


def _place(array: xr.DataArray, region: int, index: int) -> dict[str, Any]:
    def told(name: str, default: Any) -> Any:
        return array[name].isel(region=region).item() if name in array.coords else default

    start, end = told("start", 0), told("end", 1)
    bin_size = int(array.attrs.get("bin_size") or 0)
    if "bin" in array.dims:
        size = bin_size or 1
        start, end = start + int(index) * size, start + int(index + 1) * size
    return {"region": told("region", int(region)), "chrom": told("chrom", ""), "start": start, "end": end}
