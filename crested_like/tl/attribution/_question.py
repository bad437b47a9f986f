"""A readout that is asked of models about windows: its values, and its gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from crested_like._checks import positive_int
from crested_like.genome import reverse_complement_one_hot
from crested_like.tl._heads import reduced
from crested_like.tl._inputs import RegionWindows, Windows
from crested_like.tl._memory import LARGEST_BATCH, batch_size_for
from crested_like.tl._predict import heads_of
from crested_like.tl._tokens import encoder
from crested_like.tl.attribution._gradients import check_differentiable, gradients
from crested_like.tl.readout._bound import BoundReadout
from crested_like.tl.readout._readout import Readout
from crested_like.tl.rewriting._reuse import Reuse

#: Rows ``start`` to ``stop - 1`` of what is to be predicted: ``(stop - start, L, 4)``.
Rows = Callable[[int, int], NDArray[np.float32]]


class Question:
    """What is asked of some models about some windows, settled and checked once.

    Parameters
    ----------
    models
        One or several models of the same geometry; the mean is taken.
    readout
        The number that is asked for; default the sum over all bins, averaged over all tracks.
    windows
        Inputs of the models.
    rc, unstranded
        Average over both strands, and whether no track has one, as for :func:`crested_like.tl.predict`.
    batch_size
        Sequences at a time.
    verb
        Who asks, for messages.
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        readout: Readout | None,
        windows: Windows,
        *,
        rc: bool = False,
        unstranded: bool = False,
        batch_size: int | None = None,
        verb: str = "explain()",
    ) -> None:
        self.models, self.windows = list(models), windows
        self.readout = Readout() if readout is None else readout
        self._rc, self._unstranded = rc, unstranded
        self._batch_size = None if batch_size is None else positive_int("batch_size", batch_size)
        heads_of(self.models, self.readout.head)
        count = len(windows) if self.readout.needs_window else 1
        self._bound = [self._bind(row) for row in range(count)]  # all, so that what is wrong is told before any work
        self._bound[0].require_scalar(verb)
        views = [view.channels for _, view in self._views(self._bound[0])]
        channels = views[0] if len(views) == 1 else np.unique(np.concatenate(views))
        parts = [reduced(model, self._bound[0].head, channels) for model in self.models]
        self._networks = [
            _Network(network, channels if rest is None else np.arange(network.output_shape[-1]), encoder(model))
            for (network, rest), model in zip(parts, self.models, strict=True)
        ]

    @property
    def networks(self) -> list[keras.Model]:
        """The networks that are computed."""
        return [network.model for network in self._networks]

    def bound(self, row: int) -> BoundReadout:
        """The readout for one of the windows."""
        return self._bound[row if self.readout.needs_window else 0]

    def check_differentiable(self) -> None:
        """Raise a GradientError where no gradient can be taken."""
        for model in self.models:
            check_differentiable(model)

    def values(self, count: int, rows: Rows, bound: BoundReadout) -> NDArray[np.float64]:
        """The readout of some sequences, ``(count,)``."""
        size = min(self._batch_size or batch_size_for(self.networks, LARGEST_BATCH), count)
        found = np.empty(count)
        reuse: dict[tuple[bool, int], Reuse] = {}
        for start in range(0, count, size):
            stop = min(start + size, count)
            batch = rows(start, stop)
            if stop - start < size:  # a batch of another size would be compiled anew
                batch = np.concatenate([batch, np.repeat(batch[-1:], size - (stop - start), axis=0)])
            found[start:stop] = self._values(batch, bound, reuse)[: stop - start]
        return found

    def _values(
        self, batch: NDArray[np.float32], bound: BoundReadout, reuse: dict[tuple[bool, int], Reuse]
    ) -> NDArray[np.float64]:
        total = np.zeros(len(batch))
        views = self._views(bound)
        for reverse, view in views:
            x = reverse_complement_one_hot(batch) if reverse else batch
            for number, network in enumerate(self._networks):
                compute = reuse.setdefault((reverse, number), Reuse(network.model))
                y = compute(network.encode(x))
                total += view.of_array(y[..., network.columns_of(view)])
        return total / (len(views) * len(self._networks))

    def gradients(self, x: NDArray[np.float32], bound: BoundReadout) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """The readout of sequences ``(N, L, 4)`` and its gradient: ``(N,)`` and ``(N, L, 4)``."""
        values, total = np.zeros(len(x)), np.zeros(x.shape, np.float32)
        views = self._views(bound)
        for reverse, view in views:
            given = reverse_complement_one_hot(x) if reverse else x
            for network in self._networks:
                reading = _Reading(view, network.columns_of(view))
                own, found = gradients(
                    network.model, given, reading, constants=[view.weights], batch_size=self._batch_size
                )
                values += own
                total += found[:, ::-1, ::-1] if reverse else found
        count = len(views) * len(self._networks)
        return values / count, total / np.float32(count)

    def _bind(self, row: int) -> BoundReadout:
        window = self.windows.regions[row] if isinstance(self.windows, RegionWindows) else None
        return self.readout.bind(self.models, window)

    def _views(self, bound: BoundReadout) -> list[tuple[bool, BoundReadout]]:
        turned = [(True, bound.rc(unstranded=self._unstranded))] if self._rc else []
        return [(False, bound), *turned]


@dataclass(frozen=True, eq=False)
class _Network:
    """A network with the channels it gives, and what turns DNA into its input."""

    model: keras.Model
    channels: NDArray[np.intp]
    encode: Callable[[NDArray[np.float32]], NDArray]

    def columns_of(self, bound: BoundReadout) -> NDArray[np.intp]:
        """Places of a readout's channels in the output."""
        places = {channel: i for i, channel in enumerate(self.channels.tolist())}
        return np.array([places[channel] for channel in bound.channels.tolist()], np.intp)


@dataclass(frozen=True, eq=False)
class _Reading:
    """A readout as a function of the output tensor and the weights of its bins; equal where the program is the same."""

    bound: BoundReadout
    columns: NDArray[np.intp]
    key: tuple = field(init=False)

    def __post_init__(self) -> None:
        bound = self.bound
        parts = (bound.tracks, bound.against, self.columns, bound.weights if self._by_number else None)
        key = (id(bound.readout), bound.head, *(None if part is None else part.tobytes() for part in parts))
        object.__setattr__(self, "key", key)

    @property
    def _by_number(self) -> bool:
        """Whether bins are chosen in the program, rather than weighed."""
        return self.bound.readout.reduce == "max"

    def __call__(self, y: Any, weights: Any) -> Any:
        if not np.array_equal(self.columns, np.arange(y.shape[-1])):
            y = ops.take(y, self.columns, axis=-1)
        return (self.bound if self._by_number else replace(self.bound, weights=weights)).of_tensor(y)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reading) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)
