"""The demo's way from a frame to events, with networks that look at the picture in a way one can foresee."""

from itertools import islice

import numpy as np
import pytest

from fer_utils.detection import Box, Haar
from fer_utils.live.pipeline import NO_FACE, STEPS, Pipeline
from fer_utils.live.seen import Frame, Problem
from fer_utils.live.session import PROBLEM_SECONDS, Session
from fer_utils.live.tracking import Tracker

NAMES = ("dark", "light")


class Brightness:
    """Says that a crop is light with its mean gray level, as a share of 255, for a probability."""

    kind, class_names, image_size = "stills", NAMES, 48

    def predict(self, images: np.ndarray) -> np.ndarray:
        light = images.reshape(len(images), -1).mean(axis=1) / 255
        return np.stack([1 - light, light], axis=1)


class OneFace:
    """A detector that finds what it is told."""

    def __init__(self, *boxes: Box) -> None:
        self.boxes = list(boxes)

    def find(self, image: np.ndarray) -> list[Box]:
        return self.boxes


def plain(level: int, time: float, **more: object) -> Frame:
    texture = np.random.default_rng(0).integers(0, 12, (120, 160, 1))
    return Frame(np.broadcast_to(level + texture, (120, 160, 3)).astype(np.uint8), time, **more)


def pipeline(*boxes: Box, **changed: object) -> Pipeline:
    tracker = Tracker(OneFace(*(boxes or [Box(50, 30, 60, 60)])), every=1)
    return Pipeline(Brightness(), tracker=tracker, **{"light": "off"} | changed)


def show(session: Session, level: int, *, start: float, seconds: float) -> None:
    for frame in range(round(10 * seconds)):
        session.show(plain(level, start + frame / 10))


def test_a_face_gets_a_label_and_says_where_the_time_went():
    seen = pipeline().see(plain(220, 0.0))
    (face,) = seen.faces
    assert face.label == "light" and face.probability == pytest.approx(225 / 255, abs=0.05)
    assert set(seen.seconds) == set(STEPS) and all(value >= 0 for value in seen.seconds.values())
    assert seen.messages == ()


def test_without_a_face_there_is_advice_and_no_answer():
    line = pipeline()
    line.tracker.detector.boxes = []
    seen = line.see(plain(220, 0.0))
    assert seen.faces == () and seen.messages == (NO_FACE,)
    assert line.see(plain(220, 0.0, name="a.jpg", alone=True)).messages == ("a.jpg: no face was found",)


def test_more_faces_than_are_followed_are_counted():
    boxes = [Box(5 + 30 * column, 5 + 30 * row, 24, 24) for row in range(3) for column in range(5)]
    line = pipeline(*boxes)
    line.tracker.most = 4
    seen = line.see(plain(200, 0.0))
    assert len(seen.faces) == 4 and seen.messages == ("15 faces; 4 of them are followed",)


def test_one_dark_frame_does_not_turn_a_smoothed_answer():
    line = pipeline(half_life=0.5)
    for frame in range(10):
        line.see(plain(230, frame / 30))
    assert line.see(plain(10, 10 / 30)).faces[0].label == "light"
    assert pipeline(half_life=0).see(plain(10, 0.0)).faces[0].label == "dark"


def test_pictures_by_themselves_are_neither_smoothed_nor_one_person():
    line = pipeline()
    labels = [line.see(plain(level, 0.0, name=f"{level}.png", alone=True)).faces for level in (230, 10)]
    assert [faces[0].label for faces in labels] == ["light", "dark"]


def test_the_log_grows_goes_on_and_is_cleared():
    session = Session(pipeline(half_life=0.05))
    show(session, 230, start=0.0, seconds=2)
    assert [event.label for event in session.events] == ["light"]
    show(session, 10, start=2.0, seconds=2)
    light, dark = session.events
    assert (light.label, dark.label) == ("light", "dark")
    assert light.offset == pytest.approx(2.0, abs=0.2) and dark.offset == pytest.approx(3.9, abs=0.01)
    assert len(session.timeline) == 40 and session.frames_per_second > 0
    session.clear()
    assert session.events == [] and not session.timeline and session.frames_per_second == 0


