"""Render a synthetic face: paint its unlit tones, light it by surface normals, pose it, photograph it."""

import math
from collections.abc import Mapping
from functools import lru_cache

import cv2
import numpy as np

from fer_utils.synthetic.identity import ACTION_UNITS, Identity, Scene
from fer_utils.synthetic.shapes import EYE_Y, SIDES, Shapes, points

FRONTAL = Scene()
REACH = 1.3  # a canvas shows face units from -REACH to REACH
_BLEED = 0.6  # pixels by which OpenCV's smooth edge lies outside an outline
_SHIFT = 4  # OpenCV takes sub-pixel positions as integers with this many binary places
_HALF_TURN = np.linspace(0.0, np.pi, 32)
_TOP_CIRCLE = np.stack([np.cos(_HALF_TURN), -np.sin(_HALF_TURN)], axis=1)
_TURN = np.linspace(0.0, 2.0 * np.pi, 40, endpoint=False)
_RIM = np.stack([0.205 * np.cos(_TURN), 0.16 * np.sin(_TURN)], axis=1)
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
    side = 2 * max(size, 48)  # averaging smooths details thinner than a pixel
    face = _light(*paint(shapes, scene, side), shapes, scene)
    at = _pose_map(identity, scene, side)
    posed = cv2.remap(face, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return _photograph(cv2.resize(posed, (size, size), interpolation=cv2.INTER_AREA), scene)


def action_unit_mask(
    identity: Identity, action_unit: int, *, size: int = 48, scene: Scene = FRONTAL
) -> np.ndarray:
    """Return where an action unit at intensity 1 changes the image of a face: bool, (size, size)."""
    still, moved = (render_face(identity, {action_unit: at}, size=size, scene=scene) for at in (0.0, 1.0))
    return still != moved


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


class Canvas:
    """A square uint8 image that is drawn on in face units, with anti-aliased edges."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self.unit = len(pixels) / (2 * REACH)

    @classmethod
    def blank(cls, side: int, tone: int = 0) -> "Canvas":
        """Return a canvas of one tone."""
        return cls(np.full((side, side), tone, np.uint8))

    def fill(self, shape: np.ndarray, tone: float) -> None:
        """Fill a closed outline, (points, 2)."""
        cv2.fillPoly(self.pixels, [self._fixed(shape)], tone, cv2.LINE_AA, _SHIFT)

    def band(self, upper: np.ndarray, lower: np.ndarray, tone: float) -> None:
        """Fill between two curves, (points, 2), that share their x."""
        # OpenCV's anti-aliased edge lies outside the outline, which would thicken brows and lips.
        bleed = np.minimum(_BLEED / self.unit, 0.45 * (lower[:, 1] - upper[:, 1]))
        inset = bleed[:, None] * (0.0, 1.0)
        self.fill(np.concatenate([upper + inset, (lower - inset)[::-1]]), tone)

    def oval(self, x: float, y: float, rx: float, ry: float, tone: float) -> None:
        """Fill an upright ellipse."""
        scale = self.unit * (1 << _SHIFT)
        corner = 0.5 * (1 << _SHIFT)
        centre = (round((x + REACH) * scale - corner), round((y + REACH) * scale - corner))
        axes = (round(rx * scale), round(ry * scale))
        cv2.ellipse(self.pixels, centre, axes, 0, 0, 360, tone, -1, cv2.LINE_AA, _SHIFT)

    def stroke(
        self,
        curves: np.ndarray,
        tones: float | np.ndarray,
        width: float,
        *,
        under: float,
        closed: bool = False,
    ) -> None:
        """Draw a curve (points, 2) or several (curves, points, 2), in one tone or one tone each."""
        # A line thinner than a pixel is drawn a pixel wide, its tone mixed with the one `under` it.
        pixels = width * self.unit
        mixed, thickness = under + (tones - under) * min(1.0, pixels), max(1, round(pixels))
        lines = self._fixed(curves).reshape(-1, *curves.shape[-2:])
        for line, tone in zip(lines, np.broadcast_to(mixed, len(lines)), strict=True):
            cv2.polylines(self.pixels, [line], closed, float(tone), thickness, cv2.LINE_AA, _SHIFT)

    def _fixed(self, curves: np.ndarray) -> np.ndarray:
        scale = self.unit * (1 << _SHIFT)
        return (curves * scale + (REACH * scale - 0.5 * (1 << _SHIFT) + 0.5)).astype(np.int32)


def paint(shapes: Shapes, scene: Scene, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the unlit image and the head's coverage in it, both uint8 (side, side)."""
    p = shapes.person
    tones = np.linspace(255 * scene.background_top, 255 * scene.background_bottom, side).astype(np.uint8)
    canvas, cover = Canvas(np.repeat(tones[:, None], side, axis=1)), Canvas.blank(side)
    skin = 255 * p.skin
    _body(canvas, cover, p, skin)
    for layer, tone in ((canvas, skin), (cover, 255)):
        for _, sign in SIDES if p.hair != "long" else ():
            layer.oval(sign * (p.head_width + 0.01), 0.06, 0.08, 0.17, 0.88 * tone)
        layer.fill(shapes.contour, tone)
    _eyes(canvas, shapes, scene)
    for upper, lower, (_, sign) in zip(*shapes.brows, SIDES, strict=True):
        canvas.band(upper, lower, 255 * p.brow_tone)
        nostril = sign * 0.06 * p.nose_width, p.nose_length + 0.07 - shapes.nose_lift
        canvas.oval(*nostril, 0.035, 0.018, 0.38 * skin)
    _mouth(canvas, shapes)
    if p.hair != "bald":
        _hair(canvas, cover, p)
    if p.glasses:
        _glasses(canvas, p)
    return soften(canvas.pixels, 0.006 * side), soften(cover.pixels, 0.006 * side)


def soften(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Blur a little, with a short kernel."""
    width = 2 * round(1.5 * sigma) + 1
    return cv2.GaussianBlur(pixels, (width, width), sigma)


def _body(canvas: Canvas, cover: Canvas, p: Identity, skin: float) -> None:
    """Draw the hair behind the head, the neck and the clothes."""
    w, length = p.head_width, p.hair_length
    neck = [(0.60 * w, 0.5), (0.62 * w, 1.1), (0.9 * w, 1.4)]
    clothes = [(0.0, 1.30), (0.66 * w, 1.06), (1.6, 1.22), (1.6, 1.7)]
    parts = [(neck, 0.62 * skin), (clothes, 255 * p.clothes)]
    if p.hair == "long":
        crown = (_TOP_CIRCLE * (w + 0.15, 0.95) - (0.0, 0.10))[15::-1]  # from the top to the right
        ends = [(w + 0.19, 0.5 * length), (w + 0.17, length)]
        ends += [(w + 0.05, length + 0.09), (0.3 * w, length + 0.11)]
        parts.insert(0, ([*crown, *ends], 225 * p.hair_tone))
    for right, tone in parts:
        outline = np.concatenate([right, np.array(right)[::-1] * (-1.0, 1.0)])
        canvas.fill(outline, tone)
        cover.fill(outline, 255)


def _eyes(canvas: Canvas, shapes: Shapes, scene: Scene) -> None:
    p, side = shapes.person, len(canvas.pixels)
    skin, r = 255 * p.skin, 0.068 * p.eye_size
    upper, lower = shapes.lids
    opening, ball = Canvas.blank(side), Canvas.blank(side, int(min(245, 130 + 0.65 * skin)))
    for eye_upper, eye_lower, (_, sign) in zip(upper, lower, SIDES, strict=True):
        opening.band(eye_upper, eye_lower, 255)
        x, y = sign * p.eye_spacing + scene.gaze_x, EYE_Y - 0.014 + scene.gaze_y
        ball.oval(x, y, r, r, 255 * p.iris_tone)
        ball.oval(x, y, 0.45 * r, 0.45 * r, 12)
        ball.oval(x - 0.3 * r, y - 0.35 * r, 0.2 * r, 0.2 * r, 250)
    cv2.copyTo(ball.pixels, opening.pixels, canvas.pixels)  # lids cover the iris
    crease = upper[:, 2:-2].copy()
    crease[..., 1] += 0.022 * shapes.both[5] - 0.042
    canvas.stroke(crease, 0.70 * skin, 0.014, under=skin)
    canvas.stroke(lower[:, 2:], 0.62 * skin, 0.012, under=skin)
    canvas.stroke(upper, 0.20 * skin, 0.024, under=skin)


def _mouth(canvas: Canvas, shapes: Shapes) -> None:
    skin, curves = 255 * shapes.person.skin, shapes.mouth
    upper_in, lower_in = curves["upper_in"], curves["lower_in"]
    gap = float(np.max(lower_in[:, 1] - upper_in[:, 1]))
    canvas.band(upper_in, lower_in, 30)
    if shapes.teeth is not None:
        canvas.band(*shapes.teeth, 140 + 0.35 * skin)
    canvas.band(curves["upper_out"], upper_in, 0.60 * skin)
    canvas.band(lower_in, curves["lower_out"], 0.70 * skin)
    if gap < 0.02:
        canvas.stroke(upper_in, 0.30 * skin, 0.018, under=0.65 * skin)


def _hair(canvas: Canvas, cover: Canvas, p: Identity) -> None:
    """Draw the hair before the face, with strands."""
    rng, tone = np.random.default_rng(p.texture), 255 * p.hair_tone
    cos, sin = _TOP_CIRCLE[:, 0], -_TOP_CIRCLE[:, 1]
    puff = (0.12 if p.hair == "long" else 0.05) * np.minimum(1, 2.5 * sin + 0.1)
    outer = points((p.head_width + puff) * cos, -0.05 - (0.91 + puff) * sin)
    line = p.hairline + 0.38 * np.abs(cos) ** 5 + 0.01 * rng.standard_normal(len(cos))
    inner = points(0.99 * p.head_width * cos, np.maximum(np.minimum(line, -0.08), outer[:, 1] + 0.02))
    for layer, value in ((canvas, tone), (cover, 255)):
        layer.fill(np.concatenate([outer, inner[::-1]]), value)
    root = rng.integers(2, len(outer) - 2, 30)
    tip = np.clip(root + rng.integers(-1, 2, 30), 2, len(outer) - 3)
    strands = 0.985 * np.stack([outer[root], inner[tip]], axis=1)
    canvas.stroke(strands[::2], tone + 22, 0.014, under=tone)
    canvas.stroke(strands[1::2], 0.75 * tone, 0.014, under=tone)


def _glasses(canvas: Canvas, p: Identity) -> None:
    for _, sign in SIDES:
        rim = _RIM + np.array((sign * (p.eye_spacing + 0.01), EYE_Y + 0.03))
        canvas.stroke(rim, 30, 0.03, under=255 * p.skin, closed=True)
    inner = p.eye_spacing - 0.20
    bridge = np.array([(-inner, EYE_Y), (0.0, EYE_Y - 0.02), (inner, EYE_Y)])
    canvas.stroke(bridge, 30, 0.03, under=255 * p.skin)
