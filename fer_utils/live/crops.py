"""From a face in a frame to the very image that a network was trained on."""

import math
from typing import Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image

from fer_utils.data.images import squared, to_gray
from fer_utils.detection import Box


class Framing(NamedTuple):
    """How much of the picture around a detector's box a data set shows, and how it was resized.

    Attributes
    ----------
    scale : float
        Side of what is cut out, over the side of the box.
    shift : float
        How far its centre lies below that of the box, in sides of the box.
    resized : {"lanczos", "area"}
        "lanczos" as `ImageDecoder` resizes pictures, "area" as `to_clipset` resizes frames: the mean over
        the area of a pixel when they become smaller, linear interpolation when larger.
    """

    scale: float
    shift: float
    resized: Literal["lanczos", "area"]


STILLS = Framing(1.03, 0.0, "lanczos")
"""That of FER-2013. 2,000 pictures of its Training part, drawn at random, were enlarged to 192 pixels and
given a gray border; the default `Haar` finds a face in 1,527. The side of the picture is 1.03 of the box's
(median; quartiles 0.98 and 1.13), its middle 0.00 boxes lower (-0.01 and 0.02). This says nothing of the
other 473.

`40_fastai_transfer--small_resnet` is right for 0.671 of 428 PublicTest pictures as they are, and for 0.654
when they are found in a frame of 600x400 pixels and cut out so. At 0.85, 1, 1.06, 1.1 and 1.2 of the box it
is right for 0.619, 0.643, 0.657, 0.640 and 0.598."""

CLIPS = Framing(1.36, -0.045, "area")
"""That of drawn clips, which show the whole head. Measured likewise on the first frame of a clip of each of
300 drawn people, in all of which a face is found: the frame is 1.36 of the box (quartiles 1.30 and 1.45), its
middle 0.045 boxes higher (0.08 and 0.01). Real clips that `to_clipset` crops show the bare box instead:
``Framing(1, 0, "area")``."""

_STEPS = 64  # parts of a pixel to which a cut is exact; no arithmetic below it makes one cut into another


def face_image(image: np.ndarray, box: Box, *, size: int, framing: Framing = STILLS) -> np.ndarray:
    """Cut a face out of a frame, as it would be in the data set that a network learned from.

    A square around the box is cut out, made gray and resized by what the readers of training data use: where
    the square is of whole pixels, the result is that of `ImageDecoder` for a file with these pixels, or of
    `to_clipset` for such frames. It need not be whole: a box that moves by a part of a pixel moves the image
    by as much, so that a face that sways does not jump from pixel to pixel.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W) or (H, W, 3)
        Gray; or red, green, blue.
    box : Box
        As a detector returns it, in pixels of `image`. Where the square reaches beyond the edges, the pixels
        at the edge are repeated.
    size : int
        Height and width in pixels of what the network takes.
    framing : Framing

    Returns
    -------
    ndarray of uint8, shape (size, size)

    Raises
    ------
    ValueError
        For a box without an area, or of no numbers.
    """
    x, y, side = square(box, framing=framing)
    left, upper = math.floor(x), math.floor(y)
    piece = _cut(image, left, upper, math.ceil(x + side), math.ceil(y + side))
    gray = to_gray(Image.fromarray(piece))
    x, y = x - left, y - upper
    if framing.resized == "lanczos":
        return np.asarray(squared(gray, size, region=(x, y, x + side, y + side)))
    return _area(np.asarray(gray), x, y, side, size)


def square(box: Box, *, framing: Framing = STILLS) -> tuple[float, float, float]:
    """Return the left and the upper edge and the side, in pixels, of what `face_image` cuts out.

    Raises
    ------
    ValueError
        For a box without an area, or of no numbers.
    """
    if not (all(map(math.isfinite, box)) and min(box.width, box.height) > 0):
        raise ValueError(f"{box}: a box has a place, a width and a height")
    side = max(framing.scale * (box.width + box.height) / 2, 1.0)
    x, y = box.centre
    edges = x - side / 2, y + framing.shift * box.height - side / 2, side
    return tuple(round(_STEPS * edge) / _STEPS for edge in edges)


def _cut(image: np.ndarray, left: int, upper: int, right: int, lower: int) -> np.ndarray:
    """Return these columns and rows of a picture, its edges repeated where it has none."""
    height, width = image.shape[:2]
    if left >= 0 and upper >= 0 and right <= width and lower <= height:
        return image[upper:lower, left:right]
    rows = np.clip(np.arange(upper, lower), 0, height - 1)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    return image[rows].take(columns, axis=1)


def _area(gray: np.ndarray, x: float, y: float, side: float, size: int) -> np.ndarray:
    """Return a square of a gray picture in another size, as OpenCV's INTER_AREA does it for whole pixels.

    OpenCV's INTER_LINEAR where it becomes larger, as in `to_clipset`.
    """
    step = side / size
    if step < 1:
        centres = step * (np.arange(size) + 0.5) - 0.5
        values = _between(_between(gray.astype(float), y + centres).T, x + centres).T
    else:  # the sum over a rectangle is a difference of sums from the corner of the picture
        edges = step * np.arange(size + 1)
        sums = _between(_between(cv2.integral(gray, sdepth=cv2.CV_64F), y + edges).T, x + edges).T
        values = np.diff(np.diff(sums, axis=0), axis=1) / step**2
    return np.rint(values).astype(np.uint8)


def _between(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return what lies at these places between rows, interpolated linearly; the first and last row go on."""
    places = np.clip(places, 0, len(rows) - 1)
    before = np.minimum(places.astype(int), max(len(rows) - 2, 0))
    after = np.minimum(before + 1, len(rows) - 1)
    return rows[before] + (places - before)[:, None] * (rows[after] - rows[before])
