"""Training with Keras (`keras_training`) or fastai (`fastai_training`), from what both need.

TensorFlow and torch abort when they meet in one process, so a program imports one of the two modules.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from fer_utils.files import ConfigError

_OUT_OF_MEMORY = ("OutOfMemoryError", "ResourceExhaustedError")


class TrainingDiverged(ArithmeticError):
    """The loss became NaN or infinite; the message says when and what to change."""

    @classmethod
    def at(cls, *, loss: float, epoch: int, batch: int, learning_rate: float) -> "TrainingDiverged":
        """Return the error for a loss in an epoch and a batch, both counted from 1."""
        return cls(
            f"the loss became {loss} in epoch {epoch}, batch {batch}; "
            f"try a smaller learning_rate (now {learning_rate:g}) or batch_norm=true"
        )


@contextmanager
def memory_errors(setting: str, size: int) -> Iterator[None]:
    """Replace a framework's error about GPU memory by a `ConfigError` with a value of `setting` to try."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ not in _OUT_OF_MEMORY:
            raise
        advice = f"try {setting}={size // 2}" if size > 1 else "use device=cpu or smaller images"
        raise ConfigError(f"{setting}={size}: not enough GPU memory; {advice}") from error
