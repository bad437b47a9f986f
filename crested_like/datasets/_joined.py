"""Several datasets of other splits as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from crested_like._errors import DatasetError
from crested_like.datasets._source import Source, as_labels, check_label

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


class Joined:
    """Datasets of the same layout with a split each, such as one text file a split, as one dataset.

    Parameters
    ----------
    sources
        The datasets by what to call them in an error.

    Raises
    ------
    DatasetError
        If two have the same split, or other lengths or tracks.
    """

    def __init__(self, sources: dict[str, Source]):
        first = next(iter(sources))
        self.layout = sources[first].layout
        self._home: dict[str, Source] = {}
        for name, source in sources.items():
            facts, tracks = self.layout.facts(), self.layout.tracks["identifier"]
            if source.layout.facts() != facts or not tracks.equals(source.layout.tracks["identifier"]):
                raise DatasetError(f"{name} and {first} have other lengths or tracks, so they are not one dataset.")
            for label in source.labels:
                if label in self._home:
                    raise DatasetError(f"{name} has the split {label!r}, and so has another file beside it.")
                self._home[label] = source
        self.labels = tuple(self._home)

    def windows(self, label: str) -> pd.DataFrame:
        """Where the examples of a split lie, in their order."""
        return self._of(label).windows(label)

    def count(self, label: str) -> int:
        """How many examples a split has."""
        return self._of(label).count(label)

    def read(self, label: str, index: int) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """One example: index codes ``(L,)`` and targets ``(bins, tracks)``."""
        return self._of(label).read(label, index)

    def order(self, labels: str | Sequence[str], rng: np.random.Generator) -> NDArray[np.intp]:
        """A shuffled order of the examples of one or several splits: positions in them, put one after the other."""
        return rng.permutation(sum(map(self.count, as_labels(labels))))

    def _of(self, label: str) -> Source:
        return self._home[check_label(label, self.labels, "The dataset")]
