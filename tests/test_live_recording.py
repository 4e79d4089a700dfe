"""What is downloaded is whole, bounded, opens elsewhere and says what happened when."""

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.files import ConfigError
from fer_utils.live import recording
from fer_utils.live.recording import CODECS, COLUMNS, VideoWriter, events_csv, log_line
from fer_utils.live.seen import Event

SHAPE = (96, 128, 3)
GRAYS = np.arange(16, 240, 8)


def event(kind="expression", face=1, label="happy", times=(1.0, 1.5, 2.25), score=0.92) -> Event:
    return Event(kind, face, label, *times, score)


# --- events ------------------------------------------------------------------------------------------------


def table(*events: Event) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(events_csv(events)), keep_default_na=False, dtype={"label": str})


def test_events_are_a_table_of_their_times_in_seconds():
    found = table(event(), event("micro", 2, "surprise", (3.0, 3.12345, 3.4), 0.51239))
    assert tuple(found.columns) == COLUMNS
    assert found.iloc[0].tolist() == ["expression", 1, "happy", 1.0, 1.5, 2.25, 1.25, 0.92]
    assert found.iloc[1].tolist() == ["micro", 2, "surprise", 3.0, 3.123, 3.4, 0.4, 0.5124]
    assert tuple(table().columns) == COLUMNS and len(table()) == 0


def test_the_table_is_written_as_rfc_4180_says():
    content = events_csv([event(label='a "b", c')])
    assert content.count(b"\r\n") == 2 == content.count(b"\n")
    assert b',"a ""b"", c",' in content


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_label_is_a_formula(start):
    label = start + "cmd|' /C calc'!A0"
    assert table(event(label=label)).label[0] == "'" + label
    assert table(event(label="x" + label)).label[0] == "x" + label


@settings(max_examples=100)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.tuples(*3 * [st.integers(0, 10**7)]).map(sorted),
    st.integers(0, 10_000),
)
def test_events_come_back_as_they_were(label, milliseconds, score):
    times = [value / 1000 for value in milliseconds]
    row = table(event(label=label, times=times, score=score / 10_000)).iloc[0]
    assert row.label.removeprefix("'") == label.removeprefix("'")
    assert [row.onset_s, row.apex_s, row.offset_s] == times
    assert row.seconds == pytest.approx(times[2] - times[0], abs=6e-4)
    assert row.score == score / 10_000


@pytest.mark.parametrize(
    ("given_", "line"),
    [
        (event(), "00:01.0  Happy : 92 %  (face 1, 1.2 s)"),
        (event("micro", 3, "surprise", (75.26, 75.4, 75.58), 0.64), "01:15.3  Surprise : 64 %"),
        (event("macro", 1, "negative", (59.96, 60, 61), 1.0), "01:00.0  Negative : 100 %"),
        (event(label=""), "00:01.0   : 92 %"),
        (event(times=(6000, 6001, 6002)), "100:00.0  Happy : 92 %"),
    ],
)
def test_a_line_of_the_log_begins_with_the_time_and_reads_as_in_the_paper(given_, line):
    assert log_line(given_).startswith(line)


def test_a_line_of_the_log_says_what_kind_of_movement_it_was():
    times = (0.0, 0.1, 0.32)
    assert log_line(event("micro", 2, times=times)).endswith("(micro-expression, face 2, 0.32 s)")
    assert log_line(event("macro", 2, times=(0, 0.5, 1))).endswith("(macro-expression, face 2, 1.0 s)")


# --- videos ------------------------------------------------------------------------------------------------


def picture(gray: int, shape=SHAPE) -> np.ndarray:
    return np.full(shape, gray, np.uint8)


def read(path: Path) -> tuple[list[np.ndarray], float]:
    capture = cv2.VideoCapture(str(path))
    rate, found = capture.get(cv2.CAP_PROP_FPS), []
    while (image := capture.read()[1]) is not None:
        found.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    capture.release()
    return found, rate


def grays(path: Path) -> list[int]:
    return [round(float(image.mean())) for image in read(path)[0]]


@pytest.mark.parametrize("suffix", CODECS)
def test_a_video_shows_the_frames_in_their_colours(tmp_path, suffix):
    red = picture(20)
    red[:, :64] = (220, 30, 30)
    with VideoWriter(tmp_path / f"a{suffix}") as writer:
        for number in range(10):
            writer.add(red, number / recording.RATE)
    found, rate = read(tmp_path / f"a{suffix}")
    assert len(found) == 10 and rate == recording.RATE
    assert np.abs(found[-1].astype(int) - red).mean() < 6
    assert os.listdir(tmp_path) == [f"a{suffix}"]


