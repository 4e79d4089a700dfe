"""Near duplicates are found whatever was done to the copy, and nothing else is taken for one."""

import cv2
import numpy as np
import pandas as pd
import pytest
from helpers.face_sets import face_set

from fer_utils.data import FaceSet, duplicates
from fer_utils.synthetic import render_face, synthetic_sample

SIDE = 48


def faces(images: np.ndarray, *, split: list[str] | None = None, labels: list[int] | None = None) -> FaceSet:
    n = len(images)
    split = np.full(n, "train") if split is None else np.array(split)
    return face_set(images, np.zeros(n, int) if labels is None else labels, split=split)


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


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_a_changed_copy_is_found_and_nothing_else(change):
    image = render_face(**synthetic_sample("synthetic-s000-0000", "happy"), size=SIDE)
    noise = np.random.default_rng(0).integers(256, size=(3, SIDE, SIDE))
    images = [image, change(image), image, np.full((SIDE, SIDE), 9), *noise]
    pairs = duplicates.near_duplicates(faces(images))  # equal and blank images are in no pair
    assert pairs[["first", "second"]].to_numpy().tolist() == [[0, 1], [1, 2]]
    assert pairs["similarity"].between(duplicates.NEAR, 1 + 1e-5).all()


def test_pairs_are_counted_by_split_and_threshold():
    split = ["train", "train", "validation", "test", "test", "test"]
    images = np.zeros((6, 4, 4))
    images[:, 0, 0] = [1, 2, 3, 1, 4, 4]  # the fourth is the first; the last two are of one split
    six = faces(images, split=split, labels=[0, 1, 1, 0, 0, 0])
    pairs = pd.DataFrame({"first": [1, 2, 3, 0], "second": [3, 4, 5, 1], "similarity": [0.9, 0.95, 0.8, 0.9]})
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
    six = faces(images, split=["train"] * 3 + ["test"] * 3, labels=[0, 1, 0, 1, 0, 1])
    groups = duplicates.duplicate_groups(six)
    assert [group.tolist() for group in groups] == [[0, 1, 4], [3, 5]]
    assert duplicates.blank_images(six).tolist() == [2]
    assert duplicates.overlap_table(six).to_numpy().tolist() == [[1, 2], [1, 1]]
    assert list(duplicates.duplicate_summary(six, groups).values()) == [6, 2, 3, 1, 1, 1]
    nobody = six.take(np.zeros(6, bool))
    assert duplicates.duplicate_groups(nobody) == [] and duplicates.near_duplicates(nobody).empty
