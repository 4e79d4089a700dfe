"""Training with Keras (`keras_training`) or fastai (`fastai_training`), and what both need.

TensorFlow and torch abort when they meet in one process, so a program imports one of the two modules.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from fer_utils.files import ConfigError
from fer_utils.params import Training


def prepare_torch(params: Training) -> str | None:
    """Set torch's threads and repeatable convolutions; return the name of the GPU to use, or None."""
    import torch

    torch.set_num_threads(params.threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False  # which rounds the inputs of a convolution to 10 bits
    use_gpu = params.device != "cpu" and torch.cuda.is_available()
    return torch.cuda.get_device_name(0) if use_gpu else None


@contextmanager
def memory_errors(setting: str, size: int) -> Iterator[None]:
    """Replace a framework's error about GPU memory by a `ConfigError` with a value of `setting` to try."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ not in ("OutOfMemoryError", "ResourceExhaustedError"):
            raise
        advice = f"try {setting}={size // 2}" if size > 1 else "use device=cpu or smaller images"
        raise ConfigError(f"{setting}={size}: not enough GPU memory; {advice}") from error
