"""Near duplicates are found whatever was done to the copy, and nothing else is taken for one.

Exact duplicates, overlaps and blank images are tested in `test_splits.py`.
"""

import itertools

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.data import FaceSet, duplicates
from fer_utils.labels import FER7
from fer_utils.synthetic import random_face

SIDE = 48


def faces(images: np.ndarray, *, split: list[str] | None = None, labels: list[int] | None = None) -> FaceSet:
    n = len(images)
    return FaceSet(
        name="toy",
        source="synthetic",
        images=np.asarray(images, np.uint8),
        labels=np.zeros(n, int) if labels is None else np.array(labels),
        class_names=("happy", "sad"),
        split=np.full(n, "train") if split is None else np.array(split),
        sample_id=np.array([f"toy-{i:03d}" for i in range(n)]),
    )


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


def moved(image: np.ndarray, *, x: float = 0, y: float = 0, scale: float = 1) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((SIDE / 2 - 0.5, SIDE / 2 - 0.5), 0, scale)
    matrix[:, 2] += (x, y)
    return cv2.warpAffine(image, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)


def toned(image: np.ndarray, *, gain: float, offset: float) -> np.ndarray:
    return np.clip(gain * image + offset, 0, 255).astype(np.uint8)


COPIES = {
    "recompressed": lambda image: jpeg(image, 40),
    "darker": lambda image: toned(image, gain=0.5, offset=5),
    "brighter, less contrast": lambda image: toned(image, gain=0.6, offset=80),
    "one pixel changed": lambda image: np.where(
        np.arange(SIDE**2).reshape(SIDE, SIDE) == 700, 255 - image, image
    ),
    "shifted": lambda image: moved(image, x=1, y=1),
    "enlarged": lambda image: moved(image, scale=1.04),
    "mirrored": lambda image: image[:, ::-1],
    "all at once": lambda image: jpeg(toned(moved(image[:, ::-1], x=1), gain=0.8, offset=20), 60),
}


@pytest.fixture(scope="module")
def mixed() -> FaceSet:
    """Six drawn faces, a copy of each, an exact copy of one and two blank images."""
    images = [random_face(seed, size=SIDE) for seed in range(6)]
    copies = [change(image) for image, change in zip(images, COPIES.values(), strict=False)]
    return faces(np.stack([*images, *copies, images[0], np.full((SIDE, SIDE), 9), np.zeros((SIDE, SIDE))]))


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_a_changed_copy_is_found(change, seed):
    image = random_face(seed, size=SIDE)
    (pair,) = duplicates.near_duplicates(faces(np.stack([image, change(image)]))).itertuples()
    assert (pair.first, pair.second) == (0, 1)
    assert duplicates.NEAR <= pair.similarity <= 1 + 1e-5


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_pictures_that_have_nothing_in_common_are_no_pair(seed):
    noise = np.random.default_rng(seed).integers(256, size=(8, SIDE, SIDE), dtype=np.uint8)
    assert duplicates.near_duplicates(faces(noise), threshold=duplicates.CANDIDATE).empty


def test_equal_pictures_and_blank_ones_are_in_no_pair(mixed):
    pairs = duplicates.near_duplicates(mixed, threshold=-1)
    assert np.isfinite(pairs["similarity"]).all()
    ends = pairs[["first", "second"]].to_numpy()
    assert not {13, 14} & set(ends.ravel()), "the blank ones"
    assert [0, 12] not in ends.tolist(), "the exact copy"
    assert [0, 6] in ends.tolist() and [6, 12] in ends.tolist()
    assert (ends[:, 0] < ends[:, 1]).all()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_blank_and_missing_pictures_give_an_empty_table(n):
    nothing = duplicates.near_duplicates(faces(np.zeros((n, SIDE, SIDE))))
    assert list(nothing.columns) == ["first", "second", "similarity", "mirrored"] and nothing.empty
    assert duplicates.near_groups(faces(np.zeros((n, SIDE, SIDE))), nothing) == []


