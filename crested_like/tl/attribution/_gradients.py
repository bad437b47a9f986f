"""Gradients of one number a sequence with respect to one-hot DNA, on the backends that take gradients.

A network is differentiated at once where its activations fit into memory, else stretch by stretch: forward only what
stretches hand on to each other is kept, and backward each is computed again. The bound then holds on every backend,
whatever its compiler makes of a graph.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from crested_like import _graph
from crested_like._errors import GradientError
from crested_like.tl._stretches import Stretch, stretches
from crested_like.tl.attribution._cost import Plan, gradient_plan

#: Takes predictions, and constants, to one number a sequence, ``(B,)``; made of ``keras.ops``.
Readable = Callable[..., Any]
Tensors = Sequence[Any]
#: Outputs of a stretch, and for cotangents of these, outputs and cotangents of its inputs.
Stage = tuple[Callable[[Tensors, Tensors], list[Any]], Callable[[Tensors, Tensors, Tensors], tuple[list, list]]]

#: Compiled readouts that a network keeps.
_KEPT_READOUTS = 4


def gradients(
    network: keras.Model,
    x: NDArray[np.float32],
    of: Readable,
    *,
    constants: Sequence[NDArray] = (),
    batch_size: int | None = None,
    staged: bool | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One number a sequence, and its gradient with respect to each base.

    Parameters
    ----------
    network
        A functional model of one input, ``(B, L, 4)``, and one output.
    x
        Sequences ``(N, L, 4)``, order A, C, G, T.
    of
        Function of the output tensor, and of ``constants``, that gives ``(B,)``. What is equal, and has an equal hash,
        is compiled once.
    constants
        Arrays that ``of`` takes, and that may change from call to call without a new compilation.
    batch_size
        Sequences at a time; default as many as fit safely into memory.
    staged
        Compute stretch by stretch; default where one sequence would not fit safely into memory otherwise.

    Returns
    -------
    tuple of numpy.ndarray
        Values ``(N,)`` and gradients ``(N, L, 4)``, float32.

    Raises
    ------
    GradientError
        If the backend takes no gradients, or the network reads no one-hot DNA.
    """
    check_differentiable(network)
    plan = _plan_of(network, len(x), batch_size, staged)
    chain = _chain_of(network, plan.staged)
    values, found = np.empty(len(x), np.float32), np.empty(x.shape, np.float32)
    for start in range(0, len(x), plan.batch_size):
        batch = np.asarray(x[start : start + plan.batch_size], np.float32)
        stop, missing = start + len(batch), plan.batch_size - len(batch)
        if missing:  # a batch of another size would be compiled anew
            batch = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
        value, gradient = chain.pull(batch, of, constants)
        values[start:stop], found[start:stop] = value[: stop - start], gradient[: stop - start]
    return values, found


def check_differentiable(network: keras.Model) -> None:
    """Raise a GradientError where no gradient can be taken."""
    _graph.require_functional(network)
    backend = keras.backend.backend()
    if backend not in _STAGES:
        raise GradientError(
            f"Keras with {backend} takes no gradients. Use the backend tensorflow, jax or torch (KERAS_BACKEND), or a "
            f"method that only predicts: crested_like.tl.ism, or crested_like.tl.occlusion."
        )
    shape = network.inputs[0].shape
    if len(shape) != 3 or shape[-1] != 4:
        raise GradientError(
            f"Model {network.name!r} reads no one-hot DNA (B, L, 4), so it has no gradient with respect to bases. Use "
            f"a method that only predicts: crested_like.tl.ism, or crested_like.tl.occlusion."
        )


class _Chain:
    """A network as stretches that are differentiated one after the other; the last one ends in the readout."""

    def __init__(self, network: keras.Model, staged: bool) -> None:
        self.symbols: list[Stretch] = stretches(network) if staged else [([network.inputs[0]], [network.outputs[0]])]
        self.entrance, self.exit = id(network.inputs[0]), id(network.outputs[0])
        make = _STAGES[keras.backend.backend()]
        self.stages = [make(_part(*stretch), None) for stretch in self.symbols[:-1]]
        self._last = _part(*self.symbols[-1])
        self._ends: dict[Readable, Stage] = {}

    def end(self, of: Readable) -> Stage:
        """The last stretch with a readout after it."""
        if of not in self._ends:
            while len(self._ends) >= _KEPT_READOUTS:
                del self._ends[next(iter(self._ends))]
            place = [id(tensor) for tensor in self.symbols[-1][1]].index(self.exit)
            self._ends[of] = _STAGES[keras.backend.backend()](
                self._last, lambda outputs, constants: [of(outputs[place], *constants)]
            )
        return self._ends[of]

    def pull(self, batch: NDArray[np.float32], of: Readable, constants: Sequence[NDArray]) -> tuple[Any, Any]:
        """Values and gradients of one batch."""
        given = [keras.ops.convert_to_tensor(constant) for constant in constants]
        tensors = {self.entrance: keras.ops.convert_to_tensor(batch)}
        for (forward, _), (inputs, outputs) in zip(self.stages, self.symbols[:-1], strict=True):
            results = forward([tensors[id(symbol)] for symbol in inputs], [])
            tensors |= {id(symbol): result for symbol, result in zip(outputs, results, strict=True)}
        inputs, _ = self.symbols[-1]
        _, pull = self.end(of)
        ones = [keras.ops.ones((len(batch),), "float32")]
        (values,), found = pull([tensors[id(symbol)] for symbol in inputs], given, ones)
        cotangents: dict[int, Any] = {}
        _add(cotangents, inputs, found)
        for (_, pull), (inputs, outputs) in zip(reversed(self.stages), reversed(self.symbols[:-1]), strict=True):
            own = [_cotangent(cotangents, symbol, tensors[id(symbol)]) for symbol in outputs]
            for symbol in outputs:
                del tensors[id(symbol)]
            _, found = pull([tensors[id(symbol)] for symbol in inputs], [], own)
            _add(cotangents, inputs, found)
        gradient = cotangents.get(self.entrance)
        # without a gradient the readout does not depend on the sequence
        found = np.zeros_like(batch) if gradient is None else keras.ops.convert_to_numpy(gradient)
        return keras.ops.convert_to_numpy(values), found


