"""What a synthetic face is made of: a person, a scene, and the action units that move the face.

Lengths are in face units: the origin lies between nose bridge and nose tip, x points to the right of the
image, y down, and the head reaches from about -1 (crown) to +1 (chin).
"""

from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import yaml

FACS = yaml.safe_load(Path(__file__).with_name("action_units.yaml").read_text(encoding="utf-8"))
ACTION_UNITS: dict[int, str] = FACS["action_units"]  # number -> name of those that can be drawn
PROTOTYPES: dict[str, list[int]] = FACS["prototypes"]  # expression -> its action units

Seed = int | tuple[int, ...] | np.random.Generator  # a generator advances


def _near(average: float, deviation: float) -> float:
    """Declare a field that varies normally around its average, up to two standard deviations."""
    return field(default=average, metadata={"deviation": deviation})


def _within(average: float, low: float, high: float) -> float:
    """Declare a field that varies evenly within limits."""
    return field(default=average, metadata={"limits": (low, high)})


def _sampled(kind: type, rng: np.random.Generator) -> dict[str, float]:
    near = [one for one in fields(kind) if "deviation" in one.metadata]
    deviates = np.clip(rng.standard_normal(len(near)), -2.0, 2.0)
    drawn = {
        one.name: one.default + float(one.metadata["deviation"] * deviate)
        for one, deviate in zip(near, deviates, strict=True)
    }
    limits = {one.name: one.metadata["limits"] for one in fields(kind) if "limits" in one.metadata}
    return drawn | {name: float(rng.uniform(*between)) for name, between in limits.items()}


@dataclass(frozen=True)
class Identity:
    """One person: everything that stays the same from image to image.

    Tones are the reflected share of light in [0, 1]. ``Identity()`` is an average face.
    """

    head_width: float = _near(0.70, 0.035)
    jaw_width: float = _within(0.85, 0.74, 0.97)  # 0.7 pointed … 1 square
    chin: float = _near(0.97, 0.035)
    skin: float = _within(0.70, 0.44, 0.86)
    hair: str = "short"  # or "bald", "long"
    hair_tone: float = 0.22
    hair_length: float = _within(1.0, 0.6, 1.5)  # of long hair: height at which it ends
    hairline: float = _within(-0.56, -0.70, -0.42)
    brow_thickness: float = _within(0.042, 0.026, 0.056)
    brow_height: float = _near(-0.30, 0.018)
    brow_arch: float = _within(0.04, 0.015, 0.06)
    brow_tilt: float = _near(0.01, 0.016)
    brow_tone: float = 0.25
    eye_spacing: float = _near(0.305, 0.016)
    eye_size: float = _near(1.0, 0.09)
    eye_tilt: float = _near(0.0, 0.07)
    iris_tone: float = _within(0.30, 0.12, 0.45)
    nose_length: float = _near(0.30, 0.025)
    nose_width: float = _near(1.0, 0.13)
    mouth_width: float = _near(0.295, 0.022)
    mouth_height: float = _near(0.555, 0.02)
    mouth_tilt: float = _near(0.0, 0.012)  # resting height of the lip corners, positive down
    lip_thickness: float = _near(1.0, 0.22)
    glasses: bool = False
    age: float = 0.3  # depth of the resting folds
    clothes: float = _within(0.4, 0.1, 0.85)
    texture: int = 0  # seed of the hair strands

    @classmethod
    def sample(cls, seed: Seed) -> "Identity":
        """Return a random person; the same seed gives the same person."""
        rng = np.random.default_rng(seed)
        face = _sampled(cls, rng)
        hair_tone = float(rng.uniform(0.06, 0.30 if rng.random() < 0.7 else 0.70))
        if abs(hair_tone - face["skin"]) < 0.15:  # or hair and forehead would run into each other
            hair_tone -= 0.20
        return cls(
            **face,
            hair=str(rng.choice(("bald", "short", "long"), p=(0.1, 0.55, 0.35))),
            hair_tone=hair_tone,
            brow_tone=min(hair_tone * float(rng.uniform(0.8, 1.2)), 0.62 * face["skin"]),
            glasses=bool(rng.random() < 0.15),
            age=float(rng.beta(1.6, 2.6)),
            texture=int(rng.integers(2**31)),
        )


@dataclass(frozen=True)
class Scene:
    """How the image was taken: pose, light, camera. ``Scene()`` is an evenly lit frontal portrait.

    Angles are in degrees, shifts and blur in shares of the image's side, noise in gray levels.
    """

    roll: float = _near(0.0, 5.0)
    yaw: float = _near(0.0, 7.0)
    pitch: float = _near(0.0, 4.5)
    scale: float = _within(1.0, 1.0, 1.25)
    shift_x: float = _within(0.0, -0.05, 0.05)
    shift_y: float = _within(0.0, -0.05, 0.05)
    gaze_x: float = _near(0.0, 0.015)
    gaze_y: float = _near(0.0, 0.008)
    light_azimuth: float = _within(-25.0, -70.0, 70.0)
    light_elevation: float = _within(35.0, 5.0, 55.0)
    ambient: float = _within(0.55, 0.45, 0.75)
    exposure: float = _within(1.0, 0.85, 1.2)
    contrast: float = _within(1.0, 0.75, 1.2)
    blur: float = _within(0.0, 0.0, 0.010)
    noise: float = _within(0.0, 1.0, 6.0)
    background_top: float = _within(0.55, 0.1, 0.9)
    background_bottom: float = _within(0.40, 0.1, 0.9)
    seed: int = 0  # of the noise

    @classmethod
    def sample(cls, seed: Seed) -> "Scene":
        """Return a random scene; the same seed gives the same scene."""
        rng = np.random.default_rng(seed)
        return cls(**_sampled(cls, rng), seed=int(rng.integers(2**31)))
