"""Synthetic faces, clips and videos."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from fer_utils.labels import FER7, SMIC3
from fer_utils.synthetic import (
    ACTION_UNITS,
    Identity,
    action_unit_mask,
    render_face,
    synthetic_changes,
    synthetic_clip,
    synthetic_clips,
    synthetic_faces,
    synthetic_sample,
    synthetic_video,
)

TINY_CLIPS = {"size": 16, "n_frames": 2, "frame_rate": 10.0}

intensities = st.dictionaries(st.sampled_from(sorted(ACTION_UNITS)), st.floats(0, 1), max_size=6)
seeds = st.integers(0, 2**31)


@pytest.fixture(scope="module")
def faces():
    return synthetic_faces(n_subjects=6, images_per_subject=14, seed=2)


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.abs(first.astype(int) - second.astype(int))


# Faces


@settings(max_examples=15, deadline=None)
@given(
    person=seeds,
    units=intensities,
    unit=st.sampled_from((1, 2, 4, 5, 7, 43, 15, 16, 20, 23, 24, 25)),
    asymmetry=st.floats(-0.4, 0.4),
)
def test_units_of_brows_and_eyes_leave_the_mouth_as_it_is_and_the_reverse(person, units, unit, asymmetry):
    off, on, again = (
        render_face(Identity.sample(person), {**units, unit: value}, size=96, asymmetry=asymmetry)
        for value in (0.0, 1.0, 1.0)
    )
    np.testing.assert_array_equal(on, again)
    elsewhere = slice(54, None) if unit in (1, 2, 4, 5, 7, 43) else slice(50)
    assert not difference(off, on)[elsewhere].any()
    mask = action_unit_mask(Identity.sample(person), unit, size=96)
    assert mask.any() and not mask[elsewhere].any()


@pytest.mark.parametrize(("n_subjects", "per_subject"), [(3, 1), (5, 9), (8, 7)])
def test_splits_share_no_person_and_classes_are_balanced(n_subjects, per_subject):
    faces = synthetic_faces(n_subjects=n_subjects, images_per_subject=per_subject, size=16)
    parts = [faces.only(split) for split in ("train", "validation", "test")]
    subjects = [set(part.subject) for part in parts]
    assert all(subjects) and sum(map(len, subjects)) == len(set.union(*subjects)) == n_subjects
    assert all(np.ptp(np.bincount(part.labels, minlength=len(FER7))) <= 1 for part in parts)


def test_an_image_depends_on_its_own_seed_subject_and_number_alone(faces):
    few = synthetic_faces(n_subjects=3, images_per_subject=7, seed=2)
    np.testing.assert_array_equal(few.images[7:14], faces.images[14:21])
    assert few.fingerprint != synthetic_faces(n_subjects=3, images_per_subject=7, seed=1).fingerprint


def test_images_and_changes_follow_from_the_action_units_of_each_image(faces):
    changes = synthetic_changes(faces, seed=2)
    for row in (0, 33, 83):
        drawn = synthetic_sample(faces.sample_id[row], faces.class_names[faces.labels[row]], seed=2)
        np.testing.assert_array_equal(render_face(**drawn, size=48), faces.images[row])
    surprise, neutral = (changes[faces.labels == FER7.index(name)].mean() for name in ("surprise", "neutral"))
    assert surprise > 3 * neutral
    with pytest.raises(ValueError, match="seed 3"):
        synthetic_changes(faces, seed=3)


def test_a_face_detector_finds_the_faces():
    detector = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    faces = synthetic_faces(n_subjects=25, images_per_subject=1, size=192).images
    assert [len(detector.detectMultiScale(face, 1.1, 5)) for face in faces].count(1) >= 23


# Clips


def test_the_default_clips_have_the_proportions_of_smic():
    clips = synthetic_clips(**TINY_CLIPS)
    assert clips.source == "synthetic" and clips.class_names == SMIC3
    assert np.bincount(clips.labels).tolist() == [70, 51, 43]
    _, per_subject = np.unique(clips.subject, return_counts=True)
    assert (len(per_subject), per_subject.max()) == (16, 39)


@pytest.mark.parametrize("frame_rate", [25.0, 100.0])
def test_clips_run_from_onset_to_offset_and_can_be_rendered_from_their_ids(frame_rate):
    clips = synthetic_clips(n_subjects=2, clips_per_subject=3, size=16, frame_rate=frame_rate, seed=2)
    assert clips.clips.shape == (6, 18, 16, 16)
    assert (clips.onset == 0).all() and (clips.apex > 0).all() and (clips.apex < clips.offset).all()
    for row in (0, 5):
        performance = synthetic_clip(clips.sample_id[row], clips.class_names[clips.labels[row]], seed=2)
        assert clips.apex[row] == round(frame_rate * performance.movements[0].apex)
        ends = [performance.frame(clips.offset[row] * share / frame_rate, size=16) for share in (0, 1)]
        np.testing.assert_array_equal(ends, clips.clips[row, [0, -1]])


def test_the_change_predicts_the_label_and_a_single_frame_hardly_does():
    subjects, labels = np.repeat(np.arange(18), 15), np.tile([0, 1, 2], 18 * 5)
    performances = [
        synthetic_clip(f"synthetic-clip-s{subject:03d}-{number:04d}", SMIC3[label])
        for number, (subject, label) in enumerate(zip(subjects, labels, strict=True))
    ]
    onset, apex = (
        np.stack([p.frame(getattr(p.movements[0], when), size=32) for p in performances]).astype(np.float32)
        for when in ("onset", "apex")
    )

    def accuracy(images: np.ndarray) -> float:
        classifier = LogisticRegression(C=0.05, class_weight="balanced")
        model = make_pipeline(PCA(40, whiten=True, svd_solver="randomized", random_state=0), classifier)
        flat = images.reshape(len(images), -1)
        predicted = cross_val_predict(model, flat, labels, groups=subjects, cv=GroupKFold(3))
        return balanced_accuracy_score(labels, predicted)

    with threadpool_limits(1):  # faster than many threads for small matrices
        assert accuracy(apex - onset) > 1 / 3 + 0.25
        assert max(accuracy(onset), accuracy(apex)) < 1 / 3 + 0.14


# Videos


@settings(max_examples=15, deadline=None)
@given(n_micro=st.integers(0, 5), n_macro=st.integers(0, 3), seconds=st.floats(15, 60), seed=seeds)
def test_a_video_is_mostly_neutral_with_expressions_apart(n_micro, n_macro, seconds, seed):
    video = synthetic_video(seconds=seconds, n_micro=n_micro, n_macro=n_macro, seed=seed)
    durations = np.array([event.offset - event.onset for event in video.events])
    assert ((durations <= 0.5).sum(), (durations > 0.5).sum()) == (n_micro, n_macro)
    bounds = [0.0, *(time for event in video.events for time in (event.onset, event.offset)), seconds]
    assert all(stop - start > 0.49 for start, stop in zip(bounds[::2], bounds[1::2], strict=True))


@pytest.mark.parametrize(
    ("call", "culprit"),
    [
        (lambda: render_face(Identity(), {3: 0.5}), "action unit 3"),
        (lambda: render_face(Identity(), {12: float("nan")}), "action unit 12.*nan"),
        (lambda: render_face(Identity(), {}, size=8), "size 8"),
        (lambda: synthetic_clips(n_subjects=1), "too few"),
        (lambda: synthetic_clips(frame_rate=5.0), "frame_rate.*5.0"),
        (lambda: synthetic_video(seconds=4.0), "do not fit into 4.0 s"),
    ],
)
def test_invalid_requests_name_the_culprit(call, culprit):
    with pytest.raises(ValueError, match=culprit):
        call()
