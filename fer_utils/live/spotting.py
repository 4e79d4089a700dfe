"""Spots movements of a face, from which it returns, against its own baseline.

Each crop is registered to the face at rest, which removes head movement and lighting: S. Baker and I.
Matthews, *Lucas-Kanade 20 years on: a unifying framework* (IJCV 2004), section 3.2, with robust weights. The
remaining difference at brows and mouth, divided by the image gradient, is how far they moved (B. Horn and B.
Schunck, *Determining optical flow*, 1981). The eyes are left out, because they blink. The baseline, as in A.
Davison et al., *Micro-facial movement detection using individualised baselines* (SMC 2015), follows the face
while it rests.

The thresholds in `thresholds.yaml` were chosen on `synthetic_video(seed=1000)` to 1009, at 30 and 100 frames
per second, also with twice the sway and twice the noise.
"""

import math
from collections import deque
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Literal, NamedTuple

import cv2
import numpy as np
from scipy.interpolate import make_interp_spline

from fer_utils.live import THRESHOLDS
from fer_utils.live.faces import CLIPS
from fer_utils.live.frames import Event

LONGEST_MICRO = 0.5  # seconds (W.-J. Yan et al., *How fast are the leaked facial expressions*, 2013)
MIN_FRAME_RATE = 25.0  # for micro-expressions of 0.2 s; the rate of SMIC's slower cameras
LONGEST = 4.0  # seconds: macro-expressions; a face that has not returned by then has a new baseline
MEMORY = LONGEST + 1.0  # seconds of crops
GAP = 1.0  # seconds without a crop after which the face is learned anew

_C = SimpleNamespace(**THRESHOLDS["spotting"])


def kind_of(onset: float, offset: float) -> Literal["micro", "macro"]:
    """Return "micro" for at most half a second, else "macro"."""
    return "micro" if offset - onset <= LONGEST_MICRO + 1e-9 else "macro"


class _Moment(NamedTuple):
    time: float
    crop: np.ndarray
    registered: np.ndarray


@dataclass
class _OpenMovement:
    since: float  # when it was noticed
    level: np.ndarray  # median and spread of the displacement at rest, (2,) each
    spread: np.ndarray
    peak: np.ndarray  # of the displacement
    back: float | None = None  # since when the face is back at rest


