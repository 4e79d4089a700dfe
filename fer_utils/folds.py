"""Cross-validation: every sample is held out once, by class, at random, or one person at a time."""

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from fer_utils.data import FaceSet, Samples

S = TypeVar("S", bound=Samples)


@dataclass(frozen=True)
class Fold(Generic[S]):
    """One fold of a cross-validation; `name` says what is held out."""

    name: str
    train: S
    held_out: S


@dataclass(frozen=True)
class Folds(Generic[S]):
    """The folds of a cross-validation, and what could not be a fold and why."""

    folds: tuple[Fold[S], ...]
    skipped: tuple[str, ...] = ()


def leave_one_subject_out(samples: S, *, strict: bool = False) -> Folds[S]:
    """Hold out every subject once, in the order of their names.

    Where only one subject shows a class, nothing is left to learn it from when that subject is held out: the
    fold is skipped, and its samples are not judged. That a held-out subject shows some of the classes only is
    no fault: metrics are computed from the pooled predictions.

    Parameters
    ----------
    samples : Samples
    strict : bool
        Whether a fold that cannot be is an error.

    Raises
    ------
    ValueError
        For fewer than two subjects, when no fold is left, and under `strict`.
    """
    subjects = np.unique(samples.subject)
    if len(subjects) < 2:
        raise ValueError(f"{samples.name}: {len(subjects)} subject; leaving one out needs two or more")
    folds, skipped = [], []
    for subject in subjects:
        held_out = samples.subject == subject
        fold = Fold(str(subject), samples.take(~held_out), samples.take(held_out))
        if lacking := _lacking(fold.train, samples):
            skipped.append(f"{subject}: nobody else shows {', '.join(lacking)}")
        else:
            folds.append(fold)
    if skipped and (strict or not folds):
        raise ValueError(f"{samples.name}: no fold can hold out {'; '.join(skipped)}")
    return Folds(tuple(folds), tuple(skipped))


def random_folds(samples: S, *, n_folds: int, seed: int) -> Folds[S]:
    """Hold out every sample once, stratified by class, whoever it shows: people are on both sides.

    Raises
    ------
    ValueError
        When a class has fewer samples than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    _check_fold_counts(samples, n_folds)
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(samples.labels, samples.labels)
    return Folds(
        tuple(
            Fold(f"random {number}", samples.take(train), samples.take(held_out))
            for number, (train, held_out) in enumerate(folds, start=1)
        )
    )


def random_holdout(samples: S, *, share: float, seed: int) -> Fold[S]:
    """Hold out a share at random, by neither class nor subject, as scikit-learn's `train_test_split` does.

    The held-out part is rounded up: a fifth of 158 clips are the 32 of dubey2020's Figs. 5-6.

    Raises
    ------
    ValueError
        When the training part lacks a class or nothing is held out.
    """
    held_out = np.zeros(len(samples), dtype=bool)
    held_out[np.random.default_rng(seed).permutation(len(samples))[: math.ceil(share * len(samples))]] = True
    fold = Fold(f"{share:.0%} at random, seed {seed}", samples.take(~held_out), samples.take(held_out))
    if not len(fold.held_out) or (lacking := _lacking(fold.train, samples)):
        problem = f"the training part has no {', '.join(lacking)}" if len(fold.held_out) else "nothing"
        raise ValueError(f"{samples.name}, {fold.name} held out: {problem}; use another share or seed")
    return fold


def inner_holdout(samples: S, *, share: float, seed: int) -> Fold[S]:
    """Hold out whole subjects with about a share of the samples, to choose epochs on inside a training part.

    Raises
    ------
    ValueError
        For too few subjects, or when the rest lacks a class whichever are held out.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    subjects = np.unique(samples.subject)
    n_folds = min(max(round(1 / share), 2), len(subjects))
    if len(subjects) < 2:
        raise ValueError(f"{samples.name}: {len(subjects)} subject cannot both train and choose epochs")
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    for train, held_out in folds.split(samples.labels, samples.labels, samples.subject):
        fold = Fold("inner subjects", samples.take(train), samples.take(held_out))
        if not _lacking(fold.train, samples):
            return fold
    raise ValueError(f"{samples.name}: whichever subjects choose epochs, a class is missing in training")


def stratified_folds(faces: FaceSet, *, n_folds: int, seed: int) -> list[tuple[FaceSet, FaceSet]]:
    """Return (training, validation) parts for cross-validation: every image validates once.

    Folds are stratified by class, and where all subjects are known no subject is in both parts.

    Raises
    ------
    ValueError
        When a class, or the data set, has too few images or subjects for the folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    _check_fold_counts(faces, n_folds)
    by_subject = bool((faces.subject != "").all())
    if by_subject and (subjects := len(np.unique(faces.subject))) < n_folds:
        raise ValueError(f"{faces.name}: {subjects} subjects cannot be kept apart in {n_folds} folds")
    kind = StratifiedGroupKFold if by_subject else StratifiedKFold
    groups = faces.subject if by_subject else None
    folds = kind(n_folds, shuffle=True, random_state=seed).split(faces.labels, faces.labels, groups)
    return [(faces.take(train), faces.take(held_out)) for train, held_out in folds]


def _lacking(part: Samples, whole: Samples) -> list[str]:
    return [whole.class_names[label] for label in np.setdiff1d(whole.labels, part.labels)]


def _check_fold_counts(samples: Samples, n_folds: int) -> None:
    counts = np.bincount(samples.labels, minlength=len(samples.class_names))
    smallest = int(counts.argmin())
    if counts[smallest] < n_folds:
        raise ValueError(
            f"{samples.name}: {counts[smallest]} {samples.UNIT} of {samples.class_names[smallest]} cannot be "
            f"in {n_folds} folds; use at most {counts[smallest]} folds or leave the class out"
        )