def test_it_equals_the_comparison_of_every_pair_shift_by_shift(monkeypatch):
    """Blocks, thumbnails and OpenCV are only faster."""
    images = [random_face(seed, expression=mood, size=SIDE) for seed in range(4) for mood in FER7[:4]]
    drawn = faces(np.stack([*images, images[0][:, ::-1], images[5][:, ::-1]]))
    monkeypatch.setattr(duplicates, "_BLOCK", 5)
    pairs = duplicates.near_duplicates(drawn, threshold=duplicates.CANDIDATE)
    found = {(pair.first, pair.second): pair.similarity for pair in pairs.itertuples()}
    expected = {}
    for first, second in itertools.combinations(range(len(drawn)), 2):
        value = brute_force(drawn.images[first], drawn.images[second])
        if value is not None and value >= duplicates.CANDIDATE:
            expected[first, second] = value
    assert len(expected) > 5
    assert found == pytest.approx(expected, abs=1e-3)


def brute_force(first: np.ndarray, second: np.ndarray) -> float | None:
    """The definition in `near_duplicates`, written out; None where thumbnails differ too much."""

    def detail(image):
        image = image.astype(np.float64)
        shading = cv2.GaussianBlur(image, (0, 0), SIDE / 8, borderType=cv2.BORDER_REFLECT)
        return cv2.GaussianBlur(image - shading, (0, 0), SIDE / 48)

    def correlation(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    def thumbnail(picture):
        return picture.reshape(12, 4, 12, 4).mean(axis=(1, 3))

    values = []
    for a, b in ((detail(first), detail(second)), (detail(first), detail(second)[:, ::-1])):
        if correlation(thumbnail(a), thumbnail(b)) >= duplicates.CANDIDATE:
            for (y, x), (whole, part) in itertools.product(np.ndindex(9, 9), ((a, b), (b, a))):
                values.append(correlation(whole[y : y + 40, x : x + 40], part[4:-4, 4:-4]))
    return max(values, default=None)


# --- what is made of the pairs --------------------------------------------------------------------


def pairs_table(*pairs: tuple[int, int, float]) -> pd.DataFrame:
    table = pd.DataFrame(pairs, columns=["first", "second", "similarity"])
    return table.astype({"first": int, "second": int}).assign(mirrored=False)


def test_groups_are_what_the_pairs_link():
    six = faces(np.zeros((6, 4, 4)))
    groups = duplicates.near_groups(six, pairs_table((1, 4, 0.99), (0, 5, 0.95), (4, 5, 0.92)))
    assert [group.tolist() for group in groups] == [[0, 1, 4, 5]]
    apart = duplicates.near_groups(six, pairs_table((3, 4, 0.99), (0, 5, 0.95)))
    assert [group.tolist() for group in apart] == [[0, 5], [3, 4]]


def test_an_image_counts_once_in_each_part_that_it_has_a_near_duplicate_in():
    split = ["train", "train", "train", "validation", "test", "test"]
    six = faces(np.zeros((6, 4, 4)), split=split)
    table = duplicates.near_overlap_table(six, pairs_table((0, 4, 0.99), (1, 4, 0.95), (0, 1, 0.95)))
    assert table.index.tolist() == table.columns.tolist() == ["train", "validation", "test"]
    assert table.to_numpy().tolist() == [[2, 0, 2], [0, 0, 0], [1, 0, 0]]
    assert duplicates.near_overlap_table(six, pairs_table()).to_numpy().sum() == 0


def test_held_out_images_that_training_has_seen_are_counted_once():
    split = ["train", "train", "validation", "test", "test", "test"]
    images = np.zeros((6, 4, 4))
    images[:, 0, 0] = [1, 2, 3, 1, 4, 5]  # the fourth is the first
    six = faces(images, split=split)
    table = duplicates.seen_in_training(six, pairs_table((0, 3, 0.9), (1, 3, 0.9), (0, 4, 0.9), (2, 5, 0.9)))
    assert table.loc["test"].to_dict() == {"exact": 1, "near": 2, "exact or near": 2, "of": 3}
    assert table.loc["validation"].to_dict() == {"exact": 0, "near": 0, "exact or near": 0, "of": 1}
    assert "train" not in table.index


def test_held_out_images_that_stand_in_another_part_are_listed_with_how():
    split = ["train", "train", "validation", "test", "test", "test"]
    images = np.zeros((6, 4, 4))
    images[:, 0, 0] = [1, 2, 3, 1, 4, 4]  # the fourth is the first; the last two share a part
    six = faces(images, split=split)
    table = duplicates.copies_elsewhere(six, pairs_table((1, 3, 0.9), (2, 4, 0.9), (3, 5, 0.9), (0, 1, 0.9)))
    assert table.columns.tolist() == ["sample_id", "split", "exact", "near"]
    assert table["sample_id"].tolist() == six.sample_id[[2, 3, 4]].tolist()
    assert table["exact"].tolist() == [False, True, False]
    assert table["near"].tolist() == [True, True, True]
    assert len(duplicates.copies_elsewhere(six, pairs_table())) == 1


def test_each_threshold_is_counted_for_itself():
    split, labels = ["train", "train", "test", "test"], [0, 1, 1, FaceSet.UNLABELLED]
    four = faces(np.zeros((4, 4, 4)), split=split, labels=labels)
    table = duplicates.near_summary(
        four, pairs_table((0, 1, 0.99), (1, 2, 0.95), (2, 3, 0.80)), thresholds=(0.8, 0.9, 0.97, 1.0)
    )
    assert table["pairs"].tolist() == [3, 2, 1, 0]
    assert table["groups"].tolist() == [1, 1, 1, 0]
    assert table["images"].tolist() == table["largest group"].tolist() == [4, 3, 2, 0]
    assert table["groups that cross splits"].tolist() == [1, 1, 0, 0]
    assert table["groups with contradicting labels"].tolist() == [1, 1, 1, 0]


def test_an_image_without_a_label_contradicts_nothing():
    three = faces(np.zeros((3, 4, 4)), labels=[0, FaceSet.UNLABELLED, 1])
    groups = [np.array([0, 1]), np.array([0, 2])]
    assert [group.tolist() for group in duplicates.contradicting(three, groups)] == [[0, 2]]


def test_the_nearest_image_is_the_most_similar_of_either_end():
    nearest = duplicates.nearest_similarity(
        faces(np.zeros((4, 4, 4))), pairs_table((0, 1, 0.99), (1, 2, 0.95))
    )
    np.testing.assert_array_equal(nearest, [0.99, 0.99, 0.95, np.nan])


def test_exact_duplicates_across_splits_are_counted():
    images = np.random.default_rng(2).integers(256, size=(6, 4, 4), dtype=np.uint8)
    images[1], images[4], images[5] = images[0], images[0], images[3]
    images[2] = 7
    faces = FaceSet(
        name="fer2013",
        source="real",
        images=images,
        labels=np.arange(6) % 2,
        class_names=("happy", "sad"),
        split=np.repeat(["train", "test"], 3),
        sample_id=np.array([f"i{number}" for number in range(6)]),
    )
    groups = duplicates.duplicate_groups(faces)
    assert [group.tolist() for group in groups] == [[0, 1, 4], [3, 5]]
    assert duplicates.blank_images(faces).tolist() == [2]
    assert duplicates.overlap_table(faces).to_numpy().tolist() == [[1, 2], [1, 1]]
    assert duplicates.duplicate_summary(faces, groups) == {
        "images": 6,
        "groups of identical images": 2,
        "images that repeat another": 3,
        "groups that cross splits": 1,
        "groups with contradicting labels": 1,
        "blank images": 1,
    }
    assert duplicates.duplicate_groups(faces.take(np.zeros(6, bool))) == []
