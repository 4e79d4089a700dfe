"""Faces in frames: brightening of dark frames, tracking between detections, crops as in the training data."""

import math
from itertools import permutations
from time import perf_counter
from typing import Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import pdist

from fer_utils.data.images import squared, to_gray
from fer_utils.detection import LONGEST_SIDE, Box, Detector, gray, reduced

# --- low light -----------------------------------------------------------------------------------

Light = Literal["off", "auto", "on"]

_BRIGHT = 160.0  # least mean gray level of the brightest tenth of an image after `brighten`
_MAX_FACTOR = 24.0  # beyond it there is only noise


def brighten(image: np.ndarray, mode: Light = "auto") -> np.ndarray:
    """Brighten a dark image, so that faces are found in it and look as in the training data.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W) or (H, W, 3)
        Gray or RGB.
    mode : {"off", "auto", "on"}
        "off" changes nothing. "auto" multiplies an image by the factor that brings its brightest tenth to a
        mean of 160. "on" also applies contrast-limited adaptive histogram equalisation (K. Zuiderveld,
        *Graphics Gems IV*, 1994), for a face in front of a window.

    Notes
    -----
    On 300 faces of FER-2013 (PublicTest), 200 pixels large in frames of 640x480 with noise, the Haar cascade
    finds 0.74 at normal brightness. Multiplied by 0.12 it finds 0.01 with "off" and 0.75 with "auto"; when
    only the face is dark (times 0.15), 0.07 with "auto" and 0.65 with "on".
    """
    if mode == "off":
        return image
    # A mean, unlike a quantile, changes gradually from frame to frame. One pixel in sixteen is enough.
    values = gray(np.ascontiguousarray(image[::4, ::4])).ravel()
    n_brightest = max(len(values) // 10, 1)
    brightest = float(np.partition(values, -n_brightest)[-n_brightest:].mean())
    factor = min(_BRIGHT / max(brightest, 1.0), _MAX_FACTOR)
    if factor > 1:
        image = cv2.LUT(image, np.rint(np.minimum(factor * np.arange(256), 255)).astype(np.uint8))
    if mode == "auto":
        return image
    clahe = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))
    if image.ndim == 2:
        return clahe.apply(image)
    channels = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    cv2.insertChannel(clahe.apply(cv2.extractChannel(channels, 0)), channels, 0)
    return cv2.cvtColor(channels, cv2.COLOR_YCrCb2RGB)


# --- crops ---------------------------------------------------------------------------------------


class Framing(NamedTuple):
    """How much a data set shows around the box of a detector, and how its images were resized."""

    scale: float  # side of the crop, in sides of the box
    shift: float  # of the centre downwards, in sides of the box
    resampling: Literal["lanczos", "area"]  # as still images, or as frames of clips


STILLS = Framing(1.03, 0.0, "lanczos")
"""FER-2013: median over 1,527 faces that Haar finds in 2,000 training images (quartiles 0.98 and 1.13). With
it, `40_fastai_transfer--small_resnet` has accuracy 0.654 on 428 PublicTest images in frames, and 0.671 on the
images themselves; 0.619 with a scale of 0.85, 0.598 with 1.2."""

CLIPS = Framing(1.36, -0.045, "area")
"""Synthetic clips, which show the whole head. Median over the first frames of clips of 300 people."""

_STEPS = 64  # crops are placed to 1/64 pixel, so that rounding errors cannot change them


