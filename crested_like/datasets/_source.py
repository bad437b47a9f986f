"""What a container of training data must offer to be trained on, and orders that it reads fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from crested_like._checks import did_you_mean
from crested_like._errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

    from crested_like.datasets._layout import Layout


@runtime_checkable
class Source(Protocol):
    """Examples by label and number, whatever holds them.

    Attributes
    ----------
    layout
        What all examples have in common.
    labels
        The splits, such as train, valid and test, or fold0, fold1, ...
    """

    layout: Layout
    labels: tuple[str, ...]

    def windows(self, label: str) -> pd.DataFrame:
        """Where the examples of a split lie, in their order: ``chrom``, ``start``, ``end`` and more."""

    def count(self, label: str) -> int:
        """How many examples a split has."""

    def read(self, label: str, index: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """One example: index codes ``(L,)``, 0 to 4 for A, C, G, T, N, and targets ``(bins, tracks)``, or ``(tracks,)``
        where an example has one value a track. May be called by several threads; what it returns is not changed.
        """  # noqa: D205 - one sentence that does not fit a line

    def order(self, labels: str | Sequence[str], rng: np.random.Generator) -> NDArray[np.intp]:
        """A shuffled order of the examples of one or several splits in which this container is read fast: positions
        in the splits' examples put one after the other.
        """  # noqa: D205 - one sentence that does not fit a line


def check_label(label: str, labels: Sequence[str], where: object) -> str:
    """Return ``label`` if it is one of ``labels``.

    Raises
    ------
    DatasetError
        If it is not.
    """
    if label not in labels:
        raise DatasetError(f"{where} has no split {label!r}, only {', '.join(labels)}.{did_you_mean(label, labels)}")
    return label


def as_labels(labels: str | Sequence[str]) -> tuple[str, ...]:
    """One label, or several, as a tuple."""
    return (labels,) if isinstance(labels, str) else tuple(labels)


def merged(runs: Sequence[int], lanes: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """A shuffled order of things that lie in runs, in which each run is gone through from its start to its end.

    The runs are shuffled and dealt out to lanes, each lane goes through its runs one by one, and whose turn it is, is
    drawn: so things of up to ``lanes`` runs are mixed, and no more runs than that are under way at once.

    Parameters
    ----------
    runs
        Lengths of the runs. Thing 0 is the first of the first run.
    lanes
        Runs to mix.

    Returns
    -------
    numpy.ndarray
        A permutation of ``sum(runs)``.
    """
    starts = np.cumsum([0, *runs])
    dealt: list[list[NDArray[np.intp]]] = [[] for _ in range(lanes)]
    for place, run in enumerate(rng.permutation(len(runs))):
        dealt[place % lanes].append(np.arange(starts[run], starts[run + 1]))
    used = [np.concatenate(lane) for lane in dealt if lane]
    turns = rng.permutation(np.repeat(np.arange(len(used)), [len(lane) for lane in used]))
    order = np.empty(len(turns), dtype=np.intp)
    for number, lane in enumerate(used):
        order[turns == number] = lane
    return order
