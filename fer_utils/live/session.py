"""What the demo remembers between start and clear: the log, the last half minute, and how fast it goes."""

import tempfile
from collections import deque
from pathlib import Path
from time import perf_counter

import numpy as np

from fer_utils.live.drawing import annotated
from fer_utils.live.pipeline import Pipeline
from fer_utils.live.recording import VideoWriter, events_csv
from fer_utils.live.seen import Event, Frame, Problem, Seen

MOST_EVENTS = 1000
"""In the log; older ones are forgotten."""

TIMELINE_SECONDS = 30.0
PROBLEM_SECONDS = 10.0
"""For how long a source's message stays."""

RATE_OVER = 30
"""Frames whose mean duration is the frames per second."""


class Session:
    """A pipeline and what it has seen; one for each panel.

    Parameters
    ----------
    pipeline : Pipeline

    Attributes
    ----------
    timeline : deque of (float, int, ndarray)
        Time in seconds, number of the face and its probabilities, of the last half minute.
    recording : bool
        Whether annotated frames are kept for a video; off, as nothing is kept unless asked.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.recording = False
        self._folder: tempfile.TemporaryDirectory | None = None
        self._writer: VideoWriter | None = None
        self._start()

    def _start(self) -> None:
        self._ended: deque[Event] = deque(maxlen=MOST_EVENTS)
        self.timeline: deque[tuple[float, int, np.ndarray]] = deque()
        self._moments: deque[float] = deque(maxlen=RATE_OVER)
        self._problems: deque[tuple[float, str]] = deque(maxlen=5)
        self._said: tuple[str, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes whose probabilities are shown."""
        return self.pipeline.class_names

    @property
    def events(self) -> list[Event]:
        """The log: what has ended, in the order in which it did, and then the expressions that go on."""
        return [*self._ended, *self.pipeline.going_on]

    @property
    def messages(self) -> list[str]:
        """What the person in front of the screen should know now, once each."""
        recent = [text for moment, text in self._problems if perf_counter() - moment < PROBLEM_SECONDS]
        full = [self._writer.message] if self._writer is not None and self._writer.message else []
        moved = any(event.kind != "expression" for event in self._ended)
        warned = [self.pipeline.warning] if moved and self.pipeline.warning else []
        return list(dict.fromkeys([*recent, *full, *self._said, *warned]))

    @property
    def frames_per_second(self) -> float:
        """Over the last frames; 0 before the second one."""
        if len(self._moments) < 2:
            return 0.0
        return (len(self._moments) - 1) / (self._moments[-1] - self._moments[0])

    def show(self, frame: Frame) -> Seen:
        """Look at a frame and remember what was seen."""
        seen = self.pipeline.see(frame)
        self._moments.append(perf_counter())
        self._said = seen.messages
        self._ended.extend(seen.events)
        self.timeline.extend((frame.time, face.number, face.probabilities) for face in seen.faces)
        while self.timeline and self.timeline[0][0] < frame.time - TIMELINE_SECONDS:
            self.timeline.popleft()
        if self.recording:
            try:
                self._record(seen)
            except OSError as error:  # seeing goes on without it
                self.recording = False
                self.note(Problem(f"the recording was stopped: {error}"))
        return seen

    def note(self, problem: Problem) -> None:
        """Remember what a source had to say."""
        self._problems.append((perf_counter(), problem.message))

    def end(self) -> None:
        """Forget the faces of a source that has ended, and with them all pictures; the log stays."""
        self._ended.extend(self.pipeline.reset())

    def begin(self) -> None:
        """Begin another source, whose faces are others and whose time starts again; the log stays."""
        self.end()
        self.timeline.clear()
        self._moments.clear()
        self._said = ()

    def clear(self) -> None:
        """Forget everything that was seen, the recording included."""
        self.pipeline.reset()
        self._forget_video()
        self._start()

    def annotated(self, seen: Seen) -> np.ndarray:
        """Return the frame with boxes, labels and percentages, uint8 (H, W, 3)."""
        return annotated(seen, self.class_names)

    def events_csv(self) -> bytes:
        """Return the log as a CSV file."""
        return events_csv(self.events)

    def video(self) -> bytes | None:
        """Return the annotated video of what was recorded, or None, and forget it.

        Raises
        ------
        OSError
            When it could not be written whole.
        """
        if self._writer is None:
            return None
        try:
            return self._writer.close().read_bytes()
        finally:
            self._forget_video()

    def _record(self, seen: Seen) -> None:
        if self._writer is None:
            self._folder = tempfile.TemporaryDirectory(prefix="fer-video-")
            self._writer = VideoWriter(Path(self._folder.name) / "annotated.webm")
        self._writer.add(self.annotated(seen), seen.frame.time)

    def _forget_video(self) -> None:
        if self._writer is not None:
            self._writer.discard()
            self._folder.cleanup()
        self._folder = self._writer = None
