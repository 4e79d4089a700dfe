"""Dark frames are brightened, crops equal the training data, tracked faces keep their numbers."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_utils.data.detection import Box, Haar
from fer_utils.data.images import ImageDecoder
from fer_utils.live.faces import CLIPS, Framing, Tracker, brighten, crop_face
from fer_utils.synthetic import Identity, render_face, synthetic_clip

IMAGE = cv2.resize(
    np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8),
    (120, 90),
    interpolation=cv2.INTER_CUBIC,
)

# --- crops ---------------------------------------------------------------------------------------

places = st.integers(-60, 150)
sides = st.integers(8, 130)
images = st.sampled_from([IMAGE, np.ascontiguousarray(IMAGE[..., 0])])


@given(images, places, places, sides, st.integers(8, 80))
@settings(max_examples=30, deadline=None)
def test_crop_equals_the_reader_of_training_images_and_the_resizing_of_clips(image, x, y, side, size):
    wide = np.pad(image, [(300, 300), (300, 300), (0, 0)][: image.ndim], mode="edge")
    region = Image.fromarray(wide[300 + y : 300 + y + side, 300 + x : 300 + x + side])
    file, box = io.BytesIO(), Box(x, y, side, side)
    region.save(file, "PNG")
    crop = crop_face(image, box, size=size, framing=Framing(1.0, 0.0, "lanczos"))
    np.testing.assert_array_equal(crop, ImageDecoder(size).decode(file.getvalue()))
    kind = cv2.INTER_AREA if side >= size else cv2.INTER_LINEAR
    crop = crop_face(image, box, size=size, framing=Framing(1.0, 0.0, "area"))
    resized = cv2.resize(np.asarray(region.convert("L")), (size, size), interpolation=kind)
    np.testing.assert_allclose(crop, resized, atol=1)


def test_clips_are_framed_as_the_synthetic_clips():
    found = []
    for person in range(20):
        clip = synthetic_clip(f"synthetic-clip-s{person:03d}-0000", "positive", seed=3)
        large = Image.fromarray(clip.frame(0.0, size=64)).resize((192, 192), Image.Resampling.LANCZOS)
        boxes = Haar().find(np.pad(np.asarray(large), 48, constant_values=128))
        found += [(192 / box.width, (48 + 96 - box.centre[1]) / box.width) for box in boxes[:1]]
    scale, shift = np.median(found, axis=0)
    assert scale == pytest.approx(CLIPS.scale, abs=0.06)
    assert shift == pytest.approx(CLIPS.shift, abs=0.04)


# --- low light -----------------------------------------------------------------------------------


def test_dark_frames_are_brightened_until_the_face_is_found():
    bright = np.pad(HEAD, 60, constant_values=150)
    dark = np.rint(0.12 * bright).astype(np.uint8)
    assert Haar().find(bright) and not Haar().find(dark)
    assert Haar().find(brighten(dark)) and brighten(np.zeros((1, 1), np.uint8)).shape == (1, 1)
    assert np.array_equal(brighten(np.full((90, 90), 200, np.uint8)), np.full((90, 90), 200))


# --- tracking ------------------------------------------------------------------------------------

HEAD, OTHER = (render_face(Identity.sample(seed), {}, size=240) for seed in (3, 1))
ROOM = cv2.resize(
    np.random.default_rng(0).integers(80, 190, (9, 16)).astype(np.uint8),
    (640, 360),
    interpolation=cv2.INTER_CUBIC,
)
OVAL = cv2.ellipse(np.zeros((240, 240), np.uint8), (120, 120), (95, 116), 0, 0, 360, 255, -1)
FACE = Box(240, 100, 160, 160)


class FakeDetector:
    """Returns given detections one after the other; the last one stays."""

    def __init__(self, *detections: list[Box]) -> None:
        self.detections = list(detections)

    def find(self, image):
        return self.detections.pop(0) if len(self.detections) > 1 else self.detections[0]


def scene(*heads: tuple[np.ndarray, float, float, float], room=ROOM, seed: int = 0) -> np.ndarray:
    """Return a frame of 640x360 with heads: image, centre and size in pixels, the last one in front."""
    image = room.astype(np.float32)
    for head, x, y, side in heads:
        scale = side / len(head)
        place = np.array([[scale, 0, x - side / 2], [0, scale, y - side / 2]])
        drawn, mask = (cv2.warpAffine(one, place, (640, 360)).astype(np.float32) for one in (head, OVAL))
        image += mask / 255 * (drawn - image)
    noise = 2 * np.random.default_rng(seed).standard_normal(image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def track(tracker: Tracker, frames) -> list[dict[int, Box]]:
    return [
        {face.number: face.box for face in tracker.update(frame, at / 25)} for at, frame in enumerate(frames)
    ]


def test_swaying_face_is_tracked_more_steadily_than_it_is_detected():
    time = np.arange(40) / 25
    sway = np.stack([320 + 4 * np.sin(2 * time), 180 + 3 * np.cos(3 * time)], axis=1)
    frames = [scene((HEAD, *place, 240), seed=at) for at, place in enumerate(sway)]
    haar = Haar()
    detected = np.array([haar.find(frame)[0].centre for frame in frames]) - sway
    tracked = np.array([boxes[1].centre for boxes in track(Tracker(haar), frames)]) - sway
    assert 2 * tracked.std(axis=0).max() < detected.std(axis=0).min()


def test_faces_that_cross_keep_their_numbers():
    x = np.linspace(110, 530, 45)
    pairs = zip(x, x[::-1], strict=True)
    frames = [scene((OTHER, b, 220, 160), (HEAD, a, 150, 160), seed=at) for at, (a, b) in enumerate(pairs)]
    first, *_, last = [
        {number: box.centre[0] for number, box in boxes.items()} for boxes in track(Tracker(Haar()), frames)
    ]
    assert set(first) == set(last) == {1, 2}
    left = min(first, key=first.get)
    assert last[left] == pytest.approx(530, abs=15) and last[3 - left] == pytest.approx(110, abs=15)


def test_covered_face_returns_with_its_number_and_a_lost_number_is_not_reused():
    visible = [scene((HEAD, 320, 180, 240), seed=at) for at in range(10)]
    tracker = Tracker(Haar())
    numbers = [set(boxes) for boxes in track(tracker, [*visible, *[scene()] * 8, *visible])]
    assert numbers[:10] == [{1}] * 10 and numbers[10:18] == [set()] * 8 and numbers[-5:] == [{1}] * 5
    tracker.reset()
    assert set(track(tracker, [*visible, *[scene()] * 40, *visible])[-1]) == {3}


def test_cut_drops_the_faces_at_once():
    before = [scene((HEAD, 320, 180, 240), seed=at) for at in range(8)]
    after = [scene((OTHER, 300, 190, 240), room=255 - ROOM[::-1, ::-1], seed=at) for at in range(4)]
    numbers = [set(boxes) for boxes in track(Tracker(Haar()), [*before, *after])]
    assert numbers == [{1}] * 8 + [{2}] * 4


def test_single_detections_are_dropped_and_known_faces_may_be_missed():
    frames = [scene((HEAD, 320, 180, 240))] * 20
    detector = FakeDetector([FACE, Box(20, 20, 90, 90)], [FACE])
    assert [set(b) for b in track(Tracker(detector, every=2), frames[:6])] == [{1, 2}] * 2 + [{1}] * 4
    detections = [[FACE]] * 3 + [[]] * 2 + [[FACE]] + [[]] * 9
    numbers = [set(b) for b in track(Tracker(FakeDetector(*detections), every=2), frames)]
    assert numbers == [{1}] * 16 + [set()] * 4
