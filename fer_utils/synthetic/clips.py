"""Synthetic micro-expressions: clips like those of SMIC.

What is drawn is a `Performance`, a face as a function of time; a camera takes its frames. A single frame of a
clip hardly tells its label, the change from the onset does: every clip has a usual expression of its own that
has nothing to do with the label, and the movement starts below it and rises above it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fer_utils.data.clips.clipset import ClipSet
from fer_utils.data.clips.reading import resample
from fer_utils.labels import SMIC3
from fer_utils.synthetic.identity import Identity, check_size
from fer_utils.synthetic.motion import (
    EXPRESSIONS,
    MICRO_PEAK,
    MICRO_SECONDS,
    Movement,
    Performance,
    Sway,
    check_classes,
    check_request,
    draw_asymmetry,
    draw_movement,
    draw_setting,
    draw_usual_face,
)

__all__ = ["EXPRESSIONS", "Movement", "Performance", "synthetic_clip", "synthetic_clips"]

CLIPS_PER_SUBJECT = 10.25
"""On average: SMIC's high-speed part has 164 clips of 16 subjects."""

_SMIC_CLIPS = {"negative": 70, "positive": 51, "surprise": 43}
_OTHER_CLIPS = 50  # the weight of a class that SMIC does not have
_SMIC_SUBJECTS = (39, 22, 19, 13, 13, 10, 9, 8, 7, 6, 6, 4, 4, 2, 1, 1)
"""Clips of each subject: the largest as in SMIC, the others falling off to the same sum."""

_PERSON, _CLIP, _PLAN = 1, 2, 3  # last part of a seed, so that nothing is drawn from the same one twice


def synthetic_clips(
    *,
    n_subjects: int = 16,
    clips_per_subject: float = CLIPS_PER_SUBJECT,
    class_names: Sequence[str] = SMIC3,
    n_frames: int = 18,
    size: int = 64,
    frame_rate: float = 100.0,
    seed: int = 0,
) -> ClipSet:
    """Film a data set of micro-expressions, uneven like SMIC's.

    Every frame from onset to offset is drawn at `frame_rate` and the clip then resampled to `n_frames`, as
    real clips are. The default set has SMIC's 70, 51 and 43 clips, 39 of them of one subject; some subjects
    lack a class, but every class has clips of at least two.

    Parameters
    ----------
    n_subjects : int
        People; with the same seed they are those of `synthetic_faces`.
    clips_per_subject : float
        On average; the proportions stay.
    class_names : sequence of str
        Keys of `EXPRESSIONS`, in label order.
    n_frames : int
        Frames of every clip in the set.
    size : int
        Side of the frames in pixels.
    frame_rate : float
        The camera's, in frames per second; SMIC's are 100 and 25.
    seed : int
        Non-negative. A clip depends on (seed, subject, number, class) alone.

    Returns
    -------
    ClipSet
        `source` is "synthetic", sample ids are like ``synthetic-clip-s003-0007``; frame 0 is the onset.

    Raises
    ------
    ValueError
        An unknown class, a frame rate below 10, too few clips for the classes, fewer than two frames, or a
        size too small for a face.
    """
    class_names = tuple(class_names)
    check_request(class_names, frame_rate, seed)
    check_size(size)
    plan = _plan(n_subjects, round(n_subjects * clips_per_subject), class_names, seed)
    clips = np.empty((len(plan), n_frames, size, size), np.uint8)
    times = np.empty((len(plan), 3), np.int64)
    for row, (subject, number, label) in enumerate(plan):
        shown = _performance(subject, number, class_names[label], seed)
        movement = shown.movements[0]
        times[row] = np.rint(frame_rate * np.array((movement.onset, movement.apex, movement.offset)))
        film = shown.film(times[row, 2] + 1, frame_rate=frame_rate, size=size)
        clips[row] = resample(np.stack(list(film)), n_frames=n_frames)
    return ClipSet(
        name="synthetic",
        source="synthetic",
        clips=clips,
        labels=np.array([label for _, _, label in plan], np.int64),
        class_names=class_names,
        sample_id=np.array([f"synthetic-clip-s{s:03d}-{i:04d}" for s, i, _ in plan]),
        subject=np.array([f"s{subject:03d}" for subject, _, _ in plan]),
        frame_rate=np.full(len(plan), frame_rate),
        onset=times[:, 0],
        apex=times[:, 1],
        offset=times[:, 2],
        notes=(f"drawn by the project's face generator, seed {seed}; no person is shown",),
    )


