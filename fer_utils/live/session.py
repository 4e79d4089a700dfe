"""What the demo remembers between start and clear: log, messages, frame rate, recording."""

import os
import tempfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from fer_utils.files import stderr_to
from fer_utils.live.frames import Analysis, Event, Frame, annotate
from fer_utils.live.pipeline import Pipeline

MAX_EVENTS = 1000  # in the log; older ones are dropped
PROBLEM_SECONDS = 10.0  # in which the message of a source is displayed
VIDEO_RATE = 20.0  # frames per second of a recording
MAX_VIDEO_SECONDS = 300.0
CSV_COLUMNS = ("kind", "face", "label", "onset_s", "apex_s", "offset_s", "seconds", "score")


def events_csv(events: Iterable[Event]) -> bytes:
    """Return events as a CSV file (RFC 4180, UTF-8) with `CSV_COLUMNS`."""
    rows = [(e.kind, e.face, e.label, e.onset, e.apex, e.offset, e.seconds, e.score) for e in events]
    table = pd.DataFrame(rows, columns=CSV_COLUMNS).round(4)
    return table.to_csv(index=False, lineterminator="\r\n").encode()


class VideoRecorder:
    """Writes RGB frames at irregular times to a WebM video (VP8) of a constant rate, in a temporary folder.

    A frame is repeated for the time since the one before, and fitted into the size of the first.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._size = (shape[1] // 2 * 2, shape[0] // 2 * 2)  # codecs need even sides
        self._latest, self._seconds, self._n_frames = float("inf"), 0.0, 0
        self._folder = tempfile.TemporaryDirectory(prefix="fer-video-")
        self._path = Path(self._folder.name) / "annotated.webm"
        codec = cv2.VideoWriter.fourcc(*"VP80")
        with stderr_to(os.devnull):  # OpenCV prints that WebM has no codec tags, which Jupyter would display
            self._writer = cv2.VideoWriter(str(self._path), cv2.CAP_FFMPEG, codec, VIDEO_RATE, self._size)
        if not self._writer.isOpened():
            self._folder.cleanup()
            raise OSError("OpenCV cannot write WebM videos here")

    @property
    def full(self) -> bool:
        """Whether later frames are dropped."""
        return self._seconds >= MAX_VIDEO_SECONDS

    def add(self, image: np.ndarray, time: float) -> None:
        """Add a frame at its time in seconds; the times of another source may start again."""
        if self.full:
            return
        elapsed, self._latest = time - self._latest, time
        self._seconds += elapsed if 0 < elapsed < 1 else 1 / VIDEO_RATE
        fitted = np.asarray(ImageOps.pad(Image.fromarray(image), self._size))  # with black borders
        bgr = cv2.cvtColor(fitted, cv2.COLOR_RGB2BGR)
        for _ in range(self._n_frames, round(self._seconds * VIDEO_RATE)):
            self._writer.write(bgr)
            self._n_frames += 1

    def finish(self) -> bytes:
        """Return the video and delete the file."""
        self._writer.release()
        with self._folder:
            return self._path.read_bytes()


class Session:
    """A pipeline and what it has found; it records only while `recording` is true: when the user asks."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline, self.recording = pipeline, False
        self.recorder: VideoRecorder | None = None
        self.clear()

    def clear(self) -> None:
        """Forget everything, the recording included."""
        self.pipeline.reset()
        self.take_video()
        self._ended: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._moments: deque[float] = deque(maxlen=30)
        self._problems: deque[tuple[float, str]] = deque(maxlen=5)
        self._messages: tuple[str, ...] = ()

    @property
    def events(self) -> list[Event]:
        """The log: events in the order in which they ended, then those that have not."""
        return [*self._ended, *self.pipeline.current]

    @property
    def messages(self) -> list[str]:
        """Messages for the user."""
        texts = [text for moment, text in self._problems if perf_counter() - moment < PROBLEM_SECONDS]
        if self.recorder and self.recorder.full:
            texts.append(f"the recording is full: {MAX_VIDEO_SECONDS:g} s")
        texts += self._messages
        if any(event.kind != "expression" for event in self._ended):
            texts.append(self.pipeline.warning)
        return [text for text in dict.fromkeys(texts) if text]

    @property
    def frames_per_second(self) -> float:
        """Frame rate over the last 30 frames; 0 before the second one."""
        if len(self._moments) < 2:
            return 0.0
        return (len(self._moments) - 1) / (self._moments[-1] - self._moments[0])

    def process(self, frame: Frame) -> Analysis:
        """Process a frame and remember the result."""
        analysis = self.pipeline.process(frame)
        self._moments.append(perf_counter())
        self._messages = analysis.messages
        self._ended.extend(analysis.events)
        if self.recording and not frame.still:
            try:
                image = annotate(analysis)
                self.recorder = self.recorder or VideoRecorder(image.shape)
                self.recorder.add(image, frame.time)
            except OSError as error:
                self.recording = False
                self.add_problem(f"the recording stopped: {error}")
        return analysis

    def add_problem(self, message: str) -> None:
        """Display the message of a source."""
        self._problems.append((perf_counter(), message))

    def end_source(self) -> None:
        """Forget the faces of a source that has ended; the log stays."""
        self._ended.extend(self.pipeline.reset())

    def start_source(self) -> None:
        """Prepare for another source, whose times start at 0; the log stays."""
        self.end_source()
        self._moments.clear()
        self._messages = ()

    def take_video(self) -> bytes | None:
        """Return the recording as a WebM file and delete it; None if there is none."""
        recorder, self.recorder = self.recorder, None
        return recorder and recorder.finish()
