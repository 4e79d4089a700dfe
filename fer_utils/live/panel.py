"""The demo's panel in JupyterLab and on Voilà's page: an anywidget whose other half is `static/panel.js`.

Pictures go both ways as JPEG files in messages of the kernel. Neither side sends more than one or two before
an answer: what cannot be looked at or shown in time is left out, so that a slow kernel or tunnel lags by a
frame and not by a queue.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import anywidget
import cv2
import numpy as np
import traitlets

from fer_utils.live.drawing import jpeg
from fer_utils.live.seen import Event, Frame, Problem, Seen, SeenFace
from fer_utils.live.sources import MOST_BYTES, decoded, uploaded
from fer_utils.plots.style import COLORS

if TYPE_CHECKING:
    from fer_utils.live.session import Session

Source = Callable[[], Iterable[Frame | Problem]]
"""Starts a source of frames."""

CAMERA, UPLOAD = "camera", "upload"
"""The two sources that are in the browser."""

ROWS = 50
"""Of the log that are shown; the file to download has all."""

SHOWN_SIDE = 1280
"""Longest side in pixels of a picture that is sent to the browser."""

MOST_ERRORS = 5
"""Frames in a row that may fail before a source is stopped."""

UNWATCHED = 10.0
"""Seconds without a word from the browser after which a source is stopped: nobody looks at it."""

MOST_LATE = 1.0
"""Seconds that a source may be late and still catch up; beyond that its clock waits for it."""

_STATIC = Path(__file__).with_name("static")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What is accepted from the browser.

    Attributes
    ----------
    file_bytes : int
        Of an uploaded picture.
    files : int
        Uploaded at once.
    side : (int, int)
        Largest width and height in pixels of a frame of the browser's camera.
    """

    file_bytes: int = MOST_BYTES
    files: int = 20
    side: tuple[int, int] = (640, 480)


