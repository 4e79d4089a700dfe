"""Synthetic people who move: action units, head and camera noise as functions of time in seconds."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from fer_utils.synthetic.faces import PROTOTYPES, expression_units
from fer_utils.synthetic.identity import Identity, Scene, Seed
from fer_utils.synthetic.render import action_unit_mask, render_face

EXPRESSIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **{name: (name,) for name, units in PROTOTYPES.items() if units},
        "negative": ("disgust", "sad", "fear", "angry"),
        "positive": ("happy",),
    }
)
"""Which expressions a class has; SMIC puts four into one."""

MICRO_SECONDS = (0.2, 0.5)
"""From onset to offset; what takes longer is no micro-expression (Yan et al., *How fast are the leaked facial
expressions*, 2013)."""

MICRO_PEAK = (0.15, 0.5)
"""Strength of a micro-expression's strongest action unit at the apex."""

_RESTING_UNITS = tuple(sorted({unit for units in PROTOTYPES.values() for unit in units}))
_LOWEST_FRAME_RATE = 10.0


@dataclass(frozen=True)
class Movement:
    """A facial movement: action units that rise from the onset to the apex and are gone at the offset.

    Attributes
    ----------
    label : str
        Its class, or "blink".
    units : mapping of int to float
        What is added to the resting face at the apex.
    onset, apex, offset : float
        Seconds.
    """

    label: str
    units: Mapping[int, float]
    onset: float
    apex: float
    offset: float

    def __post_init__(self) -> None:
        if not self.onset < self.apex < self.offset:
            times = f"onset {self.onset}, apex {self.apex}, offset {self.offset}"
            raise ValueError(f"{self.label}: {times} must follow each other")

    @property
    def seconds(self) -> float:
        """Time from onset to offset."""
        return self.offset - self.onset

    @property
    def peak(self) -> float:
        """Strength of the strongest unit at the apex."""
        return max(self.units.values())

    def strength(self, time: float) -> float:
        """Return the share of the apex reached at a time: smooth, 0 outside onset to offset."""
        rise = (time - self.onset) / (self.apex - self.onset)
        fall = (self.offset - time) / (self.offset - self.apex)
        share = min(max(min(rise, fall), 0.0), 1.0)
        return share * share * (3 - 2 * share)


@dataclass(frozen=True, slots=True)
class Sway:
    """Slight movement of the head: each part an amplitude, a frequency in hertz and a phase in radians.

    Angles are in degrees, `x` and `y` in shares of the picture.
    """

    yaw: tuple[float, float, float]
    pitch: tuple[float, float, float]
    roll: tuple[float, float, float]
    x: tuple[float, float, float]
    y: tuple[float, float, float]

    @classmethod
    def sample(cls, seed: Seed) -> "Sway":
        """Draw how somebody who sits still moves all the same."""
        rng = np.random.default_rng(seed)
        amplitudes = (1.5, 1.2, 0.8, 0.006, 0.006)
        return cls(
            *(
                (amplitude * rng.uniform(0.3, 1.0), rng.uniform(0.1, 0.5), rng.uniform(0, 2 * math.pi))
                for amplitude in amplitudes
            )
        )

    def move(self, scene: Scene, time: float) -> Scene:
        """Return the scene as it is at a time."""
        yaw, pitch, roll, x, y = (
            amplitude * math.sin(2 * math.pi * hertz * time + phase)
            for amplitude, hertz, phase in (self.yaw, self.pitch, self.roll, self.x, self.y)
        )
        return replace(
            scene,
            yaw=scene.yaw + yaw,
            pitch=scene.pitch + pitch,
            roll=scene.roll + roll,
            shift=(scene.shift[0] + x, scene.shift[1] + y),
        )


