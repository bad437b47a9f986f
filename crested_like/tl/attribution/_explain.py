"""What each base contributes to a readout, by gradients."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like.tl.attribution._methods import Method
from crested_like.tl.attribution._part import windows_and_parts
from crested_like.tl.attribution._question import Question
from crested_like.tl.attribution._result import Layout, Unit, check_out, run, told
from crested_like.tl.readout._readout import Readout

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger(__name__)

#: Bytes of windows of one readout that are made, and differentiated, at a time.
_PIECE = 1 << 24


def explain(
    input: Any,
    model: keras.Model | Sequence[keras.Model],
    genome: Any = None,
    *,
    readout: Readout | None = None,
    method: str = "input_x_gradient",
    window: Any = None,
    hypothetical: bool = False,
    correct: bool | None = None,
    rc: bool = False,
    unstranded: bool = False,
    steps: int = 64,
    baseline: str | NDArray = "zeros",
    shuffles: int = 10,
    samples: int = 16,
    noise: float = 0.1,
    tolerance: float = 0.01,
    seed: int = 0,
    batch_size: int | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = True,
    overwrite: bool = False,
    progress: bool | None = None,
) -> xr.DataArray:
    """What each base contributes to a readout, by the model's gradient.

    Memory is bounded: sequences go through in batches that fit, and where not even one fits, the network is
    differentiated stretch by stretch, which computes each twice.

    Parameters
    ----------
    input, genome
        As for :func:`predict`.
    model
        A Keras model, or several of one architecture, of which the mean is explained.
    readout
        The one number that is explained; default the sum over all bins, averaged over all tracks.
    method
        ``"input_x_gradient"``: the gradient at the base that is there. ``"saliency"``: its absolute value.
        ``"integrated_gradients"``: the mean gradient on the way from baselines, times the way (Sundararajan et al.
        2017). ``"smooth_grad"``: as the first, averaged over noisy copies of the sequence (Smilkov et al. 2017).
    window
        Bases that are told of: so many in the middle, ``(start, stop)`` within the input (0-based, half-open), or a
        region of the genome. Default all of the input.
    hypothetical
        Give what each of the four bases would contribute; otherwise the others than that of the sequence are 0.
    correct
        Take the mean over the four bases off the gradient at each position: no sequence can go that way (Majdandzic et
        al. 2023). Default for all methods but integrated gradients, which would no longer add up.
    rc, unstranded
        Average over both strands, as for :func:`predict`; the readout's tracks and bins are turned round with them.
    steps
        Points on the way of integrated gradients.
    baseline
        Where the way begins: ``"zeros"`` (N), ``"uniform"`` (a quarter of each base), ``"shuffled"`` (``shuffles``
        sequences with the same pairs of neighbours), or arrays ``(L, 4)`` or ``(K, L, 4)``.
    shuffles
        How many shuffled baselines.
    samples, noise
        Noisy copies of ``"smooth_grad"``, and the standard deviation of their noise.
    tolerance
        Gap of integrated gradients (see below) above which there is a warning.
    seed
        Of shuffles and noise. The result does not depend on how sequences are batched.
    batch_size
        Sequences at a time; by default as many as fit safely into memory.
    out
        File to write: ``.zarr``, ``.h5`` or ``.npz``. An interrupted run to the same file goes on.
    resume, overwrite
        Whether to go on with an interrupted run, and whether to replace a finished one.
    progress
        Show a progress bar; by default for several parts in a terminal.

    Returns
    -------
    xarray.DataArray
        ``(sequence, position, base)``, float32, bases A, C, G, T. Coordinates: ``chrom``, ``start``, ``end`` (0-based,
        half-open, bp), ``letter`` at each position, ``value``, the readout of each sequence, and for integrated
        gradients ``gap``: the part of the readout's difference from its baselines that contributions do not add up to.
        Its largest is the attribute ``completeness_gap``.

    Raises
    ------
    GradientError
        If the backend takes no gradients, or the model reads no one-hot DNA: :func:`ism` needs none.
    TrackError
        If the readout gives several numbers, or ``rc`` needs strand pairs that nobody gave.
    SequenceError, RegionError, GeometryError
        As for :func:`predict`, and if ``window`` is no part of the input.
    ResumeError
        If the interrupted run had other settings.

    Examples
    --------
    >>> import crested_like as crested
    >>> model = crested.load_model("borzoi_mini_human")
    >>> readout = crested.tl.Readout(range(8), bins=range(1020, 1028))
    >>> scores = crested.tl.explain("ACGT" * 32768, model, readout=readout, window=200)  # doctest: +SKIP
    >>> scores.shape  # doctest: +SKIP
    (1, 200, 4)
    """
    settings = Method(
        name=method,
        correct=correct,
        steps=steps,
        baseline=baseline,
        shuffles=shuffles,
        samples=samples,
        noise=noise,
        seed=seed,
    )
    path = check_out(out, overwrite=overwrite)
    models = list(model) if isinstance(model, list | tuple) else [model]
    windows, parts = windows_and_parts(input, models[0], genome, window, of_regions=False)
    question = Question(models, readout, windows, rc=rc, unstranded=unstranded, batch_size=batch_size)
    question.check_differentiable()
    attrs = {
        **settings.describe(),
        "hypothetical": int(hypothetical),
        "readout": told(question.bound(0)),
        "both_strands": int(rc),
        "models": len(models),
    }

    def compute(unit: Unit) -> tuple[NDArray[np.float32], dict[str, list[float]]]:
        x = windows.batch(unit.rows.start, unit.rows.stop)
        found = settings.scores(question, x, unit.rows, question.bound(unit.rows.start))
        scores = []
        for row, one, own in zip(unit.rows, x, found, strict=True):
            start, stop = parts[row]
            kept = own.every_base[start:stop]
            scores.append(kept if hypothetical else kept * one[start:stop])
        numbers = {"value": [own.value for own in found]}
        gaps = [own.gap for own in found if own.gap is not None]
        if gaps:
            numbers["gap"] = gaps
        return np.stack(scores), numbers

    together = 1 if question.readout.needs_window else max(1, _PIECE // (16 * windows.length))
    width = parts[0][1] - parts[0][0]
    units = [
        Unit(range(start, min(start + together, len(windows))), 0, width) for start in range(0, len(windows), together)
    ]
    layout = Layout(windows, parts, attrs)
    array = run(
        *(units, compute, layout, question, path),
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        doing="explaining",
    )
    _warn_of_gaps(array, tolerance)
    return array


def _warn_of_gaps(array: xr.DataArray, tolerance: float) -> None:
    if "gap" not in array.coords:
        return
    gaps = array["gap"].to_numpy()
    wide = np.flatnonzero(gaps > tolerance)
    if len(wide):
        worst = int(gaps.argmax())
        log.warning(
            "Integrated gradients of %s of %s sequences miss more than %.1f %% of what they should add up to; the "
            "worst is %r with %.1f %%. Use more steps than %s.",
            *(f"{len(wide):,}", f"{len(gaps):,}", 100 * tolerance, str(array["sequence"].to_numpy()[worst])),
            *(100 * gaps[worst], array.attrs["steps"]),
        )
