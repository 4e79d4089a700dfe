"""Splits of still faces: as the makers of a data set did it, or a random part of all images."""

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from fer_utils.data import FaceSet, separate
from fer_utils.files import ConfigError
from fer_utils.splits.parts import (
    OVERLAPPING,
    RANDOM_SHARED,
    RESHUFFLED,
    SUBJECTS_SHARED,
    VALIDATION_SHARE,
    Split,
    check_classes,
    stratified_holdout,
    subjects_disjoint,
)
from fer_utils.splits.take_skip import cached_split, reshuffled_split, take_skip_split


def split_stills(faces: FaceSet, *, by: str = "official", seed: int = 0) -> Split:
    """Split still faces in the way that the parameter `split_by` names.

    Parameters
    ----------
    faces : FaceSet
    by : {"official", "random_80_20", "random_80_10_10", "cached_80_10_10", "reshuffled_80_10_10"}
        A key of `STILL_SPLITS`: `official_split`, `random_split` with a fifth reported, `take_skip_split`,
        `cached_split` or `reshuffled_split`.
    seed : int

    Raises
    ------
    ConfigError
        For another name.
    ValueError
        As the five.
    """
    if by not in STILL_SPLITS:
        raise ConfigError(f"split_by={by!r}: still faces are split by {', '.join(STILL_SPLITS)}")
    return STILL_SPLITS[by](faces, seed=seed)


def stills_leak(split: Split, *, by: str) -> str:
    """Return the name of the leak in a split of still faces, as `protocol.leakage` states it, or "none".

    Images drawn at random have it whatever the set, and so have those of sets without parts whose people are
    not known: nobody knows who is on both sides, and near duplicates cross the parts. Exact ones are counted
    (`duplicates.shared_with`), for every split. Of sets joined by `combine` each is judged by itself, and the
    worst leak is that of the split.

    Parameters
    ----------
    split : Split
    by : str
        How it was made: a key of `STILL_SPLITS`.
    """
    if split.redrawn is not None:
        return RESHUFFLED
    if by == "cached_80_10_10":
        return OVERLAPPING
    if by != "official":
        return RANDOM_SHARED
    leaks = {_leak_of_one(*parts) for parts in _by_set(split.train, split.validation, split.test)}
    return next(leak for leak in (RANDOM_SHARED, SUBJECTS_SHARED, "none") if leak in leaks)


def official_split(faces: FaceSet, *, seed: int = 0) -> Split:
    """Split a data set as its makers did, or at random where they did not.

    Where a data set has no part to choose on, or a copy pools its held-out images, they are all reported on
    and a stratified tenth of the training images chooses instead. A data set without parts is split 80/10/10,
    stratified by class, and no subject is in two parts. Of sets joined by `combine` each is split by itself
    and their parts are then joined, so that every set is in all three. The description says which it was.
    Images without a class are left out.

    Raises
    ------
    ValueError
        When the data set, or one of those joined, has no training images or nothing held out; when there is
        one class only, or a class has no images in one of the parts.
    """
    faces = faces.labelled()
    sets = _sets_in(faces)
    if len(sets) == 1:
        return check_classes(_alone(faces, seed))
    return check_classes(_joined(faces, [_alone(one, seed) for one in sets]))


