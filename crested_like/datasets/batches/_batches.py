"""Training data as Keras takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like.datasets.batches._ahead import Ahead
from crested_like.datasets.batches._augment import Augmentation
from crested_like.datasets.batches._feed import AnySource, Feed


class Batches(keras.utils.PyDataset):
    """Batches of a dataset, whatever its format, for ``model.fit`` and the like.

    A batch is a function of the seed, of ``round`` and of its number in the round: any number of workers makes the same
    ones, and a training that was stopped goes on with the same ones once ``round`` is set. With ``model.fit``, use
    :meth:`follow_epochs`, and pass ``shuffle=False``, or Keras shuffles the batches of a round once more by a generator
    of its own.

    Parameters
    ----------
    sources
        A dataset: what :func:`open_dataset` returns, or what it takes. For several species, such datasets by the name
        of the head that each trains. Their batches come in a shuffled order, and each is of one species.
    labels
        The split, or several; or these by head, where species differ.
    batch_size
        Examples of a batch.
    seed
        Of the order and of all augmentation.
    shuffle
        Whether examples come in another order in every pass over the data. Formats differ in how well they can be
        shuffled, see the ``order`` of each.
    rc
        Whether half of the examples are turned: sequence reversed and complemented, bins reversed, tracks of opposite
        strands swapped.
    max_shift
        Bases by which the sequence is moved at most, to either side, after it was turned. Targets stay. Beyond the
        stored ends there are Ns.
    per_example
        Whether strand and shift are drawn for every example, rather than once for a batch as Borzoi was trained.
    bins
        Bins of a random piece of each window; by default the whole window is used.
    flank
        Bases of the sequence beyond the bins of a piece, at each side, N beyond the stored ends. By default as many as
        a whole window has.
    mutate
        Share of the bases that are drawn anew, in [0, 1): a quarter of them stay what they are.
    steps
        Batches of a round. By default a round is one pass over the data, and its last batch may be smaller; with
        ``steps`` all batches are full and a pass goes on in the next round.
    heads
        Names of the model's heads: a source of another name is an error.
    unstranded
        Whether no track has a strand, where the track table does not say it.
    encode
        Called with the one-hot batch ``(B, L, 4)`` for what the model takes instead, such as tokens.
    workers, use_multiprocessing
        How many threads, or processes, make batches before they are asked for; with one thread they are made when they
        are. Processes start with a fresh interpreter: a script needs its ``if __name__ == "__main__":``.
    max_queue_size
        Batches that are made ahead, at most.

    Attributes
    ----------
    round
        Which round comes next, from 0. It can be set, and Keras adds one after each epoch, but also before the first.

    Raises
    ------
    DatasetError
        If a split, head or strand is unknown, a piece is longer than the windows, or species do not have one shape.

    Examples
    --------
    >>> batches = Batches("data/hg38", rc=True, max_shift=3)  # doctest: +SKIP
    >>> x, y = batches[0]  # doctest: +SKIP
    >>> x.shape, y.shape  # doctest: +SKIP
    ((1, 131072, 4), (1, 2048, 74))
    """

    def __init__(
        self,
        sources: AnySource | Mapping[str, AnySource],
        labels: str | Sequence[str] | Mapping[str, str | Sequence[str]] = "train",
        *,
        batch_size: int = 1,
        seed: int = 0,
        shuffle: bool = True,
        rc: bool = False,
        max_shift: int = 0,
        per_example: bool = True,
        bins: int | None = None,
        flank: int | None = None,
        mutate: float = 0.0,
        steps: int | None = None,
        heads: Sequence[str] | None = None,
        unstranded: bool = False,
        encode: Callable[[NDArray[np.float32]], Any] | None = None,
        workers: int = 1,
        use_multiprocessing: bool = False,
        max_queue_size: int = 10,
    ):
        # Keras' own workers drop batches at the start of a training and give out those of the round before (3.15)
        super().__init__(workers=1, use_multiprocessing=False)
        self._feed = Feed(
            sources,
            labels,
            Augmentation(rc=rc, max_shift=max_shift, mutate=mutate, bins=bins, flank=flank),
            batch_size=batch_size,
            seed=seed,
            shuffle=shuffle,
            per_example=per_example,
            steps=steps,
            heads=heads,
            unstranded=unstranded,
            encode=encode,
        )
        self._made = Ahead(self._feed, workers, processes=use_multiprocessing, most=max_queue_size)
        self.round = 0

    @property
    def heads(self) -> tuple[str, ...] | None:
        """Names of the heads that are trained, or None for a single dataset without a name."""
        return self._feed.heads

    def __len__(self) -> int:
        return len(self._feed)

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        """Batch of the present round: inputs and targets.

        Returns
        -------
        tuple
            Sequences ``(B, L, 4)``, float32, order A, C, G, T, and targets ``(B, bins, tracks)`` or ``(B, tracks)``,
            float32. For datasets by head: sequences, targets by head, which are zeros for all heads but one, and
            weights ``(B, 1)`` by head, which are 1 for that one and 0 for the others.
        """
        return self._made.batch(self.round, step)

    def examples(self, step: int) -> list[tuple[str, str, int]]:
        """Which examples a batch of the present round holds: head (empty for a single dataset), label and number."""
        return self._feed.examples(self.round, step)

    def on_epoch_end(self) -> None:
        """Go on to the next round."""
        self.round += 1

    def follow_epochs(self) -> keras.callbacks.Callback:
        """A callback for ``model.fit`` that makes the number of the epoch that of the round.

        So a training that goes on with ``initial_epoch=5`` gets the batches that the sixth epoch would have had.
        """
        return _FollowEpochs(self)


class _FollowEpochs(keras.callbacks.Callback):
    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Set the round."""
        self.batches.round = epoch
