from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_utils.live.expressions import BEGINS_AT, SHORTEST, Expressions, Smoother

NAMES = ("angry", "happy", "neutral")


def sure_of(name: str, probability: float = 0.9) -> np.ndarray:
    rest = (1 - probability) / (len(NAMES) - 1)
    return np.array([probability if name == other else rest for other in NAMES])


def watch(expressions: Expressions, *held: tuple[str, float], rate: float = 20.0, probability: float = 0.9):
    ended, time = [], 0.0
    for name, seconds in held:
        for _ in range(round(seconds * rate)):
            event = expressions.add(sure_of(name, probability), time)
            ended += [event] if event else []
            time += 1 / rate
    return ended


def test_what_is_held_begins_at_its_first_frame_and_ends_where_another_takes_over():
    expressions = Expressions(NAMES, face=3)
    (first,) = watch(expressions, ("neutral", 2.0), ("happy", 1.0))
    assert (first.kind, first.face, first.label) == ("expression", 3, "neutral")
    assert first.onset == 0 and first.offset == pytest.approx(2.0, abs=0.1)
    assert expressions.current.label == "happy"
    assert expressions.current.onset == pytest.approx(2.0, abs=0.06)


def test_a_moment_is_no_expression_and_does_not_end_one():
    expressions = Expressions(NAMES, face=1)
    assert watch(expressions, ("happy", 0.9 * SHORTEST)) == [] and expressions.current is None
    expressions = Expressions(NAMES, face=1)
    smoother = Smoother()
    for frame in range(60):
        name = "angry" if frame in (30, 31) else "happy"
        assert expressions.add(smoother.add(sure_of(name), frame / 30), frame / 30) is None
    assert expressions.current.label == "happy" and expressions.current.seconds > 1.9


def test_nothing_is_said_where_no_class_has_half():
    expressions = Expressions(NAMES, face=1)
    assert watch(expressions, ("happy", 3.0), probability=0.45) == [] and expressions.current is None


def test_the_apex_is_where_the_probability_was_highest():
    expressions = Expressions(NAMES, face=1)
    for frame, probability in enumerate([0.6, 0.7, 0.95, 0.8, 0.7, 0.6, 0.6]):
        expressions.add(sure_of("happy", probability), frame / 5)
    assert expressions.current.apex == pytest.approx(0.4)
    assert expressions.current.score == pytest.approx(0.95)


def test_a_face_that_is_gone_ends_its_expression():
    expressions = Expressions(NAMES, face=1)
    watch(expressions, ("happy", 1.0))
    assert expressions.end().label == "happy" and expressions.current is None
    assert expressions.end() is None


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), min_size=2, max_size=80), st.floats(BEGINS_AT, 1.0))
def test_expressions_of_a_face_do_not_overlap_and_last(labels, probability):
    expressions, events = Expressions(NAMES, face=1), []
    for frame, label in enumerate(labels):
        event = expressions.add(sure_of(NAMES[label], probability), frame / 10)
        events += [event] if event else []
    events += [event] if (event := expressions.end()) else []
    assert all(event.seconds >= SHORTEST and event.onset <= event.apex <= event.offset for event in events)
    assert all(before.offset <= after.onset + 1e-9 for before, after in pairwise(events))


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_smoothed_probabilities_sum_to_one_and_stay_within_what_was_given(shares):
    smoother = Smoother()
    given_ = np.array([[share, 1 - share] for share in shares])
    smoothed = np.array([smoother.add(row, frame / 10) for frame, row in enumerate(given_)])
    np.testing.assert_allclose(smoothed.sum(axis=1), 1)
    assert (smoothed.min(axis=0) >= given_.min(axis=0) - 1e-12).all()
    assert (smoothed.max(axis=0) <= given_.max(axis=0) + 1e-12).all()


@pytest.mark.parametrize("rate", [5, 10, 40])
def test_smoothing_is_the_same_at_every_frame_rate(rate):
    smoother = Smoother(half_life=0.5)
    smoother.add(np.array([1.0, 0.0]), 0.0)
    for frame in range(1, rate + 1):
        last = smoother.add(np.array([0.0, 1.0]), frame / rate)
    assert last[0] == pytest.approx(0.25)


def test_without_a_half_life_nothing_is_smoothed():
    smoother = Smoother(half_life=0)
    smoother.add(np.array([1.0, 0.0]), 0.0)
    assert smoother.add(np.array([0.0, 1.0]), 0.1).tolist() == [0.0, 1.0]


def test_an_expression_that_fades_slowly_ends_where_the_next_begins():
    expressions = Expressions(NAMES, face=1)
    watch(expressions, ("happy", 1.0))
    rows = [(np.array([0.55, 0.4, 0.05]), 1 + frame / 20) for frame in range(20)]
    (ended,) = [event for row in rows if (event := expressions.add(*row))]
    assert ended.label == "happy" and ended.offset == pytest.approx(1.0)
    assert expressions.current.label == "angry" and expressions.current.onset == pytest.approx(1.0)


def test_what_nobody_saw_is_no_part_of_an_expression():
    expressions = Expressions(NAMES, face=1)
    watch(expressions, ("happy", 1.0))
    ended = expressions.add(sure_of("happy"), 60.0)
    assert ended.label == "happy" and ended.offset == pytest.approx(0.95)
    assert expressions.current is None
    smoother = Smoother()
    smoother.add(np.array([1.0, 0.0]), 0.0)
    assert smoother.add(np.array([0.0, 1.0]), 60.0).tolist() == [0.0, 1.0]


def test_an_expression_ends_where_the_next_began_even_if_that_is_not_sure_yet():
    expressions = Expressions(NAMES, face=1)
    watch(expressions, ("happy", 1.0))
    ended = []
    for frame in range(12):
        share = 0.5 + 0.02 * frame  # angry from the first, while happy fades below its end
        event = expressions.add(np.array([share, 0.9 - share, 0.1]), 1 + frame / 20)
        ended += [event] if event else []
    assert ended[0].label == "happy" and ended[0].offset == pytest.approx(1.0)
    assert expressions.current.label == "angry" and expressions.current.onset == pytest.approx(1.0)
