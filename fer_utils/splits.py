"""Training, validation and test sets, cross-validation folds, and the data leakage that each has."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

from fer_utils.data import FaceSet, Samples, clip_of, separate
from fer_utils.data.duplicates import near_duplicates

S = TypeVar("S", bound=Samples)

CLIPS_SHARED = "frames of one clip on both sides"
SUBJECTS_SHARED = "subjects on both sides"
RANDOM_SHARED = "random split: duplicates and subjects on both sides"
RESHUFFLED = "reshuffled for every epoch: test images are trained on"
OVERLAPPING = "sets drawn independently of each other: four fifths of the test images are trained on"
"""Names of data leakage, as `protocol.leakage` of a run states them; the name of no leakage is "none"."""

OFFICIAL = {
    "fer2013": "FER-2013 official: Training / PublicTest / PrivateTest",
    "rafdb": "RAF-DB official: train / test",
}
POOLED = "pooled test folder (PublicTest and PrivateTest cannot be told apart in this copy)"


@dataclass(frozen=True)
class Redrawn:
    """Training and validation sets drawn again for each epoch: `rows` gives those of an epoch, from 0."""

    faces: FaceSet
    rows: Callable[[int], tuple[np.ndarray, np.ndarray]]
    epochs: int

    def __call__(self, epoch: int) -> tuple[FaceSet, ...]:
        """Return the training and validation images of an epoch."""
        return tuple(map(self.faces.take, self.rows(epoch)))


@dataclass(frozen=True, eq=False)
class Split(Generic[S]):
    """A training, a validation and a test set, and how they were made.

    `validation` is None where no setting is selected, as in leave-one-subject-out with a fixed epoch. The
    `description` of a fold is its name, such as the subject held out. `leakage` does not cover exact
    duplicates (`repeated`). Where sets are `redrawn`, `train` and `validation` are those of the first epoch.
    """

    train: S
    validation: S | None
    test: S
    description: str
    leakage: str = "none"
    redrawn: Redrawn | None = None

    @property
    def sets(self) -> dict[str, S]:
        """The sets by name; without validation where there is none."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: samples for name, samples in named.items() if samples is not None}

    @cached_property
    def subject_independent(self) -> bool | None:
        """Whether no sample and no subject is in two of the sets; None where not all subjects are known."""
        for column in ("sample_id", "subject"):
            names = np.concatenate([np.unique(getattr(part, column)) for part in self.sets.values()])
            names = names[names != ""]
            if len(np.unique(names)) < len(names):
                return False
        return None if any((part.subject == "").any() for part in self.sets.values()) else True

    @property
    def n_samples(self) -> int:
        """Number of samples in all sets together."""
        return sum(map(len, self.sets.values()))

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

    def counts(self) -> pd.DataFrame:
        """Return the number of samples per class (rows) and set (columns), with totals."""
        names = self.test.class_names
        counted = {key: np.bincount(part.labels, minlength=len(names)) for key, part in self.sets.items()}
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


@dataclass(frozen=True, eq=False)
class Folds(Generic[S]):
    """The splits of a cross-validation of `samples`; `skipped` has the impossible folds with the reason."""

    samples: S
    splits: list[Split[S]]
    description: str
    leakage: str = "none"
    skipped: tuple[str, ...] = ()

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


def split_faces(faces: FaceSet, params: Any) -> Split[FaceSet]:
    """Split still faces as `params.split_by` says, a key of `FACE_SPLITS`; uses `seed` and `epochs`, too."""
    extra = {"epochs": params.epochs} if params.split_by == "reshuffled_80_10_10" else {}
    split = FACE_SPLITS[params.split_by](faces, seed=params.seed, **extra)
    counts = split.counts().drop(index="total", columns="total")
    if len(counts) < 2:
        raise ValueError(f"{faces.name}: one class only ({counts.index[0]}); a classifier needs at least 2")
    for part, column in counts.items():
        if empty := ", ".join(column.index[column == 0]):
            advice = "add some, or leave the class out"
            raise ValueError(f"{faces.name}: no image of {empty} in the {part} set; {advice}")
    return split


