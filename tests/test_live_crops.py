"""What the demo shows a network is what it was trained on: framing, gray levels, resizing and light."""

import io
import os
from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_utils.data import load_faces
from fer_utils.data.clip_files import Clip, Recordings, face_box, to_clipset
from fer_utils.data.images import ImageDecoder
from fer_utils.detection import Box, Haar
from fer_utils.files import ConfigError
from fer_utils.live.crops import CLIPS, STILLS, Framing, face_image, square
from fer_utils.live.light import BRIGHT, brightened
from fer_utils.params import FaceParameters
from fer_utils.synthetic import random_face
from fer_utils.synthetic.clips import synthetic_clip

BARE = Framing(1.0, 0.0, "lanczos")
BARE_AREA = Framing(1.0, 0.0, "area")
NOISE = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
PICTURE = cv2.resize(NOISE, (120, 90), interpolation=cv2.INTER_CUBIC)

places = st.integers(-60, 150)
sides = st.integers(8, 130)
pictures = st.sampled_from([PICTURE, np.ascontiguousarray(PICTURE[..., 0])])


def around(picture: np.ndarray, x: int, y: int, side: int, pad: int = 300) -> np.ndarray:
    """Cut out a square of whole pixels, the edges of the picture repeated beyond them."""
    wide = np.pad(picture, [(pad, pad), (pad, pad), (0, 0)][: picture.ndim], mode="edge")
    return wide[pad + y : pad + y + side, pad + x : pad + x + side]


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


# --- equal to training --------------------------------------------------------------------------------------


@given(pictures, places, places, sides, st.integers(8, 80))
@settings(max_examples=60, deadline=None)
def test_a_crop_is_byte_for_byte_what_a_reader_makes_of_a_file_with_its_pixels(picture, x, y, side, size):
    file = png(around(picture, x, y, side))
    crop = face_image(picture, Box(x, y, side, side), size=size, framing=BARE)
    assert crop.dtype == np.uint8
    np.testing.assert_array_equal(crop, ImageDecoder(size).decode(file))


@given(pictures, places, places, sides, st.integers(8, 80))
@settings(max_examples=60, deadline=None)
def test_a_crop_for_clips_is_what_opencv_makes_of_its_pixels(picture, x, y, side, size):
    gray = np.asarray(Image.fromarray(around(picture, x, y, side)).convert("L"))
    kind = cv2.INTER_AREA if side >= size else cv2.INTER_LINEAR
    crop = face_image(picture, Box(x, y, side, side), size=size, framing=BARE_AREA)
    np.testing.assert_allclose(crop, cv2.resize(gray, (size, size), interpolation=kind), atol=1)


def test_a_crop_of_a_frame_is_what_the_readers_of_clips_make_of_it(tmp_path):
    frame = np.pad(random_face(3, size=150), 40, mode="edge")
    files = tuple(tmp_path / f"{number}.png" for number in range(2))
    for file in files:
        file.write_bytes(png(frame))
    clip = Clip("c", "s", "negative", files, 100.0, 0, None, 1)
    found = Recordings("own", class_names=("negative",), clips=[clip], crop_face=True, origin={})
    read = to_clipset(found, size=64, n_frames=2)
    crop = face_image(frame, Box(*face_box(frame)), size=64, framing=BARE_AREA)
    np.testing.assert_allclose(crop, read.clips[0, 0], atol=1)


# --- framing ------------------------------------------------------------------------------------------------


def test_a_framing_is_a_side_and_a_shift_relative_to_the_box():
    box = Box(100, 200, 40, 40)
    assert square(box, framing=Framing(1.5, 0.25, "area")) == (90, 200, 60)
    assert square(box, framing=BARE) == (100, 200, 40)


def measured(images: np.ndarray) -> np.ndarray:
    """Return side and shift of pictures, relative to the boxes that Haar finds in them: the medians."""
    found = []
    for image in images:
        large = Image.fromarray(image).resize((192, 192), Image.Resampling.LANCZOS)
        boxes = Haar().find(np.pad(np.asarray(large), 48, constant_values=128))
        found += [(192 / box.width, (48 + 96 - box.centre[1]) / box.width) for box in boxes[:1]]
    return np.median(found, axis=0)


def test_clips_are_framed_as_the_drawn_clips_are():
    clips = [synthetic_clip(f"synthetic-clip-s{person:03d}-0000", "positive", seed=3) for person in range(32)]
    side, shift = measured([clip.frame(0.0, size=64) for clip in clips])
    assert side == pytest.approx(CLIPS.scale, abs=0.06)
    assert shift == pytest.approx(CLIPS.shift, abs=0.04)


@pytest.mark.skipif("FER2013_PATH" not in os.environ, reason="FER2013_PATH names no copy of FER-2013")
def test_stills_are_framed_as_fer2013_is():
    faces = load_faces(FaceParameters(dataset="fer2013", data_path=os.environ["FER2013_PATH"]))
    rows = np.random.default_rng(1).choice(np.flatnonzero(faces.split == "train"), 300, replace=False)
    side, shift = measured(faces.images[rows])
    assert side == pytest.approx(STILLS.scale, abs=0.03)
    assert shift == pytest.approx(STILLS.shift, abs=0.03)


# --- parts of a pixel ---------------------------------------------------------------------------------------


@given(st.floats(0, 30), st.floats(0, 20), st.floats(20, 60), st.floats(-2, 2))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("framing", [BARE, BARE_AREA], ids=["lanczos", "area"])
def test_a_box_that_moves_by_a_part_of_a_pixel_moves_the_crop_by_as_much(framing, x, y, side, step):
    down, right = np.mgrid[:100, :100]
    ramp = np.rint(10 + 1.5 * right + 0.83 * down).astype(np.uint8)  # rounding errors cancel each other
    boxes = Box(x + 5, y, side, side), Box(x + 5 + step, y, side, side)
    before, after = (face_image(ramp, box, size=32, framing=framing).mean() for box in boxes)
    assert after - before == pytest.approx(1.5 * step, abs=0.1)


