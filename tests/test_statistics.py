"""Intervals cover what they promise to cover, and resamples keep units whole."""

import numpy as np
import pytest
from scipy.stats import binom
from scipy.stats import t as student_t

from fer_utils.statistics import Estimate, bootstrap_weights, over_seeds, percentile_interval, wilson_interval


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
    many = {"n_units": 100_000}
    assert percentile_interval([resampled], value=0.5, **many) == pytest.approx([0.025, 0.975], abs=1e-4)
    assert percentile_interval([resampled], value=0.99, **many) == pytest.approx([0.025, 0.99], abs=1e-4)
    assert percentile_interval([np.array([np.nan])], value=0.5, **many) is None
    half = 0.095 * np.sqrt(16 / 15) * 2.13145 / 1.95996  # t of 15 degrees of freedom
    ends = percentile_interval([0.4 + resampled / 5], value=0.5, n_units=16)
    assert ends == pytest.approx([0.5 - half, 0.5 + half], abs=1e-4)


def test_an_estimate_adds_variances_and_has_few_degrees_of_freedom_where_its_largest_source_has():
    alone = Estimate(0.5, ((0.01, 9),))
    assert alone.interval == pytest.approx((0.5 - 2.2622 * 0.1, 0.5 + 2.2622 * 0.1), abs=1e-5)
    # Welch's test of two samples of 10 and 5 with variances of the means 0.3 and 0.2
    both = Estimate(1.0, ((0.3, 9), (0.2, 4)))
    assert both.freedom == pytest.approx(0.5**2 / (0.3**2 / 9 + 0.2**2 / 4))
    assert both.p_value == pytest.approx(2 * student_t.sf(1 / np.sqrt(0.5), both.freedom))
    assert Estimate(0.0, ((0.0, 5),)).interval == (0, 0) and Estimate(0.1, ((0.0, 5),)).p_value == 0


@pytest.mark.parametrize(("n_subjects", "lowest"), [(16, 0.93), (4, 0.91)])
def test_the_interval_over_subjects_covers_the_mean_of_all_subjects(n_subjects, lowest):
    """Clips of a subject are more alike than clips of two; benchmarks/coverage.py has more cases."""
    rng, covered, mean = np.random.default_rng(0), [], 0.6
    for _ in range(500):
        skill = rng.beta(6 * mean, 6 * (1 - mean), size=n_subjects)
        correct = rng.binomial(10, skill) / 10
        weights = bootstrap_weights(np.arange(n_subjects), n_boot=1000, seed=0)
        low, high = percentile_interval(
            [one.mean(axis=0) for one in (w * correct[:, None] for w in weights)],
            value=correct.mean(),
            n_units=n_subjects,
        )
        covered.append(low <= mean <= high)
    assert lowest < np.mean(covered) < 0.98


def test_the_interval_of_a_mean_over_three_seeds_covers_other_seeds_and_samples():
    rng, covered, n = np.random.default_rng(0), [], 3_500
    for _ in range(2_000):
        # A network that varies from seed to seed by 1.5 points, tested on one sample of images.
        of_images = rng.normal(0, np.sqrt(0.25 / n))
        seeds = rng.normal(0, 0.015, size=3) + of_images
        low, high = Estimate(seeds.mean(), ((0.25 / n, n), *over_seeds(seeds))).interval
        covered.append(low <= 0 <= high)
    assert 0.93 < np.mean(covered) < 0.98
