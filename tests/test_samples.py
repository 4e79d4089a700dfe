"""FaceSet and ClipSet: consistent arrays, fingerprints, classes, frames, and sets combined to one."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.face_sets import clip_set, face_set
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.data import NO_APEX, ClipSet, FaceSet, clip_of, combine, separate
from fer_utils.data.registry import FACES
from fer_utils.labels import FER7, SMIC3

CKPLUS7 = FACES["ckplus"].class_names


def faces(**changes) -> FaceSet:
    images = np.random.default_rng(0).integers(256, size=(6, 4, 5))
    split = np.array(["train", "train", "train", "test", "test", "validation"])
    whole = face_set(images, None, ("happy", "sad", "fear"), name="small", split=split)
    return replace(whole, **{"sample_id": np.array(list("abcdef"))} | changes)


def clips(**changes) -> ClipSet:
    frames = np.random.default_rng(0).integers(256, size=(4, 5, 3, 2))
    columns = {"sample_id": ["s1/a", "s1/b", "s2/a", "s2/b"], "onset": [1, 40, 7, 9]}
    columns |= {"apex": [3, NO_APEX, 7, 13], "offset": [9, 60, 15, 13]}
    columns = {name: np.array(values) for name, values in columns.items()}
    whole = clip_set(frames, [0, 1, 2, 0], SMIC3, subject=["s1", "s1", "s2", "s2"], name="small", **columns)
    return replace(whole, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((6, 4, 5))}, "images must be uint8"),
        ({"labels": np.array([0, 1])}, "2 labels for 6 images"),
        ({"labels": np.array([0, 1, -1, 0, 1, 2])}, "labels"),
        ({"class_names": ("happy", "sad", "sad")}, "a class twice"),
        ({"class_names": ("happy", "sad", "total")}, "total"),
        ({"split": np.array(["train"] * 5 + ["PrivateTest"])}, "PrivateTest"),
        ({"sample_id": np.array(list("abcdea"))}, "not unique"),
    ],
)
def test_inconsistent_arrays_are_an_error(changes, message):
    with pytest.raises(ValueError, match=f"small: .*{message}"):
        faces(**changes)


def test_take_keeps_all_columns_of_the_chosen_samples():
    one = faces(subject=np.array(list("uvwxyz")), dropped=("line 7: bad",)).take(np.array([4, 0]))
    assert [one.sample_id.tolist(), one.subject.tolist(), one.labels.tolist()] == [[*"ea"], [*"yu"], [1, 0]]
    np.testing.assert_array_equal(one.images, faces().images[[4, 0]])
    assert one.dropped == ("line 7: bad",)
    assert faces().only("test").sample_id.tolist() == ["d", "e"]
    assert len(faces().only("pooled_test")) == 0


def test_fewer_classes_in_another_order_are_relabelled():
    two = faces(labels=np.array([0, 1, 2, 1, 1, 2])).with_classes(("fear", "happy"))
    assert two.class_names == ("fear", "happy")
    assert (two.sample_id.tolist(), two.labels.tolist()) == (["a", "c", "f"], [1, 0, 0])
    with pytest.raises(ValueError, match=r"contempt.*happy, sad, fear"):
        faces().with_classes(("happy", "contempt"))


def test_counts_have_totals():
    counts = faces().counts()
    assert counts.index.tolist() == ["happy", "sad", "fear", "total"]
    assert counts.columns.tolist() == ["train", "validation", "test", "total"]
    assert counts.to_numpy().tolist() == [[1, 0, 1, 2], [1, 0, 1, 2], [1, 1, 0, 2], [3, 1, 2, 6]]
    by_subject = clips().counts()
    assert by_subject.columns.tolist() == ["s1", "s2", "total"]
    assert by_subject.to_numpy().tolist() == [[1, 1, 2], [1, 0, 1], [0, 1, 1], [2, 2, 4]]
    assert clips().take(np.zeros(4, bool)).counts()["total"].tolist() == [0, 0, 0, 0]


def test_fingerprints_are_those_of_earlier_versions():
    images = np.arange(120, dtype=np.uint8)
    of_faces = "ec86a6acacdb637919d00fd07777000250c59aa88d19428afe1bfbb1b45c4ec2"
    assert faces(images=images.reshape(6, 4, 5)).fingerprint == of_faces
    of_clips = "1abbab850016f021a9c7dd3bdbd771846b66ca53547a2b02c327bf4746a1846d"
    assert clips(clips=images.reshape(4, 5, 3, 2)).fingerprint == of_clips


def test_a_fingerprint_depends_on_pixels_labels_splits_subjects_and_times_alone():
    for one, order in ((faces(), [3, 1, 5, 0, 2, 4]), (clips(), [3, 1, 0, 2])):
        assert one.take(np.array(order)).fingerprint == one.fingerprint
        assert replace(one, sample_id=np.arange(len(one)).astype(str)).fingerprint == one.fingerprint
        assert one.with_classes(one.class_names[::-1]).fingerprint == one.fingerprint
    for changed in (
        faces(images=faces().images.reshape(6, 5, 4)),
        faces(labels=np.array([1, 1, 2, 0, 1, 2])),
        faces(split=np.array(["test", "train", "train", "test", "test", "validation"])),
        faces().take(np.arange(5)),
        clips(subject=np.array(["s1", "s2", "s2", "s2"])),
        clips(apex=np.array([3, 41, 7, 13])),
    ):
        assert changed.fingerprint not in (faces().fingerprint, clips().fingerprint)


def test_frames_carry_clip_subject_and_label():
    frames = clips(notes=("a note",), skipped=("s3: empty",)).frames()
    assert frames.images.shape == (20, 3, 2)
    np.testing.assert_array_equal(frames.images[7], clips().clips[1, 2])
    assert frames.sample_id[[0, 7, 19]].tolist() == ["s1/a/000", "s1/b/002", "s2/b/004"]
    np.testing.assert_array_equal(clip_of(frames.sample_id), np.repeat(clips().sample_id, 5))
    np.testing.assert_array_equal(frames.subject, np.repeat(clips().subject, 5))
    np.testing.assert_array_equal(frames.labels, np.repeat(clips().labels, 5))
    assert (frames.notes, frames.dropped) == (("a note",), ("s3: empty",))


def one_set(name: str, labels, class_names=FER7, *, split="train", size=4, **more) -> FaceSet:
    count = len(labels)
    images = np.arange(count * size * size, dtype=np.uint8).reshape(count, size, size)
    columns = {"split": np.full(count, split, dtype="U12"), "sample_id": np.arange(count).astype(str)}
    return face_set(images, np.array(labels, dtype=np.int64), class_names, name=name, **columns, **more)


def classes(one: FaceSet) -> list[str]:
    return [one.class_names[label] for label in one.labels]


LABELS = st.lists(st.integers(0, 6), max_size=12)


@settings(deadline=None, max_examples=25)
@given(LABELS, LABELS, st.permutations(sorted({*FER7, *CKPLUS7})))
def test_combined_images_keep_class_split_and_pixels_and_can_be_separated(some, others, class_names):
    sets = [one_set("fer2013", some, split="validation"), one_set("ckplus", others, CKPLUS7)]
    both = combine(sets, class_names=class_names)
    assert both.name == "fer2013+ckplus" and both.class_names == tuple(class_names)
    assert classes(both) == classes(sets[0]) + classes(sets[1])
    assert both.split.tolist() == [*sets[0].split, *sets[1].split]
    for before, after in zip(sets, separate(both), strict=True):
        assert after.name == before.name and classes(after) == classes(before)
        assert after.sample_id.tolist() == [f"{before.name}/{one}" for one in before.sample_id]
        np.testing.assert_array_equal(after.images, before.images)


def test_a_set_that_was_not_combined_stays_whole():
    for one in (one_set("fer2013", [0, 1]), one_set("mine+yours", [0, 1])):
        assert separate(one) == (one,)


def test_combining_notes_missing_classes_and_images_left_out():
    both = combine([one_set("rafdb", range(7)), one_set("ckplus", range(7), CKPLUS7)], class_names=FER7)
    assert len(both) == 13 and both.notes[0] == "ckplus has no neutral"
    assert "1 of 7 images left out" in both.notes[1] and "contempt 1" in both.notes[1]


def test_sets_that_cannot_be_combined_are_an_error():
    with pytest.raises(ValueError, match=r"a: real, \(4, 4\); b: real, \(5, 5\)"):
        combine([one_set("a", [0]), one_set("b", [0], size=5)], class_names=FER7)
    with pytest.raises(ValueError, match="b: synthetic"):
        combine([one_set("a", [0]), one_set("b", [0], source="synthetic")], class_names=FER7)