@pytest.mark.parametrize("framing", [STILLS, CLIPS], ids=["stills", "clips"])
def test_a_swaying_box_never_makes_the_crop_jump(framing):
    face = random_face(5, size=200)
    crops = [face_image(face, Box(50 + n / 20, 60, 90.0, 90.0), size=64, framing=framing) for n in range(60)]
    steps = np.abs(np.diff(np.stack(crops).astype(int), axis=0)).mean(axis=(1, 2))
    # A jump by a whole pixel would be twenty times as large as the others.
    assert steps.max() < 2 * np.median(steps)


# --- odd boxes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "y"), [(-500, 10), (900, 10), (10, -500), (10, 900)])
@pytest.mark.parametrize("framing", [STILLS, CLIPS], ids=["stills", "clips"])
def test_beyond_the_frame_its_edge_goes_on(framing, x, y):
    crop = face_image(PICTURE, Box(x, y, 40, 40), size=16, framing=framing)
    assert np.ptp(crop, axis=1 if x not in (10,) else 0).max() <= 1  # lines of one gray level
    assert crop.max() > 0


@pytest.mark.parametrize("framing", [STILLS, CLIPS], ids=["stills", "clips"])
def test_a_box_smaller_than_a_pixel_still_gives_an_image(framing):
    assert face_image(PICTURE, Box(10, 10, 0.01, 0.01), size=16, framing=framing).shape == (16, 16)


@pytest.mark.parametrize(
    "box", [Box(0, 0, 0, 5), Box(0, 0, 5, -1), Box(np.nan, 0, 5, 5), Box(0, 0, np.inf, 5)]
)
def test_a_box_without_an_area_is_refused(box):
    with pytest.raises(ValueError, match="a box has a place, a width and a height"):
        face_image(PICTURE, box, size=16)


# --- light --------------------------------------------------------------------------------------------------


@cache
def lit(seed: int, *, face: float, room: float, noise: float = 2.0) -> np.ndarray:
    """Return a frame of 320x240 with a drawn face in a room, each at a share of normal light."""
    frame = np.tile(np.linspace(90, 180, 320), (240, 1)) * room
    frame[50:210, 80:240] = face * random_face(seed, size=160)
    noisy = frame + noise * np.random.default_rng(seed).standard_normal(frame.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def n_found(mode: str, **light: float) -> int:
    haar, found = Haar(), 0
    for seed in range(8):
        boxes = haar.find(brightened(lit(seed, **light), mode)[0])
        found += any(abs(x - 160) < 25 and abs(y - 130) < 25 for x, y in (box.centre for box in boxes))
    return found


def test_a_face_in_the_dark_is_found_only_with_the_option():
    assert n_found("off", face=0.12, room=0.12) <= 1
    assert n_found("auto", face=0.12, room=0.12) >= 7
    assert n_found("on", face=0.12, room=0.12) >= 7
    assert n_found("off", face=1.0, room=1.0) >= 7


def test_a_face_before_a_window_is_found_only_when_the_light_is_evened_out():
    against_light = {"face": 0.15, "room": 1.3}
    assert n_found("off", **against_light) <= 2 and n_found("auto", **against_light) <= 2
    assert n_found("on", **against_light) >= 7


def test_a_crop_from_the_dark_has_the_gray_levels_of_daylight():
    box = Box(110, 80, 100, 100)
    day, dark = (lit(2, face=share, room=share) for share in (1.0, 0.12))
    crops = [face_image(picture, box, size=48).astype(float) for picture in (day, dark, brightened(dark)[0])]
    normal, unseen, raised = ((crop.mean(), crop.std()) for crop in crops)
    assert unseen[0] < 0.2 * normal[0]
    np.testing.assert_allclose(raised, normal, rtol=0.3)


def test_a_picture_with_something_well_lit_in_it_is_left_alone():
    day, night = lit(0, face=1.0, room=1.0), lit(0, face=1.2, room=0.05)
    for picture in (day, night):
        same, changed = brightened(picture, "auto")
        assert same is picture and not changed
    assert brightened(day, "off")[0] is day
    assert brightened(day, "on")[1]


def test_the_brightness_comes_in_gradually():
    day = lit(0, face=1.0, room=1.0, noise=0.0).astype(float)
    levels = [brightened((share * day).astype(np.uint8))[0].mean() for share in np.linspace(1.0, 0.05, 200)]
    assert np.abs(np.diff(levels)).max() < 3
    assert levels[-1] > 0.6 * BRIGHT * day.mean() / np.sort(day.ravel())[-day.size // 10 :].mean()


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_gray_and_colour_are_brightened_alike(mode):
    picture = lit(0, face=0.2, room=0.2)
    of_gray, of_colour = (
        brightened(one, mode)[0] for one in (picture, np.repeat(picture[..., None], 3, axis=2))
    )
    assert of_colour.shape == (*picture.shape, 3)
    np.testing.assert_allclose(of_colour, np.repeat(of_gray[..., None], 3, axis=2), atol=1)


@pytest.mark.parametrize("mode", ["auto", "on"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 500, 3), (240, 320)])
def test_a_picture_may_be_black_or_tiny(mode, shape):
    picture, _ = brightened(np.zeros(shape, np.uint8), mode)
    assert picture.shape == shape and picture.max() <= (0 if mode == "auto" else 255)


def test_another_mode_is_named():
    with pytest.raises(ConfigError, match="low light 'dim': use 'off', 'auto', 'on'"):
        brightened(PICTURE, "dim")
