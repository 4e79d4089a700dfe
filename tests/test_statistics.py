"""Intervals cover what they promise to cover, and resamples keep units whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from fer_utils.statistics import (
    bootstrap_weights,
    difference_interval,
    percentile_interval,
    wilson_interval,
)


def test_wilson_contains_the_proportion_and_covers_95_percent_averaged_over_proportions():
    n = 40
    intervals = np.array([wilson_interval(successes, n) for successes in range(n + 1)])
    observed = np.arange(n + 1) / n
    assert ((intervals[:, 0] <= observed) & (observed <= intervals[:, 1])).all()
    assert intervals.min() >= 0 and intervals.max() <= 1
    with pytest.raises(ValueError, match="3 of 2"):
        wilson_interval(3, 2)
    p = np.linspace(0.02, 0.98, 193)
    covers = (intervals[:, 0] <= p[:, None]) & (p[:, None] <= intervals[:, 1])
    coverage = (covers * binom.pmf(np.arange(n + 1), n, p[:, None])).sum(axis=1)
    assert coverage.mean() == pytest.approx(0.95, abs=0.01)
    assert coverage.min() > 0.88


def test_each_resample_draws_as_many_units_as_there_are_and_keeps_them_whole():
    unit = np.array([0, 0, 1, 2, 2, 2])
    weights = np.hstack(list(bootstrap_weights(unit, n_boot=500, seed=3)))
    assert weights.shape == (6, 500)
    assert (weights[[0, 2, 3]].sum(axis=0) == 3).all()
    np.testing.assert_array_equal(weights[unit == 2].min(axis=0), weights[unit == 2].max(axis=0))
    assert weights.mean(axis=1) == pytest.approx(np.ones(6), abs=0.1)


def test_resamples_repeat_with_the_seed_and_come_in_any_number():
    sizes = [weights.shape[1] for weights in bootstrap_weights(np.arange(300_000) // 3, n_boot=5, seed=0)]
    assert sum(sizes) == 5 and len(sizes) > 1
    one, two, other = (next(bootstrap_weights(np.arange(50), n_boot=9, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    assert not list(bootstrap_weights(np.zeros(4, dtype=int), n_boot=10, seed=0)), "a single unit"
    assert not list(bootstrap_weights(np.arange(4), n_boot=0, seed=0))


def test_percentile_interval_skips_undefined_resamples_and_holds_the_value():
    resampled = np.append(np.linspace(0, 1, 1001), [np.nan] * 50)
    assert percentile_interval([resampled], value=0.5) == pytest.approx([0.025, 0.975])
    assert percentile_interval([resampled], value=0.99) == pytest.approx([0.025, 0.99])
    assert percentile_interval([np.array([np.nan])], value=0.5) is None


fraction = st.floats(0.01, 0.99)


@settings(deadline=None)
@given(a=fraction, b=fraction, half_a=st.floats(0, 0.2), half_b=st.floats(0, 0.2))
def test_the_interval_of_a_difference_contains_it_and_mirrors_when_the_two_are_swapped(a, b, half_a, half_b):
    low, high = difference_interval(a, (a - half_a, a + half_a), b, (b - half_b, b + half_b))
    assert low <= a - b <= high
    assert high - low == pytest.approx(2 * np.hypot(half_a, half_b))
    turned = difference_interval(b, (b - half_b, b + half_b), a, (a - half_a, a + half_a))
    assert turned == pytest.approx((-high, -low))


def test_the_interval_of_a_difference_is_newcombes_tenth():
    # Newcombe (1998), Statistics in Medicine 17, 873-890, table II, row (a): 56/70 - 48/80
    found = difference_interval(56 / 70, wilson_interval(56, 70), 48 / 80, wilson_interval(48, 80))
    assert found == pytest.approx((0.0524, 0.3339), abs=5e-5)
