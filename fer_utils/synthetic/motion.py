"""Synthetic persons who move: action units, head and camera noise as functions of time in seconds.

`synthetic_video` films a `Performance` for spotting and the live demo. `synthetic_clips` films
micro-expressions like those of SMIC: a single frame hardly tells the label of a clip, because each has a
resting expression of its own, unrelated to the label; the movement starts below it and rises above it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fer_utils.data import ClipSet
from fer_utils.data.clip_files import resample
from fer_utils.labels import SMIC3
from fer_utils.synthetic.faces import distribute, expression_units, sample_asymmetry
from fer_utils.synthetic.identity import PROTOTYPES, Identity, Scene
from fer_utils.synthetic.render import render_face

EXPRESSIONS = {
    **{name: (name,) for name, units in PROTOTYPES.items() if units},
    "negative": ("disgust", "sad", "fear", "angry"),
    "positive": ("happy",),
}
"""Expressions of each class; SMIC's "negative" pools four."""

MICRO_SECONDS, MICRO_PEAK = (0.2, 0.5), (0.15, 0.5)
"""Duration (Yan et al., *How fast are the leaked facial expressions*, 2013) and intensity of the strongest
action unit at the apex."""
MACRO_SECONDS, MACRO_PEAK = (0.7, 2.0), (0.5, 1.0)

_RESTING_UNITS = tuple(sorted({unit for units in PROTOTYPES.values() for unit in units}))
_GAP = 0.5  # seconds between expressions of a video
_SMIC_CLIPS = np.array((70, 51, 43))  # of each class
_SMIC_SUBJECTS = (39, 22, 19, 13, 13, 10, 9, 8, 7, 6, 6, 4, 4, 2, 1, 1)
"""Clips of each subject: the largest as in SMIC, the others falling off to the same sum."""

_PERSON, _CLIP, _PLAN, _VIDEO = 1, 2, 3, 4  # last part of a seed, so that no two samples share one

Sway = Mapping[str, tuple[float, float, float]]
"""Slight head movement: amplitude, hertz and phase by the field of `Scene` that moves."""


@dataclass(frozen=True)
class Movement:
    """Action units that rise from onset to apex and are gone at the offset, which are in seconds."""

    label: str  # its class, or "blink"
    units: Mapping[int, float]  # added to the resting face at the apex
    onset: float
    apex: float
    offset: float

    def strength(self, time: float) -> float:
        """Return the share of the apex reached at a time: smooth, 0 outside onset to offset."""
        rise = (time - self.onset) / (self.apex - self.onset)
        fall = (self.offset - time) / (self.offset - self.apex)
        share = min(max(min(rise, fall), 0.0), 1.0)
        return share * share * (3 - 2 * share)


@dataclass(frozen=True)
class Performance:
    """A person's face over time; `scene` and `asymmetry` as in `render_face`."""

    identity: Identity
    rest: Mapping[int, float]  # action units that stay throughout
    movements: tuple[Movement, ...]  # added to the rest; together no unit exceeds 1
    scene: Scene
    sway: Sway
    asymmetry: float

    @property
    def events(self) -> tuple[Movement, ...]:
        """Its expressions in the order of their onsets; micro-expressions last half a second at most."""
        return tuple(movement for movement in self.movements if movement.label != "blink")

    def units(self, time: float) -> dict[int, float]:
        """Return the action-unit intensities at a time."""
        units = dict(self.rest)
        for movement in self.movements:
            if strength := movement.strength(time):
                for unit, peak in movement.units.items():
                    units[unit] = min(units.get(unit, 0.0) + strength * peak, 1.0)
        return units

    def frame(self, time: float, *, size: int) -> np.ndarray:
        """Render one instant: uint8, (size, size). The same time gives the same noise."""
        scene = _sway(self.scene, self.sway, time)
        scene = replace(scene, seed=scene.seed + round(1e6 * time))
        return render_face(self.identity, self.units(time), size=size, scene=scene, asymmetry=self.asymmetry)


