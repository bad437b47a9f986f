"""Scores of bases for the discovery of motifs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crested_like._atomic import atomic_path

if TYPE_CHECKING:
    import xarray as xr

#: File of each array: one-hot DNA, what each base would contribute, and what the bases that are there do.
FILES = ("one_hot.npz", "hypothetical.npz", "actual.npz")


def to_modisco(attributions: xr.DataArray, out: str | os.PathLike[str]) -> dict[str, Path]:
    """Write scores of bases in the layout of tf-modisco.

    Each file holds one array, ``arr_0``, ``(N, 4, L)``, float32, order A, C, G, T. modisco-lite reads the first two:
    ``modisco motifs -s out/one_hot.npz -a out/hypothetical.npz -n 2000 -o motifs.h5``.

    Parameters
    ----------
    attributions
        From :func:`explain` with ``hypothetical=True``, or from :func:`ism`, whose effects become hypothetical scores
        when their mean over the four bases is taken off.
    out
        Folder to write to, made where there is none. Files there are replaced.

    Returns
    -------
    dict
        Paths of ``"one_hot"``, ``"hypothetical"`` and ``"actual"``.

    Raises
    ------
    ValueError
        If there are no scores for bases other than those that are there.

    Examples
    --------
    >>> import crested_like as crested
    >>> model = crested.load_model("borzoi_mini_human")
    >>> scores = crested.tl.explain("ACGT" * 32768, model, window=400, hypothetical=True)  # doctest: +SKIP
    >>> crested.tl.to_modisco(scores, "for_modisco")  # doctest: +SKIP
    """
    scores = attributions.transpose("sequence", "position", "base").sel(base=list("ACGT")).to_numpy()
    method = attributions.attrs.get("method", "")
    if method == "ism":
        scores = scores - scores.mean(axis=-1, keepdims=True)
    elif not attributions.attrs.get("hypothetical"):
        raise ValueError(
            f"tf-modisco needs what each of the four bases would contribute, and these scores"
            f"{f' ({method})' if method else ''} are of the bases that are there: use explain(..., hypothetical=True), "
            f"or ism()."
        )
    one_hot = (attributions["letter"].to_numpy()[..., None] == np.array(list("ACGT"))).astype(np.float32)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for file, array in zip(FILES, (one_hot, scores, scores * one_hot), strict=True):
        path = folder / file
        with atomic_path(path) as unfinished:
            np.savez_compressed(unfinished, np.ascontiguousarray(array.transpose(0, 2, 1), np.float32))
        found[path.stem] = path
    return found
