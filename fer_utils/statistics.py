"""Intervals, resampling and tests as functions of plain numbers.

Every interval is a 95 % interval, as a pair ``(low, high)`` that contains the estimate it belongs to.
"""

from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np
from scipy.special import bdtr, ndtri

Interval = tuple[float, float]

Z = float(ndtri(0.975))
"""The normal quantile that leaves 2.5 % above it."""

WEIGHTS_AT_ONCE = 2**19
"""Bootstrap weights made at a time: 2 MiB of float32, so that work on them stays in the processor's cache."""


def wilson_interval(successes: int, n: int) -> Interval:
    """Return the score interval of a proportion of independent trials.

    Unlike value ± 1.96 standard errors it never leaves [0, 1], and all right out of four is not ±0.

    Parameters
    ----------
    successes, n : int
        Trials that succeeded, and all trials.

    Raises
    ------
    ValueError
        When there are no trials, or more successes than trials.

    References
    ----------
    E. B. Wilson (1927), Journal of the American Statistical Association 22, 209-212.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"an interval needs 0 <= successes <= n and n > 0, got {successes} of {n}")
    value = successes / n
    centre = (successes + Z**2 / 2) / (n + Z**2)
    half = Z / (n + Z**2) * sqrt(successes * (n - successes) / n + Z**2 / 4)
    # Mathematically redundant; it keeps 0 and 1 exact, which rounding would miss by 1e-17.
    return max(0.0, min(centre - half, value)), min(1.0, max(centre + half, value))


def paired_difference_interval(both: int, only_a: int, only_b: int, neither: int) -> Interval:
    """Return the interval of accuracy a - accuracy b, both measured on the same independent samples.

    Joins the two Wilson intervals, allowing for the correlation of the two classifiers' successes.

    Parameters
    ----------
    both, only_a, only_b, neither : int
        Samples that both, only a, only b and neither classified rightly.

    References
    ----------
    R. G. Newcombe (1998), Statistics in Medicine 17, 2635-2650, method 10.
    """
    n = both + only_a + only_b + neither
    right_a, right_b = both + only_a, both + only_b
    low_a, high_a = wilson_interval(right_a, n)
    low_b, high_b = wilson_interval(right_b, n)
    a, b = right_a / n, right_b / n

    covariance = both * neither - only_a * only_b
    if covariance > 0:
        covariance = max(covariance - n / 2, 0.0)
    spread = sqrt(right_a * (n - right_a)) * sqrt(right_b * (n - right_b))
    phi = covariance / spread if spread else 0.0

    def joined(from_a: float, from_b: float) -> float:
        return sqrt(max(from_a**2 - 2 * phi * from_a * from_b + from_b**2, 0.0))

    return a - b - joined(a - low_a, high_b - b), a - b + joined(high_a - a, b - low_b)


def mean_interval(values: np.ndarray) -> Interval:
    """Return the interval of the mean of independent numbers, shape (N,): ± 1.96 standard errors.

    For shares of right answers over several models, which are neither counts nor few.

    Raises
    ------
    ValueError
        For fewer than two numbers.
    """
    if len(values) < 2:
        raise ValueError(f"the interval of a mean needs two numbers or more, got {len(values)}")
    mean, half = float(np.mean(values)), Z * float(np.std(values, ddof=1)) / sqrt(len(values))
    return mean - half, mean + half


def difference_interval(a: float, around_a: Interval, b: float, around_b: Interval) -> Interval:
    """Return the interval of a - b from the intervals of two estimates that do not depend on each other.

    References
    ----------
    R. G. Newcombe (1998), Statistics in Medicine 17, 873-890, method 10; G. Y. Zou, A. Donner (2008),
    Statistics in Medicine 27, 1693-1702, for estimates of any kind.
    """
    below = sqrt((a - around_a[0]) ** 2 + (around_b[1] - b) ** 2)
    above = sqrt((around_a[1] - a) ** 2 + (b - around_b[0]) ** 2)
    return a - b - below, a - b + above


def mcnemar_p_value(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p value that two classifiers are right equally often.

    Given the samples on which exactly one of them is right, which one it is should be a fair coin.

    References
    ----------
    Q. McNemar (1947), Psychometrika 12, 153-157; exact form as in statsmodels' ``mcnemar(exact=True)``.
    """
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def bootstrap_weights(unit: np.ndarray, *, n_boot: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each sample occurs in bootstrap resamples of the units that the samples come in.

    With resamples as weights, counts and ranks are matrix products and cumulative sums over many resamples at
    once, and one code path serves images (each its own unit) and clips (units are subjects).

    Parameters
    ----------
    unit : ndarray of int, shape (N,)
        Index 0..U-1 of the unit that each sample is drawn with.
    n_boot : int
        Number of resamples. Nothing is yielded for 0, nor for a single unit, whose spread nobody can know.
    seed : int
        Seed of the draws.

    Yields
    ------
    ndarray of float32, shape (N, B)
        Weights of the next B resamples; the B sum to `n_boot`.
    """
    n_units = int(unit.max()) + 1
    if n_units == 1:
        return
    rng = np.random.default_rng(seed)
    width = max(1, WEIGHTS_AT_ONCE // len(unit))
    for done in range(0, n_boot, width):
        size = min(width, n_boot - done)
        drawn = rng.integers(n_units, size=(n_units, size)) * size + np.arange(size)
        times = np.bincount(drawn.ravel(), minlength=n_units * size).reshape(n_units, size)
        yield times.astype(np.float32)[unit]


def percentile_interval(resampled: np.ndarray, *, value: float) -> Interval | None:
    """Return the percentile bootstrap interval of `value`.

    Parameters
    ----------
    resampled : ndarray of float, shape (B,)
        The estimate in each resample; NaN where it is not defined there.
    value : float
        The estimate itself. Few samples in many classes can put both percentiles on one side of it; the
        interval is then widened to hold it.

    Returns
    -------
    (float, float) or None
        None when no resample defines the estimate.

    References
    ----------
    B. Efron, R. Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    defined = resampled[~np.isnan(resampled)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [0.025, 0.975])
    return min(float(low), value), max(float(high), value)


def aggregate(values: Sequence[float]) -> dict[str, float | int | None]:
    """Return ``{"mean", "sd", "n"}`` of one number over repeated runs, such as an accuracy over seeds.

    `sd` is the sample standard deviation (n - 1 in the denominator); None for a single run.

    Raises
    ------
    ValueError
        When there are no values, or one is not finite.
    """
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        raise ValueError(f"a mean over runs needs one finite number a run, got {list(values)}")
    sd = float(numbers.std(ddof=1)) if len(numbers) > 1 else None
    return {"mean": float(numbers.mean()), "sd": sd, "n": len(numbers)}
