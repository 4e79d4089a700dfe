"""The panel without a browser: the test sends what panel.js would send and reads what it would receive."""

import asyncio
import re
import threading
from collections import deque
from time import monotonic

import cv2
import numpy as np
import pytest

from fer_utils.detection import Box
from fer_utils.files import PROJECT
from fer_utils.live import panel as panel_module
from fer_utils.live.frames import Analysis, Event, Face, Frame, Problem
from fer_utils.live.panel import CAMERA, MAX_ERRORS, MAX_FILES, ROWS, Panel
from fer_utils.live.sources import MAX_BYTES

STATIC = PROJECT / "fer_utils" / "live" / "static"
RUN = 0.5


def frame(time: float = 0.0) -> Frame:
    return Frame(np.full((48, 64, 3), 120, np.uint8), time)


class FakeSession:
    """Finds two faces in every frame, the second one larger; fails if `failing`."""

    class_names = ("happy", "sad")
    frames_per_second = 12.5

    def __init__(self) -> None:
        self.recording = self.failing = False
        self.processed: list[Frame] = []
        self.n_recorded = 0
        self.clear()

    def clear(self) -> None:
        self.events: list[Event] = []
        self.timeline = deque()
        self.messages: list[str] = []
        self.n_recorded = 0

    def end_source(self) -> None:
        pass

    def start_source(self) -> None:
        self.timeline.clear()
        self.messages = []

    def add_problem(self, problem: Problem) -> None:
        self.messages = [*self.messages, problem.message]

    def process(self, frame: Frame) -> Analysis:
        if self.failing:
            raise RuntimeError("network error")
        self.processed.append(frame)
        self.n_recorded += self.recording
        small = Face(1, Box(0, 0, 5, 5), np.array([0.3, 0.7]), "sad")
        large = Face(2, Box(10, 10, 20, 20), np.array([0.9, 0.1]), "happy")
        return Analysis(frame, (small, large))

    def take_video(self) -> bytes | None:
        n_recorded, self.n_recorded = self.n_recorded, 0
        return bytes(n_recorded) or None


class TestPanel(Panel):
    """Stores what it sends; a page that is open confirms each image."""

    __test__ = False

    def __init__(self, sources: dict | None = None, *, confirming: bool = True) -> None:
        super().__init__(FakeSession(), sources or {}, card="<p>card</p>")
        self.sent: list[tuple[dict, list[bytes]]] = []
        self.confirming = confirming

    def send(self, content: dict, buffers: list[bytes] | None = None) -> None:
        self.sent.append((content, buffers or []))
        if content["kind"] == "state" and buffers and self.confirming:
            self.hear("drawn")

    def hear(self, kind: str, content: bytes | None = None, **details: object) -> None:
        self.receive(self, {"kind": kind, **details}, [] if content is None else [memoryview(content)])

    def of_kind(self, kind: str) -> list[dict]:
        return [content for content, _ in self.sent if content["kind"] == kind]

    @property
    def session(self) -> FakeSession:
        return self._session

    @property
    def state(self) -> dict:
        return self.of_kind("state")[-1]

    @property
    def images(self) -> list[bytes]:
        return [buffers[0] for content, buffers in self.sent if content["kind"] == "state" and buffers]


async def play(panel: TestPanel, source: str) -> None:
    """Start a source and wait until it has ended."""
    panel.hear("start", source=source, run=RUN)
    await until(lambda: panel.playing is None)


async def until(condition) -> None:
    deadline = monotonic() + 10
    while not condition():
        assert monotonic() < deadline
        await asyncio.sleep(0.001)


# --- assets --------------------------------------------------------------------------------------


def test_assets_load_nothing_from_other_machines_and_only_the_card_is_html():
    script = (STATIC / "panel.js").read_text()
    text = script + (STATIC / "panel.css").read_text()
    addresses = {address for address in re.findall(r"https?://[\w.]+", text) if "localhost" not in address}
    assert addresses == {"http://www.w3.org"}  # the name space of SVG
    assert not re.search(r"\bimport\b|@import|url\(", text)
    html = re.findall(r".*(?:innerHTML|insertAdjacentHTML|outerHTML|document\.write).*", script)
    assert [line.strip().split(";")[0] for line in html] == ["text.innerHTML = card"]


def test_assets_and_networks_are_in_the_wheel():
    from hatchling.builders.wheel import WheelBuilder

    files = {file.relative_path for file in WheelBuilder(str(PROJECT)).recurse_included_files()}
    assets = ("static/panel.js", "static/panel.css", "static/voila/index.html.j2", "networks/fer2013.onnx")
    assert {f"fer_utils/live/{name}" for name in assets} <= files


