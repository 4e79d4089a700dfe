"""Which images or clips train, which choose, which are reported, and whether anybody is on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from fer_utils.data import FaceSet
from fer_utils.data.clips.clipset import clip_of
from fer_utils.data.samples import Samples

S = TypeVar("S", bound=Samples)

VALIDATION_SHARE = 0.1

CLIPS_SHARED = "frames of one clip on both sides"
SUBJECTS_SHARED = "subjects on both sides"
"""Names of leaks: what is trained on and reported on at once."""


@dataclass(frozen=True)
class Split:
    """Three disjoint parts of a data set and the words for how they were made.

    Attributes
    ----------
    train, validation, test : FaceSet
        Fitted on, chosen on, reported once on.
    description : str
        The split, as `protocol.split` states it.
    subject_independent : bool or None
        Whether no subject is in two parts; None where the data set does not name subjects.
    """

    train: FaceSet
    validation: FaceSet
    test: FaceSet
    description: str
    subject_independent: bool | None


def official_split(faces: FaceSet, *, seed: int = 0) -> Split:
    """Split a data set as its makers did, or at random where they did not.

    Where a data set has no part to choose on, or a copy pools its held-out images, they are all reported on
    and a stratified tenth of the training images chooses instead. A data set without parts is split 80/10/10,
    stratified by class, and no subject is in two parts. The description says which it was. Images without a
    class are left out.

    Raises
    ------
    ValueError
        When the data set has no training images or nothing held out, has one class only, or a class has no
        images in one of the parts.
    """
    faces = faces.labelled()
    present = set(np.unique(faces.split))
    if {"train", "validation", "test"} <= present:
        train, validation, test = (faces.only(name) for name in ("train", "validation", "test"))
        description = _OFFICIAL.get(faces.name)
    elif present in ({"train", "test"}, {"train", "pooled_test"}):
        (held_out,) = present - {"train"}
        train, validation = stratified_holdout(faces.only("train"), share=VALIDATION_SHARE, seed=seed)
        test = faces.only(held_out)
        tenth = f"a stratified tenth of the training images chooses (seed {seed})"
        description = _POOLED if held_out == "pooled_test" else f"{_official(faces)}; {tenth}"
    elif present == {"unassigned"}:
        train, validation, test = _random_parts(faces, seed)
        description = f"random 80/10/10, stratified by class (seed {seed})"
    else:
        raise ValueError(
            f"{faces.name}: has only {', '.join(sorted(present))}; train and held-out images are needed"
        )
    _check_classes(faces.name, {"train": train, "validation": validation, "test": test})
    disjoint = _subjects_disjoint(train, validation, test)
    if description is None:
        by_subject = "split by subject: no identity is in two parts"
        description = by_subject if disjoint else "the data set's own training, validation and test parts"
    elif disjoint:
        description += "; no subject is in two parts"
    return Split(train, validation, test, description, disjoint)


def split_frames(
    frames: FaceSet, *, by: Literal["frame", "clip", "subject"], n_folds: int, seed: int
) -> tuple[Split, ...]:
    """Hold out every frame of some clips once, keeping together what `by` says.

    "frame" keeps nothing together: of neighbouring frames of one movement, which hardly differ, some are
    trained on and others reported. "clip" keeps a movement whole; the same people are on all sides. "subject"
    is the honest one. The folds are drawn at random and stratified by class as well as the groups allow.
    Whichever it is, all frames are reported on once, so that the three can be compared.

    Parameters
    ----------
    frames : FaceSet
        From `ClipSet.frames`.
    by : {"frame", "clip", "subject"}
    n_folds : int
        In each fold one part of `n_folds` is reported, another one chooses, and the rest is fitted on.
    seed : int

    Returns
    -------
    tuple of Split, length `n_folds`

    Raises
    ------
    ValueError
        For fewer than three folds, fewer frames, clips or subjects than folds, one class only, or a class
        that is in too few of the parts.
    """
    fold = _random_folds(frames, by, n_folds, seed)
    clips, subjects = (len(np.unique(names)) for names in (clip_of(frames.sample_id), frames.subject))
    description = (
        f"{len(frames):,} frames of {clips} clips of {subjects} subjects in {n_folds} random folds by {by}, "
        f"stratified by class (seed {seed}); each is reported once, another one then chooses, the rest trains"
    )
    splits = []
    for held_out in range(n_folds):
        chooses = _choosing_fold(frames, fold, held_out)
        test, validation = (frames.take(fold == part) for part in (held_out, chooses))
        train = frames.take((fold != held_out) & (fold != chooses))
        disjoint = _subjects_disjoint(train, validation, test)
        splits.append(Split(train, validation, test, description, disjoint))
    return tuple(splits)


def seen_in_training(splits: Sequence[Split]) -> dict[str, float]:
    """Return the share of the reported frames whose `clip`, and whose `subject`, is trained on as well."""
    names = {"clip": lambda part: clip_of(part.sample_id), "subject": lambda part: part.subject}
    return {
        key: float(np.concatenate([np.isin(of(split.test), of(split.train)) for split in splits]).mean())
        for key, of in names.items()
    }


def frame_leak(splits: Sequence[Split]) -> str:
    """Return the name of the leak in splits of frames, as `protocol.leakage` states it, or "none"."""
    seen = seen_in_training(splits)
    return CLIPS_SHARED if seen["clip"] else SUBJECTS_SHARED if seen["subject"] else "none"


def stratified_holdout(faces: S, *, share: float, seed: int) -> tuple[S, S]:
    """Split off a share of every class at random; returns (rest, held out), both in the original order.

    Every class of two or more images is in both parts.
    """
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(faces), dtype=bool)
    for label in np.unique(faces.labels):
        members = np.flatnonzero(faces.labels == label)
        n_held_out = min(max(1, round(share * len(members))), len(members) - 1)
        held_out[rng.permutation(members)[:n_held_out]] = True
    return faces.take(~held_out), faces.take(held_out)


def _random_parts(faces: FaceSet, seed: int) -> tuple[FaceSet, FaceSet, FaceSet]:
    if (faces.subject == "").any():
        rest, test = stratified_holdout(faces, share=0.1, seed=seed)
        train, validation = stratified_holdout(rest, share=1 / 9, seed=seed)
        return train, validation, test
    from sklearn.model_selection import StratifiedGroupKFold

    subjects = len(np.unique(faces.subject))
    if subjects < 3:
        raise ValueError(f"{faces.name}: {subjects} subjects cannot be in three parts; at least 3 are needed")
    folds = StratifiedGroupKFold(min(10, subjects), shuffle=True, random_state=seed)
    held_out = [index for _, index in folds.split(faces.images, faces.labels, faces.subject)]
    in_test, in_validation = (np.isin(np.arange(len(faces)), held_out[fold]) for fold in (0, 1))
    return faces.take(~in_test & ~in_validation), faces.take(in_validation), faces.take(in_test)


def _random_folds(frames: FaceSet, by: str, n_folds: int, seed: int) -> np.ndarray:
    """Return the fold, 0 to `n_folds` - 1, of each frame."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if n_folds < 3:
        raise ValueError(f"{n_folds} folds cannot train, choose and report; at least 3 are needed")
    groups = {"frame": frames.sample_id, "clip": clip_of(frames.sample_id), "subject": frames.subject}[by]
    if (count := len(np.unique(groups))) < n_folds:
        raise ValueError(f"{frames.name}: {count} {by}s cannot be in {n_folds} folds; use at most {count}")
    kind = StratifiedKFold if by == "frame" else StratifiedGroupKFold
    kept_together = None if by == "frame" else groups
    folds = kind(n_folds, shuffle=True, random_state=seed).split(frames.labels, frames.labels, kept_together)
    fold = np.empty(len(frames), np.int64)
    for number, (_, held_out) in enumerate(folds):
        fold[held_out] = number
    if len(np.unique(fold)) < n_folds:
        raise ValueError(f"{frames.name}: {count} {by}s leave one of {n_folds} folds empty; use fewer folds")
    return fold


