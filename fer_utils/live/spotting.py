"""Expressions in a stream of pictures of one face: where it moves against its own baseline, and returns.

Every picture is laid over the face at rest, which takes out the head's movement and the light: S. Baker and
I. Matthews, *Lucas-Kanade 20 years on: a unifying framework* (IJCV 2004), section 3.2, inverse compositional,
with robust weights as in its second part (2003). What then still differs at the brows and at the mouth,
divided by the gradient of the picture there, is how far they have moved (B. Horn and B. Schunck, *Determining
optical flow*, 1981: of a small shift, difference = gradient × shift). The eyes are left out: they blink.

The rest is the face's own, as in A. Davison et al., *Micro-facial movement detection using individualised
baselines and histogram-based descriptors* (SMC 2015), and follows the face slowly while nothing happens. An
event is a movement far above what the face does at rest, from which it returns. Its onset and offset are
where the change that is seen at its apex has not begun and is gone, a drift between them taken out.

The constants that name no source were chosen on the development videos `synthetic_video(seed=1000)` to 1009,
at 30 and 100 frames per second, also with twice the sway and twice the noise.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from fer_utils.live.crops import CLIPS, Framing

Kind = Literal["micro", "macro"]

LONGEST_MICRO = 0.5
"""Seconds; what takes longer is a macro-expression (W.-J. Yan et al., *How fast are the leaked facial
expressions*, J. Nonverbal Behavior 2013)."""
SHORTEST_MICRO = 0.2
"""Seconds; of the drawn micro-expressions. The same study gives 0.17 s as a lower limit."""
LOWEST_RATE = 25.0
"""Frames per second at which five see a movement of `SHORTEST_MICRO`, the rate of SMIC's slower cameras."""
LONGEST = 4.0
"""Seconds after which a face that has not returned is taken to rest in its new state; macro-expressions last
half a second to four (D. Matsumoto and H. S. Hwang, *Evidence for training the ability to read
microexpressions of emotion*, 2011)."""
KEPT = LONGEST + 1.0
"""Seconds of pictures that are remembered."""
GAP = 1.0
"""Seconds without a picture after which everything is learned anew."""

# In shares of a detector's box, from its upper and its left edge. Of drawn faces and of FER-2013's: see the
# bands of `explain.FACE_BANDS`, which are shares of other crops.
_BROWS, _EYES, _MOUTH = (0.08, 0.28), (0.27, 0.50), (0.62, 0.97)
_BETWEEN = (0.13, 0.87)  # from left to right: hair and the outline of the cheeks stay outside

_LEAST_SIDE = 16  # pixels of a crop; in fewer there is no mouth
_BLUR = 1 / 64  # of a picture's side: standard deviation of the smoothing
_OUTLIER = 2.0  # times the usual difference: places that differ more do not say how the head moved
_LOST = 0.4  # of half a picture: the head cannot have moved further
_RENEWED = 10  # pictures after which the gradients of the rest are computed again

_LEARN = 0.4  # seconds at the beginning in which nothing is spotted; drawn events begin after 0.5 s
_DELAY = 0.25  # seconds before a picture becomes part of the rest: by then a movement would have been noticed
_MEMORY = 0.5  # seconds: time constant of the rest
_USUAL = 8.0  # seconds of stillness that say how much a face moves at rest
_SURE = 1.5  # seconds of stillness that are enough to know it; with less, more is asked of a movement
_RISE = 5.0  # times the usual spread
_SMALLEST = 0.0019  # of a box's side: what is smaller is never a movement (0.08 pixels of 64-pixel crops)
_LOW = 2.5  # times the usual spread: below it, or below
_RETURNED = 0.3  # of the peak, a face may have returned, when for
_HOLD = 0.15  # seconds it has not moved by more than
_STILL = 0.07  # of the peak
_AROUND = 0.2  # seconds before an event that its baseline is taken from
_CLEAR = 4.0  # gray levels: places that change more count as changed and no more
_SHORTEST = SHORTEST_MICRO / 2  # seconds; what is shorter is a jump of the picture
_EDGE = 0.1  # share of the change at the apex at which an event begins and ends
_JITTER = 3.0  # times the spread of that share at rest, if this is more

