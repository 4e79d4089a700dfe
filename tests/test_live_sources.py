"""Frames come from every source in the same form, and what goes wrong is said while the demo goes on."""

import io
import os
import random
import socket
import struct
import sys
import threading
import time
import wave
import zlib
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from raw_copies import encoded

from fer_utils.files import ConfigError
from fer_utils.live import sources
from fer_utils.live.seen import Frame, Problem
from fer_utils.live.sources import decoded, synthetic
from fer_utils.synthetic.motion import Performance

SMOOTH = np.dstack([np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))] * 3)
SMOOTH[:, :, 2] = 255 - SMOOTH[:, :, 2]
"""48x64: black and blue on the left, yellow on the right."""


def messages(given) -> list[str]:
    return [item.message for item in given if isinstance(item, Problem)]


def frames(given) -> list[Frame]:
    return [item for item in given if isinstance(item, Frame)]


# --- cameras -----------------------------------------------------------------------------------------------


class FakeCamera:
    """A capture whose frames are as red as their number; `plan` says of each read what it does."""

    def __init__(self, plan=None, *, opens=True, seconds=0.001):
        self.plan, self.opens, self.seconds = plan or (lambda number: True), opens, seconds
        self.reads, self.released = 0, threading.Event()

    def __call__(self, index, backend):
        return self

    def isOpened(self):
        return self.opens

    def read(self):
        assert not self.released.is_set()
        time.sleep(self.seconds)
        self.reads += 1
        if not self.plan(self.reads):
            return False, None
        image = np.zeros((4, 6, 3), np.uint8)
        image[:, :, 2] = min(self.reads, 255)  # OpenCV's last channel is red
        return True, image

    def release(self):
        self.released.set()


@pytest.fixture
def devices(tmp_path):
    (tmp_path / "video0").touch()
    return tmp_path


@pytest.fixture
def film(monkeypatch, devices):
    """Put a fake camera into the place of OpenCV's and return the source that reads it."""
    monkeypatch.setattr(sources, "_RETRY", 0.001)

    def start(camera, *, patience=0.6):
        monkeypatch.setattr(cv2, "VideoCapture", camera)
        monkeypatch.setattr(sources, "PATIENCE", patience)
        return sources.camera(0, devices=devices)

    return start


def test_a_cameras_frames_are_rgb_and_their_times_begin_at_0(film):
    camera = FakeCamera()
    source = film(camera, patience=10)
    taken = list(islice(source, 5))
    source.close()
    assert camera.released.is_set()
    assert taken[0].time == 0
    assert all(before.time < after.time for before, after in pairwise(taken))
    reds = [int(frame.image[0, 0, 0]) for frame in taken]
    assert reds == sorted(set(reds)) and not taken[0].image[:, :, 1:].any()
    assert not any(frame.alone for frame in taken)


def test_the_latest_frame_is_given_and_not_the_next_one(film):
    camera = FakeCamera()
    source = film(camera, patience=10)
    first = int(next(source).image[0, 0, 0])
    while camera.reads < first + 20:
        time.sleep(0.001)
    assert int(next(source).image[0, 0, 0]) >= first + 19
    source.close()


def test_a_camera_that_misses_a_frame_goes_on(film):
    source = film(FakeCamera(lambda number: number % 3), patience=10)
    assert len(frames(islice(source, 10))) == 10
    source.close()


@pytest.mark.parametrize("fails", ["returns nothing", "raises"])
def test_a_camera_that_is_lost_midway_is_told_of_and_released(film, fails):
    def plan(number):
        if number > 3 and fails == "raises":
            raise cv2.error("unplugged")
        return number <= 3

    camera = FakeCamera(plan)
    *taken, last = film(camera)
    assert frames(taken) == taken != []
    assert last.message == "the camera stopped answering after 0 s; is it unplugged?"
    assert camera.released.wait(10)


def test_a_camera_without_pictures_is_told_of(film):
    camera = FakeCamera(lambda number: False)
    assert messages(film(camera)) == ["camera 0 gives no picture; another program may be using it"]
    assert camera.released.wait(10)