@dataclass(frozen=True)
class Performance:
    """What somebody's face does, from which a frame can be drawn for every instant.

    Attributes
    ----------
    identity : Identity
    rest : mapping of int to float
        Action units that stay throughout.
    movements : tuple of Movement
        Added to the rest; together no unit exceeds 1.
    scene : Scene
        Its clutter must be 0: one seed draws clutter and noise, and only the noise may flicker.
    sway : Sway
    asymmetry : float
        As in `render_face`.
    """

    identity: Identity
    rest: Mapping[int, float]
    movements: tuple[Movement, ...]
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

    def picture(self, time: float, *, size: int) -> np.ndarray:
        """Draw one instant: uint8, (size, size). The same time gives the same noise."""
        scene = self.sway.move(self.scene, time)
        scene = replace(scene, seed=scene.seed + round(1e6 * time))
        return render_face(self.identity, self.units(time), size=size, scene=scene, asymmetry=self.asymmetry)

    def film(self, n_frames: int, *, frame_rate: float, size: int) -> Iterator[np.ndarray]:
        """Draw the frames that a camera takes from time 0 on, one by one."""
        return (self.picture(frame / frame_rate, size=size) for frame in range(n_frames))

    def mask(self, time: float, *, size: int, above: float = 0.1) -> np.ndarray:
        """Return where the face differs from its rest at a time: bool, (size, size).

        Only units count that the movements have added more than `above` of.
        """
        scene = self.sway.move(self.scene, time)
        mask = np.zeros((size, size), bool)
        for unit, intensity in self.units(time).items():
            if intensity - self.rest.get(unit, 0.0) > above:
                mask |= action_unit_mask(self.identity, unit, size=size, scene=scene)
        return mask


def draw_setting(rng: np.random.Generator) -> Scene:
    """Draw a laboratory: a face seen from the front, even background, a better camera than in stills."""
    scene = Scene.sample(rng)
    return replace(
        scene,
        roll=0.4 * scene.roll,
        yaw=0.4 * scene.yaw,
        pitch=0.4 * scene.pitch,
        blur=0.5 * scene.blur,
        noise=float(rng.uniform(1.0, 2.5)),
        clutter=0.0,
    )


def draw_usual_face(rng: np.random.Generator, *, strongest: float) -> dict[int, float]:
    """Draw an expression that means nothing from the units that movements are made of."""
    shown = rng.random(len(_RESTING_UNITS)) < 0.6
    intensities = shown * rng.uniform(0.0, strongest, len(_RESTING_UNITS))
    return dict(zip(_RESTING_UNITS, intensities.tolist(), strict=True))


def draw_movement(
    label: str, rng: np.random.Generator, *, start: float, seconds: float, peak: float
) -> Movement:
    """Draw a movement of a class in `EXPRESSIONS`, its strongest unit `peak`; times in seconds."""
    units = expression_units(str(rng.choice(EXPRESSIONS[label])), rng)
    strongest = max(units.values())
    return Movement(
        label=label,
        units={unit: float(peak * intensity / strongest) for unit, intensity in units.items()},
        onset=float(start),
        apex=float(start + seconds * rng.uniform(0.3, 0.6)),
        offset=float(start + seconds),
    )


def draw_asymmetry(rng: np.random.Generator) -> float:
    """Draw by how much one half of the face moves less, as `render_face` takes it."""
    return float(np.clip(0.12 * rng.standard_normal(), -0.4, 0.4))


def check_classes(class_names: Sequence[str]) -> None:
    """Refuse classes without an expression."""
    if unknown := [name for name in class_names if name not in EXPRESSIONS]:
        raise ValueError(
            f"no expression for class {', '.join(map(repr, unknown))}; known are {', '.join(EXPRESSIONS)}"
        )


def check_request(class_names: tuple[str, ...], frame_rate: float, seed: int) -> None:
    """Refuse what neither clips nor videos can be made of."""
    check_classes(class_names)
    if not class_names or len(class_names) != len(set(class_names)):
        raise ValueError(f"class_names must be distinct and at least one, got {class_names}")
    if not frame_rate >= _LOWEST_FRAME_RATE:  # also refuses NaN
        raise ValueError(f"frame_rate {frame_rate} is too low for movements of 0.2 s; use at least 10")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
