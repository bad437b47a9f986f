"""A network over a long sequence, a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from crested_like import _graph
from crested_like._checks import int_at_least, positive_int
from crested_like.kernels.loops import one_by_one
from crested_like.layers._register import serializable
from crested_like.layers.cook_toom import transformed_once


@serializable("Blockwise")
class Blockwise(keras.layers.Layer):
    """Positions of a local network's output, a block of them at a time, from no more of the input than they need.

    ``(B, L, C) -> (B, L / step, D)``: only one block's activations exist at a time. The result is that of the network
    over the whole length, as long as ``margin`` is no less than its reach.

    Parameters
    ----------
    network
        A model of one input and one output, whose input has the length of a block with its margins,
        ``step * (keep + 2 * margin)``.
    step
        Positions of the input that lie in one of the output.
    keep
        Positions of the output in a block. Where they do not divide the length, the last block computes some of the
        one before again.
    margin
        Positions of the output that are computed on either side of a block and thrown away; blocks at the ends of the
        sequence have theirs on the other side.
    """

    def __init__(self, network: keras.Model, step: int, keep: int, margin: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network = network
        self.step = positive_int("step", step)
        self.keep = positive_int("keep", keep)
        self.margin = int_at_least("margin", margin, 0)

    def build(self, input_shape: tuple) -> None:
        self.compute_output_shape(input_shape)
        super().build(input_shape)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        length = input_shape[1]
        if length is None or length % self.step or length < self.network.inputs[0].shape[1]:
            raise ValueError(
                f"Blockwise '{self.name}' needs a multiple of {self.step} positions, at least "
                f"{self.network.inputs[0].shape[1]}; got {length}."
            )
        return (input_shape[0], length // self.step, self.network.outputs[0].shape[-1])

    def call(self, x: Any) -> Any:
        step, keep, size = self.step, self.keep, self.network.inputs[0].shape[1]
        length = x.shape[1]
        count = length // step
        wanted = np.minimum(np.arange(0, count, keep), count - keep)
        starts = np.clip(step * (wanted - self.margin), 0, length - size)
        with transformed_once(self.network.layers):
            return _joined(self._block, x, starts, wanted - starts // step, count)

    def _block(self, x: Any, start: Any, offset: Any) -> Any:
        """Outputs from an offset on, of the network over the input from a start on."""
        slab = _some(x, start, self.network.inputs[0].shape[1])
        return _some(_through(self.network, slab), offset, self.keep)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "step": self.step,
            "keep": self.keep,
            "margin": self.margin,
        }

    @classmethod
    def from_config(cls, config: dict) -> Blockwise:
        """Make the layer, and the network inside it."""
        return cls(**{**config, "network": keras.saving.deserialize_keras_object(config["network"])})


def _some(x: Any, start: Any, count: int) -> Any:
    """Positions from a start on, which may be known in the loop only."""
    if isinstance(start, int | np.integer):
        return x[:, int(start) : int(start) + count]
    shape = ops.shape(x)
    return ops.slice(x, (0, start, 0), (shape[0], count, shape[2]))


def _through(network: keras.Model, x: Any) -> Any:
    """A network's output; PyTorch, which compiles nothing, lets go of each tensor after its last use."""
    if keras.backend.backend() == "torch":
        return _graph.computed(network.inputs, network.outputs, [x])[0]
    return network(x, training=False)


def _joined(
    block: Callable[[Any, Any, Any], Any], x: Any, starts: Sequence[int], offsets: Sequence[int], count: int
) -> Any:
    """All blocks behind each other: in a loop of the compiler's where there is one that is compiled once.

    So many positions in all: of the last block, those that the others leave over.
    """
    if keras.backend.backend() in ("jax", "tensorflow"):
        places = np.stack([starts, offsets], axis=1).astype(np.int32)
        found = one_by_one(lambda place: block(x, place[0], place[1]), places)
        again = len(starts) * found.shape[2] - count
        joined = ops.reshape(ops.transpose(found, (1, 0, 2, 3)), (-1, count + again, found.shape[3]))
        if not again:
            return joined
        before = (len(starts) - 1) * found.shape[2]
        return ops.concatenate([joined[:, :before], joined[:, before + again :]], axis=1)
    blocks = (block(x, *places) for places in zip(starts, offsets, strict=True))
    if keras.backend.backend() == "torch" and not x.requires_grad:
        return _written(blocks, count)
    *whole, last = blocks
    return ops.concatenate([*whole, last[:, (len(whole) + 1) * last.shape[1] - count :]], axis=1)


def _written(blocks: Iterable[Any], count: int) -> Any:
    """For PyTorch, which keeps what it is to join: every block goes to its place as soon as it is there."""
    out, first = None, 0
    for block in blocks:
        if out is None:
            out = block.new_empty(len(block), count, *block.shape[2:])
        first = min(first, count - block.shape[1])
        out[:, first : first + block.shape[1]] = block
        first += block.shape[1]
    return out
