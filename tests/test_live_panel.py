"""The panel without a browser: the test sends what panel.js would send and reads what it would receive."""

import asyncio
import os
import re
import threading
from time import monotonic

import cv2
import numpy as np
import pytest

from fer_utils.data.detection import Box
from fer_utils.files import PROJECT
from fer_utils.live import panel as panel_module
from fer_utils.live.frames import Analysis, Event, Face, Frame, Problem
from fer_utils.live.panel import CAMERA, MAX_FILES, ROWS, Panel
from fer_utils.live.session import Session

STATIC = PROJECT / "fer_utils" / "live" / "static"
RUN = 0.5


def frame(time: float = 0.0) -> Frame:
    return Frame(np.full((48, 64, 3), 120, np.uint8), time)


class FakePipeline:
    """Finds two faces in every frame, the second one larger; fails if `failing`."""

    class_names, warning = ("happy", "sad"), None

    def __init__(self) -> None:
        self.failing = False
        self.processed: list[Frame] = []
        self.current: list[Event] = []

    def reset(self) -> list[Event]:
        return []

    def process(self, frame: Frame) -> Analysis:
        self.processed.append(frame)
        if self.failing:
            raise RuntimeError("network error")
        small = Face(1, Box(0, 0, 5, 5), np.array([0.3, 0.7]), "sad")
        large = Face(2, Box(10, 10, 20, 20), np.array([0.9, 0.1]), "happy")
        return Analysis(frame, (small, large))


class TestPanel(Panel):
    """Stores what it sends; a page that is open confirms each image."""

    __test__ = False

    def __init__(self, sources: dict | None = None, *, confirming: bool = True) -> None:
        self.pipeline, self.confirming = FakePipeline(), confirming
        self.sent: list[tuple[dict, list[bytes]]] = []
        super().__init__(Session(self.pipeline), sources or {}, card="<p>card</p>")

    def send(self, content: dict, buffers: list[bytes] | None = None) -> None:
        self.sent.append((content, buffers or []))
        if content["kind"] == "state" and buffers and self.confirming:
            self.hear("drawn")

    def hear(self, kind: str, content: bytes | None = None, **details: object) -> None:
        self.receive(self, {"kind": kind, **details}, [] if content is None else [memoryview(content)])

    def of_kind(self, kind: str) -> list[dict]:
        return [content for content, _ in self.sent if content["kind"] == kind]

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
    deadline = monotonic() + 60
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
    static = ("panel.js", "panel.css", "voila/index.html.j2", "voila/voila.json", "../networks/fer2013.onnx")
    assert {os.path.normpath(f"fer_utils/live/static/{name}") for name in static} <= files


# --- sources on the side of the kernel -----------------------------------------------------------


def test_new_page_receives_the_log():
    panel = TestPanel({"synthetic": list})
    assert panel.settings["sources"] == ["synthetic"] and panel.settings["files"] == MAX_FILES
    assert "0x" not in repr(panel)  # stored in notebooks
    panel.pipeline.current = [Event("micro", 1, "sad", at, at + 0.1, at + 0.25, 0.75) for at in range(60)]
    panel.hear("hello")
    assert len(panel.state["log"]) == ROWS
    assert panel.state["log"][0] == (59, 1, "sad", 0.75, "micro", 0.25)  # the newest first
    assert panel.state["reset"]
    panel.hear("stop")
    assert "log" not in panel.state  # unchanged
    panel.hear("download", what="events")
    (content,) = [buffers[0] for sent, buffers in panel.sent if sent["kind"] == "file"]
    assert len(content.splitlines()) == 61


def test_source_is_played_at_its_times_and_its_messages_are_displayed():
    def broken():
        yield from (frame(0.0), Problem("b.png: damaged"))
        for time in (0.1, 0.2):  # the network fails for the first of them
            panel.pipeline.failing = time == 0.1
            yield frame(time)
        raise OSError("device gone")

    panel = TestPanel({"three": broken})
    start = monotonic()
    asyncio.run(play(panel, "three"))
    assert monotonic() - start > 0.19
    assert [seen.time for seen in panel.pipeline.processed] == [0.0, 0.1, 0.2]
    assert cv2.imdecode(np.frombuffer(panel.images[0], np.uint8), cv2.IMREAD_COLOR).shape == (48, 64, 3)
    points = [point for state in panel.of_kind("state") for point in state["points"]]
    assert points[0] == (0.0, 2, [0.9, 0.1])  # of the largest face
    damaged, network, gone = panel.state["messages"]
    assert (damaged, gone) == ("b.png: damaged", "three: device gone") and "network error" in network
    assert panel.state["playing"] is None and panel.state["run"] == RUN


