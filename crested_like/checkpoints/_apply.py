"""Puts the arrays of a file into a model: every array must be used, every weight filled, every shape right.

A format says which array goes where, as :class:`Pair` objects by name; how it finds that out (a table of names, or the
order of layers) is its own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crested_like import _graph
from crested_like._errors import CheckpointError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Pair:
    """An array of the file and the weight it becomes."""

    source: str
    target: str
    """Path of the weight in the model, such as ``stem_conv/kernel``."""
    change: Callable[[np.ndarray], np.ndarray] | None = None
    """What is done to the array on the way, such as a transposition."""


def fill(
    model: keras.Model, arrays: Mapping[str, Any], pairs: Iterable[Pair], *, source: str, unused: Iterable[str] = ()
) -> None:
    """Set all weights of a model from the arrays of a file.

    Arrays are read one by one, so that no second copy of the file is ever in memory.

    Parameters
    ----------
    model
        The model to fill; left as it was if anything is wrong.
    arrays
        Anything with a ``shape`` and a ``dtype`` that NumPy can read, by name.
    pairs
        Which array goes where. A pair that names neither an array nor a weight is no error of its own: it leaves
        something unused or unset.
    source
        The file, for messages.
    unused
        Names of arrays that are known to have no place in the model.

    Raises
    ------
    CheckpointError
        With a list of all arrays of a wrong shape, left over or given twice, and all weights left unset.
    """
    weights = {weight.path: weight for weight in model.weights}
    pairs = [pair for pair in pairs if pair.source in arrays and pair.target in weights]
    complaints = [
        *_wrong_shapes(pairs, arrays, weights),
        *_listed("used twice", _repeated(pair.source for pair in pairs)),
        *_listed("set twice", _repeated(pair.target for pair in pairs)),
        *(
            f"unused: {name} {tuple(arrays[name].shape)}"
            for name in sorted(set(arrays) - {pair.source for pair in pairs} - set(unused))
        ),
        *(
            f"unset: {name} {tuple(weights[name].shape)}"
            for name in weights
            if name not in {pair.target for pair in pairs}
        ),
    ]
    if complaints:
        raise CheckpointError(
            f"{source} does not fit the network {model.name!r} that it should fill:"
            + "".join(f"\n- {complaint}" for complaint in complaints)
            + "\nIs this the right architecture or parameter file for these weights?"
        )
    for pair in pairs:
        array = np.asarray(arrays[pair.source])
        weights[pair.target].assign(pair.change(array) if pair.change else array)


def _wrong_shapes(pairs: Iterable[Pair], arrays: Mapping[str, Any], weights: Mapping[str, Any]) -> Iterable[str]:
    for pair in pairs:
        shape, wanted = tuple(arrays[pair.source].shape), tuple(weights[pair.target].shape)
        note = ""
        if pair.change:
            try:  # on a stand-in of no size, so that nothing is read yet
                changed = pair.change(np.broadcast_to(np.float32(0), shape)).shape
            except ValueError as error:
                yield f"wrong shape: {pair.source} {shape} for {pair.target} {wanted}: {error}"
                continue
            note, shape = f" as {changed}", changed
        if shape != wanted:
            yield f"wrong shape: {pair.source} {tuple(arrays[pair.source].shape)}{note} for {pair.target} {wanted}"


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]


def _listed(what: str, names: Iterable[str]) -> list[str]:
    return [f"{what}: {name}" for name in names]


def layers_in_order(model: keras.Model) -> list[keras.layers.Layer]:
    """Layers of a functional model in the order in which a builder makes them.

    Before each layer come its inputs, the first of them first: main path, then skip connection; block input, then
    residual branch. ``model.layers`` goes by distance from the output instead, which depends on the length of branches.
    """
    found = {id(step.layer): step.layer for step in _graph.steps(model.inputs, model.outputs)}
    return [layer for layer in found.values() if hasattr(layer, "weights")]
