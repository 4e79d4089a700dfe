"""Paint the unlit tones of a face: skin, eyes, brows, lips, hair."""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from fer_utils.synthetic.identity import Identity, Scene
from fer_utils.synthetic.shapes import EYE_Y, SIDES, Shapes, points

REACH = 1.3
"""A canvas shows face units from -REACH to REACH."""

_BLEED = 0.6  # pixels by which OpenCV's smooth edge lies outside an outline
_DOWN = np.array((0.0, 1.0))
_HIDES_EARS = ("long", "bob")
_SHIFT = 4  # OpenCV takes sub-pixel positions as integers with this many binary places


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
        inset = bleed[:, None] * _DOWN
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
        fixed = self._fixed(curves)
        lines = fixed if fixed.ndim == 3 else fixed[None]
        groups = [(lines, mixed)] if np.ndim(mixed) == 0 else zip(lines[:, None], mixed, strict=True)
        for group, tone in groups:
            cv2.polylines(self.pixels, list(group), closed, tone, thickness, cv2.LINE_AA, _SHIFT)

    def _fixed(self, curves: np.ndarray) -> np.ndarray:
        scale = self.unit * (1 << _SHIFT)
        return (curves * scale + (REACH * scale - 0.5 * (1 << _SHIFT) + 0.5)).astype(np.int32)