def test_next_image_is_sent_after_the_last_one_was_drawn():
    def confirm_late():
        for at in range(5):
            if at == 3:
                panel.hear("drawn")
            yield frame(0.01 * at)

    panel = TestPanel({"five": confirm_late}, confirming=False)
    asyncio.run(play(panel, "five"))
    points = [[time for time, _, _ in state["points"]] for state in panel.of_kind("state") if state["points"]]
    assert points == [[0.0], [0.01, 0.02, 0.03]] and len(panel.images) == 2
    assert len(panel.pipeline.processed) == 5


def test_stop_restart_close_and_an_absent_page_release_the_source(monkeypatch):
    n_open, most_open, threads = 0, 0, set()

    def endless():
        nonlocal n_open, most_open
        n_open, most_open = n_open + 1, max(most_open, n_open + 1)
        try:
            for at in range(1_000_000):
                threads.add(threading.current_thread().name)
                yield frame(0.001 * at)
        finally:
            n_open -= 1

    panel = TestPanel({"endless": endless})

    async def scenario() -> None:
        for run in (1.0, 2.0, 3.0):
            panel.hear("start", source="endless", run=run)
            await until(lambda: panel.images)
        panel.hear("stop")
        assert panel.state["playing"] is None
        await until(lambda: not n_open)
        panel.hear("start", source="endless", run=4.0)
        await until(lambda: n_open)
        panel.close()
        await until(lambda: not n_open)

    asyncio.run(scenario())
    assert most_open == 1
    assert all(name.startswith("source") for name in threads)  # never the kernel's thread
    monkeypatch.setattr(panel_module, "IDLE_SECONDS", 0.05)
    panel = TestPanel({"endless": endless}, confirming=False)
    asyncio.run(play(panel, "endless"))
    assert panel.playing is None and n_open == 0


# --- sources in the browser ----------------------------------------------------------------------

JPEG = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()


def test_every_camera_frame_is_answered():
    panel = TestPanel(confirming=False)
    panel.hear("start", source=CAMERA, run=RUN)
    for time in (0.0, 0.1):
        panel.hear("frame", JPEG, run=RUN, time=time)
    panel.hear("frame", b"not an image", run=RUN, time=0.2)
    assert panel.state["messages"] and panel.playing == CAMERA
    panel.hear("stop")
    panel.hear("frame", JPEG, run=RUN, time=0.3)  # sent before the stop arrived
    assert [one.time for one in panel.pipeline.processed] == [0.0, 0.1] and len(panel.images) == 2
    answers = [state["answer"] for state in panel.of_kind("state")]
    assert [answer for answer in answers if answer] == [RUN] * 4
    with pytest.raises(AttributeError):
        panel.hear("unknown")


def test_uploaded_images_are_answered_one_by_one():
    panel = TestPanel()
    for number, content in enumerate((JPEG, b"not an image", b"", JPEG)):
        panel.pipeline.failing = number == 3
        panel.hear("image", content, name=f"{number}.jpg", number=number)
    first, *refused = panel.of_kind("picture")
    assert first["name"] == "0.jpg" and first["faces"][1]["probabilities"] == [0.9, 0.1]
    assert [answer["name"] for answer in refused] == ["1.jpg", "2.jpg", "3.jpg"]
    assert all(answer["faces"] is None and answer["notes"] for answer in refused)
    assert panel.pipeline.processed[0].still


def test_recording_needs_a_tick_and_can_be_downloaded_once():
    panel = TestPanel()
    panel.hear("start", source=CAMERA, run=RUN)
    panel.hear("frame", JPEG, run=RUN, time=0.0)
    assert not panel.state["video"]
    panel.hear("record", on=True)
    panel.hear("frame", JPEG, run=RUN, time=0.1)
    assert panel.state["video"]
    panel.hear("download", what="video")
    (file,) = panel.of_kind("file")
    assert file["name"] == "annotated.webm" and not panel.state["video"]
    panel.hear("hello")  # the checkbox of a new page is not ticked
    panel.hear("frame", JPEG, run=RUN, time=0.2)
    assert not panel.state["video"]
    panel.hear("clear")
    panel.hear("download", what="video")
    assert len(panel.of_kind("file")) == 1
