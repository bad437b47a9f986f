"""How many windows fit into memory at once."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import keras
import psutil

from crested_like import _graph

#: Activations may take this part of the free memory.
SHARE = 0.25
#: Working space beside the activations themselves: layout changes, unfolded convolutions, attention logits.
OVERHEAD = 2.0
#: More windows at a time bring no speed.
LARGEST_BATCH = 64


def activation_bytes(model: keras.Model) -> int:
    """Memory that one window's activations take at their peak, in bytes, as the graph is computed step by step.

    A tensor counts from the step that makes it to the last step that reads it.
    """
    order = list(_graph.steps(model.inputs, model.outputs))
    last_use = {id(tensor): i for i, step in enumerate(order) for tensor in step.inputs}
    last_use.update({id(tensor): len(order) for tensor in model.outputs})
    live = {id(tensor): _bytes(tensor) for tensor in model.inputs}
    total = peak = sum(live.values())
    for i, step in enumerate(order):
        made = {id(tensor): _bytes(tensor) for tensor in step.outputs}
        total += sum(size for key, size in made.items() if key not in live)
        live.update(made)
        peak = max(peak, total)
        for key in {id(tensor) for tensor in (*step.inputs, *step.outputs)}:
            if key in live and last_use.get(key, -1) <= i:
                total -= live.pop(key)
    return peak


def _bytes(tensor: Any) -> int:
    return 4 * math.prod(size or 1 for size in tensor.shape[1:])


def free_bytes() -> int:
    """Memory this process can still take, in bytes: of the GPU where the backend uses one, else of the machine.

    Limits of the process (address space) and of its control group count.
    """
    device = _device_bytes()
    if device is not None:
        return device
    return max(0, min([psutil.virtual_memory().available, *_limits()]))


def _limits() -> list[int]:
    limits = []
    if sys.platform == "linux":
        process = psutil.Process()
        soft, _ = process.rlimit(psutil.RLIMIT_AS)
        if soft >= 0:
            limits.append(soft - process.memory_info().vms)
        group = Path("/sys/fs/cgroup")
        try:
            limit, used = ((group / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        except OSError:
            return limits
        if limit.isdigit() and used.isdigit():
            limits.append(int(limit) - int(used))
    return limits


def _device_bytes() -> int | None:
    """Free memory of the accelerator in use, or None where the backend computes on the processor."""
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else None
    if backend == "jax":
        import jax

        stats = jax.devices()[0].memory_stats() or {}
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0) if "bytes_limit" in stats else None
    if backend == "tensorflow":
        import tensorflow

        # TensorFlow takes the whole card and tells no total: be careful
        return 0 if tensorflow.config.list_physical_devices("GPU") else None
    return None


def batch_size_for(models: list[keras.Model], windows: int) -> int:
    """Largest safe batch: 1 whenever one window's activations are estimated above a quarter of the free memory."""
    per_window = OVERHEAD * max(activation_bytes(model) for model in models)
    fitting = max(1, min(int(SHARE * free_bytes() / per_window), LARGEST_BATCH))
    return math.ceil(windows / math.ceil(windows / fitting))  # batches of even size: the last one is padded
