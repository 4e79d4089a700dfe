"""The panel without a browser: a stand-in says what panel.js would say, and reads what it would be told."""

import asyncio
import re
import threading
from collections import deque
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace

import cv2
import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_utils.detection import Box
from fer_utils.files import ConfigError, project_path
from fer_utils.live import page
from fer_utils.live import panel as panel_module
from fer_utils.live.panel import CAMERA, MOST_ERRORS, ROWS, Limits, Panel
from fer_utils.live.seen import Event, Frame, Problem, Seen, SeenFace

NAMES = ("happy", "sad")
STATIC = project_path("fer_utils/live/static")
RUN = 0.5


def frame(time: float = 0.0, *, alone: bool = False) -> Frame:
    return Frame(np.full((48, 64, 3), 120, np.uint8), time, alone=alone)


class FakeSession:
    """Sees two faces in every frame, the second one larger; fails where it is told to."""

    class_names = NAMES

    def __init__(self) -> None:
        self.recording, self.failing = False, False
        self.shown: list[Frame] = []
        self.recorded: list[float] = []
        self.begun = 0
        self.clear()

    def clear(self) -> None:
        self.events: list[Event] = []
        self.timeline = deque()
        self.messages: list[str] = []
        self.recorded = []

    def end(self) -> None:
        """Forget faces; here there are none."""

    def begin(self) -> None:
        self.begun += 1
        self.timeline.clear()
        self.messages = []

    def note(self, problem: Problem) -> None:
        self.messages = [*self.messages, problem.message]

    frames_per_second = 12.5

    def show(self, frame: Frame) -> Seen:
        if self.failing:
            raise RuntimeError("the network broke")
        self.shown.append(frame)
        small = SeenFace(1, Box(0, 0, 5, 5), np.array([0.3, 0.7]), "sad")
        large = SeenFace(2, Box(10, 10, 20, 20), np.array([0.9, 0.1]), "happy")
        self.timeline.extend((frame.time, face.number, face.probabilities) for face in (small, large))
        if self.recording:
            self.recorded.append(frame.time)
        return Seen(frame, (small, large))

    def annotated(self, seen: Seen) -> np.ndarray:
        return seen.frame.image

    def events_csv(self) -> bytes:
        return b"kind,label\n"

    def video(self) -> bytes | None:
        content = bytes(len(self.recorded)) or None
        self.recorded = []
        return content


class Listening(Panel):
    """Keeps what it sends; a browser that looks says of each picture that it drew it."""

    def __init__(self, *arguments: object, drawing: bool = True, **more: object) -> None:
        super().__init__(*arguments, **more)
        self.sent: list[tuple[dict, list[bytes]]] = []
        self.drawing = drawing

    def send(self, content: dict, buffers: list[bytes] | None = None) -> None:
        self.sent.append((content, buffers or []))
        if content["kind"] == "state" and buffers and self.drawing:
            self.hear("drawn")

    def hear(self, kind: str, content: bytes | None = None, **details: object) -> None:
        self.receive(self, {"kind": kind, **details}, [] if content is None else [memoryview(content)])

    def of_kind(self, kind: str) -> list[dict]:
        return [content for content, _ in self.sent if content["kind"] == kind]

    @property
    def state(self) -> dict:
        return self.of_kind("state")[-1]

    @property
    def pictures(self) -> list[bytes]:
        return [buffers[0] for content, buffers in self.sent if content["kind"] == "state" and buffers]


def panel(sources: dict | None = None, *, limits: Limits | None = None, drawing: bool = True) -> Listening:
    return Listening(FakeSession(), sources or {}, card="<p>card</p>", limits=limits, drawing=drawing)


def session_of(made: Panel) -> FakeSession:
    return made._session


async def play(made: Listening, source: str, *, seconds: float = 5.0) -> None:
    """Start a source and wait until it has ended."""
    made.hear("start", source=source, run=RUN)
    deadline = monotonic() + seconds
    while made.playing is not None:
        assert monotonic() < deadline
        await asyncio.sleep(0.001)


# --- what is there from the beginning -------------------------------------------------------------


def test_the_browser_is_told_classes_sources_and_limits():
    made = panel({"synthetic": list}, limits=Limits(file_bytes=7, files=3))
    settings = made.settings
    assert settings["class_names"] == list(NAMES) and settings["sources"] == ["synthetic"]
    assert (settings["file_bytes"], settings["files"], settings["side"]) == (7, 3, (640, 480))
    assert made.card == "<p>card</p>"
    assert "0x" not in repr(made)  # a stored notebook keeps it


