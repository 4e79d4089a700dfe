"""Types that the modules of the live demo exchange, and the annotation of a frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

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
    image = Image.fromarray(analysis.frame.image)
    draw, line = ImageDraw.Draw(image), max(2, image.height // 200)
    # The largest face last, so that nothing covers its label.
    for face in sorted(analysis.faces, key=lambda face: face.box.area):
        color = COLORS[(face.number - 1) % len(COLORS)]
        contrast = "#000000" if ImageColor.getcolor(color, "L") > 100 else "#ffffff"
        x, y = round(face.box.x), round(face.box.y)
        right, bottom = round(face.box.x + face.box.width), round(face.box.y + face.box.height)
        # An edge in the opposite colour keeps the box visible on bright and on dark images.
        draw.rectangle((x - 2, y - 2, right + 2, bottom + 2), outline=contrast, width=line + 3)
        draw.rectangle((x - 1, y - 1, right + 1, bottom + 1), outline=color, width=line + 1)
        number = f"{face.number}  " if len(analysis.faces) > 1 else ""
        text = f"{number}{printable(face.label)} {percent(face.probability)}"
        font = _font(max(11, min(image.height // 26, int(face.box.width / 8))))
        margin = font.size // 3
        width, height = round(font.getlength(text)) + 2 * margin, sum(font.getmetrics()) + margin // 2
        top = y - line - height  # above the box, else below it, else on its upper edge
        if top < 0:
            top = bottom + line if bottom + line + height <= image.height else max(y, 0)
        left, top = max(min(x - line, image.width - width), 0), max(min(top, image.height - height), 0)
        draw.rectangle((left, top, left + width - 1, top + height - 1), fill=color)
        draw.text((left + margin, top + margin // 4), text, fill=contrast, font=font)
    return np.asarray(image)


def percent(share: float) -> str:
    """Format a share as in "87 %"."""
    return f"{100 * share:.0f} %"


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    import matplotlib  # ships DejaVu Sans

    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
    return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)
