"""Predictions are checked, and their files are small and give back what was saved."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from fer_utils.labels import FER7
from fer_utils.predictions import EpochPredictions, Predictions, aligned, pooled

ARRAYS = ("sample_id", "truth", "probabilities", "fold", "group")


def three(**changes) -> Predictions:
    fields = {
        "sample_id": ["a", "b", "c"],
        "truth": [0, 1, 1],
        "probabilities": [[0.75, 0.25], [0.5, 0.5], [0.9, 0.1]],
        "class_names": ("happy", "sad"),
    }
    return Predictions(**(fields | changes))


def privatetest(n: int = 3589) -> Predictions:
    """As many images, classes and characters in a name as FER-2013's test split has."""
    rng = np.random.default_rng(0)
    numbers = rng.choice(10**8, size=n, replace=False)
    return Predictions(
        sample_id=[f"test/surprise/PrivateTest_{number:08d}.jpg" for number in numbers],
        truth=rng.integers(7, size=n),
        probabilities=rng.dirichlet(np.full(7, 0.3), size=n),
        class_names=FER7,
    )


def assert_same(a: Predictions, b: Predictions) -> None:
    assert a.class_names == b.class_names
    for name in ARRAYS:
        np.testing.assert_array_equal(
            getattr(a, name), getattr(b, name), strict=name not in ("sample_id", "group")
        )


def test_saved_predictions_come_back_to_the_last_bit(tmp_path):
    made = three(fold=[0, 1, 1], group=["s1", "", "s2"])
    made.save(tmp_path / "predictions.npz")
    assert_same(Predictions.load(tmp_path / "predictions.npz"), made)


def test_fer2013s_test_split_takes_at_most_150_kilobytes(tmp_path):
    privatetest().save(tmp_path / "predictions.npz")
    assert (tmp_path / "predictions.npz").stat().st_size <= 150_000


def test_equal_predictions_make_equal_bytes(tmp_path):
    for name in ("one.npz", "two.npz"):
        three().save(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_a_damaged_file_is_refused_or_reads_the_same(tmp_path):
    three().save(tmp_path / "good.npz")
    good = (tmp_path / "good.npz").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.npz"
    for _ in range(150):
        damaged = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(len(good))] = rng.integers(256)
        path.write_bytes(damaged if rng.random() < 0.5 else damaged[: rng.integers(len(good))])
        with suppress(ValueError):
            assert_same(Predictions.load(path), three())


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut short"])
def test_a_file_of_something_else_is_refused_by_name(tmp_path, content):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.npz: not readable"):
        Predictions.load(path)


def test_pickled_content_is_never_loaded(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, sample_id=np.array([{"not": "a name"}], dtype=object))
    with pytest.raises(ValueError, match=r"objects\.npz"):
        Predictions.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"truth": [0, 1]}, "truth: shape"),
        ({"probabilities": [[1.0], [1.0], [1.0]]}, r"probabilities: shape \(3, 1\).*need \(3, 2\)"),
        ({"fold": [0, 1]}, "fold: shape"),
        ({"group": ["s1"]}, "group: shape"),
        ({"sample_id": ["a", "b", "a"]}, r"row 2 \(sample 'a'\)"),
        ({"truth": [0, 1, 2]}, "row 2 .sample 'c'.*0 to 1, got 2"),
        ({"truth": [0, -1, 1]}, "row 1 .sample 'b'.*got -1"),
        ({"truth": [0.0, 1.0, 1.0]}, "truth must hold integers"),
        ({"probabilities": [[0.5, 0.5], [np.nan, 1], [1, 0]]}, "row 1 .sample 'b'.*not finite"),
        ({"probabilities": [[0.5, 0.5], [np.inf, 0], [1, 0]]}, "row 1 .sample 'b'.*not finite"),
        ({"probabilities": [[1.5, -0.5], [0, 1], [1, 0]]}, "row 0 .sample 'a'.*negative"),
        ({"probabilities": [[0.5, 0.5], [0, 1], [0.6, 0.6]]}, "row 2 .sample 'c'.*sum to 1.2"),
        ({"probabilities": [[1e9, 0], [0, 1], [1, 0]]}, "row 0 .sample 'a'.*logits"),
        ({"class_names": ("sad", "sad")}, "not unique"),
    ],
)
def test_impossible_values_are_refused_with_their_place(changes, message):
    with pytest.raises(ValueError, match=message):
        three(**changes)


def test_what_is_accepted_is_accepted_again_after_rounding():
    """Otherwise a run could save what nobody can load."""
    for first in np.linspace(0.1, 0.9, 300):
        row = [[first, 1.0019 - first]]
        try:
            made = Predictions(["a"], [0], row, ("happy", "sad"))
        except ValueError:
            continue
        assert_same(replace(made, probabilities=made.probabilities), made)


