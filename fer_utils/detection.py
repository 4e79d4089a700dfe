"""Where faces are in a picture."""

from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from fer_utils.files import ConfigError, project_path

DETECTORS = ("haar", "yunet")
"""What `detector` knows."""

YUNET_FILE = "data/raw/weights/face_detection_yunet_2023mar.onnx"
"""Where YuNet's network is looked for when no other path is given."""

LONGEST_SIDE = 320
"""Pixels to which a larger picture is reduced before faces are searched or followed in it."""

FINE_SIDE = 1280
"""The same, where small faces are searched too."""

_EYES_APART, _EYES_DOWN = 0.39, 0.386
"""Where the eyes are in a box of the Haar cascade, in shares of its side: how far from each other, and how
far below its upper edge. Medians over 446 faces of FER-2013 (of 800 of its Training part, drawn at random) in
which OpenCV's cascades find a face and two eyes; quartiles 0.36 to 0.415 and 0.376 to 0.397."""


class Box(NamedTuple):
    """A rectangle in pixels: its left upper corner and its size, not necessarily whole numbers."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height

    @property
    def centre(self) -> tuple[float, float]:
        """Its x and y."""
        return self.x + self.width / 2, self.y + self.height / 2


class Detector(Protocol):
    """Finds faces. All detectors frame a face alike, as the Haar cascade does: `crops` relies on it."""

    def find(self, image: np.ndarray) -> list[Box]:
        """Return the faces in a picture, the largest first; the same picture gives the same boxes.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W) or (H, W, 3)
            Gray; or red, green, blue.

        Returns
        -------
        list of Box
            Squares in pixels of `image`. They may reach beyond its edges.

        Raises
        ------
        ValueError
            For another shape or type.
        """
        ...


class Haar:
    """OpenCV's frontal Haar cascade.

    P. Viola and M. Jones, *Robust real-time face detection*, IJCV 57, 2004; the cascade is R. Lienhart's. It
    searches in gray and in a reduced picture: a face that is large enough to read is found there too.

    Parameters
    ----------
    scale_factor : float
        From one size that is searched to the next, above 1.
    min_neighbors : int
        How many overlapping finds make a face; with fewer there are more false ones.
    smallest : float
        Side of the smallest face as a share of the picture's shorter side. The cascade itself sees nothing
        below 24 pixels of the reduced picture.
    longest_side : int or None
        Pixels to which a larger picture is reduced; None searches it as it is.

    Raises
    ------
    ConfigError
        For settings out of range, and where OpenCV came without the cascade, as its version 5 does.
    """

    def __init__(
        self,
        *,
        scale_factor: float = 1.1,
        min_neighbors: int = 5,
        smallest: float = 0.125,
        longest_side: int | None = LONGEST_SIDE,
    ) -> None:
        if not (scale_factor > 1 and min_neighbors >= 0 and 0 <= smallest <= 1):
            raise ConfigError(
                f"scale_factor={scale_factor}, min_neighbors={min_neighbors}, smallest={smallest}: "
                "use a factor above 1, no negative number, and a share of 0 to 1"
            )
        _check_side(longest_side)
        self.scale_factor, self.min_neighbors = scale_factor, min_neighbors
        self.smallest, self.longest_side = smallest, longest_side
        file = Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"
        if not file.is_file():
            raise ConfigError(f"detector 'haar': OpenCV {cv2.__version__} came without {file.name}; use 4.x")
        self._cascade = cv2.CascadeClassifier(str(file))

    def find(self, image: np.ndarray) -> list[Box]:
        """Return the faces in a picture, as `Detector` says."""
        small = gray(reduced(image, self.longest_side))
        least = round(self.smallest * min(small.shape))
        found = self._cascade.detectMultiScale(
            small, scaleFactor=self.scale_factor, minNeighbors=self.min_neighbors, minSize=(least, least)
        )
        return _enlarged([Box(*map(float, box)) for box in found], small, image)


class YuNet:
    """A small network that also finds turned and partly covered faces; its file is not shipped.

    W. Wu, H. Peng and S. Yu, *YuNet: a tiny millisecond-level face detector*, Machine Intelligence Research
    20, 2023. Its own boxes are tight and of any shape; here a box is laid around the eyes and the mouth that
    it finds, as the Haar cascade would lay it: what is cut out then looks like what networks learned from.

    Parameters
    ----------
    path : path
        ``face_detection_yunet_2023mar.onnx`` of OpenCV's model zoo. Relative paths start at the project
        folder.
    least_score : float
        Faces that the network is less sure of are left out; 0 to 1.
    longest_side : int or None
        Pixels to which a larger picture is reduced; None searches it as it is.

    Raises
    ------
    ConfigError
        For settings out of range, a file that is not there, one that is not ONNX, and another network.
    """

    def __init__(
        self,
        path: str | Path = YUNET_FILE,
        *,
        least_score: float = 0.7,
        longest_side: int | None = LONGEST_SIDE,
    ) -> None:
        if not 0 <= least_score <= 1:
            raise ConfigError(f"least_score={least_score}: use 0 to 1")
        _check_side(longest_side)
        file = project_path(path)
        if not file.is_file():
            raise ConfigError(
                f"detector 'yunet': {path} is not there. Get face_detection_yunet_2023mar.onnx from OpenCV's "
                f"model zoo (opencv_zoo on GitHub, models/face_detection_yunet; MIT licence), put it at "
                f"{YUNET_FILE}, or use the detector 'haar', which needs no file"
            )
        self.longest_side = longest_side
        try:
            self._network = cv2.FaceDetectorYN.create(str(file), "", (64, 64), score_threshold=least_score)
            self.find(np.zeros((64, 64, 3), np.uint8))  # what it cannot compute shows only here
        except cv2.error as error:
            reason = " ".join(str(error).split("error: ")[-1].split())[:200]
            raise ConfigError(
                f"detector 'yunet': {path} does not work as YuNet in OpenCV {cv2.__version__} ({reason}); "
                "it must be face_detection_yunet_2023mar.onnx, whole"
            ) from error

    def find(self, image: np.ndarray) -> list[Box]:
        """Return the faces in a picture, as `Detector` says."""
        small = reduced(image, self.longest_side)
        height, width = small.shape[:2]
        self._network.setInputSize((width, height))
        code = cv2.COLOR_GRAY2BGR if small.ndim == 2 else cv2.COLOR_RGB2BGR
        _, rows = self._network.detect(cv2.cvtColor(small, code))
        boxes = [] if rows is None else [_around(row[4:14].reshape(5, 2).astype(float)) for row in rows]
        return _enlarged(boxes, small, image)


def detector(name: str, *, path: str | Path = "", fine: bool = False) -> Detector:
    """Return the detector of a name.

    Parameters
    ----------
    name : {"haar", "yunet"}
    path : path, optional
        Of YuNet's file, where it is not `YUNET_FILE`.
    fine : bool
        Search for small faces too, as for a picture by itself, which may take its time.

    Raises
    ------
    ConfigError
        For another name, a path for the Haar cascade, and what keeps a detector from working.
    """
    if name not in DETECTORS:
        raise ConfigError(f"detector={name!r}: use {' or '.join(map(repr, DETECTORS))}")
    if name == "yunet":
        return YuNet(path or YUNET_FILE, longest_side=FINE_SIDE if fine else LONGEST_SIDE)
    if str(path):
        raise ConfigError(f"the detector 'haar' takes no file, and {str(path)!r} is given; leave it empty")
    return Haar(smallest=0.03, longest_side=FINE_SIDE) if fine else Haar()


def reduced(image: np.ndarray, longest_side: int | None) -> np.ndarray:
    """Return a picture with its longer side at most `longest_side` pixels; None leaves it as it is.

    Raises
    ------
    ValueError
        For what is no picture: uint8 of the shape (H, W) or (H, W, 3), with a pixel at least.
    """
    colour = image.ndim == 3 and image.shape[2] == 3
    if image.dtype != np.uint8 or not (image.ndim == 2 or colour) or not image.size:
        raise ValueError(f"a picture is uint8 of shape (H, W) or (H, W, 3), got {image.dtype} {image.shape}")
    longest = max(image.shape[:2])
    if longest_side is None or longest <= longest_side:
        return image
    height, width = (max(1, round(side * longest_side / longest)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def gray(image: np.ndarray) -> np.ndarray:
    """Return the luma of a picture, uint8 (H, W); a gray one is returned as it is."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _check_side(longest_side: int | None) -> None:
    if longest_side is not None and longest_side < 1:
        raise ConfigError(f"longest_side={longest_side}: use a number of pixels, or None")


def _around(marks: np.ndarray) -> Box:
    """Return the box that the Haar cascade would lay around two eyes, the nose and two corners of a mouth."""
    eyes, mouth = marks[:2].mean(axis=0), marks[3:].mean(axis=0)
    height = float(np.hypot(*(mouth - eyes)))
    # Seen from the front, eyes are about as far from each other as from the mouth; a turn of the head to the
    # side shortens the one, a bow the other.
    side = max(float(np.hypot(*(marks[1] - marks[0]))), height) / _EYES_APART
    down = (mouth - eyes) / height if height else np.array([0.0, 1.0])
    x, y = eyes + (0.5 - _EYES_DOWN) * side * down - side / 2
    return Box(float(x), float(y), side, side)


def _enlarged(boxes: list[Box], small: np.ndarray, image: np.ndarray) -> list[Box]:
    """Return boxes of a reduced picture in pixels of the whole one, the largest first."""
    across, down = image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]
    sides = ((across * x, down * y, across * width, down * height) for x, y, width, height in boxes)
    whole = [box for box in map(Box._make, sides) if box.area > 0]
    # Several threads search, so that the order in which OpenCV returns boxes is not always the same.
    return sorted(whole, key=lambda box: (-box.area, box.x, box.y))