def test_nothing_of_the_panel_comes_from_another_machine():
    text = (STATIC / "panel.js").read_text() + (STATIC / "panel.css").read_text()
    addresses = {address for address in re.findall(r"https?://[\w.]+", text) if "localhost" not in address}
    assert addresses == {"http://www.w3.org"}  # the name of SVG's elements, which nobody fetches
    assert not re.search(r"\bimport\b|@import|url\(", text)


def test_only_the_card_becomes_markup():
    markup = re.findall(
        r".*(?:innerHTML|insertAdjacentHTML|outerHTML|document\.write).*", (STATIC / "panel.js").read_text()
    )
    assert [line.strip().split(";")[0] for line in markup] == ["text.innerHTML = card"]


def test_the_browsers_part_travels_with_the_package():
    from hatchling.builders.wheel import WheelBuilder

    files = {file.relative_path for file in WheelBuilder(str(project_path(""))).recurse_included_files()}
    wanted = ("panel.js", "panel.css", "voila/index.html.j2")
    assert {f"fer_utils/live/static/{name}" for name in wanted} <= files


def test_a_page_opened_later_gets_the_log_and_the_timeline():
    made = panel()
    session = session_of(made)
    session.events = [Event("micro", 1, "sad", onset, onset + 0.1, onset + 0.25, 0.75) for onset in range(60)]
    session.timeline.append((3.0, 2, np.array([0.25, 0.75])))
    made.hear("hello")
    assert len(made.state["log"]) == ROWS
    assert made.state["log"][0] == (59, 1, "sad", 0.75, "micro", 0.25)  # the newest first
    assert made.state["reset"] and made.state["points"] == [(3.0, 2, [0.25, 0.75])]
    made.hear("stop")
    assert "log" not in made.state  # it is the same


# --- sources on the kernel's side -----------------------------------------------------------------


def test_a_source_is_shown_to_its_end():
    made = panel({"three": lambda: [frame(0.0), frame(0.01), frame(0.02)]})
    asyncio.run(play(made, "three"))
    assert [seen.time for seen in session_of(made).shown] == [0.0, 0.01, 0.02]
    assert len(made.pictures) == 3 and session_of(made).begun == 1
    assert cv2.imdecode(np.frombuffer(made.pictures[0], np.uint8), cv2.IMREAD_COLOR).shape == (48, 64, 3)
    assert made.state["playing"] is None and made.state["run"] == RUN


def test_the_timeline_is_of_the_largest_face():
    made = panel({"one": lambda: [frame(0.5)]})
    asyncio.run(play(made, "one"))
    points = [point for state in made.of_kind("state") for point in state["points"]]
    assert points == [(0.5, 2, [0.9, 0.1])]


def test_frames_are_held_back_until_their_time():
    made = panel({"slow": lambda: [frame(0.1 * i) for i in range(4)]})
    began = monotonic()
    asyncio.run(play(made, "slow"))
    assert 0.29 < monotonic() - began < 1.0


def test_pictures_of_a_folder_are_shown_as_long_as_their_times_say():
    made = panel({"folder": lambda: [frame(0.0, alone=True), frame(0.2, alone=True)]})
    began = monotonic()
    asyncio.run(play(made, "folder"))
    assert monotonic() - began > 0.19


def test_no_further_picture_is_sent_before_the_last_one_was_drawn():
    made = panel({"five": lambda: [frame(0.01 * i) for i in range(5)]}, drawing=False)
    asyncio.run(play(made, "five"))
    assert len(made.pictures) == 1
    assert len(session_of(made).shown) == 5  # and all of them were looked at


def test_the_timeline_goes_as_far_as_the_picture():
    made = panel({"five": lambda: [frame(0.01 * i) for i in range(5)]}, drawing=False)
    session, show = session_of(made), FakeSession.show

    def drawn_later(seen: Frame) -> Seen:
        if len(session.shown) == 3:
            made.hear("drawn")
        return show(session, seen)

    session.show = drawn_later
    asyncio.run(play(made, "five"))
    points = [[time for time, _, _ in state["points"]] for state in made.of_kind("state") if state["points"]]
    assert points == [[0.0], [0.01, 0.02, 0.03]] and len(made.pictures) == 2


def test_what_a_source_has_to_say_is_shown_and_it_goes_on():
    made = panel({"mixed": lambda: [frame(), Problem("b.png: not a picture"), frame(0.01)]})
    asyncio.run(play(made, "mixed"))
    assert made.state["messages"] == ["b.png: not a picture"]
    assert len(session_of(made).shown) == 2


