"""From frames to log, timeline, CSV and recording, with networks whose predictions are known."""

import io
import tempfile
from itertools import pairwise

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.data.detection import Box, Haar, detector
from fer_utils.live import session as session_module
from fer_utils.live.faces import Tracker
from fer_utils.live.frames import Analysis, Event, Face, Frame, annotate
from fer_utils.live.pipeline import MIN_SECONDS, NO_FACE, ONSET_AT, STEPS, ExpressionTracker, Pipeline
from fer_utils.live.session import CSV_COLUMNS, Session, VideoRecorder, events_csv
from fer_utils.live.sources import SyntheticSource

NAMES = ("angry", "happy", "neutral")


# --- expressions ---------------------------------------------------------------------------------


def certain(name: str, probability: float = 0.9) -> np.ndarray:
    rest = (1 - probability) / (len(NAMES) - 1)
    return np.array([probability if name == other else rest for other in NAMES])


def show(tracker: ExpressionTracker, *held: tuple[str, float], probability: float = 0.9) -> list[Event]:
    """Show classes for some seconds each at 20 frames per second, and return what ended."""
    names = [name for name, seconds in held for _ in range(round(20 * seconds))]
    ended = [tracker.add(certain(name, probability), at / 20)[1] for at, name in enumerate(names)]
    return [event for event in ended if event]


def test_expression_lasts_until_another_class_has_held():
    tracker = ExpressionTracker(NAMES, face=3, half_life=0)
    (first,) = show(tracker, ("neutral", 2.0), ("happy", 1.0))
    assert (first.kind, first.face, first.label, first.onset) == ("expression", 3, "neutral", 0)
    assert first.offset == pytest.approx(2.0, abs=0.1)
    assert tracker.current.label == "happy" and tracker.current.onset == pytest.approx(2.0, abs=0.06)
    assert tracker.add(certain("angry"), 60.0)[1].label == "happy"  # not seen for too long
    assert tracker.current is None and tracker.end() is None
    uncertain = ExpressionTracker(NAMES, face=1)
    assert show(uncertain, ("happy", 3.0), probability=0.45) == [] and uncertain.current is None


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), min_size=2, max_size=80), st.floats(ONSET_AT, 1.0))
def test_expressions_of_a_face_do_not_overlap(labels, probability):
    tracker, events = ExpressionTracker(NAMES, face=1, half_life=0), []
    for at, label in enumerate(labels):
        events.append(tracker.add(certain(NAMES[label], probability), at / 10)[1])
    events = [event for event in [*events, tracker.end()] if event]
    assert all(event.seconds >= MIN_SECONDS and event.onset <= event.apex <= event.offset for event in events)
    assert all(before.offset <= after.onset + 1e-9 for before, after in pairwise(events))


@pytest.mark.parametrize("rate", [5, 10, 40])
def test_smoothing_is_the_same_at_every_frame_rate(rate):
    tracker = ExpressionTracker(("a", "b"), face=1, half_life=0.5)
    tracker.add(np.array([1.0, 0.0]), 0.0)
    for at in range(1, rate + 1):
        smoothed, _ = tracker.add(np.array([0.0, 1.0]), at / rate)
    assert smoothed == pytest.approx([0.25, 0.75])


# --- pipeline and session ------------------------------------------------------------------------


class Brightness:
    """Network whose probability of "light" is the mean gray level as a share of 255."""

    kind, class_names, image_size = "stills", ("dark", "light"), 48

    def predict(self, images: np.ndarray) -> np.ndarray:
        light = images.reshape(len(images), -1).mean(axis=1) / 255
        return np.stack([1 - light, light], axis=1)


class FakeDetector:
    def __init__(self, *boxes: Box) -> None:
        self.boxes = list(boxes)

    def find(self, image: np.ndarray) -> list[Box]:
        return self.boxes


def gray_frame(level: int, time: float, **more: object) -> Frame:
    texture = np.random.default_rng(0).integers(0, 12, (120, 160, 1))
    return Frame(np.broadcast_to(level + texture, (120, 160, 3)).astype(np.uint8), time, **more)


def make_pipeline(*boxes: Box, **options: object) -> Pipeline:
    tracker = Tracker(FakeDetector(*(boxes or [Box(50, 30, 60, 60)])), every=1)
    return Pipeline(Brightness(), tracker=tracker, **{"light": "off", "half_life": 0.05} | options)


def play(session: Session, level: int, *, start: float, seconds: float = 2.0) -> None:
    for at in range(round(10 * seconds)):
        session.process(gray_frame(level, start + at / 10))


def test_faces_have_labels_steps_have_times_and_missing_faces_a_message():
    pipeline = make_pipeline()
    analysis = pipeline.process(gray_frame(220, 0.0))
    (face,) = analysis.faces
    assert face.label == "light" and face.probability == pytest.approx(225 / 255, abs=0.05)
    assert set(analysis.seconds) == set(STEPS) and analysis.messages == ()
    pipeline.tracker.detector.boxes = []
    pipeline.reset()
    assert pipeline.process(gray_frame(220, 0.0)).messages == (NO_FACE,)
    (message,) = pipeline.process(gray_frame(220, 0.0, name="a.jpg", still=True)).messages
    assert message.startswith("a.jpg: ")
    boxes = [Box(5 + 30 * x, 5 + 30 * y, 24, 24) for y in range(3) for x in range(5)]
    assert len(make_pipeline(*boxes).process(gray_frame(200, 0.0)).faces) == 10