_RATE_SECONDS = 2.0  # that the frame rate is measured over
_RATE_TOLERANCE = 0.9  # what jitter of a camera's clock may take off the median interval


@dataclass(frozen=True)
class Spotted:
    """A movement that began and ended.

    Attributes
    ----------
    onset, apex, offset : float
        Seconds on the clock of the pictures.
    strength : float
        How far the brows or the mouth had moved at the apex, whichever moved further, root mean square, as a
        share of the side of the face's box.
    """

    onset: float
    apex: float
    offset: float
    strength: float

    @property
    def kind(self) -> Kind:
        """By its duration."""
        return kind_of(self.onset, self.offset)


def kind_of(onset: float, offset: float) -> Kind:
    """Return what an expression of this duration is called; `LONGEST_MICRO` itself is a micro-expression."""
    return "micro" if offset - onset <= LONGEST_MICRO + 1e-9 else "macro"


def too_slow(frame_rate: float) -> str | None:
    """Return why no micro-expressions can be seen at a frame rate, or None where they can.

    A tenth below `LOWEST_RATE` is allowed for the jitter of a camera's clock.
    """
    if frame_rate >= _RATE_TOLERANCE * LOWEST_RATE:
        return None
    seen = int(SHORTEST_MICRO * frame_rate)
    frames = f"{seen or 'no'} frame{'s' * (seen != 1)}"
    return (
        f"{frame_rate:.0f} frames a second: a micro-expression of {SHORTEST_MICRO} s is seen in {frames}; "
        f"{LOWEST_RATE:.0f} a second are needed"
    )


def window(
    crops: Sequence[np.ndarray], times: Sequence[float], onset: float, offset: float, *, n_frames: int = 18
) -> np.ndarray:
    """Return pictures at even times from onset to offset.

    Interpolated linearly in time between neighbouring pictures, which need not be evenly spaced; where they
    are, this is `fer_utils.data.clip_files.resample`.

    Parameters
    ----------
    crops : sequence of ndarray of uint8, shape (S, S)
        Two at least.
    times : sequence of float
        Of each, in seconds, ascending.
    onset, offset : float
        Within `times`.
    n_frames : int
        Two at least.

    Returns
    -------
    ndarray of uint8, shape (n_frames, S, S)

    Raises
    ------
    ValueError
        For fewer pictures than two or than times, and for times that do not ascend or do not hold the window.
    """
    times = np.asarray(times, dtype=float)
    if len(crops) != len(times) or min(len(times), n_frames) < 2:
        raise ValueError(
            f"{len(crops)} pictures at {len(times)} times for {n_frames} frames: all need two or more"
        )
    if not (np.diff(times) > 0).all():
        raise ValueError("the times of the pictures must ascend")
    if not times[0] <= onset < offset <= times[-1]:
        raise ValueError(
            f"a window from {onset} s to {offset} s does not lie within the pictures, "
            f"which are from {times[0]} s to {times[-1]} s"
        )
    place = np.interp(np.linspace(onset, offset, n_frames), times, np.arange(len(times)))
    before = np.minimum(place.astype(int), len(times) - 2)
    first = before[0]
    stack = np.stack([crops[at] for at in range(first, before[-1] + 2)])
    weight = (place - before)[:, None, None]
    between = (1 - weight) * stack[before - first] + weight * stack[before - first + 1]
    return np.rint(between).astype(np.uint8)


