"""Panel of the demo in JupyterLab and on Voilà's page: an anywidget; its other half is `static/panel.js`.

Images travel both ways as JPEG files in messages of the kernel. Neither side sends more than one or two
before an answer, so that a slow kernel or tunnel drops frames instead of queueing them.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from time import monotonic
from typing import Any

import anywidget
import cv2
import numpy as np
import traitlets

from fer_utils.live.frames import COLORS, Analysis, Face, Frame, Problem, annotate
from fer_utils.live.session import Session, events_csv
from fer_utils.live.sources import MAX_BYTES, decode_image

Source = Callable[[], Iterable[Frame | Problem]]
"""Starts a source of frames."""

CAMERA, UPLOAD = "camera", "upload"  # sources in the browser
CAMERA_SIZE = (640, 480)  # largest width and height in pixels of a frame of the browser's camera
MAX_FILES = 20  # uploaded at once
ROWS = 50  # of the log in the panel; the CSV file has all
MAX_ERRORS = 5  # consecutive frames that may fail before a source is stopped
IDLE_SECONDS = 10.0  # without a message from the browser, after which a source is stopped
_SHOWN_SIDE = 1280  # pixels of an image that is sent to the browser
_MAX_DELAY = 1.0  # seconds that a source may catch up; beyond it, its clock is set back
_STATIC = Path(__file__).with_name("static")
_log = logging.getLogger(__name__)


class Panel(anywidget.AnyWidget):
    """Controls, annotated frame, log, timeline, uploads and downloads.

    `sources` by name are those on the side of the kernel; the browser's camera and uploads are always
    offered. `card` is HTML.
    """

    _esm = _STATIC / "panel.js"
    _css = _STATIC / "panel.css"
    settings = traitlets.Dict().tag(sync=True)
    card = traitlets.Unicode().tag(sync=True)

    def __init__(self, session: Session, sources: Mapping[str, Source], *, card: str) -> None:
        names = {"class_names": list(session.class_names), "sources": list(sources), "colors": COLORS}
        limits = {"file_bytes": MAX_BYTES, "files": MAX_FILES, "side": CAMERA_SIZE}
        super().__init__(settings=names | limits, card=card)
        self.playing: str | None = None  # name of the source
        self._session, self._sources = session, dict(sources)
        self._run: float | None = None  # number that the browser gave the start
        self._task: asyncio.Task[None] | None = None
        self._record = self._recorded = False
        self._n_errors = 0
        self._drawn, self._heard = True, 0.0  # whether the last image was drawn; time of the last message
        self._points: list[tuple[float, int, list[float]]] = []  # since the last image
        self._sent_log: list[tuple] | None = None
        self._content, self._n_uploaded = bytearray(), 0  # of the file that is being uploaded; files before
        self.on_msg(self.receive)

    def __repr__(self) -> str:
        return "panel of the live demo; it needs JupyterLab or Voilà and a running kernel"

    def receive(self, _: object, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        """Call the method for the `kind` of a message of the browser; its other items are arguments."""
        self._heard = monotonic()
        arguments = {name: value for name, value in content.items() if name != "kind"}
        if buffers:
            arguments["content"] = bytes(buffers[0])
        getattr(self, f"_receive_{content['kind']}")(**arguments)

    def close(self) -> None:
        """Stop the source and remove the panel."""
        self._cancel()
        super().close()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _receive_hello(self) -> None:
        self._drawn, self._sent_log = True, None
        self._receive_record(on=False)  # the checkbox of a new page is not ticked
        self._send_state(reset=True)

    def _receive_start(self, *, source: str, run: float) -> None:
        self._cancel()
        self._start_session(source, run)
        if source != CAMERA:
            play = self._play(source, run, after=self._task)
            self._task = asyncio.get_running_loop().create_task(play)
        self._send_state(reset=True)

    def _receive_stop(self) -> None:
        self.playing = None
        self._cancel()
        self._session.end_source()
        self._send_state()

    def _receive_clear(self) -> None:
        self._session.clear()
        self._recorded = False
        self._send_state(reset=True)

    def _receive_record(self, *, on: bool) -> None:
        self._record = on
        self._session.recording = on and self.playing is not None

    def _receive_frame(self, *, run: float, time: float, content: bytes) -> None:
        if run == self._run and self.playing == CAMERA:
            self._process(decode_image(content, time=time), answer=run)
        else:  # sent before the browser received the stop
            self._send_state(answer=run)

    def _receive_drawn(self) -> None:
        self._drawn = True

    def _receive_download(self, *, what: str) -> None:
        name, media_type = "events.csv", "text/csv"
        if what == "events":
            content = events_csv(self._session.events)
        else:
            name, media_type = "annotated.webm", "video/webm"
            self._recorded, content = False, self._session.take_video()
        if content is not None:
            self.send({"kind": "file", "name": name, "type": media_type}, [content])
        self._send_state()

    def _receive_upload(self) -> None:
        self._receive_stop()
        self._start_session(UPLOAD, None)
        self.playing = None
        self._n_uploaded = 0

    def _receive_slice(self, *, name: str, start: int, size: int, content: bytes) -> None:
        """Append a slice of an uploaded file, and process the image when it is complete."""
        if start == 0:
            self._content = bytearray()
        answer, images = {"kind": "picture", "name": name, "faces": None, "notes": []}, []
        try:
            if self._n_uploaded >= MAX_FILES:
                raise ValueError(f"more than {MAX_FILES} files at once")
            if size > MAX_BYTES:
                raise ValueError(f"{size / 1e6:.1f} MB; at most {MAX_BYTES / 1e6:g} MB are accepted")
            if start != len(self._content) or start + len(content) > size:
                raise ValueError("the file did not arrive completely; choose it again")
            self._content += content
            if len(self._content) == size:
                frame = decode_image(self._content, time=float(self._n_uploaded), name=name, still=True)
                self._n_uploaded += 1
                if isinstance(frame, Problem):
                    raise ValueError(frame.message)
                analysis = self._session.process(frame)
                answer["faces"], images = [_face(face) for face in analysis.faces], [_reduced_jpeg(analysis)]
        except Exception as error:  # of a network, too; the next image may succeed
            _log.info("image %s", name, exc_info=True)
            answer["notes"] = [str(error)]
        if images or answer["notes"]:
            self.send(answer, images)
        if images:
            self._send_state()
        self.send({"kind": "slice"})

    def _start_session(self, source: str, run: float | None) -> None:
        self._session.start_source()
        self.playing, self._run = source, run
        self._n_errors, self._drawn = 0, True
        self._session.recording = self._record and source != UPLOAD

    async def _play(self, name: str, run: float, *, after: asyncio.Task[None] | None) -> None:
        """Process a source on the side of the kernel, `after` the one before has ended.

        Frames are delayed until their time; none is dropped, so that a slow source plays slowly.
        """
        start: float | None = None
        if after is not None:
            await asyncio.wait([after])
        try:
            async with aclosing(_in_thread(self._sources[name])) as frames:
                async for frame in frames:
                    if isinstance(frame, Frame):
                        start = monotonic() - frame.time if start is None else start
                        delay = monotonic() - start - frame.time
                        start += delay if delay > _MAX_DELAY else 0.0
                        await asyncio.sleep(max(0.0, -delay))
                    self._process(frame)
                    if self.playing is None:
                        break
                    if monotonic() - self._heard > IDLE_SECONDS:
                        self._session.add_problem(Problem(f"{name}: stopped, because no page is open"))
                        break
        except Exception as error:  # of the driver of a camera or the decoder of a file
            self._add_error(name, error)
        finally:
            if self._run == run and self.playing == name:
                self.playing = None
                self._session.end_source()
                self._send_state()

    def _process(self, frame: Frame | Problem, *, answer: float | None = None) -> None:
        """Process a frame, or display the message of a source; `MAX_ERRORS` failures in a row stop it."""
        if isinstance(frame, Problem):
            self._session.add_problem(frame)
            self._send_state(answer=answer)
            return
        try:
            analysis = self._session.process(frame)
            self._recorded |= self._session.recording
            largest = sorted(analysis.faces, key=lambda face: face.box.area)[-1:]
            self._points += [(frame.time, face.number, _rounded(face.probabilities)) for face in largest]
            if self._drawn or answer is not None:
                self._send_state(analysis, answer=answer)
            self._n_errors = 0
        except Exception as error:  # of a network or a damaged frame; the next one may succeed
            self._add_error(f"frame at {frame.time:.2f} s", error)
            self._send_state(answer=answer)

    def _add_error(self, where: str, error: Exception) -> None:
        _log.info(where, exc_info=error)
        self._session.add_problem(Problem(f"{where}: {error or type(error).__name__}"))
        self._n_errors += 1
        if self._n_errors >= MAX_ERRORS:
            self.playing = None
            self._session.add_problem(Problem(f"stopped, because {MAX_ERRORS} frames in a row failed"))

    def _send_state(
        self, analysis: Analysis | None = None, *, reset: bool = False, answer: float | None = None
    ) -> None:
        """Send the state to the browser; with an analysis, also its image and the timeline up to it."""
        session, images = self._session, []
        state = {
            "kind": "state",
            "run": self._run,
            "playing": self.playing,
            "answer": answer,
            "reset": reset,
            "rate": session.frames_per_second,
            "messages": list(session.messages),
            "video": self._recorded,
            "points": [],
        }
        if reset:
            state["points"] = [(time, face, _rounded(values)) for time, face, values in session.timeline]
            self._points = []
        if analysis is not None:
            images = [_reduced_jpeg(analysis)]
            state |= {"points": self._points, "faces": [_face(face) for face in analysis.faces]}
            self._points, self._drawn = [], False
        log = [
            (round(one.onset, 2), one.face, one.label, round(one.score, 4), one.kind, round(one.seconds, 2))
            for one in reversed(session.events[-ROWS:])
        ]
        if log != self._sent_log:
            state["log"] = self._sent_log = log
        self.send(state, images)


async def _in_thread(source: Source) -> AsyncIterator[Frame | Problem]:
    """Iterate a source in a thread, so that a camera that opens slowly does not block the kernel."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="source") as thread:
        frames = await loop.run_in_executor(thread, lambda: iter(source()))
        try:
            while (frame := await loop.run_in_executor(thread, next, frames, None)) is not None:
                yield frame
        finally:
            if hasattr(frames, "close"):
                await loop.run_in_executor(thread, frames.close)


def _reduced_jpeg(analysis: Analysis) -> bytes:
    """Return the annotated frame as a JPEG file for the browser."""
    image = annotate(analysis)
    scale = _SHOWN_SIDE / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


def _rounded(probabilities: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in probabilities]


def _face(face: Face) -> dict[str, Any]:
    return {"number": face.number, "label": face.label, "probabilities": _rounded(face.probabilities)}
