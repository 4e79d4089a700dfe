"""From predictions to metrics with intervals, tables, curves and comparisons; no framework is involved."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fer_utils.metrics import (
    METRICS,
    RocCurve,
    class_auc,
    class_rates,
    confusion,
    expected_calibration_error,
    from_confusion,
    log_loss,
    measure,
    once_each,
    roc_curves,
)
from fer_utils.predictions import Predictions, aligned, most_confident_mistakes, without
from fer_utils.splits import Folds, Split
from fer_utils.statistics import (
    aggregate,
    bootstrap_weights,
    mcnemar_p_value,
    paired_difference_interval,
    percentile_interval,
    wilson_interval,
)

__all__ = [
    "METRICS",
    "Evaluation",
    "McNemar",
    "PairedBootstrap",
    "Predictions",
    "RocCurve",
    "aggregate",
    "baselines",
    "evaluate",
    "expected_calibration_error",
    "log_loss",
    "mcnemar_exact",
    "most_confident_mistakes",
    "paired_bootstrap",
    "reference_points",
    "roc_curves",
    "wilson_interval",
    "without",
]


@dataclass(frozen=True)
class Evaluation:
    """What a set of predictions is worth; `dataclasses.asdict` gives JSON-ready values.

    Attributes
    ----------
    metrics : dict
        ``{metric: {"value": float, "ci95": [low, high] or None, "n": int}}``.
    per_class : list of dict
        ``{"class", "support", "precision", "recall", "f1", "auc"}`` for each class in label order.
    confusion_matrix : list of list of int, shape (K, K)
        Number of samples; rows are the true classes.
    """

    metrics: dict[str, dict]
    per_class: list[dict]
    confusion_matrix: list[list[int]]


def evaluate(predictions: Predictions, *, n_boot: int = 2000, seed: int = 0) -> Evaluation:
    """Compute all metrics with 95 % intervals, the per-class table and the confusion matrix.

    Averages are over the classes that occur in the truth. A class that does not has support 0, no recall, F1
    or AUC (None) and no part in an average, although predicting it costs the others recall. A class that is
    never predicted has precision 0. `macro_auc` (one class against the rest) is left out when all samples are
    of one class. In micro-expression work `balanced_accuracy`, the mean recall, is called UAR, and `macro_f1`
    over pooled folds UF1. AUC over pooled folds takes the scores of all folds to be on one scale.

    Accuracy of independent samples gets a Wilson interval; everything else gets a percentile bootstrap, which
    resamples the independent units: samples, or whole groups where `predictions.group` is given. From few
    units the bootstrap is too narrow: with simulated subjects it covered 92 % from 20 of them, 90 % from 8 to
    16 and 77 % from 4. Where nothing varies it has no width, and from a single unit there is no interval.

    Parameters
    ----------
    predictions : Predictions
        N samples, K classes.
    n_boot : int
        Number of resamples; 0 leaves out the bootstrapped intervals (None).
    seed : int
        Seed of the resampling. Equal samples, in whatever order, and equal seed give equal intervals.
    """
    value = {name: float(values[0]) for name, values in measure(predictions, once_each(predictions)).items()}
    draws = bootstrap_weights(predictions.unit, n_boot=n_boot, seed=seed)
    resamples = [measure(predictions, weights) for weights in draws]
    interval = {name: _percentiles([drawn[name] for drawn in resamples], value[name]) for name in METRICS}
    if not predictions.grouped:
        interval["accuracy"] = list(wilson_interval(int(predictions.correct.sum()), len(predictions)))
    return Evaluation(
        metrics={
            name: {"value": value[name], "ci95": interval[name], "n": len(predictions)}
            for name in METRICS
            if not np.isnan(value[name])
        },
        per_class=_per_class(predictions),
        confusion_matrix=confusion(predictions, once_each(predictions))[..., 0].astype(int).tolist(),
    )


def baselines(
    predictions: Predictions, *, majority_class: int, n_boot: int = 2000, seed: int = 0
) -> dict[str, dict[str, dict]]:
    """Return what two classifiers that never look would score on the same samples.

    ``majority_baseline`` always predicts `majority_class`, the most frequent class of the *training* data;
    its intervals are those of `evaluate`. ``chance_baseline`` guesses uniformly among the K classes: its
    values are expectations, not estimates, hence without intervals (``ci95`` is None). They are exact for
    accuracy and balanced accuracy (1/K) and AUC (0.5); the F1 are those of the expected confusion matrix.
    """
    n_classes = len(predictions.class_names)
    if not 0 <= majority_class < n_classes:
        raise ValueError(f"majority_class must be 0 to {n_classes - 1}, got {majority_class}")
    always = np.tile(np.eye(n_classes)[majority_class], (len(predictions), 1))
    majority = evaluate(replace(predictions, probabilities=always), n_boot=n_boot, seed=seed).metrics

    support = np.bincount(predictions.truth, minlength=n_classes)
    expected = np.outer(support, np.full(n_classes, 1 / n_classes))[..., None]
    chance = from_confusion(expected) | {"macro_auc": np.array([0.5])}
    return {
        "majority_baseline": majority,
        "chance_baseline": {
            name: {"value": float(chance[name][0]), "ci95": None, "n": len(predictions)} for name in majority
        },
    }


def reference_points(
    predictions: Predictions, split: Split | Folds, *, n_boot: int = 2000, seed: int = 0
) -> dict[str, dict[str, dict]]:
    """Return the metrics that stand beside a result: two baselines, and the result without duplicates.

    Parameters
    ----------
    predictions : Predictions
        Of the test set of `split`.
    split : Split or Folds
        Gives the majority class and the test samples with exact duplicates in training or validation.

    Returns
    -------
    dict
        As `baselines`; ``without_duplicates`` is left out where every sample is a duplicate, and for folds
        where none is.
    """
    majority = split.majority_class
    found = baselines(predictions, majority_class=majority, n_boot=n_boot, seed=seed)
    repeated = np.isin(predictions.sample_id, split.test.sample_id[split.repeated])
    if not repeated.all() and (isinstance(split, Split) or repeated.any()):
        distinct = evaluate(predictions.subset(~repeated), n_boot=n_boot, seed=seed)
        found["without_duplicates"] = distinct.metrics
    return found


@dataclass(frozen=True)
class McNemar:
    """Two classifiers on the same samples.

    Attributes
    ----------
    table : list of list of int
        ``[[both right, only a right], [only b right, both wrong]]``.
    p_value : float
        Exact two-sided p value of the two being right equally often.
    accuracy_a, accuracy_b, difference : float
        `difference` is accuracy a - accuracy b.
    ci95 : list of float
        Interval of the difference.
    n : int
        Number of samples.
    """

    table: list[list[int]]
    p_value: float
    accuracy_a: float
    accuracy_b: float
    difference: float
    ci95: list[float]
    n: int


def mcnemar_exact(a: Predictions, b: Predictions) -> McNemar:
    """Test whether two classifiers are right equally often, on the same independent samples in any order.

    Raises
    ------
    ValueError
        When the two are not about the same samples, or the samples are not independent of each other.
    """
    a, b = aligned([a, b])
    if a.grouped:
        raise ValueError("McNemar's test needs independent samples; use paired_bootstrap for grouped ones")
    n, right_a, right_b = len(a), a.correct, b.correct
    both, only_a, only_b = (int(x.sum()) for x in (right_a & right_b, right_a & ~right_b, ~right_a & right_b))
    neither = n - both - only_a - only_b
    return McNemar(
        table=[[both, only_a], [only_b, neither]],
        p_value=mcnemar_p_value(only_a, only_b),
        accuracy_a=(both + only_a) / n,
        accuracy_b=(both + only_b) / n,
        difference=(only_a - only_b) / n,
        ci95=list(paired_difference_interval(both, only_a, only_b, neither)),
        n=n,
    )


@dataclass(frozen=True)
class PairedBootstrap:
    """Two methods, each trained with one or more seeds, on the same samples.

    Attributes
    ----------
    metric : str
        One of `METRICS`.
    difference : float
        Mean over the seeds of a, less the mean over the seeds of b.
    ci95 : list of float or None
        Interval of the difference of these trained models, as it varies with the samples. How much training
        varies is what the standard deviations in `a` and `b` say.
    a, b : dict
        ``{"mean", "sd", "n"}`` of the metric over the seeds.
    n : int
        Number of samples.
    """

    metric: str
    difference: float
    ci95: list[float] | None
    a: dict[str, float | int | None]
    b: dict[str, float | int | None]
    n: int


def paired_bootstrap(
    a: Sequence[Predictions],
    b: Sequence[Predictions],
    *,
    metric: str = "accuracy",
    n_boot: int = 2000,
    seed: int = 0,
) -> PairedBootstrap:
    """Compare two methods over several seeds by resampling the samples (or groups) that all runs share.

    Parameters
    ----------
    a, b : sequence of Predictions
        The runs of the two methods, one for each seed, about the same samples; they may differ in number.
    metric : str
        One of `METRICS`.
    n_boot, seed : int
        Number of resamples, and the seed of drawing them.

    Raises
    ------
    ValueError
        When a method has no runs, they are not about the same samples, or the metric is unknown or undefined.
    """
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; use one of {', '.join(METRICS)}")
    if not a or not b:
        raise ValueError("each of the two methods needs at least one run")
    runs = aligned([*a, *b])

    def measured(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values = np.array([measure(run, weights, names=[metric])[metric] for run in runs])
        return values[: len(a)], values[len(a) :]

    of_a, of_b = (aggregate(values[:, 0]) for values in measured(once_each(runs[0])))
    difference = of_a["mean"] - of_b["mean"]
    draws = bootstrap_weights(runs[0].unit, n_boot=n_boot, seed=seed)
    resamples = [in_a.mean(axis=0) - in_b.mean(axis=0) for in_a, in_b in map(measured, draws)]
    return PairedBootstrap(metric, difference, _percentiles(resamples, difference), of_a, of_b, len(runs[0]))


def _per_class(predictions: Predictions) -> list[dict]:
    matrix = confusion(predictions, once_each(predictions))
    columns = (matrix.sum(axis=1), *class_rates(matrix), class_auc(predictions, once_each(predictions)))
    return [
        {
            "class": name,
            "support": int(support),
            "precision": float(precision),
            "recall": _defined(recall),
            "f1": _defined(f1),
            "auc": _defined(auc),
        }
        for name, support, precision, recall, f1, auc in zip(
            predictions.class_names, *(column[:, 0] for column in columns), strict=True
        )
    ]


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _percentiles(resampled: Sequence[np.ndarray], value: float) -> list[float] | None:
    interval = percentile_interval(np.concatenate(resampled), value=value) if resampled else None
    return None if interval is None else list(interval)