def official_split(faces: FaceSet, *, seed: int = 0) -> Split[FaceSet]:
    """Split a data set as its authors did, or at random where they did not.

    Without an official validation set, or where a copy pools validation and test images, a stratified tenth
    of the training images is the validation set and all held-out images are the test set. A data set without
    any official split is split 80/10/10, stratified by class and, where the subjects are known, by subject.
    Sets joined by `combine` are split separately and then joined.
    """
    # The split does not depend on the pixels, of which joined sets have many.
    parts = separate(replace(faces, images=faces.images[:, :1, :1]))
    if len(parts) == 1:
        return _official_of_one(faces, seed)
    splits = [_official_of_one(part, seed) for part in parts]
    ids = {name: np.concatenate([split.sets[name].sample_id for split in splits]) for name in splits[0].sets}
    sets = [faces.take(np.isin(faces.sample_id, one)) for one in ids.values()]
    description = " + ".join(f"[{split.description}]" for split in splits)
    leakage = max((split.leakage for split in splits), key=["none", SUBJECTS_SHARED, RANDOM_SHARED].index)
    return Split(*sets, f"each data set split separately: {description}", leakage)


def distinct_split(faces: FaceSet, *, seed: int) -> Split[FaceSet]:
    """Split as `official_split` does, but train on no exact or near duplicate of a held-out image."""
    split, pairs = official_split(faces, seed=seed), near_duplicates(faces)
    held_out = ~np.isin(faces.sample_id, split.train.sample_id)
    copied = np.isin(faces.digests, faces.digests[held_out])
    for image, other in (("first", "second"), ("second", "first")):
        copied[pairs[image][held_out[pairs[other]]]] = True
    kept = ~np.isin(split.train.sample_id, faces.sample_id[copied])
    removed = f"{np.sum(~kept):,} training images with a duplicate in the other sets are left out"
    return replace(split, train=split.train.take(kept), description=f"{split.description}; {removed}")


def random_split(faces: FaceSet, *, seed: int) -> Split[FaceSet]:
    """Test on a random fifth of all images, whatever official set they are in.

    Not stratified, rounded down, as by fastai's `RandomSplitter`: it fits Fig. 10 of srivastav2024.
    """
    n_test = int(0.2 * len(faces))
    held_out = _random_mask(len(faces), n_test, seed)
    train, validation = stratified_holdout(faces.take(~held_out), share=0.1, seed=seed)
    description = f"random 80/20 split of all {len(faces):,} images, not stratified: {n_test:,} test images; "
    description += f"validation is a stratified tenth of the others (seed {seed})"
    return Split(train, validation, faces.take(held_out), description, RANDOM_SHARED)


def take_skip_split(faces: FaceSet, *, seed: int, shuffle: str = "once", epochs: int = 1) -> Split[FaceSet]:
    """Split all images 80/10/10, not stratified, as `take` and `skip` of `tf.data` do after `shuffle`.

    "once": the sets are disjoint. "every epoch": the images are shuffled again for every pass, so that the
    three sets are drawn independently of each other, and training and validation set again for each of
    `epochs` (`Split.validation_seen`). "every set": the sets of the first epoch are kept (`cache()`).
    The shares fit the steps that bamb2023 prints: 574 of 50 images are 80 % of the 718 batches in FER-2013.
    """
    ends = np.cumsum([round(share * len(faces)) for share in (0.8, 0.1)])

    def rows(part: int, *stream: int) -> np.ndarray:
        shuffled = np.random.default_rng((seed, *stream)).permutation(len(faces))
        return np.sort(np.split(shuffled, ends)[part])

    if shuffle == "once":
        sets = [faces.take(rows(part, 3)) for part in range(3)]
        description = f"random 80/10/10 split of all {len(faces):,} images, not stratified (seed {seed})"
        return Split(*sets, description, RANDOM_SHARED)
    redrawn = Redrawn(faces, lambda epoch: (rows(0, 0, epoch), rows(1, 1, epoch)), epochs)
    sets = (*redrawn(0), faces.take(rows(2, 2)))
    description = f"80/10/10 of all {len(faces):,} images by take and skip"
    if shuffle == "every epoch":
        description += f", reshuffled for every pass: validation and test images are trained on (seed {seed})"
        return Split(*sets, description, RESHUFFLED, redrawn)
    description += ", shuffled separately for each set, then cached: most validation and test images are "
    return Split(*sets, f"{description}trained on (seed {seed})", OVERLAPPING)


def _random_mask(n: int, n_drawn: int, seed: int) -> np.ndarray:
    return np.isin(np.arange(n), np.random.default_rng(seed).permutation(n)[:n_drawn])