def random_split(faces: FaceSet, *, share: float = 0.2, seed: int) -> Split:
    """Report on a random share of all images, whatever part their makers had put them in.

    The draw takes no account of classes, and its size is rounded down, as `RandomSplitter` of fastai does it.
    srivastav2024 does not state its split. A fifth of FER-2013's 35,887 images is 7,177, of which batches of
    25 leave 7,175: as many as Fig. 10 counts. Its images per class (1,264 sad and 92 disgust, where a
    stratified draw has 1,215 and 109) are those of an unstratified draw (chi-squared 9.5, 6 degrees of
    freedom, p = 0.15). PublicTest and PrivateTest together, 7,178 images, have fewer angry ones than Fig. 10.

    It is no split to prefer: copies of one photograph, exact or nearly so, and pictures of one person come
    on both sides (`stills_leak`).

    Parameters
    ----------
    faces : FaceSet
        Images without a class are left out.
    share : float
        Between 0 and 1.
    seed : int

    Returns
    -------
    Split
        Of the images that are not reported, a stratified tenth chooses and the rest trains; all in the
        order of `faces`.

    Raises
    ------
    ValueError
        For a share that reports none or all of the images, one class only, or a class that has no images in
        one of the parts.
    """
    faces = faces.labelled()
    n_test = int(share * len(faces)) if 0 < share < 1 else 0
    if not n_test:
        raise ValueError(f"share={share!r} of {len(faces)} images: nothing would be reported, or all")
    reported = np.zeros(len(faces), dtype=bool)
    reported[np.random.default_rng(seed).permutation(len(faces))[:n_test]] = True
    train, validation = stratified_holdout(faces.take(~reported), share=VALIDATION_SHARE, seed=seed)
    test = faces.take(reported)
    description = (
        f"random {100 - 100 * share:g}/{100 * share:g} of all images: {n_test:,} of {len(faces):,}, drawn "
        "without regard to class or official part, are reported; a stratified tenth of the others chooses "
        f"(seed {seed})"
    )
    disjoint = _for_all(subjects_disjoint(*parts) for parts in _by_set(train, validation, test))
    return check_classes(Split(train, validation, test, description, disjoint))


STILL_SPLITS = MappingProxyType(
    {
        "official": official_split,
        "random_80_20": random_split,
        "random_80_10_10": take_skip_split,
        "cached_80_10_10": cached_split,
        "reshuffled_80_10_10": reshuffled_split,
    }
)
"""Value of the parameter `split_by` for still faces -> what splits them."""


def _alone(faces: FaceSet, seed: int) -> Split:
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
    disjoint = subjects_disjoint(train, validation, test)
    if description is None:
        by_subject = "split by subject: no identity is in two parts"
        description = by_subject if disjoint else "the data set's own training, validation and test parts"
    elif disjoint:
        description += "; no subject is in two parts"
    return Split(train, validation, test, description, disjoint)


def _joined(faces: FaceSet, splits: list[Split]) -> Split:
    def part(name: str) -> FaceSet:
        ids = np.concatenate([getattr(split, name).sample_id for split in splits])
        return faces.take(np.isin(faces.sample_id, ids))

    each = " + ".join(f"[{split.description}]" for split in splits)
    description = f"each set split by itself, then joined: {each}"
    disjoint = _for_all(split.subject_independent for split in splits)
    return Split(part("train"), part("validation"), part("test"), description, disjoint)


def _for_all(disjoint: Iterable[bool | None]) -> bool | None:
    # One set whose people are on both sides is enough to say so, whatever is known of the others.
    found = {*disjoint}
    return False if False in found else None if None in found else True


def _by_set(*parts: FaceSet) -> list[tuple[FaceSet, ...]]:
    """Return these parts of each set that was joined; of any other set they are as they are."""
    apart = [_sets_in(part) for part in parts]
    return list(zip(*apart, strict=True)) if len({*map(len, apart)}) == 1 else [parts]


def _sets_in(faces: FaceSet) -> tuple[FaceSet, ...]:
    # Who is where does not depend on the pixels, of which joined sets have many.
    return separate(replace(faces, images=faces.images[:, :1, :1]))


def _leak_of_one(train: FaceSet, validation: FaceSet, test: FaceSet) -> str:
    disjoint = subjects_disjoint(train, validation, test)
    if disjoint is None and (test.split == "unassigned").any():
        return RANDOM_SHARED
    return SUBJECTS_SHARED if disjoint is False else "none"


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


_OFFICIAL = {
    "fer2013": "FER-2013 official: Training / PublicTest / PrivateTest",
    "rafdb": "RAF-DB official: train / test",
}
_POOLED = "pooled test folder (PublicTest and PrivateTest cannot be told apart in this copy)"


def _official(faces: FaceSet) -> str:
    return _OFFICIAL.get(faces.name, "the data set's own training and test parts")
