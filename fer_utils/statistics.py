"""Intervals and resampling as functions of plain numbers.

Every interval is a 95 % confidence interval, as a pair ``(low, high)`` that contains its estimate.
"""

from collections.abc import Iterator, Sequence
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

Interval = tuple[float, float]

Z = float(ndtri(0.975))  # the normal quantile that leaves 2.5 % above it


def wilson_interval(successes: int, n: int) -> Interval:
    """Return Wilson's score interval of a proportion of one or more independent trials."""
    from statsmodels.stats.proportion import proportion_confint

    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"an interval needs 0 <= successes <= n and n > 0, got {successes} of {n}")
    low, high = proportion_confint(successes, n, method="wilson")
    # Rounding can put the ends 1e-17 beside a proportion of 0 or 1.
    return max(0.0, min(float(low), successes / n)), min(1.0, max(float(high), successes / n))


class Estimate(NamedTuple):
    """A number with variance and degrees of freedom of each source, such as test images and seeds."""

    value: float
    sources: tuple[tuple[float, float], ...]

    @property
    def standard_error(self) -> float:
        """Square root of the sum of the variances."""
        return sqrt(sum(variance for variance, _ in self.sources))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the standard error (F. E. Satterthwaite 1946, Biometrics 2, 110-114)."""
        spread = sum(variance**2 / freedom for variance, freedom in self.sources)
        return self.standard_error**4 / spread if spread else inf

    @property
    def interval(self) -> Interval:
        """Student's t interval."""
        half = self.standard_error * float(stdtrit(self.freedom, 0.975))
        return self.value - half, self.value + half

    @property
    def p_value(self) -> float:
        """Two-sided p value of the number being 0."""
        if self.standard_error == 0:
            return float(self.value == 0)
        return float(2 * stdtr(self.freedom, -abs(self.value) / self.standard_error))


def over_samples(resampled: np.ndarray, *, n_units: int) -> tuple[float, float]:
    """Return variance and degrees of freedom of a bootstrapped number with `n_units` units.

    The bootstrap draws from the units at hand, whose variance is a factor (G - 1) / G too small.
    """
    return float(np.nanvar(resampled)) * n_units / (n_units - 1), n_units - 1


def over_seeds(values: Sequence[float]) -> list[tuple[float, float]]:
    """Return variance and degrees of freedom of the mean over seeds, in a list; empty for one seed."""
    n = len(values)
    return [(float(np.var(values, ddof=1)) / n, n - 1)] if n > 1 else []


def bootstrap_weights(unit: np.ndarray, *, n_boot: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each sample occurs in bootstrap resamples of the units that the samples belong to.

    `unit`, shape (N,), names the unit of each sample; their order decides the resamples. The weights are
    float32 of shape (N, B) for the next B of `n_boot` resamples. Nothing is yielded for a single unit.
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


def percentiles(
    resampled: np.ndarray, *, value: np.ndarray | float, n_units: int, level: float = 0.95
) -> np.ndarray:
    """Return the ends of the percentile bootstrap interval around each value, shape (2, ...).

    `resampled`, shape (B, ...), holds the estimates in resamples of G = `n_units` units. A bootstrap of few
    units varies too little. So the distances from the value are multiplied by √(G / (G - 1)) · t(G - 1) / z,
    1.12 for 16 units (T. Hesterberg 2015, The American Statistician 69, 371-386); then it covers 93 to 95 %
    from 4 units on (`benchmarks/coverage.py`). The interval contains the value even where few samples in many
    classes put both percentiles on one side.
    """
    outside = (1 - level) / 2
    widening = sqrt(n_units / (n_units - 1)) * stdtrit(n_units - 1, outside) / ndtri(outside)
    low, high = value + widening * (np.quantile(resampled, [outside, 1 - outside], axis=0) - value)
    return np.array([np.minimum(low, value), np.maximum(high, value)])


def percentile_interval(resampled: Sequence[np.ndarray], *, value: float, n_units: int) -> list[float] | None:
    """Return `percentiles` of a number from 0 to 1 as a list, without NaN; None where nothing is left."""
    values = np.concatenate([np.empty(0), *resampled])
    values = values[~np.isnan(values)]
    return np.clip(percentiles(values, value=value, n_units=n_units), 0, 1).tolist() if len(values) else None


def mean_and_sd(values: Sequence[float]) -> dict[str, float | int | None]:
    """Return ``{"mean", "sd", "n"}`` of one number over several runs; `sd` is None for a single run."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "sd": sd, "n": len(values)}
