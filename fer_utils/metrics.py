"""Metrics of weighted samples, for many weightings at once; then loss, calibration and ROC curves.

One definition of each metric serves its value and its bootstrap: with a weight of 1 on every sample it gives
the value, and each resample is another weighting. Weights have shape (N, B): N samples, B weightings.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fer_utils.predictions import Predictions

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "macro_auc")
"""Names of all metrics, in the order in which they are reported."""


class ClassRates(NamedTuple):
    """Rates of each class, each of shape (K, B); recall and F1 are NaN for a class without samples."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def once_each(predictions: Predictions) -> np.ndarray:
    """Return the weighting that leaves the samples as they are, shape (N, 1)."""
    return np.ones((len(predictions), 1), dtype=np.float32)


def measure(
    predictions: Predictions, weights: np.ndarray, *, names: Sequence[str] = METRICS
) -> dict[str, np.ndarray]:
    """Return the named metrics, each of shape (B,); NaN where a weighting leaves one undefined."""
    values = {}
    if set(names) - {"macro_auc"}:
        values |= from_confusion(confusion(predictions, weights))
    if "macro_auc" in names:
        values["macro_auc"] = _mean_of_defined(class_auc(predictions, weights))
    return {name: values[name] for name in names}


def confusion(predictions: Predictions, weights: np.ndarray) -> np.ndarray:
    """Return the confusion matrices, shape (K, K, B); rows are the true classes."""
    n_classes = len(predictions.class_names)
    cell = predictions.truth * n_classes + predictions.predicted
    in_cell = (np.arange(n_classes**2)[:, None] == cell).astype(np.float32)
    # Whole numbers below 2**24: exact in float32, whatever the order of summation.
    return (in_cell @ weights).astype(float).reshape(n_classes, n_classes, -1)


def class_rates(matrix: np.ndarray) -> ClassRates:
    """Return precision, recall and F1 of each class from confusion matrices of shape (K, K, B).

    A class that is never predicted has precision 0, as with scikit-learn's ``zero_division=0``.
    """
    hits = np.einsum("kkb->kb", matrix)
    support, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    return ClassRates(
        precision=_ratio(hits, predicted, otherwise=0.0),
        recall=_ratio(hits, support),
        f1=np.where(support > 0, _ratio(2 * hits, support + predicted), np.nan),
    )


def from_confusion(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Return all metrics but the AUC from confusion matrices of shape (K, K, B), each of shape (B,).

    Averages are over the classes with samples.
    """
    support, total = matrix.sum(axis=1), matrix.sum(axis=(0, 1))
    _, recall, f1 = class_rates(matrix)
    return {
        "accuracy": np.einsum("kkb->b", matrix) / total,
        "balanced_accuracy": _mean_of_defined(recall),
        "macro_f1": _mean_of_defined(f1),
        "weighted_f1": np.nansum(f1 * support, axis=0) / total,
    }


def class_auc(predictions: Predictions, weights: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each class against the rest, shape (K, B).

    It is the share of (sample of the class, other sample) pairs in which the first scores higher, a tie
    counting half; NaN where there is no such pair.

    References
    ----------
    J. A. Hanley, B. J. McNeil (1982), Radiology 143, 29-36.
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


def log_loss(predictions: Predictions) -> float:
    """Return the mean negative log probability of the true class, in nats.

    Probabilities below the smallest stored number, 6e-8, count as that number.
    """
    of_truth = predictions.probabilities[np.arange(len(predictions)), predictions.truth].astype(float)
    return float(-np.log(np.maximum(of_truth, np.finfo(np.float16).smallest_subnormal)).mean())


def expected_calibration_error(predictions: Predictions, *, bins: int = 15) -> float:
    """Return the mean distance of confidence from accuracy over bins of equal width.

    References
    ----------
    C. Guo et al. (2017), On Calibration of Modern Neural Networks, ICML, section 2.
    """
    confidence = predictions.confidence.astype(float)
    in_bin = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(in_bin, weights=predictions.correct - confidence)
    return float(abs(gap).sum() / len(predictions))


class RocCurve(NamedTuple):
    """False and true positive rates at each distinct threshold, from (0, 0) to (1, 1), and the area below."""

    fpr: np.ndarray
    tpr: np.ndarray
    auc: float


def roc_curves(predictions: Predictions) -> dict[str, RocCurve]:
    """Return each class's ROC curve against all others; classes without samples, or with all, have none."""
    curves = {}
    for label, name in enumerate(predictions.class_names):
        score = predictions.probabilities[:, label]
        order = np.argsort(-score, kind="stable")
        hits = (predictions.truth == label)[order].cumsum()
        false_alarms = np.arange(1, len(order) + 1) - hits
        if hits[-1] and false_alarms[-1]:
            step = np.flatnonzero(np.diff(score[order], append=-1.0))  # a threshold takes in all equal scores
            tpr = np.append(0, hits[step]) / hits[-1]
            fpr = np.append(0, false_alarms[step]) / false_alarms[-1]
            curves[name] = RocCurve(fpr, tpr, float(np.trapezoid(tpr, fpr)))
    return curves


def _ratio(numerator: np.ndarray, denominator: np.ndarray, *, otherwise: float = np.nan) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(numerator.shape, otherwise), where=denominator > 0)


def _mean_of_defined(by_class: np.ndarray) -> np.ndarray:
    return _ratio(np.nansum(by_class, axis=0), (~np.isnan(by_class)).sum(axis=0))
