"""From a frame to the faces in it, what the networks say of them, and the events that ended with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

import cv2
import numpy as np

from fer_utils.live.crops import CLIPS, STILLS, face_image
from fer_utils.live.expressions import HALF_LIFE, Expressions, Smoother
from fer_utils.live.light import Light, brightened
from fer_utils.live.seen import Event, Frame, Seen, SeenFace
from fer_utils.live.spotting import Spotted, Spotter
from fer_utils.live.tracking import Track, Tracker
from fer_utils.onnx import OnnxModel

STEPS = ("light", "detect", "track", "crop", "classify", "spot")
"""Where the time of a frame goes, in this order."""

NO_FACE = "no face: look at the camera, come closer, or turn on a light"
DRAWINGS = "movements are named by a network that has seen drawings only: of people, believe when, not what"
SPOT_SIZE = 64
"""Side in pixels of the crops in which movements are looked for: that of dubey2020's clips."""


class Pipeline:
    """Follows the faces of one source at a time.

    Parameters
    ----------
    stills : OnnxModel
        Says which expression a face shows.
    clips : OnnxModel, optional
        Says of which class a spotted movement is; without it, movements are not looked for.
    tracker : Tracker
        Finds and follows faces.
    pictures : Tracker, optional
        Finds faces in pictures by themselves; `tracker` by default.
    light : {"off", "auto", "on"}
        Whether dark pictures are made brighter before anything else.
    half_life : float
        Seconds of the smoothing, see `Smoother`.
    """

    def __init__(
        self,
        stills: OnnxModel,
        *,
        clips: OnnxModel | None = None,
        tracker: Tracker,
        pictures: Tracker | None = None,
        light: Light = "auto",
        half_life: float = HALF_LIFE,
    ) -> None:
        self.stills, self.clips = stills, clips
        self.tracker, self.pictures = tracker, pictures or tracker
        self.light, self.half_life = light, half_life
        self._people: dict[int, _Person] = {}

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of the stills network."""
        return self.stills.class_names

    @property
    def warning(self) -> str | None:
        """What to know of the names of movements, where the network for clips has seen drawings only."""
        drawn = self.clips is not None and self.clips.description.source == "synthetic"
        return DRAWINGS if drawn else None

    @property
    def going_on(self) -> list[Event]:
        """The expressions that have not ended."""
        return [event for person in self._people.values() if (event := person.expressions.current)]

    def reset(self) -> list[Event]:
        """Forget all faces, as for another source, and return the expressions that this ends."""
        self.tracker.reset()
        self.pictures.reset()
        return self._gone(set())

    def see(self, frame: Frame) -> Seen:
        """Find the faces of a frame and ask the networks about each.

        Parameters
        ----------
        frame : Frame
            The next one of the source, or a picture by itself, whose faces are nobody's that was seen before.
        """
        seconds = dict.fromkeys(STEPS, 0.0)
        ended = self.reset() if frame.alone else []
        with _timed(seconds, "light"):
            image, _ = brightened(frame.image, self.light)
        tracker = self.pictures if frame.alone else self.tracker
        tracks = tracker.update(image, frame.time)
        seconds |= tracker.seconds
        ended += self._gone(tracker.remembered)
        faces, messages = [], self._messages(tracks, tracker, frame)
        if tracks:
            probabilities = self._classified(image, tracks, seconds)
            faces = [self._face(*found, frame) for found in zip(tracks, probabilities, strict=True)]
        if frame.alone:
            times = (frame.time,) * 3
            ended += [Event("expression", one.number, one.label, *times, one.probability) for one in faces]
            self.reset()
        else:
            ended += [event for track in tracks if (event := self._people[track.number].ended)]
            with _timed(seconds, "spot"):
                movements, slow = self._movements(image, tracks, frame.time)
            ended, messages = ended + movements, [*messages, *slow]
        return Seen(frame, tuple(faces), tuple(ended), tuple(messages), seconds)

    def _classified(self, image: np.ndarray, tracks: list[Track], seconds: dict[str, float]) -> np.ndarray:
        with _timed(seconds, "crop"):
            size = self.stills.image_size
            crops = np.stack([face_image(image, track.box, size=size, framing=STILLS) for track in tracks])
        with _timed(seconds, "classify"):
            return self.stills.predict(crops)

    def _face(self, track: Track, probabilities: np.ndarray, frame: Frame) -> SeenFace:
        person = self._people.get(track.number)
        if person is None:
            person = self._people[track.number] = _Person(self, track.number)
        smoothed = probabilities if frame.alone else person.add(probabilities, frame.time)
        return SeenFace(track.number, track.box, smoothed, self.class_names[int(smoothed.argmax())])

    def _movements(self, image: np.ndarray, tracks: list[Track], time: float) -> tuple[list[Event], set[str]]:
        events, slow = [], set()
        if self.clips is None:
            return events, slow
        for track in tracks:
            spotter = self._people[track.number].spotter
            crop = face_image(image, track.box, size=SPOT_SIZE, framing=CLIPS)
            spotted = spotter.add(crop, time)
            events += [self._named(spotter, movement, track.number) for movement in spotted]
            slow |= {spotter.too_slow} - {None}
        return events, slow

    def _named(self, spotter: Spotter, movement: Spotted, face: int) -> Event:
        window = spotter.window(movement, n_frames=self.clips.n_frames)
        size = (self.clips.image_size,) * 2
        frames = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in window])
        probabilities = self.clips.predict(frames[None])[0]
        label = self.clips.class_names[int(probabilities.argmax())]
        times = (movement.onset, movement.apex, movement.offset)
        return Event(movement.kind, face, label, *times, float(probabilities.max()))

    def _messages(self, tracks: list[Track], tracker: Tracker, frame: Frame) -> list[str]:
        if not tracks:
            return [NO_FACE if not frame.name else f"{frame.name}: no face was found"]
        if tracker.found > tracker.most:
            return [f"{tracker.found} faces; {tracker.most} of them are followed"]
        return []

    def _gone(self, numbers: set[int]) -> list[Event]:
        gone = [self._people.pop(number) for number in set(self._people) - numbers]
        return [event for person in gone if (event := person.expressions.end())]


class _Person:
    """What is remembered of a face while it is seen."""

    def __init__(self, pipeline: Pipeline, number: int) -> None:
        self.smoother = Smoother(half_life=pipeline.half_life)
        self.expressions = Expressions(pipeline.class_names, face=number)
        self.spotter = Spotter()
        self.ended: Event | None = None

    def add(self, probabilities: np.ndarray, time: float) -> np.ndarray:
        smoothed = self.smoother.add(probabilities, time)
        self.ended = self.expressions.add(smoothed, time)
        return smoothed


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    began = perf_counter()
    yield
    seconds[step] = seconds.get(step, 0.0) + perf_counter() - began
