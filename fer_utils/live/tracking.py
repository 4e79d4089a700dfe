"""Faces followed from frame to frame: found every few frames, and moved with the picture in between.

Between detections a box moves by median flow: Z. Kalal, K. Mikolajczyk and J. Matas, *Forward-backward error:
automatic detection of tracking failures*, ICPR 2010. Points on a grid in the box are followed to the next
frame and back (Lucas-Kanade in pyramids, as J.-Y. Bouguet describes it); those that do not come back to where
they started are left out, and the box moves and grows by the median of the others. That is steadier than any
detector, so that a detection moves a box only where the two disagree, and little by little.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from time import perf_counter

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import pdist

from fer_utils.detection import LONGEST_SIDE, Box, Detector, gray, reduced

# Lengths of what is followed are in pixels of the reduced picture.
_GRID = 8  # points a side
_INNER = 0.8  # share of a box's side in which they lie: its corners show the background
_WINDOW = (15, 15)
_RETURNS = 1.0  # from where it started: a point that comes back as near was followed
_FEWEST, _SHARE = 10, 0.3  # of the points must be followed; in one face it is over half, across a cut a sixth
_THUMBNAIL = (16, 16)
_CUT = 0.75  # correlation with the frame before: where it is less and no face could be followed, all is new

_SAME = 0.3  # intersection over union from which a detection may be of a face that is followed
_AGREES = 0.06  # of the side: a detection that is no further off tells nothing new
_PULL = 0.1  # share of the rest by which the box has moved at the next detection
_REMEMBERED = 1.0  # seconds that a face may be covered
_INERTIA = 0.8  # of the speed with which a covered face is thought to go on


@dataclass(frozen=True)
class Track:
    """A face that is followed.

    Attributes
    ----------
    number : int
        From 1 on; the same as long as the face is followed, and never given to another.
    box : Box
        In pixels of the frame, framed as the detector does it.
    since, confirmed : float
        When the detector found it first and last, in the seconds of `Tracker.update`.
    """

    number: int
    box: Box
    since: float
    confirmed: float


class Tracker:
    """Follows the faces of a video.

    Parameters
    ----------
    detector : Detector
    every : int
        Frames from one detection to the next. A face that gets lost, and a cut, bring it forward, though
        never to two frames in a row.
    most : int
        Faces that are followed at the same time. Of more, those stay that were followed before, and the
        largest are added.
    patience : int
        Detections in a row that miss a face until it is given up; fewer for one that was found less often.

    Attributes
    ----------
    found : int
        Faces that the last detection found, followed or not.
    seconds : dict of str to float
        What the last `update` took: "detect" and "track".

    Raises
    ------
    ValueError
        For a number below 1.
    """

    def __init__(self, detector: Detector, *, every: int = 5, most: int = 10, patience: int = 3) -> None:
        if min(every, most, patience) < 1:
            raise ValueError(f"every={every}, most={most}, patience={patience}: use 1 or more")
        self.detector, self.every, self.most, self.patience = detector, every, most, patience
        self._last_number = 0
        self.reset()

    def reset(self) -> None:
        """Forget all faces, as for another source. Their numbers are not used again."""
        self._faces: list[_Face] = []
        self._before: _Scene | None = None
        self._waited, self._urgent = self.every, False
        self.found = 0
        self.seconds = {"detect": 0.0, "track": 0.0}

    @property
    def remembered(self) -> set[int]:
        """The numbers of all faces that are followed or may come back."""
        return {face.number for face in self._faces}

    def update(self, image: np.ndarray, time: float) -> list[Track]:
        """Return the faces in the next frame, by number.

        A face that is covered for less than a second is left out and then comes back with its number.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W) or (H, W, 3)
            Gray; or red, green, blue.
        time : float
            Seconds since the source began.
        """
        began = perf_counter()
        scene = _Scene(image)
        self._urgent |= self._follow(scene)
        self._before = scene
        self._waited += 1
        followed = perf_counter()
        if self._waited >= self.every or (self._urgent and self._waited > 1):
            self._detect(image, time)
            self._waited, self._urgent = 0, False
        self._faces = [face for face in self._faces if face.kept(time, self.patience) and face.inside(image)]
        self.seconds = {"track": followed - began, "detect": perf_counter() - followed}
        return [face.track for face in self._faces if not face.lost]

    def _follow(self, scene: "_Scene") -> bool:
        """Move the faces into the next frame and return whether one was lost on the way."""
        if not self._faces:
            return False
        seen = {face.number: face.box for face in self._faces if not face.lost}
        moved = dict(zip(seen, _moved(self._before, scene, list(seen.values())), strict=True))
        if not any(moved.values()) and scene.is_new_after(self._before):
            self._faces = []
            return True
        for face in self._faces:
            face.move(moved.get(face.number))
        return None in moved.values()

    def _detect(self, image: np.ndarray, time: float) -> None:
        """Confirm and correct the faces by what the detector finds, and add new ones."""
        boxes = self.detector.find(image)
        self.found = len(boxes)
        matched = _matched([face.box for face in self._faces], boxes)
        for row, face in enumerate(self._faces):
            if row in matched:
                face.confirm(boxes[matched[row]], time, within=self.every)
            else:
                face.misses += 1
        for box in (box for column, box in enumerate(boxes) if column not in matched.values()):
            middle = np.array([box.centre])
            if len(self._faces) < self.most and not any(_inside(middle, face.box) for face in self._faces):
                self._last_number += 1
                self._faces.append(_Face(self._last_number, box, time))


class _Face:
    """A face that is followed: where it is, where it is going, and how sure that is."""

    def __init__(self, number: int, box: Box, time: float) -> None:
        self.number, self.box = number, box
        self.since = self.confirmed = time
        self.hits, self.misses = 1, 0
        self.lost = False
        self._speed = np.zeros(2)  # pixels a frame
        self._correction = np.zeros(3)  # of centre and logarithm of the side, for each frame

    @property
    def track(self) -> Track:
        return Track(self.number, self.box, self.since, self.confirmed)

    def move(self, box: Box | None) -> None:
        """Take the place that the flow leads to; None where it is lost, and the face goes on as before."""
        self.lost = box is None
        if box is None:
            self.box = _shifted(self.box, np.append(self._speed, 0.0))
            return
        step = np.subtract(box.centre, self.box.centre)
        self._speed = _INERTIA * self._speed + (1 - _INERTIA) * step
        self.box = _shifted(box, self._correction)

    def confirm(self, box: Box, time: float, *, within: int) -> None:
        """Note that the detector found the face, and where; a box that is off is corrected in some frames."""
        self.confirmed, self.misses, self.hits = time, 0, self.hits + 1
        if self.lost:
            self.lost, self.box, self._correction = False, box, np.zeros(3)
            return
        side = self.box.width
        off = np.append(np.subtract(box.centre, self.box.centre) / side, np.log(box.width / side))
        beyond = np.sign(off) * np.maximum(np.abs(off) - _AGREES, 0)
        self._correction = _PULL / within * beyond * (side, side, 1)

    def kept(self, time: float, patience: int) -> bool:
        """Return whether it is worth going on with the face."""
        if self.lost:
            return abs(time - self.confirmed) <= _REMEMBERED
        return self.misses < min(patience, self.hits)

    def inside(self, image: np.ndarray) -> bool:
        """Return whether the face's middle is in the picture."""
        x, y = self.box.centre
        return 0 <= x <= image.shape[1] and 0 <= y <= image.shape[0]


