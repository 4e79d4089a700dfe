"""What the demo remembers between start and clear: log, timeline, frame rate, recording."""

import os
import tempfile
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from fer_utils.live.frames import Analysis, Event, Frame, Problem, annotate, percent
from fer_utils.live.pipeline import Pipeline

MAX_EVENTS = 1000  # in the log; older ones are dropped
TIMELINE_SECONDS = 30.0
PROBLEM_SECONDS = 10.0  # in which the message of a source is displayed
VIDEO_RATE = 20.0  # frames per second of a recording
MAX_VIDEO_BYTES, MAX_VIDEO_SECONDS = 100_000_000, 300.0
CSV_COLUMNS = ("kind", "face", "label", "onset_s", "apex_s", "offset_s", "seconds", "score")


def events_csv(events: Iterable[Event]) -> bytes:
    """Return events as a CSV file (RFC 4180, UTF-8) with `CSV_COLUMNS`.

    A label that a spreadsheet would take for a formula is preceded by an apostrophe.
    """
    rows = []
    for event in events:
        times = (round(time, 3) for time in (event.onset, event.apex, event.offset, event.seconds))
        label = f"'{event.label}" if event.label.startswith(("=", "+", "-", "@", "\t", "\r")) else event.label
        rows.append((event.kind, event.face, label, *times, round(event.score, 4)))
    return pd.DataFrame(rows, columns=CSV_COLUMNS).to_csv(index=False, lineterminator="\r\n").encode()


def log_line(event: Event) -> str:
    """Return an event as a line of a log: as in Fig. 9 of kishor2022 ("Happy : 92 %"), with its time."""
    minutes, seconds = divmod(round(event.onset, 1), 60)
    label = event.label[:1].upper() + event.label[1:]
    kind = "" if event.kind == "expression" else f"{event.kind}-expression, "
    duration = f"{event.seconds:.2f} s" if event.kind == "micro" else f"{event.seconds:.1f} s"
    start = f"{minutes:02.0f}:{seconds:04.1f}"
    return f"{start}  {label} : {percent(event.score)}  ({kind}face {event.face}, {duration})"


class VideoRecorder:
    """Writes frames at irregular times to a WebM video (VP8) of a constant rate, in a thread.

    Each frame is repeated until the next one, and scaled to fit into the size of the first. The file is in a
    temporary folder that is deleted with the recorder. Beyond `MAX_VIDEO_BYTES` and `MAX_VIDEO_SECONDS`,
    frames are dropped, and `message` says so. `OSError` if OpenCV cannot write the video.
    """

    def __init__(self, shape: tuple[int, ...], time: float) -> None:
        self.message = ""
        self._size = (shape[1] // 2 * 2, shape[0] // 2 * 2)  # codecs need even sides
        self._start = self._latest = time
        self._n_frames = 0  # written, without the last one
        self._folder = tempfile.TemporaryDirectory(prefix="fer-video-")
        self._path = Path(self._folder.name) / "annotated.webm"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="video")
        self._queue: deque[Future[None]] = deque()
        # OpenCV prints to file descriptor 2 that WebM has no codec tags, which Jupyter would display.
        stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            codec = cv2.VideoWriter.fourcc(*"VP80")
            self._writer = cv2.VideoWriter(str(self._path), cv2.CAP_FFMPEG, codec, VIDEO_RATE, self._size)
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            os.close(nowhere)
        if not self._writer.isOpened():
            self.discard()
            raise OSError("OpenCV cannot write WebM videos here")

    def add(self, image: np.ndarray, time: float) -> None:
        """Add an RGB frame; a time before that of the last frame belongs to another source, which follows."""
        if self.message:
            return
        if time < self._latest:
            self._start = time - (self._n_frames + 1) / VIDEO_RATE
        self._latest = time
        if self._path.stat().st_size > MAX_VIDEO_BYTES:
            self.message = f"the recording is full: {MAX_VIDEO_BYTES / 1e6:g} MB"
        elif time - self._start >= MAX_VIDEO_SECONDS:
            self.message = f"the recording is full: {MAX_VIDEO_SECONDS:g} s"
        else:
            self._repeat_last(until=round((time - self._start) * VIDEO_RATE))
            fitted = np.asarray(ImageOps.pad(Image.fromarray(image), self._size))  # with black borders
            self._last = cv2.cvtColor(fitted, cv2.COLOR_RGB2BGR)

    def finish(self) -> bytes:
        """Return the video and delete the file."""
        try:
            self._repeat_last(until=self._n_frames + 1)
            while self._queue:
                self._queue.popleft().result()
            self._writer.release()
            return self._path.read_bytes()
        finally:
            self.discard()

    def discard(self) -> None:
        """Delete the video."""
        self._thread.shutdown(cancel_futures=True)
        self._writer.release()
        self._folder.cleanup()

    def _repeat_last(self, *, until: int) -> None:
        while len(self._queue) >= 8:  # frames to be compressed
            self._queue.popleft().result()
        for _ in range(self._n_frames, until):
            self._queue.append(self._thread.submit(self._writer.write, self._last))
        self._n_frames = max(self._n_frames, until)


class Session:
    """A pipeline and what it has found; one for each panel.

    `timeline` has time, number of the face and its probabilities of the last `TIMELINE_SECONDS`. Annotated
    frames are recorded while `recording` is true: off unless the user asks.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline, self.class_names = pipeline, pipeline.class_names
        self.recording = False
        self._recorder: VideoRecorder | None = None
        self.clear()

    def clear(self) -> None:
        """Forget everything, the recording included."""
        self.pipeline.reset()
        self._discard_recording()
        self._ended: deque[Event] = deque(maxlen=MAX_EVENTS)
        self.timeline: deque[tuple[float, int, np.ndarray]] = deque()
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
        texts += [self._recorder.message] if self._recorder else []
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
        self.timeline.extend((frame.time, face.number, face.probabilities) for face in analysis.faces)
        while self.timeline and self.timeline[0][0] < frame.time - TIMELINE_SECONDS:
            self.timeline.popleft()
        if self.recording:
            try:
                image = annotate(analysis)
                self._recorder = self._recorder or VideoRecorder(image.shape, frame.time)
                self._recorder.add(image, frame.time)
            except OSError as error:
                self.recording = False
                self._discard_recording()
                self.add_problem(Problem(f"the recording stopped: {error}"))
        return analysis

    def add_problem(self, problem: Problem) -> None:
        """Display the message of a source."""
        self._problems.append((perf_counter(), problem.message))

    def end_source(self) -> None:
        """Forget the faces of a source that has ended; the log stays."""
        self._ended.extend(self.pipeline.reset())

    def start_source(self) -> None:
        """Prepare for another source, whose times start at 0; the log stays."""
        self.end_source()
        self.timeline.clear()
        self._moments.clear()
        self._messages = ()

    def take_video(self) -> bytes | None:
        """Return the recording as a WebM file and delete it; None if there is none."""
        recorder, self._recorder = self._recorder, None
        return None if recorder is None else recorder.finish()

    def _discard_recording(self) -> None:
        if self._recorder is not None:
            self._recorder.discard()
            self._recorder = None
