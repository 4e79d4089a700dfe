"""Boxes and labels can be read on every picture and stay inside it."""

import itertools

import cv2
import numpy as np
import pytest
import seaborn as sns
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageColor

from fer_utils.detection import Box
from fer_utils.labels import FER7
from fer_utils.live.drawing import COLORS, annotated, jpeg, percent, png, text_colour
from fer_utils.live.seen import Frame, Seen, SeenFace

NOISE = np.random.default_rng(0).integers(256, size=(480, 640, 3), dtype=np.uint8)
GRAY = np.full((480, 640, 3), 128, np.uint8)


def face(box=(200, 150, 200, 200), *, number=1, label="happy", share=0.87) -> SeenFace:
    shares = np.array([share, *(6 * [(1 - share) / 6])])
    return SeenFace(number, Box(*box), shares, label)


def drawn(*faces: SeenFace, image=GRAY, class_names=()) -> np.ndarray:
    return annotated(Seen(Frame(image, 0.0), faces), class_names)


def of_colour(image: np.ndarray, number: int) -> np.ndarray:
    """Return where the colour of a face's bar and box is, as rows of (y, x)."""
    return np.argwhere((image == ImageColor.getrgb(COLORS[number - 1])).all(axis=2))


def changed(image: np.ndarray, before: np.ndarray = GRAY) -> np.ndarray:
    return np.argwhere((image != before).any(axis=2))


def test_without_a_face_the_frame_stays_as_it_is():
    assert drawn(image=NOISE) is NOISE


def test_the_frame_itself_is_not_drawn_on():
    before = NOISE.copy()
    image = drawn(face(), image=NOISE)
    assert np.array_equal(NOISE, before)
    assert (image.dtype, image.shape) == (NOISE.dtype, NOISE.shape)
    assert drawn(face(), image=NOISE[:, ::-1]).flags.c_contiguous  # also of a picture that is a view


def test_a_box_surrounds_the_face_and_a_bar_lies_upon_it():
    where = changed(drawn(face((200, 150, 200, 200))))
    box, bar = where[where[:, 0] > 155], where[where[:, 0] < 147]
    assert box[:, 1].min() == pytest.approx(200, abs=3) and box[:, 1].max() == pytest.approx(400, abs=3)
    assert box[:, 0].max() == pytest.approx(350, abs=3)
    inside = (where > [154, 204]).all(axis=1) & (where < [346, 396]).all(axis=1)
    assert not inside.any()  # nothing covers the face
    assert bar[:, 0].min() > 110 and bar[:, 1].min() == pytest.approx(200, abs=3)


@pytest.mark.parametrize(
    ("box", "below"),
    [((200, 150, 200, 200), False), ((200, 5, 200, 200), True), ((-20, -30, 100, 100), True)],
)
def test_the_bar_lies_below_a_box_at_the_upper_edge(box, below):
    where = of_colour(drawn(face(box)), 1)
    rows = np.bincount(where[:, 0])
    bar = np.flatnonzero(rows > 60)  # the box alone has but two columns there, and few full rows
    assert (bar.mean() > box[1] + box[3] / 2) == below


def test_a_bar_for_which_there_is_no_room_outside_lies_on_the_box():
    image = drawn(face((10, 0, 600, 479)))
    rows = np.bincount(of_colour(image, 1)[:, 0], minlength=480)
    assert (rows[5:15] > 50).all()


@settings(max_examples=100, deadline=None)
@given(
    st.tuples(st.floats(-300, 700), st.floats(-300, 500), st.floats(1, 900), st.floats(1, 900)),
    st.text(max_size=40),
    st.tuples(st.integers(8, 300), st.integers(8, 300)),
)
def test_anything_can_be_drawn_anywhere(box, label, size):
    image = drawn(face(box, label=label, number=12), face(number=3), image=np.zeros((*size, 3), np.uint8))
    assert image.shape == (*size, 3)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 540), st.floats(0, 400), st.floats(30, 300), st.sampled_from(FER7))
def test_a_bar_is_whole_wherever_the_face_is(x, y, side, label):
    bar = changed(drawn(face((100, 100, side, side), label=label)))
    moved = changed(drawn(face((x, y, side, side), label=label)))
    rows = [np.flatnonzero(np.bincount(where[:, 0]) > 20).size for where in (bar, moved)]
    assert rows[1] >= 12
    assert moved.min() >= 0


