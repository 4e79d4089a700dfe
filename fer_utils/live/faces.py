"""Faces in frames: brightening of dark frames, tracking between detections, crops as in the training data."""

import math
from itertools import permutations
from time import perf_counter
from types import SimpleNamespace
from typing import Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import pdist

from fer_utils.data.detection import LONGEST_SIDE, Box, Detector, gray, reduced
from fer_utils.data.images import squared
from fer_utils.live import THRESHOLDS

_BRIGHT = 160.0  # least mean gray level of the brightest tenth of an image after `brighten`
_MAX_FACTOR = 24.0  # beyond it there is only noise


def brighten(image: np.ndarray) -> np.ndarray:
    """Brighten a dark image, gray or RGB, so that faces are found in it and look as in the training data.

    The factor brings its brightest tenth to a mean of 160. On 300 faces of FER-2013 (PublicTest), 200 pixels
    large in frames of 640x480 with noise, the Haar cascade finds 0.74 at normal brightness; multiplied by
    0.12 it finds 0.01 without brightening and 0.75 with it.
    """
    # A mean, unlike a quantile, changes gradually from frame to frame. One pixel in sixteen is enough.
    values = gray(np.ascontiguousarray(image[::4, ::4])).ravel()
    n_brightest = max(len(values) // 10, 1)
    brightest = float(np.partition(values, -n_brightest)[-n_brightest:].mean())
    factor = min(_BRIGHT / max(brightest, 1.0), _MAX_FACTOR)
    if factor > 1:
        image = cv2.LUT(image, np.rint(np.minimum(factor * np.arange(256), 255)).astype(np.uint8))
    return image


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

_C = SimpleNamespace(**THRESHOLDS["tracking"])
_STEPS = 64  # crops are placed to 1/64 pixel, so that rounding errors cannot change them


def crop_face(image: np.ndarray, box: Box, *, size: int, framing: Framing = STILLS) -> np.ndarray:
    """Crop the face in a detector's box as the readers of the training data do: uint8 (size, size).

    The crop moves with fractions of pixels, so that a swaying face does not jump.
    """
    side = max(framing.scale * (box.width + box.height) / 2, 1.0)
    x, y = box.centre
    edges = x - side / 2, y + framing.shift * box.height - side / 2, side
    x, y, side = (round(_STEPS * edge) / _STEPS for edge in edges)
    left, top, right, bottom = math.floor(x), math.floor(y), math.ceil(x + side), math.ceil(y + side)
    height, width = image.shape[:2]
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    region = image[rows].take(np.clip(np.arange(left, right), 0, width - 1), axis=1)
    face = Image.fromarray(region).convert("L")
    x, y, step = x - left, y - top, side / size
    if framing.resampling == "lanczos":
        return np.asarray(squared(face, size, region=(x, y, x + side, y + side)))
    # INTER_AREA of OpenCV, or INTER_LINEAR when the face becomes larger, at fractions of pixels.
    image = np.asarray(face)
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


class Track:
    """Tracked face: its number, from 1 and never reused, and its box in pixels of the frame."""

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
        self._speed = _C.inertia * self._speed + (1 - _C.inertia) * step
        self.box = _transform(box, self._correction)

    def confirm(self, box: Box, time: float, *, every: int) -> None:
        """Correct the face by a detection, over the next frames."""
        self.confirmed, self.misses, self.hits = time, 0, self.hits + 1
        if self.lost:
            self.lost, self.box, self._correction = False, box, np.zeros(3)
            return
        side = self.box.width
        error = np.append(np.subtract(box.centre, self.box.centre) / side, np.log(box.width / side))
        beyond = np.sign(error) * np.maximum(np.abs(error) - _C.tolerance, 0)
        self._correction = _C.pull / every * beyond * (side, side, 1)

    def remains(self, time: float, shape: tuple[int, ...]) -> bool:
        """Return whether the face is in a frame of this shape and was detected often enough."""
        (x, y), (height, width) = self.box.centre, shape
        if self.lost:
            seen = abs(time - self.confirmed) <= _C.memory
        else:
            seen = self.misses < min(_C.patience, self.hits)
        return seen and 0 <= x <= width and 0 <= y <= height


class Tracker:
    """Tracks the faces of a video: a detection `every` few frames, median flow in between.

    Median flow: Z. Kalal, K. Mikolajczyk and J. Matas, *Forward-backward error: automatic detection of
    tracking failures*, ICPR 2010. It is steadier than a detector, so that detections correct a box gradually,
    and only where they disagree with it. A lost face and a cut bring the next one forward.
    """

    def __init__(self, detector: Detector, *, every: int = 5) -> None:
        self.detector, self.every = detector, every
        self._last_number = 0
        self.reset()

    def reset(self) -> None:
        """Forget all faces, as for another source. Their numbers are not reused."""
        self._faces: list[Track] = []
        self._before: np.ndarray | None = None  # the last frame, gray and reduced
        self._shape: tuple[int, ...] = ()  # of the last frame
        self._waited, self._urgent = self.every, False
        self.seconds = {"detect": 0.0, "track": 0.0}  # in the last `update`

    @property
    def numbers(self) -> set[int]:
        """Numbers of the faces that are tracked, or covered for a moment."""
        return {face.number for face in self._faces}

    def update(self, image: np.ndarray, time: float) -> list[Track]:
        """Return the visible faces in the next frame; one covered for a second returns with its number."""
        start = perf_counter()
        reduced_image, shape = gray(reduced(image, LONGEST_SIDE)), image.shape[:2]
        if self._faces:
            self._urgent |= self._move(reduced_image, shape)
        self._before, self._shape = reduced_image, shape
        self._waited += 1
        moved = perf_counter()
        if self._waited >= self.every or (self._urgent and self._waited > 1):
            self._detect(image, time)
            self._waited, self._urgent = 0, False
        self._faces = [face for face in self._faces if face.remains(time, shape)]
        self.seconds = {"track": moved - start, "detect": perf_counter() - moved}
        return [face for face in self._faces if not face.lost]

    def _move(self, frame: np.ndarray, shape: tuple[int, ...]) -> bool:
        """Move the faces into the next frame and return whether one was lost."""
        visible, comparable = [face for face in self._faces if not face.lost], shape == self._shape
        boxes: list[Box | None] = [None] * len(visible)
        if visible and comparable:
            factor = frame.shape[1] / shape[1]
            boxes = _median_flow(self._before, frame, [face.box for face in visible], factor)
        if not any(boxes):
            small = [cv2.resize(one, (16, 16), interpolation=cv2.INTER_AREA) for one in (frame, self._before)]
            if not comparable or cv2.matchTemplate(*small, cv2.TM_CCOEFF_NORMED)[0, 0] < _C.cut:
                self._faces = []
                return True
        moved = {face.number: box for face, box in zip(visible, boxes, strict=True)}
        for face in self._faces:
            face.move(moved.get(face.number))
        return None in boxes

    def _detect(self, image: np.ndarray, time: float) -> None:
        """Confirm and correct the tracked faces by a detection, and add new ones."""
        boxes = self.detector.find(image)
        overlap = np.array([[_iou(face.box, box) for box in boxes] for face in self._faces])
        overlap = np.where(overlap < _C.same_face, 0, overlap).reshape(len(self._faces), len(boxes))
        pairs = zip(*linear_sum_assignment(overlap, maximize=True), strict=True)
        matches = {row: column for row, column in pairs if overlap[row, column]}
        for row, face in enumerate(self._faces):
            if row in matches:
                face.confirm(boxes[matches[row]], time, every=self.every)
            else:
                face.misses += 1
        for box in (box for column, box in enumerate(boxes) if column not in matches.values()):
            known = any(_inside(np.array([box.centre]), face.box) for face in self._faces)
            if not known and len(self._faces) < _C.most_faces:
                self._last_number += 1
                self._faces.append(Track(self._last_number, box, time))


def _median_flow(before: np.ndarray, after: np.ndarray, boxes: list[Box], factor: float) -> list[Box | None]:
    """Return boxes in the next frame, gray and reduced by a factor; None for one that is lost."""
    places = 0.5 + _C.inner * np.linspace(-0.5, 0.5, _C.grid)
    grids = [np.meshgrid(box.x + places * box.width, box.y + places * box.height) for box in boxes]
    start = np.stack([np.stack([x.ravel(), y.ravel()], axis=1) for x, y in grids])
    points = (factor * start).astype(np.float32).reshape(-1, 1, 2)
    there, there_ok, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, winSize=_C.window)
    back, back_ok, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, winSize=_C.window)
    errors = np.where(there_ok & back_ok, np.linalg.norm(back - points, axis=2), np.inf)
    errors = errors.reshape(start.shape[:2])
    for row, other in permutations(range(len(boxes)), 2):  # a point in two boxes may belong to either face
        errors[row, _inside(start[row], boxes[other])] = np.nan
    ends, moved = there.reshape(start.shape) / factor, []
    for box, begin, end, error in zip(boxes, start, ends, errors, strict=True):
        good = error < _C.max_return
        if good.sum() < max(_C.min_points, _C.min_share * (~np.isnan(error)).sum()):
            moved.append(None)
            continue
        good &= error <= np.median(error[good])
        growth = np.median(pdist(end[good]) / pdist(begin[good]))
        change = np.append(np.median(end[good] - begin[good], axis=0), np.log(growth))
        moved.append(_transform(box, change))
    return moved


def _inside(points: np.ndarray, box: Box) -> np.ndarray:
    offset = points - (box.x, box.y)
    return ((offset >= 0) & (offset <= (box.width, box.height))).all(axis=1)


def _transform(box: Box, change: np.ndarray) -> Box:
    """Move a box by x and y in pixels, and scale it by the exponential of the third number."""
    x, y, growth = box.centre[0] + change[0], box.centre[1] + change[1], np.exp(change[2])
    width, height = growth * box.width, growth * box.height
    return Box(float(x - width / 2), float(y - height / 2), float(width), float(height))


def _iou(a: Box, b: Box) -> float:
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (a.area + b.area - shared)