class _Scene:
    """A frame in gray and reduced, in which flow is computed."""

    def __init__(self, image: np.ndarray) -> None:
        self.picture = gray(reduced(image, LONGEST_SIDE))
        self.full = image.shape[:2]
        self.factor = self.picture.shape[1] / image.shape[1]

    def is_new_after(self, other: "_Scene") -> bool:
        """Return whether a frame shows something entirely different from another."""
        if self.full != other.full:
            return True
        pair = [
            cv2.resize(scene.picture, _THUMBNAIL, interpolation=cv2.INTER_AREA) for scene in (self, other)
        ]
        return bool(cv2.matchTemplate(*pair, cv2.TM_CCOEFF_NORMED)[0, 0] < _CUT)


def _moved(before: _Scene, after: _Scene, boxes: Sequence[Box]) -> list[Box | None]:
    """Return where boxes are in the next frame; None for one that could not be followed."""
    if not boxes or before.full != after.full:
        return [None] * len(boxes)
    start = np.stack([_grid(box) for box in boxes])
    points = (before.factor * start).astype(np.float32).reshape(-1, 1, 2)
    there, gone, _ = cv2.calcOpticalFlowPyrLK(before.picture, after.picture, points, None, winSize=_WINDOW)
    again, back, _ = cv2.calcOpticalFlowPyrLK(after.picture, before.picture, there, None, winSize=_WINDOW)
    error = np.where(gone & back, np.linalg.norm(again - points, axis=2), np.inf).reshape(start.shape[:2])
    end = there.reshape(start.shape) / before.factor
    for row, other in permutations(range(len(boxes)), 2):  # in both boxes, a point may be of either face
        error[row, _inside(start[row], boxes[other])] = np.nan
    return [_by_median(*found) for found in zip(boxes, start, end, error, strict=True)]


def _by_median(box: Box, start: np.ndarray, end: np.ndarray, error: np.ndarray) -> Box | None:
    """Return a box moved and grown as its points have: (P, 2) before and after, and (P,) their errors."""
    good = error < _RETURNS
    if good.sum() < max(_FEWEST, _SHARE * (~np.isnan(error)).sum()):
        return None
    good &= error <= np.median(error[good])
    start, end = start[good], end[good]
    growth = np.median(pdist(end) / pdist(start))
    return _shifted(box, np.append(np.median(end - start, axis=0), np.log(growth)))


def _grid(box: Box) -> np.ndarray:
    """Return points on a grid in a box: (P, 2), x and y."""
    places = 0.5 + _INNER * np.linspace(-0.5, 0.5, _GRID)
    x, y = np.meshgrid(box.x + places * box.width, box.y + places * box.height)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _inside(points: np.ndarray, box: Box) -> np.ndarray:
    away = points - (box.x, box.y)
    return ((away >= 0) & (away <= (box.width, box.height))).all(axis=1)


def _shifted(box: Box, change: np.ndarray) -> Box:
    """Return a box moved by x and y in pixels and grown by the exponential of the third number."""
    x, y, growth = box.centre[0] + change[0], box.centre[1] + change[1], np.exp(change[2])
    width, height = growth * box.width, growth * box.height
    return Box(float(x - width / 2), float(y - height / 2), float(width), float(height))


def _matched(faces: Sequence[Box], found: Sequence[Box]) -> dict[int, int]:
    """Return which face which detection is of, so that together they overlap most."""
    if not faces or not found:
        return {}
    overlap = np.array([[_overlap(face, box) for box in found] for face in faces])
    overlap[overlap < _SAME] = 0
    pairs = zip(*linear_sum_assignment(overlap, maximize=True), strict=True)
    return {int(row): int(column) for row, column in pairs if overlap[row, column]}


def _overlap(a: Box, b: Box) -> float:
    """Return intersection over union."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (a.area + b.area - shared)