class Spotter:
    """Watches one face.

    An event is returned when the face has been back at rest for a moment. A face that does not return within
    `LONGEST` seconds rests in its new state from then on, and nothing is reported: a changed pose of the head
    or of the face is no expression of known duration.

    Parameters
    ----------
    framing : Framing
        How the pictures were cut out around the detector's box, which says where brows and mouth are.

    Notes
    -----
    On `synthetic_video(seed=0)` to 9, of 20 seconds and 128 pixels, followed by `Tracker(Haar())` and cut out
    with 64 pixels, F1 at an overlap of one half is 0.97 [0.93, 1.00] of 60 events, at 30 as at 100 frames per
    second: three micro-expressions are missed and one event is not there. With twice the sway of the head it
    is 0.81 [0.67, 0.90], with three times 0.67 [0.55, 0.78], with three times the noise 0.92 [0.86, 0.97]:
    what limits it is the head. This says nothing of people, who also talk.
    """

    def __init__(self, *, framing: Framing = CLIPS) -> None:
        self._framing = framing
        self.reset()

    def reset(self) -> None:
        """Forget the face."""
        self._moments: deque[_Moment] = deque()
        self._waiting: deque[_Moment] = deque()  # not yet part of the rest
        self._still: deque[tuple[float, float, float]] = deque()
        self._rest: _Rest | None = None
        self._began = self._rested = 0.0
        self._open: _Open | None = None

    @property
    def kept(self) -> int:
        """Number of pictures in memory: those of the last `KEPT` seconds."""
        return len(self._moments)

    @property
    def frame_rate(self) -> float | None:
        """Frames per second, from the median interval of the last two seconds; None in the first half second.

        The median does not notice single frames that were dropped.
        """
        times = self._times
        times = times[times >= times[-1] - _RATE_SECONDS] if len(times) else times
        if len(times) < 3 or times[-1] - times[0] < 0.5:
            return None
        return float(1 / np.median(np.diff(times)))

    @property
    def too_slow(self) -> str | None:
        """Why no micro-expressions are reported at present, or None; see `too_slow`."""
        rate = self.frame_rate
        return None if rate is None else too_slow(rate)

    def add(self, crop: np.ndarray, time: float) -> list[Spotted]:
        """Look at the next picture.

        Parameters
        ----------
        crop : ndarray of uint8, shape (S, S)
            The face in gray, cut out as `framing` says around a box that follows it.
        time : float
            Seconds. The same time again is passed over; a time that goes back, a gap of more than `GAP` and
            pictures of another size begin anew.

        Returns
        -------
        list of Spotted
            At most one event, which ended a moment ago. Where the frame rate is `too_slow`, only events that
            are longer than half a second even if the face was still one frame at each end.

        Raises
        ------
        ValueError
            For pictures of another type or shape, and a time that is no number.
        """
        _check(crop, time)
        if self._moments:
            last = self._moments[-1]
            if time == last.time:
                return []
            if not 0 < time - last.time <= GAP or crop.shape != last.crop.shape:
                self.reset()
        shift = self._shift(crop, time)
        if time - self._began < _LEARN:
            self._learn(shift)
            return []
        return self._watch(shift) if self._open is None else self._follow(shift)

    def window(self, spotted: Spotted, *, n_frames: int = 18) -> np.ndarray:
        """Return the pictures of an event at even times: uint8, (n_frames, S, S).

        Raises
        ------
        ValueError
            When they are no longer in memory.
        """
        crops = [moment.crop for moment in self._moments]
        return window(crops, self._times, spotted.onset, spotted.offset, n_frames=n_frames)

    @property
    def _times(self) -> np.ndarray:
        return np.array([moment.time for moment in self._moments])

    def _shift(self, crop: np.ndarray, time: float) -> np.ndarray:
        """Remember a picture and return how far brows and mouth are from their rest, (2,)."""
        laid = None if self._rest is None else self._rest.under(crop)
        if laid is None:
            self.reset()
            self._rest = _Rest(crop, self._framing)
            self._began = self._rested = time
            laid = self._rest.under(crop)
        self._moments.append(_Moment(time, crop.copy(), laid))
        while time - self._moments[0].time > KEPT:
            self._moments.popleft()
        return self._rest.distance(laid, self._rest.picture)

    def _learn(self, shift: np.ndarray) -> None:
        now = self._moments[-1]
        self._rest.renew(now.laid, share=1 / len(self._moments))
        self._rested = now.time
        self._still.append((now.time, *shift))

    def _watch(self, shift: np.ndarray) -> list[Spotted]:
        """Notice a movement, or let the rest follow the face."""
        now = self._moments[-1].time
        self._still.append((now, *shift))
        while now - self._still[0][0] > _USUAL:
            self._still.popleft()
        self._waiting.append(self._moments[-1])
        while self._waiting[0].time <= now - _DELAY:
            moment = self._waiting.popleft()
            self._rest.renew(moment.laid, share=1 - math.exp((self._rested - moment.time) / _MEMORY))
            self._rested = moment.time
        level, spread = self._usual()
        if (shift - level > _RISE * spread).any():
            self._open = _Open(now, spread, shift - level)
            self._waiting.clear()
        return []

    def _follow(self, shift: np.ndarray) -> list[Spotted]:
        """Wait for a face that moved to come back and be still."""
        now, event, level = self._moments[-1].time, self._open, self._usual()[0]
        event.peak = np.maximum(event.peak, shift - level)
        if now - event.since > LONGEST:
            self._rest_since(now)
        elif (shift - level >= np.maximum(_LOW * event.spread, _RETURNED * event.peak)).any():
            event.back = None
        elif event.back is None or not self._holds(event, level):
            event.back = now
        elif now - event.back >= _HOLD:
            found = self._measured(event, level)
            self._rest_since(event.back)
            return found
        return []

    def _holds(self, event: "_Open", level: np.ndarray) -> bool:
        """Whether the face has stood still for a moment."""
        now = self._moments[-1]
        then = next(moment for moment in self._moments if moment.time >= now.time - _HOLD)
        # The noise of two pictures differs by √2 of what it is against the rest, which is a mean of many.
        moved = self._rest.distance(now.laid, then.laid) - math.sqrt(2) * level
        return bool((moved < np.maximum(_LOW * event.spread, _STILL * event.peak)).all())

    def _usual(self) -> tuple[np.ndarray, np.ndarray]:
        """Return median and spread of how far brows and mouth are from their rest in stillness, (2,) each."""
        shifts = np.array(self._still)[:, 1:]
        level = np.median(shifts, axis=0)
        spread = 1.4826 * np.median(np.abs(shifts - level), axis=0)  # a standard deviation, were it normal
        unsure = max(1.0, _SURE / max(self._still[-1][0] - self._still[0][0], 1e-3))
        return level, np.maximum(spread, unsure * _SMALLEST / _RISE)

    def _rest_since(self, time: float) -> None:
        """Take the pictures since a time for the rest."""
        pictures = [moment.laid for moment in self._moments if moment.time >= time]
        self._rest.renew(np.mean(pictures, axis=0), share=1.0)
        self._rested = self._moments[-1].time
        self._open = None

    def _measured(self, event: "_Open", level: np.ndarray) -> list[Spotted]:
        """Return what an event that is over was, if it was one and can be told at this frame rate."""
        times, rest = self._times, self._rest
        first = event.since - _DELAY
        before = (times >= first - _AROUND) & (times <= event.since - _DELAY / 2)
        after = times >= event.back
        if not before.any():
            return []
        parts = np.stack([rest.parts(moment.laid) for moment in self._moments])
        moved = _without_drift(parts, times, before, after)
        size = np.linalg.norm(moved, axis=1) * ((times >= first) & (times <= event.back))
        top = int(size.argmax())
        strength = rest.shift(moved[top])
        if (strength - level < _RISE * event.spread).all():
            return []  # it was drift
        share = _share_of_change(moved, top)
        edge = max(_EDGE, _JITTER * 1.4826 * float(np.median(np.abs(share[before | after]))))
        start = int(np.flatnonzero(before)[0])
        onset, offset = (_crossing(share, times, edge, top, end) for end in (start, len(times) - 1))
        spotted = Spotted(onset, float(times[top]), offset, float(strength.max()))
        return [spotted] if self._can_tell(spotted, times) else []

    def _can_tell(self, spotted: Spotted, times: np.ndarray) -> bool:
        """Whether it lasted, and enough frames saw it."""
        seconds = spotted.offset - spotted.onset
        if self.too_slow:
            return seconds - 2 / self.frame_rate > LONGEST_MICRO
        return seconds >= _SHORTEST and ((times > spotted.onset) & (times < spotted.offset)).sum() >= 2