def test_a_webm_is_one(tmp_path, capfd):
    with VideoWriter(tmp_path / "a.webm") as writer:
        writer.add(picture(100), 0.0)
    content = (tmp_path / "a.webm").read_bytes()
    assert content.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in content[:64] and b"V_VP8" in content
    assert capfd.readouterr() == ("", "")


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 0.4), min_size=1, max_size=len(GRAYS) - 1), st.floats(0, 1000))
def test_everything_is_shown_at_its_time(tmp_path_factory, pauses, began):
    times = began + np.cumsum([0, *pauses])
    path = tmp_path_factory.mktemp("video") / "a.avi"
    with VideoWriter(path, rate=10) as writer:
        for gray, time in zip(GRAYS, times, strict=False):
            writer.add(picture(gray), time)
    shown = grays(path)
    assert abs(len(shown) / 10 - (times[-1] - began + 0.1)) <= 0.051
    frames = list(zip(GRAYS, times - began, strict=False))
    for slot, gray in enumerate(shown):
        # The last frame that had come by then, give or take the rounding of times to slots.
        due = [level for level, time in frames if abs(time - slot / 10) <= 0.051]
        due += [level for level, time in frames if time <= slot / 10 + 1e-6][-1:]
        assert np.abs(np.array(due) - gray).min() <= 2


def test_frames_that_come_faster_are_left_out_and_slower_ones_repeated(tmp_path):
    with VideoWriter(tmp_path / "fast.avi", rate=10) as writer:
        for number in range(28):
            writer.add(picture(GRAYS[number]), number / 40)
    assert len(grays(tmp_path / "fast.avi")) == 8
    with VideoWriter(tmp_path / "slow.avi", rate=10) as writer:
        for number in range(3):
            writer.add(picture(GRAYS[5 * number]), number / 2)
    assert grays(tmp_path / "slow.avi") == pytest.approx([16] * 5 + [56] * 5 + [96], abs=2)


def test_a_source_whose_time_begins_again_follows_the_one_before(tmp_path):
    with VideoWriter(tmp_path / "a.avi", rate=10) as writer:
        for began, gray in ((100.0, 40), (0.0, 120), (0.0, 200)):
            for number in range(3):
                writer.add(picture(gray), began + number / 10)
    assert grays(tmp_path / "a.avi") == pytest.approx([40] * 3 + [120] * 3 + [200] * 3, abs=2)


@pytest.mark.parametrize(
    ("shape", "bright"),
    [
        ((48, 64, 3), np.s_[:, :]),  # the same proportions: all of it
        ((200, 50, 3), np.s_[:, 52:76]),
        ((10, 400, 3), np.s_[46:49, :]),
        ((9, 9, 3), np.s_[:, 16:112]),
    ],
)
def test_a_frame_of_another_size_is_fitted_with_black_edges(tmp_path, shape, bright):
    with VideoWriter(tmp_path / "a.avi", rate=10) as writer:
        writer.add(picture(200), 0.0)
        writer.add(picture(200, shape), 0.1)
    first, second = read(tmp_path / "a.avi")[0]
    assert first.shape == second.shape == SHAPE
    assert second[bright].mean() > 180
    inside = np.zeros(SHAPE[:2], bool)
    inside[bright] = True
    outside = second[~cv2.dilate(inside.astype(np.uint8), np.ones((9, 9))).astype(bool)]
    assert not outside.size or outside.mean() < 20


def test_odd_sides_lose_a_pixel(tmp_path):
    with VideoWriter(tmp_path / "a.webm") as writer:
        writer.add(picture(100, (97, 129, 3)), 0.0)
    assert read(tmp_path / "a.webm")[0][0].shape == SHAPE


def test_a_video_that_is_long_enough_takes_no_more_and_says_so(tmp_path):
    with VideoWriter(tmp_path / "a.avi", rate=10, most_seconds=1.0) as writer:
        for number in range(10):
            writer.add(picture(100), number / 10)
        assert writer.message == ""
        writer.add(picture(200), 1.0)
        assert writer.message == "the video is full: it has 1 s, and may have no more"
        writer.add(picture(200), 0.5)
    assert grays(tmp_path / "a.avi") == pytest.approx([100] * 10, abs=2)


def test_an_hours_pause_is_not_written(tmp_path):
    with VideoWriter(tmp_path / "a.avi") as writer:
        writer.add(picture(100), 0.0)
        writer.add(picture(200), 3600.0)
        assert writer.message
    assert len(grays(tmp_path / "a.avi")) == 1