class Panel(anywidget.AnyWidget):
    """Source, start, stop, clear, the picture with its boxes, the log, the timeline and downloads.

    Parameters
    ----------
    session : Session
    sources : mapping of str to callable
        Names, as people choose them, of what starts a source on the kernel's side. The browser's camera and
        the upload of pictures are always there.
    card : str
        The model card as HTML of this package.
    limits : Limits, optional

    Attributes
    ----------
    playing : str or None
        The source that runs.
    """

    _esm = _STATIC / "panel.js"
    _css = _STATIC / "panel.css"
    settings = traitlets.Dict().tag(sync=True)
    card = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        session: "Session",
        sources: Mapping[str, Source],
        *,
        card: str,
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        names = {"class_names": list(session.class_names), "sources": list(sources), "colors": COLORS}
        super().__init__(settings=names | asdict(limits), card=card)
        self.playing: str | None = None
        self._session, self._sources, self._limits = session, dict(sources), limits
        self._run: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._record = self._recorded = False
        self._errors = 0
        self._drawn, self._heard = True, 0.0
        self._points: list[tuple[float, int, list[float]]] = []  # since the last picture
        self._sent_log: list[tuple] | None = None
        self._upload = _Upload(limits)
        self.on_msg(self.receive)

    def __repr__(self) -> str:
        return "the live demo's panel, which needs JupyterLab or Voilà and a running kernel"

    # --- what the browser says --------------------------------------------------------------------

    def receive(self, _: object, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        """Do what a message of the browser asks: its `kind` is the name of one of the methods below."""
        self._heard = monotonic()
        actions = {
            "hello": self._hello,
            "start": self._start,
            "stop": self.stop,
            "clear": self._clear,
            "record": self._set_record,
            "frame": self._frame,
            "drawn": self._was_drawn,
            "upload": self._begin_upload,
            "slice": self._slice,
            "download": self._download,
        }
        details = {name: value for name, value in content.items() if name != "kind"}
        if buffers:
            details["content"] = bytes(buffers[0])
        actions[content["kind"]](**details)

    def stop(self) -> None:
        """Stop what runs; the log stays."""
        self.playing = None
        if self._task is not None:
            self._task.cancel()
        self._session.end()
        self._send_state()

    def close(self) -> None:
        """Stop what runs and leave the page."""
        if self._task is not None:
            self._task.cancel()
        super().close()

    def _hello(self) -> None:
        self._drawn, self._sent_log = True, None
        self._set_record(on=False)  # a page that is new has the box unticked
        self._send_state(reset=True)

    def _start(self, *, source: str, run: float) -> None:
        if self._task is not None:
            self._task.cancel()
        self._begin(source, run)
        if source != CAMERA:
            play = self._play(source, run, after=self._task)
            self._task = asyncio.get_running_loop().create_task(play)
        self._send_state(reset=True)

    def _begin(self, source: str, run: float | None) -> None:
        self._session.begin()
        self.playing, self._run = source, run
        self._errors, self._drawn = 0, True
        self._session.recording = self._record and source != UPLOAD

    def _clear(self) -> None:
        self._session.clear()
        self._recorded = False
        self._send_state(reset=True)

    def _set_record(self, *, on: bool) -> None:
        self._record = on
        self._session.recording = on and self.playing is not None

    def _frame(self, *, run: float, time: float, content: bytes) -> None:
        if run != self._run or self.playing != CAMERA:  # sent before it heard of the stop
            self._send_state(answer=run)
            return
        self._look(decoded(content, time=time), answer=run)

    def _was_drawn(self) -> None:
        self._drawn = True

    def _download(self, *, what: str) -> None:
        if what == "events":
            self._send_file("events.csv", "text/csv", self._session.events_csv())
        else:
            self._send_video()
        self._send_state()

    def _send_video(self) -> None:
        self._recorded = False
        try:
            video = self._session.video()
        except OSError as error:
            self._session.note(Problem(f"no video: {error}"))
            return
        if video is not None:
            self._send_file("annotated.webm", "video/webm", video)

    def _send_file(self, name: str, type_: str, content: bytes) -> None:
        self.send({"kind": "file", "name": name, "type": type_}, [content])

    # --- uploaded pictures ------------------------------------------------------------------------

    def _begin_upload(self) -> None:
        self.stop()
        self._begin(UPLOAD, None)
        self.playing = None
        self._upload = _Upload(self._limits)

    def _slice(self, *, name: str, start: int, size: int, content: bytes) -> None:
        try:
            whole = self._upload.add(name, start=start, size=size, content=content)
            if whole is not None:
                self._answer_picture(name, whole)
        except Exception as error:  # whatever a strange file brings about, the next one has its turn
            _log.info("picture %s", name, exc_info=True)
            self._refuse(name, str(error))
        self.send({"kind": "slice"})

    def _answer_picture(self, name: str, content: bytes) -> None:
        notes = []
        for found in uploaded([(name, content)]):
            if isinstance(found, Problem):
                notes.append(found.message)
                continue
            seen = self._session.show(replace(found, time=float(self._upload.done - 1)))
            faces = [_face(face) for face in seen.faces]
            answer = {"kind": "picture", "name": name, "faces": faces, "notes": notes}
            self.send(answer, [_picture(self._session.annotated(seen))])
            self._send_state()
            return
        self._refuse(name, *notes)

    def _refuse(self, name: str, *why: str) -> None:
        self.send({"kind": "picture", "name": name, "faces": None, "notes": why})

    # --- sources on the kernel's side -------------------------------------------------------------

    async def _play(self, name: str, run: float, *, after: asyncio.Task[None] | None) -> None:
        if after is not None and not after.done():
            await asyncio.wait([after])
        try:
            async with aclosing(_in_thread(self._sources[name])) as frames:
                async for frame in _in_time(frames):
                    self._look(frame)
                    if self.playing is None:
                        break
                    if monotonic() - self._heard > UNWATCHED:
                        self._session.note(Problem(f"{name}: stopped, as no page was looking"))
                        break
                    await asyncio.sleep(0)
        except Exception as error:  # whatever a camera's driver or a file's decoder raises
            self._failed(name, error)
        finally:
            if self._run == run and self.playing == name:
                self.playing = None
                self._session.end()
                self._send_state()

    def _look(self, frame: Frame | Problem, *, answer: float | None = None) -> None:
        """Show a frame or a source's message; one frame that fails is no end, `MOST_ERRORS` in a row are."""
        if isinstance(frame, Problem):
            self._session.note(frame)
            self._send_state(answer=answer)
            return
        try:
            seen = self._session.show(frame)
            self._recorded |= self._session.recording
            self._points += _points(seen)
            if self._drawn or answer is not None:
                self._send_state(seen, answer=answer)
            self._errors = 0
        except Exception as error:  # of a network or a damaged frame; the next one may be better
            self._failed(f"frame at {frame.time:.2f} s", error)
            self._send_state(answer=answer)

    def _failed(self, what: str, error: Exception) -> None:
        _log.info(what, exc_info=error)
        self._session.note(Problem(f"{what}: {error or type(error).__name__}"))
        self._errors += 1
        if self._errors >= MOST_ERRORS:
            self.playing = None
            self._session.note(Problem(f"stopped, as {MOST_ERRORS} frames in a row failed"))

    # --- what the browser is told -----------------------------------------------------------------

    def _send_state(
        self, seen: Seen | None = None, *, reset: bool = False, answer: float | None = None
    ) -> None:
        """Tell the browser how things are; with a frame its picture, and the timeline up to it."""
        state = {
            "kind": "state",
            "run": self._run,
            "playing": self.playing,
            "answer": answer,
            "reset": reset,
            "rate": self._session.frames_per_second,
            "messages": list(self._session.messages),
            "video": self._recorded,
            "points": [],
        }
        pictures = []
        if reset:
            timeline = self._session.timeline
            state["points"] = [(time, face, _rounded(values)) for time, face, values in timeline]
            self._points = []
        if seen is not None:
            pictures = [_picture(self._session.annotated(seen))]
            state |= {"points": self._points, "faces": [_face(face) for face in seen.faces]}
            self._points, self._drawn = [], False
        log = [_row(event) for event in reversed(self._session.events[-ROWS:])]
        if log != self._sent_log:
            state["log"] = self._sent_log = log
        self.send(state, pictures)


class _Upload:
    """Puts the slices of files together, one file after the other, within the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._content = bytearray()
        self.done = 0

    def add(self, name: str, *, start: int, size: int, content: bytes) -> bytes | None:
        """Return the whole file with its last slice, else None."""
        if start == 0:
            self._content = bytearray()
        if self.done >= self._limits.files:
            raise ValueError(f"more than {self._limits.files} files at once")
        if size > self._limits.file_bytes:
            raise ValueError(
                f"{size / 1e6:.1f} MB; at most {self._limits.file_bytes / 1e6:g} MB are accepted"
            )
        if start != len(self._content) or start + len(content) > size:
            raise ValueError("it did not arrive whole; choose it again")
        self._content += content
        if len(self._content) < size:
            return None
        whole, self._content = bytes(self._content), bytearray()
        self.done += 1
        return whole


async def _in_thread(source: Source) -> AsyncIterator[Frame | Problem]:
    """Iterate a source in a thread of its own, so that a camera that opens slowly does not stop the panel."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="source") as thread:
        frames = await loop.run_in_executor(thread, lambda: iter(source()))
        try:
            while (frame := await loop.run_in_executor(thread, next, frames, None)) is not None:
                yield frame
        finally:
            if hasattr(frames, "close"):
                await loop.run_in_executor(thread, frames.close)


async def _in_time(frames: AsyncIterator[Frame | Problem]) -> AsyncIterator[Frame | Problem]:
    """Hold frames back until their time; none is left out, so a source that is too slow plays slowly."""
    began: float | None = None
    async for frame in frames:
        if isinstance(frame, Problem):
            yield frame
            continue
        if began is None:
            began = monotonic() - frame.time
        late = monotonic() - began - frame.time
        if late > MOST_LATE:
            began += late
        await asyncio.sleep(max(0.0, -late))
        yield frame


def _picture(image: np.ndarray) -> bytes:
    """Return an RGB image as a JPEG file of at most `SHOWN_SIDE` pixels a side."""
    scale = SHOWN_SIDE / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return jpeg(image)


def _points(seen: Seen) -> list[tuple[float, int, list[float]]]:
    """Return what the timeline gets of a frame: its largest face, if it has one."""
    largest = sorted(seen.faces, key=lambda face: face.box.width * face.box.height)[-1:]
    return [(seen.frame.time, face.number, _rounded(face.probabilities)) for face in largest]


def _rounded(probabilities: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in probabilities]


def _face(face: SeenFace) -> dict[str, Any]:
    return {"number": face.number, "label": face.label, "probabilities": _rounded(face.probabilities)}


def _row(event: Event) -> tuple[float, int, str, float, str, float]:
    seconds = round(event.seconds, 2)
    return (round(event.onset, 2), event.face, event.label, round(event.score, 4), event.kind, seconds)
