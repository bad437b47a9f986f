"""A readout settled for one model and one window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from crested_like._errors import TrackError
from crested_like.tl._channels import check_turnable, common_table, opposite

if TYPE_CHECKING:
    import keras

    from crested_like.tl._geometry import Geometry
    from crested_like.tl.readout._readout import Readout


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundReadout:
    """What a :class:`Readout` means for one model and, on a genome, for one window.

    It takes predictions of ``channels`` alone, ``(B, bins, channels)``, or ``(B, channels)`` of a model with one value
    per sequence, and gives one number a sequence, ``(B,)``, or with ``over_tracks=None`` one a track, ``(B, T)``.
    """

    readout: Readout
    models: tuple[keras.Model, ...]
    head: str
    """Name of the model's output."""
    geometry: Geometry
    tracks: NDArray[np.intp]
    """Output channels of the readout's tracks."""
    against: NDArray[np.intp] | None
    """Output channels of the tracks of the contrast."""
    weights: NDArray[np.float32]
    """Weight of every bin, ``(bins,)``; those of a mean add up to 1, those of a maximum are 1 or 0."""
    covered: float = 1.0
    """Part of the region's or the exons' bases that lie in output bins."""

    @cached_property
    def channels(self) -> NDArray[np.intp]:
        """All output channels that are needed, in the order of the predictions' last axis."""
        if self.against is None and len(set(self.tracks.tolist())) == len(self.tracks):
            return self.tracks
        return np.unique(self.tracks if self.against is None else np.concatenate([self.tracks, self.against]))

    @property
    def is_scalar(self) -> bool:
        """Whether there is one number a sequence, rather than one a track."""
        return self.readout.over_tracks is not None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one window's prediction: ``(bins, channels)``, or ``(channels,)``."""
        bins = () if self.geometry.bin_size is None else (self.geometry.output_bins,)
        return (*bins, len(self.channels))

    def require_scalar(self, verb: str) -> None:
        """Raise a TrackError unless there is one number a sequence, as a verb needs it."""
        if not self.is_scalar:
            raise TrackError(
                f"{verb} follows one number a sequence, and this readout gives one for each of its "
                f"{len(self.tracks):,} tracks (over_tracks=None). Use Readout(..., over_tracks='mean') or 'sum'."
            )

    def of_array(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """The readout of predictions.

        Parameters
        ----------
        y
            ``(B, bins, channels)``, or ``(B, channels)`` of a model with one value per sequence.

        Returns
        -------
        numpy.ndarray
            ``(B,)``, or ``(B, tracks)`` with ``over_tracks=None``; float64.

        Raises
        ------
        ValueError
            If the shape is another, or a logarithm would be of a number below 0.
        """
        y = np.asarray(y)
        self._check_shape(y.shape)
        reduced = np.array([self._over_bins(one) for one in y]) if len(y) else np.empty((0, len(self.channels)))
        if self.readout.log:
            if (reduced <= -1).any():
                raise ValueError(
                    f"Readout(log=True) takes log2(1 + x) of values above -1; the model predicts {reduced.min():g}. "
                    f"Leave log out for a model whose outputs can be negative."
                )
            reduced = np.log2(1 + reduced)
        columns, minus = self._columns
        if not self.is_scalar:
            return reduced[:, columns] if minus is None else reduced[:, columns] - reduced[:, minus]
        return reduced @ self._mix

    def of_tensor(self, y: Any) -> Any:
        """The same of a tensor of the backend, in float32, such that gradients can be taken.

        Parameters
        ----------
        y
            ``(B, bins, channels)``, or ``(B, channels)``.

        Returns
        -------
        tensor
            ``(B,)``, or ``(B, tracks)`` with ``over_tracks=None``; float32.
        """
        self._check_shape(tuple(y.shape))
        y = ops.cast(y, "float32")
        if len(y.shape) == 3:
            if self.readout.reduce == "max":
                y = ops.max(ops.take(y, np.flatnonzero(self.weights), axis=1), axis=1)
            else:
                y = ops.einsum("bnc,n->bc", y, ops.convert_to_tensor(self.weights))
        if self.readout.log:
            y = ops.log(1 + y) / float(np.log(2))
        columns, minus = self._columns
        if not self.is_scalar:
            plus = ops.take(y, columns, axis=1)
            return plus if minus is None else plus - ops.take(y, minus, axis=1)
        return ops.einsum("bc,c->b", y, ops.convert_to_tensor(self._mix.astype(np.float32)))

    def rc(self, *, unstranded: bool = False) -> BoundReadout:
        """The same readout of the prediction for the reverse complement of the sequence.

        Its bins are turned round and its tracks are those of the opposite strand, so that a model that treats both
        strands alike gives the same number.

        Parameters
        ----------
        unstranded
            Say that no track has a strand, so that no strand pairs are needed.

        Raises
        ------
        TrackError
            If no strand pairs are known.
        GeometryError
            If the bins do not lie in the middle of the input.
        """
        check_turnable(self.geometry, "The reverse complement")
        turned = replace(self, weights=self.weights[::-1].copy())
        if unstranded:
            return turned
        pairs = opposite(common_table(self.models, self.head), "The reverse complement")
        against = None if self.against is None else pairs[self.against]
        return replace(turned, tracks=pairs[self.tracks], against=against)

    def describe(self) -> dict[str, Any]:
        """What is read out, in plain values: for the attributes of a result, or a card."""
        table = self.readout.table_of(self.models, self.head)

        def names(channels: NDArray[np.intp]) -> list[Any]:
            return channels.tolist() if table is None else table["identifier"].iloc[channels].tolist()

        told: dict[str, Any] = {"head": self.head, "tracks": names(self.tracks)}
        if self.against is not None:
            told["against"] = names(self.against)
        if self.geometry.bin_size is not None:
            told |= {"where": self.readout.where, "bins": int(np.count_nonzero(self.weights))}
            if self.readout.needs_window:
                told |= {"overlap": self.readout.overlap, "covered": round(self.covered, 6)}
            told["reduce"] = self.readout.reduce
        return {**told, "log": self.readout.log, "over_tracks": self.readout.over_tracks or "none"}

    def _check_shape(self, shape: tuple[Any, ...]) -> None:
        if len(shape) != 1 + len(self.shape) or any(
            have != want for have, want in zip(shape[1:], self.shape, strict=True) if have is not None
        ):
            raise ValueError(
                f"The readout takes predictions of shape (B, {', '.join(map(str, self.shape))}); got {tuple(shape)}. "
                f"Its channels are {self.channels[:5].tolist()}{' ...' if len(self.channels) > 5 else ''}."
            )

    def _over_bins(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """One sequence's prediction to one value a channel."""
        if y.ndim == 1:
            return y.astype(np.float64)
        counted, weights = self._counted
        y = y[counted]
        if self.readout.reduce == "max":
            return y.max(axis=0).astype(np.float64)
        return weights @ y.astype(np.float64)

    @cached_property
    def _counted(self) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        counted = np.flatnonzero(self.weights)
        weights = self.weights[counted].astype(np.float64)
        return counted, weights / weights.sum() if self.readout.reduce == "mean" else weights

    @cached_property
    def _columns(self) -> tuple[NDArray[np.intp], NDArray[np.intp] | None]:
        """Places of the tracks, and of those of the contrast, among the channels."""
        places = {channel: i for i, channel in enumerate(self.channels.tolist())}
        found = (
            None if part is None else np.array([places[c] for c in part.tolist()], np.intp)
            for part in (self.tracks, self.against)
        )
        return tuple(found)  # type: ignore[return-value]

    @cached_property
    def _mix(self) -> NDArray[np.float64]:
        """How much of each channel is in the number, ``(channels,)``."""
        mix = np.zeros(len(self.channels))
        for columns, sign in zip(self._columns, (1.0, -1.0), strict=True):
            if columns is not None:
                np.add.at(mix, columns, sign / (len(columns) if self.readout.over_tracks == "mean" else 1))
        return mix
