"""Whether the numbers of one printed table can be true together.

A table is a dict ``(class, metric) -> Printed``; the class is ``""`` for figures of the whole table. Metrics:
precision, recall, f1, specificity, one_vs_rest_accuracy, predicted_count and support of a class; accuracy,
macro_precision, weighted_f1 and so on, cohen_kappa, mcc and support (the total) of the table; or another name
in `ALIASES`.

A true table may have been worked out in more than one way, and each is allowed: F1 from the printed precision
and recall, averages from the printed rows, an averaged F1 from the averaged precision and recall, and 0 or 1
for a figure that is 0/0. Unless the table is of a single or pooled test set, its figures may also be means
over folds, for which weaker rules hold: F1 is concave in precision and recall, so that its mean over folds
(or classes) lies between max(0, P + R - 1) and 2PR / (P + R) of the mean precision P and recall R.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import combinations
from typing import Any, Literal

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from fer_utils.audit.findings import Finding, Place
from fer_utils.audit.rounding import Printed, Rounding, nearest_rates

Key = tuple[str, str]
Table = Mapping[Key, Printed]
Ends = tuple[float, float]
"""The smallest and the largest possible value."""

METRICS = ("precision", "recall", "f1")
ALIASES = {
    "uf1": "macro_f1",
    "uar": "macro_recall",
    "balanced_accuracy": "macro_recall",
    "war": "accuracy",
    "kappa": "cohen_kappa",
    "sensitivity": "recall",
    "macro_sensitivity": "macro_recall",
    "weighted_sensitivity": "weighted_recall",
}
"""Other names of a metric."""
NODES = 60
"""The search for a matrix ends after so many integer programs, undecided; seconds would differ by machine."""
MOST_CHANGES = 3
"""Slips of the pen are looked for in up to so many cells."""

_MIP_NODES = 2_000
_TRIES = 20_000
"""Changed tables that are tried in the search for slips of the pen."""
_STEPS = 25
"""Around a solution of an integer program, predictions are moved by up to so many between classes."""
_MANY = 10**7
"""More predictions than any table has."""
_SLACK = 1e-9
_MATRIX, _F1 = "some confusion matrix", "F1 from precision and recall"


@dataclass(frozen=True)
class Split:
    """How a table's numbers were obtained.

    Parameters
    ----------
    kind
        ``single``: one test set; ``pooled``: the predictions of all folds together; ``folds``: means over
        folds; ``unknown``: any of these.
    folds
        Number of folds, if stated.
    """

    kind: Literal["single", "pooled", "folds", "unknown"] = "unknown"
    folds: int | None = None

    @property
    def readings(self) -> tuple[bool, ...]:
        """Whether the figures are means over folds: False, True, or both, False first."""
        return {"folds": (True,), "unknown": (False, True)}.get(self.kind, (False,))


def figures_of(counts: Sequence[Sequence[int]], names: Sequence[str], *, undefined: int = 0) -> dict[Key, Fraction]:
    """Return every figure that follows from a confusion matrix (rows: truth).

    Values are exact, except for the root in Matthews' correlation coefficient, which is a float's.

    Parameters
    ----------
    counts
        ``(K, K)``: samples of class i that were predicted as class j.
    names
        Names of the K classes.
    undefined
        Precision of a class without predictions and recall of one without samples; scikit-learn prints 0
        unless told otherwise.
    """
    cells = np.array([[Fraction(cell) for cell in row] for row in counts], dtype=object)
    found: dict[Key, Fraction] = {}
    for metric, values in _figures(cells.sum(1), np.diagonal(cells), cells.sum(0), undefined).items():
        if metric in _OF_CLASSES:
            found |= {(name, metric): Fraction(v) for name, v in zip(names, values, strict=True)}
        else:
            found["", metric] = Fraction(values)
    return found | {("", "support"): Fraction(cells.sum())}


_OF_CLASSES = ("support", "predicted_count", *METRICS, "specificity", "one_vs_rest_accuracy")


def _figures(support: Any, hits: Any, predicted: Any, undefined: int) -> dict[str, Any]:
    """Return the figures of the classes and of the table; classes are the last axis of the arrays."""

    def ratio(part: Any, whole: Any, otherwise: int = undefined) -> Any:
        return np.where(whole == 0, otherwise, part / np.where(whole == 0, 1, whole))

    n = support.sum()
    found = {
        "support": support,
        "predicted_count": predicted,
        "precision": ratio(hits, predicted),
        "recall": ratio(hits, support),
        "f1": ratio(2 * hits, support + predicted),
        "specificity": ratio(n - support - predicted + hits, n - support),
        "one_vs_rest_accuracy": ratio(n - support - predicted + 2 * hits, n),
    }
    accuracy = ratio(hits.sum(-1), n)[()]
    for metric in (*METRICS, "specificity"):
        found[f"macro_{metric}"] = found[metric].sum(-1) / len(support)
        found[f"weighted_{metric}"] = ratio((found[metric] * support).sum(-1), n)[()]
        found[f"micro_{metric}"] = accuracy  # every sample has one class and one prediction
    del found["micro_specificity"]
    above_chance = n * hits.sum(-1) - (support * predicted).sum(-1)
    found["cohen_kappa"] = ratio(above_chance, n * n - (support * predicted).sum(-1), 0)[()]
    spread = (n * n - (predicted * predicted).sum(-1)) * (n * n - (support * support).sum())
    found["mcc"] = ratio(above_chance, np.sqrt(np.asarray(spread, dtype=float)), 0)[()]
    return found | {"accuracy": accuracy}


@dataclass(frozen=True)
class _Sheet:
    """A table with one name for each metric, and the way its numbers were shortened."""

    cells: Mapping[Key, Printed]
    rounding: Rounding

    @cached_property
    def names(self) -> list[str]:
        return list(dict.fromkeys(name for name, _ in self.cells if name))

    @cached_property
    def supports(self) -> np.ndarray | None:
        """Samples of each class, or None if one is missing or there is no sample."""
        if not self.names or any((name, "support") not in self.cells for name in self.names):
            return None
        found = np.array([float(self.cells[name, "support"].value) for name in self.names])
        return found if found.sum() else None

    def changed(self, changes: Mapping[Key, Printed]) -> "_Sheet":
        return _Sheet({**self.cells, **changes}, self.rounding)

    def ends(self, name: str, metric: str) -> Ends:
        """Return what a printed figure may be, or 0 to 1 where it is not printed."""
        return _ends(self.cells.get((name, metric)), self.rounding, metric in ("mcc", "cohen_kappa"))

    def row(self, name: str) -> "_Row | None":
        """Return the whole numbers behind a class's row; None where there are none."""
        printed = (self.cells.get((name, m)) for m in (*METRICS, "support", "predicted_count"))
        return _row(*printed, self.rounding)

    def f1_ends(self, name: str) -> Ends:
        """Return what a class's F1 may be, also if it was worked out from the printed precision and recall."""
        ends = self.ends(name, "f1")
        if all((name, metric) in self.cells for metric in METRICS):
            if ends[0] <= _f1(*(float(self.cells[name, m].value) for m in METRICS[:2])) <= ends[1]:
                p, r = self.ends(name, "precision"), self.ends(name, "recall")
                return min(ends[0], _f1(p[0], r[0])), max(ends[1], _f1(p[1], r[1]))
        return ends

    def average(self, metric: str, folds: bool = False, *, as_printed: bool = False) -> Ends | None:
        """Return what an average may be, given the rows; None where the table lacks what it is made of.

        `as_printed`: worked out from the printed rows, not from what may be behind them. Over folds of any
        mix of classes, a weighted average only lies between the bounds of a union.
        """
        metric = "weighted_recall" if metric in ("accuracy", "micro_recall") else metric
        kind, _, figure = metric.partition("_")
        if kind not in ("macro", "weighted") or any((name, figure) not in self.cells for name in self.names):
            return None
        if not self.names or (kind == "weighted" and self.supports is None):
            return None
        if as_printed:
            ends = np.array([[float(self.cells[name, figure].value)] * 2 for name in self.names])
        else:
            ends = np.array([self._in_average(name, figure, folds) for name in self.names])
        if kind == "weighted" and folds:
            return max(0, 1 - (1 - ends[:, 0]).sum()), min(1, ends[:, 1].sum())
        weights = self.supports if kind == "weighted" else np.ones(len(ends))
        return tuple((weights @ ends / weights.sum()).tolist())

    def _in_average(self, name: str, figure: str, folds: bool) -> Ends:
        """A row enters an average as it may be or as printed; one that does not hold, as printed."""
        ends = self.f1_ends(name) if figure == "f1" else self.ends(name, figure)
        if folds or figure not in METRICS or (name, "support") not in self.cells:
            return ends
        if (row := self.row(name)) is None:
            return self.ends(name, figure)
        value = float(self.cells[name, figure].value)
        return min(row.figures[figure][0], value), max(row.figures[figure][1], value)


