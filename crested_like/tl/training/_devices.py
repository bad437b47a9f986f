"""Several accelerators that share each batch.

JAX does it through ``keras.distribution``, TensorFlow through its mirrored strategy; for PyTorch Keras has nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import keras

from crested_like._errors import RecipeError


def devices_for(wanted: int | str, batch_size: int) -> list[str]:
    """Names of the devices that are to share a batch; none where there is nothing to share.

    Parameters
    ----------
    wanted
        How many, or ``"all"``.
    batch_size
        Of all devices together.

    Raises
    ------
    RecipeError
        If there are not so many, the batch cannot be divided, or the backend trains on one device only.
    """
    backend = keras.backend.backend()
    if wanted == 1 or (wanted == "all" and backend == "torch"):
        return []
    if backend == "torch":
        raise RecipeError(
            f"training.devices: Keras trains on one device with PyTorch; got {wanted!r}. JAX and TensorFlow share a "
            f"batch between several: choose one of them with KERAS_BACKEND."
        )
    names = _names(backend)
    count = len(names) if wanted == "all" else int(wanted)
    if count > len(names):
        raise RecipeError(f"training.devices: {count} were asked for; {backend} has {len(names)}: {', '.join(names)}.")
    if batch_size % count:
        raise RecipeError(
            f"training.batch_size: {count} devices share a batch, so it must be a multiple of that; got {batch_size}."
        )
    return names[:count] if count > 1 else []


def _names(backend: str) -> list[str]:
    if backend == "jax":
        return keras.distribution.list_devices()
    import tensorflow

    kind = "GPU" if tensorflow.config.list_logical_devices("GPU") else "CPU"
    return [device.name for device in tensorflow.config.list_logical_devices(kind)]


def making(names: Sequence[str]) -> AbstractContextManager:
    """What a network has to be made and compiled in to be trained on devices."""
    if names and keras.backend.backend() == "tensorflow":
        import tensorflow

        return tensorflow.distribute.MirroredStrategy(list(names)).scope()
    return training_on(names)


def training_on(names: Sequence[str]) -> AbstractContextManager:
    """What it has to be trained in."""
    if names and keras.backend.backend() == "jax":
        return _distributed(keras.distribution.DataParallel(devices=list(names)))
    return nullcontext()


def alone() -> AbstractContextManager:
    """For another network, on one device, in the middle of that."""
    return _distributed(None) if keras.backend.backend() == "jax" else nullcontext()


@contextmanager
def _distributed(distribution: keras.distribution.DataParallel | None) -> Iterator[None]:
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(distribution)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)