def test_predictions_cannot_be_changed_afterwards():
    truth = np.array([0, 1, 1])
    made = three(truth=truth)
    truth[0] = 1
    assert made.truth[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        made.truth[0] = 1


def test_subset_keeps_rows_together_in_the_order_asked_for():
    made = three(fold=[0, 1, 2], group=["s1", "s2", "s3"])
    assert_same(made.subset(np.array([True, True, True])), made)
    swapped = made.subset(np.array([2, 0]))
    assert swapped.sample_id.tolist() == ["c", "a"]
    assert (swapped.truth.tolist(), swapped.fold.tolist(), swapped.group.tolist()) == (
        [1, 0],
        [2, 0],
        ["s3", "s1"],
    )
    with pytest.raises(ValueError, match="mask"):
        made.subset(np.array([True, False]))


def test_samples_of_a_group_are_one_unit_and_others_stand_alone():
    made = three(group=["s1", "", "s1"])
    assert made.grouped
    assert not three().grouped
    assert made.unit[0] == made.unit[2] != made.unit[1]
    assert sorted(three().unit) == [0, 1, 2]


def test_mistakes_come_most_confident_first_with_ties_by_name():
    made = Predictions(
        sample_id=["d", "c", "b", "a"],
        truth=[0, 0, 0, 0],
        probabilities=[[0.25, 0.75], [0.1, 0.9], [1.0, 0.0], [0.1, 0.9]],
        class_names=("happy", "sad"),
    )
    assert made.sample_id[made.mistakes(5)].tolist() == ["a", "c", "d"]
    assert made.sample_id[made.mistakes(1)].tolist() == ["a"]


def test_alignment_brings_runs_into_one_order():
    one, two = aligned([three(), three().subset(np.array([2, 0, 1]))])
    assert_same(one, two)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_id": ["a", "b", "x"]}, "2 occur in only one of them, such as 'c', 'x'"),
        ({"truth": [0, 0, 1]}, "truth of sample 'b': 1 and 0"),
        ({"class_names": ("sad", "happy")}, "classes"),
        ({"group": ["", "", "s1"]}, "group of sample 'c': '' and 's1'"),
    ],
)
def test_alignment_names_what_differs(changes, message):
    with pytest.raises(ValueError, match=message):
        aligned([three(), three(**changes)])


def test_folds_are_pooled_with_their_numbers_and_groups():
    parts = [
        three(fold=0, group="s1"),
        three(sample_id=["d", "e", "f"], fold=1, group=["s2", "s2", "s3"]),
    ]
    all_of_them = pooled(parts)
    assert all_of_them.sample_id.tolist() == list("abcdef")
    assert all_of_them.fold.tolist() == [0, 0, 0, 1, 1, 1]
    assert all_of_them.group.tolist() == ["s1", "s1", "s1", "s2", "s2", "s3"]
    np.testing.assert_array_equal(all_of_them.probabilities[3:], parts[1].probabilities)


def test_a_sample_in_two_folds_and_other_classes_are_refused():
    with pytest.raises(ValueError, match="'a'"):
        pooled([three(), three(sample_id=["a", "e", "f"])])
    with pytest.raises(ValueError, match="only folds with the same classes can be pooled"):
        pooled([three(), three(sample_id=["d", "e", "f"], class_names=("sad", "happy"))])
    with pytest.raises(ValueError, match="got 0 folds"):
        pooled([])


# --- predictions by epoch -------------------------------------------------------------------------

FOUR = EpochPredictions(
    sample_id=np.array(["a", "b", "c", "d"]),
    truth=np.array([0, 1, 2, 2]),
    predicted=np.array([[0, 0, 0, 0], [0, 1, 2, 0], [0, 1, 0, 2], [0, 1, 1, 1]], dtype=np.uint8),
)


def test_the_best_epoch_is_the_earliest_with_the_highest_accuracy():
    assert FOUR.accuracy.tolist() == [0.25, 0.75, 0.75, 0.5] and FOUR.best == 1
    assert FOUR.first(1).accuracy.tolist() == [0.25]
    with pytest.raises(ValueError, match=r"4 samples need .* got \(4,\) and \(2, 3\)"):
        EpochPredictions(FOUR.sample_id, FOUR.truth, np.zeros((2, 3), np.uint8))


def test_saved_predictions_by_epoch_come_back(tmp_path):
    FOUR.save(tmp_path / "one.npz")
    again = EpochPredictions.load(tmp_path / "one.npz")
    again.save(tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert np.array_equal(again.predicted, FOUR.predicted) and np.array_equal(again.truth, FOUR.truth)
    (tmp_path / "one.npz").write_bytes(b"PK no archive")
    with pytest.raises(ValueError, match=r"one.npz: not readable as predictions by epoch"):
        EpochPredictions.load(tmp_path / "one.npz")
