"""A ClipSet is consistent when it exists, names what is in it, and can be taken apart into frames."""

from dataclasses import replace

import numpy as np
import pytest

from fer_utils.data import NO_APEX, ClipSet, clip_of


def clips(**changes) -> ClipSet:
    fields = {
        "name": "small",
        "source": "real",
        "clips": np.random.default_rng(0).integers(256, size=(4, 5, 3, 2), dtype=np.uint8),
        "labels": np.array([0, 1, 2, 0]),
        "class_names": ("negative", "positive", "surprise"),
        "sample_id": np.array(["s1/a", "s1/b", "s2/a", "s2/b"]),
        "subject": np.array(["s1", "s1", "s2", "s2"]),
        "frame_rate": np.full(4, 100.0),
        "onset": np.array([1, 40, 7, 9]),
        "apex": np.array([3, NO_APEX, 7, 13]),
        "offset": np.array([9, 60, 15, 13]),
    }
    return ClipSet(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clips": np.zeros((4, 5, 3, 2))}, "clips must be uint8 of shape .N, T, H, W., got float64"),
        ({"clips": np.zeros((4, 5, 3), np.uint8)}, r"got uint8 \(4, 5, 3\)"),
        ({"labels": np.array([0, 1])}, "2 labels for 4 clips"),
        ({"onset": np.array([1])}, "1 onset for 4 clips"),
        ({"labels": np.array([0, 1, 3, 0])}, "labels must lie in 0-2"),
        ({"labels": np.array([0, 1, -1, 0])}, "labels must lie in 0-2"),
        ({"class_names": ("negative", "positive", "negative")}, "a class twice"),
        ({"sample_id": np.array(list("abca"))}, "sample ids are not unique"),
        ({"subject": np.array(["s1", "", "s2", "s2"])}, "s1/b has no subject"),
        ({"frame_rate": np.array([100, 100, 0, 100.0])}, "s2/a has no positive frame rate"),
        ({"frame_rate": np.array([100, 100, np.nan, 100.0])}, "s2/a has no positive frame rate"),
        ({"onset": np.array([1, 61, 7, 9])}, "s1/b has its onset after its offset"),
        ({"apex": np.array([3, -1, 16, 13])}, "s2/a has its apex outside onset to offset"),
        ({"apex": np.array([0, -1, 7, 13])}, "s1/a has its apex outside onset to offset"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(changes, message):
    with pytest.raises(ValueError, match=f"small: .*{message}"):
        clips(**changes)


def test_taking_clips_keeps_everything_that_belongs_to_them():
    two = clips().take(np.array([2, 0]))
    assert two.sample_id.tolist() == ["s2/a", "s1/a"]
    assert two.subject.tolist() == ["s2", "s1"]
    assert two.labels.tolist() == [2, 0]
    assert (two.onset.tolist(), two.apex.tolist(), two.offset.tolist()) == ([7, 1], [7, 3], [15, 9])
    np.testing.assert_array_equal(two.clips, clips().clips[[2, 0]])


def test_fewer_classes_in_another_order_are_relabelled_and_the_others_left_out():
    two = clips().with_classes(("surprise", "negative"))
    assert two.class_names == ("surprise", "negative")
    assert two.sample_id.tolist() == ["s1/a", "s2/a", "s2/b"]
    assert two.labels.tolist() == [1, 0, 1]


def test_a_class_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"no class .*contempt.*; it has negative, positive, surprise"):
        clips().with_classes(("negative", "contempt"))


def test_counts_have_a_row_per_class_a_column_per_subject_and_totals():
    counts = clips().counts()
    assert counts.index.tolist() == ["negative", "positive", "surprise", "total"]
    assert counts.columns.tolist() == ["s1", "s2", "total"]
    assert counts.to_numpy().tolist() == [[1, 1, 2], [1, 0, 1], [0, 1, 1], [2, 2, 4]]


def test_a_class_without_clips_is_counted_as_well():
    assert clips().take(np.array([0, 3])).counts()["total"].tolist() == [2, 0, 0, 2]


def test_the_apex_is_found_among_the_frames_that_run_from_onset_to_offset():
    # (3 - 1) / (9 - 1) of 4 steps; unknown; the onset itself; the offset itself
    assert clips().apex_position.tolist() == [1, NO_APEX, 0, 4]


def test_clips_sampled_otherwise_do_not_know_where_their_apex_is():
    with pytest.raises(ValueError, match="do not run evenly from onset to offset"):
        _ = clips(origin={"sampling": "first"}).apex_position


def test_frames_are_pictures_that_carry_clip_subject_and_label():
    faces = clips(notes=("a note",), skipped=("s3: empty",)).frames()
    assert faces.images.shape == (20, 3, 2)
    np.testing.assert_array_equal(faces.images[7], clips().clips[1, 2])
    assert faces.sample_id[[0, 7, 19]].tolist() == ["s1/a/000", "s1/b/002", "s2/b/004"]
    np.testing.assert_array_equal(clip_of(faces.sample_id), np.repeat(clips().sample_id, 5))
    np.testing.assert_array_equal(faces.subject, np.repeat(clips().subject, 5))
    np.testing.assert_array_equal(faces.labels, np.repeat(clips().labels, 5))
    assert set(faces.split) == {"unassigned"}
    assert (faces.notes, faces.dropped) == (("a note",), ("s3: empty",))


def test_no_clips_have_no_frames_and_are_counted():
    none = clips().take(np.zeros(4, dtype=bool))
    assert len(none) == len(none.frames()) == 0
    assert none.counts()["total"].tolist() == [0, 0, 0, 0]


def test_equal_clips_have_equal_digests():
    repeated = clips(clips=clips().clips[[0, 1, 0, 2]])
    digests = repeated.digests
    assert digests[0] == digests[2]
    assert len(set(digests)) == 3


def test_the_fingerprint_does_not_depend_on_order_ids_or_label_numbers():
    one = clips()
    assert one.take(np.array([3, 1, 0, 2])).fingerprint == one.fingerprint
    assert replace(one, sample_id=np.array(list("uvwx"))).fingerprint == one.fingerprint
    assert one.with_classes(("surprise", "negative", "positive")).fingerprint == one.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"clips": clips().clips ^ np.array([1, 0, 0, 0], dtype=np.uint8)[:, None, None, None]},
        {"clips": clips().clips.reshape(4, 5, 2, 3)},
        {"labels": np.array([1, 1, 2, 0])},
        {"subject": np.array(["s1", "s2", "s2", "s2"])},
        {"frame_rate": np.array([100, 100, 25.0, 100])},
        {"onset": np.array([2, 40, 7, 9])},
        {"apex": np.array([3, 41, 7, 13])},
        {"offset": np.array([9, 61, 15, 13])},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_fingerprint_changes_with_any_pixel_label_subject_or_time(changes):
    assert clips(**changes).fingerprint != clips().fingerprint


def test_the_fingerprint_is_the_same_on_every_machine_and_in_every_version():
    # Results and checkpoints of earlier versions are recognised by it.
    pixels = np.arange(120, dtype=np.uint8).reshape(4, 5, 3, 2)
    assert clips(clips=pixels).fingerprint == FINGERPRINT


FINGERPRINT = "1abbab850016f021a9c7dd3bdbd771846b66ca53547a2b02c327bf4746a1846d"
