"""What each substitution, and each stretch of sequence, does to a readout: predictions alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like._checks import one_of, positive_int
from crested_like.genome import shuffle_dna
from crested_like.tl.attribution._part import windows_and_parts
from crested_like.tl.attribution._question import Question
from crested_like.tl.attribution._result import Layout, Unit, check_out, run, told
from crested_like.tl.readout._readout import Readout

if TYPE_CHECKING:
    import xarray as xr

#: Positions whose substitutions are one part of a run.
POSITIONS = 64
FILLS = ("dinucleotides", "bases", "N")


def ism(
    input: Any,
    model: keras.Model | Sequence[keras.Model],
    genome: Any = None,
    *,
    readout: Readout | None = None,
    window: Any = None,
    rc: bool = False,
    unstranded: bool = False,
    batch_size: int | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = True,
    overwrite: bool = False,
    progress: bool | None = None,
) -> xr.DataArray:
    """In-silico mutagenesis: what every substitution does to a readout.

    It only predicts, so it runs on every backend and for models of tokens; each position takes three predictions.

    Parameters
    ----------
    input, genome, model, readout, rc, unstranded, batch_size
        As for :func:`explain`.
    window
        Bases that are replaced, one at a time, as for :func:`explain`. Default the regions that were given, or all of
        sequences of at most 10,000 bases.
    out, resume, overwrite, progress
        As for :func:`explain`.

    Returns
    -------
    xarray.DataArray
        ``(sequence, position, base)``, float32: the readout with that base minus the readout of the sequence; 0 for the
        base that is there. Coordinates as for :func:`explain`.

    Raises
    ------
    TrackError, SequenceError, RegionError, GeometryError, ResumeError
        As for :func:`explain`, and if it is not said which bases of a long input are meant.

    Examples
    --------
    >>> import crested_like as crested
    >>> model = crested.load_model("borzoi_mini_human")
    >>> effects = crested.tl.ism("ACGT" * 32768, model, window=20)  # doctest: +SKIP
    >>> effects.shape  # doctest: +SKIP
    (1, 20, 4)
    """
    path = check_out(out, overwrite=overwrite)
    models = list(model) if isinstance(model, list | tuple) else [model]
    windows, parts = windows_and_parts(input, models[0], genome, window, of_regions=True)
    question = Question(models, readout, windows, rc=rc, unstranded=unstranded, batch_size=batch_size, verb="ism()")
    attrs = _attrs(question, models, rc, {"method": "ism"})

    def compute(unit: Unit) -> tuple[NDArray[np.float32], dict[str, list[float]]]:
        (row,) = unit.rows
        x = windows.batch(row, row + 1)[0]
        first = parts[row][0] + unit.first
        changes = _substitutions(x[first : parts[row][0] + unit.last])

        def rows(start: int, stop: int) -> NDArray[np.float32]:
            batch = np.repeat(x[None], stop - start, axis=0)
            for one, number in zip(batch, range(start, stop), strict=True):
                if number:  # the first is the sequence itself
                    position, base = changes[number - 1]
                    one[first + position] = np.eye(4, dtype=np.float32)[base]
            return batch

        values = question.values(1 + len(changes), rows, question.bound(row))
        effects = np.zeros((1, unit.last - unit.first, 4), np.float32)
        effects[0, changes[:, 0], changes[:, 1]] = values[1:] - values[0]
        return effects, {"value": [float(values[0])]}

    width = parts[0][1] - parts[0][0]
    units = [
        Unit(range(row, row + 1), first, min(first + POSITIONS, width))
        for row in range(len(windows))
        for first in range(0, width, POSITIONS)
    ]
    return run(
        *(units, compute, Layout(windows, parts, attrs), question, path),
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        doing="mutating",
    )


def _substitutions(x: NDArray[np.float32]) -> NDArray[np.intp]:
    """Position and new base of every substitution of ``(L, 4)``: ``(changes, 2)``; of N, all four."""
    there = (x == 1) & (x.sum(axis=-1, keepdims=True) == 1)
    return np.argwhere(~there)


def occlusion(
    input: Any,
    model: keras.Model | Sequence[keras.Model],
    genome: Any = None,
    *,
    readout: Readout | None = None,
    window: Any = None,
    width: int = 20,
    stride: int | None = None,
    fill: str = "dinucleotides",
    shuffles: int = 8,
    seed: int = 0,
    rc: bool = False,
    unstranded: bool = False,
    batch_size: int | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = True,
    overwrite: bool = False,
    progress: bool | None = None,
) -> xr.DataArray:
    """How much a readout loses when a stretch of sequence is shuffled or masked.

    A frame moves along the sequence; what is in it is replaced, and the loss counts for all bases in it. It only
    predicts, as :func:`ism`, and takes far fewer predictions.

    Parameters
    ----------
    input, genome, model, readout, rc, unstranded, batch_size, out, resume, overwrite, progress
        As for :func:`explain`.
    window
        Bases over which the frame moves, as for :func:`ism`.
    width, stride
        Bases of the frame, and from one place of it to the next; default half its width.
    fill
        What is put in: the same bases shuffled with their pairs kept (``"dinucleotides"``) or without (``"bases"``),
        or ``"N"``.
    shuffles, seed
        How many shuffles each loss is averaged over, and their seed.

    Returns
    -------
    xarray.DataArray
        ``(sequence, position, base)``, float32: at the base that is there, the mean loss over all frames that hold it;
        positive where the readout falls without it. Coordinates as for :func:`explain`.

    Raises
    ------
    TrackError, SequenceError, RegionError, GeometryError, ResumeError
        As for :func:`ism`.
    ValueError
        If the frame is wider than the bases over which it moves.

    Examples
    --------
    >>> import crested_like as crested
    >>> model = crested.load_model("borzoi_mini_human")
    >>> losses = crested.tl.occlusion("ACGT" * 32768, model, window=100)  # doctest: +SKIP
    """
    one_of("fill", fill, FILLS)
    width, stride = (
        positive_int("width", width),
        positive_int("stride", max(1, width // 2) if stride is None else stride),
    )
    copies = 1 if fill == "N" else positive_int("shuffles", shuffles)
    path = check_out(out, overwrite=overwrite)
    models = list(model) if isinstance(model, list | tuple) else [model]
    windows, parts = windows_and_parts(input, models[0], genome, window, of_regions=True)
    whole = parts[0][1] - parts[0][0]
    if width > whole:
        raise ValueError(f"A frame of {width:,} bases is wider than the {whole:,} over which it moves; give width=.")
    question = Question(
        models, readout, windows, rc=rc, unstranded=unstranded, batch_size=batch_size, verb="occlusion()"
    )
    told_of = {"method": "occlusion", "width": width, "stride": stride, "fill": fill, "shuffles": copies, "seed": seed}
    attrs = _attrs(question, models, rc, told_of)
    frames = [*range(0, whole - width, stride), whole - width]  # the last ends where the sequence does

    def compute(unit: Unit) -> tuple[NDArray[np.float32], dict[str, list[float]]]:
        (row,) = unit.rows
        x = windows.batch(row, row + 1)[0]
        start_of_part = parts[row][0]

        def rows(start: int, stop: int) -> NDArray[np.float32]:
            batch = np.repeat(x[None], stop - start, axis=0)
            for one, number in zip(batch, range(start, stop), strict=True):
                if number:  # the first is the sequence itself
                    frame, copy = divmod(number - 1, copies)
                    low = start_of_part + frames[frame]
                    one[low : low + width] = _filled(x[low : low + width], fill, [seed, row, frame, copy])
            return batch

        values = question.values(1 + len(frames) * copies, rows, question.bound(row))
        losses = (values[0] - values[1:]).reshape(len(frames), copies).mean(axis=1)
        total, count = np.zeros(whole), np.zeros(whole)
        for first, loss in zip(frames, losses, strict=True):
            total[first : first + width] += loss
            count[first : first + width] += 1
        mean = total / np.maximum(count, 1)
        scores = x[start_of_part : start_of_part + whole] * mean[:, None].astype(np.float32)
        return scores[None], {"value": [float(values[0])]}

    units = [Unit(range(row, row + 1), 0, whole) for row in range(len(windows))]
    return run(
        *(units, compute, Layout(windows, parts, attrs), question, path),
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        doing="occluding",
    )


def _filled(x: NDArray[np.float32], fill: str, seed: Sequence[int]) -> NDArray[np.float32]:
    if fill == "N":
        return np.zeros_like(x)
    return shuffle_dna(x, dinucleotides=fill == "dinucleotides", seed=list(seed))


def _attrs(question: Question, models: Sequence[keras.Model], rc: bool, own: dict[str, Any]) -> dict[str, Any]:
    return {**own, "readout": told(question.bound(0)), "both_strands": int(rc), "models": len(models)}
