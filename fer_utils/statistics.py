"""Intervals and resampling as functions of plain numbers.

Every interval is a 95 % confidence interval, as a pair ``(low, high)`` that contains its estimate.
"""

from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np
from scipy.special import ndtri

Interval = tuple[float, float]

Z = float(ndtri(0.975))
"""The normal quantile that leaves 2.5 % above it."""


def wilson_interval(successes: int, n: int) -> Interval:
    """Return Wilson's score interval of a proportion of one or more independent trials."""
    from statsmodels.stats.proportion import proportion_confint

    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"an interval needs 0 <= successes <= n and n > 0, got {successes} of {n}")
    low, high = proportion_confint(successes, n, method="wilson")
    # Rounding can put the ends 1e-17 beside a proportion of 0 or 1.
    return max(0.0, min(float(low), successes / n)), min(1.0, max(float(high), successes / n))


def mean_interval(values: np.ndarray) -> Interval:
    """Return the interval of the mean of two or more independent numbers: ± 1.96 standard errors."""
    mean, half = float(np.mean(values)), Z * float(np.std(values, ddof=1)) / sqrt(len(values))
    return mean - half, mean + half


def difference_interval(a: float, around_a: Interval, b: float, around_b: Interval) -> Interval:
    """Return the interval of a - b from the intervals of two independent estimates.

    R. G. Newcombe (1998), Statistics in Medicine 17, 873-890, method 10; G. Y. Zou, A. Donner (2008),
    Statistics in Medicine 27, 1693-1702, for estimates of any kind.
    """
    below = sqrt((a - around_a[0]) ** 2 + (around_b[1] - b) ** 2)
    above = sqrt((around_a[1] - a) ** 2 + (b - around_b[0]) ** 2)
    return a - b - below, a - b + above


def bootstrap_weights(unit: np.ndarray, *, n_boot: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each sample occurs in bootstrap resamples of the units that the samples belong to.

    `unit`, shape (N,), has the name or number of the unit of each sample; their order decides the resamples,
    not that of the samples. The weights are float32 of shape (N, B) for the next B of `n_boot` resamples.
    Nothing is yielded for a single unit.
    """
    units, unit = np.unique(unit, return_inverse=True)
    if (n_units := len(units)) == 1:
        return
    rng = np.random.default_rng(seed)
    width = max(1, 2**19 // len(unit))  # 2 MiB of weights stay in the processor's cache
    for done in range(0, n_boot, width):
        size = min(width, n_boot - done)
        drawn = rng.integers(n_units, size=(n_units, size)) * size + np.arange(size)
        times = np.bincount(drawn.ravel(), minlength=n_units * size).reshape(n_units, size)
        yield times.astype(np.float32)[unit]


def percentile_interval(resampled: Sequence[np.ndarray], *, value: float) -> list[float] | None:
    """Return the percentile bootstrap interval of `value`, as a list for JSON.

    `resampled` holds the estimate in each resample, in arrays, NaN where it is undefined; None is returned
    when it always is. The interval is widened to contain `value` where few samples in many classes put both
    percentiles on one side.
    """
    values = np.concatenate([np.empty(0), *resampled])
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return [min(float(low), value), max(float(high), value)]


def mean_and_sd(values: Sequence[float]) -> dict[str, float | int | None]:
    """Return ``{"mean", "sd", "n"}`` of one number over several runs; `sd` is None for a single run."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "sd": sd, "n": len(values)}