def synthetic_clip(sample_id: str, label: str, *, seed: int = 0) -> Performance:
    """Return what a clip of `synthetic_clips` shows, for its action units, masks and single frames.

    Parameters
    ----------
    sample_id : str
        Such as ``synthetic-clip-s003-0007``.
    label : str
        The clip's class.
    seed : int
        The data set's.

    Raises
    ------
    ValueError
        An id of another form, or an unknown class.
    """
    parts = sample_id.split("-")
    if len(parts) != 4 or parts[:2] != ["synthetic", "clip"] or not (parts[2][1:] + parts[3]).isdecimal():
        raise ValueError(
            f"{sample_id!r} is no id of a synthetic clip; they are like 'synthetic-clip-s003-0007'"
        )
    check_classes((label,))
    return _performance(int(parts[2][1:]), int(parts[3]), label, seed)


def _performance(subject: int, number: int, label: str, seed: int) -> Performance:
    person = np.random.default_rng((seed, subject, 0, _PERSON))
    scene, usual = draw_setting(person), draw_usual_face(person, strongest=0.4)
    rng = np.random.default_rng((seed, subject, number, _CLIP))
    mood = draw_usual_face(rng, strongest=0.6)
    turned = Sway.sample(rng).move(scene, 0.0)  # nobody holds the head alike twice
    sway = Sway.sample(rng)
    asymmetry = draw_asymmetry(rng)
    seconds, peak = rng.uniform(*MICRO_SECONDS), rng.uniform(*MICRO_PEAK)
    movement = draw_movement(label, rng, start=0.0, seconds=seconds, peak=peak)
    middle = {unit: usual[unit] + mood[unit] - 0.5 * movement.units.get(unit, 0.0) for unit in usual}
    return Performance(
        identity=Identity.sample((seed, subject)),
        rest={unit: min(max(intensity, 0.0), 1.0) for unit, intensity in middle.items()},
        movements=(movement,),
        scene=replace(turned, seed=int(rng.integers(2**31))),
        sway=sway,
        asymmetry=asymmetry,
    )


def _plan(n_subjects: int, n_clips: int, class_names: Sequence[str], seed: int) -> list[tuple[int, int, int]]:
    """Say which clips there are: subject, number and label, in the order of the set."""
    n_classes = len(class_names)
    if n_subjects < 2 or n_clips < 2 * n_classes + n_subjects - 2:
        raise ValueError(
            f"{n_clips} clips of {n_subjects} subjects are too few for {n_classes} classes that two subjects "
            "show each; raise n_subjects or clips_per_subject"
        )
    rng = np.random.default_rng((seed, 0, 0, _PLAN))
    middles = (np.arange(n_subjects) + 0.5) * len(_SMIC_SUBJECTS) / n_subjects - 0.5
    weights = np.interp(middles, range(len(_SMIC_SUBJECTS)), _SMIC_SUBJECTS)
    fixed = np.where(np.arange(n_subjects) < 2, n_classes, 0)  # two show all: no class has a single owner
    sizes = _share_out(n_clips, weights, at_least=np.maximum(fixed, 1))
    weights = np.array([_SMIC_CLIPS.get(name, _OTHER_CLIPS) for name in class_names])
    counts = _share_out(n_clips, weights, at_least=np.full(n_classes, 2))
    free = rng.permutation(np.repeat(np.arange(n_classes), counts - 2))
    shown = np.split(free, np.cumsum(sizes - fixed)[:-1])
    shown[:2] = (np.append(part, np.arange(n_classes)) for part in shown[:2])
    rng.shuffle(shown)
    return [
        (subject, number, int(label))
        for subject, labels in enumerate(shown)
        for number, label in enumerate(rng.permutation(labels))
    ]


def _share_out(total: int, weights: np.ndarray, *, at_least: np.ndarray) -> np.ndarray:
    """Share out in proportion, but `at_least` to each."""
    counts = at_least.copy()
    while counts.sum() < total:  # the next goes where most is owed
        counts[np.argmax(total * weights / weights.sum() - counts)] += 1
    return counts
