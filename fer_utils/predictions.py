"""What a classifier said about each sample: the one thing that evaluation needs to know of a model."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from fer_utils.files import reading_arrays, write_arrays

SUM_TOLERANCE = 2e-3
"""How far a row of class probabilities may be from 1: four roundings to half precision."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Class probabilities for a set of samples, with their true classes.

    Probabilities are rounded to half precision when the object is made, which is how `save` stores them:
    whatever is computed from a run's predictions is computed again, to the last bit, from its small file. Two
    classes that differ by less than the rounding (about 0.0002 at 0.4) tie, and the first is predicted.

    Attributes
    ----------
    sample_id : ndarray of str, shape (N,)
        Unique names of the samples.
    truth : ndarray of int64, shape (N,)
        True classes as indices into `class_names`.
    probabilities : ndarray of float32, shape (N, K)
        Class probabilities; rows sum to 1.
    class_names : tuple of str, length K
        Class names in label order.
    fold : ndarray of int64, shape (N,)
        Cross-validation fold in which the sample was held out. One number stands for all samples.
    group : ndarray of str, shape (N,)
        What makes samples dependent, such as the subject of a clip; empty for an independent sample. One
        string stands for all samples.

    Raises
    ------
    ValueError
        When the arrays do not fit together or hold impossible values; the message names the first such row.
    """

    sample_id: np.ndarray
    truth: np.ndarray
    probabilities: np.ndarray
    class_names: tuple[str, ...]
    fold: np.ndarray | int = 0
    group: np.ndarray | str = ""

    def __post_init__(self) -> None:
        sample_id = np.array(self.sample_id, dtype=str)
        columns = {
            "sample_id": sample_id,
            "truth": np.array(self.truth),
            "probabilities": np.array(self.probabilities, dtype=float),
            "fold": _one_for_each(np.array(self.fold), sample_id),
            "group": _one_for_each(np.array(self.group, dtype=str), sample_id),
        }
        names = tuple(map(str, self.class_names))
        _check_shapes(columns, names)
        _check_values(columns, names)
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
        """Index 0..U-1 of the independent unit each sample belongs to: its group, or itself; shape (N,).

        Units are numbered by their names, so that what is drawn from them does not depend on the rows' order.
        """
        alone = self.group == ""
        keys = np.where(
            alone, np.strings.add("sample ", self.sample_id), np.strings.add("group ", self.group)
        )
        return np.unique(keys, return_inverse=True)[1]

    def subset(self, rows: np.ndarray) -> "Predictions":
        """Return the samples selected by `rows` (a boolean mask or integers), in that order."""
        rows = np.asarray(rows)
        if rows.dtype == bool and rows.shape != self.truth.shape:
            raise ValueError(f"a mask of shape {rows.shape} cannot select from {len(self)} samples")
        columns = ("sample_id", "truth", "probabilities", "fold", "group")
        return replace(self, **{key: getattr(self, key)[rows] for key in columns})

    def in_id_order(self) -> "Predictions":
        """Return the same samples sorted by their names."""
        return self.subset(np.argsort(self.sample_id, kind="stable"))

    def save(self, path: str | Path) -> None:
        """Write everything to a compressed ``.npz``, whole or not at all; equal predictions, equal bytes."""
        arrays = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        arrays["probabilities"] = arrays["probabilities"].astype(np.float16)
        write_arrays(path, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> "Predictions":
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        ValueError
            When the file is damaged or something else; the message names it.
        """
        with reading_arrays(path, what="predictions") as stored:
            return cls(**{field.name: stored[field.name] for field in fields(cls)})


def without(predictions: Predictions, sample_ids: Collection[str]) -> Predictions:
    """Return the predictions less the named samples, such as test images that also stand in the training set.

    Raises
    ------
    ValueError
        When a name is not among the samples: an unnoticed mismatch of names would leave everything in.
    """
    unwanted = np.array(sorted(set(sample_ids)), dtype=str)
    unknown = unwanted[~np.isin(unwanted, predictions.sample_id)]
    if len(unknown):
        raise ValueError(f"{len(unknown)} samples to leave out are not there, first {str(unknown[0])!r}")
    return predictions.subset(~np.isin(predictions.sample_id, unwanted))