def _choosing_fold(frames: FaceSet, fold: np.ndarray, held_out: int) -> int:
    # The next one, unless the rest would then lack a class.
    n_folds, present = fold.max() + 1, np.unique(frames.labels)
    if len(present) < 2:
        raise ValueError(f"{frames.name}: frames of one class only; a classifier needs two or more")
    for chooses in ((held_out + step) % n_folds for step in range(1, n_folds)):
        rest = frames.labels[(fold != held_out) & (fold != chooses)]
        if len(lacking := np.setdiff1d(present, rest)) == 0:
            return int(chooses)
    names = ", ".join(frames.class_names[label] for label in lacking)
    raise ValueError(f"{frames.name}: too few show {names} to train and report on; leave it out or merge it")


def _check_classes(name: str, parts: dict[str, FaceSet]) -> None:
    class_names = parts["train"].class_names
    if len(class_names) < 2:
        raise ValueError(f"{name}: one class only ({', '.join(class_names)}); a classifier needs two or more")
    for part, faces in parts.items():
        counts = np.bincount(faces.labels, minlength=len(class_names))
        if empty := [class_name for class_name, count in zip(class_names, counts, strict=True) if not count]:
            raise ValueError(
                f"{name}: no image of {', '.join(empty)} in {part}; add some, or leave the class out"
            )


_OFFICIAL = {
    "fer2013": "FER-2013 official: Training / PublicTest / PrivateTest",
    "rafdb": "RAF-DB official: train / test",
}
_POOLED = "pooled test folder (PublicTest and PrivateTest cannot be told apart in this copy)"


def _official(faces: FaceSet) -> str:
    return _OFFICIAL.get(faces.name, "the data set's own training and test parts")


def _subjects_disjoint(*parts: FaceSet) -> bool | None:
    if any((part.subject == "").any() for part in parts):
        return None
    people = [set(part.subject) for part in parts]
    return sum(map(len, people)) == len(set.union(*people))