def test_a_camera_that_hangs_is_released_as_soon_as_it_answers(film, monkeypatch):
    monkeypatch.setattr(sources, "_RELEASE", 0.05)
    answer = threading.Event()
    camera = FakeCamera(lambda number: number == 1 or answer.wait(10))
    source = film(camera)
    assert messages(source) == ["the camera stopped answering after 0 s; is it unplugged?"]
    assert not camera.released.is_set()  # while another thread reads it, it cannot be
    answer.set()
    assert camera.released.wait(10)


def test_a_camera_is_released_when_the_one_who_looks_at_it_fails(film):
    camera = FakeCamera()
    source = film(camera, patience=10)
    next(source)
    with pytest.raises(RuntimeError, match="elsewhere"):
        source.throw(RuntimeError("elsewhere"))
    assert camera.released.wait(10)


@pytest.mark.parametrize(
    ("system", "remedies"),
    [
        ("linux", ["close other programs that use it"]),
        ("darwin", ["System Settings > Privacy & Security > Camera", "close other programs"]),
    ],
)
def test_a_camera_that_does_not_open_says_what_to_do(film, monkeypatch, system, remedies):
    monkeypatch.setattr(sys, "platform", system)
    camera = FakeCamera(opens=False)
    (message,) = messages(film(camera))
    assert message.startswith("camera 0 does not open")
    assert all(remedy in message for remedy in [*remedies, "choose the browser camera instead"])
    assert camera.released.is_set()


@pytest.mark.skipif(sys.platform != "linux", reason="where devices are files")
class TestLinux:
    def test_a_camera_that_is_not_there_is_told_with_those_that_are(self, devices):
        (devices / "video2").touch()
        (message,) = messages(sources.camera(5, devices=devices))
        assert f"there is no {devices / 'video5'}; the cameras here are 0, 2" in message
        assert "choose the browser camera instead" in message

    def test_a_machine_without_cameras_points_to_the_browsers(self, tmp_path):
        (message,) = messages(sources.camera(devices=tmp_path))
        assert "this machine has none" in message and "choose the browser camera instead" in message

    def test_a_camera_that_may_not_be_read_names_the_group(self, devices, monkeypatch):
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        (message,) = messages(sources.camera(devices=devices))
        assert "usermod -aG video" in message and str(devices / "video0") in message

    def test_opencv_does_not_complain_beside_it(self, devices, capfd):
        (devices / "video77").touch()
        (message,) = messages(sources.camera(77, devices=devices))
        assert message.startswith("camera 77 does not open")
        assert capfd.readouterr() == ("", "")


# --- videos ------------------------------------------------------------------------------------------------

CODECS = {".avi": "MJPG", ".mkv": "MJPG", ".mp4": "mp4v"}
N, RATE, WIDTH, HEIGHT = 30, 20.0, 64, 48


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """A folder with a video of each form: red comes in from the left, two columns a frame."""
    path = tmp_path_factory.mktemp("videos")
    noise = np.random.default_rng(0).integers(20, size=(HEIGHT, WIDTH, 3), dtype=np.uint8)
    for suffix, codec in CODECS.items():
        writer = cv2.VideoWriter(
            str(path / f"red{suffix}"), cv2.VideoWriter.fourcc(*codec), RATE, (WIDTH, HEIGHT)
        )
        for number in range(N):
            image = noise.copy()
            image[:, : 2 * number + 2, 2] += 200
            writer.write(image)
        writer.release()
    return path


