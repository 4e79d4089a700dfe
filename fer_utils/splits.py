"""Training, validation and test sets, cross-validation folds, and the data leakage that each has."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

from fer_utils.data import FaceSet, Samples, clip_of, separate
from fer_utils.files import ConfigError

S = TypeVar("S", bound=Samples)

VALIDATION_SHARE = 0.1
TAKE_SKIP_SHARES = (0.8, 0.1)
"""Shares of training and validation images that fit the steps which bamb2023 prints.

574 steps of 50 images are 80 % of the 718 batches in FER-2013; 384 of 32 are 80 % of the 480 in RAF-DB, and
its 1,536 test images are a tenth of those.
"""

CLIPS_SHARED = "frames of one clip on both sides"
SUBJECTS_SHARED = "subjects on both sides"
RANDOM_SHARED = "random split: duplicates and subjects on both sides"
RESHUFFLED = "reshuffled for every epoch: test images are trained on"
OVERLAPPING = "sets drawn independently of each other: four fifths of the test images are trained on"
"""Names of data leakage, as `protocol.leakage` of a run states them; the name of no leakage is "none"."""


@dataclass(frozen=True)
class Redrawn:
    """Training and validation sets drawn again for each epoch: `rows` gives those of an epoch, from 0."""

    faces: FaceSet
    rows: Callable[[int], tuple[np.ndarray, np.ndarray]]
    epochs: int

    def __call__(self, epoch: int) -> tuple[FaceSet, FaceSet]:
        """Return the training and validation images of an epoch."""
        train, validation = self.rows(epoch)
        return self.faces.take(train), self.faces.take(validation)


@dataclass(frozen=True, eq=False)
class Split(Generic[S]):
    """A training, a validation and a test set, and how they were made.

    Attributes
    ----------
    train, validation, test : Samples
        `validation` is None where no setting is selected, as in leave-one-subject-out with a fixed epoch.
    description : str
        The split, as `protocol.split` states it.
    subject_independent : bool or None
        Whether no subject is in two of the sets; None where not all subjects are known.
    leakage : str
        Name of the data leakage, or "none". Exact duplicates are counted separately (`n_shared`).
    redrawn : Redrawn or None
        Training and validation sets of each epoch, where each epoch has its own. `train` and `validation` are
        then those of the first epoch.
    """

    train: S
    validation: S | None
    test: S
    description: str
    subject_independent: bool | None
    leakage: str = "none"
    redrawn: Redrawn | None = None

    @property
    def n_samples(self) -> int:
        """Number of samples in all sets together."""
        return sum(map(len, self._sets().values()))

    @property
    def majority_class(self) -> int:
        """Index of the most frequent class of the training set."""
        return int(np.bincount(self.train.labels).argmax())

    @cached_property
    def trained_on(self) -> S:
        """All samples that are trained on in at least one epoch."""
        if self.redrawn is None:
            return self.train
        rows = np.unique(np.concatenate([self.redrawn.rows(n)[0] for n in range(self.redrawn.epochs)]))
        return self.redrawn.faces.take(rows)

    @cached_property
    def repeated(self) -> np.ndarray:
        """Mask of the test samples with an exact duplicate in training or validation, shape (N,)."""
        others = [self.trained_on] if self.validation is None else [self.trained_on, self.validation]
        return np.isin(self.test.digests, np.concatenate([other.digests for other in others]))

    @property
    def n_shared(self) -> int:
        """Number of test samples with an exact duplicate in training or validation."""
        return int(self.repeated.sum())

    def counts(self) -> pd.DataFrame:
        """Return the number of samples per class (rows) and set (columns), with totals."""
        names = self.test.class_names
        counted = {key: np.bincount(part.labels, minlength=len(names)) for key, part in self._sets().items()}
        table = pd.DataFrame(counted, index=pd.Index(names, name="class"))
        table.loc["total"] = table.sum()
        return table.assign(total=table.sum(axis=1)).rename_axis("set", axis="columns")

    def validation_seen(self, epochs: int) -> np.ndarray:
        """Return the share of each epoch's validation images trained on by its end, shape (epochs,)."""
        if self.redrawn is None:
            return np.full(epochs, np.isin(self.validation.sample_id, self.train.sample_id).mean())
        trained, shares = np.zeros(len(self.redrawn.faces), dtype=bool), np.zeros(epochs)
        for epoch in range(epochs):
            train, validation = self.redrawn.rows(epoch)
            trained[train] = True
            shares[epoch] = trained[validation].mean()
        return shares

    def _sets(self) -> dict[str, S]:
        parts = {key: getattr(self, key) for key in ("train", "validation", "test")}
        return {key: part for key, part in parts.items() if part is not None}


