"""Faces keep their numbers and their boxes are steady, at the price of a detection every few frames."""

import cv2
import numpy as np
import pytest

from fer_utils.detection import Box, Haar
from fer_utils.live.tracking import Tracker
from fer_utils.synthetic import Identity, render_face

RATE = 25.0
HEAD, OTHER = (render_face(Identity.sample(seed), {}, size=240) for seed in (3, 8))
ROOM = cv2.resize(
    np.random.default_rng(0).integers(80, 190, (9, 16)).astype(np.uint8),
    (640, 360),
    interpolation=cv2.INTER_CUBIC,
)
OVAL = cv2.ellipse(np.zeros((240, 240), np.uint8), (120, 120), (95, 116), 0, 0, 360, 255, -1)


class Says:
    """A detector that says what it is told, one answer for each time that it is asked; the last one stays."""

    def __init__(self, *answers: list[Box]) -> None:
        self.answers, self.asked = list(answers), 0

    def find(self, image):
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class Asked:
    """Counts how often the cascade is asked."""

    def __init__(self) -> None:
        self.haar, self.asked = Haar(), 0

    def find(self, image):
        self.asked += 1
        return self.haar.find(image)


def scene(
    *heads: tuple[np.ndarray, float, float, float], room: np.ndarray = ROOM, seed: int = 0
) -> np.ndarray:
    """Return a frame of 640x360 with heads: picture, middle and size in pixels of each, the last in front."""
    picture = room.astype(np.float32)
    for head, x, y, side in heads:
        scale = side / len(head)
        place = np.array([[scale, 0, x - side / 2], [0, scale, y - side / 2]])
        drawn, mask = (cv2.warpAffine(part, place, (640, 360)).astype(np.float32) for part in (head, OVAL))
        picture += mask / 255 * (drawn - picture)
    noise = 2 * np.random.default_rng(seed).standard_normal(picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def follow(tracker: Tracker, frames, start: int = 0) -> list[dict[int, Box]]:
    """Return the boxes of every frame by number."""
    updates = (tracker.update(frame, (start + at) / RATE) for at, frame in enumerate(frames))
    return [{track.number: track.box for track in tracks} for tracks in updates]


def numbers(seen: list[dict[int, Box]]) -> list[set[int]]:
    return [set(boxes) for boxes in seen]


# --- steadiness ---------------------------------------------------------------------------------------------


def test_a_swaying_face_is_followed_more_steadily_than_it_is_detected():
    time = np.arange(60) / RATE
    sway = np.stack([320 + 4 * np.sin(2 * time), 180 + 3 * np.cos(3 * time)], axis=1)
    frames = [scene((HEAD, *place, 240), seed=at) for at, place in enumerate(sway)]
    haar = Haar()
    found = np.array([haar.find(frame)[0].centre for frame in frames]) - sway
    seen = np.array([boxes[1].centre for boxes in follow(Tracker(haar), frames)]) - sway
    # In pixels of 640: a pixel of a 64-pixel crop is 2.6 of them.
    assert seen.std(axis=0).max() < 0.15 < 0.3 < found.std(axis=0).min()
    assert np.diff(seen, axis=0).std(axis=0).max() < 0.05
    assert np.abs(seen).max() < 0.1 * 160


def test_a_face_that_comes_closer_grows_between_detections():
    sides = np.linspace(200, 280, 40)
    boxes = [b[1] for b in follow(Tracker(Haar(), every=1000), [scene((HEAD, 320, 180, s)) for s in sides])]
    assert boxes[-1].width / boxes[0].width == pytest.approx(1.4, rel=0.03)
    assert boxes[-1].centre == pytest.approx((320, 180), abs=8)


def test_a_detector_that_trembles_does_not_shake_the_box():
    rng = np.random.default_rng(1)
    jitter = [[Box(240 + x, 100 + y, 160 + s, 160 + s)] for x, y, s in rng.uniform(-6, 6, (40, 3))]
    boxes = np.array([b[1] for b in follow(Tracker(Says(*jitter)), [scene((HEAD, 320, 180, 240))] * 100)])
    assert boxes.std(axis=0).max() < 0.5


def test_a_box_that_is_off_is_put_right_little_by_little():
    detector = Says([Box(215, 100, 160, 160)], [Box(240, 100, 160, 160)])
    boxes = np.array([b[1] for b in follow(Tracker(detector), [scene((HEAD, 320, 180, 240))] * 200)])
    assert abs(boxes[-1, 0] - 240) < 0.07 * 160
    assert np.abs(np.diff(boxes[:, 0])).max() < 0.5


# --- numbers ------------------------------------------------------------------------------------------------


def test_two_faces_that_cross_keep_their_numbers():
    places = np.linspace(110, 530, 60)
    pairs = zip(places, places[::-1], strict=True)
    frames = [scene((OTHER, b, 220, 160), (HEAD, a, 150, 160), seed=at) for at, (a, b) in enumerate(pairs)]
    seen = follow(Tracker(Haar()), frames)
    first, last = ({number: box.centre[0] for number, box in seen[at].items()} for at in (0, -1))
    assert set(first) == set(last) == {1, 2}
    left = min(first, key=first.get)
    assert last[left] == pytest.approx(530, abs=15) and last[3 - left] == pytest.approx(110, abs=15)


def test_a_face_that_is_covered_for_a_moment_comes_back_with_its_number():
    shown = [scene((HEAD, 320, 180, 240), seed=at) for at in range(10)]
    covered = [scene(seed=at) for at in range(10, 18)]
    seen = follow(Tracker(Haar()), [*shown, *covered, *shown])
    assert numbers(seen)[:10] == [{1}] * 10
    assert numbers(seen)[10:18] == [set()] * 8
    assert numbers(seen)[-5:] == [{1}] * 5


def test_a_number_is_never_given_twice():
    here, gone = [scene((HEAD, 320, 180, 240))] * 6, [scene()] * 40
    tracker = Tracker(Haar())
    assert set.union(*numbers(follow(tracker, [*here, *gone, *here]))) == {1, 2}
    tracker.reset()
    assert numbers(follow(tracker, here))[-1] == {3}


def test_a_cut_drops_the_faces_at_once_and_new_ones_are_looked_for():
    other_room = 255 - ROOM[::-1, ::-1]
    before = [scene((HEAD, 320, 180, 240), seed=at) for at in range(8)]
    after = [scene((OTHER, 300, 190, 240), room=other_room, seed=at) for at in range(4)]
    seen = numbers(follow(Tracker(Haar()), [*before, *after]))
    assert seen == [{1}] * 8 + [{2}] * 4


def test_another_size_of_frame_is_another_scene():
    frame = scene((HEAD, 320, 180, 240))
    larger = cv2.resize(frame, (960, 540))
    seen = follow(Tracker(Haar()), [frame, frame, larger])
    assert numbers(seen) == [{1}, {1}, {2}]
    assert seen[-1][2].centre == pytest.approx((480, 270), abs=15)


# --- what the detector says ---------------------------------------------------------------------------------

FACE, ELSEWHERE = Box(240, 100, 160, 160), Box(20, 20, 90, 90)


def test_what_was_found_once_and_not_again_is_given_up():
    detector = Says([FACE, ELSEWHERE], [FACE])
    seen = numbers(follow(Tracker(detector, every=2), [scene((HEAD, 320, 180, 240))] * 6))
    assert seen == [{1, 2}] * 2 + [{1}] * 4


def test_a_face_that_is_known_may_be_missed_a_few_times():
    answers = [[FACE]] * 3 + [[]] * 2 + [[FACE]] + [[]] * 9
    seen = numbers(follow(Tracker(Says(*answers), every=2, patience=3), [scene((HEAD, 320, 180, 240))] * 20))
    assert seen == [{1}] * 16 + [set()] * 4


def test_of_twenty_faces_the_largest_are_followed_and_stay():
    boxes = [
        Box(10 + 60 * column, 10 + 60 * row, 30 + row, 30 + row) for row in range(4) for column in range(5)
    ]
    boxes = sorted(boxes, key=lambda box: -box.area)
    grown = sorted((Box(x, y, 74 - width, 74 - width) for x, y, width, _ in boxes), key=lambda box: -box.area)
    tracker = Tracker(Says(boxes, grown), every=1, most=10)
    seen = follow(tracker, [np.random.default_rng(0).integers(0, 255, (360, 640)).astype(np.uint8)] * 3)
    assert tracker.found == 20
    assert numbers(seen) == [set(range(1, 11))] * 3
    assert {(box.x, box.y) for box in seen[0].values()} == {(box.x, box.y) for box in boxes[:10]}


def test_a_find_inside_a_face_is_not_another_face():
    inside = Box(300, 160, 40, 40)
    assert numbers(follow(Tracker(Says([FACE, inside])), [scene((HEAD, 320, 180, 240))] * 3)) == [{1}] * 3


def test_a_face_that_leaves_the_picture_is_gone():
    frames = [scene((HEAD, x, 180, 200), seed=at) for at, x in enumerate(np.linspace(120, -120, 24))]
    seen = follow(Tracker(Haar()), frames)
    assert 1 in seen[0] and seen[-1] == {}


# --- cost ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [scene((HEAD, 320, 180, 240)), scene()], ids=["a face", "no face"])
def test_the_detector_is_asked_every_nth_frame_with_a_face_or_without(frame):
    detector = Asked()
    follow(Tracker(detector, every=4), [frame] * 21)
    assert detector.asked == 6


def test_even_in_a_flood_of_cuts_the_detector_is_never_asked_twice_in_a_row():
    rng = np.random.default_rng(0)
    detector = Says([FACE])
    follow(
        Tracker(detector, every=10), [rng.integers(0, 255, (360, 640)).astype(np.uint8) for _ in range(21)]
    )
    assert detector.asked == 11


def test_it_says_where_the_time_went():
    tracker = Tracker(Haar(), every=3)
    spent = []
    for at in range(4):
        tracker.update(scene((HEAD, 320, 180, 240)), at / RATE)
        spent.append(dict(tracker.seconds))
    assert all(set(one) == {"detect", "track"} and min(one.values()) >= 0 for one in spent)
    assert min(spent[0]["detect"], spent[3]["detect"]) > 10 * max(spent[1]["detect"], spent[2]["detect"])


# --- what comes in ------------------------------------------------------------------------------------------


def test_gray_and_colour_give_the_same_boxes():
    frames = [scene((HEAD, 320 + at, 180, 240), seed=at) for at in range(8)]
    of_gray, of_colour = (
        follow(Tracker(Haar()), pictures)
        for pictures in (frames, [np.repeat(f[..., None], 3, axis=2) for f in frames])
    )
    assert np.allclose([list(b[1]) for b in of_gray], [list(b[1]) for b in of_colour])


@pytest.mark.parametrize("shape", [(1, 1), (8, 8, 3), (2, 900), (360, 640, 3)])
def test_empty_pictures_of_any_size_have_no_face(shape):
    assert numbers(follow(Tracker(Haar(), every=1), [np.zeros(shape, np.uint8)] * 3)) == [set()] * 3


def test_a_track_knows_since_when_it_is_followed_and_when_it_was_last_found():
    tracker = Tracker(Haar(), every=3)
    for at in range(5):
        (track,) = tracker.update(scene((HEAD, 320, 180, 240)), 10 + at)
    assert (track.since, track.confirmed) == (10, 13)


@pytest.mark.parametrize("wrong", [{"every": 0}, {"most": 0}, {"patience": 0}])
def test_numbers_below_one_are_refused(wrong):
    with pytest.raises(ValueError, match="use 1 or more"):
        Tracker(Haar(), **wrong)