@pytest.mark.parametrize("suffix", CODECS)
def test_a_videos_frames_are_rgb_at_the_times_that_it_states(videos, suffix):
    found = list(sources.video(videos / f"red{suffix}"))
    assert len(frames(found)) == len(found) == N
    assert [frame.time for frame in found] == pytest.approx(np.arange(N) / RATE, abs=0.002)
    last = found[-1].image.astype(int)
    assert last.shape == (HEIGHT, WIDTH, 3) and last[:, :50, 0].mean() > 150 > 60 > last[:, :, 2].mean()
    assert found[0].image[:, 10:, 0].mean() < 60


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
def test_of_a_video_that_is_cut_off_everything_that_is_there_is_read(videos, tmp_path, suffix, capfd):
    content = (videos / f"red{suffix}").read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(content[: len(content) // 2])
    *read, last = sources.video(tmp_path / f"cut{suffix}")
    assert N / 4 < len(frames(read)) == len(read) < 3 * N / 4
    assert f"cut{suffix}: only {len(read)} of about {N} frames can be read" in last.message
    assert capfd.readouterr() == ("", "")


def turned(content: bytes, matrix: tuple[float, float, float, float]) -> bytes:
    """Write another matrix into the track header of an MP4 file."""
    at = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (round(value * 2**16) for value in matrix)
    return content[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 2**30) + content[at + 36 :]


@pytest.mark.parametrize(
    ("matrix", "red"),
    [
        ((0, 1, -1, 0), np.s_[:10, :]),  # by 90 degrees to the right: left becomes up
        ((-1, 0, 0, -1), np.s_[:, -10:]),
        ((0.7, 0.7, -0.7, 0.7), np.s_[:, :10]),  # by 45: nothing that could be done
    ],
)
def test_a_video_is_turned_as_it_says(videos, tmp_path, matrix, red):
    (tmp_path / "turned.mp4").write_bytes(turned((videos / "red.mp4").read_bytes(), matrix))
    found = list(sources.video(tmp_path / "turned.mp4"))
    assert len(frames(found)) == len(found) == N
    middle = found[N // 3].image
    assert middle[red][..., 0].mean() > 150 > 100 > np.rot90(middle, 2)[red][..., 0].mean()
    assert (middle.shape[0] > middle.shape[1]) == (matrix[0] == 0)


def silence() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(8000))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.mp4", b"", "empty.mp4: an empty file"),
        ("text.mp4", b"no video\n" * 99, "text.mp4: no video that can be read; convert it to MP4"),
        ("sound.wav", silence(), "sound.wav: no video that can be read; convert it to MP4"),
        ("zeros.avi", bytes(5000), "zeros.avi: no video that can be read; convert it to MP4"),
    ],
)
def test_what_is_no_video_is_told_of(tmp_path, capfd, name, content, problem):
    (tmp_path / name).write_bytes(content)
    (message,) = messages(sources.video(tmp_path / name))
    assert message.startswith(problem)
    assert capfd.readouterr() == ("", "")


def test_a_video_that_is_not_there_or_not_a_file_is_told_of(tmp_path):
    (message,) = messages(sources.video(tmp_path / "absent.mp4"))
    assert message == f"absent.mp4: No such file or directory (looked for in {tmp_path})"
    (message,) = messages(sources.video(tmp_path))
    assert "a file is needed, and this is a folder" in message
    os.mkfifo(tmp_path / "pipe.mp4")
    (message,) = messages(sources.video(tmp_path / "pipe.mp4"))
    assert "a file is needed" in message


def test_a_playlist_fetches_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        text = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n"
        (tmp_path / "list.m3u8").write_text(text)
        assert len(messages(sources.video(tmp_path / "list.m3u8"))) == 1
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()


def test_a_video_that_nobody_looks_at_any_more_is_closed(videos):
    path = str((videos / "red.avi").resolve())

    def is_open():
        return path in [file.path for file in psutil.Process().open_files()]

    source = sources.video(path)
    next(source)
    assert is_open()
    source.close()
    assert not is_open()


class FakeVideo:
    """A capture of five frames that states what it is told to."""

    def __init__(self, *, rate=10.0, times=(), count=5.0, size=(64, 48)):
        self.stated = {cv2.CAP_PROP_FPS: rate, cv2.CAP_PROP_FRAME_COUNT: count}
        self.stated |= dict(zip((cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT), size, strict=True))
        self.times, self.number = times, -1
        self.released = False

    def __call__(self, path, backend):
        return self

    def isOpened(self):
        return True

    def get(self, key):
        if key == cv2.CAP_PROP_POS_MSEC:
            return self.times[self.number]
        return self.stated[key]

    def read(self):
        self.number += 1
        if self.number == len(self.times):
            return False, None
        return True, np.zeros((48, 64, 3), np.uint8)

    def release(self):
        self.released = True


