"""Splits are the official ones or say what they are, and shared pictures are found."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.data import FaceSet, clip_of, combine
from fer_utils.data.duplicates import (
    blank_images,
    duplicate_groups,
    duplicate_summary,
    overlap_table,
    shared_with,
)
from fer_utils.files import ConfigError
from fer_utils.papers import load_paper
from fer_utils.params.stills import FixedSplit, StillSplit
from fer_utils.splits import (
    CLIPS_SHARED,
    OVERLAPPING,
    RANDOM_SHARED,
    RESHUFFLED,
    STILL_SPLITS,
    SUBJECTS_SHARED,
    cached_split,
    frame_leak,
    official_split,
    random_split,
    reshuffled_split,
    seen_in_training,
    split_frames,
    split_stills,
    stills_leak,
    stratified_holdout,
    take_skip_split,
)


def faces(
    split: list[str],
    *,
    labels=None,
    images=None,
    subject=None,
    name="fer2013",
    class_names=("happy", "sad"),
) -> FaceSet:
    n = len(split)
    return FaceSet(
        name=name,
        source="real",
        images=np.random.default_rng(0).integers(256, size=(n, 4, 4), dtype=np.uint8)
        if images is None
        else images,
        labels=np.arange(n) % 2 if labels is None else np.array(labels),
        class_names=class_names,
        split=np.array(split),
        sample_id=np.array([f"i{number:03d}" for number in range(n)]),
        subject=subject if subject is None else np.array(subject),
    )


FER2013 = {
    **{"angry": 4_953, "disgust": 547, "fear": 5_121, "happy": 8_989},
    **{"sad": 6_077, "surprise": 4_002, "neutral": 6_198},
}
"""Class -> its images, all parts together."""


def test_the_official_split_of_fer2013_is_taken_as_it_is_and_named():
    split = official_split(faces(["test", "test", "train", "validation", "validation", "train"]))
    assert split.train.sample_id.tolist() == ["i002", "i005"]
    assert split.validation.sample_id.tolist() == ["i003", "i004"]
    assert split.test.sample_id.tolist() == ["i000", "i001"]
    assert split.description == "FER-2013 official: Training / PublicTest / PrivateTest"
    assert split.subject_independent is None


def test_a_data_set_with_training_and_test_parts_alone_chooses_on_a_tenth_of_its_training_images():
    rafdb = replace(faces(["train"] * 40 + ["test"] * 6), name="rafdb")
    split = official_split(rafdb, seed=3)
    assert (len(split.train), len(split.validation), len(split.test)) == (36, 4, 6)
    assert split.description.startswith("RAF-DB official: train / test; a stratified tenth of the training")


def test_a_pooled_test_set_is_reported_whole_and_a_tenth_of_the_training_images_chooses():
    split = official_split(faces(["train"] * 40 + ["pooled_test"] * 6), seed=3)
    assert len(split.test) == 6
    assert (len(split.train), len(split.validation)) == (36, 4)
    assert not set(split.train.sample_id) & set(split.validation.sample_id)
    assert "cannot be told apart" in split.description and "official" not in split.description


@pytest.mark.parametrize("present", [["train"] * 3, ["test"] * 3, ["train", "validation"]])
def test_a_set_without_training_or_held_out_images_cannot_be_split(present):
    with pytest.raises(ValueError, match="train and held-out images are needed"):
        official_split(faces(present))


@pytest.mark.parametrize(
    ("subject", "independent", "words"),
    [
        (["a", "a", "b", "b", "c", "c"], True, "no identity is in two parts"),
        (["a", "b", "b", "b", "c", "c"], False, "own training, validation and test parts"),
        (["a", "a", "", "b", "c", "c"], None, "own training, validation and test parts"),
    ],
)
def test_subject_independence_is_claimed_only_where_it_holds(subject, independent, words):
    parts = ["train"] * 2 + ["validation"] * 2 + ["test"] * 2
    split = official_split(faces(parts, subject=subject, name="other"))
    assert split.subject_independent is independent
    assert words in split.description


def test_a_stratified_holdout_takes_its_share_of_every_class_and_repeats_with_its_seed():
    both = faces(["train"] * 60, labels=[0] * 40 + [1] * 20)
    rest, held_out = stratified_holdout(both, share=0.25, seed=1)
    assert np.bincount(held_out.labels).tolist() == [10, 5]
    assert sorted([*rest.sample_id, *held_out.sample_id]) == both.sample_id.tolist()
    assert held_out.sample_id.tolist() == sorted(held_out.sample_id)
    again, other = (stratified_holdout(both, share=0.25, seed=seed)[1] for seed in (1, 2))
    assert again.sample_id.tolist() == held_out.sample_id.tolist() != other.sample_id.tolist()


def test_a_small_class_stays_in_both_parts_and_a_single_image_stays_in_training():
    rest, held_out = stratified_holdout(faces(["train"] * 3, labels=[0, 0, 1]), share=0.1, seed=0)
    assert np.bincount(rest.labels, minlength=2).tolist() == [1, 1]
    assert np.bincount(held_out.labels, minlength=2).tolist() == [1, 0]


def test_duplicates_blank_and_shared_pictures_are_found_to_the_pixel():
    images = np.random.default_rng(1).integers(256, size=(6, 4, 4), dtype=np.uint8)
    images[4], images[5], images[2] = images[1], images[1], 7
    one = faces(["train"] * 3 + ["test"] * 3, images=images)
    assert [group.tolist() for group in duplicate_groups(one)] == [[1, 4, 5]]
    assert blank_images(one).tolist() == [2]
    assert shared_with(one.only("test"), one.only("train")).tolist() == [False, True, True]
    almost = images.copy()
    almost[4, 0, 0] ^= 1
    assert [group.tolist() for group in duplicate_groups(faces(["train"] * 6, images=almost))] == [[1, 5]]


def test_an_empty_part_has_no_duplicates_and_no_blank_images():
    nothing = faces(["train"] * 2).only("test")
    assert duplicate_groups(nothing) == []
    assert blank_images(nothing).tolist() == []


def test_the_overlap_of_parts_and_contradicting_labels_are_counted():
    images = np.random.default_rng(2).integers(256, size=(6, 4, 4), dtype=np.uint8)
    images[1], images[4], images[5] = images[0], images[0], images[3]
    one = faces(["train"] * 3 + ["test"] * 3, images=images)
    assert overlap_table(one).to_numpy().tolist() == [[1, 2], [1, 1]]
    assert duplicate_summary(one, duplicate_groups(one)) == {
        "images": 6,
        "groups of identical images": 2,
        "images that repeat another": 3,
        "groups that cross splits": 1,
        "groups with contradicting labels": 1,
        "blank images": 0,
    }


@pytest.mark.parametrize("subject", [None, [f"s{number // 5:02d}" for number in range(100)]])
def test_pictures_without_parts_are_split_at_random_by_class_and_subject(subject):
    own = faces(["unassigned"] * 100, subject=subject, name="mine")
    split = official_split(own, seed=1)
    parts = (split.train, split.validation, split.test)
    assert [len(part) for part in parts] == [80, 10, 10]
    assert sorted(name for part in parts for name in part.sample_id) == own.sample_id.tolist()
    assert all(abs(np.bincount(part.labels)[0] - len(part) / 2) <= 3 for part in parts)
    assert split.subject_independent is (True if subject else None)
    assert split.description.startswith("random 80/10/10")
    assert official_split(own, seed=1).test.sample_id.tolist() == split.test.sample_id.tolist()


def test_two_subjects_cannot_be_in_three_parts():
    with pytest.raises(ValueError, match="2 subjects cannot be in three parts"):
        official_split(faces(["unassigned"] * 4, subject=["a", "a", "b", "b"]))


def test_a_class_without_images_in_a_part_is_named():
    with pytest.raises(ValueError, match="no image of sad in validation"):
        official_split(faces(["train", "train", "validation", "test", "test"], labels=[0, 1, 0, 0, 1]))


def test_a_single_class_is_nothing_to_classify():
    one = replace(faces(["train", "validation", "test"], labels=[0, 0, 0]), class_names=("happy",))
    with pytest.raises(ValueError, match=r"one class only \(happy\)"):
        official_split(one)


# --- sets that were joined ------------------------------------------------------------------------


def joined(rafdb: FaceSet, fer2013: FaceSet) -> FaceSet:
    return combine([replace(rafdb, name="rafdb"), fer2013], class_names=("happy", "sad"))


def test_each_of_two_joined_sets_is_split_by_itself_and_is_in_all_three_parts():
    rafdb = faces(["train"] * 40 + ["test"] * 6)
    fer2013 = faces(["test", "test", "train", "validation", "validation", "train"])
    both = official_split(joined(rafdb, fer2013), seed=3)
    alone = [official_split(replace(rafdb, name="rafdb"), seed=3), official_split(fer2013, seed=3)]
    for part in ("train", "validation", "test"):
        names = zip(("rafdb", "fer2013"), (getattr(split, part) for split in alone), strict=True)
        expected = [f"{name}/{one}" for name, faces_of in names for one in faces_of.sample_id]
        assert getattr(both, part).sample_id.tolist() == expected
        assert getattr(both, part).images.shape[1:] == (4, 4)
    assert both.description == (
        "each set split by itself, then joined: [RAF-DB official: train / test; a stratified tenth of the "
        "training images chooses (seed 3)] + [FER-2013 official: Training / PublicTest / PrivateTest]"
    )
    assert both.subject_independent is None and stills_leak(both, by="official") == "none"


PARTS = ["train"] * 40 + ["validation"] * 10 + ["test"] * 10
SHARED = np.resize(["a", "b"], 60)
"""Every person is in every part."""
APART = np.repeat(["a", "b", "c"], [40, 10, 10])


@pytest.mark.parametrize(
    ("subject", "other", "independent", "leak"),
    [
        (APART, APART, True, "none"),
        (APART, None, None, "none"),
        (SHARED, None, False, SUBJECTS_SHARED),
        (None, SHARED, False, SUBJECTS_SHARED),
        (APART, SHARED, False, SUBJECTS_SHARED),
    ],
)
def test_people_on_both_sides_of_one_joined_set_are_said_whatever_is_known_of_the_other(
    subject, other, independent, leak
):
    split = official_split(joined(faces(PARTS, subject=subject), faces(PARTS, subject=other)))
    assert split.subject_independent is independent
    assert stills_leak(split, by="official") == leak
    by_chance = random_split(joined(faces(PARTS, subject=subject), faces(PARTS, subject=other)), seed=0)
    assert by_chance.subject_independent is (None if subject is None and other is None else False)


@pytest.mark.parametrize(
    ("subject", "independent", "leak"),
    [(np.repeat([*"abcdef"], 10), None, "none"), (None, None, RANDOM_SHARED)],
)
def test_the_leak_of_joined_sets_is_that_of_the_worst_one(subject, independent, leak):
    # One with parts and nobody known beside one without parts, whose people may be known.
    without_parts = faces(["unassigned"] * 60, subject=subject)
    split = official_split(joined(without_parts, faces(PARTS)), seed=0)
    assert split.subject_independent is independent
    assert stills_leak(split, by="official") == leak
    worst = official_split(joined(without_parts, faces(PARTS, subject=SHARED)), seed=0)
    assert worst.subject_independent is False
    assert stills_leak(worst, by="official") == (SUBJECTS_SHARED if leak == "none" else leak)
    assert stills_leak(random_split(joined(without_parts, faces(PARTS)), seed=0), by="random_80_20") == (
        RANDOM_SHARED
    )


def test_a_folder_with_a_plus_in_its_name_is_judged_as_one_set():
    split = split_stills(faces(PARTS, subject=SHARED, name="mine+yours"))
    assert split.subject_independent is False and stills_leak(split, by="official") == SUBJECTS_SHARED


def test_a_class_that_one_of_the_joined_sets_lacks_is_no_problem_but_a_part_without_it_is():
    happy = faces(["train"] * 4 + ["test"] * 2, labels=[0] * 6)
    rest = ["train"] * 4 + ["validation"] * 2 + ["test"] * 2
    split = official_split(joined(happy, faces(rest)), seed=0)
    assert split.counts().to_dict("list") == {
        "train": [5, 2, 7],
        "validation": [2, 1, 3],
        "test": [3, 1, 4],
        "total": [10, 4, 14],
    }
    with pytest.raises(ValueError, match=r"rafdb\+fer2013: no image of sad in validation"):
        official_split(joined(happy, faces(rest, labels=[0, 1, 0, 1, 0, 0, 0, 1])))


def test_of_joined_sets_the_one_that_cannot_be_split_is_named():
    with pytest.raises(ValueError, match="rafdb: has only train; train and held-out images are needed"):
        official_split(joined(faces(["train"] * 4), faces(["train", "train", "test", "test"])))


def test_a_picture_that_is_in_both_joined_sets_is_found_across_the_parts():
    rafdb, fer2013 = faces(["train"] * 10 + ["test"] * 4), faces(["train"] * 4 + ["test"] * 4)
    images = fer2013.images.copy()
    images[:] = np.arange(8, dtype=np.uint8)[:, None, None]
    images[5] = rafdb.images[12]
    split = official_split(joined(rafdb, replace(fer2013, images=images)), seed=0)
    assert shared_with(split.test, split.train, split.validation).sum() == 0
    images[5] = rafdb.images[2]
    split = official_split(joined(rafdb, replace(fer2013, images=images)), seed=0)
    assert split.test.sample_id[shared_with(split.test, split.train, split.validation)].tolist() == [
        "fer2013/i005"
    ]


# --- a random part of all images ------------------------------------------------------------------

official_parts = st.lists(
    st.sampled_from(["train", "validation", "test", "unassigned"]), min_size=40, max_size=120
)


@given(parts=official_parts, share=st.floats(0.1, 0.5), seed=st.integers(0, 99))
def test_a_random_split_reports_its_share_and_has_every_image_in_one_part(parts, share, seed):
    whole = faces(parts, labels=np.arange(len(parts)) // 2 % 2)
    split = random_split(whole, share=share, seed=seed)
    three = (split.train, split.validation, split.test)
    assert len(split.test) == int(share * len(whole))
    assert sorted(name for part in three for name in part.sample_id) == whole.sample_id.tolist()
    assert all(part.sample_id.tolist() == sorted(part.sample_id) for part in three)
    others = np.bincount(split.train.labels) + np.bincount(split.validation.labels)
    assert np.bincount(split.validation.labels).tolist() == [max(1, round(0.1 * n)) for n in others]


@given(seed=st.integers(0, 99))
def test_a_random_split_repeats_with_its_seed_and_does_not_ask_for_the_official_parts(seed):
    whole = faces(["train"] * 60 + ["test"] * 40)
    first, again, other, unofficial = (
        random_split(one, seed=number)
        for one, number in (
            *((whole, seed), (whole, seed), (whole, seed + 1)),
            (faces(["unassigned"] * 100), seed),
        )
    )
    assert first.test.sample_id.tolist() == again.test.sample_id.tolist() != other.test.sample_id.tolist()
    assert first.validation.sample_id.tolist() == again.validation.sample_id.tolist()
    assert first.test.sample_id.tolist() == unofficial.test.sample_id.tolist()


def test_a_random_split_is_not_stratified_and_counts_fer2013_as_srivastav2024_does():
    counts = [*FER2013.values()]
    whole = faces(
        ["train"] * sum(counts),
        labels=np.repeat(np.arange(7), counts),
        images=np.zeros((sum(counts), 1, 1), np.uint8),
        class_names=tuple(FER2013),
    )
    drawn = np.array([np.bincount(random_split(whole, seed=seed).test.labels) for seed in range(20)])
    split = random_split(whole, seed=0)
    assert len(split.test) == 7_177 and len(split.test) // 25 * 25 == 7_175
    fig_10 = next(one for one in load_paper("srivastav2024").confusion_matrices if one.table == "Fig. 10")
    printed = dict(zip(fig_10.class_names, map(sum, fig_10.counts), strict=True))
    assert sum(printed.values()) == 7_175
    expected = np.array(counts) * 7_175 / sum(counts)
    away = np.array([printed[name] for name in FER2013]) - expected
    # What is drawn is not put back: the counts vary by the share that is left less.
    chi_squared = (away**2 / expected).sum() / (1 - 7_175 / sum(counts))
    assert chi_squared == pytest.approx(9.5, abs=0.05)
    # A stratified draw would not spread at all, and its counts would be the expected ones.
    spread = drawn.std(axis=0)
    assert (abs(drawn.mean(axis=0) - expected) < spread).all() and (abs(away) < 3 * spread).all()
    assert split.description == (
        "random 80/20 of all images: 7,177 of 35,887, drawn without regard to class or official part, are "
        "reported; a stratified tenth of the others chooses (seed 0)"
    )


def test_images_without_a_class_are_in_no_part_of_a_random_split():
    split = random_split(faces(["train"] * 40, labels=[-1] * 10 + [0, 1] * 15), seed=0)
    assert split.counts().loc["total", "total"] == 30 and len(split.test) == 6


@pytest.mark.parametrize("share", [0, 1, -0.2, 1.5, 0.01, float("nan")])
def test_a_share_that_reports_nothing_or_everything_is_refused(share):
    with pytest.raises(ValueError, match=r"share=.* of 20 images: nothing would be reported, or all"):
        random_split(faces(["train"] * 20), share=share, seed=0)


def test_a_class_that_a_random_draw_misses_is_named():
    with pytest.raises(ValueError, match="no image of sad in "):
        random_split(faces(["train"] * 40, labels=[0] * 39 + [1]), seed=0)


def test_the_parameter_split_by_names_the_split_and_unknown_names_are_refused():
    whole = faces(["train"] * 20 + ["validation"] * 10 + ["test"] * 10)
    assert set(get_args(StillSplit)) == set(STILL_SPLITS)
    assert {by for by in STILL_SPLITS if split_stills(whole, by=by).redrawn is None} == {
        *get_args(FixedSplit)
    }
    assert split_stills(whole).description == official_split(whole).description
    by_chance, expected = split_stills(whole, by="random_80_20", seed=2), random_split(whole, seed=2)
    assert by_chance.test.sample_id.tolist() == expected.test.sample_id.tolist()
    with pytest.raises(ConfigError, match="split_by='random': still faces are split by official, random_80"):
        split_stills(whole, by="random")


@pytest.mark.parametrize(
    ("parts", "subject", "by", "leak"),
    [
        ("train validation test", None, "official", "none"),
        ("train validation test", "abc", "official", "none"),
        ("train validation test", "aab", "official", SUBJECTS_SHARED),
        ("train validation test", None, "random_80_20", RANDOM_SHARED),
        ("train validation test", "abc", "random_80_20", RANDOM_SHARED),
        ("train validation test", "abc", "random_80_10_10", RANDOM_SHARED),
        ("unassigned unassigned unassigned", None, "official", RANDOM_SHARED),
        ("unassigned unassigned unassigned", "abc", "official", "none"),
    ],
)
def test_the_leak_of_a_split_of_stills_is_named(parts, subject, by, leak):
    people = None if subject is None else np.repeat(list(subject), 20)
    split = split_stills(faces(np.repeat(parts.split(), 20).tolist(), subject=people), by=by, seed=0)
    assert stills_leak(split, by=by) == leak


# --- take and skip --------------------------------------------------------------------------------


@settings(deadline=None)
@given(n=st.integers(240, 400), seed=st.integers(0, 99))
def test_take_and_skip_held_fixed_has_every_image_in_one_part_of_the_printed_shares(n, seed):
    whole = faces(["train"] * n, labels=np.arange(n) // 3 % 2)
    split = take_skip_split(whole, seed=seed)
    three = (split.train, split.validation, split.test)
    assert sorted(name for part in three for name in part.sample_id) == whole.sample_id.tolist()
    assert all(part.sample_id.tolist() == sorted(part.sample_id) for part in three)
    assert [len(split.train), len(split.validation)] == [round(0.8 * n), round(0.1 * n)]
    assert split.redrawn is None and not split.validation_seen(3).any()
    assert split.trained_on(3) is split.train
    again, other = (take_skip_split(whole, seed=number) for number in (seed, seed + 1))
    assert again.test.sample_id.tolist() == split.test.sample_id.tolist() != other.test.sample_id.tolist()


@settings(deadline=None)
@given(n=st.integers(240, 400), seed=st.integers(0, 99), epoch=st.integers(0, 20))
def test_a_reshuffled_epoch_depends_on_its_number_alone_and_its_parts_overlap(n, seed, epoch):
    whole = faces(["train"] * n, labels=np.arange(n) // 3 % 2)
    split = reshuffled_split(whole, seed=seed)
    train, validation = split.redrawn(epoch)
    again = reshuffled_split(whole, seed=seed).redrawn(epoch)
    assert train.sample_id.tolist() == again[0].sample_id.tolist()
    assert validation.sample_id.tolist() == again[1].sample_id.tolist()
    assert [len(train), len(validation)] == [round(0.8 * n), round(0.1 * n)]
    assert split.train.sample_id.tolist() == split.redrawn(0)[0].sample_id.tolist()
    assert train.sample_id.tolist() != split.redrawn(epoch + 1)[0].sample_id.tolist()


def test_what_validates_after_a_reshuffle_has_trained_in_the_very_epoch_and_soon_all_of_it_has():
    whole = faces(["train"] * 2_000, labels=np.arange(2_000) % 2)
    split = reshuffled_split(whole, seed=0)
    seen = split.validation_seen(12)
    assert seen[0] == pytest.approx(0.8, abs=0.07) and (seen[5:] > 0.99).all() and seen[-1] == 1
    assert len(split.trained_on(1)) == 1_600 and len(split.trained_on(12)) == 2_000
    assert shared_with(split.test, split.trained_on(12)).all()
    assert split.subject_independent is False and stills_leak(split, by="reshuffled_80_10_10") == RESHUFFLED


def test_parts_that_are_drawn_apart_and_kept_overlap_by_four_fifths():
    whole = faces(["train"] * 2_000, labels=np.arange(2_000) % 2)
    split = cached_split(whole, seed=0)
    assert split.redrawn is None and len(split.validation_seen(2)) == 2
    assert split.validation_seen(2) == pytest.approx(0.8, abs=0.07)
    for part in (split.validation, split.test):
        assert shared_with(part, split.train).mean() == pytest.approx(0.8, abs=0.07)
    assert split.test.sample_id.tolist() == cached_split(whole, seed=0).test.sample_id.tolist()
    assert split.subject_independent is False and stills_leak(split, by="cached_80_10_10") == OVERLAPPING


# --- frames of clips ------------------------------------------------------------------------------


def frames(clips_of: list[int], *, labels: list[int] | None = None, n_frames: int = 4) -> FaceSet:
    """Return frames of as many clips of each subject as `clips_of` says, the classes taking turns."""
    subject = np.repeat([f"s{number}" for number in range(len(clips_of))], clips_of)
    n_clips = len(subject)
    ids = [f"{subject[clip]}/c{clip:02d}/{frame:03d}" for clip in range(n_clips) for frame in range(n_frames)]
    return FaceSet(
        name="frames",
        source="synthetic",
        images=np.random.default_rng(0).integers(256, size=(len(ids), 4, 4), dtype=np.uint8),
        labels=np.repeat(np.arange(n_clips) % 2 if labels is None else labels, n_frames),
        class_names=("happy", "sad"),
        split=np.full(len(ids), "unassigned"),
        sample_id=np.array(ids),
        subject=np.repeat(subject, n_frames),
    )


@given(
    by=st.sampled_from(["frame", "clip", "subject"]),
    clips_of=st.lists(st.integers(2, 6), min_size=6, max_size=10),
    n_folds=st.integers(3, 5),
    seed=st.integers(0, 99),
)
def test_each_frame_is_held_out_once_and_what_is_to_stay_together_does(by, clips_of, n_folds, seed):
    whole = frames(clips_of)
    splits = split_frames(whole, by=by, n_folds=n_folds, seed=seed)
    reported = np.concatenate([split.test.sample_id for split in splits])
    assert len(splits) == n_folds
    assert sorted(reported) == sorted(whole.sample_id)
    kept = {"frame": lambda part: part.sample_id, "clip": lambda part: clip_of(part.sample_id)}
    names = kept.get(by, lambda part: part.subject)
    for split in splits:
        parts = (split.train, split.validation, split.test)
        assert sum(map(len, parts)) == len(whole) and min(map(len, parts))
        assert sum(len(set(names(part))) for part in parts) == len(set(names(whole)))
        assert set(split.train.labels) == {0, 1}
        assert split.subject_independent is True or by != "subject"


@pytest.mark.parametrize(
    ("by", "clip", "subject", "leak", "independent"),
    [
        ("frame", 1.0, 1.0, CLIPS_SHARED, False),
        ("clip", 0.0, 1.0, SUBJECTS_SHARED, False),
        ("subject", 0.0, 0.0, "none", True),
    ],
)
def test_who_is_on_both_sides_of_a_split_of_frames_is_measured_and_named(
    by, clip, subject, leak, independent
):
    splits = split_frames(frames([12] * 6, n_frames=9), by=by, n_folds=3, seed=0)
    assert seen_in_training(splits) == pytest.approx({"clip": clip, "subject": subject}, abs=0.05)
    assert frame_leak(splits) == leak
    assert {split.subject_independent for split in splits} == {independent}
    described = (
        f"648 frames of 72 clips of 6 subjects in 3 random folds by {by}, stratified by class (seed 0)"
    )
    assert all(split.description.startswith(described) for split in splits)


def test_clips_of_people_with_one_clip_each_share_nobody():
    splits = split_frames(frames([1] * 12), by="clip", n_folds=4, seed=0)
    assert frame_leak(splits) == "none"


def test_the_folds_of_frames_repeat_with_their_seed_and_differ_with_another():
    first, again, other = (
        [
            split.test.sample_id.tolist()
            for split in split_frames(frames([4] * 6), by="clip", n_folds=3, seed=seed)
        ]
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("clips_of", "labels", "n_folds", "message"),
    [
        ([2] * 6, None, 2, "2 folds cannot train, choose and report"),
        ([2] * 4, None, 5, "4 subjects cannot be in 5 folds; use at most 4"),
        ([2] * 3, [0] * 6, 3, "frames of one class only"),
        ([2] * 3, [1, 1, 0, 0, 0, 0], 3, "too few show sad to train and report on"),
    ],
)
def test_frames_that_cannot_be_split_by_subject_are_refused_with_the_reason(
    clips_of, labels, n_folds, message
):
    with pytest.raises(ValueError, match=message):
        split_frames(frames(clips_of, labels=labels), by="subject", n_folds=n_folds, seed=0)


def test_the_part_that_chooses_is_another_one_where_the_next_would_take_a_class_from_training():
    # Two people show "sad": while one of them is reported, the other one must be trained on.
    labels = [1, 0, 1, 0, *[0] * 8]
    for split in split_frames(frames([2] * 6, labels=labels), by="subject", n_folds=6, seed=0):
        assert set(split.train.labels) == {0, 1}