FACE_SPLITS = {
    "official": official_split,
    "official_distinct": distinct_split,
    "random_80_20": random_split,
    "random_80_10_10": take_skip_split,
    "cached_80_10_10": partial(take_skip_split, shuffle="every set"),
    "reshuffled_80_10_10": partial(take_skip_split, shuffle="every epoch"),
}
"""Value of the parameter `split_by` -> the function that splits still faces."""


def stratified_holdout(samples: S, *, share: float, seed: int) -> tuple[S, S]:
    """Split off a random share of every class; returns (rest, held out), both in the original order."""
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(samples), dtype=bool)
    for label in np.unique(samples.labels):
        members = np.flatnonzero(samples.labels == label)
        n_held_out = min(max(1, round(share * len(members))), len(members) - 1)
        held_out[rng.permutation(members)[:n_held_out]] = True
    return samples.take(~held_out), samples.take(held_out)


def leave_one_subject_out(samples: S, *, strict: bool = False) -> Folds[S]:
    """Hold out every subject once, in the order of their names.

    A fold whose training set lacks a class, because only the held-out subject shows it, is skipped, or under
    `strict` an error.
    """
    subjects = np.unique(samples.subject)
    if len(subjects) < 2:
        raise ValueError(f"{samples.name}: {len(subjects)} subject; leave-one-subject-out needs at least 2")
    splits, skipped = [], []
    for subject in map(str, subjects):
        held_out = samples.subject == subject
        train = samples.take(~held_out)
        if missing := _missing_classes(train, samples):
            skipped.append(f"{subject}: no other subject shows {', '.join(missing)}")
        else:
            splits.append(Split(train, None, samples.take(held_out), subject))
    if skipped and (strict or not splits):
        raise ValueError(f"{samples.name}: subjects that cannot be held out: {'; '.join(skipped)}")
    description = f"leave one subject out ({len(splits)} folds, pooled)"
    return Folds(samples, splits, description, skipped=tuple(skipped))


def random_folds(
    samples: S, *, n_folds: int, seed: int, by: str = "sample", validation: bool = False
) -> Folds[S]:
    """Test on every sample once, in random folds that are stratified by class.

    `by` is what is kept whole: "sample", "frame", "clip" or "subject"; samples and frames that are drawn
    singly have their subjects on both sides. With `validation` each split also has a validation set: the next
    fold that leaves every class in training.
    """
    if validation and len(np.unique(samples.labels)) < 2:
        raise ValueError(f"{samples.name}: only one class; a classifier needs at least 2")
    fold = _fold_numbers(samples, n_folds, seed, by)
    description = f"{len(samples):,} {samples.PIXELS} of {len(np.unique(samples.subject))} subjects in "
    description += f"{n_folds} random folds by {by}, stratified by class (seed {seed})"
    description += "; the next fold is the validation set" if validation else ""
    splits = []
    for number in range(n_folds):
        train, held_out = fold != number, None
        if validation:
            others = [fold == (number + step) % n_folds for step in range(1, n_folds)]
            mask = _leaving_all_classes(samples, others, within=train)
            train, held_out = train & ~mask, samples.take(mask)
        test = samples.take(fold == number)
        splits.append(Split(samples.take(train), held_out, test, f"random {number + 1}"))
    seen = seen_in_training(splits)
    clips_shared = by != "sample" and seen["clip"] > 0
    leakage = CLIPS_SHARED if clips_shared else SUBJECTS_SHARED if seen["subject"] else "none"
    return Folds(samples, [replace(split, leakage=leakage) for split in splits], description, leakage)


def random_holdout(samples: S, *, share: float, seed: int) -> Split[S]:
    """Hold out a random share, not stratified, rounded up as in scikit-learn's `train_test_split`.

    A fifth of 158 clips are the 32 of dubey2020's Figs. 5-6.
    """
    held_out = _random_mask(len(samples), math.ceil(share * len(samples)), seed)
    train = samples.take(~held_out)
    if missing := _missing_classes(train, samples):
        where = f"{samples.name}, share={share:g}, seed={seed}"
        raise ValueError(f"{where}: training set has no {', '.join(missing)}; use another share or seed")
    description = f"{share:.0%} of the {samples.PIXELS} held out at random (seed {seed})"
    return Split(train, None, samples.take(held_out), description, SUBJECTS_SHARED)


def inner_holdout(samples: S, *, share: float, seed: int) -> tuple[S, S]:
    """Split a training set into (training, validation) by subject; validation has about `share` of it."""
    n_folds = max(2, min(round(1 / share), len(np.unique(samples.subject))))
    fold = _fold_numbers(samples, n_folds, seed, "subject")
    validation = _leaving_all_classes(samples, [fold == number for number in range(n_folds)])
    return samples.take(~validation), samples.take(validation)


