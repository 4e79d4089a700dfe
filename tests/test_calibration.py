import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.calibration import records, reliability
from fer_utils.predictions import Predictions


def answers(confidence: np.ndarray, right: np.ndarray) -> Predictions:
    return Predictions(
        sample_id=[f"s{row}" for row in range(len(right))],
        truth=np.where(right, 0, 1),
        probabilities=np.stack([confidence, 1 - confidence], axis=1),
        class_names=("a", "b"),
    )


def test_a_network_that_is_as_often_right_as_it_says_is_reliable():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1.0, 20_000)
    table = reliability(answers(confidence, rng.random(20_000) < confidence))
    assert table["n"].sum() == 20_000
    np.testing.assert_allclose(table["said"], table["right"], atol=0.02)


def test_one_that_promises_too_much_is_told_by_its_interval():
    rng = np.random.default_rng(1)
    confidence = np.full(500, 0.95)
    table = reliability(answers(confidence, rng.random(500) < 0.7))
    assert table.index.tolist() == ["90 to 100 %"] and table["n"].tolist() == [500]
    assert table["high"].item() < table["said"].item()


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.5, 1.0), st.booleans()), min_size=1, max_size=50))
def test_every_answer_is_in_one_group(pairs):
    confidence, right = map(np.array, zip(*pairs, strict=True))
    table = reliability(answers(confidence, right))
    assert table["n"].sum() == len(pairs)
    assert (table["low"] <= table["right"]).all() and (table["right"] <= table["high"]).all()


def test_records_name_the_percentages():
    table = reliability(answers(np.array([0.95, 0.95, 0.6]), np.array([True, False, True])))
    found = records(table)
    assert set(found) == {"answers_of_50_to_70", "answers_of_90_to_100"}
    assert found["answers_of_90_to_100"]["accuracy"]["value"] == 0.5
    assert found["answers_of_90_to_100"]["accuracy"]["n"] == 2


@pytest.mark.parametrize("edges", [[0, 1, 1], [0.5, 1], [0, 0.5], [1]])
def test_edges_must_rise_from_0_to_1(edges):
    with pytest.raises(ValueError, match="must rise from 0 to 1"):
        reliability(answers(np.array([0.9]), np.array([True])), edges=edges)
