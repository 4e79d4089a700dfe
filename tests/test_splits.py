"""Splits and folds: who is in which set, what leaks, and how many test samples are repeated."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.face_sets import clip_set, face_set
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.data import ClipSet, FaceSet, clip_of, combine
from fer_utils.splits import (
    CLIPS_SHARED,
    OVERLAPPING,
    RANDOM_SHARED,
    RESHUFFLED,
    SUBJECTS_SHARED,
    inner_holdout,
    leave_one_subject_out,
    official_split,
    random_folds,
    random_holdout,
    random_split,
    seen_in_training,
    split_faces,
    stratified_holdout,
    take_skip_split,
)

CLASSES = ("negative", "positive", "surprise")
OFFICIAL = ["train"] * 40 + ["validation"] * 10 + ["test"] * 10
SHARED = np.resize(["a", "b"], 60)  # every subject is in every set
APART = np.repeat(["a", "b", "c"], [40, 10, 10])


def faces(split, *, labels=None, images=None, subject=None, name="fer2013", class_names=("happy", "sad")):
    n = len(split)
    images = np.random.default_rng(0).integers(256, size=(n, 4, 4)) if images is None else images
    fields = {"name": name, "split": np.array(split), "sample_id": np.array([f"i{i:03d}" for i in range(n)])}
    fields["subject"] = subject if subject is None else np.array(subject)
    return face_set(images, labels, class_names, **fields)


def clips(labels, subjects) -> ClipSet:
    pixels = np.arange(len(labels) * 8, dtype=np.uint8).reshape(-1, 2, 2, 2)
    return clip_set(pixels, labels, CLASSES, subject=subjects, name="small")


def frames(clips_of: list[int], *, labels=None, n_frames: int = 4) -> FaceSet:
    """Return frames of as many clips of each subject as `clips_of` says; the classes alternate."""
    subject = np.repeat([f"s{number}" for number in range(len(clips_of))], clips_of)
    n_clips = len(subject)
    ids = [f"{subject[clip]}/c{clip:02d}/{frame:03d}" for clip in range(n_clips) for frame in range(n_frames)]
    return replace(
        faces(
            ["unassigned"] * len(ids),
            labels=np.repeat(np.arange(n_clips) % 2 if labels is None else labels, n_frames),
            subject=np.repeat(subject, n_frames),
            name="frames",
        ),
        sample_id=np.array(ids),
    )


def joined(rafdb: FaceSet, fer2013: FaceSet) -> FaceSet:
    return combine([replace(rafdb, name="rafdb"), fer2013], class_names=("happy", "sad"))


def ids(samples) -> list[str]:
    return samples.sample_id.tolist()


# --- official splits ------------------------------------------------------------------------------


def test_the_official_split_of_fer2013_is_used_as_it_is():
    split = official_split(faces(["test", "test", "train", "validation", "validation", "train"]))
    assert (ids(split.train), ids(split.test)) == (["i002", "i005"], ["i000", "i001"])
    assert split.description == "FER-2013 official: Training / PublicTest / PrivateTest"
    assert (split.subject_independent, split.leakage, split.n_samples) == (None, "none", 6)


@pytest.mark.parametrize("held_out", ["test", "pooled_test"])
def test_without_a_validation_set_a_tenth_of_training_is_held_out(held_out):
    split = official_split(faces(["train"] * 40 + [held_out] * 6), seed=3)
    assert (len(split.train), len(split.validation), len(split.test)) == (36, 4, 6)
    assert not set(ids(split.train)) & set(ids(split.validation))
    assert ("official" in split.description) == (held_out == "test")


@pytest.mark.parametrize("subject", [None, [f"s{number // 5:02d}" for number in range(100)]])
def test_a_data_set_without_official_split_is_split_by_class_and_subject(subject):
    own = faces(["unassigned"] * 100, subject=subject, name="mine")
    split = official_split(own, seed=1)
    sets = (split.train, split.validation, split.test)
    assert [len(part) for part in sets] == [80, 10, 10]
    assert sorted(name for part in sets for name in ids(part)) == ids(own)
    assert all(abs(np.bincount(part.labels)[0] - len(part) / 2) <= 3 for part in sets)
    assert split.subject_independent is (True if subject else None)
    assert split.leakage == ("none" if subject else RANDOM_SHARED)
    assert ids(official_split(own, seed=1).test) == ids(split.test)


def test_each_joined_data_set_is_split_separately():
    rafdb = faces(["train"] * 40 + ["test"] * 6)
    fer2013 = faces(["test", "test", "train", "validation", "validation", "train"])
    both = official_split(joined(rafdb, fer2013), seed=3)
    alone = {"rafdb": replace(rafdb, name="rafdb"), "fer2013": fer2013}
    for part in ("train", "validation", "test"):
        splits = {name: official_split(one, seed=3) for name, one in alone.items()}
        expected = [f"{name}/{one}" for name, split in splits.items() for one in ids(getattr(split, part))]
        assert ids(getattr(both, part)) == expected
        assert getattr(both, part).images.shape[1:] == (4, 4)
    assert all(split.description in both.description for split in splits.values())


@pytest.mark.parametrize(
    ("subject", "other", "independent", "leakage"),
    [
        (APART, APART, True, "none"),
        (APART, None, None, "none"),
        (SHARED, None, False, SUBJECTS_SHARED),
        (APART, SHARED, False, SUBJECTS_SHARED),
    ],
)
def test_shared_subjects_of_one_joined_data_set_count_for_both(subject, other, independent, leakage):
    both = joined(faces(OFFICIAL, subject=subject), faces(OFFICIAL, subject=other))
    split = official_split(both)
    assert (split.subject_independent, split.leakage) == (independent, leakage)
    without_split = joined(faces(["unassigned"] * 60), faces(OFFICIAL, subject=other))
    assert official_split(without_split).leakage == RANDOM_SHARED


def test_duplicates_of_test_images_are_found_in_both_joined_data_sets():
    rafdb, fer2013 = faces(["train"] * 10 + ["test"] * 4), faces(["train"] * 4 + ["test"] * 4)
    images = np.zeros_like(fer2013.images) + np.arange(8, dtype=np.uint8)[:, None, None]
    images[5] = rafdb.images[2]
    split = official_split(joined(rafdb, replace(fer2013, images=images)), seed=0)
    assert split.test.sample_id[split.repeated].tolist() == ["fer2013/i005"]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (faces(["train"] * 3), "fer2013: only train"),
        (faces(["train", "validation"]), "fer2013: only train, validation"),
        (faces(["unassigned"] * 4, subject=["a", "a", "b", "b"]), "2 subjects cannot be in 3 folds"),
        (
            faces(["train", "train", "validation", "test", "test"], labels=[0, 1, 0, 0, 1]),
            "no image of sad in",
        ),
        (faces(["train", "validation", "test"], labels=[0] * 3, class_names=("happy",)), "one class only"),
        (joined(faces(["train"] * 4), faces(["train", "train", "test", "test"])), "rafdb: only train"),
    ],
)
def test_a_data_set_that_cannot_be_split_is_named_with_the_reason(images, message):
    with pytest.raises(ValueError, match=message):
        split_faces(images, SimpleNamespace(split_by="official", seed=0))


def test_a_stratified_holdout_takes_its_share_of_every_class():
    both = faces(["train"] * 60, labels=[0] * 40 + [1] * 20)
    rest, held_out = stratified_holdout(both, share=0.25, seed=1)
    assert np.bincount(held_out.labels).tolist() == [10, 5]
    assert sorted(ids(rest) + ids(held_out)) == ids(both)
    again, other = (stratified_holdout(both, share=0.25, seed=seed)[1] for seed in (1, 2))
    assert ids(again) == ids(held_out) != ids(other)
    rest, held_out = stratified_holdout(faces(["train"] * 3, labels=[0, 0, 1]), share=0.1, seed=0)
    assert (sorted(rest.labels), held_out.labels.tolist()) == ([0, 1], [0])


# --- random splits --------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "seed"), [(60, 0), (119, 1)])
def test_a_random_split_ignores_the_official_sets_and_repeats_with_its_seed(n, seed):
    whole = faces(["train"] * n, labels=np.arange(n) // 2 % 2)
    split = random_split(whole, seed=seed)
    sets = (split.train, split.validation, split.test)
    assert len(split.test) == int(0.2 * n)
    assert sorted(name for part in sets for name in ids(part)) == ids(whole)
    others = np.bincount(split.train.labels) + np.bincount(split.validation.labels)
    assert np.bincount(split.validation.labels).tolist() == [max(1, round(0.1 * n)) for n in others]
    again, other = (random_split(replace(whole, split=np.full(n, "test")), seed=s) for s in (seed, 100))
    assert ids(again.test) == ids(split.test) != ids(other.test)


@pytest.mark.parametrize(
    ("official", "subject", "by", "leakage"),
    [
        ("train validation test", None, "official", "none"),
        ("train validation test", "aab", "official", SUBJECTS_SHARED),
        ("train validation test", "abc", "random_80_20", RANDOM_SHARED),
        ("train validation test", "abc", "random_80_10_10", RANDOM_SHARED),
        ("train validation test", "abc", "cached_80_10_10", OVERLAPPING),
        ("train validation test", "abc", "reshuffled_80_10_10", RESHUFFLED),
        ("unassigned unassigned unassigned", None, "official", RANDOM_SHARED),
        ("unassigned unassigned unassigned", "abc", "official", "none"),
    ],
)
def test_the_parameter_split_by_chooses_a_split_that_names_its_leakage(official, subject, by, leakage):
    people = None if subject is None else np.repeat(list(subject), 20)
    whole = faces(np.repeat(official.split(), 20).tolist(), subject=people)
    split = split_faces(whole, SimpleNamespace(split_by=by, seed=0, epochs=3))
    assert split.leakage == leakage
    assert (split.redrawn is not None) == (by == "reshuffled_80_10_10")


def test_official_distinct_trains_on_no_exact_or_near_duplicate_of_a_held_out_image():
    images = np.random.default_rng(0).integers(256, size=(60, 48, 48), dtype=np.uint8)
    images[3], images[4] = images[45], images[52, :, ::-1] // 2 + 40  # of validation, and of test
    images[6] = images[5]  # within training
    whole = faces(OFFICIAL, images=images)
    split = split_faces(whole, SimpleNamespace(split_by="official_distinct", seed=0))
    assert set(ids(whole)) - {name for part in split.sets.values() for name in ids(part)} == {"i003", "i004"}
    assert "2 training images" in split.description and split.leakage == "none"


# --- take and skip --------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "seed", "epoch"), [(240, 0, 0), (399, 1, 20)])
def test_take_and_skip_is_disjoint_when_fixed_and_depends_on_the_epoch_when_reshuffled(n, seed, epoch):
    whole = faces(["train"] * n, labels=np.arange(n) // 3 % 2)
    fixed = take_skip_split(whole, seed=seed)
    assert sorted(name for part in fixed.sets.values() for name in ids(part)) == ids(whole)
    assert fixed.trained_on is fixed.train and not fixed.validation_seen(3).any()
    split, again = (take_skip_split(whole, seed=seed, shuffle="every epoch", epochs=21) for _ in range(2))
    for drawn in ((fixed.train, fixed.validation), split.redrawn(epoch)):
        assert [len(part) for part in drawn] == [round(0.8 * n), round(0.1 * n)]
    assert [ids(part) for part in split.redrawn(epoch)] == [ids(part) for part in again.redrawn(epoch)]
    assert ids(split.train) == ids(split.redrawn(0)[0]) != ids(split.redrawn(epoch + 1)[0])


def test_validation_images_of_a_reshuffled_split_are_soon_all_trained_on_and_four_fifths_of_a_cached_one():
    whole = faces(["train"] * 2_000, labels=np.arange(2_000) % 2)
    split = take_skip_split(whole, seed=0, shuffle="every epoch", epochs=12)
    seen = split.validation_seen(12)
    assert seen[0] == pytest.approx(0.8, abs=0.07) and (seen[5:] > 0.99).all() and seen[-1] == 1
    assert len(split.trained_on) == 2_000 and split.repeated.all() and split.subject_independent is False
    cached = take_skip_split(whole, seed=0, shuffle="every set")
    assert cached.validation_seen(2) == pytest.approx(0.8, abs=0.07) and len(cached.trained_on) == 1_600
    assert np.isin(cached.test.sample_id, cached.train.sample_id).mean() == pytest.approx(0.8, abs=0.07)
    assert cached.repeated.mean() > 0.75


# --- cross-validation -----------------------------------------------------------------------------

UNEVEN = clips([0, 0, 1, 2, 0, 1, 2, 0, 1], ["b", "b", "a", "a", "a", "c", "c", "d", "a"])


def test_leave_one_subject_out_holds_out_every_subject_once():
    folds = leave_one_subject_out(UNEVEN)
    assert [split.description for split in folds.splits] == [*"abcd"] and folds.skipped == ()
    for name, split in zip("abcd", folds.splits, strict=True):
        assert set(split.test.subject) == {name} and name not in split.train.subject
        assert len(split.train) + len(split.test) == len(UNEVEN)
    assert (folds.leakage, folds.subject_independent, folds.repeated.sum()) == ("none", True, 0)
    assert (ids(folds.test), folds.majority_class) == (ids(UNEVEN), 0)


def test_a_fold_whose_training_set_lacks_a_class_is_skipped_or_refused():
    only_a_is_surprised = clips([0, 1, 2, 0, 1, 0, 1], list("aaabbcc"))
    folds = leave_one_subject_out(only_a_is_surprised)
    assert [split.description for split in folds.splits] == ["b", "c"] and len(folds.test) == 4
    assert len(folds.skipped) == 1 and "surprise" in folds.skipped[0]
    with pytest.raises(ValueError, match=r"small: .*surprise"):
        leave_one_subject_out(only_a_is_surprised, strict=True)
    with pytest.raises(ValueError, match=r"small: .*positive.*negative"):
        leave_one_subject_out(clips([0, 0, 1, 1], list("bbaa")))
    with pytest.raises(ValueError, match="small: 1 subject"):
        leave_one_subject_out(clips([0, 1, 2], list("aaa")))


def test_random_folds_of_clips_share_subjects():
    folds = random_folds(clips(np.arange(30) % 3, np.resize(["a", "b"], 30)), n_folds=5, seed=0)
    assert sorted(name for split in folds.splits for name in ids(split.test)) == ids(folds.samples)
    assert all(np.bincount(split.test.labels).tolist() == [2, 2, 2] for split in folds.splits)
    assert (folds.leakage, folds.subject_independent) == (SUBJECTS_SHARED, False)
    with pytest.raises(ValueError, match="small: 2 clips of surprise cannot be in 3 folds"):
        random_folds(UNEVEN, n_folds=3, seed=0)


@settings(deadline=None, max_examples=10)
@given(
    by=st.sampled_from(["frame", "clip", "subject"]),
    clips_of=st.lists(st.integers(2, 6), min_size=6, max_size=10),
    n_folds=st.integers(3, 5),
    seed=st.integers(0, 99),
)
def test_random_folds_of_frames_keep_together_what_they_promise(by, clips_of, n_folds, seed):
    whole = frames(clips_of)
    folds, again = (random_folds(whole, by=by, n_folds=n_folds, seed=seed, validation=True) for _ in range(2))
    assert sorted(name for split in folds.splits for name in ids(split.test)) == sorted(ids(whole))
    assert [ids(split.test) for split in folds.splits] == [ids(split.test) for split in again.splits]
    by_clip, by_subject = (lambda part: clip_of(part.sample_id)), (lambda part: part.subject)
    groups = {"frame": ids, "clip": by_clip, "subject": by_subject}[by]
    for split in folds.splits:
        sets = (split.train, split.validation, split.test)
        assert split.n_samples == len(whole) and min(map(len, sets))
        assert sum(len(set(groups(part))) for part in sets) == len(set(groups(whole)))
        assert set(split.train.labels) == {0, 1}


@pytest.mark.parametrize(
    ("by", "clip", "subject", "leakage"),
    [("frame", 1.0, 1.0, CLIPS_SHARED), ("clip", 0.0, 1.0, SUBJECTS_SHARED), ("subject", 0.0, 0.0, "none")],
)
def test_the_leakage_of_random_folds_of_frames_is_measured(by, clip, subject, leakage):
    folds = random_folds(frames([12] * 6, n_frames=9), by=by, n_folds=3, seed=0, validation=True)
    assert seen_in_training(folds.splits) == pytest.approx({"clip": clip, "subject": subject}, abs=0.05)
    assert (folds.leakage, folds.subject_independent) == (leakage, by == "subject")
    assert "648 images of 6 subjects in 3 random folds" in folds.description


@pytest.mark.parametrize(
    ("clips_of", "labels", "n_folds", "message"),
    [
        ([2] * 4, None, 5, "4 subjects cannot be in 5 folds"),
        ([2] * 3, [0] * 6, 3, "only one class"),
        ([2] * 3, [1, 1, 0, 0, 0, 0], 3, "too few samples of sad"),
    ],
)
def test_frames_that_cannot_be_split_by_subject_are_refused(clips_of, labels, n_folds, message):
    with pytest.raises(ValueError, match=message):
        random_folds(frames(clips_of, labels=labels), by="subject", n_folds=n_folds, seed=0, validation=True)
    # Two subjects show "sad": while one of them is tested, the other one must be trained on.
    whole = frames([2] * 6, labels=[1, 0, 1, 0, *[0] * 8])
    for split in random_folds(whole, by="subject", n_folds=6, seed=0, validation=True).splits:
        assert set(split.train.labels) == {0, 1}


def test_a_random_holdout_rounds_up_and_repeats_with_its_seed():
    many = clips(np.arange(158) % 3, np.resize(list("abcd"), 158))
    sizes = [len(random_holdout(many, share=share, seed=0).test) for share in (0.2, 0.3, 0.4, 0.5)]
    assert sizes == [32, 48, 64, 79]  # dubey2020's test sets
    one, same, other = (ids(random_holdout(many, share=0.2, seed=seed).test) for seed in (0, 0, 1))
    assert one == same != other
    with pytest.raises(ValueError, match=r"small, share=0\.8, seed=0: training set has no"):
        random_holdout(UNEVEN, share=0.8, seed=0)


def test_an_inner_holdout_is_by_subject_and_leaves_every_class():
    many = clips(np.arange(60) % 3, np.repeat(list("abcdef"), 10))
    train, validation = inner_holdout(many, share=0.2, seed=0)
    assert not set(train.subject) & set(validation.subject)
    assert len(train) + len(validation) == 60 and 0.1 < len(validation) / 60 < 0.4
    with pytest.raises(ValueError, match="too few samples of"):
        inner_holdout(clips([0, 0, 1, 1], list("aabb")), share=0.5, seed=0)
