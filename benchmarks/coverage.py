"""How often do 95 % confidence intervals contain the true value? Simulated subjects, seeds and test images.

    python benchmarks/coverage.py [repetitions]

Prints a table: the interval of this project beside the plain one that it replaces.
"""

import sys
from math import sqrt

import numpy as np
import pandas as pd

from fer_utils.statistics import Estimate, Z, bootstrap_weights, over_seeds, percentile_interval

MEAN, SPREAD = 0.6, 6  # of the subjects' accuracies: a beta distribution, standard deviation 0.19
N_IMAGES, SEED_SD = 3_589, 0.015  # FER-2013's PrivateTest; macro-F1 of the official arm has 0.0155


def contains(interval: list[float] | tuple[float, float], value: float) -> bool:
    """Return whether an interval contains a value."""
    return interval[0] <= value <= interval[1]


def subjects(n_subjects: int, repetitions: int) -> dict[str, object]:
    """Simulate clips of subjects, 3 to 19 of each, and the interval of the pooled accuracy."""
    rng, plain, ours = np.random.default_rng(0), [], []
    for _ in range(repetitions):
        n_clips = rng.integers(3, 20, size=n_subjects)
        skill = rng.beta(SPREAD * MEAN, SPREAD * (1 - MEAN), size=n_subjects)
        correct = rng.binomial(n_clips, skill)
        weights = np.hstack(list(bootstrap_weights(np.arange(n_subjects), n_boot=2000, seed=0)))
        resampled = correct @ weights / (n_clips @ weights)
        plain.append(contains(np.quantile(resampled, [0.025, 0.975]), MEAN))
        value = correct.sum() / n_clips.sum()
        ours.append(contains(percentile_interval([resampled], value=value, n_units=n_subjects), MEAN))
    return {"interval": f"over {n_subjects} subjects", "plain": np.mean(plain), "ours": np.mean(ours)}


def seeds(n_seeds: int, repetitions: int) -> dict[str, object]:
    """Simulate trainings with several seeds, tested on one set of images, and the interval of their mean."""
    rng, plain, ours = np.random.default_rng(0), [], []
    of_images = MEAN * (1 - MEAN) / N_IMAGES
    for _ in range(repetitions):
        values = rng.normal(MEAN, SEED_SD, size=n_seeds) + rng.normal(0, sqrt(of_images))
        half = Z * sqrt(of_images)  # of these networks alone
        plain.append(contains((values.mean() - half, values.mean() + half), MEAN))
        estimate = Estimate(float(values.mean()), ((of_images, N_IMAGES - 1), *over_seeds(values)))
        ours.append(contains(estimate.interval, MEAN))
    return {"interval": f"over {n_seeds} seeds", "plain": np.mean(plain), "ours": np.mean(ours)}


def main() -> None:
    """Print the table."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rows = [subjects(n, repetitions) for n in (4, 6, 8, 16, 32, 68)]
    rows += [seeds(n, 10 * repetitions) for n in (2, 3, 5, 10)]
    print(pd.DataFrame(rows).set_index("interval").round(3).to_string())


if __name__ == "__main__":
    main()
