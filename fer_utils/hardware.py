"""Hardware information recorded with results."""

import os
import platform
import re
import resource
import sys
from pathlib import Path

from fer_utils.files import ConfigError

_MIB = 1024**2

VALIDATION_BATCH = 256
"""Images at once where nothing is learned: only memory and speed depend on it, no training's key."""
VALIDATION_SETTING = f"{__name__}.VALIDATION_BATCH"
"""What to make smaller where a GPU has no room for such a batch."""


class MissingGPU(ConfigError):
    """`device: cuda` where there is none: the run is `not_run`, as where data or weights are missing."""


_current: dict[str, str | int] = {}


def current() -> dict[str, str | int]:
    """Return device, device name, backend and threads as `use_device` recorded them; before that, the CPU."""
    return {"device": "cpu", "device_name": processor_name()} | _current


def use_device(gpu_name: str | None, *, backend: str, device: str, threads: int) -> None:
    """Record the device of a training, as `current` returns it, and start measuring the GPU's memory.

    `gpu_name` is None for the CPU; `device` is what was asked for: "cuda" without a GPU raises `MissingGPU`.
    """
    if device == "cuda" and gpu_name is None:
        raise MissingGPU(f"device=cuda: the {backend} backend sees no GPU; use device=auto or device=cpu")
    if gpu_name and backend == "torch":
        import torch

        torch.cuda.reset_peak_memory_stats()
    elif gpu_name:
        import tensorflow as tf

        tf.config.experimental.reset_memory_stats("GPU:0")
    kind, name = ("cuda", gpu_name) if gpu_name else ("cpu", processor_name())
    _current.update(device=kind, device_name=name, backend=backend, threads=threads)


def processor_name() -> str:
    """Return the processor's name and how many of its cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    info = Path("/proc/cpuinfo")  # Linux only
    found = re.search(r"^model name\s*: *(.+)$", info.read_text() if info.exists() else "", flags=re.M)
    name = found[1].strip() if found else platform.processor() or platform.machine()
    return f"{name}, {cores} core{'s' if cores != 1 else ''}"


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (_MIB if sys.platform == "darwin" else 1024)


def peak_gpu_memory_mb(backend: str) -> float:
    """Return the most memory that tensors took on the first GPU since `use_device`, in MiB."""
    if backend == "torch":
        import torch

        return torch.cuda.max_memory_allocated() / _MIB
    import tensorflow as tf  # not with torch, too: it would take hold of the GPU

    return tf.config.experimental.get_memory_info("GPU:0")["peak"] / _MIB
