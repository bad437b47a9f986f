"""What a run over many regions takes, before anything is computed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from crested_like._checks import positive_int
from crested_like._errors import TrackError
from crested_like.tl._memory import OVERHEAD, activation_bytes
from crested_like.tl._predict import Predictor, heads_of
from crested_like.tl.regions._rows import plan

if TYPE_CHECKING:
    import keras

    from crested_like.genome import Genome

#: Predictions that are timed, after one that compiles.
TIMED = 3
HOUR = 3_600


@dataclass(frozen=True)
class RunPlan:
    """What a run takes.

    Attributes
    ----------
    regions, windows
        Regions asked for, and windows of the model's input length that cover them.
    passes
        Times that a window goes through a network: strands, shifts and models.
    bins, tracks
        Values of a window's result.
    result_bytes
        Size of the whole result, uncompressed.
    worker_bytes
        Memory that one worker needs, about: weights, and the activations of one window.
    workers
        How many there are.
    seconds_per_window
        Of one worker, for all passes; None if nobody said or measured it.
    price
        Of an hour of one worker, in any currency.
    """

    regions: int
    windows: int
    passes: int
    bins: int
    tracks: int
    result_bytes: int
    worker_bytes: int
    workers: int = 1
    seconds_per_window: float | None = None
    price: float | None = None

    @property
    def bytes_per_window(self) -> int:
        """Of the result, in single precision."""
        return 4 * self.bins * self.tracks

    @property
    def windows_per_hour(self) -> float | None:
        """Windows that one worker computes in an hour."""
        return None if self.seconds_per_window is None else HOUR / self.seconds_per_window

    @property
    def worker_hours(self) -> float | None:
        """Hours of all workers together."""
        return None if self.seconds_per_window is None else self.windows * self.seconds_per_window / HOUR

    @property
    def hours(self) -> float | None:
        """Hours until the last of the workers, which share the windows evenly, is done."""
        if self.seconds_per_window is None:
            return None
        return -(-self.windows // self.workers) * self.seconds_per_window / HOUR

    @property
    def cost(self) -> float | None:
        """Price of all hours."""
        return None if self.worker_hours is None or self.price is None else self.worker_hours * self.price


def plan_regions(
    regions: Any,
    model: keras.Model | Sequence[keras.Model],
    genome: Genome | str | None = None,
    *,
    head: str | None = None,
    tracks: Any = None,
    rc: bool = False,
    shifts: Sequence[int] = (0,),
    unstranded: bool = False,
    tile: bool = True,
    kept_bins: int | None = None,
    workers: int = 1,
    seconds_per_window: float | None = None,
    measure: bool = False,
    price: float | None = None,
) -> RunPlan:
    """Say what :func:`predict_regions` would take with the same arguments, on one machine or on many.

    Parameters
    ----------
    regions, model, genome, head, tracks, rc, shifts, unstranded, tile, kept_bins
        As for :func:`predict_regions`.
    workers
        Machines or cards that share the windows.
    seconds_per_window
        What one of them takes for a window, with all strands, shifts and models.
    measure
        Measure that on this machine instead: the median of some predictions, after one that compiles.
    price
        Of an hour of one worker.

    Returns
    -------
    RunPlan
        Windows, bytes, memory, and where the time of a window is known hours and cost.

    Raises
    ------
    ValueError
        If the time or the price is not positive, or the time is both given and to be measured.
    RegionError, TrackError, GeometryError
        As for :func:`predict_regions`.

    Examples
    --------
    >>> import crested_like as crested
    >>> model = crested.load_model("borzoi_mini_human")
    >>> found = crested.tl.plan_regions("all", model, "hg38.fa", workers=8, seconds_per_window=0.2)  # doctest: +SKIP
    >>> found.windows, found.hours  # doctest: +SKIP
    """
    workers = positive_int("workers", workers)
    for name, value in (("seconds_per_window", seconds_per_window), ("price", price)):
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{name} must be a number above 0; got {value!r}.")
    if measure and seconds_per_window is not None:
        raise ValueError(f"Give either measure=True or seconds_per_window={seconds_per_window}, not both.")
    models = list(model) if isinstance(model, list | tuple) else [model]
    heads = heads_of(models, head)
    if len(heads) > 1:
        raise TrackError(f"The model has the heads {', '.join(map(repr, heads))}: pick one with head=.")
    predictor = Predictor(models, heads[0], tracks=tracks, rc=rc, shifts=shifts, unstranded=unstranded)
    rows, windows = plan(regions, predictor.geometry, genome, tile=tile, kept_bins=kept_bins)
    if measure:
        seconds_per_window = _measured(predictor)
    return RunPlan(
        regions=len(rows.labels),
        windows=len(windows),
        passes=len(predictor.views) * len(models),
        bins=rows.kept,
        tracks=len(predictor.tracks),
        result_bytes=4 * int(rows.bins.sum()) * len(predictor.tracks),
        worker_bytes=_worker_bytes(predictor),
        workers=workers,
        seconds_per_window=seconds_per_window,
        price=price,
    )


def _worker_bytes(predictor: Predictor) -> int:
    weights = {id(weight): weight for model in predictor.models for weight in model.weights}
    held = sum(int(np.prod(weight.shape)) * np.dtype(_size_of(weight.dtype)).itemsize for weight in weights.values())
    return held + int(OVERHEAD * max(activation_bytes(model) for model in predictor.models))


def _size_of(dtype: str) -> str:
    return "float16" if dtype == "bfloat16" else dtype  # NumPy has none; as many bytes


def _measured(predictor: Predictor) -> float:
    """Median seconds of one window of random DNA."""
    rng = np.random.default_rng(0)
    window = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (1, predictor.geometry.input_length))]
    seconds = []
    for _ in range(TIMED + 1):
        start = time.perf_counter()
        predictor(window)
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:])
