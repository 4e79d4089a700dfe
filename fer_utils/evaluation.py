"""Metrics of predictions with confidence intervals, per-class tables and reference points.

Metrics are measured on weighted samples, for many weightings at once: weights of 1 give the values, and each
bootstrap resample is another weighting. Weights have shape (N, B): N samples, B weightings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd

from fer_utils.predictions import Predictions
from fer_utils.results import plain_metrics
from fer_utils.splits import Folds, Split
from fer_utils.statistics import bootstrap_weights, percentile_interval, wilson_interval

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "macro_auc")  # in order of tables


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a set of predictions, with JSON-ready values.

    `metrics` is ``{metric: {"value": float, "ci95": [low, high] or None, "n": int}}``. `per_class` has
    ``{"class", "support", "precision", "recall", "f1", "f1_ci95", "auc"}`` for each class in label order.
    Rows of `confusion_matrix`, shape (K, K), are the true classes.
    """

    metrics: dict[str, dict]
    per_class: list[dict]
    confusion_matrix: list[list[int]]


def evaluate(predictions: Predictions, *, n_boot: int = 2000) -> Evaluation:
    """Compute all metrics with 95 % intervals, the per-class table and the confusion matrix.

    Averages are over the classes with samples. A class without samples has no recall, F1 or AUC (None); a
    class that is never predicted has precision 0. Samples of one class have no `macro_auc`. In work on
    micro-expressions `balanced_accuracy` is called UAR, and `macro_f1` over pooled folds UF1.

    Accuracy of independent samples has a Wilson interval. Everything else has a percentile interval from
    `n_boot` resamples of the independent units: samples, or groups where `predictions.group` is given. It is
    widened for few units (`statistics.percentiles`); for a single one, and without resamples, there is none.
    """
    n, once = len(predictions), np.ones((len(predictions), 1), np.float32)
    around = partial(percentile_interval, n_units=len(np.unique(predictions.unit)))
    weights = bootstrap_weights(predictions.unit, n_boot=n_boot, seed=0)
    resamples = [measure(predictions, drawn, names=(*METRICS, "f1")) for drawn in weights]
    metrics = {}
    for name, (value,) in measure(predictions, once).items():
        if not np.isnan(value):
            interval = around([drawn[name] for drawn in resamples], value=float(value))
            metrics[name] = {"value": float(value), "ci95": interval, "n": n}
    if not predictions.grouped:
        metrics["accuracy"]["ci95"] = list(wilson_interval(int(predictions.correct.sum()), n))

    matrix = confusion(predictions, once)[..., 0].astype(int)
    hits, support = matrix.diagonal(), matrix.sum(axis=1)
    table = pd.DataFrame({"class": predictions.class_names, "support": support})
    table["precision"] = np.nan_to_num(_ratio(hits, matrix.sum(axis=0)))
    table["recall"] = _ratio(hits, support)
    table["f1"] = measure(predictions, once, names=["f1"])["f1"][:, 0]
    drawn = [[one["f1"][k] for one in resamples] for k in range(len(matrix))]
    pairs = zip(drawn, table["f1"], strict=True)
    table["f1_ci95"] = [around(resampled, value=f1) for resampled, f1 in pairs]
    table["auc"] = class_auc(predictions, once)[:, 0]
    per_class = table.astype(object).where(table.notna(), None).to_dict("records")
    return Evaluation(metrics, per_class, matrix.tolist())


def reference_points(
    predictions: Predictions, split: Split | Folds, *, n_boot: int = 2000
) -> dict[str, dict[str, dict]]:
    """Return the metrics to compare a result on the test set of `split` with.

    ``majority_baseline`` always predicts the most frequent class of the *training* set. ``chance_baseline``
    guesses uniformly among the K classes: expectations without intervals, F1 of the expected matrix.
    ``without_duplicates``, of test samples without exact duplicates, is missing for folds that have none.
    """
    n_classes = len(predictions.class_names)
    always = np.tile(np.eye(n_classes)[split.majority_class], (len(predictions), 1))
    majority = evaluate(replace(predictions, probabilities=always), n_boot=n_boot).metrics
    support = np.bincount(predictions.truth, minlength=n_classes)
    expected = np.outer(support, np.full(n_classes, 1 / n_classes))[..., None]
    chance = _of_confusion(expected) | {"macro_auc": np.array([0.5])}
    chance = {name: float(chance[name][0]) for name in majority}
    found = {"majority_baseline": majority, "chance_baseline": plain_metrics(chance, n=len(predictions))}
    repeated = np.isin(predictions.sample_id, split.test.sample_id[split.repeated])
    if not repeated.all() and (isinstance(split, Split) or repeated.any()):
        found["without_duplicates"] = evaluate(predictions.subset(~repeated), n_boot=n_boot).metrics
    return found