@pytest.mark.parametrize(
    ("stated", "times"),
    [
        ({"times": [0.0] * 5}, [0, 0.1, 0.2, 0.3, 0.4]),
        ({"times": [np.nan] * 5, "rate": 0.0}, [0, 0.04, 0.08, 0.12, 0.16]),
        ({"times": [5000, 5100, 5100, 5250, -1]}, [0, 0.1, 0.2, 0.25, 0.35]),
        ({"times": [0, 10, 500, 510, 520], "rate": 1000.0, "count": -9e15}, [0, 0.01, 0.5, 0.51, 0.52]),
    ],
)
def test_times_that_a_video_does_not_state_are_counted(videos, monkeypatch, stated, times):
    capture = FakeVideo(**stated)
    monkeypatch.setattr(cv2, "VideoCapture", capture)
    found = list(sources.video(videos / "red.avi"))
    assert [frame.time for frame in found] == pytest.approx(times)
    assert capture.released


@pytest.mark.parametrize(
    ("stated", "problem"),
    [
        ({"times": []}, "red.avi: has no frame that can be read"),
        ({"times": [0.0], "size": (20_000, 100)}, "red.avi: 20000x100 pixels; sides have 8 to"),
        ({"times": [0.0], "size": (0, 0)}, "red.avi: 0x0 pixels; sides have 8 to"),
    ],
)
def test_a_video_without_frames_that_can_be_used_is_told_of(videos, monkeypatch, stated, problem):
    monkeypatch.setattr(cv2, "VideoCapture", FakeVideo(**stated))
    (item,) = sources.video(videos / "red.avi")
    assert item.message.startswith(problem)


# --- pictures ----------------------------------------------------------------------------------------------


def test_a_folders_pictures_come_in_natural_order_and_alone(tmp_path):
    for number in (10, 9, 1):
        (tmp_path / f"face{number}.PNG").write_bytes(encoded(np.full((10, 12), number, np.uint8)))
    (tmp_path / ".hidden.png").write_bytes(encoded(SMOOTH))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "more.png").mkdir()
    found = list(sources.folder(tmp_path))
    assert [frame.name for frame in found] == ["face1.PNG", "face9.PNG", "face10.PNG"]
    assert [int(frame.image[0, 0, 0]) for frame in found] == [1, 9, 10]
    assert [frame.time for frame in found] == [0, 1, 2]
    assert all(frame.alone and frame.image.shape == (10, 12, 3) for frame in found)


def test_a_picture_that_cannot_be_read_does_not_end_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MOST_BYTES", 5000)
    (tmp_path / "1.jpg").write_text("not a picture")
    (tmp_path / "2.jpg").symlink_to("absent.jpg")
    (tmp_path / "3.png").write_bytes(bytes(5001))
    (tmp_path / "4.png").write_bytes(encoded(SMOOTH))
    *problems, frame = sources.folder(tmp_path)
    assert frame.name == "4.png"
    assert messages(problems) == [
        "1.jpg: not a usable picture: none of JPEG, PNG, BMP, TIFF, WEBP, GIF",
        "2.jpg: No such file or directory",
        "3.png: 0.0 MB; a picture has 0.005 MB at most",
    ]


def test_a_folder_without_pictures_is_told_of(tmp_path):
    (tmp_path / "a.pdf").touch()
    (message,) = messages(sources.folder(tmp_path))
    assert message.startswith(f"{tmp_path}: no pictures among its 1 files (.jpg, ")
    (message,) = messages(sources.folder(tmp_path / "absent"))
    assert message == f"{tmp_path / 'absent'}: No such file or directory"


def test_uploads_that_are_no_pictures_are_told_of_and_the_others_shown():
    bomb = encoded(np.zeros((9000, 9000), np.uint8))
    files = {
        "empty.png": b"",
        "text.jpg": b"no picture",
        "draft.pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n",
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
        "cut.jpg": encoded(SMOOTH, "jpeg")[:-300],
        "bomb.png": bomb,
        "tiny.png": encoded(SMOOTH[:4, :4]),
        "a\nb.gif": b"GIF89a",
        "good.txt": encoded(SMOOTH),
    }
    *problems, frame = sources.uploaded(files.items())
    assert len(bomb) < 200_000
    assert messages(problems) == [
        "empty.png: an empty file",
        *(
            f"{name}: not a usable picture: none of JPEG, PNG, BMP, TIFF, WEBP, GIF"
            for name in ("text.jpg", "draft.pdf", "drawing.svg")
        ),
        "cut.jpg: not a usable picture: Truncated File Read",
        "bomb.png: not a usable picture: 9000x9000 pixels; 67,108,864 are accepted at most",
        "tiny.png: not a usable picture: 4x4 pixels; sides have 8 to 16,384",
        r"a\nb.gif: not a usable picture: none of JPEG, PNG, BMP, TIFF, WEBP, GIF",
    ]
    assert (frame.name, frame.alone, frame.time) == ("good.txt", True, len(files) - 1)
    assert np.array_equal(frame.image, SMOOTH)


