import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.labels import SMIC3
from fer_utils.synthetic.clips import (
    EXPRESSIONS,
    Movement,
    synthetic_clip,
    synthetic_clips,
)
from fer_utils.synthetic.motion import MICRO_PEAK, MICRO_SECONDS
from fer_utils.synthetic.video import synthetic_video

SMALL = {"n_subjects": 4, "size": 32, "frame_rate": 25.0}
TINY = {"size": 16, "n_frames": 2, "frame_rate": 10.0}

seeds = st.integers(0, 2**31)


@pytest.fixture(scope="module")
def like_smic():
    return synthetic_clips(**TINY)


# --- the data set ---------------------------------------------------------------------------------


def test_the_default_set_has_the_proportions_of_smic(like_smic):
    assert like_smic.source == "synthetic"
    assert like_smic.class_names == SMIC3
    assert list(np.bincount(like_smic.labels)) == [70, 51, 43]
    _, per_subject = np.unique(like_smic.subject, return_counts=True)
    assert len(per_subject) == 16
    assert per_subject.max() == 39


@settings(max_examples=8, deadline=None)
@given(n_subjects=st.integers(2, 6), clips_per_subject=st.floats(3, 12), seed=seeds)
def test_every_class_has_clips_of_two_subjects_and_every_subject_a_clip(n_subjects, clips_per_subject, seed):
    clips = synthetic_clips(n_subjects=n_subjects, clips_per_subject=clips_per_subject, seed=seed, **TINY)
    assert len(clips) == round(n_subjects * clips_per_subject)
    assert len(np.unique(clips.subject)) == n_subjects
    assert all(len(np.unique(clips.subject[clips.labels == label])) >= 2 for label in range(3))
    smic = np.array([70, 51, 43]) / 164
    assert np.abs(np.bincount(clips.labels) - len(clips) * smic).max() < 1


def test_classes_may_be_single_expressions():
    clips = synthetic_clips(class_names=("sad", "happy"), n_subjects=3, clips_per_subject=4, **TINY)
    assert list(np.bincount(clips.labels)) == [6, 6]


@pytest.mark.parametrize("frame_rate", [25.0, 100.0, 200.0])
def test_clips_run_from_onset_to_offset_at_the_frame_rate(frame_rate):
    clips = synthetic_clips(n_subjects=2, clips_per_subject=5, size=16, frame_rate=frame_rate)
    assert clips.clips.shape == (10, 18, 16, 16)
    assert (clips.frame_rate == frame_rate).all()
    assert (clips.onset == 0).all()
    assert (clips.onset < clips.apex).all() and (clips.apex < clips.offset).all()
    assert (np.abs(clips.offset / frame_rate - 0.35) <= 0.15 + 0.5 / frame_rate).all()


def test_the_same_seed_gives_the_same_set_and_another_one_other_clips():
    first, again, other = (synthetic_clips(**SMALL, seed=seed) for seed in (5, 5, 6))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_a_clip_can_be_drawn_again_from_its_id():
    clips = synthetic_clips(**SMALL, n_frames=9, seed=2)
    for row in (0, 17, len(clips) - 1):
        shown = synthetic_clip(clips.sample_id[row], clips.class_names[clips.labels[row]], seed=2)
        (movement,) = shown.movements
        assert clips.apex[row] == round(25 * movement.apex)
        ends = [shown.picture(clips.offset[row] * share / 25, size=32) for share in (0, 1)]
        assert np.array_equal(ends, clips.clips[row, [0, -1]])


def test_a_subject_keeps_face_and_laboratory_and_nobody_shares_them(like_smic):
    shown = [
        synthetic_clip(clip, SMIC3[label])
        for clip, label in zip(like_smic.sample_id, like_smic.labels, strict=True)
    ]
    of = {}
    for subject, performance in zip(like_smic.subject, shown, strict=True):
        scene = performance.scene
        of.setdefault(subject, set()).add((performance.identity, scene.background, scene.light_azimuth))
    assert {len(kept) for kept in of.values()} == {1}
    assert len(set.union(*of.values())) == 16
    assert len({performance.scene.yaw for performance in shown}) == 164