def paint(
    shapes: Shapes, scene: Scene, camera: np.random.Generator, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the unlit image and the head's coverage in it, both uint8 (side, side)."""
    p = shapes.person
    canvas, cover = Canvas(_background(scene, camera, side)), Canvas.blank(side)
    skin = 255 * p.skin
    _body(canvas, cover, p, skin)
    for layer, tone in ((canvas, skin), (cover, 255)):
        _head(layer, shapes, tone)
    _beard(canvas, shapes)
    _eyes(canvas, shapes, scene.gaze)
    for upper, lower, (_, sign) in zip(*shapes.brows, SIDES, strict=True):
        canvas.band(upper, lower, 255 * p.brow_tone)
        nostril = sign * 0.06 * p.nose_width, p.nose_length + 0.07 - shapes.nose_lift
        canvas.oval(*nostril, 0.035, 0.018, 0.38 * skin)
    _mouth(canvas, shapes)
    _hair(canvas, cover, p)
    return soften(canvas.pixels, 0.006 * side), soften(cover.pixels, 0.006 * side)


def soften(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Blur a little, with a short kernel."""
    width = 2 * round(1.5 * sigma) + 1
    return cv2.GaussianBlur(pixels, (width, width), sigma)


def draw_glasses(pixels: np.ndarray, p: Identity) -> None:
    """Draw the person's glasses, if any, after the light."""
    if not p.glasses:
        return
    canvas, tone = Canvas(pixels), 40
    for _, sign in SIDES:
        x = sign * (p.eye_spacing + 0.01)
        canvas.stroke(_RIM + np.array((x, EYE_Y + 0.03)), tone, p.glasses, under=tone, closed=True)
        temple = np.array([(x + sign * 0.215, EYE_Y), (sign * (p.head_width + 0.02), EYE_Y - 0.02)])
        canvas.stroke(temple, tone, p.glasses, under=tone)
    inner = p.eye_spacing - 0.20
    bridge = np.array([(-inner, EYE_Y), (0.0, EYE_Y - 0.02), (inner, EYE_Y)])
    canvas.stroke(bridge, tone, p.glasses, under=tone)


def _background(scene: Scene, camera: np.random.Generator, side: int) -> np.ndarray:
    top, bottom = scene.background
    fall = np.linspace(top, bottom, 5, dtype=np.float32)[:, None]
    coarse = fall + scene.clutter * camera.standard_normal((5, 5), dtype=np.float32)
    smooth = _smooth_steps(side)
    return (smooth @ np.clip(255 * coarse, 8, 247) @ smooth.T).astype(np.uint8)


@lru_cache(maxsize=8)
def _smooth_steps(side: int) -> np.ndarray:
    """Weights (side, 5) that blend five evenly spaced values without corners."""
    distance = np.abs(np.linspace(0, 4, side, dtype=np.float32)[:, None] - np.arange(5))
    return np.where(distance < 1, 0.5 + 0.5 * np.cos(np.pi * np.minimum(distance, 1)), 0).astype(np.float32)


def _body(canvas: Canvas, cover: Canvas, p: Identity, skin: float) -> None:
    back, neck, clothes = _body_shapes(p)
    parts = [(back, 225 * p.hair_tone), (neck, 0.62 * skin), (clothes, 255 * p.clothes)]
    for shape, tone in parts:
        if shape is not None:
            canvas.fill(shape, tone)
            cover.fill(shape, 255)


@lru_cache(maxsize=64)
def _body_shapes(p: Identity) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Return outlines of the hair behind the head (None if short), the neck and the clothes."""
    w = p.head_width
    neck = _mirrored([(0.60 * w, 0.5), (0.62 * w, 1.1), (0.9 * w, 1.4)])
    clothes = _mirrored([(0.0, 1.30), (0.66 * w, 1.06), (1.6, 1.22), (1.6, 1.7)])
    if p.hair_style not in _HIDES_EARS:
        return None, neck, clothes
    length = 1.5 if p.hair_style == "long" else 0.62
    ends = [(w + 0.19, 0.5 * length), (w + 0.17, length), (w + 0.05, length + 0.09), (0.3 * w, length + 0.11)]
    crown = (_TOP_CIRCLE * (w + 0.15, 0.95) - (0.0, 0.10))[15::-1]  # from the top to the right
    return _mirrored([*crown, *ends]), neck, clothes


def _mirrored(right: Sequence[tuple[float, float]]) -> np.ndarray:
    """Return a closed outline from its right half, given from top to bottom."""
    half = np.array(right)
    return np.concatenate([half, half[::-1] * (-1.0, 1.0)])


def _head(canvas: Canvas, shapes: Shapes, skin: float) -> None:
    p = shapes.person
    if p.hair_style not in _HIDES_EARS:
        for _, sign in SIDES:
            canvas.oval(sign * (p.head_width + 0.01), 0.06, 0.08, 0.17, 0.88 * skin)
    canvas.fill(shapes.contour, skin)


def _beard(canvas: Canvas, shapes: Shapes) -> None:
    p = shapes.person
    if p.beard:
        jaw = shapes.contour[shapes.contour[:, 1] > 0.22]  # right to left along the chin
        inner = _BEARD_LINE * (p.head_width / 0.70, 1.0)
        inner[1:-1, 1] += 0.7 * shapes.jaw_drop(inner[1:-1, 1] + 0.2)
        _blend(canvas, np.concatenate([jaw, inner]), 255 * p.hair_tone, 0.75 * p.beard)
    if p.moustache:
        lip = shapes.mouth["upper_out"]
        droop = p.nose_length + 0.11 + 0.9 * lip[:, 0] ** 2
        top = points(0.9 * lip[:, 0], np.minimum(droop, lip[:, 1]))
        _blend(canvas, np.concatenate([top, lip[::-1]]), 255 * p.hair_tone, 0.75 * p.moustache)


def _blend(canvas: Canvas, shape: np.ndarray, tone: float, opacity: float) -> None:
    """Blend a tone with soft edges into the canvas."""
    side = len(canvas.pixels)
    cover = Canvas.blank(side)
    cover.fill(shape, 255 * opacity)
    weight = cv2.GaussianBlur(cover.pixels, (0, 0), 0.018 * side).astype(np.float32) / 255
    canvas.pixels[...] = canvas.pixels + weight * (np.float32(tone) - canvas.pixels)


def _eyes(canvas: Canvas, shapes: Shapes, gaze: tuple[float, float]) -> None:
    p, side = shapes.person, len(canvas.pixels)
    skin, r = 255 * p.skin, 0.068 * p.eye_size
    upper, lower = shapes.lids
    opening, ball = Canvas.blank(side), Canvas.blank(side, int(min(245, 130 + 0.65 * skin)))
    for eye_upper, eye_lower, (_, sign) in zip(upper, lower, SIDES, strict=True):
        opening.band(eye_upper, eye_lower, 255)
        x, y = sign * p.eye_spacing + gaze[0], EYE_Y - 0.014 + gaze[1]
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
    if gap > 0.10:
        tongue = lower_in - 0.4 * (lower_in - upper_in) * _TONGUE * (0.0, 1.0)
        canvas.band(tongue, lower_in, 30 + 0.22 * skin)
    if shapes.teeth is not None:
        canvas.band(*shapes.teeth, 140 + 0.35 * skin)
    canvas.band(curves["upper_out"], upper_in, 0.60 * skin)
    canvas.band(lower_in, curves["lower_out"], 0.70 * skin)
    if gap < 0.02:
        canvas.stroke(upper_in, 0.30 * skin, 0.018, under=0.65 * skin)


def _hair(canvas: Canvas, cover: Canvas, p: Identity) -> None:
    if p.hair_style == "bald":
        return
    front, strands = _hair_shape(p)
    canvas.fill(front, 255 * p.hair_tone)
    cover.fill(front, 255)
    tone = 255 * p.hair_tone
    canvas.stroke(strands[::2], tone + 22, 0.014, under=tone)
    canvas.stroke(strands[1::2], 0.75 * tone, 0.014, under=tone)


@lru_cache(maxsize=64)
def _hair_shape(p: Identity) -> tuple[np.ndarray, np.ndarray]:
    """Return the outline of the hair before the face, and strands (strands, 2, 2) within it."""
    style, w = p.hair_style, p.head_width
    rng = np.random.default_rng(p.texture)
    cos, sin = _TOP_CIRCLE[:, 0], -_TOP_CIRCLE[:, 1]
    volume = {"curly": 0.15, "long": 0.11, "bob": 0.13, "receding": 0.01}.get(style, 0.05)
    puff = volume * np.minimum(1, 2.5 * sin + 0.1)
    if style == "curly":
        puff = puff * (1 + 0.22 * np.sin(16 * np.arccos(cos) + rng.uniform(0, 6)))
    outer = points((w + puff) * cos, -0.05 - (0.91 + puff) * sin)
    x = 0.99 * w * cos[::-1]
    drop = {"fringe": 0.20, "receding": -0.14, "side": 0.02, "long": 0.05, "bob": 0.12}.get(style, 0.0)
    line = p.hairline + drop + 0.38 * np.abs(cos[::-1]) ** 5
    if style == "receding":
        line = line + 0.12 * np.exp(-((x / 0.16) ** 2))
    if style in ("side", "long"):
        part = (0.3 if p.texture % 2 else -0.3) * w
        line = line - 0.14 * np.exp(-(((x - part) / 0.12) ** 2)) + 0.10 * np.exp(-(((x + part) / 0.25) ** 2))
    line = line + (0.015 if style in ("fringe", "bob") else 0.006) * rng.standard_normal(len(line))
    inner = points(x, np.maximum(np.minimum(line, -0.08), outer[::-1, 1] + 0.02))
    root = rng.integers(2, len(outer) - 2, 30)
    tip = np.clip(root + rng.integers(-1, 2, 30), 2, len(outer) - 3)
    strands = np.stack([outer[root] * 0.985, inner[::-1][tip] * 0.985], axis=1)
    return np.concatenate([outer, inner]), strands


_TONGUE = np.maximum(1 - (np.linspace(-1.0, 1.0, 25)[:, None] / 0.75) ** 2, 0)
_BEARD_LINE = np.array([(-0.50, 0.35), (-0.36, 0.60), (-0.2, 0.72), (0.2, 0.72), (0.36, 0.60), (0.50, 0.35)])
_HALF_TURN = np.linspace(0.0, np.pi, 32)
_TOP_CIRCLE = np.stack([np.cos(_HALF_TURN), -np.sin(_HALF_TURN)], axis=1)
_TURN = np.linspace(0.0, 2.0 * np.pi, 40, endpoint=False)
_RIM = np.stack([f(_TURN) for f in (np.cos, np.sin)], axis=1)
_RIM = (0.205, 0.16) * np.sign(_RIM) * np.abs(_RIM) ** 0.75
