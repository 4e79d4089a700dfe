"""What can be taken away from the demo: the events as a table and as a log, and the annotated video."""

import csv
import io
import os
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from fer_utils.files import ConfigError, atomic_write
from fer_utils.live.drawing import percent
from fer_utils.live.seen import Event

COLUMNS = ("kind", "face", "label", "onset_s", "apex_s", "offset_s", "seconds", "score")
"""Of the table of events; times in seconds since the source began."""

RATE = 20.0
"""Frames per second of a recorded video."""

MOST_BYTES = 100_000_000
MOST_SECONDS = 300.0
"""After this much of either, a video takes no more."""

CODECS = {".webm": "VP80", ".avi": "MJPG"}
"""What videos are written as, by the suffix: WebM is shown by browsers, AVI is larger and plays elsewhere."""

_MOST_WAITING = 8  # frames to be compressed
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_STDERR = threading.Lock()  # two threads that redirect it at once would leave it so


def events_csv(events: Iterable[Event]) -> bytes:
    """Return events as a CSV file (RFC 4180, UTF-8), a row each under `COLUMNS`.

    A label that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text)  # its lines end as RFC 4180 wants
    table.writerow(COLUMNS)
    for event in events:
        times = (round(time, 3) for time in (event.onset, event.apex, event.offset, event.seconds))
        label = f"'{event.label}" if event.label.startswith(_FORMULA) else event.label
        table.writerow((event.kind, event.face, label, *times, round(event.score, 4)))
    return text.getvalue().encode()


def log_line(event: Event) -> str:
    """Return an event as a line of a running log, as in kishor2022's Fig. 9: "Happy : 92 %".

    Before it stands when it began, in minutes and seconds, and after it the face and how long it lasted.
    """
    minutes, seconds = divmod(round(event.onset, 1), 60)
    label = event.label[:1].upper() + event.label[1:]
    kind = "" if event.kind == "expression" else f"{event.kind}-expression, "
    lasting = f"{event.seconds:.2f} s" if event.kind == "micro" else f"{event.seconds:.1f} s"
    began = f"{minutes:02.0f}:{seconds:04.1f}"
    return f"{began}  {label} : {percent(event.score)}  ({kind}face {event.face}, {lasting})"


class VideoWriter:
    """Writes frames that come at irregular times into a video of a constant rate.

    Each frame is shown until the next one comes: it is repeated or left out, so that everything happens at
    its time. All get the size of the first: others are scaled to fit, with black edges. The file is there
    after `close`, whole or not at all. As a context manager, it closes, or after an exception discards.
    Compression goes on in a thread of its own.

    Parameters
    ----------
    path : path
        Its suffix is one of `CODECS`.
    rate : float
        Frames per second.
    most_bytes, most_seconds : float
        Frames beyond either are left out, and `message` says so.

    Attributes
    ----------
    message : str
        Why no more frames are taken; empty as long as they are.

    Raises
    ------
    ConfigError
        For another suffix, and for a rate or limits that are not positive.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        rate: float = RATE,
        most_bytes: float = MOST_BYTES,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        self.path, self.message = Path(path), ""
        if self.path.suffix not in CODECS:
            raise ConfigError(f"{self.path.name}: the name of a video ends in {' or '.join(CODECS)}")
        if not min(rate, most_bytes, most_seconds) > 0:
            raise ConfigError(f"{rate=}, {most_bytes=}, {most_seconds=}: each must be positive")
        self._rate, self._most_bytes, self._most_seconds = rate, most_bytes, most_seconds
        self._draft: _Draft | None = None
        self._began = self._latest = 0.0
        self._shown: np.ndarray | None = None
        self._frames = 0  # before the one that is shown

    def add(self, image: np.ndarray, time: float) -> None:
        """Take a frame.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3)
            Red, green, blue.
        time : float
            Seconds. When it is less than that of the frame before, another source has begun, and the video
            goes on with it.

        Raises
        ------
        OSError
            When no video can be written here.
        """
        if self.message:
            return
        if self._draft is None:
            size = (image.shape[1] // 2 * 2, image.shape[0] // 2 * 2)  # codecs want even sides
            self._draft = _Draft(self.path, rate=self._rate, size=size, most_bytes=self._most_bytes)
            self._began, self._frames = time, 0
        elif time < self._latest:
            self._began = time - (self._frames + 1) / self._rate
        self._latest = time
        if self._draft.full:
            self.message = f"the video is full: it has {self._most_bytes / 1e6:g} MB, and may have no more"
        elif time - self._began >= self._most_seconds:
            self.message = f"the video is full: it has {self._most_seconds:g} s, and may have no more"
        else:
            self._show_until(round((time - self._began) * self._rate))
            self._shown = _fitted(image, self._draft.size)

    def close(self) -> Path:
        """Finish the file, or write none when there was no frame, and return its path.

        Raises
        ------
        OSError
            When it could not be written whole; then there is none.
        """
        draft, self._draft = self._draft, None
        if draft is not None:
            draft.write(self._shown, times=1)
            draft.keep(self.path)
        return self.path

    def discard(self) -> None:
        """Forget what was recorded; there is no file."""
        draft, self._draft = self._draft, None
        if draft is not None:
            draft.remove()

    def _show_until(self, frame: int) -> None:
        if frame > self._frames:
            self._draft.write(self._shown, times=frame - self._frames)
            self._frames = frame

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


class _Draft:
    """The file of a video while it grows, in a hidden folder beside its later place."""

    def __init__(self, path: Path, *, rate: float, size: tuple[int, int], most_bytes: float) -> None:
        self.size, self.full = size, False
        self._most_bytes, self._frames = most_bytes, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent)
        self._file = Path(self._folder.name) / path.name
        codec = cv2.VideoWriter.fourcc(*CODECS[path.suffix])
        with _without_stderr():
            self._writer = cv2.VideoWriter(str(self._file), cv2.CAP_FFMPEG, codec, rate, size)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="video")
        self._waiting: deque[Future[None]] = deque()
        if not self._writer.isOpened():
            self.remove()
            raise OSError(f"{path}: OpenCV cannot write it here; try another of {', '.join(CODECS)}")

    def write(self, image: np.ndarray, *, times: int) -> None:
        """Have an image written; when too many wait for it, wait too."""
        while len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(self._write, image, times))

    def _write(self, image: np.ndarray, times: int) -> None:
        for _ in range(times):
            self.full = self.full or self._file.stat().st_size > self._most_bytes
            if self.full:
                return
            self._writer.write(image)
            self._frames += 1

    def keep(self, path: Path) -> None:
        """Finish the file and put it into its place."""
        try:
            while self._waiting:
                self._waiting.popleft().result()
            self._writer.release()
            self._check()
            with atomic_write(path) as temporary:
                self._file.replace(temporary)
        finally:
            self.remove()

    def remove(self) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._writer.release()
        self._folder.cleanup()

    def _check(self) -> None:
        # OpenCV does not tell whether it could write: what is missing then is the last frame.
        capture = cv2.VideoCapture(str(self._file), cv2.CAP_FFMPEG)
        capture.set(cv2.CAP_PROP_POS_FRAMES, self._frames - 1)
        whole = capture.read()[0] and round(capture.get(cv2.CAP_PROP_POS_FRAMES)) == self._frames
        capture.release()
        if not whole:
            raise OSError(f"{self._file.name}: the video could not be written whole; is the disk full?")


def _fitted(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return an image as OpenCV writes it (blue, green, red), scaled to fit `size` with black edges."""
    width, height = size
    scale = min(width / image.shape[1], height / image.shape[0])
    inner = (max(1, round(scale * image.shape[1])), max(1, round(scale * image.shape[0])))
    if inner != image.shape[1::-1]:
        image = cv2.resize(image, inner, interpolation=cv2.INTER_AREA)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    around = (top, height - inner[1] - top, left, width - inner[0] - left)
    image = cv2.copyMakeBorder(image, *around, cv2.BORDER_CONSTANT)
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR)


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Keep this process silent for a moment: OpenCV prints, past every setting, that WebM has no tags."""
    with _STDERR, open(os.devnull, "wb") as nowhere:
        kept = os.dup(2)
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
