"""What a network answered after every epoch: which epoch one would have chosen, and on what."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_utils.files import reading_arrays, write_arrays


@dataclass(frozen=True, eq=False)
class EpochAnswers:
    """The answers about one set of images after each epoch.

    Attributes
    ----------
    sample_id : ndarray of str, shape (N,)
    truth : ndarray of int64, shape (N,)
        True classes.
    answers : ndarray of uint8, shape (E, N)
        Answered classes after epochs 1 to E.

    Raises
    ------
    ValueError
        When the shapes do not fit together.
    """

    sample_id: np.ndarray
    truth: np.ndarray
    answers: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.sample_id)
        if self.truth.shape != (n,) or self.answers.ndim != 2 or self.answers.shape[1] != n:
            raise ValueError(
                f"{n} samples need truth of shape ({n},) and answers of shape (epochs, {n}), got "
                f"{self.truth.shape} and {self.answers.shape}"
            )

    @property
    def correct(self) -> np.ndarray:
        """Whether an answer is the true class, shape (E, N)."""
        return self.answers == self.truth

    @property
    def accuracy(self) -> np.ndarray:
        """Share of right answers after each epoch, shape (E,)."""
        return self.correct.mean(axis=1)

    @property
    def best(self) -> int:
        """Index of the epoch with the most right answers, the earliest of equals; epoch 1 is 0."""
        return int(self.accuracy.argmax())

    def first(self, epochs: int) -> "EpochAnswers":
        """Return the first so many epochs: a training that had been that long."""
        return EpochAnswers(self.sample_id, self.truth, self.answers[:epochs])

    def save(self, path: str | Path) -> None:
        """Write everything to a compressed ``.npz``, whole or not at all; equal answers, equal bytes."""
        # An image's answers change little from epoch to epoch: side by side they are half as large.
        arrays = {"sample_id": self.sample_id, "truth": self.truth, "answers_by_sample": self.answers.T}
        write_arrays(path, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "EpochAnswers":
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        ValueError
            When the file is damaged or something else; the message names it.
        """
        with reading_arrays(path, what="answers by epoch") as stored:
            return cls(stored["sample_id"], stored["truth"], stored["answers_by_sample"].T)