def test_a_source_that_breaks_ends_with_its_message():
    def broken():
        yield frame()
        raise OSError("device gone")

    made = panel({"camera 0": broken})
    asyncio.run(play(made, "camera 0"))
    assert made.state["messages"] == ["camera 0: device gone"]
    assert made.state["playing"] is None


def test_a_source_that_cannot_even_start_says_why():
    def no_such_file():
        raise ConfigError("video.mp4: no such file")

    made = panel({"video": no_such_file})
    asyncio.run(play(made, "video"))
    assert made.state["messages"] == ["video: video.mp4: no such file"]


def test_failing_frames_are_told_and_bounded():
    made = panel({"long": lambda: [frame(0.001 * i) for i in range(100)]})
    session_of(made).failing = True
    asyncio.run(play(made, "long"))
    assert len(made.state["messages"]) == MOST_ERRORS + 1
    assert "the network broke" in made.state["messages"][0]
    assert "stopped" in made.state["messages"][-1]


def test_a_frame_that_fails_now_and_then_stops_nothing():
    made = panel({"odd": lambda: [frame(0.001 * i) for i in range(3 * MOST_ERRORS)]})
    session, show = session_of(made), FakeSession.show

    def every_other(seen: Frame) -> Seen:
        session.failing = not session.failing
        return show(session, seen)

    session.show = every_other
    asyncio.run(play(made, "odd"))
    assert len(session.shown) == 3 * MOST_ERRORS // 2
    assert not any("stopped" in message for message in made.state["messages"])


class Endless:
    """A source without an end that knows whether it was closed, and how many of it were open at once."""

    def __init__(self) -> None:
        self.open = self.most_open = 0
        self.threads: set[str] = set()

    def __call__(self):
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            for i in range(1_000_000):
                self.threads.add(threading.current_thread().name)
                yield frame(0.001 * i)
        finally:
            self.open -= 1


async def until(condition) -> None:
    deadline = monotonic() + 5
    while not condition():
        assert monotonic() < deadline
        await asyncio.sleep(0.001)


def test_stop_closes_the_source_and_the_camera_is_free():
    endless = Endless()
    made = panel({"endless": endless})

    async def scenario() -> None:
        made.hear("start", source="endless", run=RUN)
        await until(lambda: session_of(made).shown)
        made.hear("stop")
        assert made.state["playing"] is None
        await until(lambda: not endless.open)

    asyncio.run(scenario())
    assert all(name.startswith("source") for name in endless.threads)  # never the kernel's own thread


def test_a_second_start_waits_until_the_first_source_is_closed():
    endless = Endless()
    made = panel({"endless": endless})

    async def scenario() -> None:
        for run in (1.0, 2.0, 3.0):
            made.hear("start", source="endless", run=run)
            await until(lambda: made.pictures)
        made.hear("stop")
        await until(lambda: not endless.open)

    asyncio.run(scenario())
    assert endless.most_open == 1


def test_a_source_that_nobody_watches_is_stopped(monkeypatch):
    monkeypatch.setattr(panel_module, "UNWATCHED", 0.05)
    endless = Endless()
    made = panel({"endless": endless}, drawing=False)
    asyncio.run(play(made, "endless"))
    assert made.playing is None and endless.open == 0


def test_closing_the_panel_stops_what_runs():
    endless = Endless()
    made = panel({"endless": endless})

    async def scenario() -> None:
        made.hear("start", source="endless", run=RUN)
        await until(lambda: endless.open)
        made.close()
        await until(lambda: not endless.open)

    asyncio.run(scenario())
    assert endless.most_open == 1


# --- the browser's camera -------------------------------------------------------------------------


def jpeg(height: int = 48, width: int = 64) -> bytes:
    return cv2.imencode(".jpg", np.full((height, width, 3), 90, np.uint8))[1].tobytes()


def test_every_camera_frame_is_answered_with_its_picture():
    made = panel(drawing=False)
    made.hear("start", source=CAMERA, run=RUN)
    for time in (0.0, 0.1, 0.2):
        made.hear("frame", jpeg(), run=RUN, time=time)
    assert [seen.time for seen in session_of(made).shown] == [0.0, 0.1, 0.2]
    assert len(made.pictures) == 3
    assert [state["answer"] for state in made.of_kind("state")] == [None, RUN, RUN, RUN]