# --- sources on the side of the kernel -----------------------------------------------------------


def test_new_page_receives_log_and_timeline():
    panel = TestPanel({"synthetic": list})
    assert panel.settings["sources"] == ["synthetic"] and panel.settings["files"] == MAX_FILES
    assert "0x" not in repr(panel)  # stored in notebooks
    panel.session.events = [Event("micro", 1, "sad", at, at + 0.1, at + 0.25, 0.75) for at in range(60)]
    panel.session.timeline.append((3.0, 2, np.array([0.25, 0.75])))
    panel.hear("hello")
    assert len(panel.state["log"]) == ROWS
    assert panel.state["log"][0] == (59, 1, "sad", 0.75, "micro", 0.25)  # the newest first
    assert panel.state["reset"] and panel.state["points"] == [(3.0, 2, [0.25, 0.75])]
    panel.hear("stop")
    assert "log" not in panel.state  # unchanged


def test_source_is_played_at_its_times_with_its_messages():
    items = [frame(0.0), Problem("b.png: damaged"), frame(0.1), frame(0.2)]
    panel = TestPanel({"three": lambda: items})
    start = monotonic()
    asyncio.run(play(panel, "three"))
    assert monotonic() - start > 0.19
    assert [seen.time for seen in panel.session.processed] == [0.0, 0.1, 0.2]
    assert cv2.imdecode(np.frombuffer(panel.images[0], np.uint8), cv2.IMREAD_COLOR).shape == (48, 64, 3)
    points = [point for state in panel.of_kind("state") for point in state["points"]]
    assert points[0] == (0.0, 2, [0.9, 0.1])  # of the largest face
    assert panel.state["messages"] == ["b.png: damaged"]
    assert panel.state["playing"] is None and panel.state["run"] == RUN


def test_next_image_is_sent_after_the_last_one_was_drawn():
    panel = TestPanel({"five": lambda: [frame(0.01 * at) for at in range(5)]}, confirming=False)
    process = panel.session.process

    def confirm_late(one: Frame) -> Analysis:
        if len(panel.session.processed) == 3:
            panel.hear("drawn")
        return process(one)

    panel.session.process = confirm_late
    asyncio.run(play(panel, "five"))
    points = [[time for time, _, _ in state["points"]] for state in panel.of_kind("state") if state["points"]]
    assert points == [[0.0], [0.01, 0.02, 0.03]] and len(panel.images) == 2
    assert len(panel.session.processed) == 5


def test_source_that_raises_ends_with_its_message():
    def broken():
        yield frame()
        raise OSError("device gone")

    panel = TestPanel({"camera 0": broken})
    asyncio.run(play(panel, "camera 0"))
    assert panel.state["messages"] == ["camera 0: device gone"] and panel.state["playing"] is None


def test_failing_frames_stop_a_source_only_in_a_row():
    panel = TestPanel({"long": lambda: [frame(0.001 * at) for at in range(100)]})
    panel.session.failing = True
    asyncio.run(play(panel, "long"))
    assert len(panel.state["messages"]) == MAX_ERRORS + 1
    panel = TestPanel({"odd": lambda: [frame(0.001 * at) for at in range(3 * MAX_ERRORS)]})
    session, process = panel.session, panel.session.process

    def every_other(one: Frame) -> Analysis:
        session.failing = not session.failing
        return process(one)

    session.process = every_other
    asyncio.run(play(panel, "odd"))
    assert len(session.processed) == 3 * MAX_ERRORS // 2


class Endless:
    """Endless source that counts how many of it are open."""

    def __init__(self) -> None:
        self.open = self.most_open = 0
        self.threads: set[str] = set()

    def __call__(self):
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            for at in range(1_000_000):
                self.threads.add(threading.current_thread().name)
                yield frame(0.001 * at)
        finally:
            self.open -= 1


def test_stop_restart_and_close_release_the_source():
    endless = Endless()
    panel = TestPanel({"endless": endless})

    async def scenario() -> None:
        for run in (1.0, 2.0, 3.0):
            panel.hear("start", source="endless", run=run)
            await until(lambda: panel.images)
        panel.hear("stop")
        assert panel.state["playing"] is None
        await until(lambda: not endless.open)
        panel.hear("start", source="endless", run=4.0)
        await until(lambda: endless.open)
        panel.close()
        await until(lambda: not endless.open)

    asyncio.run(scenario())
    assert endless.most_open == 1
    assert all(name.startswith("source") for name in endless.threads)  # never the kernel's thread