def test_a_label_too_long_for_the_frame_is_cut_and_its_percentage_is_not():
    narrow = np.full((120, 160, 3), 128, np.uint8)
    long, short = (drawn(face((0, 40, 160, 60), label=label), image=narrow) for label in ("m" * 200, "m"))
    assert not np.array_equal(long, short)
    other = drawn(face((0, 40, 160, 60), label="m" * 200, share=0.11), image=narrow)
    assert changed(other, long)[:, 1].min() > 80  # at the right end


@pytest.mark.parametrize("label", ["fröhlich", "radość", "счастье", "χαρά", "a\nb", "\x1b[31m", ""])
def test_labels_of_every_alphabet_are_drawn(label):
    assert not np.array_equal(drawn(face(label=label)), drawn(face(label="happy")))


def test_several_faces_have_their_numbers_and_own_colours():
    boxes = [(20, 100, 150, 150), (240, 100, 150, 150), (450, 100, 150, 150)]
    alone = drawn(face(boxes[0]))
    together = drawn(*(face(box, number=number) for number, box in enumerate(boxes, start=1)))
    for number, (x, _, width, _) in enumerate(boxes, start=1):
        columns = of_colour(together, number)[:, 1]
        assert columns.min() == pytest.approx(x, abs=3) and columns.max() == pytest.approx(x + width, abs=40)
    assert not np.array_equal(alone[:, :230], together[:, :230])  # a number is before the label


def test_a_nearer_face_lies_over_one_behind_it():
    near, far = face((100, 100, 300, 300), number=1), face((90, 110, 60, 60), number=2)
    assert np.array_equal(drawn(near, far), drawn(far, near))
    assert len(of_colour(drawn(far, near), 1)) >= len(of_colour(drawn(near), 1)) * 0.95


def test_faces_with_the_same_colour_are_rare():
    assert len(set(COLORS)) == len(COLORS) == 9
    drawn(face(number=10_000))


def test_a_single_faces_bar_keeps_its_width_whatever_it_says():
    said = (("sad", 1), ("surprise", 0.5))
    images = [drawn(face(label=label, share=share), class_names=FER7) for label, share in said]
    widths = [np.ptp(changed(image)[changed(image)[:, 0] < 147][:, 1]) for image in images]
    assert widths[0] == widths[1] == np.ptp(changed(drawn(face(label="surprise", share=1)))[:200, 1])


def test_the_text_grows_with_the_frame_and_shrinks_on_small_boxes():
    def bar_height(image, box):
        where = changed(drawn(face(box), image=image), image)
        return int(box[1] - where[:, 0].min())

    large = np.full((1080, 1920, 3), 128, np.uint8)
    assert bar_height(large, (500, 300, 400, 400)) > 1.8 * bar_height(GRAY, (200, 150, 200, 200))
    assert bar_height(GRAY, (200, 150, 60, 60)) < bar_height(GRAY, (200, 150, 200, 200))


# --- colours -----------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    channels = [value / 255 for value in ImageColor.getrgb(colour)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", COLORS)
def test_text_can_be_read_on_its_bar(colour):
    brighter, darker = sorted((luminance(colour), luminance(text_colour(colour))), reverse=True)
    assert (brighter + 0.05) / (darker + 0.05) >= 4.5  # WCAG 2.2, level AA


def test_the_colours_are_those_of_seaborns_palette_for_the_colour_blind():
    assert set(COLORS) < set(sns.color_palette("colorblind").as_hex())


@pytest.mark.parametrize("colour", COLORS)
def test_a_box_stands_out_from_every_gray(colour):
    lines = np.array([luminance(colour), luminance(text_colour(colour))])  # the line and its edge
    for gray in range(256):
        background = luminance(f"#{3 * f'{gray:02x}'}")
        contrasts = (np.maximum(lines, background) + 0.05) / (np.minimum(lines, background) + 0.05)
        assert contrasts.max() > 2.2


@pytest.mark.parametrize(("share", "text"), [(0.874, "87 %"), (1.0, "100 %"), (0.0, "0 %"), (0.996, "100 %")])
def test_shares_are_shown_in_percent(share, text):
    assert percent(share) == text


# --- files -------------------------------------------------------------------------------------------------


def test_a_png_holds_the_image_and_a_jpeg_nearly():
    image = drawn(face())
    for content, off in ((png(image), 0), (jpeg(image, 95), 3)):
        again = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        assert np.abs(again.astype(int) - image).mean() <= off
    sizes = [len(jpeg(NOISE, quality)) for quality in (30, 60, 90)]
    assert sizes == sorted(sizes) and all(a < b for a, b in itertools.pairwise(sizes))