@dataclass(frozen=True, eq=False)
class Folds(Generic[S]):
    """The splits of a cross-validation of `samples`; each tested sample is in one of their test sets.

    `names` has the name of each fold, such as the subject that it holds out; `skipped` the impossible folds
    with the reason. The other attributes are as for `Split`.
    """

    samples: S
    splits: tuple[Split[S], ...]
    names: tuple[str, ...]
    description: str
    leakage: str = "none"
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.splits)

    def __iter__(self) -> Iterator[Split[S]]:
        return iter(self.splits)

    @property
    def n_samples(self) -> int:
        """Number of samples in the data set."""
        return len(self.samples)

    @property
    def majority_class(self) -> int:
        """Index of the most frequent class of the data set."""
        return int(np.bincount(self.samples.labels).argmax())

    @property
    def subject_independent(self) -> bool | None:
        """As for `Split`, of all folds."""
        found = {split.subject_independent for split in self.splits}
        return False if False in found else None if None in found else True

    @cached_property
    def test(self) -> S:
        """All tested samples, in the order of the data set."""
        tested = np.concatenate([split.test.sample_id for split in self.splits])
        return self.samples.take(np.isin(self.samples.sample_id, tested))

    @cached_property
    def repeated(self) -> np.ndarray:
        """Mask over `test`: the sample has an exact duplicate in the other sets of its fold, shape (N,)."""
        ids = [split.test.sample_id[split.repeated] for split in self.splits]
        return np.isin(self.test.sample_id, np.concatenate(ids))

    @property
    def n_shared(self) -> int:
        """Number of tested samples with an exact duplicate in the other sets of their fold."""
        return int(self.repeated.sum())


# --- still faces ----------------------------------------------------------------------------------


def split_faces(faces: FaceSet, params: Any) -> Split[FaceSet]:
    """Split still faces as `params.split_by` says, a key of `FACE_SPLITS`; uses `seed` and `epochs`, too.

    Images without a class are left out. Raises `ConfigError` for an unknown split and `ValueError` when the
    data set cannot be split in this way.
    """
    if params.split_by not in FACE_SPLITS:
        raise ConfigError(
            f"split_by={params.split_by!r}: unknown split; choose one of {', '.join(FACE_SPLITS)}"
        )
    extra = {"epochs": params.epochs} if params.split_by == "reshuffled_80_10_10" else {}
    return FACE_SPLITS[params.split_by](faces, seed=params.seed, **extra)


def official_split(faces: FaceSet, *, seed: int = 0) -> Split[FaceSet]:
    """Split a data set as its authors did, or at random where they did not.

    Without an official validation set, or where a copy pools validation and test images, a stratified tenth
    of the training images is the validation set and all held-out images are the test set. A data set without
    any official split is split 80/10/10, stratified by class and, where the subjects are known, by subject.
    Sets joined by `combine` are split separately and then joined.
    """
    faces = faces.labelled()
    # The split does not depend on the pixels, of which joined sets have many.
    parts = separate(replace(faces, images=faces.images[:, :1, :1]))
    if len(parts) == 1:
        return _check_classes(_official_of_one(faces, seed))
    splits = [_official_of_one(part, seed) for part in parts]

    def joined(name: str) -> FaceSet:
        ids = np.concatenate([getattr(split, name).sample_id for split in splits])
        return faces.take(np.isin(faces.sample_id, ids))

    leaks = {split.leakage for split in splits}
    return _check_classes(
        _split_of(
            *map(joined, ("train", "validation", "test")),
            f"each data set split separately: {' + '.join(f'[{split.description}]' for split in splits)}",
            leakage=next(leak for leak in (RANDOM_SHARED, SUBJECTS_SHARED, "none") if leak in leaks),
        )
    )