def seen_in_training(splits: Iterable[Split]) -> dict[str, float]:
    """Return the share of test samples whose `clip`, and whose `subject`, is also in training."""
    shares = {}
    for by in ("clip", "subject"):
        seen = [np.isin(_groups(split.test, by), _groups(split.train, by)) for split in splits]
        shares[by] = float(np.concatenate(seen).mean())
    return shares


def _official_of_one(faces: FaceSet, seed: int) -> Split[FaceSet]:
    present, leakage = set(np.unique(faces.split)), "none"
    if present == {"unassigned"}:
        description = f"random 80/10/10, stratified by class (seed {seed})"
        if (faces.subject == "").any():
            rest, test = stratified_holdout(faces, share=0.1, seed=seed)
            sets = [*stratified_holdout(rest, share=1 / 9, seed=seed), test]
            leakage = RANDOM_SHARED
        else:
            n_folds = min(10, max(3, len(np.unique(faces.subject))))
            fold = _fold_numbers(faces, n_folds, seed, "subject")
            sets = [faces.take(rows) for rows in (fold > 1, fold == 1, fold == 0)]
    elif {"train", "validation", "test"} <= present:
        sets = [faces.only(name) for name in ("train", "validation", "test")]
        description = OFFICIAL.get(faces.name, "official training, validation and test sets")
    elif present in ({"train", "test"}, {"train", "pooled_test"}):
        (held_out,) = present - {"train"}
        train, validation = stratified_holdout(faces.only("train"), share=0.1, seed=seed)
        sets = [train, validation, faces.only(held_out)]
        official = OFFICIAL.get(faces.name, "official training and test sets")
        description = POOLED if held_out == "pooled_test" else official
        description += f"; validation is a stratified tenth of the training images (seed {seed})"
    else:
        only = ", ".join(sorted(present))
        raise ValueError(f"{faces.name}: only {only}; train and held-out images are needed")
    split = Split(*sets, description, leakage)
    if split.subject_independent:
        return replace(split, description=f"{description}; by subject")
    if split.subject_independent is False and leakage == "none":
        return replace(split, leakage=SUBJECTS_SHARED)
    return split


def _groups(samples: Samples, by: str) -> np.ndarray:
    """Return the group of each sample: its subject, its clip, or itself."""
    if by == "subject":
        return samples.subject
    return clip_of(samples.sample_id) if by == "clip" else samples.sample_id


def _fold_numbers(samples: Samples, n_folds: int, seed: int, by: str) -> np.ndarray:
    """Return the random fold, 0 to `n_folds` - 1, of each sample; groups stay whole."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    groups, single = _groups(samples, by), by in ("sample", "frame")
    counts = np.bincount(samples.labels, minlength=len(samples.class_names))
    if single and counts.min() < n_folds:
        rarest = f"{counts.min()} {samples.PIXELS} of {samples.class_names[counts.argmin()]}"
        advice = "use fewer or leave the class out"
        raise ValueError(f"{samples.name}: {rarest} cannot be in {n_folds} folds; {advice}")
    n_groups, fold = len(np.unique(groups)), np.full(len(samples), -1)
    if n_groups >= n_folds:
        kind = StratifiedKFold if single else StratifiedGroupKFold
        kfold = kind(n_folds, shuffle=True, random_state=seed)
        drawn = kfold.split(samples.labels, samples.labels, None if single else groups)
        for number, (_, held_out) in enumerate(drawn):
            fold[held_out] = number
    if len(np.unique(fold)) < n_folds:
        raise ValueError(f"{samples.name}: {n_groups} {by}s cannot be in {n_folds} folds; use fewer folds")
    return fold


def _leaving_all_classes(
    samples: Samples, candidates: Iterable[np.ndarray], *, within: np.ndarray | bool = True
) -> np.ndarray:
    """Return the first of the masks to hold out that leaves every class in the rest of `within`."""
    for held_out in candidates:
        if not (missing := _missing_classes(samples.take(within & ~held_out), samples)):
            return held_out
    few = f"too few samples of {', '.join(missing)}"
    raise ValueError(f"{samples.name}: {few} for a validation set; leave the class out or merge it")


def _missing_classes(part: Samples, whole: Samples) -> list[str]:
    return [whole.class_names[label] for label in np.setdiff1d(whole.labels, part.labels)]
