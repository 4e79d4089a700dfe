"""The answers of every epoch are kept whole, and say which epoch one would have chosen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.epochs import EpochAnswers

FOUR = EpochAnswers(
    sample_id=np.array(["a", "b", "c", "d"]),
    truth=np.array([0, 1, 2, 2]),
    answers=np.array([[0, 0, 0, 0], [0, 1, 2, 0], [0, 1, 0, 2], [0, 1, 1, 1]], dtype=np.uint8),
)


def test_accuracy_and_the_best_epoch_follow_from_the_answers():
    assert FOUR.accuracy.tolist() == [0.25, 0.75, 0.75, 0.5]
    assert FOUR.best == 1, "the earliest of equals"
    assert FOUR.correct[1].tolist() == [True, True, True, False]


def test_the_first_epochs_are_a_training_that_was_so_long():
    short = FOUR.first(1)
    assert short.accuracy.tolist() == [0.25] and short.best == 0
    assert short.sample_id is FOUR.sample_id


@settings(deadline=None)
@given(epochs=st.integers(1, 5), n=st.integers(1, 20), seed=st.integers(0, 99))
def test_what_is_saved_is_read_again_and_equal_answers_are_equal_bytes(tmp_path_factory, epochs, n, seed):
    random, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("answers")
    names = np.array([f"i{number}" for number in range(n)])
    answers = random.integers(0, 7, (epochs, n)).astype(np.uint8)
    kept = EpochAnswers(names, random.integers(0, 7, n), answers)
    kept.save(folder / "one.npz")
    kept.save(folder / "two.npz")
    assert (folder / "one.npz").read_bytes() == (folder / "two.npz").read_bytes()
    again = EpochAnswers.load(folder / "one.npz")
    assert np.array_equal(again.answers, answers) and np.array_equal(again.truth, kept.truth)
    assert again.sample_id.tolist() == names.tolist()


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"4 samples need .* got \(4,\) and \(2, 3\)"):
        EpochAnswers(FOUR.sample_id, FOUR.truth, np.zeros((2, 3), np.uint8))


def test_a_damaged_file_is_named_and_a_missing_one_is_missing(tmp_path):
    (tmp_path / "epochs_test.npz").write_bytes(b"PK no archive")
    with pytest.raises(ValueError, match=r"epochs_test.npz: not readable as answers .* run it again"):
        EpochAnswers.load(tmp_path / "epochs_test.npz")
    with pytest.raises(FileNotFoundError):
        EpochAnswers.load(tmp_path / "other.npz")