@pytest.mark.parametrize("pause", [0.1, 100.0])
def test_a_video_that_is_large_enough_takes_no_more_and_says_so(tmp_path, pause):
    noise = np.random.default_rng(0).integers(256, size=SHAPE, dtype=np.uint8)
    with VideoWriter(tmp_path / "a.avi", rate=10, most_bytes=200_000) as writer:
        for number in range(400):
            writer.add(noise, number * pause)
            if writer.message:
                break
    told = {0.1: "it has 0.2 MB, and may have no more", 100.0: ""}[pause]
    assert writer.message.startswith("the video is full") and told in writer.message
    size = (tmp_path / "a.avi").stat().st_size
    assert 150_000 < size < 350_000  # FFmpeg writes in pieces of 32 kB, and the index comes last
    assert len(grays(tmp_path / "a.avi")) > 5


def test_nothing_is_written_without_a_frame(tmp_path):
    with VideoWriter(tmp_path / "a.webm") as writer:
        pass
    assert writer.close() == tmp_path / "a.webm"
    assert os.listdir(tmp_path) == []


def test_a_discarded_or_failed_video_leaves_nothing_and_the_one_before_stays(tmp_path):
    path = tmp_path / "a.webm"
    path.write_bytes(b"before")
    writer = VideoWriter(path)
    writer.add(picture(100), 0.0)
    writer.discard()

    def fail():
        with VideoWriter(path) as writer:
            writer.add(picture(100), 0.0)
            raise RuntimeError("elsewhere")

    with pytest.raises(RuntimeError, match="elsewhere"):
        fail()
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == ["a.webm"]


def test_a_forgotten_video_leaves_nothing(tmp_path):
    writer = VideoWriter(tmp_path / "a.webm")
    writer.add(picture(100), 0.0)
    assert os.listdir(tmp_path) != []
    del writer
    assert os.listdir(tmp_path) == []


def test_a_video_can_be_closed_twice_and_lies_in_a_new_folder(tmp_path):
    writer = VideoWriter(tmp_path / "new" / "a.webm")
    writer.add(picture(100), 0.0)
    assert writer.close() == writer.close() == tmp_path / "new" / "a.webm"
    assert len(read(tmp_path / "new" / "a.webm")[0]) == 1
    other = tmp_path / "other"
    other.touch()
    assert writer.path.stat().st_mode == other.stat().st_mode


_FULL_DISK = """
import resource, signal, sys
import numpy as np
from fer_utils.live.recording import VideoWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
noise = np.random.default_rng(0).integers(256, size=(96, 128, 3), dtype=np.uint8)
try:
    with VideoWriter(sys.argv[1]) as writer:
        for number in range(60):
            writer.add(np.roll(noise, number, axis=1), number / 20)
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("suffix", CODECS)
def test_a_full_disk_is_told_of_and_leaves_nothing(tmp_path, suffix):
    command = [sys.executable, "-c", _FULL_DISK, str(tmp_path / f"a{suffix}")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "could not be written whole; is the disk full?" in done.stdout
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"path": "a.mp4"}, r"a\.mp4: the name of a video ends in \.webm or \.avi"),
        ({"path": "a"}, "the name of a video ends in"),
        ({"rate": 0.0}, r"rate=0\.0"),
        ({"most_bytes": 0}, "most_bytes=0"),
        ({"most_seconds": -1.0}, r"most_seconds=-1\.0"),
        ({"rate": float("nan")}, "rate=nan"),
    ],
)
def test_what_cannot_be_written_is_a_wrong_setting(wrong, problem):
    with pytest.raises(ConfigError, match=problem):
        VideoWriter(**({"path": "a.webm"} | wrong))


def test_a_codec_that_is_missing_is_named_with_the_other(tmp_path, monkeypatch):
    monkeypatch.setitem(CODECS, ".webm", "????")
    with pytest.raises(OSError, match=r"a\.webm: OpenCV cannot write it here; try another of \.webm, \.avi"):
        VideoWriter(tmp_path / "a.webm").add(picture(100), 0.0)
    assert os.listdir(tmp_path) == []


def test_a_slow_codec_is_not_waited_for(tmp_path, monkeypatch):
    go_on = threading.Event()
    written = []

    class Slow:
        fourcc = cv2.VideoWriter.fourcc

        def __init__(self, *stated):
            self.writer = writer_of_opencv(*stated)

        def isOpened(self):
            return True

        def write(self, image):
            assert go_on.wait(30)
            written.append(0)
            self.writer.write(image)

        def release(self):
            self.writer.release()

    writer_of_opencv = cv2.VideoWriter
    monkeypatch.setattr(cv2, "VideoWriter", Slow)
    with VideoWriter(tmp_path / "a.avi", rate=10) as writer:
        for number in range(8):
            writer.add(picture(100), number / 10)
        assert written == []
        go_on.set()
    assert len(written) == 8