def test_a_frame_that_comes_after_the_stop_is_answered_and_not_looked_at():
    made = panel()
    made.hear("start", source=CAMERA, run=RUN)
    made.hear("stop")
    made.hear("frame", jpeg(), run=RUN, time=0.1)
    made.hear("start", source=CAMERA, run=RUN + 1)
    made.hear("frame", jpeg(), run=RUN, time=0.2)
    assert session_of(made).shown == []
    answers = [state["answer"] for state in made.of_kind("state")]
    assert [answer for answer in answers if answer] == [RUN, RUN]  # so that it knows them for late ones


def test_a_camera_frame_that_is_no_picture_has_a_message_and_an_answer():
    made = panel()
    made.hear("start", source=CAMERA, run=RUN)
    made.hear("frame", b"not a picture", run=RUN, time=0.1)
    assert made.state["messages"] and made.state["answer"] == RUN
    assert made.playing == CAMERA


# --- uploads --------------------------------------------------------------------------------------


def upload(made: Listening, name: str, content: bytes, *, slice_bytes: int = 1000) -> None:
    for start in range(0, max(len(content), 1), slice_bytes):
        part = content[start : start + slice_bytes]
        made.hear("slice", part, name=name, start=start, size=len(content))


def test_an_uploaded_picture_is_answered_with_every_class_of_every_face():
    made = panel()
    made.hear("upload")
    upload(made, "a.jpg", jpeg())
    (answer,) = made.of_kind("picture")
    assert answer["name"] == "a.jpg"
    assert [(face["number"], face["label"], face["probabilities"]) for face in answer["faces"]] == [
        (1, "sad", [0.3, 0.7]),
        (2, "happy", [0.9, 0.1]),
    ]
    assert session_of(made).shown[0].alone and session_of(made).shown[0].name == "a.jpg"


@given(size=st.integers(1, 3000), slice_bytes=st.integers(1, 4000))
def test_a_file_arrives_whole_however_it_is_cut(size, slice_bytes):
    content = np.random.default_rng(size).bytes(size)
    put_together = panel_module._Upload(Limits())
    parts = [content[start : start + slice_bytes] for start in range(0, size, slice_bytes)]
    starts = range(0, size, slice_bytes)
    wholes = [
        put_together.add("a", start=at, size=size, content=part)
        for at, part in zip(starts, parts, strict=True)
    ]
    assert wholes[:-1] == [None] * (len(parts) - 1)
    assert wholes[-1] == content


def test_what_was_done_to_an_uploaded_picture_is_told_beside_it():
    made = panel()
    made.hear("upload")
    upload(made, "wide.jpg", jpeg(100, 3000), slice_bytes=100_000)
    (answer,) = made.of_kind("picture")
    assert "3000x100" in answer["notes"][0] and answer["faces"]


def test_what_is_no_picture_is_refused_and_the_next_one_has_its_turn():
    made = panel()
    made.hear("upload")
    for name, content in (("notes.txt", b"hello"), ("empty.png", b""), ("face.jpg", jpeg())):
        upload(made, name, content)
    refused = [answer for answer in made.of_kind("picture") if answer["faces"] is None]
    assert [answer["name"] for answer in refused] == ["notes.txt", "empty.png"]
    assert [seen.name for seen in session_of(made).shown] == ["face.jpg"]
    assert len(made.of_kind("slice")) == 3  # the browser waits for each


def test_uploads_have_limits_in_bytes_and_number_whatever_the_browser_allows():
    made = panel(limits=Limits(file_bytes=2000, files=2))
    made.hear("upload")
    upload(made, "large.jpg", jpeg() + bytes(2000))
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        upload(made, name, jpeg())
    errors = {answer["name"]: "".join(answer["notes"]) for answer in made.of_kind("picture")}
    assert "are accepted" in errors["large.jpg"]
    assert "more than 2 files" in errors["c.jpg"] and not errors["a.jpg"] and not errors["b.jpg"]


@pytest.mark.parametrize(("start", "size"), [(5, 20), (0, 3)])
def test_slices_that_do_not_fit_together_are_refused(start, size):
    made = panel()
    made.hear("upload")
    made.hear("slice", bytes(10), name="a", start=start, size=size)
    assert "did not arrive whole" in made.of_kind("picture")[0]["notes"][0]


def test_an_upload_stops_the_source_that_runs():
    endless = Endless()
    made = panel({"endless": endless})

    async def scenario() -> None:
        made.hear("start", source="endless", run=RUN)
        await until(lambda: endless.open)
        made.hear("upload")
        await until(lambda: not endless.open)

    asyncio.run(scenario())
    assert made.playing is None