class Spotter:
    """Spots the movements of one face, given its number.

    A movement is returned once the face has been back at rest for a moment. A face that does not return in
    `LONGEST` seconds gets a new baseline, and nothing is reported. F1 on ten `synthetic_video` (20 seconds,
    128 pixels, seeds 0 to 9): 0.97 [0.93, 1.00] of 60 events; 0.81 [0.67, 0.90] with twice the sway of the
    head, 0.92 [0.86, 0.97] with three times the noise. This does not hold for real people, who also talk.
    """

    def __init__(self, *, face: int = 1) -> None:
        self.face = face
        self._moments: deque[_Moment] = deque()
        self._baseline: _Baseline | None = None

    @property
    def times(self) -> np.ndarray:
        """Times of the crops in memory."""
        return np.array([moment.time for moment in self._moments])

    @property
    def frame_rate(self) -> float:
        """Frames per second, from the median interval of two seconds; NaN in the first half second."""
        times = self.times
        times = times[times >= times[-1] - 2.0]
        known = len(times) >= 3 and times[-1] - times[0] >= 0.5
        return float(1 / np.median(np.diff(times))) if known else math.nan

    @property
    def problem(self) -> str:
        """Message if the frame rate is too low for micro-expressions, with 10 % tolerance for jitter."""
        low = self.frame_rate < 0.9 * MIN_FRAME_RATE
        return f"{self.frame_rate:.0f} frames per second: micro-expressions need {MIN_FRAME_RATE:.0f}" * low

    def add(self, crop: np.ndarray, time: float) -> Event | None:
        """Process the next crop and return the movement that ended a moment ago, if any, without a label.

        Crops are gray, uint8 (S, S), framed as `CLIPS`; times are in seconds. A time that goes back and a gap
        of more than `GAP` reset the spotter. At a low frame rate, only movements that certainly last half a
        second are returned.
        """
        elapsed = time - self._moments[-1].time if self._moments else math.inf
        if elapsed == 0:
            return None
        registered = self._baseline.register(crop) if 0 < elapsed <= GAP else None
        if registered is None:
            self._moments.clear()
            self._pending: deque[_Moment] = deque()  # not yet part of the baseline
            self._rest: deque[tuple[float, float, float]] = deque()  # time and displacement at rest
            self._open: _OpenMovement | None = None
            self._baseline = _Baseline(crop)
            self._started = self._updated = time
            registered = self._baseline.register(crop)
        self._moments.append(_Moment(time, crop, registered))
        while time - self._moments[0].time > MEMORY:
            self._moments.popleft()
        displacement = self._baseline.distance(registered, self._baseline.image)
        if time - self._started < _C.learn:
            self._baseline.update(registered, share=1 / len(self._moments))
            self._updated = time
            self._rest.append((time, *displacement))
            return None
        return (self._wait_for_onset if self._open is None else self._follow)(time, displacement)

    def clip(self, movement: Event, *, n_frames: int) -> np.ndarray:
        """Return crops at even times from onset to offset, linearly interpolated: uint8, (n_frames, S, S)."""
        crops = np.stack([moment.crop for moment in self._moments])
        wanted = np.linspace(movement.onset, movement.offset, n_frames)
        return np.rint(make_interp_spline(self.times, crops, k=1)(wanted)).astype(np.uint8)

    def _wait_for_onset(self, now: float, displacement: np.ndarray) -> None:
        """Notice a movement, or let the baseline follow the face."""
        self._rest.append((now, *displacement))
        while now - self._rest[0][0] > _C.stillness:
            self._rest.popleft()
        self._pending.append(self._moments[-1])
        while self._pending[0].time <= now - _C.delay:
            moment = self._pending.popleft()
            share = 1 - math.exp((self._updated - moment.time) / _C.time_constant)
            self._baseline.update(moment.registered, share=share)
            self._updated = moment.time
        values = np.array(self._rest)[:, 1:]
        level = np.median(values, axis=0)
        spread = 1.4826 * np.median(np.abs(values - level), axis=0)
        uncertainty = max(1.0, _C.enough / max(self._rest[-1][0] - self._rest[0][0], 1e-3))
        spread = np.maximum(spread, uncertainty * _C.smallest / _C.rise)
        if (displacement - level > _C.rise * spread).any():
            self._open = _OpenMovement(now, level, spread, displacement - level)
            self._pending.clear()

    def _follow(self, now: float, displacement: np.ndarray) -> Event | None:
        """Wait until a face that moved has returned and is still."""
        event, displacement = self._open, displacement - self._open.level
        event.peak = np.maximum(event.peak, displacement)
        if now - event.since > LONGEST:
            self._restart_baseline(now)
        elif (displacement >= np.maximum(_C.low * event.spread, _C.returned * event.peak)).any():
            event.back = None
        elif event.back is None or not self._is_still(event):
            event.back = now
        elif now - event.back >= _C.hold:
            movement = self._measure(event)
            self._restart_baseline(event.back)
            return movement
        return None

    def _is_still(self, event: _OpenMovement) -> bool:
        """Return whether the face has not moved for `_C.hold` seconds."""
        now = self._moments[-1]
        then = next(moment for moment in self._moments if moment.time >= now.time - _C.hold)
        # The noise of two crops is √2 of that against the baseline, which is a mean of many.
        moved = self._baseline.distance(now.registered, then.registered) - math.sqrt(2) * event.level
        return bool((moved < np.maximum(_C.low * event.spread, _C.still * event.peak)).all())

    def _restart_baseline(self, since: float) -> None:
        """Take the mean of the crops since a time as the baseline."""
        recent = [moment.registered for moment in self._moments if moment.time >= since]
        self._baseline.update(np.mean(recent, axis=0), share=1.0)
        self._updated = self._moments[-1].time
        self._open = None

    def _measure(self, event: _OpenMovement) -> Event | None:
        """Return onset, apex and offset of a movement that is over, if it was one."""
        times, baseline = self.times, self._baseline
        first = event.since - _C.delay
        before = (times >= first - _C.around) & (times <= event.since - _C.delay / 2)
        after = times >= event.back
        if not before.any():
            return None
        # The straight line from the mean before to the mean after is drift.
        regions = np.stack([baseline.regions(moment.registered) for moment in self._moments])
        start, end = times[before].mean(), times[after].mean()
        progress = np.clip((times - start) / (end - start), 0, 1)[:, None]
        drift = (1 - progress) * regions[before].mean(axis=0) + progress * regions[after].mean(axis=0)
        change = regions - drift
        size = np.linalg.norm(change, axis=1) * ((times >= first) & (times <= event.back))
        top = int(size.argmax())
        if (baseline.displacement(change[top]) - event.level < _C.rise * event.spread).all():
            return None
        # As a share of the apex: mean over the pixels that change clearly. Each counts `_C.clear` gray levels
        # at most, or parting lips would outweigh all that goes before.
        clear = np.abs(change[top]) > min(_C.clear / 2, np.abs(change[top]).max() / 2)
        share = np.clip(change[:, clear] * np.sign(change[top][clear]), -_C.clear, _C.clear).mean(axis=1)
        share = share / share[top]
        edge = max(_C.edge, _C.jitter * 1.4826 * float(np.median(np.abs(share[before | after]))))
        ends = (int(np.flatnonzero(before)[0]), len(times) - 1)
        onset, offset = (_crossing(share, times, edge, top, end) for end in ends)
        if self.problem:
            certain = offset - onset - 2 / self.frame_rate > LONGEST_MICRO
        else:
            certain = offset - onset >= _C.shortest and ((times > onset) & (times < offset)).sum() >= 2
        event = Event(kind_of(onset, offset), self.face, "", onset, float(times[top]), offset, math.nan)
        return event if certain else None


