"""What is drawn on a frame: a box around each face, and its label and percentage on a bar."""

from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from fer_utils.data.raw_files import printable
from fer_utils.live.seen import Seen, SeenFace

COLORS = (
    "#0173b2",
    "#de8f05",
    "#029e73",
    "#d55e00",
    "#cc78bc",
    "#ca9161",
    "#fbafe4",
    "#ece133",
    "#56b4e9",
)
"""Of the faces by their numbers: seaborn's palette "colorblind" without its gray."""

_SMALLEST_TEXT = 11  # pixels
_KEPT = 256  # bars, as the same ones come again and again


def annotated(seen: Seen, class_names: Sequence[str] = ()) -> np.ndarray:
    """Return the frame with a box around each face and a bar on it that says, for example, "happy 87 %".

    Of several faces each has a colour of its own, and its bar begins with its number.

    Parameters
    ----------
    seen : Seen
    class_names : sequence of str, optional
        The labels that there are: the bar of a single face is wide enough for all, and so keeps its width.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        The frame's image itself where there is no face, else a copy.
    """
    if not seen.faces:
        return seen.frame.image
    image = np.array(seen.frame.image, order="C")
    height, width = image.shape[:2]
    line = max(2, height // 200)
    several = len(seen.faces) > 1
    names = () if several else tuple(class_names)
    # The largest face last: it is the nearest one, and nothing should lie over its bar.
    for face in sorted(seen.faces, key=lambda face: face.box.width * face.box.height):
        colour = COLORS[(face.number - 1) % len(COLORS)]
        start = f"{face.number}  " if several else ""
        size = _text_size(face.box.width, height)
        bar = _bar(start, face.label, f" {percent(face.probability)}", names, colour, size, width)
        _outline(image, face, colour, line)
        _put(image, bar, face, line)
    return image


def percent(share: float) -> str:
    """Return a share of 1 as it is shown: "87 %"."""
    return f"{100 * share:.0f} %"


def jpeg(image: np.ndarray, quality: int = 80) -> bytes:
    """Return an image of red, green and blue, uint8 (H, W, 3), as a JPEG file; quality 0 to 100."""
    return _encoded(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def png(image: np.ndarray) -> bytes:
    """Return an image of red, green and blue, uint8 (H, W, 3), as a PNG file."""
    return _encoded(image, ".png", [])


def text_colour(background: str) -> str:
    """Return black or white, whichever is read better on a colour (WCAG 2.2, contrast ratio)."""
    luminance = _luminance(background)
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it, 0 to 1."""
    srgb = np.array(ImageColor.getrgb(colour)) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _text_size(box_width: float, frame_height: int) -> int:
    """Return pixels: a 26th of the frame's height, smaller on small boxes, whose bars would hide others."""
    return max(_SMALLEST_TEXT, min(frame_height // 26, int(box_width / 8)))


def _outline(image: np.ndarray, face: SeenFace, colour: str, line: int) -> None:
    x, y, right, bottom = _corners(face)
    # With an edge that is its opposite, a line is lost neither on a bright nor on a dark picture.
    cv2.rectangle(image, (x, y), (right, bottom), ImageColor.getrgb(text_colour(colour)), line + 2)
    cv2.rectangle(image, (x, y), (right, bottom), ImageColor.getrgb(colour), line)


def _put(image: np.ndarray, bar: np.ndarray, face: SeenFace, line: int) -> None:
    """Lay a bar above the box, below where there is no room, and else upon its upper edge."""
    height, width = image.shape[:2]
    x, y, _, bottom = _corners(face)
    edge = line // 2 + 1
    rows, columns = bar.shape[0], bar.shape[1]
    top = y - edge - rows
    if top < 0:
        top = bottom + edge if bottom + edge + rows <= height else max(y, 0)
    top = int(np.clip(top, 0, max(height - rows, 0)))
    left = int(np.clip(x - edge, 0, max(width - columns, 0)))
    part = image[top : top + rows, left : left + columns]
    part[:] = bar[: part.shape[0], : part.shape[1]]


def _corners(face: SeenFace) -> tuple[int, int, int, int]:
    x, y, width, height = face.box
    return round(x), round(y), round(x + width), round(y + height)


@lru_cache(maxsize=_KEPT)
def _bar(
    start: str, label: str, end: str, class_names: tuple[str, ...], colour: str, size: int, most: int
) -> np.ndarray:
    """Draw a bar, uint8 (rows, columns, 3), of at most `most` columns; a label too long is cut short."""
    font, pad = _font(size), size // 3
    text = _fitting(start, label, end, font, most - 2 * pad)
    widest = max((font.getlength(start + name + " 100 %") for name in class_names), default=0.0)
    columns = min(most, round(max(font.getlength(text), widest)) + 2 * pad)
    ascent, descent = font.getmetrics()
    bar = Image.new("RGB", (columns, ascent + descent + pad // 2), colour)
    ImageDraw.Draw(bar).text((pad, pad // 4), text, fill=text_colour(colour), font=font)
    return np.asarray(bar)


def _fitting(start: str, label: str, end: str, font: ImageFont.FreeTypeFont, room: int) -> str:
    label = printable(label)
    text = start + label + end
    while label and font.getlength(text) > room:
        label = label[:-1]
        text = f"{start}{label}…{end}"
    return text


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    import matplotlib  # has DejaVu Sans, and so every machine draws the same

    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
    return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)


def _encoded(image: np.ndarray, suffix: str, options: list[int]) -> bytes:
    return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()