def random_split(faces: FaceSet, *, share: float = 0.2, seed: int) -> Split[FaceSet]:
    """Test on a random share of all images, whatever official set they are in.

    The draw is not stratified and its size is rounded down, as in fastai's `RandomSplitter`. srivastav2024
    does not state its split: a fifth of FER-2013's 35,887 images is 7,177; batches of 25 leave 7,175,
    the number in Fig. 10. Its images per class (1,264 sad, 92 disgust; a stratified draw has 1,215 and 109)
    fit an unstratified draw (chi-squared 9.5, 6 degrees of freedom, p = 0.15). PublicTest and PrivateTest
    together (7,178 images) have fewer angry images than Fig. 10.
    """
    faces = faces.labelled()
    n_test = int(share * len(faces)) if 0 < share < 1 else 0
    if not n_test:
        raise ValueError(f"share={share!r} of {len(faces)} images leaves no test or no training images")
    held_out = np.zeros(len(faces), dtype=bool)
    held_out[np.random.default_rng(seed).permutation(len(faces))[:n_test]] = True
    train, validation = stratified_holdout(faces.take(~held_out), share=VALIDATION_SHARE, seed=seed)
    description = (
        f"random {100 - 100 * share:g}/{100 * share:g} split of all {len(faces):,} images, not stratified: "
        f"{n_test:,} test images; validation is a stratified tenth of the others (seed {seed})"
    )
    test = faces.take(held_out)
    return _check_classes(_split_of(train, validation, test, description, leakage=RANDOM_SHARED))


def take_skip_split(faces: FaceSet, *, seed: int) -> Split[FaceSet]:
    """Split all images at random into 80 % training, 10 % validation and 10 % test images, not stratified.

    The sets of FER-2013 then have their official sizes, to one image.
    """
    faces = faces.labelled()
    parts = [faces.take(rows) for rows in _shuffled_parts(len(faces), seed, 3)]
    description = f"random 80/10/10 split of all {len(faces):,} images, not stratified (seed {seed})"
    return _check_classes(_split_of(*parts, description, leakage=RANDOM_SHARED))


def reshuffled_split(faces: FaceSet, *, seed: int, epochs: int) -> Split[FaceSet]:
    """Split as `tf.data` does with `shuffle`, `take` and `skip` when it reshuffles for each pass.

    Training, validation and test set are drawn independently of each other, and the first two again for
    every epoch. Four fifths of an epoch's validation images are expected among its training images, and soon
    all of them have been trained on (`Split.validation_seen`).
    """
    faces = faces.labelled()

    def rows(epoch: int) -> tuple[np.ndarray, np.ndarray]:
        return tuple(_shuffled_parts(len(faces), seed, part, epoch)[part] for part in (0, 1))

    redrawn = Redrawn(faces, rows, epochs)
    test = faces.take(_shuffled_parts(len(faces), seed, 2)[2])
    description = (
        f"80/10/10 of all {len(faces):,} images by take and skip, reshuffled for every pass: validation and "
        f"test images are trained on (seed {seed})"
    )
    return _check_classes(Split(*redrawn(0), test, description, False, RESHUFFLED, redrawn))


def cached_split(faces: FaceSet, *, seed: int) -> Split[FaceSet]:
    """Split as `reshuffled_split` does for its first epoch, and keep these sets (`cache()` of `tf.data`).

    Four fifths of the validation and test images are also training images.
    """
    first = reshuffled_split(faces, seed=seed, epochs=1)
    description = (
        f"80/10/10 of all {len(first.redrawn.faces):,} images by take and skip, shuffled separately for each "
        f"set, then cached: most validation and test images are trained on (seed {seed})"
    )
    return replace(first, description=description, leakage=OVERLAPPING, redrawn=None)


