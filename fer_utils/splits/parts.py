"""What all splits have in common: three parts, the words for them, and the names of leaks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from fer_utils.data import FaceSet, Samples

S = TypeVar("S", bound=Samples)

PARTS = ("train", "validation", "test")
VALIDATION_SHARE = 0.1

CLIPS_SHARED = "frames of one clip on both sides"
SUBJECTS_SHARED = "subjects on both sides"
RANDOM_SHARED = "random images: copies and people on both sides"
RESHUFFLED = "reshuffled for every epoch: what is reported has been trained on"
OVERLAPPING = "parts drawn apart from each other: four fifths of what is reported is trained on"
"""Names of leaks: what is trained on and reported on at once."""


@dataclass(frozen=True)
class Redrawn:
    """What trains and what validates, drawn anew for each epoch.

    Attributes
    ----------
    faces : FaceSet
        All images.
    rows : callable
        Epoch, counted from 0, -> the rows of `faces` that train in it and those that validate.
    """

    faces: FaceSet
    rows: Callable[[int], tuple[np.ndarray, np.ndarray]]

    def __call__(self, epoch: int) -> tuple[FaceSet, FaceSet]:
        """Return what trains and what validates in an epoch."""
        train, validation = self.rows(epoch)
        return self.faces.take(train), self.faces.take(validation)


@dataclass(frozen=True)
class Split:
    """Three parts of a data set, disjoint unless redrawn, and the words for how they were made.

    Attributes
    ----------
    train, validation, test : FaceSet
        Fitted on, chosen on, reported once on.
    description : str
        The split, as `protocol.split` states it.
    subject_independent : bool or None
        Whether no subject is in two parts; None where the data set does not name subjects. Of joined sets
        False where one of them shares subjects, else None where one of them does not name them.
    redrawn : Redrawn or None
        What trains and what validates in each epoch, where they are drawn anew for each; None for parts that
        stay what they are.
    """

    train: FaceSet
    validation: FaceSet
    test: FaceSet
    description: str
    subject_independent: bool | None
    redrawn: Redrawn | None = None

    def counts(self) -> pd.DataFrame:
        """Return the number of images per class (rows) and part (columns), with totals."""
        class_names = self.train.class_names
        parts = {name: getattr(self, name).labels for name in PARTS}
        counted = {name: np.bincount(labels, minlength=len(class_names)) for name, labels in parts.items()}
        table = pd.DataFrame(counted, index=pd.Index(class_names, name="class"))
        table.loc["total"] = table.sum()
        return table.assign(total=table.sum(axis=1)).rename_axis("part", axis="columns")

    def trained_on(self, epochs: int) -> FaceSet:
        """Return all images that train in one of so many epochs."""
        if self.redrawn is None:
            return self.train
        trained = np.zeros(len(self.redrawn.faces), dtype=bool)
        for epoch in range(epochs):
            trained[self.redrawn.rows(epoch)[0]] = True
        return self.redrawn.faces.take(trained)

    def validation_seen(self, epochs: int) -> np.ndarray:
        """Return what share of each epoch's validation images has trained by its end, shape (epochs,)."""
        if self.redrawn is None:
            return np.full(epochs, np.isin(self.validation.sample_id, self.train.sample_id).mean())
        trained, shares = np.zeros(len(self.redrawn.faces), dtype=bool), np.zeros(epochs)
        for epoch in range(epochs):
            train, validation = self.redrawn.rows(epoch)
            trained[train] = True
            shares[epoch] = trained[validation].mean()
        return shares


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


def subjects_disjoint(*parts: FaceSet) -> bool | None:
    """Return whether no subject is in two parts, or None where one of them is not known."""
    if any((part.subject == "").any() for part in parts):
        return None
    people = [set(part.subject) for part in parts]
    return sum(map(len, people)) == len(set.union(*people))


def check_classes(split: Split) -> Split:
    """Return a split as it is.

    Raises
    ------
    ValueError
        When there is one class only, or one of them has no image in a part.
    """
    name, class_names = split.train.name, split.train.class_names
    if len(class_names) < 2:
        raise ValueError(f"{name}: one class only ({', '.join(class_names)}); a classifier needs two or more")
    for part in PARTS:
        counts = np.bincount(getattr(split, part).labels, minlength=len(class_names))
        if empty := [class_name for class_name, count in zip(class_names, counts, strict=True) if not count]:
            raise ValueError(
                f"{name}: no image of {', '.join(empty)} in {part}; add some, or leave the class out"
            )
    return split