@dataclass(frozen=True)
class _Moment:
    time: float
    crop: np.ndarray
    laid: np.ndarray


@dataclass
class _Open:
    """A movement that has not ended: noticed when, against which spread, how strong, and since when back."""

    since: float
    spread: np.ndarray
    peak: np.ndarray
    back: float | None = None


class _Rest:
    """A face at rest, and other pictures of it laid over it.

    Coordinates are of the crop: 0 in its middle, -1 and 1 half a side away. `picture` is the part of it that
    the detector's box is, of h × w pixels, smoothed.
    """

    def __init__(self, crop: np.ndarray, framing: Framing) -> None:
        side, middle = len(crop) / framing.scale, (len(crop) - 1) / 2
        left, top = (len(crop) - side) / 2, (len(crop) - side) / 2 - framing.shift * side
        rows, columns = (np.arange(max(round(at), 0), min(round(at + side), len(crop))) for at in (top, left))
        self._half, self._side, self._blur = len(crop) / 2, side, _BLUR * len(crop)
        down, across = ((np.float32(pixels) - middle) / self._half for pixels in (rows, columns))
        self._y, self._x = np.meshgrid(down, across, indexing="ij")
        self._pixels = np.array([[self._half, 0, middle], [0, self._half, middle], [0, 0, 1]])
        self._corner = np.linalg.inv(self._pixels) @ [[1, 0, columns[0]], [0, 1, rows[0]], [0, 0, 1]]
        self._regions, self._steady = _places((rows + 0.5 - top) / side, (columns + 0.5 - left) / side)
        self._pose, self._age = np.eye(3), 0
        self._weight = np.ones(len(self._steady), np.float32)
        self.picture = self._laid(self._smooth(crop))
        self._prepare()

    def under(self, crop: np.ndarray) -> np.ndarray | None:
        """Return a picture laid over the rest, without the head's movement and the change of light.

        One step of Gauss and Newton from where the head was in the picture before; its pose is a homography.
        None when the head is lost.

        Returns
        -------
        ndarray of float32, shape (h, w), or None
        """
        if self._age == _RENEWED:
            self._prepare()
        self._age += 1
        image = self._smooth(crop)
        differs = (self._laid(image) - self.picture).ravel()[self._steady]
        weighted = self._basis * self._weight[:, None]
        curvature = weighted.T @ self._basis + 1e-3 * np.eye(self._basis.shape[1])  # a gray wall has none
        step = np.linalg.solve(curvature, weighted.T @ differs)
        left = differs - self._basis @ step
        usual = 1.4826 * np.median(np.abs(left)) + 0.3  # gray levels: rounding alone leaves as much
        self._weight = ((1 + (left / (_OUTLIER * usual)) ** 2) ** -2).astype(np.float32)
        a, b, c, d, e, f, g, h = step[:8] / self._half
        moved = np.array([[c, d, a], [e, f, b], [-g, -h, 0]])
        if not np.abs(moved).max() < _LOST:  # also when it is no number
            return None
        self._pose = self._pose @ np.linalg.inv(np.eye(3) + moved)
        self._pose /= self._pose[2, 2]
        if np.abs(self._pose - np.eye(3)).max() > _LOST:
            return None
        brighter, lighter = step[8:]
        return (self._laid(image) - brighter / 64 * self.picture - lighter).astype(np.float32)

    def renew(self, laid: np.ndarray, *, share: float) -> None:
        """Let the rest become a picture that was laid over it, by a share from 0 to 1."""
        self.picture += np.float32(share) * (laid - self.picture)

    def parts(self, laid: np.ndarray) -> np.ndarray:
        """Return what a picture shows of brows and mouth: float32, (P,)."""
        return np.concatenate([laid.ravel()[region] for region in self._regions])

    def shift(self, change: np.ndarray) -> np.ndarray:
        """Return how far brows and mouth moved, from the change of their `parts`: shares of the box, (2,)."""
        brows, mouth = np.split(change, [len(self._regions[0])])
        return np.array([np.linalg.norm(brows), np.linalg.norm(mouth)]) / self._detail

    def distance(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return how far brows and mouth moved between two pictures that were laid over the rest."""
        return self.shift(self.parts(one - other))

    def _smooth(self, crop: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(crop.astype(np.float32), (0, 0), self._blur)

    def _laid(self, image: np.ndarray) -> np.ndarray:
        matrix = self._pixels @ self._pose @ self._corner
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpPerspective(
            image, matrix, self._x.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE
        )

    def _prepare(self) -> None:
        """Compute what each of eight movements of the head, and two changes of light, do to the picture."""
        x, y = self._x, self._y
        down, across = np.gradient(self.picture)
        inward = across * x + down * y
        head = (across, down, across * x, across * y, down * x, down * y, inward * x, inward * y)
        light = (self.picture / 64, np.ones_like(x))  # of the size of the others, for the sake of float32
        self._basis = np.stack([change.ravel()[self._steady] for change in (*head, *light)], axis=1)
        gradient = (across**2 + down**2).ravel()
        detail = [math.sqrt(gradient[region].sum()) for region in self._regions]
        self._detail = self._side * np.maximum(detail, 1.0)
        self._age = 0


def _places(v: np.ndarray, u: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the pixels of brows and mouth, and those that say how the head moves, as positions in h × w.

    `v` and `u` are where rows and columns lie in the box.
    """
    between = (u > _BETWEEN[0]) & (u < _BETWEEN[1])
    brows, eyes, mouth = ((v > low) & (v < high) for low, high in (_BROWS, _EYES, _MOUTH))
    regions = [np.flatnonzero(np.outer(band, between)) for band in (brows, mouth)]
    return regions, np.flatnonzero(~(np.outer(eyes, u == u) | np.outer(mouth, between)))


def _without_drift(parts: np.ndarray, times: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return (T, P) less the straight line from its mean before to its mean after."""
    middle_before, middle_after = times[before].mean(), times[after].mean()
    gone = np.clip((times - middle_before) / (middle_after - middle_before), 0, 1)[:, None]
    return parts - (1 - gone) * parts[before].mean(axis=0) - gone * parts[after].mean(axis=0)


def _share_of_change(moved: np.ndarray, top: int) -> np.ndarray:
    """Return how much of the change at the apex is there at each time: (T,), 1 at the apex.

    The mean over the places that change clearly at the apex. Beyond a few gray levels a change counts no
    more: lips that part would otherwise outweigh all that goes before.
    """
    apex = moved[top]
    clear = np.abs(apex) > min(_CLEAR / 2, np.abs(apex).max() / 2)
    share = np.clip(moved[:, clear] * np.sign(apex[clear]), -_CLEAR, _CLEAR).mean(axis=1)
    return share / share[top]


def _crossing(share: np.ndarray, times: np.ndarray, edge: float, top: int, end: int) -> float:
    """Return the time at which a curve, from its top towards an end, first falls to the edge."""
    step = 1 if end > top else -1
    for at in range(top + step, end + step, step):
        if share[at] <= edge:
            part = (edge - share[at]) / (share[at - step] - share[at])
            return float(times[at] + part * (times[at - step] - times[at]))
    return float(times[end])


def _check(crop: np.ndarray, time: float) -> None:
    if crop.dtype != np.uint8 or crop.ndim != 2 or not crop.shape[0] == crop.shape[1] >= _LEAST_SIDE:
        expected = f"uint8 of shape (S, S), S at least {_LEAST_SIDE}"
        raise ValueError(f"a picture must be {expected}, got {crop.dtype} {crop.shape}")
    if not math.isfinite(time):
        raise ValueError(f"time={time}: a picture has a time in seconds")
