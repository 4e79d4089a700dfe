"""What a synthetic face is made of: a person, a scene, and the action units that move the face.

Lengths are in face units: the origin lies between nose bridge and nose tip, x points to the right of the
image, y down, and the head reaches from about -1 (crown) to +1 (chin).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

ACTION_UNITS = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    15: "lip corner depressor",
    16: "lower lip depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
    43: "eyes closed",
}
"""The action units that can be drawn, with their FACS names (Ekman & Friesen 1978)."""

Seed = int | tuple[int, ...] | np.random.Generator
"""A seed, or a generator (which advances)."""

HAIR_STYLES = ("bald", "receding", "short", "side", "fringe", "bob", "long", "curly")

SMALLEST_SIZE = 16
"""Smallest image side in pixels; below it a mouth is thinner than a pixel."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One person: everything that stays the same from image to image.

    Lengths are in face units, tones are the reflected share of light in [0, 1]. ``Identity()`` is an average
    face; `sample` draws a random one.
    """

    head_width: float = 0.70
    jaw_width: float = 0.85  # 0.7 pointed … 1 square
    chin: float = 0.98
    skin: float = 0.70
    hair_style: str = "short"
    hair_tone: float = 0.22
    hairline: float = -0.62
    brow_thickness: float = 0.042
    brow_height: float = -0.30
    brow_arch: float = 0.04
    brow_tilt: float = 0.01
    brow_tone: float = 0.25
    eye_spacing: float = 0.305
    eye_size: float = 1.0
    eye_tilt: float = 0.0
    iris_tone: float = 0.30
    nose_length: float = 0.30
    nose_width: float = 1.0
    mouth_width: float = 0.30
    mouth_height: float = 0.55
    lip_thickness: float = 1.0
    mouth_tilt: float = 0.0  # resting height of the lip corners, positive down
    glasses: float = 0.0  # 0 none, else frame thickness
    beard: float = 0.0
    moustache: float = 0.0
    age: float = 0.3  # depth of the resting folds
    clothes: float = 0.4
    texture: int = 0  # seed of the hair strands

    def __post_init__(self) -> None:
        if self.hair_style not in HAIR_STYLES:
            raise ValueError(
                f"unknown hair_style {self.hair_style!r}; choose one of {', '.join(HAIR_STYLES)}"
            )

    @classmethod
    def sample(cls, seed: Seed) -> "Identity":
        """Return a random person; the same seed gives the same person."""
        rng = np.random.default_rng(seed)
        normal = rng.standard_normal
        skin = float(rng.uniform(0.44, 0.86))
        hair_tone = float(rng.uniform(0.06, 0.30 if rng.random() < 0.7 else 0.70))
        if abs(hair_tone - skin) < 0.15:  # or hair and forehead would run into each other
            hair_tone -= 0.20
        bearded = rng.random() < 0.22
        return cls(
            head_width=0.70 + 0.035 * _bounded(normal()),
            jaw_width=float(rng.uniform(0.74, 0.97)),
            chin=0.97 + 0.035 * _bounded(normal()),
            skin=skin,
            hair_style=str(rng.choice(HAIR_STYLES, p=(0.06, 0.1, 0.2, 0.17, 0.12, 0.11, 0.14, 0.1))),
            hair_tone=hair_tone,
            hairline=-0.62 + 0.04 * _bounded(normal()),
            brow_thickness=float(rng.uniform(0.026, 0.056)),
            brow_height=-0.295 + 0.018 * _bounded(normal()),
            brow_arch=float(rng.uniform(0.015, 0.06)),
            brow_tilt=0.010 + 0.016 * _bounded(normal()),
            brow_tone=min(hair_tone * float(rng.uniform(0.8, 1.2)), 0.62 * skin),
            eye_spacing=0.305 + 0.016 * _bounded(normal()),
            eye_size=1.0 + 0.09 * _bounded(normal()),
            eye_tilt=0.07 * _bounded(normal()),
            iris_tone=float(rng.uniform(0.12, 0.45)),
            nose_length=0.30 + 0.025 * _bounded(normal()),
            nose_width=1.0 + 0.13 * _bounded(normal()),
            mouth_width=0.295 + 0.022 * _bounded(normal()),
            mouth_height=0.555 + 0.02 * _bounded(normal()),
            lip_thickness=1.0 + 0.22 * _bounded(normal()),
            mouth_tilt=0.012 * _bounded(normal()),
            glasses=float(rng.uniform(0.018, 0.032)) if rng.random() < 0.18 else 0.0,
            beard=float(rng.uniform(0.15, 0.75)) if bearded else 0.0,
            moustache=float(rng.uniform(0.2, 0.8)) if bearded and rng.random() < 0.7 else 0.0,
            age=float(rng.beta(1.6, 2.6)),
            clothes=float(rng.uniform(0.1, 0.85)),
            texture=int(rng.integers(2**31)),
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """How the image was taken: pose, light, camera. ``Scene()`` is an evenly lit frontal portrait.

    Angles are in degrees, shifts and blur in shares of the image's side, noise in gray levels; ``gaze`` is
    the offset of the iris in face units.
    """

    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    gaze: tuple[float, float] = (0.0, 0.0)
    light_azimuth: float = -25.0
    light_elevation: float = 35.0
    ambient: float = 0.55
    exposure: float = 1.0
    contrast: float = 1.0
    blur: float = 0.0
    noise: float = 0.0
    background: tuple[float, float] = (0.55, 0.40)  # tone at the top and at the bottom
    clutter: float = 0.0
    seed: int = 0  # of the noise and the clutter

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise ValueError(f"a scene's scale must be positive, got {self.scale!r}")

    @classmethod
    def sample(cls, seed: Seed) -> "Scene":
        """Return a random scene; the same seed gives the same scene."""
        rng = np.random.default_rng(seed)
        normal = rng.standard_normal
        return cls(
            roll=5.0 * _bounded(normal()),
            yaw=7.0 * _bounded(normal()),
            pitch=4.5 * _bounded(normal()),
            scale=float(rng.uniform(1.0, 1.25)),
            shift=(float(rng.uniform(-0.05, 0.05)), float(rng.uniform(-0.05, 0.05))),
            gaze=(0.015 * _bounded(normal()), 0.008 * _bounded(normal())),
            light_azimuth=float(rng.uniform(-70, 70)),
            light_elevation=float(rng.uniform(5, 55)),
            ambient=float(rng.uniform(0.45, 0.75)),
            exposure=float(rng.uniform(0.85, 1.2)),
            contrast=float(rng.uniform(0.75, 1.2)),
            blur=float(rng.uniform(0.0, 0.010)),
            noise=float(rng.uniform(1.0, 6.0)),
            background=(float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.1, 0.9))),
            clutter=float(rng.uniform(0.0, 0.12)),
            seed=int(rng.integers(2**31)),
        )


def check_action_units(action_units: Mapping[int, float]) -> dict[int, float]:
    """Return intensities of all action units, 0 for those not given; raise `ValueError` for invalid ones."""
    full = dict.fromkeys(ACTION_UNITS, 0.0)
    for unit, intensity in action_units.items():
        if unit not in ACTION_UNITS:
            raise ValueError(f"unknown action unit {unit!r}; choose from {', '.join(map(str, ACTION_UNITS))}")
        if not 0.0 <= intensity <= 1.0:  # also refuses NaN
            raise ValueError(f"action unit {unit}: intensity {intensity!r} is outside [0, 1]")
        full[unit] = float(intensity)
    return full


def check_size(size: int) -> None:
    """Raise `ValueError` for images too small to show a face."""
    if size < SMALLEST_SIZE:
        raise ValueError(f"size {size} is too small for a face; use at least {SMALLEST_SIZE} pixels")


def _bounded(value: float) -> float:
    """Clip a normal deviate to two standard deviations."""
    return float(min(max(value, -2.0), 2.0))