def _add(cotangents: dict[int, Any], symbols: Sequence[Any], found: Sequence[Any]) -> None:
    for symbol, new in zip(symbols, found, strict=True):
        if new is not None:
            known = cotangents.get(id(symbol))
            cotangents[id(symbol)] = new if known is None else known + new


def _cotangent(cotangents: dict[int, Any], symbol: Any, like: Any) -> Any:
    found = cotangents.pop(id(symbol), None)
    return keras.ops.zeros_like(like) if found is None else found


#: How gradients are taken of so many sequences: settled once, or a program would be compiled for every free byte.
_PLANS: weakref.WeakKeyDictionary[keras.Model, dict[tuple, Plan]] = weakref.WeakKeyDictionary()


def _plan_of(network: keras.Model, *asked: Any) -> Plan:
    kept = _PLANS.setdefault(network, {})
    if asked not in kept:
        kept[asked] = gradient_plan(network, *asked)
    return kept[asked]


_CHAINS: weakref.WeakKeyDictionary[keras.Model, dict[bool, _Chain]] = weakref.WeakKeyDictionary()


def _chain_of(network: keras.Model, staged: bool) -> _Chain:
    kept = _CHAINS.setdefault(network, {})
    if staged not in kept:
        kept[staged] = _Chain(network, staged)
    return kept[staged]


def _part(inputs: list[Any], outputs: list[Any]) -> keras.Model:
    return keras.Model(inputs, outputs)


# --- one function a backend: (part, then) -> (forward, pull) ------------------------------------------------------

Then = Callable[[list[Any], Tensors], list[Any]] | None


def _torch_stage(part: keras.Model, then: Then) -> Stage:
    import torch

    def compute(tensors: Tensors, constants: Tensors) -> list[Any]:
        outputs = keras.tree.flatten(part(list(tensors), training=False))
        return outputs if then is None else then(outputs, constants)

    def forward(tensors: Tensors, constants: Tensors) -> list[Any]:
        with torch.no_grad():
            return compute(tensors, constants)

    def pull(tensors: Tensors, constants: Tensors, cotangents: Tensors) -> tuple[list, list]:
        inputs = [tensor.detach().requires_grad_() for tensor in tensors]
        with torch.enable_grad(), _constant_weights(part):
            outputs = compute(inputs, constants)
            used = [(y, dy) for y, dy in zip(outputs, cotangents, strict=True) if y.requires_grad]
            if not used:
                return outputs, [None] * len(inputs)
            ys, dys = zip(*used, strict=True)
            return [y.detach() for y in outputs], list(torch.autograd.grad(ys, inputs, dys, allow_unused=True))

    return forward, pull


@contextmanager
def _constant_weights(part: keras.Model) -> Iterator[None]:
    """PyTorch keeps the inputs of whatever has weights that want a gradient; these do not."""
    wanting = [variable.value for variable in part.variables if variable.value.requires_grad]
    for value in wanting:
        value.requires_grad_(False)
    try:
        yield
    finally:
        for value in wanting:
            value.requires_grad_(True)


def _jax_stage(part: keras.Model, then: Then) -> Stage:
    import jax

    def compute(weights: Any, tensors: Tensors, constants: Tensors) -> list[Any]:
        outputs, _ = part.stateless_call(*weights, list(tensors), training=False)
        outputs = keras.tree.flatten(outputs)
        return outputs if then is None else then(outputs, constants)

    def both(weights: Any, tensors: Tensors, constants: Tensors, cotangents: Tensors) -> tuple[list, list]:
        outputs, back = jax.vjp(lambda inputs: compute(weights, inputs, constants), list(tensors))
        return outputs, back(list(cotangents))[0]

    forward, pull = jax.jit(compute), jax.jit(both)

    def weights() -> Any:  # arguments: as constants they would be copied into the program
        return [[v.value for v in own] for own in (part.trainable_variables, part.non_trainable_variables)]

    return (
        lambda tensors, constants: forward(weights(), list(tensors), list(constants)),
        lambda tensors, constants, cotangents: pull(weights(), list(tensors), list(constants), list(cotangents)),
    )


def _tensorflow_stage(part: keras.Model, then: Then) -> Stage:
    import tensorflow as tf

    def compute(tensors: Tensors, constants: Tensors) -> list[Any]:
        outputs = keras.tree.flatten(part(list(tensors), training=False))
        return outputs if then is None else then(outputs, constants)

    def both(tensors: Tensors, constants: Tensors, cotangents: Tensors) -> tuple[list, list]:
        tensors = list(tensors)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(tensors)
            outputs = compute(tensors, constants)
        return outputs, tape.gradient(outputs, tensors, output_gradients=list(cotangents))

    return tf.function(compute, autograph=False), tf.function(both, autograph=False)


_STAGES: dict[str, Callable[[keras.Model, Then], Stage]] = {
    "tensorflow": _tensorflow_stage,
    "jax": _jax_stage,
    "torch": _torch_stage,
}