def test_a_file_above_the_limit_is_not_even_looked_at(monkeypatch):
    monkeypatch.setattr(Image, "open", None)
    (problem,) = sources.uploaded([("large.png", bytes(sources.MOST_BYTES + 1))])
    assert problem.message == "large.png: 20.0 MB; a picture has 20 MB at most"


def test_a_long_file_name_is_shortened():
    problem = decoded(b"", name=300 * "x" + ".jpeg")
    assert len(problem.message) < 100 and "xxx.jpeg: an empty file" in problem.message


PICTURE = Image.fromarray(SMOOTH)
EXIF = Image.Exif()
EXIF[0x0112] = 6  # the picture's left is up
ALPHA = PICTURE.convert("RGBA")
ALPHA.putalpha(Image.fromarray(np.where(np.arange(64) < 32, 0, 255).astype(np.uint8)[None].repeat(48, 0)))
SIXTEEN = (SMOOTH[:, :, 0].astype(np.uint16) * 257).astype(np.uint16)

FORMS = {
    "png": (encoded(PICTURE), SMOOTH),
    "bmp": (encoded(PICTURE, "bmp"), SMOOTH),
    "tiff": (encoded(PICTURE, "tiff", compression="tiff_lzw"), SMOOTH),
    "webp": (encoded(PICTURE, "webp", lossless=True), SMOOTH),
    "jpeg": (encoded(PICTURE, "jpeg", quality=95), SMOOTH),
    "progressive jpeg": (encoded(PICTURE, "jpeg", quality=95, progressive=True), SMOOTH),
    "gray jpeg": (encoded(PICTURE.convert("L"), "jpeg"), np.asarray(PICTURE.convert("L").convert("RGB"))),
    "CMYK jpeg": (encoded(PICTURE.convert("CMYK"), "jpeg", quality=95), SMOOTH),
    "palette": (encoded(PICTURE.quantize(128)), SMOOTH),
    "turned": (encoded(PICTURE, "jpeg", quality=95, exif=EXIF), np.rot90(SMOOTH, -1)),
    "transparent": (encoded(ALPHA), np.where(np.arange(64)[:, None] < 32, 255, SMOOTH)),
    "16 bits": (encoded(SIXTEEN), SMOOTH[:, :, :1].repeat(3, 2)),
    "two colours": (encoded(PICTURE.convert("1")), np.asarray(PICTURE.convert("1").convert("RGB"))),
    "animated": (
        encoded(PICTURE.quantize(128), "gif", save_all=True, append_images=[PICTURE.rotate(180).quantize()]),
        SMOOTH,
    ),
    "two in one": (encoded(PICTURE, "mpo", quality=95, save_all=True, append_images=[PICTURE]), SMOOTH),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_is_decoded_as_people_see_it(form):
    content, expected = FORMS[form]
    frame = decoded(content, time=2.5, name="x.exe")
    assert (frame.time, frame.name, frame.alone) == (2.5, "x.exe", False)
    assert frame.image.dtype == np.uint8 and frame.image.shape == expected.shape
    assert np.abs(frame.image.astype(int) - expected).mean() < 4


def test_a_picture_without_known_white_is_refused():
    problem = decoded(encoded(Image.fromarray(np.ones((9, 9), np.float32)), "tiff"), name="depth.tif")
    assert problem.message.startswith("depth.tif: not a usable picture: 32 bits a pixel")


@pytest.mark.parametrize(("kind", "options"), [("jpeg", {"quality": 40}), ("png", {"compress_level": 1})])
def test_an_8k_picture_is_reduced_and_said_so(kind, options):
    large = cv2.resize(SMOOTH[:, :, 0], (7680, 4320), interpolation=cv2.INTER_NEAREST)
    problem, frame = sources.uploaded([("8k", encoded(large, kind, **options))])
    assert problem.message == "8k: 7680x4320 pixels, reduced to 1600x900 to be looked at"
    small = cv2.resize(large, (1600, 900), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(frame.image - small[:, :, None]).mean() < 1


def test_a_large_picture_on_its_side_is_reduced_upright():
    content = encoded(np.zeros((1000, 3200), np.uint8), "jpeg", exif=EXIF)
    problem, frame = sources.uploaded([("turned", content)])
    assert frame.image.shape == (1600, 500, 3)
    assert problem.message == "turned: 3200x1000 pixels, reduced to 500x1600 to be looked at"


def outcome(content: bytes) -> None:
    """A frame that is whole, or a message in one line: nothing else may come of any bytes."""
    found = decoded(content, name="x")
    if isinstance(found, Problem):
        assert found.message.startswith("x: ") and found.message.isprintable()
    else:
        assert found.image.dtype == np.uint8 and found.image.ndim == 3 and found.image.shape[2] == 3
        assert min(found.image.shape[:2]) >= 1 and max(found.image.shape[:2]) <= sources.LONGEST_SIDE


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from(
        [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"GIF89a", b"RIFF\0\0\0\0WEBP"]
    ),
)
def test_random_bytes_are_a_picture_or_a_message(content, start):
    outcome(start + content)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FORMS)), st.randoms(use_true_random=False))
