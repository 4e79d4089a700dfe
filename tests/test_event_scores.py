"""Events that were found agree with true ones as the micro-expression challenges count it."""

from math import isnan
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from fer_utils.live.event_scores import KINDS, event_scores, match_events, overlap


def event(onset: float, offset: float) -> SimpleNamespace:
    return SimpleNamespace(onset=onset, apex=(onset + offset) / 2, offset=offset)


EVENTS = st.builds(
    lambda onset, tenths: event(onset / 10, (onset + tenths) / 10), st.integers(0, 60), st.integers(1, 12)
)
VIDEO = st.lists(EVENTS, max_size=6)
VIDEOS = st.lists(st.tuples(VIDEO, VIDEO), min_size=1, max_size=4)


def scores(videos, **settings):
    found, truth = zip(*videos, strict=True)
    return event_scores(found, truth, **{"n_boot": 0} | settings)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0, 1), (0, 1), 1),
        ((0, 1), (0.5, 1.5), 1 / 3),
        ((0, 4), (1, 3), 0.5),
        ((0, 1), (1, 2), 0),
        ((0, 1), (3, 4), 0),
    ],
)
def test_overlap_is_the_shared_time_over_the_covered_time(one, other, expected):
    assert (
        overlap(event(*one), event(*other)) == overlap(event(*other), event(*one)) == pytest.approx(expected)
    )


@given(VIDEO, VIDEO, st.sampled_from([0.1, 0.3, 0.5, 0.9]))
def test_no_event_is_matched_twice_and_no_pair_overlaps_too_little(found, truth, iou):
    pairs = match_events(found, truth, iou=iou)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(overlap(found[i], truth[j]) >= iou for i, j in pairs)


@given(VIDEO, VIDEO, st.sampled_from([0.1, 0.3, 0.5]))
def test_as_many_events_are_matched_as_can_be(found, truth, iou):
    fits = np.array([[overlap(i, j) >= iou for j in truth] for i in found], dtype=int).reshape(
        len(found), len(truth)
    )
    most = (maximum_bipartite_matching(csr_array(fits)) >= 0).sum() if fits.size else 0
    assert len(match_events(found, truth, iou=iou)) == most


def test_of_two_matches_the_closer_one_is_taken():
    assert match_events([event(0, 1)], [event(0.3, 1.3), event(0.1, 1.1)]) == [(0, 1)]
    # The first event alone would take the second true one, and leave the second event with none.
    assert match_events([event(0, 10), event(2, 14)], [event(0, 6), event(0, 11)]) == [(0, 0), (1, 1)]


@given(st.lists(VIDEO, min_size=1, max_size=4))
def test_finding_exactly_what_is_there_is_perfect(truth):
    found = scores([(events, events[::-1]) for events in truth])
    for kind in KINDS:
        row = found.loc[kind]
        assert (row.fp, row.fn) == (0, 0)
        assert row.f1 == 1 if row.tp else isnan(row.f1)
        assert row.onset_error == 0 if row.tp else isnan(row.onset_error)


@given(VIDEOS)
def test_f1_is_the_same_with_found_and_truth_exchanged(videos):
    one, other = scores(videos), scores([pair[::-1] for pair in videos])
    for same, exchanged in (("f1", "f1"), ("tp", "tp"), ("fp", "fn"), ("precision", "recall")):
        np.testing.assert_array_equal(one[same], other[exchanged])


@given(VIDEOS)
def test_the_harmonic_mean_of_precision_and_recall_is_f1(videos):
    for _, row in scores(videos).dropna().iterrows():
        if row.tp:
            assert row.f1 == pytest.approx(2 / (1 / row.precision + 1 / row.recall))


@given(VIDEOS)
def test_an_event_more_that_is_not_there_never_raises_f1(videos):
    more = [(videos[0][0] + [event(100, 100.3), event(200, 202)], videos[0][1]), *videos[1:]]
    before, after = scores(videos), scores(more)
    assert (after.fp - before.fp >= (1, 1, 2)).all()
    assert (after.f1 <= before.f1.fillna(1)).all()


def test_counts_of_all_videos_are_added_up():
    found = [[event(1.0, 1.3), event(5.0, 5.3)], [event(2.0, 3.0)], []]
    truth = [[event(1.05, 1.35), event(8.0, 8.4)], [event(2.1, 3.1)], [event(4, 5)]]
    row = scores(list(zip(found, truth, strict=True)))
    assert row[["tp", "fp", "fn"]].to_numpy().tolist() == [[1, 1, 1], [1, 0, 1], [2, 1, 2]]
    assert row.f1.tolist() == pytest.approx([1 / 2, 2 / 3, 4 / 7])
    assert row.onset_error.tolist() == pytest.approx([0.05, 0.1, 0.075])
    assert set(row.n_videos) == {3}


def test_a_micro_expression_found_as_a_macro_expression_is_missed():
    row = scores([([event(1.0, 1.55)], [event(1.0, 1.45)])])
    assert row[["tp", "fp", "fn"]].to_numpy().tolist() == [[0, 0, 1], [0, 1, 0], [0, 1, 1]]
    assert row.f1.tolist() == [0, 0, 0]


@settings(max_examples=20)
@given(VIDEOS)
def test_the_interval_holds_the_value_and_one_video_has_none(videos):
    row = scores(videos, n_boot=50)
    known = row.dropna(subset="f1_low")
    assert ((known.f1_low <= known.f1) & (known.f1 <= known.f1_high)).all()
    assert (row.f1_low.isna() == (row.f1.isna() | (len(videos) == 1))).all()


def test_the_interval_resamples_videos():
    good, bad = ([event(1, 1.4)], [event(1, 1.4)]), ([event(1, 1.4)], [event(3, 3.4)])
    certain, uncertain = scores([good] * 10, n_boot=500), scores([good, bad] * 5, n_boot=500)
    assert certain.loc["all", ["f1_low", "f1_high"]].tolist() == [1, 1]
    low, high = uncertain.loc["all", ["f1_low", "f1_high"]]
    assert 0.1 <= low < 0.3 and 0.7 < high <= 0.9


@pytest.mark.parametrize("iou", [0, -1, 1.1, float("nan")])
def test_an_overlap_that_no_pair_can_be_asked_for_is_refused(iou):
    with pytest.raises(ValueError, match="iou="):
        match_events([], [], iou=iou)


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match="must end after it begins"):
        match_events([event(1, 1)], [])
    with pytest.raises(ValueError, match="found in 1 videos and are known of 2"):
        event_scores([[]], [[], []])
    with pytest.raises(ValueError, match="found in 0 videos"):
        event_scores([], [])
