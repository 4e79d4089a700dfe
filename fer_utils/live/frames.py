"""Types that the modules of the live demo exchange, and the annotation of a frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from fer_utils.data.detection import Box
from fer_utils.data.forms import printable

COLORS = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#ece133", "#56b4e9")
"""Colours of faces and classes: seaborn's palette "colorblind" without grey."""


@dataclass(frozen=True)
class Frame:
    """RGB image of a source, uint8 (H, W, 3)."""

    image: np.ndarray
    time: float  # seconds since the source started
    name: str = ""  # of the file, for single images
    still: bool = False  # a single image, unrelated to the frame before


@dataclass(frozen=True)
class Problem:
    """Message that a source yields instead of a frame; the source continues if it can."""

    message: str


@dataclass(frozen=True)
class Face:
    """Face in a frame, with the probabilities of the classes (K,) smoothed over time."""

    number: int  # from 1; the same for the same face in all frames of a source
    box: Box
    probabilities: np.ndarray
    label: str  # class with the highest probability

    @property
    def probability(self) -> float:
        """Probability of `label`."""
        return float(self.probabilities.max())


@dataclass(frozen=True)
class Event:
    """Expression with onset, apex and offset in seconds since the source started.

    An "expression" is a class that the network predicted for a while; its apex is where the probability,
    `score`, is highest. "micro" (at most half a second) and "macro" are movements of the face.
    """

    kind: Literal["expression", "micro", "macro"]
    face: int
    label: str
    onset: float
    apex: float
    offset: float
    score: float

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.offset - self.onset


@dataclass(frozen=True)
class Analysis:
    """Result of one frame: faces, events that ended with it, messages, and seconds by processing step."""

    frame: Frame
    faces: tuple[Face, ...] = ()
    events: tuple[Event, ...] = ()
    messages: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


def annotate(analysis: Analysis) -> np.ndarray:
    """Return the frame, or a copy with a box around each face and a label such as "happy 87 %"."""
    if not analysis.faces:
        return analysis.frame.image
    image = np.array(analysis.frame.image, order="C")
    height, width = image.shape[:2]
    line = max(2, height // 200)
    # The largest face last, so that nothing covers its label.
    for face in sorted(analysis.faces, key=lambda face: face.box.area):
        color = COLORS[(face.number - 1) % len(COLORS)]
        number = f"{face.number}  " if len(analysis.faces) > 1 else ""
        text = f"{number}{printable(face.label)} {100 * face.probability:.0f} %"
        contrast = "#000000" if ImageColor.getcolor(color, "L") > 100 else "#ffffff"
        label = _label(text, color, contrast, max(11, min(height // 26, int(face.box.width / 8))))
        x, y = round(face.box.x), round(face.box.y)
        right, bottom = round(face.box.x + face.box.width), round(face.box.y + face.box.height)
        # An edge in the opposite colour keeps the box visible on bright and on dark images.
        cv2.rectangle(image, (x, y), (right, bottom), ImageColor.getrgb(contrast), line + 2)
        cv2.rectangle(image, (x, y), (right, bottom), ImageColor.getrgb(color), line)
        top = y - line - len(label)  # above the box, else below it, else on its upper edge
        if top < 0:
            top = bottom + line if bottom + line + len(label) <= height else max(y, 0)
        top = int(np.clip(top, 0, max(height - len(label), 0)))
        left = int(np.clip(x - line, 0, max(width - label.shape[1], 0)))
        region = image[top : top + len(label), left : left + label.shape[1]]
        region[:] = label[: region.shape[0], : region.shape[1]]
    return image


@lru_cache(maxsize=256)
def _label(text: str, color: str, text_color: str, size: int) -> np.ndarray:
    """Return text on a bar, uint8 (rows, columns, 3)."""
    import matplotlib  # ships DejaVu Sans

    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
    font = ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)
    margin, (ascent, descent) = size // 3, font.getmetrics()
    shape = (round(font.getlength(text)) + 2 * margin, ascent + descent + margin // 2)
    bar = Image.new("RGB", shape, color)
    ImageDraw.Draw(bar).text((margin, margin // 4), text, fill=text_color, font=font)
    return np.asarray(bar)
