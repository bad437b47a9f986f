"""Where the backend computes."""

from __future__ import annotations

from typing import Any

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


def no_gradients_on_processor(*tensors: Any) -> bool:
    """Whether PyTorch's tensors are real ones in a processor's memory, of single precision, and no gradients flow."""
    import torch

    if torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    return all(one.device.type == "cpu" and one.dtype is torch.float32 for one in tensors)
