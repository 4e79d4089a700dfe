"""Synthetic micro-expressions: clips like those of SMIC.

A single frame of a clip hardly tells its label, the change from the onset does: every clip has a resting
expression of its own that is unrelated to the label, and the movement starts below it and rises above it.
"""

from dataclasses import replace

import numpy as np

from fer_utils.data import ClipSet
from fer_utils.data.clip_files import resample
from fer_utils.labels import SMIC3
from fer_utils.synthetic.faces import distribute, sample_asymmetry
from fer_utils.synthetic.identity import Identity
from fer_utils.synthetic.motion import (
    MICRO_PEAK,
    MICRO_SECONDS,
    Performance,
    Sway,
    sample_movement,
    sample_resting_units,
    sample_studio,
)

_SMIC_CLIPS = np.array((70, 51, 43))  # of each class
_SMIC_SUBJECTS = (39, 22, 19, 13, 13, 10, 9, 8, 7, 6, 6, 4, 4, 2, 1, 1)
"""Clips of each subject: the largest as in SMIC, the others falling off to the same sum."""

_PERSON, _CLIP, _PLAN = 1, 2, 3  # last part of a seed, so that no two samples share one


def synthetic_clips(
    *,
    n_subjects: int = 16,
    clips_per_subject: float = 10.25,
    n_frames: int = 18,
    size: int = 64,
    frame_rate: float = 100.0,
    seed: int = 0,
) -> ClipSet:
    """Film a data set of micro-expressions as unbalanced as SMIC.

    Every frame from onset to offset is rendered at `frame_rate` and the clip then resampled to `n_frames`,
    like real clips. The default set has SMIC's 70, 51 and 43 clips, 39 of them of one subject; some subjects
    lack a class, but every class has clips of at least two. A clip depends on (seed, subject, number, class)
    alone; with the same seed the subjects are the persons of `synthetic_faces`. Sample ids are like
    ``synthetic-clip-s003-0007``; frame 0 is the onset.
    """
    if frame_rate < 10:
        raise ValueError(f"frame_rate must be at least 10, got {frame_rate}")
    plan = _plan(n_subjects, round(n_subjects * clips_per_subject), seed)
    clips = np.empty((len(plan), n_frames, size, size), np.uint8)
    times = np.empty((len(plan), 3), np.int64)
    ids = [f"synthetic-clip-s{subject:03d}-{number:04d}" for subject, number, _ in plan]
    for row, (*_, label) in enumerate(plan):
        performance = synthetic_clip(ids[row], SMIC3[label], seed=seed)
        movement = performance.movements[0]
        times[row] = np.rint(frame_rate * np.array((movement.onset, movement.apex, movement.offset)))
        frames = [performance.frame(number / frame_rate, size=size) for number in range(times[row, 2] + 1)]
        clips[row] = resample(np.stack(frames), n_frames)
    return ClipSet(
        name="synthetic",
        source="synthetic",
        clips=clips,
        labels=np.array([label for _, _, label in plan], np.int64),
        class_names=SMIC3,
        sample_id=np.array(ids),
        subject=np.array([f"s{subject:03d}" for subject, _, _ in plan]),
        frame_rate=np.full(len(plan), frame_rate),
        onset=times[:, 0],
        apex=times[:, 1],
        offset=times[:, 2],
        notes=(f"synthetic clips rendered by this project, seed {seed}; no real person is shown",),
    )


def synthetic_clip(sample_id: str, label: str, *, seed: int = 0) -> Performance:
    """Return the performance that a clip of `synthetic_clips` shows, for its action units, masks and frames.

    `label` is the clip's class, or another key of `EXPRESSIONS`; `seed` is the data set's.
    """
    subject, number = (int(text.lstrip("s")) for text in sample_id.split("-")[-2:])
    person = np.random.default_rng((seed, subject, 0, _PERSON))
    scene, usual = sample_studio(person), sample_resting_units(person, strongest=0.4)
    rng = np.random.default_rng((seed, subject, number, _CLIP))
    mood = sample_resting_units(rng, strongest=0.6)
    turned = Sway.sample(rng).move(scene, 0.0)  # the head's position differs between clips
    sway = Sway.sample(rng)
    asymmetry = sample_asymmetry(rng)
    seconds, peak = rng.uniform(*MICRO_SECONDS), rng.uniform(*MICRO_PEAK)
    movement = sample_movement(label, rng, start=0.0, seconds=seconds, peak=peak)
    middle = {unit: usual[unit] + mood[unit] - 0.5 * movement.units.get(unit, 0.0) for unit in usual}
    rest = {unit: min(max(intensity, 0.0), 1.0) for unit, intensity in middle.items()}
    identity, scene = Identity.sample((seed, subject)), replace(turned, seed=int(rng.integers(2**31)))
    return Performance(identity, rest, (movement,), scene, sway, asymmetry)


def _plan(n_subjects: int, n_clips: int, seed: int) -> list[tuple[int, int, int]]:
    """Return subject, number and label of each clip, in the order of the set."""
    n_classes = len(SMIC3)
    if n_subjects < 2 or n_clips < 2 * n_classes + n_subjects - 2:
        too_few = f"{n_clips} clips of {n_subjects} subjects are too few for {n_classes} classes"
        raise ValueError(f"{too_few} with two subjects each; raise n_subjects or clips_per_subject")
    rng = np.random.default_rng((seed, 0, 0, _PLAN))
    middles = (np.arange(n_subjects) + 0.5) * len(_SMIC_SUBJECTS) / n_subjects - 0.5
    weights = np.interp(middles, range(len(_SMIC_SUBJECTS)), _SMIC_SUBJECTS)
    fixed = np.where(np.arange(n_subjects) < 2, n_classes, 0)  # two subjects have all classes
    sizes = distribute(n_clips, weights, at_least=np.maximum(fixed, 1))
    counts = distribute(n_clips, _SMIC_CLIPS, at_least=np.full(n_classes, 2))
    free = rng.permutation(np.repeat(np.arange(n_classes), counts - 2))
    shown = np.split(free, np.cumsum(sizes - fixed)[:-1])
    shown[:2] = (np.append(part, np.arange(n_classes)) for part in shown[:2])
    rng.shuffle(shown)
    return [
        (subject, number, int(label))
        for subject, labels in enumerate(shown)
        for number, label in enumerate(rng.permutation(labels))
    ]
