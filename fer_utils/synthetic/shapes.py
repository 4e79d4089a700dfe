"""The curves, bumps and folds of a face, as action units shape them, in face units (see `identity`).

Amounts were set by eye, after the descriptions of the units in Ekman & Friesen, *FACS* (1978).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fer_utils.synthetic.identity import Identity

EYE_Y = -0.08
SIDES = ((0, -1.0), (1, 1.0))  # index into left/right intensities, sign of x
_SIGNS = np.array([[-1.0], [1.0]])

_BROW = np.linspace(0.0, 1.0, 9)  # inner to outer end
_BROW_OUTER = np.clip((_BROW - 0.15) / 0.6, 0, 1)
_BROW_OUTER = _BROW_OUTER**2 * (3 - 2 * _BROW_OUTER)
_BROW_INNER = 1 - _BROW_OUTER  # both raisers together lift the brow as a whole
_BROW_ARCH = np.sin(np.pi * _BROW**1.3)
_BROW_BODY = (1.15 - 0.35 * _BROW) * (1 - _BROW**4)
_LID = np.linspace(-1.0, 1.0, 17)
_LIP = np.linspace(-1.0, 1.0, 25)
_TURN = np.linspace(0.0, 2.0 * np.pi, 64, endpoint=False)

_T = np.linspace(0.0, 1.0, 7)[:, None]
# Weights of three points on the curve through them, (points, 3).
_QUADRATIC = np.hstack([(1 - _T) * (1 - 2 * _T), 4 * _T * (1 - _T), _T * (2 * _T - 1)])


@dataclass(frozen=True)
class Shapes:
    """One face with one expression: action-unit intensities on the left and right half of the image."""

    person: Identity
    halves: tuple[dict[int, float], dict[int, float]]

    @cached_property
    def mid(self) -> dict[int, float]:
        """Mean intensity of both halves, for features on the midline."""
        left, right = self.halves
        return {unit: 0.5 * (left[unit] + right[unit]) for unit in left}

    @cached_property
    def both(self) -> dict[int, np.ndarray]:
        """Intensities of the left and right half, (2, 1), for paired features."""
        left, right = self.halves
        return {unit: np.array([[left[unit]], [right[unit]]]) for unit in left}

    @cached_property
    def brows(self) -> tuple[np.ndarray, np.ndarray]:
        """Upper and lower edges of the eyebrows, (2, points, 2) each, from the inner end outward."""
        p, au, u = self.person, self.both, _BROW
        lift = 0.105 * au[1] * _BROW_INNER + 0.115 * au[2] * _BROW_OUTER
        frown = au[4] * (1 - 0.45 * u) * (1 - 0.75 * au[1] * _BROW_INNER)
        lower = 0.095 * frown + 0.045 * au[9] * _BROW_INNER
        x = 0.115 + (p.eye_spacing + 0.165) * u * (1 - 0.1 * u) - 0.045 * au[4] * (1 - u)
        y = p.brow_height + p.brow_tilt * (2 * u - 1) - p.brow_arch * _BROW_ARCH - lift + lower
        half = 0.5 * p.brow_thickness * _BROW_BODY + 0.005
        x = _SIGNS * x
        return points(x, y - half), points(x, y + half)

    @cached_property
    def lids(self) -> tuple[np.ndarray, np.ndarray]:
        """Upper and lower lid margins, (2, points, 2) each; every eye from its inner corner outward."""
        p, au = self.person, self.both
        width = 0.148 * p.eye_size
        squint = 0.22 * au[4] + 0.18 * au[6] + 0.25 * au[7] + 0.2 * au[9]
        upper = 0.070 * p.eye_size * (1 + 0.75 * au[5] - squint)
        pushed_up = 0.65 * au[6] + 0.75 * au[7] + 0.45 * au[9]
        lower = 0.038 * p.eye_size * np.maximum(1 + 0.1 * au[5] - pushed_up, -0.2)
        upper = upper - (upper + 0.6 * lower) * au[43]
        hump = 1 - _LID**2
        tilt = -p.eye_tilt * _LID * width
        x = _SIGNS * (p.eye_spacing + width * _LID)
        top = EYE_Y + tilt - upper * hump ** (0.7 - 0.12 * au[5]) * (1 - 0.12 * _LID)
        bottom = np.maximum(EYE_Y + tilt + lower * hump * (1 + 0.15 * _LID), top)
        return points(x, top), points(x, bottom)

    @cached_property
    def mouth(self) -> dict[str, np.ndarray]:
        """The four lip curves, left to right: outer and inner edge of the upper and the lower lip."""
        p, au, t = self.person, self.mid, _LIP
        ends = [self._lip_corner(side, sign) for side, sign in SIDES]
        x = np.where(t < 0, -t * ends[0][0], t * ends[1][0])
        middle = p.mouth_height + 0.012 * au[12] - 0.042 * au[17] * (1 - 0.5 * au[26]) - 0.012 * au[10]
        corner = np.where(t < 0, ends[0][1], ends[1][1])
        seam = middle + (corner - middle) * np.abs(t) ** 1.8
        hump = 1 - t**2
        up = 0.022 * au[25] + 0.045 * au[10] + 0.02 * au[9] + 0.035 * au[26] + 0.012 * au[12] * au[25]
        down = au[25] * (0.038 + 0.03 * au[12] + 0.04 * au[16] + 0.02 * au[20]) + 0.03 * au[16]
        down += 0.22 * au[26]
        stretched = (1 - 0.3 * au[12]) * (1 - 0.2 * au[20])
        thickness = p.lip_thickness * stretched * (1 - 0.5 * au[23]) * (1 - 0.6 * au[24])
        top, low = 0.046 * thickness * (1 - 0.15 * au[10]), 0.060 * thickness * (1 + 0.15 * au[17])
        bow = 1 - 0.22 * np.exp(-((t / 0.12) ** 2))
        upper_in, lower_in = seam - up * hump**0.6, seam + down * hump**0.6
        curves = {
            "upper_out": upper_in - top * hump**0.75 * bow,
            "upper_in": upper_in,
            "lower_in": lower_in,
            "lower_out": lower_in + low * hump**0.6,
        }
        return {name: points(x, y) for name, y in curves.items()}

    def _lip_corner(self, side: int, sign: float) -> tuple[float, float]:
        p, au = self.person, self.halves[side]
        widen = 0.24 * au[12] + 0.22 * au[20]
        narrow = 0.04 * au[17] + 0.08 * au[23] + 0.13 * au[24] + 0.19 * au[26]
        rise = 0.115 * au[12] - 0.085 * au[15] - 0.025 * au[20] - 0.035 * au[26]
        return sign * p.mouth_width * (1 + widen - narrow), p.mouth_height + p.mouth_tilt - rise

    @cached_property
    def teeth(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Upper and lower edge of the upper teeth that show, or None."""
        au = self.mid
        top, bottom = self.mouth["upper_in"][3:-3], self.mouth["lower_in"][3:-3]
        height = 0.03 + 0.05 * max(au[12], au[10], au[20], au[9]) + 0.02 * au[26]
        edge = np.minimum(bottom[:, 1], top[:, 1] + height)
        if float(np.max(edge - top[:, 1])) < 0.015:
            return None
        return top, points(top[:, 0], edge)

    @cached_property
    def contour(self) -> np.ndarray:
        """Outline of the face without ears; the jaw follows action unit 26."""
        p = self.person
        cos, sin = np.cos(_TURN), np.sin(_TURN)
        power = np.where(sin > 0, 1.17 - 0.46 * p.jaw_width, 0.95)
        x = p.head_width * np.sign(cos) * np.abs(cos) ** power
        y = np.where(sin > 0, p.chin, 0.96) * sin
        return points(x, y + 0.16 * self.mid[26] * np.clip((y - 0.30) / 0.65, 0, 1) ** 1.5)

    def bumps(self) -> np.ndarray:
        """Smooth bumps of the skin, (bumps, 6): centre x, y, radius x, y, height, and light gained."""
        # Height tilts the surface normal; the light models shadows that other parts cast.
        p, m = self.person, self.mid
        nose, wide, mouth = p.nose_length, p.nose_width, p.mouth_height
        drop, lift = 0.17 * m[26], self.nose_lift
        rows = [
            (0.0, 0.5 * nose - 0.08, 0.15 * wide, 0.40, 0.065, 0.0),
            (0.0, 0.5 * nose - 0.04, 0.08, 0.34, 0.0, 0.08),
            (0.0, nose - 0.01 - lift, 0.17 * wide, 0.16, 0.06, 0.03),
            (0.0, nose + 0.115 - lift, 0.20 * wide, 0.07, 0.0, -0.22),
            (0.0, mouth - 0.11, 0.05, 0.10, -0.010, 0.0),
            (0.0, mouth + 0.155 + 1.2 * drop, 0.22, 0.075, -0.022 - 0.018 * m[17], -0.15),
            (0.0, 0.85 + drop, 0.26, 0.16, 0.030 + 0.03 * m[17], 0.0),
            (0.0, -0.52, 0.46, 0.30, 0.0, 0.06),
            (0.0, -0.27, 0.13, 0.13, 0.03 * m[4], -0.06 * m[4]),
        ]
        for side, sign in SIDES:
            au, eye = self.halves[side], sign * p.eye_spacing
            cheek = max(au[6], 0.8 * au[12])
            rows += [
                (sign * 0.100 * wide, nose + 0.015 - lift, 0.10, 0.09, 0.030 + 0.015 * au[9], 0.0),
                (eye * 0.96, EYE_Y - 0.06, 0.25, 0.20, -0.050, 0.0),
                (eye, EYE_Y, 0.17, 0.11, 0.025, 0.0),
                (eye * 0.98, EYE_Y - 0.035, 0.28, 0.20, 0.0, -0.27),
                (eye * 0.64, EYE_Y - 0.04, 0.13, 0.17, 0.0, -0.13),
                (eye * 1.05, p.brow_height + 0.02, 0.27, 0.13, 0.025, 0.0),
                (sign * 0.40, 0.20 - 0.06 * cheek, 0.27, 0.25, 0.045 + 0.045 * cheek, 0.07 + 0.04 * cheek),
                (eye, EYE_Y + 0.14, 0.17, 0.06, -0.008 - 0.010 * p.age - 0.012 * au[6], -0.03 - 0.06 * p.age),
                (sign * 0.66, 0.45, 0.28, 0.50, 0.0, -0.15),
            ]
        return np.array(rows, np.float32)

    @cached_property
    def nose_lift(self) -> float:
        """How far the nostrils' wings are pulled up."""
        return 0.032 * max(self.mid[9], 0.6 * self.mid[10])

    def folds(self) -> tuple[np.ndarray, np.ndarray]:
        """Wrinkles deep enough to see: curves (folds, points, 2) and depths (folds,) in [0, 1]."""
        p, m = self.person, self.mid
        rows = [
            (-0.30, -0.48, 0.0, -0.50, 0.30, -0.48, 0.10 * p.age + 0.45 * m[1]),
            (-0.26, -0.41, 0.0, -0.43, 0.26, -0.41, 0.10 * p.age + 0.45 * m[1]),
            (-0.10, -0.10, 0.0, -0.12, 0.10, -0.10, 0.8 * m[9]),
            (-0.09, 0.785, 0.0, 0.765, 0.09, 0.785, 0.6 * m[17] * (1 - m[26])),
        ]
        for side, sign in SIDES:
            for x0, y0, x1, y1, x2, y2, depth in self._folds_of(self.halves[side], side):
                rows.append((sign * x0, y0, sign * x1, y1, sign * x2, y2, depth))
        table = np.array([row for row in rows if row[-1] > 0.04]).reshape(-1, 7)
        return _QUADRATIC @ table[:, :6].reshape(-1, 3, 2), np.minimum(table[:, 6], 1.0)

    def _folds_of(self, au: dict[int, float], side: int) -> list[tuple[float, ...]]:
        """Folds of one half: three points that each runs through, and its depth."""
        p = self.person
        x, y = self._lip_corner(side, 1.0)
        end_x, end_y = p.mouth_width * (1.22 + 0.2 * au[12]), p.mouth_height - 0.03 - 0.06 * au[12]
        nose, wing, outer = p.nose_length - self.nose_lift, 0.145 * p.nose_width, p.eye_spacing + 0.17
        smile = max(0.75 * au[12], 0.9 * au[10], 0.7 * au[9], 0.3 * au[6])
        crow = 0.06 * p.age + 0.5 * au[6]
        return [
            (wing - 0.01, nose - 0.04, wing + 0.012, nose + 0.01, wing - 0.02, nose + 0.06, 0.35),
            (wing + 0.01, nose + 0.01, 0.26, nose + 0.12, end_x, end_y, 0.08 + 0.25 * p.age + 0.6 * smile),
            (0.045, -0.36, 0.055, -0.28, 0.045, -0.21, 0.08 * p.age + 0.7 * au[4]),
            (0.26, -0.45, 0.38, -0.48, 0.52, -0.43, 0.5 * au[2]),
            (outer, -0.10, outer + 0.04, -0.125, outer + 0.08, -0.16, crow),
            (outer, -0.06, outer + 0.05, -0.06, outer + 0.09, -0.05, crow),
            (0.07, 0.05, 0.10, 0.09, 0.11, 0.14, 0.7 * au[9]),
            (0.055, 0.00, 0.10, 0.02, 0.14, 0.06, 0.6 * au[9]),
            (x + 0.015, y, x + 0.04, y + 0.05, x + 0.035, y + 0.11, 0.05 * p.age + 0.6 * au[15]),
            (x + 0.05, y - 0.06, x + 0.075, y, x + 0.05, y + 0.07, 0.45 * au[20]),
            (x - 0.01, y - 0.025, x + 0.02, y, x - 0.01, y + 0.03, 0.6 * max(au[23], au[24])),
        ]


def points(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return x and y as (..., 2); several times faster than `np.stack`, and called often."""
    pairs = np.empty((*y.shape, 2))
    pairs[..., 0], pairs[..., 1] = x, y
    return pairs