@lru_cache(maxsize=50_000)
def _ends(printed: Printed | None, rounding: Rounding, signed: bool) -> Ends:
    if printed is None:
        return 0.0, 1.0
    window = printed.window(rounding)
    return float(-window.high if signed and window.low == 0 else window.low), float(window.high)


@dataclass(frozen=True)
class _Row:
    """Numbers of hits that a printed row allows, each with the fewest and most predictions."""

    hits: np.ndarray
    fewest: np.ndarray
    most: np.ndarray
    figures: dict[str, Ends]


@lru_cache(maxsize=50_000)
def _row(
    precision: Printed | None, recall: Printed | None, f1: Printed | None, support: Printed,
    predicted: Printed | None, rounding: Rounding,
) -> _Row | None:  # fmt: skip
    sheet = _Sheet(
        {("", m): v for m, v in zip(METRICS, (precision, recall, f1), strict=True) if v}, rounding
    )
    (p_low, p_high), (r_low, r_high), (f_low, f_high) = *(sheet.ends("", m) for m in METRICS[:2]), sheet.f1_ends("")
    s, count = float(support.value), float(predicted.value) if predicted else None
    if not s and (r_low <= 0 or r_high >= 1):  # 0/0 prints as 0 or 1
        r_low, r_high = 0, 1
    hits = np.arange(max(0, np.ceil(r_low * s - _SLACK)), min(s, np.floor(r_high * s + _SLACK)) + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        fewest = np.maximum(hits, np.ceil(np.maximum(hits / p_high, 2 * hits / f_high - s) - _SLACK))
        most = np.minimum(_MANY, np.floor(np.fmin(hits / p_low, 2 * hits / f_low - s) + _SLACK))
    if len(hits) and hits[0] == 0:  # a precision of 0/0 prints as 0 or 1, and so does an F1 of 0/0
        possible = f_low <= 0 or (f_high >= 1 and s == 0)
        fewest[0] = 0 if possible and (p_low <= 0 or p_high >= 1) else _MANY
        most[0] = _MANY if p_low <= 0 and f_low <= 0 else 0
    if count is not None:
        fewest, most = np.maximum(fewest, count), np.minimum(most, count)
    possible = fewest <= most
    if not possible.any():
        return None
    hits, fewest, most = hits[possible], fewest[possible], most[possible]
    some = np.maximum(fewest, 1)
    figures = {
        "precision": ((hits / np.maximum(most, 1)).min(), (hits / some).max()),
        "recall": (hits[0] / max(s, 1), hits[-1] / max(s, 1)),
        "f1": ((2 * hits / np.maximum(s + most, 1)).min(), (2 * hits / np.maximum(s + fewest, 1)).max()),
    }
    return _Row(hits, fewest, most, figures)


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _f1_range(precision: Ends, recall: Ends, *, mean: bool) -> Ends:
    """Return the F1 of a precision and a recall, or of the mean F1 of several with these means."""
    low = max(0.0, precision[0] + recall[0] - 1) if mean else _f1(precision[0], recall[0])
    return low, min(1.0, _f1(precision[1], recall[1]))


def _overlap(one: Ends, other: Ends) -> bool:
    return one[0] <= other[1] + _SLACK and other[0] <= one[1] + _SLACK
