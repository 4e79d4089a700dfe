"""Which images or clips train, which choose, which are reported, and whether anybody is on both sides."""

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from fer_utils.data import FaceSet
from fer_utils.data.clips.clipset import clip_of
from fer_utils.data.samples import Samples

S = TypeVar("S", bound=Samples)

VALIDATION_SHARE = 0.1


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

    Where a copy pools its held-out images, they are all reported on and a stratified tenth of the training
    images chooses instead. A data set without parts is split 80/10/10, stratified by class, and no subject is
    in two parts. The description says which it was. Images without a class are left out.

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
    elif {"train", "pooled_test"} <= present:
        train, validation = stratified_holdout(faces.only("train"), share=VALIDATION_SHARE, seed=seed)
        test = faces.only("pooled_test")
        description = "pooled test folder (PublicTest and PrivateTest cannot be told apart in this copy)"
    elif present == {"unassigned"}:
        known = (faces.subject != "").all()
        train, validation, test = _random_parts(faces, faces.subject if known else None, seed)
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


def split_frames(frames: FaceSet, *, by: Literal["frame", "clip", "subject"], seed: int) -> Split:
    """Split the frames of clips (`ClipSet.frames`) 80/10/10 at random, keeping together what `by` says.

    "frame" keeps nothing together: neighbouring frames of one movement, which hardly differ, are trained on
    and reported. "clip" keeps a movement whole, and the same people are on all sides. "subject" is the honest
    one. All three are stratified by class as well as the groups allow.

    Raises
    ------
    ValueError
        For fewer than three clips or subjects, or a class without frames in one of the parts.
    """
    groups = {"frame": None, "clip": clip_of(frames.sample_id), "subject": frames.subject}[by]
    parts = dict(zip(("train", "validation", "test"), _random_parts(frames, groups, seed), strict=True))
    _check_classes(frames.name, parts)
    description = f"frames, random 80/10/10 by {by}, stratified by class (seed {seed})"
    return Split(*parts.values(), description, _subjects_disjoint(*parts.values()))


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


def _random_parts(faces: FaceSet, groups: np.ndarray | None, seed: int) -> tuple[FaceSet, FaceSet, FaceSet]:
    if groups is None:
        rest, test = stratified_holdout(faces, share=0.1, seed=seed)
        train, validation = stratified_holdout(rest, share=1 / 9, seed=seed)
        return train, validation, test
    from sklearn.model_selection import StratifiedGroupKFold

    count = len(np.unique(groups))
    if count < 3:
        what = "subjects" if groups is faces.subject else "clips"
        raise ValueError(f"{faces.name}: {count} {what} cannot be in three parts; at least 3 are needed")
    folds = StratifiedGroupKFold(min(10, count), shuffle=True, random_state=seed)
    held_out = [index for _, index in folds.split(faces.images, faces.labels, groups)]
    in_test, in_validation = (np.isin(np.arange(len(faces)), held_out[fold]) for fold in (0, 1))
    return faces.take(~in_test & ~in_validation), faces.take(in_validation), faces.take(in_test)


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


_OFFICIAL = {"fer2013": "FER-2013 official: Training / PublicTest / PrivateTest"}


def _subjects_disjoint(*parts: FaceSet) -> bool | None:
    if any((part.subject == "").any() for part in parts):
        return None
    people = [set(part.subject) for part in parts]
    return sum(map(len, people)) == len(set.union(*people))