# --- the movement ---------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(subject=st.integers(0, 99), number=st.integers(0, 99), label=st.sampled_from(sorted(EXPRESSIONS)))
def test_action_units_rise_to_a_low_peak_and_return_to_rest(subject, number, label):
    shown = synthetic_clip(f"synthetic-clip-s{subject:03d}-{number:04d}", label)
    (movement,) = shown.movements
    assert MICRO_SECONDS[0] <= movement.seconds <= MICRO_SECONDS[1]
    assert MICRO_PEAK[0] <= movement.peak <= MICRO_PEAK[1]
    assert shown.units(movement.onset) == shown.units(movement.offset) == shown.rest
    for unit in movement.units:
        up = [shown.units(t).get(unit, 0.0) for t in np.linspace(movement.onset, movement.apex, 7)]
        down = [shown.units(t).get(unit, 0.0) for t in np.linspace(movement.apex, movement.offset, 7)]
        assert all(later >= earlier for earlier, later in itertools.pairwise(up))
        assert all(later <= earlier for earlier, later in itertools.pairwise(down))
        assert up[-1] == min(shown.rest.get(unit, 0.0) + movement.units[unit], 1.0)


def test_movement_is_half_way_between_onset_and_apex():
    movement = Movement("surprise", {1: 0.4, 2: 0.2}, onset=1.0, apex=1.2, offset=1.6)
    assert movement.strength(1.1) == pytest.approx(0.5)
    assert movement.strength(1.4) == pytest.approx(0.5)
    assert (movement.strength(0.9), movement.strength(1.2), movement.strength(1.7)) == (0, 1, 0)
    assert (movement.seconds, movement.peak) == (pytest.approx(0.6), 0.4)


def test_the_mask_covers_what_moves_and_is_empty_at_the_onset():
    shown = synthetic_clip("synthetic-clip-s000-0001", "surprise")
    (movement,) = shown.movements
    assert not shown.mask(movement.onset, size=64).any()
    mask = shown.mask(movement.apex, size=64, above=0.0)
    assert 0.02 < mask.mean() < 0.6
    quiet, moved = (
        type(shown)(shown.identity, units, (), shown.scene, shown.sway).picture(movement.apex, size=64)
        for units in (shown.rest, shown.units(movement.apex))
    )
    assert np.abs(quiet.astype(int) - moved)[~mask].max() <= 3


def test_only_noise_and_a_swaying_head_change_a_resting_face():
    shown = synthetic_clip("synthetic-clip-s001-0000", "negative")
    resting = type(shown)(shown.identity, shown.rest, (), shown.scene, shown.sway)
    before, after = (resting.picture(time, size=64).astype(int) for time in (0.0, 0.3))
    assert not np.array_equal(before, after)
    assert np.abs(before - after).mean() < 6


# --- what the clips are for -----------------------------------------------------------------------


def test_the_change_tells_the_label_and_a_single_frame_hardly_does():
    subjects, labels = np.repeat(np.arange(24), 18), np.tile([0, 1, 2], 24 * 6)
    shown = [
        synthetic_clip(f"synthetic-clip-s{subject:03d}-{number:04d}", SMIC3[label])
        for number, (subject, label) in enumerate(zip(subjects, labels, strict=True))
    ]
    times = np.array([(p.movements[0].onset, p.movements[0].apex) for p in shown])
    onset, apex = (
        np.stack([p.picture(time, size=48) for p, time in zip(shown, column, strict=True)]).astype(np.float32)
        for column in times.T
    )
    change = _accuracy_on_other_subjects(apex - onset, labels, subjects)
    single = [_accuracy_on_other_subjects(frame, labels, subjects) for frame in (onset, apex)]
    assert change > 1 / 3 + 0.3
    assert max(single) < 1 / 3 + 0.12


def _accuracy_on_other_subjects(images, labels, subjects):
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        PCA(50, whiten=True, random_state=0), LogisticRegression(C=0.05, class_weight="balanced")
    )
    predicted = cross_val_predict(
        model, images.reshape(len(images), -1), labels, groups=subjects, cv=GroupKFold(3)
    )
    return balanced_accuracy_score(labels, predicted)