def test_every_picture_has_its_line_in_the_log():
    session = Session(pipeline())
    for number, level in enumerate((230, 10)):
        session.show(plain(level, float(number), name=f"{number}.png", alone=True))
    assert [event.label for event in session.events] == ["light", "dark"]


def test_the_timeline_is_half_a_minute_long():
    session = Session(pipeline())
    for second in range(100):
        session.show(plain(200, float(second)))
    assert len(session.timeline) == 31 and session.timeline[0][0] == 69


def test_a_source_s_message_stays_for_a_while_and_then_goes(monkeypatch):
    session = Session(pipeline())
    session.note(Problem("the camera was lost"))
    session.note(Problem("the camera was lost"))
    assert session.messages == ["the camera was lost"]
    import fer_utils.live.session as module

    later = module.perf_counter() + PROBLEM_SECONDS
    monkeypatch.setattr(module, "perf_counter", lambda: later)
    assert session.messages == []


def test_another_source_ends_what_went_on_and_keeps_the_log():
    session = Session(pipeline(half_life=0.05))
    show(session, 230, start=0.0, seconds=2)
    session.begin()
    assert [event.label for event in session.events] == ["light"] and not session.timeline
    seen = session.show(plain(10, 0.0))
    assert seen.faces[0].number == 2 and seen.faces[0].label == "dark"


def test_nothing_is_kept_unless_asked(tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    session = Session(pipeline())
    show(session, 230, start=0.0, seconds=1)
    assert session.video() is None and list(tmp_path.iterdir()) == []
    session.recording = True
    show(session, 230, start=1.0, seconds=1)
    assert session.video()[:4] == b"\x1a\x45\xdf\xa3"  # WebM
    assert list(tmp_path.iterdir()) == []
    show(session, 230, start=2.0, seconds=1)
    session.clear()
    assert session.video() is None and list(tmp_path.iterdir()) == []


def test_a_drawn_person_is_followed_through_a_video():
    from fer_utils.live import sources

    source = sources.synthetic(seconds=2.0, frame_rate=10.0, seed=0)
    line = Pipeline(Brightness(), tracker=Tracker(Haar(), every=5))
    seen = [line.see(frame) for frame in islice(source, 20)]
    assert [face.number for one in seen for face in one.faces] == [1] * 20


def test_in_a_picture_by_itself_small_faces_are_found_too():
    from fer_utils.detection import detector
    from fer_utils.live import sources

    crowd = next(iter(sources.synthetic(people=12, seconds=3.0, frame_rate=10.0, seed=1)))
    line = Pipeline(
        Brightness(),
        tracker=Tracker(detector("haar")),
        pictures=Tracker(detector("haar", fine=True), every=1, most=20),
    )
    alone = line.see(Frame(crowd.image, 0.0, name="crowd.png", alone=True))
    assert len(alone.faces) == 12 and len(line.see(crowd).faces) < 12


def test_a_face_that_is_lost_for_a_moment_is_the_same_person_afterwards():
    """A tracker leaves a covered face out and gives it its number again: so does its expression go on."""
    line = pipeline(half_life=0.05)
    session = Session(line)
    whole = line.tracker.update
    for frame in range(40):
        covered = frame == 20
        line.tracker.update = (lambda *_: []) if covered else whole
        session.show(plain(230, frame / 10))
    (event,) = session.events
    assert event.onset == 0 and event.offset == pytest.approx(3.9)


def test_a_recording_that_cannot_be_written_does_not_stop_the_demo(monkeypatch):
    session = Session(pipeline())
    session.recording = True

    def full(_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(session, "_record", full)
    assert session.show(plain(230, 0.0)).faces and session.recording is False
    assert session.messages == ["the recording was stopped: no space left"]


def test_when_a_source_has_ended_no_picture_is_remembered_and_the_log_is():
    session = Session(pipeline(half_life=0.05))
    show(session, 230, start=0.0, seconds=2)
    assert session.pipeline.tracker.remembered
    session.end()
    assert not session.pipeline.tracker.remembered
    assert [event.label for event in session.events] == ["light"]
    session.show(plain(230, 0.0, name="a.png", alone=True))
    assert not session.pipeline.tracker.remembered