def crop_face(image: np.ndarray, box: Box, *, size: int, framing: Framing = STILLS) -> np.ndarray:
    """Crop a face as it would be in the data set on which the network was trained.

    For whole pixels the result equals that of the readers of training data. The crop moves with fractions of
    pixels, so that a swaying face does not jump. Beyond the edges of the image, its edge pixels are repeated.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W) or (H, W, 3)
        Gray or RGB.
    box : Box
        Of a detector, in pixels of `image`.
    size : int
        Height and width of the result, uint8 (size, size).
    framing : Framing
    """
    side = max(framing.scale * (box.width + box.height) / 2, 1.0)
    x, y = box.centre
    edges = x - side / 2, y + framing.shift * box.height - side / 2, side
    x, y, side = (round(_STEPS * edge) / _STEPS for edge in edges)
    left, top, right, bottom = math.floor(x), math.floor(y), math.ceil(x + side), math.ceil(y + side)
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        region = image[top:bottom, left:right]
    else:
        rows = np.clip(np.arange(top, bottom), 0, height - 1)
        region = image[rows].take(np.clip(np.arange(left, right), 0, width - 1), axis=1)
    face = to_gray(Image.fromarray(region))
    x, y = x - left, y - top
    if framing.resampling == "lanczos":
        return np.asarray(squared(face, size, region=(x, y, x + side, y + side)))
    return _resize_area(np.asarray(face), x, y, side, size)


def _resize_area(image: np.ndarray, x: float, y: float, side: float, size: int) -> np.ndarray:
    """Resize a square at fractions of pixels: INTER_AREA of OpenCV, INTER_LINEAR when it becomes larger."""
    step = side / size
    if step < 1:
        centres = step * (np.arange(size) + 0.5) - 0.5
        values = _interpolate(_interpolate(image.astype(float), y + centres).T, x + centres).T
    else:  # the sum over a rectangle is a difference of sums from the corner of the image
        edges = step * np.arange(size + 1)
        sums = _interpolate(_interpolate(cv2.integral(image, sdepth=cv2.CV_64F), y + edges).T, x + edges).T
        values = np.diff(np.diff(sums, axis=0), axis=1) / step**2
    return np.rint(values).astype(np.uint8)


