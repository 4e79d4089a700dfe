"""Near duplicates are found whatever was done to the copy, and nothing else is taken for one."""

import itertools

import cv2
import numpy as np
import pandas as pd
import pytest

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


def test_equal_pictures_and_blank_ones_are_in_no_pair(mixed):
    pairs = duplicates.near_duplicates(mixed, threshold=-1)
    assert np.isfinite(pairs["similarity"]).all()
    ends = pairs[["first", "second"]].to_numpy()
    assert not {13, 14} & set(ends.ravel()), "the blank ones"
    assert [0, 12] not in ends.tolist(), "the exact copy"
    assert [0, 6] in ends.tolist() and [6, 12] in ends.tolist()
    assert (ends[:, 0] < ends[:, 1]).all()


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


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_changed_copy_is_found_and_nothing_else(change, seed):
    image, noise = (
        random_face(seed, size=SIDE),
        np.random.default_rng(seed).integers(256, size=(3, SIDE, SIDE)),
    )
    (pair,) = duplicates.near_duplicates(faces([image, change(image), *noise])).itertuples()
    assert (pair.first, pair.second) == (0, 1)
    assert duplicates.NEAR <= pair.similarity <= 1 + 1e-5


def test_pairs_are_counted_by_split_and_threshold():
    split = ["train", "train", "validation", "test", "test", "test"]
    images = np.zeros((6, 4, 4))
    images[:, 0, 0] = [1, 2, 3, 1, 4, 4]  # the fourth is the first; the last two are of one split
    six = faces(images, split=split, labels=[0, 1, 1, 0, 0, FaceSet.UNLABELLED])
    pairs = pd.DataFrame({"first": [1, 2, 3, 0], "second": [3, 4, 5, 1], "similarity": [0.9, 0.95, 0.8, 0.9]})
    groups = duplicates.near_groups(six, pairs)
    assert [group.tolist() for group in groups] == [[0, 1, 3, 5], [2, 4]]
    assert duplicates.near_overlap_table(six, pairs).to_numpy().tolist() == [[2, 0, 1], [0, 0, 1], [1, 1, 2]]
    seen = duplicates.seen_in_training(six, pairs)
    assert seen.loc["test"].to_dict() == {"exact": 1, "near": 1, "exact or near": 1, "of": 3}
    assert "train" not in seen.index and not seen.loc["validation", ["exact", "near"]].any()
    elsewhere = duplicates.copies_elsewhere(six, pairs)
    assert elsewhere["sample_id"].tolist() == six.sample_id[[2, 3, 4]].tolist()
    assert elsewhere[["exact", "near"]].to_numpy().tolist() == [[False, True], [True, True], [False, True]]
    summary = duplicates.near_summary(six, pairs, thresholds=(0.8, 0.9, 0.93, 1.0))
    assert summary.to_numpy().tolist() == [
        [4, 2, 6, 4, 2, 2],
        [3, 2, 5, 3, 2, 2],
        [1, 1, 2, 2, 1, 1],
        [0, 0, 0, 0, 0, 0],
    ]
    nearest = duplicates.nearest_similarity(six, pairs[:2])
    np.testing.assert_array_equal(nearest, [np.nan, 0.9, 0.95, 0.9, 0.95, np.nan])


def test_exact_duplicates_across_splits_are_counted():
    images = np.random.default_rng(2).integers(256, size=(6, 4, 4))
    images[1], images[4], images[5] = images[0], images[0], images[3]
    images[2] = 7
    six = faces(images, split=["train"] * 3 + ["test"] * 3, labels=[0, 1, 0, 1, FaceSet.UNLABELLED, 1])
    groups = duplicates.duplicate_groups(six)
    assert [group.tolist() for group in groups] == [[0, 1, 4], [3, 5]]
    assert duplicates.blank_images(six).tolist() == [2]
    assert duplicates.overlap_table(six).to_numpy().tolist() == [[1, 2], [1, 1]]
    assert list(duplicates.duplicate_summary(six, groups).values()) == [6, 2, 3, 1, 1, 1]
    nobody = six.take(np.zeros(6, bool))
    assert duplicates.duplicate_groups(nobody) == [] and duplicates.near_duplicates(nobody).empty
