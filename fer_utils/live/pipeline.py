"""From a frame to its faces, their expressions, and the events that ended with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter

import cv2
import numpy as np

from fer_utils.data import ClipSet
from fer_utils.features.flow import as_composite
from fer_utils.live.faces import CLIPS, Tracker, brighten, crop_face
from fer_utils.live.frames import Analysis, Event, Face, Frame
from fer_utils.live.spotting import Spotter
from fer_utils.onnx import OnnxModel

STEPS = ("light", "detect", "track", "crop", "classify", "spot")  # whose duration is measured
HALF_LIFE = 0.25  # seconds after which a prediction has half its weight in the smoothed probabilities
ONSET_AT, OFFSET_BELOW = 0.5, 0.35  # probability from which a class is an expression, and below which it ends
MIN_SECONDS = 0.4  # of an expression
GAP = 1.0  # seconds without a look at the face that end an expression
NO_FACE = "no face: look at the camera, come closer, or turn on a light"
CAVEATS = {  # of a network for movements, by its training data or their source
    "synthetic": "the network for movements was trained on synthetic faces: of people, trust when, not what",
    "megc2019": "the network for movements was trained on flow of another program: its UF1 may not hold here",
}

_SPOT_SIZE = 64  # pixels of the crops for the spotter, as in the clips of dubey2020


class ExpressionTracker:
    """Smooths the probabilities of one face and logs its expressions; `current` has not ended.

    An expression starts when a class reaches `ONSET_AT` and holds for `MIN_SECONDS`; it ends when its
    probability falls below `OFFSET_BELOW`, or when another class has held for as long.
    """

    def __init__(self, class_names: Sequence[str], *, face: int, half_life: float = HALF_LIFE) -> None:
        self.class_names, self.face, self.half_life = class_names, face, half_life
        self.current: Event | None = None
        self._candidate: Event | None = None
        self._smoothed: np.ndarray | None = None
        self._time = 0.0

    def add(self, probabilities: np.ndarray, time: float) -> tuple[np.ndarray, Event | None]:
        """Return the smoothed probabilities, (K,), and the expression that ended with this frame, if any."""
        ended, elapsed = None, time - self._time
        if self._smoothed is None or elapsed > GAP:
            ended = self.end()
            self._smoothed = np.asarray(probabilities, dtype=float)
        else:
            # In seconds, so that the result is the same at every frame rate.
            kept = 0.5 ** (max(elapsed, 0.0) / self.half_life) if self.half_life else 0.0
            self._smoothed = kept * self._smoothed + (1 - kept) * probabilities
        self._time = time
        self._candidate = self._extend(self._candidate, threshold=ONSET_AT)
        if self.current is not None:
            extended = self._extend(self.current, threshold=OFFSET_BELOW)
            ended = self._before_candidate(self.current) if extended is None else None
            self.current = extended
        if self._candidate is None and (best := float(self._smoothed.max())) >= ONSET_AT:
            label = self.class_names[int(self._smoothed.argmax())]
            self._candidate = Event("expression", self.face, label, time, time, time, best)
        new, label = self._candidate, self.current.label if self.current else None
        if new is not None and new.seconds >= MIN_SECONDS and new.label != label:
            ended = self._before_candidate(self.current) if self.current else ended
            self.current = new
        return self._smoothed, ended

    def end(self) -> Event | None:
        """Return the current expression, because the face is gone."""
        ended, self.current, self._candidate = self.current, None, None
        return ended

    def _before_candidate(self, event: Event) -> Event:
        """Return an event that ends where another label has begun."""
        if self._candidate is None or self._candidate.label == event.label:
            return event
        return replace(event, offset=min(event.offset, self._candidate.onset))

    def _extend(self, event: Event | None, *, threshold: float) -> Event | None:
        """Return an event up to now, or None if its probability is below the threshold."""
        if event is None:
            return None
        value = float(self._smoothed[self.class_names.index(event.label)])
        if value < threshold:
            return None
        apex, score = (self._time, value) if value > event.score else (event.apex, event.score)
        return replace(event, apex=apex, offset=self._time, score=score)


@dataclass(eq=False)
class Pipeline:
    """Tracks and classifies the faces of one source at a time.

    `stills` classifies expressions; `clips` classifies movements, which are not spotted without it.
    `still_tracker` is for single images. With `light` "off" dark frames are not brightened.
    """

    stills: OnnxModel
    tracker: Tracker
    still_tracker: Tracker | None = None
    clips: OnnxModel | None = None
    light: str = "auto"
    half_life: float = HALF_LIFE

    def __post_init__(self) -> None:
        self.class_names, self.still_tracker = self.stills.class_names, self.still_tracker or self.tracker
        about = self.clips and self.clips.description
        self.warning = about and CAVEATS.get(about.dataset, CAVEATS.get(about.source))
        self._expressions: dict[int, ExpressionTracker] = {}
        self._spotters: dict[int, Spotter] = {}

    @property
    def current(self) -> list[Event]:
        """Expressions that have not ended."""
        return [face.current for face in self._expressions.values() if face.current]

    def reset(self) -> list[Event]:
        """Forget all faces, as for another source, and return the expressions that end with it."""
        self.tracker.reset()
        self.still_tracker.reset()
        return self._forget_except(set())

    def process(self, frame: Frame) -> Analysis:
        """Find the faces of the next frame and classify them."""
        seconds = dict.fromkeys(STEPS, 0.0)
        events = self.reset() if frame.still else []
        tracker = self.still_tracker if frame.still else self.tracker
        with _measure(seconds, "light"):
            image = frame.image if self.light == "off" else brighten(frame.image)
        tracks = tracker.update(image, frame.time)
        seconds |= tracker.seconds
        events += self._forget_except(tracker.numbers)
        messages = [] if tracks else [f"{frame.name}: no face found" if frame.name else NO_FACE]
        faces, predictions = [], []
        if tracks:
            with _measure(seconds, "crop"):
                crops = [crop_face(image, track.box, size=self.stills.image_size) for track in tracks]
            with _measure(seconds, "classify"):
                predictions = self.stills.predict(np.stack(crops))
        for track, probabilities in zip(tracks, predictions, strict=True):
            new = ExpressionTracker(self.class_names, face=track.number, half_life=self.half_life)
            smoothed, ended = self._expressions.setdefault(track.number, new).add(probabilities, frame.time)
            faces.append(Face(track.number, track.box, smoothed, self.class_names[int(smoothed.argmax())]))
            events += [ended] if ended else []
        if frame.still:
            times = (frame.time,) * 3
            events += [Event("expression", one.number, one.label, *times, one.probability) for one in faces]
            self.reset()
        elif self.clips is not None:
            with _measure(seconds, "spot"):
                for track in tracks:
                    spotter = self._spotters.setdefault(track.number, Spotter(face=track.number))
                    crop = crop_face(image, track.box, size=_SPOT_SIZE, framing=CLIPS)
                    if movement := spotter.add(crop, frame.time):
                        events.append(self._classify(movement, spotter))
                    messages += [spotter.problem] if spotter.problem else []
        return Analysis(frame, tuple(faces), tuple(events), tuple(dict.fromkeys(messages)), seconds)

    def _classify(self, movement: Event, spotter: Spotter) -> Event:
        if self.clips.takes_flow:
            frames = flow_to_apex(movement, spotter)
        else:
            size, clip = (self.clips.image_size,) * 2, spotter.clip(movement, n_frames=self.clips.n_frames)
            frames = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in clip])
        probabilities = self.clips.predict(frames[None])[0]
        label = self.clips.class_names[int(probabilities.argmax())]
        return replace(movement, label=label, score=float(probabilities.max()))

    def _forget_except(self, numbers: set[int]) -> list[Event]:
        """Forget other faces than these, and return the expressions that end with it."""
        for number in self._spotters.keys() - numbers:
            del self._spotters[number]
        gone = [self._expressions.pop(number) for number in self._expressions.keys() - numbers]
        return [event for face in gone if (event := face.end())]


def flow_to_apex(movement: Event, spotter: Spotter) -> np.ndarray:
    """Return the flow of a movement from onset to apex, computed as training data is: uint8 (3, 28, 28)."""
    frames = spotter.clip(replace(movement, offset=movement.apex), n_frames=2)
    names = {"name": "live", "source": "real", "class_names": ("",), "sample_id": np.array(["movement"])}
    values = {"labels": 0, "frame_rate": 0, "onset": 0, "apex": 1, "offset": 1}  # of two frames
    columns = {name: np.array([value]) for name, value in values.items()}
    return as_composite(ClipSet(clips=frames[None], **names, **columns)).clips[0]


@contextmanager
def _measure(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = perf_counter()
    yield
    seconds[step] += perf_counter() - start
