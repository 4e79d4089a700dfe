"""Render a synthetic face: paint, light by surface normals, pose and camera."""

import math
from collections.abc import Mapping
from functools import lru_cache

import cv2
import numpy as np

from fer_utils.synthetic.identity import ACTION_UNITS, Identity, Scene
from fer_utils.synthetic.paint import REACH, Canvas, paint, soften
from fer_utils.synthetic.shapes import Shapes, action_unit_region

FRONTAL = Scene()
SMALLEST_SIZE = 16  # pixels; below it a mouth is thinner than a pixel


def render_face(
    identity: Identity,
    action_units: Mapping[int, float],
    *,
    size: int = 48,
    scene: Scene = FRONTAL,
    asymmetry: float = 0.0,
) -> np.ndarray:
    """Render one face: uint8, (size, size).

    `action_units` has intensities in [0, 1] by FACS number; those left out are 0. A positive `asymmetry`, up
    to 1, weakens the expression on the left half of the image by this share, a negative one on the right.
    """
    if size < SMALLEST_SIZE:
        raise ValueError(f"size {size} is too small for a face; use at least {SMALLEST_SIZE} pixels")
    for unit, intensity in action_units.items():
        if unit not in ACTION_UNITS or not 0.0 <= intensity <= 1.0:  # also refuses NaN
            known = ", ".join(map(str, ACTION_UNITS))
            raise ValueError(f"action unit {unit} at intensity {intensity}: choose from {known}, at 0 to 1")
    units = dict.fromkeys(ACTION_UNITS, 0.0) | action_units
    shares = min(1.0, 1.0 - asymmetry), min(1.0, 1.0 + asymmetry)
    halves = tuple({unit: share * intensity for unit, intensity in units.items()} for share in shares)
    shapes = Shapes(identity, halves)
    side = _canvas_side(size)
    face = _light(*paint(shapes, scene, side), shapes, scene)
    posed = cv2.remap(
        face, *_pose_map(identity, scene, side), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return _photograph(cv2.resize(posed, (size, size), interpolation=cv2.INTER_AREA), scene)


def action_unit_mask(
    identity: Identity, action_unit: int, *, size: int = 48, scene: Scene = FRONTAL
) -> np.ndarray:
    """Return where an action unit can change the image, in the scene's pose and blur: bool, (size, size)."""
    side = _canvas_side(size)
    region = Canvas.blank(side)
    for x, y, rx, ry in action_unit_region(identity, action_unit):
        region.oval(x, y, rx, ry, 255)
    posed = cv2.remap(region.pixels, *_pose_map(identity, scene, side), cv2.INTER_LINEAR)
    small = cv2.resize(posed, (size, size), interpolation=cv2.INTER_AREA)
    reach = 2 * math.ceil(4 * scene.blur * size) + 1  # OpenCV cuts its Gaussian at four sigma
    return cv2.dilate(small, np.ones((reach, reach), np.uint8)) > 0


def _canvas_side(size: int) -> int:
    """Render at twice the size: averaging smooths details thinner than a pixel."""
    return 2 * max(size, 48)


def _light(albedo: np.ndarray, cover: np.ndarray, shapes: Shapes, scene: Scene) -> np.ndarray:
    """Light the head by one distant lamp (Lambert's law) and ambient light, and darken the folds."""
    side = len(albedo)
    axis = _axis(side // 2)  # light varies slowly: half the resolution is enough
    slope_x, slope_y, gain = _relief(shapes, axis)
    azimuth, elevation = math.radians(scene.light_azimuth), math.radians(scene.light_elevation)
    lx, ly = math.sin(azimuth) * math.cos(elevation), -math.sin(elevation)
    lz = math.cos(azimuth) * math.cos(elevation)
    lambert = (lz - lx * slope_x - ly * slope_y) / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    shade = scene.ambient + 1.2 * (1 - scene.ambient) * np.maximum(lambert, 0)
    shade = cv2.resize(shade * (1 + gain), (side, side))
    curves, depths = shapes.folds()
    folds = Canvas.blank(side)
    folds.stroke(curves, 255 * depths, 0.026, under=0.0)
    shade *= 1 - (0.45 / 255) * soften(folds.pixels, 0.008 * side)
    shade = 1 + (cover * np.float32(1 / 255)) * (shade - 1)
    return cv2.multiply(shade, albedo, scale=scene.exposure, dtype=cv2.CV_8U)  # saturates


def _relief(shapes: Shapes, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the skin's slope along x and y, and the share of light gained, each (side, side)."""
    # Every bump is (1 - u²)²(1 - v²)², exactly zero beyond its radii: a unit changes only its own region.
    cx, cy, rx, ry, height, light = shapes.bumps().T[:, :, None]
    u, v = (axis - cx) / rx, (axis - cy) / ry
    fu, fv = np.maximum(1 - u * u, 0), np.maximum(1 - v * v, 0)
    hill_x, hill_y = fu * fu, fv * fv
    slope_x = (height * hill_y).T @ (-4 * u * fu / rx)
    slope_y = (height * -4 * v * fv / ry).T @ hill_x
    skull_x, skull_y = 0.86 / shapes.person.head_width**2, 0.76
    slope_x -= np.clip(skull_x * axis, -1.5, 1.5)
    slope_y -= np.clip(skull_y * axis, -1.0, 1.0)[:, None]
    return slope_x, slope_y, (light * hill_y).T @ hill_x


@lru_cache(maxsize=8)
def _axis(side: int) -> np.ndarray:
    """Positions of a canvas' pixels in face units."""
    return (((np.arange(side) + 0.5) / side * 2 - 1) * REACH).astype(np.float32)


def _pose_map(p: Identity, scene: Scene, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the canvas position that each image position is sampled from."""
    # Turning the head slides the nose, then cheeks and eyes, over the outline, which stays.
    axis = _axis(side // 2)  # the map is as smooth as the light
    roll = math.radians(scene.roll)
    cos, sin = math.cos(roll) / scene.scale, math.sin(roll) / scene.scale
    px, py = axis - 2 * REACH * scene.shift_x, (axis - 2 * REACH * scene.shift_y)[:, None]
    qx, qy = cos * px + sin * py, cos * py - sin * px
    depth = 0.6 * np.maximum(1 - (qx / (1.05 * p.head_width)) ** 2 - (qy / 1.1) ** 2, 0)
    depth += 0.2 * np.maximum(1 - (qx / 0.3) ** 2 - ((qy - 0.2) / 0.35) ** 2, 0)
    scale, centre = side / (2 * REACH), side / 2 - 0.5
    qx = scale * (qx - math.sin(math.radians(scene.yaw)) * depth) + centre
    qy = scale * (qy + math.sin(math.radians(scene.pitch)) * depth) + centre
    return cv2.resize(qx, (side, side)), cv2.resize(qy, (side, side))


def _photograph(image: np.ndarray, scene: Scene) -> np.ndarray:
    """Apply the camera's blur, contrast and sensor noise."""
    picture = image.astype(np.float32)
    if scene.blur * len(image) > 0.1:
        picture = cv2.GaussianBlur(picture, (0, 0), scene.blur * len(image))
    picture = (picture - 110) * scene.contrast + 110
    grain = np.random.default_rng(scene.seed).standard_normal(image.shape, dtype=np.float32)
    picture += scene.noise * grain
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
