"""Panel of the demo in JupyterLab and on Voilà's page: an anywidget; its other half is `static/panel.js`.

Images travel both ways as JPEG files in messages of the kernel. Neither side sends more than one or two
before an answer, so that a slow kernel or tunnel drops frames instead of queueing them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from time import monotonic
from typing import Any

import anywidget
import cv2
import traitlets

from fer_utils.data.detection import reduced
from fer_utils.live.frames import COLORS, Analysis, Face, Frame, Problem, annotate
from fer_utils.live.session import Session, events_csv
from fer_utils.live.sources import decode_image

Source = Callable[[], Iterable[Frame | Problem]]
"""Starts a source of frames, whose iterator is a generator."""

CAMERA = "camera"  # the source in the browser
CAMERA_SIZE = (640, 480)  # largest width and height in pixels of a frame of the browser's camera
MAX_FILES, MAX_UPLOAD = 20, 8_000_000  # uploaded at once, and bytes of each: Jupyter's server accepts 10 MiB
ROWS = 50  # of the log in the panel; the CSV file has all
IDLE_SECONDS = 10.0  # without a message from the browser, after which a source is stopped
_SHOWN_SIDE = 1280  # pixels of an image that is sent to the browser
_MAX_DELAY = 1.0  # seconds that a source may catch up; beyond it, its clock is set back
_STATIC = Path(__file__).with_name("static")


class Panel(anywidget.AnyWidget):
    """Controls, annotated frame, log, timeline, uploads and downloads; `sources` are those of the kernel."""

    _esm = _STATIC / "panel.js"
    _css = _STATIC / "panel.css"
    settings = traitlets.Dict().tag(sync=True)
    card = traitlets.Unicode().tag(sync=True)

    def __init__(self, session: Session, sources: Mapping[str, Source], *, card: str) -> None:
        settings = {"class_names": list(session.pipeline.class_names), "sources": list(sources)}
        settings |= {"file_bytes": MAX_UPLOAD, "files": MAX_FILES, "side": CAMERA_SIZE, "colors": COLORS}
        super().__init__(settings=settings, card=card)
        self.playing: str | None = None  # name of the source
        self._session, self._sources = session, dict(sources)
        self._run: float | None = None  # number that the browser gave the start
        self._task: asyncio.Task[None] | None = None
        self._drawn, self._heard = True, 0.0  # whether the last image was drawn; time of the last message
        self._points: list[tuple[float, int, list[float]]] = []  # since the last image
        self._sent_log: list[tuple] | None = None
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
        self._session.recording = False  # the checkbox of a new page is not ticked
        self._send_state(reset=True)

    def _receive_start(self, *, source: str, run: float) -> None:
        self._cancel()
        self._session.start_source()
        self.playing, self._run, self._drawn = source, run, True
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
        self._send_state(reset=True)

    def _receive_record(self, *, on: bool) -> None:
        self._session.recording = on

    def _receive_frame(self, *, run: float, time: float, content: bytes) -> None:
        if run == self._run and self.playing == CAMERA:
            self._process(decode_image(content, time=time), answer=run)
        else:  # sent before the browser received the stop
            self._send_state(answer=run)

    def _receive_drawn(self) -> None:
        self._drawn = True

    def _receive_download(self, *, what: str) -> None:
        if what == "events":
            file = {"name": "events.csv", "type": "text/csv"}
            content = events_csv(self._session.events)
        else:
            file = {"name": "annotated.webm", "type": "video/webm"}
            content = self._session.take_video()
        if content is not None:
            self.send({"kind": "file", **file}, [content])
        self._send_state()

    def _receive_image(self, *, name: str, number: int, content: bytes) -> None:
        """Process an uploaded image: the first of several, with number 0, is the start of a source."""
        if number == 0:
            self._receive_stop()
            self._session.start_source()
        answer, images = {"kind": "picture", "name": name, "faces": None, "notes": []}, []
        try:
            frame = decode_image(content, time=float(number), name=name, still=True)
            if isinstance(frame, Problem):
                raise ValueError(frame.message)
            analysis = self._session.process(frame)
            answer["faces"], images = [_face(face) for face in analysis.faces], [_reduced_jpeg(analysis)]
            self._send_state()
        except Exception as error:  # of a network, too; the next image may succeed
            answer["notes"] = [str(error)]
        self.send(answer, images)

    async def _play(self, name: str, run: float, *, after: asyncio.Task[None] | None) -> None:
        """Process a source, `after` the one before has ended; frames wait for their time, none is dropped."""
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
                        self._session.add_problem(f"{name}: stopped, because no page is open")
                        break
        except Exception as error:  # of the driver of a camera or the decoder of a file
            self._session.add_problem(f"{name}: {error or type(error).__name__}")
        finally:
            if self._run == run and self.playing in (name, None):
                self.playing = None
                self._session.end_source()
                self._send_state()

    def _process(self, frame: Frame | Problem, *, answer: float | None = None) -> None:
        """Process a frame, or display the message of a source."""
        analysis = None
        if isinstance(frame, Problem):
            self._session.add_problem(frame.message)
        else:
            try:
                analysis = self._session.process(frame)
                for face in sorted(analysis.faces, key=lambda face: face.box.area)[-1:]:  # the largest
                    self._points.append((frame.time, face.number, face.probabilities.round(4).tolist()))
            except Exception as error:  # of a network; the next frame may succeed
                self._session.add_problem(f"frame at {frame.time:.2f} s: {error or type(error).__name__}")
        if analysis is None or self._drawn or answer is not None:
            self._send_state(analysis, answer=answer)

    def _send_state(
        self, analysis: Analysis | None = None, *, reset: bool = False, answer: float | None = None
    ) -> None:
        """Send the state to the browser; with an analysis, also its image and the timeline up to it."""
        session, images = self._session, []
        state = {"run": self._run, "playing": self.playing, "answer": answer, "reset": reset, "points": []}
        state |= {"rate": session.frames_per_second, "messages": session.messages}
        state |= {"kind": "state", "video": session.recorder is not None}
        if reset:
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
            await loop.run_in_executor(thread, frames.close)


def _reduced_jpeg(analysis: Analysis) -> bytes:
    """Return the annotated frame as a JPEG file for the browser."""
    bgr = cv2.cvtColor(reduced(annotate(analysis), _SHOWN_SIDE), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


def _face(face: Face) -> dict[str, Any]:
    probabilities = face.probabilities.round(4).tolist()
    return {"number": face.number, "label": face.label, "probabilities": probabilities}