def test_log_grows_survives_another_source_and_is_cleared():
    session = Session(make_pipeline())
    play(session, 230, start=0.0)
    play(session, 10, start=2.0)
    light, dark = session.events
    assert (light.label, dark.label) == ("light", "dark")
    assert light.offset == pytest.approx(2.0, abs=0.2) and dark.offset == pytest.approx(3.9, abs=0.01)
    assert session.frames_per_second > 0
    session.start_source()
    assert [event.label for event in session.events] == ["light", "dark"]
    assert not session.pipeline.tracker.numbers
    assert session.process(gray_frame(10, 0.0)).faces[0].number == 2
    session.clear()
    assert session.events == [] and session.frames_per_second == 0


def test_single_images_are_neither_smoothed_nor_remembered():
    session = Session(make_pipeline(half_life=5.0))
    for number, level in enumerate((230, 10)):
        session.process(gray_frame(level, float(number), name=f"{number}.png", still=True))
    assert [event.label for event in session.events] == ["light", "dark"]
    assert not session.pipeline.tracker.numbers


def test_small_faces_are_found_in_single_images():
    frame = next(iter(SyntheticSource(people=8, seconds=3.0, frame_rate=10.0, seed=1)))
    tracker, fine = Tracker(Haar()), Tracker(detector("haar", fine=True), every=1)
    pipeline = Pipeline(Brightness(), tracker=tracker, still_tracker=fine)
    assert len(pipeline.process(Frame(frame.image, 0.0, still=True)).faces) == 8


# --- CSV, log, recording, annotation -------------------------------------------------------------


def test_events_are_read_back_from_csv():
    happy = Event("expression", 1, 'ha, "ppy"', 0.5, 1.0, 2.25, 0.92)
    row = pd.read_csv(io.BytesIO(events_csv([happy]))).iloc[0]
    assert tuple(row.index) == CSV_COLUMNS
    assert row.tolist() == ["expression", 1, 'ha, "ppy"', 0.5, 1.0, 2.25, 1.75, 0.92]


def test_frames_are_recorded_at_their_times_and_sources_one_after_the_other(tmp_path, monkeypatch):
    def gray(level: int, shape=(97, 129, 3)) -> np.ndarray:
        return np.full(shape, level, np.uint8)

    recorder = VideoRecorder((97, 129, 3))
    for time, level in ((5.0, 40), (5.25, 120), (5.26, 120), (5.5, 200)):
        recorder.add(gray(level), time)
    recorder.add(gray(90, (48, 64, 3)), 0.0)  # another source, of another size
    monkeypatch.setattr(session_module, "MAX_VIDEO_SECONDS", 0.6)
    recorder.add(gray(0), 3600.0)
    assert recorder.full
    (tmp_path / "video.webm").write_bytes(recorder.finish())
    capture, levels = cv2.VideoCapture(str(tmp_path / "video.webm")), []
    while (image := capture.read()[1]) is not None:
        levels.append(round(float(image.mean())))
    assert levels == pytest.approx([40] + [120] * 5 + [200] * 5 + [90], abs=4)


def test_nothing_is_stored_unless_recorded_and_then_until_taken_or_cleared(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    session = Session(make_pipeline())
    play(session, 230, start=0.0)
    assert session.take_video() is None and list(tmp_path.iterdir()) == []
    session.recording = True
    play(session, 230, start=2.0)
    assert session.take_video()[:4] == b"\x1a\x45\xdf\xa3"  # WebM
    assert list(tmp_path.iterdir()) == [] and capfd.readouterr() == ("", "")
    play(session, 230, start=4.0)
    session.clear()
    assert session.take_video() is None and list(tmp_path.iterdir()) == []


def test_recording_that_cannot_be_written_does_not_stop_the_demo(monkeypatch):
    session = Session(make_pipeline())
    session.recording = True

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(VideoRecorder, "add", full)
    assert session.process(gray_frame(230, 0.0)).faces and session.recording is False
    assert "no space left" in session.messages[0]
    monkeypatch.setattr(session_module, "PROBLEM_SECONDS", 0.0)
    assert session.messages == []


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.floats(-300, 700), st.floats(-300, 500), st.floats(1, 900), st.floats(1, 900)),
    st.text(max_size=40),
    st.tuples(st.integers(8, 300), st.integers(8, 300)),
)
def test_any_face_can_be_annotated_and_the_frame_stays_as_it_is(box, label, size):
    image, probabilities = np.zeros((*size, 3), np.uint8), np.array([0.87, 0.13])
    faces = (Face(12, Box(*box), probabilities, label), Face(3, Box(5, 5, 50, 50), probabilities, ""))
    annotated = annotate(Analysis(Frame(image, 0.0), faces))
    assert annotated.shape == image.shape and annotated.any() and not image.any()
