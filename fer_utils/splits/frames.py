"""Splits of single frames of clips: by frame, by clip or by subject, and what the first two leak."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fer_utils.data import FaceSet, clip_of
from fer_utils.splits.parts import CLIPS_SHARED, SUBJECTS_SHARED, Split, subjects_disjoint


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
        disjoint = subjects_disjoint(train, validation, test)
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
