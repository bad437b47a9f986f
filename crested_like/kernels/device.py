"""Where the backend computes."""

from __future__ import annotations

import keras


def on_processor() -> bool:
    """Whether the backend computes on the processor, without an accelerator."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.default_backend() == "cpu"
    if backend == "tensorflow":
        import tensorflow as tf

        return not tf.config.list_logical_devices("GPU")
    if backend == "torch":
        return keras.ops.convert_to_tensor(0.0).device.type == "cpu"
    return True
