"""Face detection in images."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from fer_utils.files import ConfigError, project_path

YUNET_FILE = "data/raw/weights/face_detection_yunet_2023mar.onnx"  # when no other path is given
LONGEST_SIDE = 320  # pixels to which a larger image is reduced before faces are searched or tracked in it
FINE_SIDE = 1280  # the same, where small faces are searched too

_EYES_APART, _EYES_DOWN = 0.39, 0.386
"""Where the eyes are in a box of the Haar cascade, in shares of its side: how far from each other, and how
far below its upper edge. Medians over 446 faces of FER-2013 (of 800 random ones of Training) in which
OpenCV's cascades find a face and two eyes; quartiles 0.36 to 0.415 and 0.376 to 0.397."""


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


class Detector:
    """Finds faces, and frames them as the Haar cascade does, which the crops of the live demo rely on."""

    longest_side: int | None  # pixels to which an image is reduced; None leaves it as it is

    def find(self, image: np.ndarray) -> list[Box]:
        """Return squares around the faces in an image, uint8 (H, W) or RGB (H, W, 3), the largest first."""
        small = reduced(image, self.longest_side)
        x, y = image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]
        boxes = [Box(x * box.x, y * box.y, x * box.width, y * box.height) for box in self._boxes(small)]
        # Several threads search, so the order in which OpenCV returns boxes varies.
        return sorted((box for box in boxes if box.area > 0), key=lambda box: (-box.area, box.x, box.y))


class Haar(Detector):
    """OpenCV's frontal Haar cascade (P. Viola, M. Jones, *Robust real-time face detection*, IJCV 57, 2004).

    `smallest` is the side of the smallest face as a share of the image's shorter side, of 24 pixels at least.
    """

    def __init__(self, *, smallest: float = 0.125, longest_side: int | None = LONGEST_SIDE) -> None:
        self.smallest, self.longest_side = smallest, longest_side
        file = Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"
        self._cascade = cv2.CascadeClassifier(str(file))

    def _boxes(self, image: np.ndarray) -> list[Box]:
        least = (round(self.smallest * min(image.shape[:2])),) * 2
        found = self._cascade.detectMultiScale(gray(image), scaleFactor=1.1, minNeighbors=5, minSize=least)
        return [Box(*map(float, box)) for box in found]


class YuNet(Detector):
    """A small network that also finds turned and partly covered faces; its file is not shipped.

    W. Wu, H. Peng and S. Yu, *YuNet: a tiny millisecond-level face detector*, Machine Intelligence Research
    20, 2023. Boxes are put around the eyes and the mouth, because its own are tight.
    """

    def __init__(self, path: str | Path, *, longest_side: int | None = LONGEST_SIDE) -> None:
        self.longest_side = longest_side
        file = project_path(path)
        if not file.is_file():
            raise ConfigError(
                f"detector 'yunet': {path} is missing. Get {Path(YUNET_FILE).name} from OpenCV's model zoo "
                f"(opencv_zoo on GitHub; MIT licence), put it at {YUNET_FILE}, or use the detector 'haar'"
            )
        try:
            self._network = cv2.FaceDetectorYN.create(str(file), "", (64, 64), score_threshold=0.7)
            self.find(np.zeros((64, 64, 3), np.uint8))  # what it cannot compute shows only here
        except cv2.error as error:
            reason = " ".join(str(error).split("error: ")[-1].split())[:200]
            where = f"detector 'yunet': {path} does not work as YuNet in OpenCV {cv2.__version__}"
            raise ConfigError(f"{where} ({reason}); it must be {Path(YUNET_FILE).name}, whole") from error

    def _boxes(self, image: np.ndarray) -> list[Box]:
        self._network.setInputSize(image.shape[1::-1])
        code = cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR
        _, rows = self._network.detect(cv2.cvtColor(image, code))  # None without a face
        return [] if rows is None else [_box_of(row[4:14].reshape(5, 2).astype(float)) for row in rows]


def detector(name: str, *, path: str | Path = "", fine: bool = False) -> Detector:
    """Return the detector "haar" or "yunet"; `path` is YuNet's file, `fine` finds small faces too."""
    if name == "yunet":
        return YuNet(path or YUNET_FILE, longest_side=FINE_SIDE if fine else LONGEST_SIDE)
    if str(path):
        raise ConfigError(f"the detector 'haar' takes no file, got {str(path)!r}; leave it empty")
    return Haar(smallest=0.03, longest_side=FINE_SIDE) if fine else Haar()


def reduced(image: np.ndarray, longest_side: int | None) -> np.ndarray:
    """Return an image with its longer side at most `longest_side` pixels; None leaves it as it is."""
    longest = max(image.shape[:2])
    if longest_side is None or longest <= longest_side:
        return image
    height, width = (max(1, round(side * longest_side / longest)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def gray(image: np.ndarray) -> np.ndarray:
    """Return the luma of an image, uint8 (H, W); a gray one is returned as it is."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _box_of(marks: np.ndarray) -> Box:
    """Return the box that the Haar cascade would put around two eyes, the nose and two corners of a mouth."""
    eyes, mouth = marks[:2].mean(axis=0), marks[3:].mean(axis=0)
    height = float(np.hypot(*(mouth - eyes)))
    # Eyes are about as far from each other as from the mouth; turning the head to the side shortens the one
    # distance, bowing it the other.
    side = max(float(np.hypot(*(marks[1] - marks[0]))), height) / _EYES_APART
    down = (mouth - eyes) / height if height else np.array([0.0, 1.0])
    x, y = eyes + (0.5 - _EYES_DOWN) * side * down - side / 2
    return Box(float(x), float(y), side, side)
