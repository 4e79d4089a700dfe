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

HAIR = ("bald", "short", "long")


@dataclass(frozen=True)
class Identity:
    """One person: everything that stays the same from image to image.

    Lengths are in face units, tones are the reflected share of light in [0, 1]. ``Identity()`` is an average
    face; `sample` draws a random one.
    """

    head_width: float = 0.70
    jaw_width: float = 0.85  # 0.7 pointed … 1 square
    chin: float = 0.97
    skin: float = 0.70
    hair: str = "short"
    hair_tone: float = 0.22
    hair_length: float = 1.0  # of long hair: height at which it ends
    hairline: float = -0.56
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
    mouth_width: float = 0.295
    mouth_height: float = 0.555
    lip_thickness: float = 1.0
    mouth_tilt: float = 0.0  # resting height of the lip corners, positive down
    glasses: bool = False
    age: float = 0.3  # depth of the resting folds
    clothes: float = 0.4
    texture: int = 0  # seed of the hair strands

    @classmethod
    def sample(cls, seed: Seed) -> "Identity":
        """Return a random person; the same seed gives the same person."""
        rng = np.random.default_rng(seed)
        spread = {"head_width": 0.035, "chin": 0.035, "brow_height": 0.018, "brow_tilt": 0.016}
        spread |= {"eye_spacing": 0.016, "eye_size": 0.09, "eye_tilt": 0.07}
        spread |= {"nose_length": 0.025, "nose_width": 0.13}
        spread |= {"mouth_width": 0.022, "mouth_height": 0.02, "mouth_tilt": 0.012, "lip_thickness": 0.22}
        limits = {"jaw_width": (0.74, 0.97), "skin": (0.44, 0.86), "hair_length": (0.6, 1.5)}
        limits |= {"hairline": (-0.70, -0.42), "brow_thickness": (0.026, 0.056), "brow_arch": (0.015, 0.06)}
        limits |= {"iris_tone": (0.12, 0.45), "clothes": (0.1, 0.85)}
        fields = _vary(cls(), rng, spread, limits)
        skin = fields["skin"]
        hair_tone = float(rng.uniform(0.06, 0.30 if rng.random() < 0.7 else 0.70))
        if abs(hair_tone - skin) < 0.15:  # or hair and forehead would run into each other
            hair_tone -= 0.20
        return cls(
            **fields,
            hair=str(rng.choice(HAIR, p=(0.1, 0.55, 0.35))),
            hair_tone=hair_tone,
            brow_tone=min(hair_tone * float(rng.uniform(0.8, 1.2)), 0.62 * skin),
            glasses=bool(rng.random() < 0.15),
            age=float(rng.beta(1.6, 2.6)),
            texture=int(rng.integers(2**31)),
        )


@dataclass(frozen=True)
class Scene:
    """How the image was taken: pose, light, camera. ``Scene()`` is an evenly lit frontal portrait.

    Angles are in degrees, shifts and blur in shares of the image's side, noise in gray levels; the gaze is
    the offset of the iris in face units, the background goes from one tone at the top to another.
    """

    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    scale: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    light_azimuth: float = -25.0
    light_elevation: float = 35.0
    ambient: float = 0.55
    exposure: float = 1.0
    contrast: float = 1.0
    blur: float = 0.0
    noise: float = 0.0
    background_top: float = 0.55
    background_bottom: float = 0.40
    seed: int = 0  # of the noise

    @classmethod
    def sample(cls, seed: Seed) -> "Scene":
        """Return a random scene; the same seed gives the same scene."""
        rng = np.random.default_rng(seed)
        spread = {"roll": 5.0, "yaw": 7.0, "pitch": 4.5, "gaze_x": 0.015, "gaze_y": 0.008}
        limits = {"scale": (1.0, 1.25), "shift_x": (-0.05, 0.05), "shift_y": (-0.05, 0.05)}
        limits |= {"light_azimuth": (-70, 70), "light_elevation": (5, 55), "ambient": (0.45, 0.75)}
        limits |= {
            "exposure": (0.85, 1.2),
            "contrast": (0.75, 1.2),
            "blur": (0.0, 0.010),
            "noise": (1.0, 6.0),
        }
        limits |= {"background_top": (0.1, 0.9), "background_bottom": (0.1, 0.9)}
        return cls(**_vary(cls(), rng, spread, limits), seed=int(rng.integers(2**31)))


def _vary(
    average: Identity | Scene,
    rng: np.random.Generator,
    spread: Mapping[str, float],
    limits: Mapping[str, tuple[float, float]],
) -> dict[str, float]:
    """Vary fields: normally around the average, up to two standard deviations, or evenly within limits."""
    deviates = np.clip(rng.standard_normal(len(spread)), -2.0, 2.0)
    near = {
        name: getattr(average, name) + float(spread[name] * d)
        for name, d in zip(spread, deviates, strict=True)
    }
    return near | {name: float(rng.uniform(*limits[name])) for name in limits}
