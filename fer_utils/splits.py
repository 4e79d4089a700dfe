"""Which images train, which choose, which are reported, and what they share."""

from dataclasses import dataclass

import numpy as np

from fer_utils.data import FaceSet

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
        train, validation, test = _random_parts(faces, seed=seed)
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


def stratified_holdout(faces: FaceSet, *, share: float, seed: int) -> tuple[FaceSet, FaceSet]:
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


def _random_parts(faces: FaceSet, *, seed: int) -> tuple[FaceSet, FaceSet, FaceSet]:
    if not (faces.subject != "").all():
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


def stratified_folds(faces: FaceSet, *, n_folds: int, seed: int) -> list[tuple[FaceSet, FaceSet]]:
    """Return (training, validation) parts for cross-validation: every image validates once.

    Folds are stratified by class, and where all subjects are known no subject is in both parts.

    Raises
    ------
    ValueError
        When a class, or the data set, has too few images or subjects for the folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    counts = np.bincount(faces.labels, minlength=len(faces.class_names))
    smallest = int(counts.argmin())
    if counts[smallest] < n_folds:
        raise ValueError(
            f"{faces.name}: {counts[smallest]} images of {faces.class_names[smallest]} cannot be in "
            f"{n_folds} folds; use at most {counts[smallest]} folds or leave the class out"
        )
    by_subject = bool((faces.subject != "").all())
    if by_subject and (subjects := len(np.unique(faces.subject))) < n_folds:
        raise ValueError(f"{faces.name}: {subjects} subjects cannot be kept apart in {n_folds} folds")
    kind = StratifiedGroupKFold if by_subject else StratifiedKFold
    groups = faces.subject if by_subject else None
    folds = kind(n_folds, shuffle=True, random_state=seed).split(faces.labels, faces.labels, groups)
    return [(faces.take(train), faces.take(held_out)) for train, held_out in folds]


_OFFICIAL = {"fer2013": "FER-2013 official: Training / PublicTest / PrivateTest"}


def _subjects_disjoint(*parts: FaceSet) -> bool | None:
    if any((part.subject == "").any() for part in parts):
        return None
    people = [set(part.subject) for part in parts]
    return sum(map(len, people)) == len(set.union(*people))
