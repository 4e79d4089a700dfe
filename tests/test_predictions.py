"""Predictions are checked, and their files are small and give back what was saved."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from fer_utils.labels import FER7
from fer_utils.predictions import COLUMNS, EpochPredictions, Predictions, aligned, pooled


def three(**changes) -> Predictions:
    fields = {
        "sample_id": ["a", "b", "c"],
        "truth": [0, 1, 1],
        "probabilities": [[0.75, 0.25], [0.5, 0.5], [0.9, 0.1]],
        "class_names": ("happy", "sad"),
    }
    return Predictions(**(fields | changes))


def assert_same(a: Predictions, b: Predictions) -> None:
    assert a.class_names == b.class_names
    for name in COLUMNS:
        strict = name not in ("sample_id", "group")
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), strict=strict)


def test_saved_predictions_come_back_in_a_small_file(tmp_path):
    made = three(fold=[0, 1, 1], group=["s1", "", "s2"])
    for name in ("one.npz", "two.npz"):
        made.save(tmp_path / name)
    assert_same(Predictions.load(tmp_path / "one.npz"), made)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    rng = np.random.default_rng(0)
    ids = [f"test/surprise/PrivateTest_{number:08d}.jpg" for number in rng.choice(10**8, 3589, replace=False)]
    truth, probabilities = rng.integers(7, size=3589), rng.dirichlet(np.full(7, 0.3), size=3589)
    Predictions(ids, truth, probabilities, FER7).save(tmp_path / "fer2013.npz")
    assert (tmp_path / "fer2013.npz").stat().st_size <= 150_000


def test_a_damaged_file_is_refused_or_reads_the_same(tmp_path):
    three().save(tmp_path / "good.npz")
    good = (tmp_path / "good.npz").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.npz"
    np.savez(path, sample_id=np.array([{"not": "a name"}], dtype=object))  # pickled
    with pytest.raises(ValueError, match=r"damaged\.npz: not readable"):
        EpochPredictions.load(path)
    for _ in range(60):
        damaged = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(len(good))] = rng.integers(256)
        path.write_bytes(damaged if rng.random() < 0.5 else damaged[: rng.integers(len(good))])
        with suppress(ValueError):
            assert_same(Predictions.load(path), three())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"truth": [0, 1]}, "truth: shape"),
        ({"probabilities": [[1.0], [1.0], [1.0]]}, r"probabilities: shape \(3, 1\).*need \(3, 2\)"),
        ({"sample_id": ["a", "b", "a"]}, r"row 2 \(sample 'a'\)"),
        ({"truth": [0, 1, 2]}, "row 2 .sample 'c'.*0 to 1"),
        ({"probabilities": [[0.5, 0.5], [np.nan, 1], [1, 0]]}, "row 1 .sample 'b'.*not finite"),
        ({"probabilities": [[1.5, -0.5], [0, 1], [1, 0]]}, "row 0 .sample 'a'.*negative"),
        ({"probabilities": [[1e9, 0], [0, 1], [1, 0]]}, "row 0 .sample 'a'.*logits"),
    ],
)
def test_impossible_values_are_refused_with_their_place(changes, message):
    with pytest.raises(ValueError, match=message):
        three(**changes)


def test_what_is_accepted_is_accepted_again_after_rounding():
    """Otherwise a run could save what nobody can load."""
    for first in np.linspace(0.1, 0.9, 60):
        row = [[first, 1.0019 - first]]
        try:
            made = Predictions(["a"], [0], row, ("happy", "sad"))
        except ValueError:
            continue
        assert_same(replace(made, probabilities=made.probabilities), made)


def test_subset_keeps_rows_together_and_a_group_is_one_unit():
    assert not three().grouped and len({*three().unit}) == 3
    mixed = three(group=["s1", "", "s1"])
    assert mixed.grouped and mixed.unit[0] == mixed.unit[2] != mixed.unit[1]
    made = three(fold=[0, 1, 2], group=["s1", "s2", "s3"])
    swapped = made.subset(np.array([2, 0]))
    columns = (swapped.sample_id, swapped.truth, swapped.fold, swapped.group)
    assert [column.tolist() for column in columns] == [["c", "a"], [1, 0], [2, 0], ["s3", "s1"]]


def test_mistakes_come_most_confident_first_with_ties_by_name():
    made = Predictions(
        sample_id=["d", "c", "b", "a"],
        truth=[0, 0, 0, 0],
        probabilities=[[0.25, 0.75], [0.1, 0.9], [1.0, 0.0], [0.1, 0.9]],
        class_names=("happy", "sad"),
    )
    assert made.sample_id[made.mistakes(5)].tolist() == ["a", "c", "d"]
    assert made.sample_id[made.mistakes(1)].tolist() == ["a"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_id": ["a", "b", "x"]}, "such as 'c', 'x'"),
        ({"truth": [0, 0, 1]}, "truth of sample 'b'"),
        ({"class_names": ("sad", "happy")}, "classes"),
        ({"group": ["", "", "s1"]}, "group of sample 'c'"),
    ],
)
def test_alignment_brings_runs_into_one_order_or_names_what_differs(changes, message):
    assert_same(*aligned([three(), three().subset(np.array([2, 0, 1]))]))
    with pytest.raises(ValueError, match=message):
        aligned([three(), three(**changes)])


def test_folds_are_pooled_with_their_numbers_and_groups():
    parts = [three(fold=0, group="s1"), three(sample_id=["d", "e", "f"], fold=1, group=["s2", "s2", "s3"])]
    together = pooled(parts)
    assert together.sample_id.tolist() == list("abcdef") and together.fold.tolist() == [0, 0, 0, 1, 1, 1]
    assert together.group.tolist() == ["s1", "s1", "s1", "s2", "s2", "s3"]
    np.testing.assert_array_equal(together.probabilities[3:], parts[1].probabilities)
    with pytest.raises(ValueError, match="'a'"):
        pooled([three(), three(sample_id=["a", "e", "f"])])
    with pytest.raises(ValueError, match="same classes"):
        pooled([three(), three(sample_id=["d", "e", "f"], class_names=("sad", "happy"))])


# --- predictions by epoch -------------------------------------------------------------------------

FOUR = EpochPredictions(
    sample_id=np.array(["a", "b", "c", "d"]),
    truth=np.array([0, 1, 2, 2]),
    predicted=np.array([[0, 0, 0, 0], [0, 1, 2, 0], [0, 1, 0, 2], [0, 1, 1, 1]], dtype=np.uint8),
)


def test_the_best_epoch_is_the_earliest_with_the_highest_accuracy_also_after_saving(tmp_path):
    FOUR.save(tmp_path / "epochs.npz")
    for epochs in (FOUR, EpochPredictions.load(tmp_path / "epochs.npz")):
        assert epochs.accuracy.tolist() == [0.25, 0.75, 0.75, 0.5] and epochs.best == 1