def synthetic_video(
    *,
    seconds: float,
    n_micro: int = 4,
    n_macro: int = 2,
    class_names: Sequence[str] = SMIC3,
    seed: int = 0,
) -> Performance:
    """Return a person in front of a camera, mostly neutral, for spotting and the live demo.

    There are blinks, micro- and macro-expressions (0.7 to 2 seconds). These are of random classes of
    `class_names` (keys of `EXPRESSIONS`), in random order and at least half a second apart.
    """
    rng = np.random.default_rng((seed, 0, 0, _VIDEO))
    scene = replace(sample_studio(rng), scale=1.0)
    micro = [(rng.uniform(*MICRO_SECONDS), rng.uniform(*MICRO_PEAK)) for _ in range(n_micro)]
    macro = [(rng.uniform(*MACRO_SECONDS), rng.uniform(*MACRO_PEAK)) for _ in range(n_macro)]
    durations, peaks = rng.permutation([*micro, *macro]).reshape(-1, 2).T
    spare = seconds - durations.sum() - _GAP * (len(durations) + 1)
    if spare < 0:
        total = f"{len(durations)} expressions of {durations.sum():.1f} s"
        raise ValueError(f"{total} do not fit into {seconds} s")
    pauses = np.sort(rng.uniform(0, spare, len(durations))) + _GAP * np.arange(1, len(durations) + 1)
    starts = pauses + np.cumsum(durations) - durations
    events = [
        sample_movement(str(rng.choice(class_names)), rng, start=start, seconds=length, peak=peak)
        for start, length, peak in zip(starts, durations, peaks, strict=True)
    ]
    rest = sample_resting_units(rng, strongest=0.2)
    blinks, start = [], rng.uniform(0.5, 4.0)
    while start < seconds:
        length = rng.uniform(0.15, 0.35)
        blinks.append(Movement("blink", {43: 1.0}, start, start + 0.4 * length, start + length))
        start += rng.uniform(2.0, 6.0)
    identity, movements = Identity.sample((seed, 0, 1, _VIDEO)), (*events, *blinks)
    return Performance(identity, rest, movements, scene, _sample_sway(rng), sample_asymmetry(rng))


def sample_studio(rng: np.random.Generator) -> Scene:
    """Sample a laboratory scene: frontal face, plain background, a better camera than for stills."""
    scene = Scene.sample(rng)
    angles = {name: 0.4 * getattr(scene, name) for name in ("roll", "yaw", "pitch")}
    return replace(scene, **angles, blur=0.5 * scene.blur, noise=float(rng.uniform(1.0, 2.5)))


def sample_resting_units(rng: np.random.Generator, *, strongest: float) -> dict[int, float]:
    """Sample a resting expression, unrelated to any label, from the units that movements consist of."""
    active = rng.random(len(_RESTING_UNITS)) < 0.6
    intensities = active * rng.uniform(0.0, strongest, len(_RESTING_UNITS))
    return dict(zip(_RESTING_UNITS, intensities.tolist(), strict=True))


def _sample_sway(rng: np.random.Generator) -> Sway:
    """Sample the head movement of a person who sits still."""
    amplitudes = {"yaw": 1.5, "pitch": 1.2, "roll": 0.8, "shift_x": 0.006, "shift_y": 0.006}
    waves = {}
    for name, amplitude in amplitudes.items():
        share, hertz, phase = rng.uniform((0.3, 0.1, 0.0), (1.0, 0.5, 2 * math.pi)).tolist()
        waves[name] = amplitude * share, hertz, phase
    return waves


def _sway(scene: Scene, sway: Sway, time: float) -> Scene:
    moved = {
        name: getattr(scene, name) + amplitude * math.sin(2 * math.pi * hertz * time + phase)
        for name, (amplitude, hertz, phase) in sway.items()
    }
    return replace(scene, **moved)


def sample_movement(
    label: str, rng: np.random.Generator, *, start: float, seconds: float, peak: float
) -> Movement:
    """Sample a movement of a class in `EXPRESSIONS` whose strongest unit reaches `peak`."""
    units = expression_units(str(rng.choice(EXPRESSIONS[label])), rng)
    strongest = max(units.values())
    units = {unit: float(peak * intensity / strongest) for unit, intensity in units.items()}
    apex = start + seconds * rng.uniform(0.3, 0.6)
    return Movement(label, units, float(start), float(apex), float(start + seconds))


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

    A clip, rendered at `frame_rate` and resampled to `n_frames`, depends on (seed, subject, number, class)
    alone. The default set has SMIC's 70, 51 and 43 clips, 39 of them of one subject; some subjects lack a
    class, but every class has clips of at least two. Subjects are the persons of `synthetic_faces`.
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
    """Return the performance that a clip of `synthetic_clips` shows; `label` is a key of `EXPRESSIONS`."""
    subject, number = (int(text.lstrip("s")) for text in sample_id.split("-")[-2:])
    person = np.random.default_rng((seed, subject, 0, _PERSON))
    scene, usual = sample_studio(person), sample_resting_units(person, strongest=0.4)
    rng = np.random.default_rng((seed, subject, number, _CLIP))
    mood = sample_resting_units(rng, strongest=0.6)
    turned = _sway(scene, _sample_sway(rng), 0.0)  # the head's position differs between clips
    sway = _sample_sway(rng)
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