# --- videos ---------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(n_micro=st.integers(0, 5), n_macro=st.integers(0, 3), seconds=st.floats(15, 60), seed=seeds)
def test_a_video_is_mostly_neutral_with_expressions_apart(n_micro, n_macro, seconds, seed):
    video = synthetic_video(seconds=seconds, n_micro=n_micro, n_macro=n_macro, seed=seed)
    lengths = [event.seconds for event in video.events]
    assert sum(length <= 0.5 for length in lengths) == n_micro
    assert sum(length > 0.5 for length in lengths) == n_macro
    bounds = [0.0, *(t for event in video.events for t in (event.onset, event.offset)), seconds]
    assert all(stop - start > 0.49 for start, stop in zip(bounds[::2], bounds[1::2], strict=True))
    assert all(event.label in SMIC3 and event.peak <= 1 for event in video.events)
    assert video.blinks
    assert not video.performance.mask(0.0, size=32).any()


def test_a_video_is_drawn_frame_by_frame():
    video = synthetic_video(seconds=4.0, frame_rate=25.0, size=32, n_micro=1, n_macro=0, seed=3)
    frames = list(video.frames())
    assert len(frames) == len(video) == 100
    assert all(frame.shape == (32, 32) and frame.dtype == np.uint8 for frame in frames)
    assert np.array_equal(frames[77], next(itertools.islice(video.frames(), 77, None)))
    assert next(synthetic_video(seconds=1e6, n_micro=0, n_macro=0, size=16).frames()).any()


def test_a_distant_face_is_smaller():
    import cv2

    path = cv2.data.haarcascades + "haarcascade_frontalface_default.xml"
    detector = cv2.CascadeClassifier(path)
    near, far = (
        detector.detectMultiScale(next(synthetic_video(size=320, face_scale=scale).frames()), 1.1, 5)
        for scale in (1.0, 0.5)
    )
    assert len(near) == len(far) == 1
    assert far[0][2] < 0.7 * near[0][2]


# --- what cannot be drawn -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_names": ("positive", "bored")}, "no expression for class 'bored'; known are angry, disgust"),
        ({"class_names": ("neutral",)}, "no expression for class 'neutral'"),
        ({"class_names": ("positive", "positive")}, "class_names must be distinct"),
        ({"class_names": ()}, "at least one"),
        ({"frame_rate": 5.0}, "frame_rate 5.0 is too low for movements of 0.2 s; use at least 10"),
        ({"frame_rate": float("nan")}, "frame_rate nan is too low"),
        ({"size": 8}, "size 8 is too small"),
        ({"seed": -1}, "seed must not be negative, got -1"),
    ],
)
def test_requests_that_cannot_be_met_say_why(arguments, message):
    for draw in (synthetic_clips, synthetic_video):
        with pytest.raises(ValueError, match=message):
            draw(**arguments)


@pytest.mark.parametrize("request_", [{"n_subjects": 1}, {"clips_per_subject": 1}, {"n_subjects": 0}])
def test_a_set_too_small_for_its_classes_is_refused(request_):
    with pytest.raises(ValueError, match="are too few for 3 classes that two subjects show each; raise"):
        synthetic_clips(**request_)


def test_a_single_frame_is_no_clip():
    with pytest.raises(ValueError, match="n_frames=1: a movement needs two frames or more"):
        synthetic_clips(**SMALL, n_frames=1)


def test_expressions_that_do_not_fit_into_the_time_are_refused():
    with pytest.raises(ValueError, match=r"6 expressions that last .* s do not fit into 4.0 s; use fewer"):
        synthetic_video(seconds=4.0)


def test_a_movement_that_ends_before_its_apex_is_refused():
    with pytest.raises(ValueError, match=r"happy: onset 0.0, apex 0.5, offset 0.4 must follow each other"):
        Movement("happy", {12: 0.3}, 0.0, 0.5, 0.4)


@pytest.mark.parametrize("sample_id", ["synthetic-s001-0001", "synthetic-clip-s1", "smic-clip-s001-0001", ""])
def test_ids_of_other_data_are_refused(sample_id):
    with pytest.raises(ValueError, match="no id of a synthetic clip"):
        synthetic_clip(sample_id, "positive")
