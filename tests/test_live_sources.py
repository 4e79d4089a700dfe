"""Every source yields frames in the same form, and reports what goes wrong without ending the demo."""

import io
import os
import random
import sys
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_utils.live import sources
from fer_utils.live.frames import Frame, Problem
from fer_utils.live.sources import SyntheticSource, decode_image

GRADIENT = np.dstack([np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))] * 3)
GRADIENT[:, :, 2] = 255 - GRADIENT[:, :, 2]
"""48x64 pixels: blue on the left, yellow on the right."""


def encode(image: np.ndarray | Image.Image, kind: str = "png", **options: object) -> bytes:
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def messages(items) -> list[str]:
    return [item.message for item in items if isinstance(item, Problem)]


def frames(items) -> list[Frame]:
    return [item for item in items if isinstance(item, Frame)]


# --- cameras -------------------------------------------------------------------------------------


class FakeCamera:
    """Capture whose frames are as red as their number; `works` says whether a read succeeds."""

    def __init__(self, works=lambda number: True, *, opens=True):
        self.works, self.opens, self.reads, self.released = works, opens, 0, False

    def __call__(self, index, backend):
        return self

    def isOpened(self):
        return self.opens

    def set(self, key, value):
        assert (key, value) == (cv2.CAP_PROP_BUFFERSIZE, 1)  # the latest frame

    def read(self):
        self.reads += 1
        image = np.zeros((4, 6, 3), np.uint8)
        image[:, :, 2] = min(self.reads, 255)  # OpenCV's last channel is red
        return (True, image) if self.works(self.reads) else (False, None)

    def release(self):
        self.released = True


@pytest.fixture
def read_fake(monkeypatch, tmp_path):
    """Return a function that reads a fake camera in place of OpenCV's."""
    (tmp_path / "video0").touch()
    monkeypatch.setattr(sources, "_RETRY", 0.001)

    def start(camera):
        monkeypatch.setattr(cv2, "VideoCapture", camera)
        return sources.read_camera(0, devices=tmp_path)

    return start


def test_camera_yields_rgb_frames_and_is_released(read_fake):
    camera = FakeCamera(lambda number: number % 3)  # misses a frame now and then
    source = read_fake(camera)
    taken = list(islice(source, 5))
    assert taken[0].time == 0 and all(a.time < b.time for a, b in pairwise(taken))
    assert [int(frame.image[0, 0, 0]) for frame in taken] == [1, 2, 4, 5, 7]
    assert not taken[0].image[:, :, 1:].any()
    source.close()
    assert camera.released


def test_camera_that_is_unplugged_closed_or_dark_ends_with_a_problem(read_fake):
    camera = FakeCamera(lambda number: number <= 3)
    *taken, last = read_fake(camera)
    assert len(frames(taken)) == 3 and "unplugged" in last.message and camera.released
    for camera in (FakeCamera(lambda number: False), FakeCamera(opens=False)):
        assert len(messages(read_fake(camera))) == 1 and camera.released


@pytest.mark.skipif(sys.platform != "linux", reason="devices are files on Linux only")
def test_missing_camera_names_the_cameras_of_the_machine(tmp_path, monkeypatch):
    (tmp_path / "video2").touch()
    (message,) = messages(sources.read_camera(5, devices=tmp_path))
    assert str(tmp_path / "video5") in message and "2" in message
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (message,) = messages(sources.read_camera(2, devices=tmp_path))
    assert "usermod -aG video" in message


# --- videos --------------------------------------------------------------------------------------