def _interpolate(rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Interpolate linearly between rows; the first and last row are repeated."""
    at = np.clip(at, 0, len(rows) - 1)
    before = np.minimum(at.astype(int), max(len(rows) - 2, 0))
    after = np.minimum(before + 1, len(rows) - 1)
    return rows[before] + (at - before)[:, None] * (rows[after] - rows[before])


# --- tracking ------------------------------------------------------------------------------------

# Lengths for tracking are in pixels of the reduced frame.
_GRID, _INNER = 8, 0.8  # points a side, and the share of a box in which they lie: corners show background
_WINDOW = (15, 15)
_MAX_RETURN = 1.0  # forward-backward error of a point that counts as tracked
_MIN_POINTS, _MIN_SHARE = 10, 0.3  # that must be tracked: in one face over half are, across a cut a sixth
_CUT = 0.75  # correlation with the frame before, below which all faces are new
_SAME_FACE = 0.3  # intersection over union of a detection and a tracked box
_TOLERANCE = 0.06  # of the side: a detection this close changes nothing
_PULL = 0.1  # share of the remaining difference that is corrected until the next detection
_MEMORY = 1.0  # seconds that a face may be covered
_INERTIA = 0.8  # of the speed at which a covered face continues


class Track(NamedTuple):
    """Tracked face: its number, from 1 and never reused, and its box in pixels of the frame."""

    number: int
    box: Box


class Tracker:
    """Tracks the faces of a video: a detection every few frames, median flow in between.

    Median flow: Z. Kalal, K. Mikolajczyk and J. Matas, *Forward-backward error: automatic detection of
    tracking failures*, ICPR 2010. It is steadier than a detector, so that detections correct a box gradually,
    and only where they disagree with it.

    Parameters
    ----------
    detector : Detector
    every : int
        Frames from one detection to the next. A lost face and a cut bring it forward.
    most : int
        Faces tracked at the same time; the largest are added first.
    patience : int
        Consecutive detections that may miss a face; fewer for a face that was detected less often.

    Attributes
    ----------
    found : int
        Faces in the last detection, tracked or not.
    seconds : dict of str to float
        Duration of "detect" and "track" in the last `update`.
    """

    def __init__(self, detector: Detector, *, every: int = 5, most: int = 10, patience: int = 3) -> None:
        self.detector, self.every, self.most, self.patience = detector, every, most, patience
        self._last_number = 0
        self.reset()

    def reset(self) -> None:
        """Forget all faces, as for another source. Their numbers are not reused."""
        self._faces: list[_TrackedFace] = []
        self._before: _ReducedFrame | None = None
        self._waited, self._urgent = self.every, False
        self.found = 0
        self.seconds = {"detect": 0.0, "track": 0.0}

    @property
    def numbers(self) -> set[int]:
        """Numbers of the faces that are tracked, or covered for a moment."""
        return {face.number for face in self._faces}

    def update(self, image: np.ndarray, time: float) -> list[Track]:
        """Return the faces in the next frame, gray or RGB, at a time in seconds.

        A face that is covered for less than a second is left out and returns with its number.
        """
        start = perf_counter()
        frame = _ReducedFrame(image)
        self._urgent |= self._move(frame)
        self._before = frame
        self._waited += 1
        moved = perf_counter()
        if self._waited >= self.every or (self._urgent and self._waited > 1):
            self._detect(image, time)
            self._waited, self._urgent = 0, False
        height, width = image.shape[:2]
        self._faces = [face for face in self._faces if face.is_alive(time, self.patience, width, height)]
        self.seconds = {"track": moved - start, "detect": perf_counter() - moved}
        return [Track(face.number, face.box) for face in self._faces if not face.lost]

    def _move(self, frame: "_ReducedFrame") -> bool:
        """Move the faces into the next frame and return whether one was lost."""
        if not self._faces:
            return False
        visible = {face.number: face.box for face in self._faces if not face.lost}
        moved = dict(zip(visible, _median_flow(self._before, frame, list(visible.values())), strict=True))
        if not any(moved.values()) and frame.is_cut_from(self._before):
            self._faces = []
            return True
        for face in self._faces:
            face.move(moved.get(face.number))
        return None in moved.values()

    def _detect(self, image: np.ndarray, time: float) -> None:
        """Confirm and correct the tracked faces by a detection, and add new ones."""
        boxes = self.detector.find(image)
        self.found = len(boxes)
        overlap = np.array([[_overlap(face.box, box) for box in boxes] for face in self._faces])
        overlap = np.where(overlap < _SAME_FACE, 0, overlap).reshape(len(self._faces), len(boxes))
        rows, columns = linear_sum_assignment(overlap, maximize=True)
        matches = {row: column for row, column in zip(rows, columns, strict=True) if overlap[row, column]}
        for row, face in enumerate(self._faces):
            if row in matches:
                face.confirm(boxes[matches[row]], time, every=self.every)
            else:
                face.misses += 1
        for column, box in enumerate(boxes):
            if column in matches.values() or len(self._faces) >= self.most:
                continue
            if not any(_inside(np.array([box.centre]), face.box) for face in self._faces):
                self._last_number += 1
                self._faces.append(_TrackedFace(self._last_number, box, time))


class _TrackedFace:
    """Position, speed and reliability of a face."""

    def __init__(self, number: int, box: Box, time: float) -> None:
        self.number, self.box, self.confirmed = number, box, time
        self.hits, self.misses, self.lost = 1, 0, False
        self._speed = np.zeros(2)  # pixels a frame
        self._correction = np.zeros(3)  # of centre and log side, a frame

    def move(self, box: Box | None) -> None:
        """Move to a box that was tracked; None if it was lost: the face then continues at its speed."""
        self.lost = box is None
        if box is None:
            self.box = _transform(self.box, np.append(self._speed, 0.0))
            return
        step = np.subtract(box.centre, self.box.centre)
        self._speed = _INERTIA * self._speed + (1 - _INERTIA) * step
        self.box = _transform(box, self._correction)

    def confirm(self, box: Box, time: float, *, every: int) -> None:
        """Correct the face by a detection, over the next frames."""
        self.confirmed, self.misses, self.hits = time, 0, self.hits + 1
        if self.lost:
            self.lost, self.box, self._correction = False, box, np.zeros(3)
            return
        side = self.box.width
        error = np.append(np.subtract(box.centre, self.box.centre) / side, np.log(box.width / side))
        beyond = np.sign(error) * np.maximum(np.abs(error) - _TOLERANCE, 0)
        self._correction = _PULL / every * beyond * (side, side, 1)

    def is_alive(self, time: float, patience: int, width: int, height: int) -> bool:
        x, y = self.box.centre
        if not (0 <= x <= width and 0 <= y <= height):
            return False
        if self.lost:
            return abs(time - self.confirmed) <= _MEMORY
        return self.misses < min(patience, self.hits)


class _ReducedFrame:
    """Gray, reduced frame, in which flow is computed."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = gray(reduced(image, LONGEST_SIDE))
        self.shape = image.shape[:2]
        self.factor = self.image.shape[1] / image.shape[1]

    def is_cut_from(self, other: "_ReducedFrame") -> bool:
        """Return whether the frame shows another scene."""
        if self.shape != other.shape:
            return True
        pair = [cv2.resize(one.image, (16, 16), interpolation=cv2.INTER_AREA) for one in (self, other)]
        return bool(cv2.matchTemplate(*pair, cv2.TM_CCOEFF_NORMED)[0, 0] < _CUT)


def _median_flow(before: _ReducedFrame, after: _ReducedFrame, boxes: list[Box]) -> list[Box | None]:
    """Return boxes in the next frame; None for one that is lost."""
    if not boxes or before.shape != after.shape:
        return [None] * len(boxes)
    places = 0.5 + _INNER * np.linspace(-0.5, 0.5, _GRID)
    grids = [np.meshgrid(box.x + places * box.width, box.y + places * box.height) for box in boxes]
    start = np.stack([np.stack([x.ravel(), y.ravel()], axis=1) for x, y in grids])
    points = (before.factor * start).astype(np.float32).reshape(-1, 1, 2)
    there, there_ok, _ = cv2.calcOpticalFlowPyrLK(before.image, after.image, points, None, winSize=_WINDOW)
    back, back_ok, _ = cv2.calcOpticalFlowPyrLK(after.image, before.image, there, None, winSize=_WINDOW)
    error = np.where(there_ok & back_ok, np.linalg.norm(back - points, axis=2), np.inf)
    error = error.reshape(start.shape[:2])
    for row, other in permutations(range(len(boxes)), 2):  # a point in two boxes may belong to either face
        error[row, _inside(start[row], boxes[other])] = np.nan
    end = there.reshape(start.shape) / before.factor
    return [_move_by_median(*face) for face in zip(boxes, start, end, error, strict=True)]


def _move_by_median(box: Box, start: np.ndarray, end: np.ndarray, error: np.ndarray) -> Box | None:
    """Move and scale a box by the median of its points, (P, 2) each, with errors (P,)."""
    good = error < _MAX_RETURN
    if good.sum() < max(_MIN_POINTS, _MIN_SHARE * (~np.isnan(error)).sum()):
        return None
    good &= error <= np.median(error[good])
    start, end = start[good], end[good]
    growth = np.median(pdist(end) / pdist(start))
    return _transform(box, np.append(np.median(end - start, axis=0), np.log(growth)))


def _inside(points: np.ndarray, box: Box) -> np.ndarray:
    offset = points - (box.x, box.y)
    return ((offset >= 0) & (offset <= (box.width, box.height))).all(axis=1)


def _transform(box: Box, change: np.ndarray) -> Box:
    """Move a box by x and y in pixels, and scale it by the exponential of the third number."""
    x, y, growth = box.centre[0] + change[0], box.centre[1] + change[1], np.exp(change[2])
    width, height = growth * box.width, growth * box.height
    return Box(float(x - width / 2), float(y - height / 2), float(width), float(height))


def _overlap(a: Box, b: Box) -> float:
    """Return intersection over union."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (a.area + b.area - shared)
