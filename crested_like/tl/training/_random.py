"""Random numbers of dropout and the like: where their state is, and how it is set, kept and restored.

It is in variables of the layers, which Keras makes from the seeds that Python draws. On PyTorch, layers without a seed
of their own use PyTorch's generators instead, one a device, so these belong to the state of a training as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
from numpy.typing import NDArray


@contextmanager
def forked() -> Iterator[None]:
    """Give PyTorch's generators the state back that they have now, after the block."""
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


def seed_everything(model: keras.Model, seed: int) -> None:
    """Make all random numbers that a model draws depend on a seed, not on what was made before in this process."""
    states = [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
    for number, state in enumerate(states):
        first = np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1  # an int32 on every backend
        state.assign(np.array([first, 0], dtype=keras.backend.standardize_dtype(state.dtype)))
    if keras.backend.backend() == "torch":
        import torch

        torch.manual_seed(seed)


def generator_states() -> list[NDArray[np.uint8]]:
    """States of PyTorch's generators; none on other backends."""
    if keras.backend.backend() != "torch":
        return []
    import torch

    return [state.numpy() for state in (torch.get_rng_state(), *torch.cuda.get_rng_state_all())]


def set_generator_states(states: list[NDArray[np.uint8]]) -> None:
    """Set PyTorch's generators to states that were taken earlier."""
    if not states:
        return
    import torch

    processor, *devices = map(torch.from_numpy, states)
    torch.set_rng_state(processor)
    torch.cuda.set_rng_state_all(devices)