def test_source_without_an_open_page_is_stopped(monkeypatch):
    monkeypatch.setattr(panel_module, "IDLE_SECONDS", 0.05)
    endless = Endless()
    panel = TestPanel({"endless": endless}, confirming=False)
    asyncio.run(play(panel, "endless"))
    assert panel.playing is None and endless.open == 0


# --- camera of the browser -----------------------------------------------------------------------


def jpeg() -> bytes:
    return cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()


def test_every_camera_frame_is_answered():
    panel = TestPanel(confirming=False)
    panel.hear("start", source=CAMERA, run=RUN)
    for time in (0.0, 0.1):
        panel.hear("frame", jpeg(), run=RUN, time=time)
    panel.hear("frame", b"not an image", run=RUN, time=0.2)
    assert panel.state["messages"] and panel.playing == CAMERA
    panel.hear("stop")
    panel.hear("frame", jpeg(), run=RUN, time=0.3)  # sent before the stop arrived
    assert [one.time for one in panel.session.processed] == [0.0, 0.1] and len(panel.images) == 2
    answers = [state["answer"] for state in panel.of_kind("state")]
    assert [answer for answer in answers if answer] == [RUN] * 4


# --- uploads -------------------------------------------------------------------------------------


def upload(panel: TestPanel, name: str, content: bytes, *, slice_bytes: int = 1000) -> None:
    for start in range(0, max(len(content), 1), slice_bytes):
        part = content[start : start + slice_bytes]
        panel.hear("slice", part, name=name, start=start, size=len(content))


def test_uploaded_images_are_answered_one_by_one():
    panel = TestPanel()
    panel.hear("upload")
    upload(panel, "a.jpg", jpeg(), slice_bytes=100)
    upload(panel, "b.jpg", b"not an image")
    upload(panel, "empty.jpg", b"")
    panel.session.failing = True
    upload(panel, "c.jpg", jpeg())
    first, *refused = panel.of_kind("picture")
    assert first["name"] == "a.jpg" and first["faces"][1]["probabilities"] == [0.9, 0.1]
    assert [answer["name"] for answer in refused] == ["b.jpg", "empty.jpg", "c.jpg"]
    assert all(answer["faces"] is None and answer["notes"] for answer in refused)
    assert panel.session.processed[0].still
    slices = sum(content["kind"] == "slice" for content, _ in panel.sent)
    assert slices == -(-len(jpeg()) // 100) + 3  # each slice is answered


def test_upload_limits():
    panel = TestPanel()
    panel.hear("upload")
    panel.hear("slice", b"x", name="large.png", start=0, size=MAX_BYTES + 1)
    panel.hear("slice", b"x", name="late.png", start=5, size=9)
    assert [answer["faces"] for answer in panel.of_kind("picture")] == [None, None]
    for number in range(MAX_FILES + 1):
        upload(panel, f"{number}.jpg", jpeg())
    assert len(panel.session.processed) == MAX_FILES
    assert panel.of_kind("picture")[-1]["faces"] is None


# --- recording and downloads ---------------------------------------------------------------------


def test_recording_needs_a_tick_and_can_be_downloaded_once():
    panel = TestPanel()
    panel.hear("start", source=CAMERA, run=RUN)
    panel.hear("frame", jpeg(), run=RUN, time=0.0)
    assert not panel.state["video"]
    panel.hear("record", on=True)
    panel.hear("frame", jpeg(), run=RUN, time=0.1)
    assert panel.state["video"] and panel.session.n_recorded == 1
    panel.hear("download", what="video")
    (file,) = panel.of_kind("file")
    assert file["name"] == "annotated.webm" and not panel.state["video"]
    panel.hear("hello")  # the checkbox of a new page is not ticked
    assert not panel.session.recording
    panel.hear("clear")
    panel.hear("download", what="video")
    assert len(panel.of_kind("file")) == 1


def test_events_can_be_downloaded():
    panel = TestPanel()
    panel.session.events = [Event("micro", 1, "sad", 1.0, 1.1, 1.25, 0.75)]
    panel.hear("download", what="events")
    (content,) = [buffers[0] for sent, buffers in panel.sent if sent["kind"] == "file"]
    assert content.splitlines()[1].startswith(b"micro,1,sad,1.0")


@pytest.mark.parametrize("kind", ["unknown", "receive"])
def test_unknown_messages_are_refused(kind):
    with pytest.raises(KeyError):
        TestPanel().hear(kind)
