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
    """Split a data set as its makers did.

    Where a copy pools its held-out images, they are all reported on and a stratified tenth of the training
    images chooses instead; the description says so.

    Raises
    ------
    ValueError
        When the data set has no training images or nothing held out.
    """
    present = set(np.unique(faces.split))
    if {"train", "validation", "test"} <= present:
        train, validation, test = (faces.only(name) for name in ("train", "validation", "test"))
        description = _OFFICIAL.get(faces.name)
    elif {"train", "pooled_test"} <= present:
        train, validation = stratified_holdout(faces.only("train"), share=VALIDATION_SHARE, seed=seed)
        test = faces.only("pooled_test")
        description = "pooled test folder (PublicTest and PrivateTest cannot be told apart in this copy)"
    else:
        raise ValueError(
            f"{faces.name}: has only {', '.join(sorted(present))}; train and held-out images are needed"
        )
    disjoint = _subjects_disjoint(train, validation, test)
    if description is None:
        by_subject = "split by subject: no identity is in two parts"
        description = by_subject if disjoint else "the data set's own training, validation and test parts"
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


_OFFICIAL = {"fer2013": "FER-2013 official: Training / PublicTest / PrivateTest"}


def _subjects_disjoint(*parts: FaceSet) -> bool | None:
    if any((part.subject == "").any() for part in parts):
        return None
    people = [set(part.subject) for part in parts]
    return sum(map(len, people)) == len(set.union(*people))
