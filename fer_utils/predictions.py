"""Class probabilities for each sample: all that evaluation needs to know of a model."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from fer_utils.files import reading_arrays, write_arrays

COLUMNS = ("sample_id", "truth", "probabilities", "fold", "group")
"""The arrays of `Predictions`, all of one length."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Class probabilities for N samples, with their true classes.

    Probabilities are rounded to half precision, as `save` stores them, so that metrics recomputed from the
    file are the same. Classes that differ by less than the rounding tie; the first wins.

    Attributes
    ----------
    sample_id : ndarray of str, shape (N,)
        Unique names of the samples.
    truth : ndarray of int64, shape (N,)
        True classes as indices into `class_names`, the K class names in label order.
    probabilities : ndarray of float32, shape (N, K)
    fold : ndarray of int64, shape (N,)
        Cross-validation fold in which the sample was held out; or one number for all samples.
    group : ndarray of str, shape (N,)
        Group of dependent samples, such as the subject of a clip; empty for an independent sample. Or one
        string for all samples.
    """

    sample_id: np.ndarray
    truth: np.ndarray
    probabilities: np.ndarray
    class_names: tuple[str, ...]
    fold: np.ndarray | int = 0
    group: np.ndarray | str = ""

    def __post_init__(self) -> None:
        kinds = {"sample_id": str, "probabilities": float, "group": str}
        columns = {key: np.array(getattr(self, key), dtype=kinds.get(key)) for key in COLUMNS}
        for key in ("fold", "group"):
            if columns[key].ndim == 0:
                columns[key] = np.full(len(columns["sample_id"]), columns[key])
        names = tuple(map(str, self.class_names))
        _check(columns, names)
        columns |= {key: columns[key].astype(np.int64) for key in ("truth", "fold")}
        columns["probabilities"] = columns["probabilities"].astype(np.float16).astype(np.float32)
        for key, column in columns.items():
            column.flags.writeable = False
            object.__setattr__(self, key, column)
        object.__setattr__(self, "class_names", names)

    def __len__(self) -> int:
        return len(self.sample_id)

    @property
    def predicted(self) -> np.ndarray:
        """Most probable class of each sample, shape (N,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> np.ndarray:
        """Probability of the most probable class, shape (N,)."""
        return self.probabilities.max(axis=1)

    @property
    def correct(self) -> np.ndarray:
        """Whether the most probable class is the true one, shape (N,)."""
        return self.predicted == self.truth

    @property
    def grouped(self) -> bool:
        """Whether some samples depend on each other."""
        return bool((self.group != "").any())

    @property
    def unit(self) -> np.ndarray:
        """Name of the independent unit each sample belongs to: its group, or itself; str, shape (N,)."""
        alone, grouped = (np.strings.add(*x) for x in (("sample ", self.sample_id), ("group ", self.group)))
        return np.where(self.group == "", alone, grouped)

    def subset(self, rows: np.ndarray) -> "Predictions":
        """Return the samples selected by `rows` (a boolean mask or integers), in that order."""
        return replace(self, **{key: getattr(self, key)[rows] for key in COLUMNS})

    def in_id_order(self) -> "Predictions":
        """Return the same samples sorted by their names."""
        return self.subset(np.argsort(self.sample_id, kind="stable"))

    def mistakes(self, k: int) -> np.ndarray:
        """Return the rows of up to `k` misclassified samples, the most confident first."""
        wrong = np.flatnonzero(~self.correct)
        return wrong[np.lexsort((self.sample_id[wrong], -self.confidence[wrong]))[:k]]

    def save(self, path: str | Path) -> None:
        """Write everything to a compressed ``.npz``, atomically; equal predictions give equal bytes."""
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        arrays["probabilities"] = arrays["probabilities"].astype(np.float16)
        write_arrays(path, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "Predictions":
        """Read what `save` wrote; raises `ValueError` for a damaged file."""
        with reading_arrays(path, what="predictions") as stored:
            return cls(**{field.name: stored[field.name] for field in fields(cls)})


def pooled(parts: Sequence[Predictions]) -> Predictions:
    """Return the predictions of several folds as one; a sample must not be in two of them."""
    if len({part.class_names for part in parts}) != 1:
        raise ValueError(f"only folds with the same classes can be pooled, got {len(parts)} folds")
    joined = {key: np.concatenate([getattr(part, key) for part in parts]) for key in COLUMNS}
    return Predictions(**joined, class_names=parts[0].class_names)


def aligned(runs: Sequence[Predictions]) -> list[Predictions]:
    """Return several models' predictions of the same samples in one order; an error names a difference."""
    first, *others = ordered = [run.in_id_order() for run in runs]
    for other in others:
        if differing := np.setxor1d(first.sample_id, other.sample_id).tolist():
            names = str(differing[:3])[1:-1]
            raise ValueError(f"{len(differing)} samples are in one run only, such as {names}")
        if first.class_names != other.class_names:
            raise ValueError(f"the runs differ in classes: {first.class_names} and {other.class_names}")
        for key in ("truth", "group"):
            if (wrong := getattr(first, key) != getattr(other, key)).any():
                sample = first.sample_id[wrong][0].item()
                raise ValueError(f"the runs differ in the {key} of sample {sample!r}")
    return ordered


def _check(columns: dict[str, np.ndarray], class_names: tuple[str, ...]) -> None:
    sample_id, truth, probabilities = (columns[key] for key in ("sample_id", "truth", "probabilities"))
    n, n_classes = len(sample_id), len(class_names)
    for key, column in columns.items():
        shape = (n, n_classes) if key == "probabilities" else (n,)
        if column.shape != shape or n == 0:
            raise ValueError(f"{key}: shape {column.shape}; {n} samples of {n_classes} classes need {shape}")
    repeated = np.ones(n, dtype=bool)
    repeated[np.unique(sample_id, return_index=True)[1]] = False
    with np.errstate(over="ignore", invalid="ignore"):
        # As stored, so that all valid predictions can be saved and loaded.
        total = probabilities.astype(np.float16).astype(float).sum(axis=1)
    for wrong, problem in (
        (repeated, "an earlier row has the same sample id"),
        ((truth < 0) | (truth >= n_classes), f"truth must be 0 to {n_classes - 1}"),
        (~np.isfinite(probabilities).all(axis=1), "a probability is not finite; did training diverge?"),
        ((probabilities < 0).any(axis=1), "a probability is negative; are these logits?"),
        (abs(total - 1) > 2e-3, "probabilities do not sum to 1; are these logits?"),
    ):
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(f"row {row} (sample {str(sample_id[row])!r}): {problem}")


@dataclass(frozen=True, eq=False)
class EpochPredictions:
    """The predicted classes of N samples after epochs 1 to E, shape (E, N)."""

    sample_id: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """Whether the predicted class is the true one, shape (E, N)."""
        return self.predicted == self.truth

    @property
    def accuracy(self) -> np.ndarray:
        """Accuracy after each epoch, shape (E,)."""
        return self.correct.mean(axis=1)

    @property
    def best(self) -> int:
        """Index of the epoch with the highest accuracy, the earliest of equals; epoch 1 is 0."""
        return int(self.accuracy.argmax())

    def save(self, path: str | Path) -> None:
        """Write everything to a compressed ``.npz``, atomically; equal predictions give equal bytes."""
        # A sample's predictions change little from epoch to epoch: side by side they take half the space.
        arrays = {"sample_id": self.sample_id, "truth": self.truth, "answers_by_sample": self.predicted.T}
        write_arrays(path, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "EpochPredictions":
        """Read what `save` wrote; raises `ValueError` for a damaged file."""
        with reading_arrays(path, what="predictions by epoch") as stored:
            return cls(stored["sample_id"], stored["truth"], stored["answers_by_sample"].T)
