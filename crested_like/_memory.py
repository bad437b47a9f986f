"""Memory that is left: of the machine, of its control group, of the process, or of the GPU."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import psutil


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