CODECS = {".avi": "MJPG", ".mkv": "MJPG", ".mp4": "mp4v"}
N_FRAMES, RATE = 30, 20.0


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Write a video in each form: red enters from the left, two columns a frame."""
    path = tmp_path_factory.mktemp("videos")
    noise = np.random.default_rng(0).integers(20, size=(48, 64, 3), dtype=np.uint8)
    for suffix, codec in CODECS.items():
        writer = cv2.VideoWriter(str(path / f"red{suffix}"), cv2.VideoWriter.fourcc(*codec), RATE, (64, 48))
        for number in range(N_FRAMES):
            image = noise.copy()
            image[:, : 2 * number + 2, 2] += 200
            writer.write(image)
        writer.release()
    return path


@pytest.mark.parametrize("suffix", CODECS)
def test_video_yields_rgb_frames_at_their_times(videos, suffix):
    found = list(sources.read_video(videos / f"red{suffix}"))
    assert len(frames(found)) == len(found) == N_FRAMES
    assert [frame.time for frame in found] == pytest.approx(np.arange(N_FRAMES) / RATE, abs=0.002)
    last = found[-1].image.astype(int)
    assert last.shape == (48, 64, 3) and last[:, :50, 0].mean() > 150 > 60 > last[:, :, 2].mean()


def test_damaged_video_is_read_as_far_as_possible(videos, tmp_path, capfd):
    content = (videos / "red.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
    *read, last = sources.read_video(tmp_path / "cut.avi")
    assert N_FRAMES / 4 < len(frames(read)) == len(read) < 3 * N_FRAMES / 4
    assert f"cut.avi: only {len(read)} of {N_FRAMES} frames" in last.message
    (tmp_path / "a.mp4").write_bytes(b"no video\n" * 99)
    for name in ("a.mp4", "absent.mp4"):
        (message,) = messages(sources.read_video(tmp_path / name))
        assert message.startswith(name)
    assert capfd.readouterr() == ("", "")


# --- images --------------------------------------------------------------------------------------


def test_folder_yields_images_in_natural_order(tmp_path, monkeypatch):
    for number in (10, 9, 1):
        (tmp_path / f"face{number}.PNG").write_bytes(encode(np.full((10, 12), number, np.uint8)))
    (tmp_path / ".hidden.png").write_bytes(encode(GRADIENT))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "more.png").mkdir()
    (tmp_path / "face2.jpg").write_text("not an image")
    monkeypatch.setattr(sources, "MAX_BYTES", 5000)
    (tmp_path / "face3.png").write_bytes(bytes(5001))
    found = list(sources.read_folder(tmp_path))
    assert [frame.name for frame in frames(found)] == ["face1.PNG", "face9.PNG", "face10.PNG"]
    assert [frame.time for frame in frames(found)] == [0, 3, 4]
    assert all(frame.still and frame.image.shape == (10, 12, 3) for frame in frames(found))
    assert [message.split(":")[0] for message in messages(found)] == ["face2.jpg", "face3.png"]
    for path in (tmp_path / "more.png", tmp_path / "absent"):
        (message,) = messages(sources.read_folder(path))
        assert message.startswith(f"{path}: ")


IMAGE = Image.fromarray(GRADIENT)
EXIF = Image.Exif()
EXIF[0x0112] = 6  # the left of the image is up

FORMS = {
    "CMYK jpeg": (encode(IMAGE.convert("CMYK"), "jpeg", quality=95), GRADIENT),
    "rotated": (encode(IMAGE, "jpeg", quality=95, exif=EXIF), np.rot90(GRADIENT, -1)),
    "animated": (encode(IMAGE.quantize(128), "gif", save_all=True, append_images=[IMAGE]), GRADIENT),
}


@pytest.mark.parametrize("form", FORMS)
def test_image_is_decoded_as_a_viewer_displays_it(form):
    content, expected = FORMS[form]
    frame = decode_image(content, time=2.5, name="x.exe")
    assert (frame.time, frame.name, frame.still) == (2.5, "x.exe", False)
    assert frame.image.dtype == np.uint8 and frame.image.shape == expected.shape
    assert np.abs(frame.image.astype(int) - expected).mean() < 4


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no image",
        b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
        encode(GRADIENT, "jpeg")[:-300],
        encode(np.zeros((9000, 9000), np.uint8)),  # small as a file, huge when decoded
        encode(GRADIENT[:4, :4]),
        encode(Image.fromarray(np.ones((9, 9), np.float32)), "tiff"),
        bytes(sources.MAX_BYTES + 1),
    ],
    ids=["empty", "text", "svg", "truncated", "bomb", "tiny", "float", "large"],
)
def test_unusable_image_is_a_problem_with_its_name(content):
    problem = decode_image(content, name="a\n" + 300 * "b" + ".jpg")
    assert isinstance(problem, Problem)
    assert problem.message.startswith("a\\nbbb") and len(problem.message) < 300


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(FORMS)), st.randoms(use_true_random=False), st.integers(1, 30))
def test_damaged_image_never_raises(form, rng: random.Random, n_bytes: int):
    content = bytearray(FORMS[form][0])
    for _ in range(n_bytes):
        content[rng.randrange(len(content))] = rng.randrange(256)
    assert isinstance(decode_image(bytes(content)), Frame | Problem)


# --- synthetic people ----------------------------------------------------------------------------


def test_synthetic_source_repeats_backwards_and_depends_on_the_seed():
    settings_ = {"seconds": 2.0, "frame_rate": 10.0}
    source = SyntheticSource(**settings_, passes=3, seed=3)
    found = [frame.image for frame in source]
    assert len(found) == 60 and found[0].shape == (480, 640, 3)
    smooth = [cv2.blur(image, (5, 5)).astype(int) for image in found]
    assert max(np.abs(smooth[20 + k] - smooth[19 - k]).mean() for k in range(20)) < 1.5
    assert np.abs(smooth[40] - smooth[0]).mean() < 1.5
    once = next(iter(SyntheticSource(**settings_, seed=3)))
    assert np.array_equal(once.image, found[0])
    assert not np.array_equal(next(iter(SyntheticSource(**settings_, seed=4))).image, found[0])