CONFIDENCE_EDGES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
"""Edges of the bins of `reliability`; a bin contains its lower edge, the last one both."""


def reliability(predictions: Predictions) -> pd.DataFrame:
    """Return accuracy by confidence, the probability of the predicted class.

    One row per bin, such as "80 to 90 %": mean confidence, accuracy, its Wilson interval low and high, n.
    """
    names = [f"{100 * low:.0f} to {100 * high:.0f} %" for low, high in pairwise(CONFIDENCE_EDGES)]
    columns = {"confidence": predictions.confidence, "correct": predictions.correct}
    bins = pd.cut(predictions.confidence, [*CONFIDENCE_EDGES[:-1], np.inf], right=False, labels=names)
    groups = pd.DataFrame(columns).groupby(bins, observed=True)
    table = groups.agg(confidence=("confidence", "mean"), accuracy=("correct", "mean"), n=("correct", "size"))
    counts = zip(groups["correct"].sum(), table["n"], strict=True)
    table[["low", "high"]] = [wilson_interval(int(correct), int(n)) for correct, n in counts]
    table.index = table.index.astype(str)
    return table[["confidence", "accuracy", "low", "high", "n"]].rename_axis("confidence of")


def reliability_records(table: pd.DataFrame) -> dict[str, dict[str, dict]]:
    """Return `reliability` as metric records, one set per bin, for `other_metrics` of results.json."""
    found = {}
    for name, row in table.iterrows():
        record = {"value": row["accuracy"], "ci95": [row["low"], row["high"]], "n": int(row["n"])}
        found[f"confidence_{name.removesuffix(' %').replace(' ', '_')}"] = {"accuracy": record}
    return found


def measure(
    predictions: Predictions, weights: np.ndarray, *, names: Sequence[str] = METRICS
) -> dict[str, np.ndarray]:
    """Return the named metrics, each of shape (B,); NaN where a weighting leaves one undefined."""
    values = _of_confusion(confusion(predictions, weights))
    if "macro_auc" in names:
        values["macro_auc"] = _mean_of_defined(class_auc(predictions, weights))
    return {name: values[name] for name in names}


def confusion(predictions: Predictions, weights: np.ndarray) -> np.ndarray:
    """Return the confusion matrices, shape (K, K, B); rows are the true classes."""
    n_classes = len(predictions.class_names)
    cell = predictions.truth * n_classes + predictions.predicted
    order = np.argsort(cell, kind="stable")
    present, start = np.unique(cell[order], return_index=True)
    counts = np.zeros((n_classes**2, weights.shape[1]))
    # Whole numbers below 2**24: exact in float32, whatever the order of summation.
    counts[present] = np.add.reduceat(weights[order], start, axis=0)
    return counts.reshape(n_classes, n_classes, -1)


def _of_confusion(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Return all metrics but the AUC from confusion matrices, shape (K, K, B): (B,), F1 of classes (K, B)."""
    hits, total = np.einsum("kkb->kb", matrix), matrix.sum(axis=(0, 1))
    support, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    f1 = np.where(support > 0, _ratio(2 * hits, support + predicted), np.nan)
    with np.errstate(invalid="ignore"):  # a weighting without samples
        return {
            "accuracy": hits.sum(axis=0) / total,
            "balanced_accuracy": _mean_of_defined(_ratio(hits, support)),
            "macro_f1": _mean_of_defined(f1),
            "weighted_f1": np.nansum(f1 * support, axis=0) / total,
            "f1": f1,
        }


def class_auc(predictions: Predictions, weights: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each class against the rest, shape (K, B).

    It is the share of (sample of the class, other sample) pairs in which the first scores higher, a tie
    counting half (Hanley & McNeil 1982, Radiology 143, 29-36); NaN where there is no such pair.
    """
    areas = np.full((len(predictions.class_names), weights.shape[1]), np.nan)
    for label, score in enumerate(predictions.probabilities.T):
        positive = np.flatnonzero(predictions.truth == label)
        negative = np.flatnonzero(predictions.truth != label)
        negative = negative[np.argsort(score[negative])]
        # Row i: weight of the i lowest-scoring negatives.
        below = np.zeros((len(negative) + 1, weights.shape[1]), dtype=np.float32)
        np.cumsum(weights[negative], axis=0, out=below[1:])
        lower = below[np.searchsorted(score[negative], score[positive], side="left")]
        lower_or_equal = below[np.searchsorted(score[negative], score[positive], side="right")]
        of_positive = weights[positive]
        won = np.einsum("pb,pb->b", of_positive, lower + lower_or_equal, dtype=float) / 2
        areas[label] = _ratio(won, of_positive.sum(axis=0, dtype=float) * below[-1])
    return areas


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)


def _mean_of_defined(by_class: np.ndarray) -> np.ndarray:
    return _ratio(np.nansum(by_class, axis=0), (~np.isnan(by_class)).sum(axis=0))