FACE_SPLITS = MappingProxyType(
    {
        "official": official_split,
        "random_80_20": random_split,
        "random_80_10_10": take_skip_split,
        "cached_80_10_10": cached_split,
        "reshuffled_80_10_10": reshuffled_split,
    }
)
"""Value of the parameter `split_by` -> the function that splits still faces."""


def stratified_holdout(samples: S, *, share: float, seed: int) -> tuple[S, S]:
    """Split off a random share of every class; returns (rest, held out), both in the original order.

    Every class of two or more samples is in both.
    """
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(samples), dtype=bool)
    for label in np.unique(samples.labels):
        members = np.flatnonzero(samples.labels == label)
        n_held_out = min(max(1, round(share * len(members))), len(members) - 1)
        held_out[rng.permutation(members)[:n_held_out]] = True
    return samples.take(~held_out), samples.take(held_out)


# --- cross-validation -----------------------------------------------------------------------------


def leave_one_subject_out(samples: S, *, strict: bool = False) -> Folds[S]:
    """Hold out every subject once, in the order of their names.

    A fold whose training set lacks a class, because only the held-out subject shows it, is skipped, or under
    `strict` an error.
    """
    subjects = np.unique(samples.subject)
    if len(subjects) < 2:
        raise ValueError(f"{samples.name}: {len(subjects)} subject; leave-one-subject-out needs at least 2")
    found, skipped = {}, []
    for subject in map(str, subjects):
        held_out = samples.subject == subject
        train = samples.take(~held_out)
        if missing := _missing_classes(train, samples):
            skipped.append(f"{subject}: no other subject shows {', '.join(missing)}")
        else:
            found[subject] = _split_of(train, None, samples.take(held_out), f"subject {subject} held out")
    if skipped and (strict or not found):
        raise ValueError(f"{samples.name}: subjects that cannot be held out: {'; '.join(skipped)}")
    description = f"leave one subject out ({len(found)} folds, pooled)"
    return Folds(samples, (*found.values(),), (*found,), description, skipped=tuple(skipped))


def random_folds(
    samples: S, *, n_folds: int, seed: int, by: str = "sample", validation: bool = False
) -> Folds[S]:
    """Hold out every sample once in random folds, stratified by class as well as the groups allow.

    Parameters
    ----------
    samples : Samples
    n_folds, seed : int
    by : {"sample", "frame", "clip", "subject"}
        What stays together: nothing (single samples or frames), the frames of a clip, or all of a subject.
    validation : bool
        Whether each split also has a validation set: the next fold.
    """
    if n_folds < 2 + validation:
        raise ValueError(f"n_folds={n_folds}: at least {2 + validation} are needed")
    fold = _fold_numbers(samples, n_folds, seed, by)
    n_subjects = len(np.unique(samples.subject))
    description = (
        f"{len(samples):,} {samples.PIXELS} of {n_subjects} subjects in {n_folds} random folds by {by}, "
        f"stratified by class (seed {seed}){'; the next fold is the validation set' if validation else ''}"
    )
    splits = []
    for number in range(n_folds):
        chosen = _validation_fold(samples, fold, number) if validation else number
        train = samples.take((fold != number) & (fold != chosen))
        held_out = samples.take(fold == chosen) if validation else None
        splits.append(_split_of(train, held_out, samples.take(fold == number), description))
    names = tuple(f"random {number}" for number in range(1, n_folds + 1))
    seen = seen_in_training(splits)
    clips_shared = by != "sample" and seen["clip"] > 0
    leakage = CLIPS_SHARED if clips_shared else SUBJECTS_SHARED if seen["subject"] else "none"
    splits = tuple(replace(split, leakage=leakage) for split in splits)
    return Folds(samples, splits, names, description, leakage)