class _Baseline:
    """Face at rest, to which crops are registered; coordinates are those of the crop, from -1 to 1."""

    def __init__(self, crop: np.ndarray) -> None:
        side, middle = len(crop) / CLIPS.scale, (len(crop) - 1) / 2
        left, top = (len(crop) - side) / 2, (len(crop) - side) / 2 - CLIPS.shift * side
        rows, columns = (np.arange(max(round(at), 0), min(round(at + side), len(crop))) for at in (top, left))
        self._half, self._side, self._blur = len(crop) / 2, side, _C.blur * len(crop)
        down, across = ((np.float32(pixels) - middle) / self._half for pixels in (rows, columns))
        self._y, self._x = np.meshgrid(down, across, indexing="ij")
        self._pixels = np.array([[self._half, 0, middle], [0, self._half, middle], [0, 0, 1]])
        self._corner = np.linalg.inv(self._pixels) @ [[1, 0, columns[0]], [0, 1, rows[0]], [0, 0, 1]]
        # Pixels of brows and mouth, and those that inform about the head.
        v, u = (rows + 0.5 - top) / side, (columns + 0.5 - left) / side
        inside = (u > _C.across[0]) & (u < _C.across[1])
        brows, eyes, mouth = ((v > low) & (v < high) for low, high in (_C.brows, _C.eyes, _C.mouth))
        self._regions = [np.flatnonzero(np.outer(band, inside)) for band in (brows, mouth)]
        self._steady = np.flatnonzero(~(np.outer(eyes, u == u) | np.outer(mouth, inside)))
        self._pose, self._age = np.eye(3), 0
        self._weight = np.ones(len(self._steady), np.float32)
        self.image = self._warp(self._smooth(crop))
        self._prepare()

    def register(self, crop: np.ndarray) -> np.ndarray | None:
        """Return a crop registered by one Gauss-Newton step: float32 (h, w), or None if the head is lost."""
        if self._age == _C.refresh:
            self._prepare()
        self._age += 1
        image = self._smooth(crop)
        step = self._fit((self._warp(image) - self.image).ravel()[self._steady])
        if not self._move(step[:8]):
            return None
        gain, offset = step[8:]
        return (self._warp(image) - gain / 64 * self.image - offset).astype(np.float32)

    def _fit(self, difference: np.ndarray) -> np.ndarray:
        """Return the ten parameters of `_prepare` that explain a difference best, outliers weighted down."""
        weighted = self._basis * self._weight[:, None]
        hessian = weighted.T @ self._basis + 1e-3 * np.eye(self._basis.shape[1])  # a gray wall has none
        step = np.linalg.solve(hessian, weighted.T @ difference)
        residual = difference - self._basis @ step
        typical = 1.4826 * np.median(np.abs(residual)) + 0.3  # gray levels: rounding alone leaves as much
        self._weight = ((1 + (residual / (_C.outlier * typical)) ** 2) ** -2).astype(np.float32)
        return step

    def _move(self, movement: np.ndarray) -> bool:
        """Move the pose by the first eight parameters, and return whether the head is not lost."""
        a, b, c, d, e, f, g, h = movement / self._half
        moved = np.array([[c, d, a], [e, f, b], [-g, -h, 0]])
        if not np.abs(moved).max() < _C.lost:  # also for NaN
            return False
        self._pose = self._pose @ np.linalg.inv(np.eye(3) + moved)
        self._pose /= self._pose[2, 2]
        return bool(np.abs(self._pose - np.eye(3)).max() <= _C.lost)

    def update(self, registered: np.ndarray, *, share: float) -> None:
        """Move the baseline towards a registered crop by a share from 0 to 1."""
        self.image += np.float32(share) * (registered - self.image)

    def regions(self, registered: np.ndarray) -> np.ndarray:
        """Return the pixels of brows and mouth: float32, (P,)."""
        return np.concatenate([registered.ravel()[region] for region in self._regions])

    def displacement(self, change: np.ndarray) -> np.ndarray:
        """Return how far brows and mouth moved, from the change of their pixels: shares of the box, (2,)."""
        brows, mouth = np.split(change, [len(self._regions[0])])
        return np.array([np.linalg.norm(brows), np.linalg.norm(mouth)]) / self._detail

    def distance(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return the displacement between two registered crops."""
        return self.displacement(self.regions(one - other))

    def _smooth(self, crop: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(crop.astype(np.float32), (0, 0), self._blur)

    def _warp(self, image: np.ndarray) -> np.ndarray:
        matrix, size = self._pixels @ self._pose @ self._corner, self._x.shape[::-1]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpPerspective(image, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)

    def _prepare(self) -> None:
        """Compute the effect of eight movements of the head and two changes of light on the image."""
        x, y = self._x, self._y
        down, across = np.gradient(self.image)
        inward = across * x + down * y
        head = (across, down, across * x, across * y, down * x, down * y, inward * x, inward * y)
        light = (self.image / 64, np.ones_like(x))  # scaled like the others, for float32
        self._basis = np.stack([change.ravel()[self._steady] for change in (*head, *light)], axis=1)
        gradient = (across**2 + down**2).ravel()
        detail = [math.sqrt(gradient[region].sum()) for region in self._regions]
        self._detail = self._side * np.maximum(detail, 1.0)
        self._age = 0


def _crossing(share: np.ndarray, times: np.ndarray, edge: float, top: int, end: int) -> float:
    """Return the time at which a curve, from its top towards an end, first falls to the edge."""
    step = 1 if end > top else -1
    for at in range(top + step, end + step, step):
        if share[at] <= edge:
            part = (edge - share[at]) / (share[at - step] - share[at])
            return float(times[at] + part * (times[at - step] - times[at]))
    return float(times[end])