def test_damaged_pictures_are_a_picture_or_a_message(form, chance: random.Random):
    content = bytearray(FORMS[form][0])
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(content))
        match chance.randrange(4):
            case 0:
                content[at] = chance.randrange(256)
            case 1:
                content[at : at + 4] = struct.pack(">I", chance.choice([0, 1, 2**16, 2**31 - 1, 2**32 - 1]))
            case 2:
                del content[at : at + chance.randint(1, 50)]
            case 3:
                content[at:at] = chance.randbytes(chance.randint(1, 50))
        content = content or bytearray(b"x")
    outcome(bytes(content))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 2**31), st.sampled_from([1, 8, 16]), st.integers(0, 6))
def test_a_png_may_claim_any_size(width, height, bits, colour):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    outcome(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


# --- drawn people ------------------------------------------------------------------------------------------

drawn = partial(synthetic, seconds=4.0, frame_rate=10.0, size=(120, 160))


def test_drawn_frames_have_the_size_and_the_times_that_were_asked_for():
    source = drawn(people=2)
    found = list(source)
    assert len(found) == len(source) == 40
    assert [frame.time for frame in found] == pytest.approx(np.arange(40) / 10)
    assert all(frame.image.shape == (120, 160, 3) and frame.image.dtype == np.uint8 for frame in found)
    assert not any(frame.alone or frame.name for frame in found)


def test_the_same_seed_draws_the_same_frames_however_often_and_another_seed_others():
    source = drawn(seed=1)
    first, again, other = ([frame.image for frame in islice(s, 3)] for s in (source, source, drawn(seed=2)))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])


def test_frames_are_drawn_when_they_are_asked_for(monkeypatch):
    drawings = []
    monkeypatch.setattr(
        Performance, "picture", lambda *args, size: drawings.append(0) or np.zeros((size, size), np.uint8)
    )
    assert len(list(islice(drawn(seconds=1000), 2))) == 2
    assert len(drawings) == 2


def test_the_cascade_finds_drawn_people_where_they_are_said_to_be():
    cascade = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_default.xml")
    found = looked_at = 0
    for seed in range(6):
        source = synthetic(seconds=5, frame_rate=10, seed=seed, people=1 + seed % 3)
        for frame in islice(source, 0, 20, 8):
            gray = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
            boxes = cascade.detectMultiScale(gray, 1.1, 5, minSize=(60, 60))
            for x, y, width, height in source.faces:
                looked_at += 1
                found += any(
                    max(abs(x - left), abs(y - top), abs(x + width - left - w), abs(y + height - top - h))
                    < 0.2 * width
                    for left, top, w, h in boxes
                )
    assert looked_at > 30 and found >= 0.97 * looked_at