def random_holdout(samples: S, *, share: float, seed: int) -> Split[S]:
    """Hold out a random share, not stratified, rounded up as in scikit-learn's `train_test_split`.

    A fifth of 158 clips are the 32 of dubey2020's Figs. 5-6.
    """
    held_out = np.zeros(len(samples), dtype=bool)
    held_out[np.random.default_rng(seed).permutation(len(samples))[: math.ceil(share * len(samples))]] = True
    train, test = samples.take(~held_out), samples.take(held_out)
    if not len(test) or (missing := _missing_classes(train, samples)):
        problem = f"training set has no {', '.join(missing)}" if len(test) else "test set is empty"
        raise ValueError(
            f"{samples.name}, share={share:g}, seed={seed}: {problem}; use another share or seed"
        )
    description = f"{share:.0%} of the {samples.PIXELS} held out at random (seed {seed})"
    return _split_of(train, None, test, description, leakage=SUBJECTS_SHARED)


def inner_holdout(samples: S, *, share: float, seed: int) -> tuple[S, S]:
    """Split a training set into (training, validation) by subject; validation has about `share` of it."""
    from sklearn.model_selection import StratifiedGroupKFold

    subjects = np.unique(samples.subject)
    n_folds = min(max(round(1 / share), 2), len(subjects))
    if len(subjects) < 2:
        raise ValueError(f"{samples.name}: {len(subjects)} subject; an inner validation set needs at least 2")
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    for train, held_out in folds.split(samples.labels, samples.labels, samples.subject):
        if not _missing_classes(samples.take(train), samples):
            return samples.take(train), samples.take(held_out)
    raise ValueError(f"{samples.name}: training lacks a class whichever subjects are the validation set")


def seen_in_training(splits: Iterable[Split]) -> dict[str, float]:
    """Return the share of test samples whose `clip`, and whose `subject`, is also in training."""
    return {
        key: float(np.concatenate([np.isin(of(split.test), of(split.train)) for split in splits]).mean())
        for key, of in _GROUPS.items()
    }


# --- shared steps ---------------------------------------------------------------------------------

_GROUPS = {"clip": lambda samples: clip_of(samples.sample_id), "subject": lambda samples: samples.subject}


def _split_of(
    train: S, validation: S | None, test: S, description: str, *, leakage: str | None = None
) -> Split[S]:
    """Return a split that knows whether subjects are shared; by default that is also its leakage."""
    sets = [part for part in (train, validation, test) if part is not None]
    people = [set(part.subject) - {""} for part in sets]
    disjoint = sum(map(len, people)) == len(set.union(*people))
    if disjoint and any((part.subject == "").any() for part in sets):
        disjoint = None
    if leakage is None:
        leakage = SUBJECTS_SHARED if disjoint is False else "none"
    return Split(train, validation, test, description, disjoint, leakage)


_OFFICIAL = {
    "fer2013": "FER-2013 official: Training / PublicTest / PrivateTest",
    "rafdb": "RAF-DB official: train / test",
}


def _official_of_one(faces: FaceSet, seed: int) -> Split[FaceSet]:
    present = set(np.unique(faces.split))
    if present == {"unassigned"}:
        return _random_80_10_10(faces, seed)
    if {"train", "validation", "test"} <= present:
        sets = [faces.only(name) for name in ("train", "validation", "test")]
        description = _OFFICIAL.get(faces.name, "official training, validation and test sets")
    elif present in ({"train", "test"}, {"train", "pooled_test"}):
        (held_out,) = present - {"train"}
        train, validation = stratified_holdout(faces.only("train"), share=VALIDATION_SHARE, seed=seed)
        sets = [train, validation, faces.only(held_out)]
        description = (
            "pooled test folder (PublicTest and PrivateTest cannot be told apart in this copy)"
            if held_out == "pooled_test"
            else _OFFICIAL.get(faces.name, "official training and test sets")
        ) + f"; validation is a stratified tenth of the training images (seed {seed})"
    else:
        raise ValueError(
            f"{faces.name}: only {', '.join(sorted(present))}; train and held-out images are needed"
        )
    split = _split_of(*sets, description)
    return replace(split, description=f"{description}; by subject") if split.subject_independent else split