# --- what is kept ---------------------------------------------------------------------------------


def test_nothing_is_recorded_unless_asked():
    made = panel({"two": lambda: [frame(), frame(0.01)]})
    asyncio.run(play(made, "two"))
    assert session_of(made).recorded == [] and not made.state["video"]
    made.hear("record", on=True)
    asyncio.run(play(made, "two"))
    assert session_of(made).recorded == [0.0, 0.01] and made.state["video"]


def test_the_video_is_handed_over_once_and_uploads_are_not_in_it():
    made = panel({"two": lambda: [frame(), frame(0.01)]})
    made.hear("record", on=True)
    asyncio.run(play(made, "two"))
    made.hear("upload")
    upload(made, "a.jpg", jpeg())
    assert len(session_of(made).recorded) == 2
    made.hear("download", what="video")
    (file,) = made.of_kind("file")
    assert file["name"].endswith(".webm") and not made.state["video"]


def test_events_are_handed_over_as_a_file():
    made = panel()
    made.hear("download", what="events")
    content, buffers = next((content, buffers) for content, buffers in made.sent if content["kind"] == "file")
    assert content["name"] == "events.csv" and buffers == [b"kind,label\n"]


def test_clear_forgets_everything():
    made = panel({"two": lambda: [frame(), frame(0.01)]})
    session = session_of(made)
    made.hear("record", on=True)
    asyncio.run(play(made, "two"))
    session.events = [Event("micro", 1, "sad", 0, 0.1, 0.2, 0.8)]
    made.hear("hello")
    made.hear("clear")
    assert made.state["log"] == [] and made.state["reset"] and not made.state["video"]
    assert not session.recorded and not session.timeline


# --- the page -------------------------------------------------------------------------------------


def notebook_of(*cells: tuple[str, list[str]]) -> nbformat.NotebookNode:
    made = [nbformat.v4.new_code_cell(source, metadata={"tags": tags}) for source, tags in cells]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(
        cells=made, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )


STORY = (("model = 'a'", ["parameters"]), ("train()", []), ("panel(model)", ["page"]))


def test_the_page_has_the_tagged_cells_alone_and_the_given_parameters():
    prepare = page._for_the_page({"model": "b"})
    default, given, _, shown = prepare(None, notebook=notebook_of(*STORY), cwd="").cells
    assert default.source == "model = 'a'" and shown.source == "panel(model)"
    assert given.source.splitlines() == ["# Parameters", 'model = "b"']


def test_without_parameters_the_notebooks_own_hold():
    cells = page._for_the_page({})(None, notebook=notebook_of(*STORY), cwd="").cells
    assert [cell.source for cell in cells if "In." not in cell.source] == ["model = 'a'", "panel(model)"]


def test_parameters_are_remembered_as_executed_where_there_is_no_history():
    cells = page._for_the_page({"model": "b"})(None, notebook=notebook_of(*STORY), cwd="").cells
    ran: dict = {"In": [""], "panel": str.upper}
    for cell in cells:
        exec(cell.source, ran)
    assert ran["In"][1:] == [cells[0].source, cells[1].source] and ran["model"] == "b"


def test_the_page_is_for_this_machine_and_needs_a_token():
    config = page._configuration(port=8866, open_browser=False, parameters={})
    assert config.Voila.ip == "127.0.0.1" and config.Voila.auto_token
    assert config.VoilaConfiguration.strip_sources and config.VoilaConfiguration.file_allowlist == []
    assert config.MappingKernelManager.cull_idle_timeout > 0


def test_the_token_is_not_on_the_browsers_command_line(tmp_path: Path, monkeypatch):
    opened = []
    monkeypatch.setattr(page.webbrowser, "open", opened.append)
    server = SimpleNamespace(connection_dir=str(tmp_path), display_url="http://127.0.0.1:1/?token=secret")
    page.Page.launch_browser(server)
    deadline = monotonic() + 5
    while not opened and monotonic() < deadline:
        sleep(0.001)
    assert "secret" not in opened[0] and "token=secret" in (tmp_path / "open.html").read_text()


def test_a_notebook_without_a_cell_for_the_page_is_refused(tmp_path: Path):
    path = tmp_path / "story.ipynb"
    nbformat.write(notebook_of(("a = 1", [])), path)
    with pytest.raises(ConfigError, match=r"story.ipynb: no cell has the tag 'page'"):
        page.serve(path)
    with pytest.raises(ConfigError, match="no such notebook"):
        page.serve(tmp_path / "other.ipynb")
