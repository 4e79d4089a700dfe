"""Synthetic persons who move: action units, head and camera noise as functions of time in seconds.

A `Performance` is a face over time, from which any frame can be rendered. `synthetic_video` films one for
spotting and the live demo; `synthetic_clips` films a data set of micro-expressions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fer_utils.labels import SMIC3
from fer_utils.synthetic.faces import PROTOTYPES, expression_units, sample_asymmetry
from fer_utils.synthetic.identity import Identity, Scene
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
_VIDEO = 4  # last part of a seed; clips use 1 to 3


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
class Sway:
    """Slight head movement: amplitude, hertz and phase by the field of `Scene` that moves."""

    waves: Mapping[str, tuple[float, float, float]]

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Sway":
        """Return the movement of a person who sits still."""
        amplitudes = {"yaw": 1.5, "pitch": 1.2, "roll": 0.8, "shift_x": 0.006, "shift_y": 0.006}
        waves = {}
        for name, amplitude in amplitudes.items():
            share, hertz, phase = rng.uniform((0.3, 0.1, 0.0), (1.0, 0.5, 2 * math.pi)).tolist()
            waves[name] = amplitude * share, hertz, phase
        return cls(waves)

    def move(self, scene: Scene, time: float) -> Scene:
        """Return the scene at a time."""
        moved = {
            name: getattr(scene, name) + amplitude * math.sin(2 * math.pi * hertz * time + phase)
            for name, (amplitude, hertz, phase) in self.waves.items()
        }
        return replace(scene, **moved)


@dataclass(frozen=True)
class Performance:
    """A person's face over time; `scene` and `asymmetry` as in `render_face`."""

    identity: Identity
    rest: Mapping[int, float]  # action units that stay throughout
    movements: tuple[Movement, ...]  # added to the rest; together no unit exceeds 1
    scene: Scene
    sway: Sway
    asymmetry: float = 0.0

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
        scene = self.sway.move(self.scene, time)
        scene = replace(scene, seed=scene.seed + round(1e6 * time))
        return render_face(self.identity, self.units(time), size=size, scene=scene, asymmetry=self.asymmetry)


@dataclass(frozen=True)
class SyntheticVideo:
    """One person in front of a camera: mostly neutral, with blinks and expressions at known times."""

    performance: Performance
    n_frames: int
    frame_rate: float
    size: int

    @property
    def events(self) -> tuple[Movement, ...]:
        """The expressions in the order of their onsets; micro-expressions last half a second at most."""
        return tuple(movement for movement in self.performance.movements if movement.label != "blink")


def synthetic_video(
    *,
    seconds: float = 20.0,
    frame_rate: float = 100.0,
    size: int = 128,
    n_micro: int = 4,
    n_macro: int = 2,
    class_names: Sequence[str] = SMIC3,
    seed: int = 0,
) -> SyntheticVideo:
    """Film one person for spotting and the live demo.

    There are `n_micro` micro-expressions and `n_macro` expressions of 0.7 to 2 seconds, of random classes of
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
    performance = Performance(
        identity=Identity.sample((seed, 0, 1, _VIDEO)),
        rest=rest,
        movements=(*events, *blinks),
        scene=scene,
        sway=Sway.sample(rng),
        asymmetry=sample_asymmetry(rng),
    )
    return SyntheticVideo(performance, round(seconds * frame_rate), frame_rate, size)


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


def sample_movement(
    label: str, rng: np.random.Generator, *, start: float, seconds: float, peak: float
) -> Movement:
    """Sample a movement of a class in `EXPRESSIONS` whose strongest unit reaches `peak`."""
    units = expression_units(str(rng.choice(EXPRESSIONS[label])), rng)
    strongest = max(units.values())
    return Movement(
        label=label,
        units={unit: float(peak * intensity / strongest) for unit, intensity in units.items()},
        onset=float(start),
        apex=float(start + seconds * rng.uniform(0.3, 0.6)),
        offset=float(start + seconds),
    )