def _random_80_10_10(faces: FaceSet, seed: int) -> Split[FaceSet]:
    description = f"random 80/10/10, stratified by class (seed {seed})"
    if (faces.subject == "").any():
        rest, test = stratified_holdout(faces, share=0.1, seed=seed)
        train, validation = stratified_holdout(rest, share=1 / 9, seed=seed)
        return _split_of(train, validation, test, description, leakage=RANDOM_SHARED)
    from sklearn.model_selection import StratifiedGroupKFold

    if (subjects := len(np.unique(faces.subject))) < 3:
        raise ValueError(f"{faces.name}: {subjects} subjects cannot be in three sets; at least 3 are needed")
    folds = StratifiedGroupKFold(min(10, subjects), shuffle=True, random_state=seed)
    held_out = [index for _, index in folds.split(faces.images, faces.labels, faces.subject)]
    in_test, in_validation = (np.isin(np.arange(len(faces)), held_out[fold]) for fold in (0, 1))
    sets = (faces.take(~in_test & ~in_validation), faces.take(in_validation), faces.take(in_test))
    return _split_of(*sets, f"{description}; by subject")


def _shuffled_parts(n: int, *seed: int) -> list[np.ndarray]:
    """Return the rows, ascending, of the training, validation and test part of a shuffled stream."""
    stream = np.random.default_rng(seed).permutation(n)
    return [
        np.sort(rows)
        for rows in np.split(stream, np.cumsum([round(share * n) for share in TAKE_SKIP_SHARES]))
    ]


def _fold_numbers(samples: Samples, n_folds: int, seed: int, by: str) -> np.ndarray:
    """Return the fold, 0 to `n_folds` - 1, of each sample."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    name, single = samples.name, by in ("sample", "frame")
    counts = np.bincount(samples.labels, minlength=len(samples.class_names))
    if single and counts.min() < n_folds:
        rarest = f"{counts.min()} {samples.PIXELS} of {samples.class_names[counts.argmin()]}"
        raise ValueError(f"{name}: {rarest} cannot be in {n_folds} folds; use fewer or leave the class out")
    groups = samples.sample_id if single else _GROUPS[by](samples)
    if (n_groups := len(np.unique(groups))) < n_folds:
        raise ValueError(f"{name}: {n_groups} {by}s cannot be in {n_folds} folds; use fewer folds")
    folds = (StratifiedKFold if single else StratifiedGroupKFold)(n_folds, shuffle=True, random_state=seed)
    fold = np.empty(len(samples), np.int64)
    drawn = folds.split(samples.labels, samples.labels, None if single else groups)
    for number, (_, held_out) in enumerate(drawn):
        fold[held_out] = number
    if len(np.unique(fold)) < n_folds:
        raise ValueError(f"{name}: {n_groups} {by}s leave one of {n_folds} folds empty; use fewer folds")
    return fold


def _validation_fold(samples: Samples, fold: np.ndarray, held_out: int) -> int:
    """Return the next fold, or the first after it that leaves every class in training."""
    n_folds, present = fold.max() + 1, np.unique(samples.labels)
    if len(present) < 2:
        raise ValueError(f"{samples.name}: only one class; a classifier needs at least 2")
    for number in ((held_out + step) % n_folds for step in range(1, n_folds)):
        train = samples.take((fold != held_out) & (fold != number))
        if not (missing := _missing_classes(train, samples)):
            return int(number)
    raise ValueError(
        f"{samples.name}: too few samples of {', '.join(missing)}; leave the class out or merge it"
    )


def _missing_classes(part: Samples, whole: Samples) -> list[str]:
    return [whole.class_names[label] for label in np.setdiff1d(whole.labels, part.labels)]


def _check_classes(split: Split[FaceSet]) -> Split[FaceSet]:
    counts = split.counts().drop(index="total", columns="total")
    name = split.train.name
    if len(counts) < 2:
        raise ValueError(f"{name}: one class only ({counts.index[0]}); a classifier needs at least 2")
    for part, column in counts.items():
        if empty := column.index[column == 0].tolist():
            raise ValueError(
                f"{name}: no image of {', '.join(empty)} in the {part} set; add some, or leave the class out"
            )
    return split