def pooled(parts: Sequence[Predictions]) -> Predictions:
    """Return the predictions of several folds as one.

    Raises
    ------
    ValueError
        When there are none, they differ in classes, or a sample is in two of them.
    """
    if len({part.class_names for part in parts}) != 1:
        raise ValueError(f"only folds with the same classes can be pooled, got {len(parts)} folds")
    columns = ("sample_id", "truth", "probabilities", "fold", "group")
    joined = {key: np.concatenate([getattr(part, key) for part in parts]) for key in columns}
    return Predictions(**joined, class_names=parts[0].class_names)


def most_confident_mistakes(predictions: Predictions, k: int) -> np.ndarray:
    """Return the row numbers of up to `k` wrongly classified samples, the most confident first."""
    wrong = np.flatnonzero(~predictions.correct)
    order = np.lexsort((predictions.sample_id[wrong], -predictions.confidence[wrong]))
    return wrong[order[:k]]


def aligned(runs: Sequence[Predictions]) -> list[Predictions]:
    """Return several models' predictions of the same samples, all in one order.

    Raises
    ------
    ValueError
        When they differ in samples, classes, truth or groups; the message names what differs.
    """
    first, *others = ordered = [run.in_id_order() for run in runs]
    for other in others:
        if differing := np.setxor1d(first.sample_id, other.sample_id).tolist():
            raise ValueError(
                f"the runs are about different samples: {len(differing)} occur in one of them only, "
                f"such as {', '.join(map(repr, differing[:3]))}"
            )
        if first.class_names != other.class_names:
            raise ValueError(f"the runs differ in classes: {first.class_names} and {other.class_names}")
        for key in ("truth", "group"):
            here, there = getattr(first, key), getattr(other, key)
            if (wrong := here != there).any():
                row = int(wrong.argmax())
                raise ValueError(
                    f"the runs differ in the {key} of sample {str(first.sample_id[row])!r}: "
                    f"{here[row].item()!r} and {there[row].item()!r}"
                )
    return ordered


def _one_for_each(value: np.ndarray, sample_id: np.ndarray) -> np.ndarray:
    return np.full(sample_id.shape, value) if value.ndim == 0 else value


def _check_shapes(columns: dict[str, np.ndarray], class_names: tuple[str, ...]) -> None:
    n, n_classes = len(columns["sample_id"]), len(class_names)
    if n == 0:
        raise ValueError("predictions for no samples: nothing can be measured")
    if len(set(class_names)) != n_classes:
        raise ValueError(f"class names are not unique: {', '.join(class_names)}")
    for key, column in columns.items():
        shape = (n, n_classes) if key == "probabilities" else (n,)
        if column.shape != shape:
            raise ValueError(f"{key}: shape {column.shape}; {n} samples of {n_classes} classes need {shape}")
    for key in ("truth", "fold"):
        if not np.issubdtype(columns[key].dtype, np.integer):
            raise ValueError(f"{key} must hold integers, got {columns[key].dtype}")


def _check_values(columns: dict[str, np.ndarray], class_names: tuple[str, ...]) -> None:
    sample_id, truth, probabilities = (columns[key] for key in ("sample_id", "truth", "probabilities"))
    repeated = np.ones(len(sample_id), dtype=bool)
    repeated[np.unique(sample_id, return_index=True)[1]] = False
    with np.errstate(over="ignore", invalid="ignore"):
        # As stored, so that what can be made can be saved and loaded.
        total = probabilities.astype(np.float16).astype(float).sum(axis=1)
    last = len(class_names) - 1
    for wrong, problem in (
        (repeated, "this sample id stands on an earlier row, too"),
        ((truth < 0) | (truth > last), f"truth must be a class index 0 to {last}, got {{truth}}"),
        (~np.isfinite(probabilities).all(axis=1), "a probability is not finite; did training diverge?"),
        ((probabilities < 0).any(axis=1), "a probability is negative; are these logits?"),
        (abs(total - 1) > SUM_TOLERANCE, "probabilities sum to {total:.4g}, not 1; are these logits?"),
    ):
        if wrong.any():
            row = int(wrong.argmax())
            details = problem.format(truth=truth[row], total=total[row])
            raise ValueError(f"row {row} (sample {str(sample_id[row])!r}): {details}")
