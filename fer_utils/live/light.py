"""Dark pictures made brighter, so that faces are found in them and look as they do in training data.

OpenCV's Haar cascade passes over what has hardly any contrast, and a network knows only the gray levels that
it was trained on. What a picture lacks in light is therefore given back by a factor on all values, which does
to a dark picture what a longer exposure would have done, noise included.
"""

from typing import Literal, get_args

import cv2
import numpy as np

from fer_utils.detection import gray
from fer_utils.files import ConfigError

Light = Literal["off", "auto", "on"]
"""What `brightened` may be told."""

BRIGHT = 160.0
"""Gray level that the brightest tenth of a picture has at least, on average, after `brightened`. Where it has
more, something in the picture is well lit, perhaps the face, and a factor would only wash it out."""

MOST = 24.0
"""The largest factor: beyond it there is nothing but noise."""

_EVERY = 4  # pixels: their brightness is known from one in sixteen


def brightened(image: np.ndarray, mode: Light = "auto") -> tuple[np.ndarray, bool]:
    """Return a picture that is bright enough, and whether it had to be changed for that.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W) or (H, W, 3)
        Gray; or red, green, blue.
    mode : {"off", "auto", "on"}
        "off" changes nothing. "auto" multiplies the values of a picture whose brightest tenth is below
        `BRIGHT`; the factor comes in gradually, so that a video does not flicker. "on" does so too and then
        evens out the light (contrast-limited adaptive histogram equalisation: K. Zuiderveld, *Graphics Gems
        IV*, 1994), for a face in front of a window.

    Raises
    ------
    ConfigError
        For another mode.

    Notes
    -----
    Measured on 300 faces of FER-2013 (PublicTest), 200 pixels large in drawn frames of 640x480 with noise of
    2 gray levels: the share in which the default `Haar` finds the face, and the accuracy of the network of
    `40_fastai_transfer--small_resnet` on what is at the true place.

    ==============================  ===========  ===========  ===========
    frame                           off          auto         on
    ==============================  ===========  ===========  ===========
    normal                          0.74, 0.70   0.74, 0.70   0.74, 0.65
    all of it times 0.25            0.61, 0.58   0.76, 0.70   0.76, 0.70
    times 0.12                      0.01, 0.28   0.75, 0.69   0.73, 0.69
    times 0.06                      0.00, 0.11   0.73, 0.55   0.74, 0.55
    all but the face times 0.08     0.79, 0.70   0.79, 0.68   0.81, 0.65
    the face alone times 0.15       0.07, 0.43   0.07, 0.43   0.65, 0.62
    ==============================  ===========  ===========  ===========

    On 60 of them a gamma curve that brings the median of the frame to 110 was worse (0.72 and 0.55 at times
    0.12, where "auto" had 0.80 and 0.60), and a factor that does so washes out a lit face in a dark room
    (0.07 and 0.15).
    """
    if mode not in get_args(Light):
        raise ConfigError(f"low light {mode!r}: use {', '.join(map(repr, get_args(Light)))}")
    if mode == "off":
        return image, False
    factor = min(BRIGHT / max(_brightest_tenth(image), 1.0), MOST)
    if factor > 1:
        image = cv2.LUT(image, np.rint(np.minimum(factor * np.arange(256), 255)).astype(np.uint8))
    return (_evened(image), True) if mode == "on" else (image, factor > 1)


def _brightest_tenth(image: np.ndarray) -> float:
    """Return the mean gray level of the brightest tenth of a picture; a mean, unlike a rank, never jumps."""
    values = gray(np.ascontiguousarray(image[::_EVERY, ::_EVERY])).ravel()
    count = max(len(values) // 10, 1)
    return float(np.partition(values, -count)[-count:].mean())


def _evened(image: np.ndarray) -> np.ndarray:
    clahe = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))
    if image.ndim == 2:
        return clahe.apply(image)
    parts = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    cv2.insertChannel(clahe.apply(cv2.extractChannel(parts, 0)), parts, 0)
    return cv2.cvtColor(parts, cv2.COLOR_YCrCb2RGB)
