"""Every subject or clip is held out once, and nobody is on both sides where that is promised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score

from fer_utils.data import ClipSet
from fer_utils.evaluation import evaluate
from fer_utils.folds import inner_holdout, leave_one_subject_out, random_folds, random_holdout
from fer_utils.predictions import Predictions, pooled

CLASSES = ("negative", "positive", "surprise")


def clips(labels, subjects) -> ClipSet:
    n = len(labels)
    return ClipSet(
        name="small",
        source="synthetic",
        clips=np.arange(n * 8, dtype=np.uint8).reshape(n, 2, 2, 2),
        labels=np.array(labels),
        class_names=CLASSES,
        sample_id=np.array([f"clip-{i:02d}" for i in range(n)]),
        subject=np.array(subjects),
        frame_rate=np.full(n, 100.0),
        onset=np.zeros(n, dtype=int),
        apex=np.ones(n, dtype=int),
        offset=np.full(n, 2),
    )


UNEVEN = clips([0, 0, 1, 2, 0, 1, 2, 0, 1], ["b", "b", "a", "a", "a", "c", "c", "d", "a"])


def test_every_subject_is_held_out_once_with_all_its_clips():
    folds = leave_one_subject_out(UNEVEN)
    assert [fold.name for fold in folds.folds] == ["a", "b", "c", "d"] and folds.skipped == ()
    for fold in folds.folds:
        assert set(fold.held_out.subject) == {fold.name}
        assert fold.name not in fold.train.subject
        assert len(fold.train) + len(fold.held_out) == len(UNEVEN)
    assert [len(fold.held_out) for fold in folds.folds] == [4, 2, 2, 1]


def test_leaving_one_out_and_pooling_gives_what_was_computed_by_hand():
    # Truth by subject: a 1 2 0 1, b 0 0, c 1 2, d 0. What is said: 1 to c, 0 to all others.
    parts = []
    for number, fold in enumerate(leave_one_subject_out(UNEVEN).folds):
        said = np.full(len(fold.held_out), 1 if fold.name == "c" else 0)
        probabilities = np.eye(3)[said]
        held_out = fold.held_out
        ids, truth, groups = held_out.sample_id, held_out.labels, held_out.subject
        parts.append(Predictions(ids, truth, probabilities, CLASSES, number, groups))
    result = evaluate(pooled(parts))
    # Confusion, rows the truth: 0 -> 4 0 0; 1 -> 2 1 0; 2 -> 1 1 0.
    assert result.confusion_matrix == [[4, 0, 0], [2, 1, 0], [1, 1, 0]]
    assert result.metrics["accuracy"]["value"] == pytest.approx(5 / 9)
    uar = (4 / 4 + 1 / 3 + 0 / 2) / 3
    assert result.metrics["balanced_accuracy"]["value"] == pytest.approx(uar)
    uf1 = (2 * 4 / (4 + 7) + 2 * 1 / (3 + 2) + 0) / 3
    assert result.metrics["macro_f1"]["value"] == pytest.approx(uf1)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from("abcd")), min_size=4, max_size=30
    )
)
def test_uar_is_balanced_accuracy_and_uf1_the_macro_f1_of_the_pooled_predictions(rows):
    truth, said, subjects = map(np.array, zip(*rows, strict=True))
    ids = [f"clip-{i}" for i in range(len(rows))]
    order = np.argsort(subjects, kind="stable")
    halves = np.array_split(order, 2)
    parts = [
        Predictions(np.array(ids)[h], truth[h], np.eye(3)[said[h]], CLASSES, i, subjects[h])
        for i, h in enumerate(halves)
    ]
    metrics = evaluate(pooled(parts), n_boot=0).metrics
    shown = np.unique(truth)
    recall = np.mean([(said[truth == label] == label).mean() for label in shown])
    assert metrics["balanced_accuracy"]["value"] == pytest.approx(recall)
    if set(said) <= set(shown) and len(shown) > 1:  # of others scikit-learn warns
        assert metrics["balanced_accuracy"]["value"] == pytest.approx(balanced_accuracy_score(truth, said))
    f1 = f1_score(truth, said, average="macro", labels=shown, zero_division=0)
    assert metrics["macro_f1"]["value"] == pytest.approx(f1)


def test_a_fold_that_would_train_without_a_class_is_listed_or_refused():
    only_a_is_surprised = clips([0, 1, 2, 0, 1, 0, 1], list("aaabbcc"))
    folds = leave_one_subject_out(only_a_is_surprised)
    assert [fold.name for fold in folds.folds] == ["b", "c"]
    assert folds.skipped == ("a: nobody else shows surprise",)
    with pytest.raises(ValueError, match="small: no fold can hold out a: nobody else shows surprise"):
        leave_one_subject_out(only_a_is_surprised, strict=True)


def test_a_subject_with_a_single_class_is_a_fold_like_any_other():
    folds = leave_one_subject_out(clips([0, 0, 1, 2, 0, 1, 2], list("aabbbcc"))).folds
    assert set(folds[0].held_out.labels) == {0}


def test_one_subject_cannot_be_left_out():
    with pytest.raises(ValueError, match="small: 1 subject; leaving one out needs two or more"):
        leave_one_subject_out(clips([0, 1, 2], list("aaa")))


def test_no_fold_at_all_is_an_error():
    with pytest.raises(
        ValueError, match=r"no fold can hold out a: nobody else shows positive; b: .*negative"
    ):
        leave_one_subject_out(clips([0, 0, 1, 1], list("bbaa")))


def test_random_folds_hold_out_every_clip_once_with_people_on_both_sides():
    labels = np.arange(30) % 3
    folds = random_folds(clips(labels, np.array(list("ab"))[np.arange(30) % 2]), n_folds=5, seed=0).folds
    held_out = np.concatenate([fold.held_out.sample_id for fold in folds])
    assert len(np.unique(held_out)) == len(held_out) == 30
    assert all(np.bincount(fold.held_out.labels).tolist() == [2, 2, 2] for fold in folds)
    assert all(set(fold.held_out.subject) & set(fold.train.subject) for fold in folds)


def test_more_random_folds_than_clips_of_a_class_are_refused():
    with pytest.raises(ValueError, match="small: 2 clips of surprise cannot be in 3 folds; use at most 2"):
        random_folds(UNEVEN, n_folds=3, seed=0)


def test_a_fifth_of_158_clips_are_the_32_of_the_paper():
    many = clips(np.arange(158) % 3, np.array(list("abcd"))[np.arange(158) % 4])
    sizes = [len(random_holdout(many, share=share, seed=0).held_out) for share in (0.2, 0.3, 0.4, 0.5)]
    assert sizes == [32, 48, 64, 79]


def test_another_seed_is_another_random_split_and_the_same_seed_the_same():
    many = clips(np.arange(40) % 3, ["a"] * 40)
    one, same, other = (random_holdout(many, share=0.2, seed=seed).held_out.sample_id for seed in (0, 0, 1))
    assert one.tolist() == same.tolist() != other.tolist()


def test_a_random_split_that_trains_without_a_class_is_refused():
    with pytest.raises(ValueError, match="small, 80% at random, seed 0 held out: the training part has no"):
        random_holdout(UNEVEN, share=0.8, seed=0)


def test_epochs_are_chosen_on_people_that_do_not_train():
    many = clips(np.arange(60) % 3, np.repeat(list("abcdef"), 10))
    inner = inner_holdout(many, share=0.2, seed=0)
    assert not set(inner.train.subject) & set(inner.held_out.subject)
    assert len(inner.train) + len(inner.held_out) == 60
    assert 0.1 < len(inner.held_out) / 60 < 0.4
    assert set(inner.train.labels) == {0, 1, 2}


def test_people_to_choose_epochs_on_must_leave_every_class_to_train():
    with pytest.raises(ValueError, match="whichever subjects choose epochs, a class is missing"):
        inner_holdout(clips([0, 0, 1, 1], list("aabb")), share=0.5, seed=0)
    with pytest.raises(ValueError, match="1 subject cannot both train and choose epochs"):
        inner_holdout(clips([0, 1], list("aa")), share=0.5, seed=0)
