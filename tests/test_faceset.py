"""A FaceSet is consistent when it exists, and its fingerprint says what is in it and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from fer_utils.data import UNLABELLED, FaceSet


def faces(**changes) -> FaceSet:
    fields = {
        "name": "small",
        "source": "real",
        "images": np.random.default_rng(0).integers(256, size=(6, 4, 5), dtype=np.uint8),
        "labels": np.array([0, 1, 2, 0, 1, 2]),
        "class_names": ("happy", "sad", "fear"),
        "split": np.array(["train", "train", "train", "test", "test", "validation"]),
        "sample_id": np.array(list("abcdef")),
    }
    return FaceSet(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((6, 4, 5))}, "images must be uint8 of shape .N, H, W., got float64"),
        ({"images": np.zeros((6, 20), np.uint8)}, r"got uint8 \(6, 20\)"),
        ({"labels": np.array([0, 1])}, "2 labels for 6 images"),
        ({"labels": np.array([0, 1, 3, 0, 1, 2])}, "labels must lie in 0-2"),
        ({"labels": np.array([0, 1, -2, 0, 1, 2])}, "labels must lie in 0-2, or -1 for no class"),
        ({"class_names": ("happy", "sad", "sad")}, "a class twice.*: happy, sad, sad"),
        ({"class_names": ("happy", "sad", "total")}, "called unlabelled or total: happy, sad, total"),
        ({"split": np.array(["train"] * 5 + ["PrivateTest"])}, "unknown split names.*PrivateTest"),
        ({"sample_id": np.array(list("abcdea"))}, "sample ids are not unique"),
        ({"subject": np.array(["s1"])}, "1 subject for 6 images"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(changes, message):
    with pytest.raises(ValueError, match=f"small: .*{message}"):
        faces(**changes)


def test_nobody_is_known_where_no_subject_is_given():
    assert faces().subject.tolist() == [""] * 6


def test_taking_images_keeps_everything_that_belongs_to_them():
    one = faces(subject=np.array(list("uvwxyz"))).take(np.array([4, 0]))
    assert one.sample_id.tolist() == ["e", "a"]
    assert one.subject.tolist() == ["y", "u"]
    assert one.labels.tolist() == [1, 0]
    np.testing.assert_array_equal(one.images, faces().images[[4, 0]])


def test_one_split_may_be_empty():
    assert faces().only("test").sample_id.tolist() == ["d", "e"]
    assert len(faces().only("pooled_test")) == 0


def test_fewer_classes_in_another_order_are_relabelled_and_the_others_left_out():
    two = faces().with_classes(("fear", "happy"))
    assert two.class_names == ("fear", "happy")
    assert two.sample_id.tolist() == ["a", "c", "d", "f"]
    assert two.labels.tolist() == [1, 0, 1, 0]


def test_a_class_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"no class .*contempt.*; it has happy, sad, fear"):
        faces().with_classes(("happy", "contempt"))


def test_counts_have_a_row_per_class_a_column_per_split_and_totals():
    counts = faces().counts()
    assert counts.index.tolist() == ["happy", "sad", "fear", "total"]
    assert counts.columns.tolist() == ["train", "validation", "test", "total"]
    assert counts.to_numpy().tolist() == [[1, 0, 1, 2], [1, 0, 1, 2], [1, 1, 0, 2], [3, 1, 2, 6]]


def some_unlabelled() -> FaceSet:
    return faces(labels=np.array([0, 1, FaceSet.UNLABELLED, UNLABELLED, 1, 2]))


def test_images_without_a_class_are_counted_in_a_row_of_their_own():
    counts = some_unlabelled().counts()
    assert counts.index.tolist() == ["happy", "sad", "fear", "unlabelled", "total"]
    assert counts.loc["unlabelled"].tolist() == [1, 0, 1, 2]
    assert counts.loc["total", "total"] == 6
    assert some_unlabelled().labelled().counts().index.tolist() == ["happy", "sad", "fear", "total"]


def test_images_without_a_class_are_not_among_those_that_have_one():
    assert some_unlabelled().labelled().sample_id.tolist() == ["a", "b", "e", "f"]
    every = some_unlabelled().with_classes(("fear", "sad", "happy"))
    assert every.sample_id.tolist() == ["a", "b", "e", "f"]
    assert every.labels.tolist() == [2, 1, 1, 0]


def test_the_fingerprint_tells_an_image_without_a_class_from_one_with():
    prints = {some_unlabelled().fingerprint, faces().fingerprint}
    prints.add(faces(labels=np.full(6, UNLABELLED)).fingerprint)
    assert len(prints) == 3


def test_what_was_dropped_stays_with_every_part_of_the_set():
    one = faces(dropped=("line 7: no",))
    assert one.only("train").with_classes(("happy",)).dropped == ("line 7: no",)


def test_the_fingerprint_does_not_depend_on_order_ids_or_label_numbers():
    one = faces()
    assert one.take(np.array([3, 1, 5, 0, 2, 4])).fingerprint == one.fingerprint
    assert replace(one, sample_id=np.array(list("uvwxyz"))).fingerprint == one.fingerprint
    assert one.with_classes(("fear", "sad", "happy")).fingerprint == one.fingerprint


@pytest.mark.parametrize("part", ["images", "labels", "split"])
def test_the_fingerprint_changes_with_any_pixel_label_or_split(part):
    changed = {"images": faces().images.copy(), "labels": faces().labels, "split": faces().split}[part].copy()
    changed[0] = {"images": faces().images[0] ^ 1, "labels": 1, "split": "test"}[part]
    assert faces(**{part: changed}).fingerprint != faces().fingerprint


def test_the_fingerprint_changes_with_the_shape_and_with_a_repeated_image():
    assert faces(images=faces().images.reshape(6, 5, 4)).fingerprint != faces().fingerprint
    repeated = faces().take(np.array([0, 1, 2, 3, 4]))
    assert repeated.fingerprint != faces().fingerprint


def test_the_fingerprint_is_the_same_on_every_machine_and_in_every_version():
    # Results and checkpoints of earlier versions are recognised by it.
    assert faces(images=np.arange(120, dtype=np.uint8).reshape(6, 4, 5)).fingerprint == FINGERPRINT


FINGERPRINT = "ec86a6acacdb637919d00fd07777000250c59aa88d19428afe1bfbb1b45c4ec2"