def test_a_face_has_a_third_to_a_half_of_the_frames_height():
    for people in (1, 2, 3):
        for face in synthetic(people=people).faces:
            assert 0.27 < face.height / 480 < 0.5


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (240, 1000)])
@pytest.mark.parametrize("people", [1, 2, 5, sources.MOST_PEOPLE])
def test_people_have_places_of_their_own_within_the_frame(size, people):
    faces = synthetic(people=people, size=size, seconds=1).faces
    assert len(faces) == people
    for face in faces:
        assert face.x >= 0 and face.x + face.width <= size[1]
        assert face.y >= 0 and face.y + face.height <= size[0]
    for one in faces:
        for other in faces:
            apart = abs(one.x - other.x) >= one.width or abs(one.y - other.y) >= one.height
            assert apart or one is other


def test_everybody_has_own_expressions_of_the_stills_networks_classes_within_the_time():
    source = synthetic(seconds=20, people=3, seed=5)
    assert len({str(events) for events in source.events}) == 3
    for events in source.events:
        lasting = [event.seconds for event in events]
        assert sum(seconds <= 0.5 for seconds in lasting) == 4
        assert sum(0.7 <= seconds <= 2 for seconds in lasting) == 6
        assert {event.label for event in events} <= set(sources.EXPRESSED)
        assert all(0 < event.onset < event.offset < 20 for event in events)
    assert sources.EXPRESSED == ("angry", "disgust", "fear", "happy", "sad", "surprise")


@settings(max_examples=60, deadline=None)
@given(st.floats(0.5, 200), st.integers(0, 500))
def test_expressions_fit_into_any_time(seconds, seed):
    (events,) = drawn(seconds=seconds, seed=seed).events
    assert (len(events) > 0) == (seconds >= 3)


def test_an_expression_is_seen_where_it_is_said_to_happen():
    source = drawn(n_macro=1, n_micro=0, class_names=["surprise"], seconds=3.0, frame_rate=20.0)
    ((event,),) = source.events
    found = list(source)
    x, y, width, height = (round(value) for value in source.faces[0])

    def difference(time):
        there, rest = (found[round(20 * t)].image[y : y + height, x : x + width] for t in (time, 0))
        return np.abs(cv2.blur(there, (3, 3)).astype(int) - cv2.blur(rest, (3, 3))).mean()

    assert event.label == "surprise"
    assert difference(event.apex) > 2 * difference(event.onset - 0.1)


def test_a_second_pass_runs_backwards_with_its_events_and_draws_nothing_anew(monkeypatch):
    drawings = []
    picture = Performance.picture
    monkeypatch.setattr(
        Performance, "picture", lambda *args, **named: drawings.append(0) or picture(*args, **named)
    )
    source = drawn(passes=3, n_macro=1, n_micro=0)
    found = [cv2.blur(frame.image, (5, 5)).astype(int) for frame in source]
    assert len(found) == len(source) == 120 and len(drawings) == 40
    assert max(np.abs(found[40 + k] - found[39 - k]).mean() for k in range(40)) < 1.5
    assert np.abs(found[80] - found[0]).mean() < 1.5
    there, back, again = source.events[0]
    assert there.onset == pytest.approx(again.onset - 8)
    assert back.onset == pytest.approx(4 + 3.9 - there.offset)
    assert (back.label, back.seconds) == (there.label, pytest.approx(there.seconds))
    assert back.apex - back.onset == pytest.approx(there.offset - there.apex)


def test_the_colours_keep_the_gray_levels():
    (frame,) = islice(drawn(), 1)
    channels = frame.image.astype(int)
    assert (channels[:, :, 0] - channels[:, :, 2]).max() > 10  # warm
    for warmth in (8.0, 18.0):
        tint = sources._tint(warmth)
        gray = cv2.cvtColor(tint, cv2.COLOR_RGB2GRAY)[:, 0]
        assert np.abs(gray.astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"people": 0}, "people=0: 1 to 20 are drawn"),
        ({"people": 21}, "people=21: 1 to 20 are drawn"),
        ({"passes": 0}, "passes=0: at least 1"),
        ({"size": (20, 20), "people": 2}, r"size=\(20, 20\): too small for people=2"),
    ],
)
def test_what_cannot_be_drawn_is_a_wrong_setting(wrong, problem):
    with pytest.raises(ConfigError, match=problem):
        drawn(**wrong)
