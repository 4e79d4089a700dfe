"""Whether the numbers of one printed table can be true together.

A table is a dict ``(class, metric) -> Printed``; the class is ``""`` for figures of the whole table. Metrics
are those of `fer_utils.audit.matrices.figures_of`, or other names in `ALIASES`. The table is taken to list
all classes, and each sample to have one label and one prediction.

A true table may have been worked out in more than one way, and each is allowed: F1 from the printed precision
and recall, averages from the printed rows, an averaged F1 from the averaged precision and recall, and 0 or 1
for a figure that is 0/0. Figures may also be means over folds, unless the split is known. Then weaker rules
hold: F1 is concave in precision and recall, so that its mean over folds (or classes) lies between
max(0, P + R - 1) and 2PR / (P + R) of the mean precision P and recall R.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache, partial
from itertools import islice, product
from typing import Any

import numpy as np

from fer_utils.audit.findings import Finding, Place
from fer_utils.audit.matrices import METRICS, NODES, OF_CLASSES, Ends, Feasibility, figures_of, search_matrix
from fer_utils.audit.rounding import Printed, Rounding, nearest_rates

Key = tuple[str, str]
Table = Mapping[Key, Printed]
Changes = Mapping[Key, Printed]
Matrix = tuple[Sequence[Sequence[int]], Sequence[str]]
"""Counts (rows: truth) and class names."""

ALIASES = {
    "uf1": "macro_f1",
    "uar": "macro_recall",
    "balanced_accuracy": "macro_recall",
    "war": "accuracy",
    "kappa": "cohen_kappa",
    "sensitivity": "recall",
}
"""Other names of a metric."""

MOST_SLIPS = 3
"""Slips of the pen are looked for in up to so many cells."""
_TRIES = 20_000
"""Changed tables that are tried in the search for slips of the pen."""
_MATRICES = 10
"""Sets of slips for which a matrix is looked for."""
_MANY = 10**7
"""More predictions than any table has."""
_SLACK = 1e-9
_MATRIX, _TOTAL = "some confusion matrix", "sum of the supports"


READINGS = {"single": (False,), "pooled": (False,), "folds": (True,), "unknown": (False, True)}
"""How figures came about -> whether they are means over folds, the stricter reading first."""


@dataclass(frozen=True)
class _Sheet:
    """A table with one name for each metric, and the way its numbers were shortened."""

    cells: Mapping[Key, Printed]
    rounding: Rounding

    @classmethod
    def of(cls, table: Table, rounding: Rounding) -> "_Sheet":
        """Rename the metrics; where a table prints one metric under two names, the second keeps its own."""
        cells: dict[Key, Printed] = {}
        for (name, metric), printed in table.items():
            key = (name, ALIASES.get(metric.lower(), metric))
            cells[(name, metric) if key in cells else key] = printed
        return cls(cells, rounding)

    @cached_property
    def names(self) -> list[str]:
        return list(dict.fromkeys(name for name, _ in self.cells if name))

    @cached_property
    def supports(self) -> np.ndarray | None:
        """Samples of each class; None where one is missing, or all are 0."""
        found = [self.cells.get((name, "support")) for name in self.names]
        numbers = np.array([each.number for each in found if each])
        return numbers if None not in found and numbers.any() else None

    def has(self, name: str, *metrics: str) -> bool:
        return all((name, metric) in self.cells for metric in metrics)

    def changed(self, changes: Mapping[Key, Printed]) -> "_Sheet":
        return _Sheet({**self.cells, **changes}, self.rounding)

    def without(self, *metrics: str) -> "_Sheet":
        """Leave out figures of the whole table."""
        kept = {key: cell for key, cell in self.cells.items() if key[0] or key[1] not in metrics}
        return _Sheet(kept, self.rounding)

    def ends(self, name: str, metric: str) -> Ends:
        """Return what a printed figure may be, or 0 to 1 where it is not printed."""
        return _ends(self.cells.get((name, metric)), self.rounding, metric in ("mcc", "cohen_kappa"))

    def f1_ends(self, name: str) -> Ends:
        """Return what a class's F1 may be, also if worked out from the printed precision and recall."""
        ends = self.ends(name, "f1")
        if self.has(name, *METRICS) and _overlap((self.exact_f1(name),) * 2, ends):
            other = self.f1_range(name, mean=False)
            return min(ends[0], other[0]), max(ends[1], other[1])
        return ends

    def exact_f1(self, name: str) -> float:
        return _f1(*(self.cells[name, metric].number for metric in METRICS[:2]))

    def f1_range(self, name: str, kind: str = "", *, mean: bool) -> Ends:
        """Return the F1 of precision and recall, or the mean F1 of several with these means."""
        (p_low, p_high), (r_low, r_high) = (self.ends(name, kind + metric) for metric in METRICS[:2])
        low = max(0.0, p_low + r_low - 1) if mean else _f1(p_low, r_low)
        return low, min(1.0, _f1(p_high, r_high))

    def row(self, name: str, *metrics: str) -> "_Row | None":
        """Return the whole numbers behind a class's row, or some figures of it; None if there are none."""
        metrics = metrics or (*METRICS, "predicted_count")
        printed = tuple(self.cells.get((name, metric)) for metric in metrics)
        return _row(metrics, printed, self.cells[name, "support"], self.rounding)

    def average(self, metric: str, folds: bool = False, *, as_printed: bool = False) -> Ends | None:
        """Return what an average may be, given the rows; None where the table lacks what it is made of.

        `as_printed`: worked out from the printed rows, not from what may be behind them. Over folds of any
        mix of classes, a weighted average is only bounded by the sum of the rows, or of what they lack to 1.
        """
        kind, figure = _parts(metric)
        lacking = kind not in ("macro", "weighted") or (kind == "weighted" and self.supports is None)
        if lacking or not self.names or not all(self.has(name, figure) for name in self.names):
            return None
        low, high = np.array([self._in_average(name, figure, folds, as_printed) for name in self.names]).T
        if kind == "weighted" and folds:
            return max(0.0, 1 - (1 - low).sum()), min(1.0, high.sum())
        weights = self.supports if kind == "weighted" else np.ones(len(low))
        return float(weights @ low / weights.sum()), float(weights @ high / weights.sum())

    def _in_average(self, name: str, figure: str, folds: bool, as_printed: bool) -> Ends:
        """A row enters an average as it may be or as printed; one that does not hold, as printed."""
        value = self.cells[name, figure].number
        if as_printed:
            return value, value
        ends = self.f1_ends(name) if figure == "f1" else self.ends(name, figure)
        if folds or figure not in METRICS or not self.has(name, "support"):
            return ends
        if (row := self.row(name)) is None:
            return self.ends(name, figure)
        return min(row.figures[figure][0], value), max(row.figures[figure][1], value)


@lru_cache(maxsize=50_000)
def _ends(printed: Printed | None, rounding: Rounding, signed: bool) -> Ends:
    if printed is None:
        return 0.0, 1.0
    window = printed.window(rounding)
    return float(-window.high if signed and window.low == 0 else window.low), float(window.high)


@dataclass(frozen=True)
class _Row:
    """Hits that a printed row allows, each with the fewest and most predictions, and the row's figures."""

    hits: np.ndarray
    fewest: np.ndarray
    most: np.ndarray
    figures: dict[str, Ends]


@lru_cache(maxsize=50_000)
def _row(
    metrics: tuple[str, ...], printed: tuple[Printed | None, ...], support: Printed, rounding: Rounding
) -> _Row | None:
    cells = {m: cell for m, cell in zip(metrics, printed, strict=True) if cell}
    sheet, s = _Sheet({("", m): cell for m, cell in cells.items()}, rounding), support.number
    (p_low, p_high), (r_low, r_high) = (sheet.ends("", m) for m in METRICS[:2])
    f_low, f_high = sheet.f1_ends("")
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
    if "predicted_count" in cells:
        count = cells["predicted_count"].number
        fewest, most = np.maximum(fewest, count), np.minimum(most, count)
    hits, fewest, most = (each[fewest <= most] for each in (hits, fewest, most))
    if not len(hits):
        return None
    ends = [hits / np.maximum(most, 1), hits / np.maximum(fewest, 1), hits / max(s, 1)]
    ends += [2 * hits / np.maximum(s + each, 1) for each in (most, fewest)]
    pairs = zip(METRICS, (ends[:2], ends[2:3], ends[3:]), strict=True)
    return _Row(hits, fewest, most, {m: (pair[0].min(), pair[-1].max()) for m, pair in pairs})


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _overlap(one: Ends, other: Ends) -> bool:
    return one[0] <= other[1] + _SLACK and other[0] <= one[1] + _SLACK


def _shown(ends: Ends) -> str:
    return f"{ends[0]:.4f} to {ends[1]:.4f}"


def _named(key: Key) -> str:
    return " ".join(filter(None, key)).replace("_", " ")


def _parts(metric: str) -> tuple[str, str]:
    """Return the kind of an average and what is averaged; the accuracy is a weighted recall."""
    if metric in ("accuracy", "micro_recall"):
        return "weighted", "recall"
    kind, _, figure = metric.partition("_")
    return kind, figure


def _changes(printed: Printed) -> Iterator[Printed]:
    """Yield the possible numbers that differ in one digit."""
    rate = printed.unit in ("fraction", "percent")
    return (new for new in printed.one_digit_changes() if not rate or new.number <= 1)


# --- rules ----------------------------------------------------------------------------------------


Words = Callable[[], tuple[object, object, str]]
"""Returns what is printed, what is expected and the arithmetic."""


@dataclass(frozen=True)
class _Check:
    """One rule on some cells. `judge` takes a table and whether its figures are means over folds."""

    where: str
    rule: str
    keys: Sequence[Key]
    judge: Callable[[_Sheet, bool], tuple[bool, Words]]

    def holds(self, sheet: _Sheet, folds: bool) -> bool:
        return self.judge(sheet, folds)[0]


def _checks(sheet: _Sheet) -> Iterator[_Check]:
    """Yield every rule that the table allows to check, those on single rows and cells first."""
    f1, names = "F1 from precision and recall", sheet.names
    for name in names:
        keys = [(name, m) for m in (*METRICS, "support", "predicted_count") if sheet.has(name, m)]
        rule = f1 if sheet.has(name, *METRICS) else "whole numbers behind a row"
        if rule == f1 or (sheet.has(name, "support") and len(keys) > 2):
            yield _Check(name, rule, keys, partial(_judge_row, name=name))
    with_support = [(name, "support") for name in names if sheet.supports is not None]
    if with_support and sheet.has("", "support"):
        yield _Check("support", _TOTAL, [("", "support"), *with_support], _judge_total)
    averages = [metric for name, metric in sheet.cells if not name and sheet.average(metric)]
    for metric in averages:
        kind, figure = _parts(metric)
        keys = [("", metric), *((name, figure) for name in names), *(with_support if kind[0] == "w" else [])]
        where, judge = metric.replace("_", " "), partial(_judge_average, metric=metric)
        yield _Check(where, "average of the rows", keys, judge)
    for kind in ("", "macro_", "weighted_"):
        keys = [("", kind + m) for m in METRICS if sheet.has("", kind + m)]
        if len(keys) > 1 and sheet.has("", f"{kind}f1") and f"{kind}f1" not in averages:
            yield _Check(f"{kind}f1".replace("_", " "), f1, keys, partial(_judge_row, kind=kind))
    if with_support and all(sheet.has(name, *METRICS[:2]) for name in names):
        keys = [(name, metric) for name in names for metric in (*METRICS[:2], "support")]
        yield _Check("predictions", "predictions add up", keys, _judge_predictions)


def _judge_row(sheet: _Sheet, folds: bool, *, name: str = "", kind: str = "") -> tuple[bool, Words]:
    """Judge a class's row, or the averaged F1 of a kind."""
    mean, metrics = folds or not name, [m for m in (*METRICS, "support") if sheet.has(name, kind + m)]
    counted = name and not folds and "support" in metrics
    allowed = sheet.f1_range(name, kind, mean=mean)
    by_f1 = _overlap(allowed, sheet.ends(name, f"{kind}f1"))
    holds = sheet.row(name) is not None if counted else by_f1

    def words() -> tuple[object, object, str]:
        labels = {"precision": "P", "recall": "R", "f1": "F1"}
        printed = ", ".join(f"{labels.get(m, m)} {sheet.cells[name, kind + m]}" for m in metrics)
        if mean:
            why = f"A mean F1 of folds or classes lies within {_shown(allowed)}: P + R - 1 to 2PR / (P + R), "
            return printed, _shown(allowed), f"{why}with rounding; what is not printed of these is 0 to 1."
        if metrics[:3] != [*METRICS]:
            return printed, "whole hits and predictions", _counts_by_hand(sheet, name)
        p, r, exact = *(sheet.cells[name, m] for m in METRICS[:2]), f"{sheet.exact_f1(name):.4f}"
        why = f"2 x {p} x {r} / ({p} + {r}) = {exact}; with rounding {_shown(allowed)}."
        return printed, f"F1 {exact}", why if holds or not by_f1 else f"{why} {_counts_by_hand(sheet, name)}"

    return holds, words


def _counts_by_hand(sheet: _Sheet, name: str) -> str:
    n, recall = int(sheet.cells[name, "support"].value), sheet.cells.get((name, "recall"))
    if row := sheet.row(name):
        most = f"to {row.most[0]:.0f}" if row.most[0] < _MANY else "or more"
        shown = f"{row.hits[0]:.0f} of {n} samples are hits, of {row.fewest[0]:.0f} {most} predictions"
        return f"For example {shown}."
    if recall and not sheet.row(name, "recall"):
        return f"{nearest_rates(recall, n)}: none prints as {recall}."
    return f"No numbers of hits among {n} samples and of predictions give these figures."


def _judge_total(sheet: _Sheet, folds: bool) -> tuple[bool, Words]:
    cells, total = [sheet.cells[name, "support"] for name in sheet.names], sheet.cells["", "support"]
    added = sum(cell.value for cell in cells)
    why = f"{' + '.join(map(str, cells))} = {int(added):,}; printed {total}."
    return total.value == added, lambda: (total, f"{int(added):,}", why)


def _judge_average(sheet: _Sheet, folds: bool, *, metric: str) -> tuple[bool, Words]:
    kind, figure = _parts(metric)
    window, ends = sheet.average(metric, folds) or (0, 1), sheet.ends("", metric)
    usual = _overlap(window, ends)
    of_averages = not usual and figure == "f1" and _overlap(_f1_of_averages(sheet, kind), ends)

    def words() -> tuple[object, object, str]:
        how = "the supports as weights" if kind == "weighted" else "equal weights"
        why = f"Mean of the rows with {how}: {_shown(window)}; "
        why += f"{sheet.cells['', metric]} stands for {_shown(ends)}."
        if folds and kind == "weighted":
            why = f"Over folds of any mix of classes, the rows only limit it to {_shown(window)}."
        why += " It is the F1 of the averaged precision and recall instead." if of_averages else ""
        counted = [] if folds else [name for name in sheet.names if sheet.has(name, "support")]
        if broken := [name for name in counted if not sheet.row(name)]:
            why += f" The rows {', '.join(broken)} are inconsistent and enter as printed."
        others = [m for m in METRICS if m != figure] if not usual and not broken else []
        for other in (f"{kind}_{m}" for m in others):
            if (fitting := sheet.average(other, folds)) and _overlap(fitting, ends):
                why += f" The {_named(('', other))} of the rows fits, so it may stand under the wrong name."
        return sheet.cells["", metric], _shown(window), why

    return usual or of_averages, words


def _f1_of_averages(sheet: _Sheet, kind: str) -> Ends:
    """Return the F1 of the averaged precision and recall, printed or of the rows; (2, 2) without them."""
    metrics = [f"{kind}_{metric}" for metric in METRICS[:2]]
    parts = [sheet.ends("", m) if sheet.has("", m) else sheet.average(m) for m in metrics]
    if None in parts:
        return 2, 2
    return tuple(_f1(*pair) for pair in zip(*parts, strict=True))


def _judge_predictions(sheet: _Sheet, folds: bool) -> tuple[bool, Words]:
    """Every sample is predicted once, so that the predictions of the classes add up to the samples."""
    n = sum(sheet.cells[name, "support"].number for name in sheet.names)
    rows = [sheet.row(name, *METRICS[:2]) for name in sheet.names]
    low, high = 0, _MANY
    if all(rows):
        low, high = sum(row.fewest.min() for row in rows), sum(row.most.max() for row in rows)

    def words() -> tuple[object, object, str]:
        if folds:
            return "", "", "Predictions of the folds are not tested."
        parts = [[sheet.cells[name, m] for m in ("support", "recall", "precision")] for name in sheet.names]
        counts = [s.number * r.number / p.number if p.number else 0 for s, r, p in parts]
        listed = " + ".join(f"{name} {count:.0f}" for name, count in zip(sheet.names, counts, strict=True))
        s, r, p = parts[0]
        why = f"A class is predicted support x recall / precision times, {sheet.names[0]} {s} x {r} / {p} = "
        why += f"{counts[0]:.0f}: {listed} = {sum(counts):,.0f}"
        why += f", with rounding {low:,.0f} to {high:,.0f}. " if high < _MANY else ". "
        why += f"If all classes are listed, each of {n:,.0f} samples is predicted once."
        return f"{sum(counts):,.0f} predictions", f"{n:,.0f}", why

    return folds or low <= n <= high, words


# --- findings -------------------------------------------------------------------------------------


def check_table(
    table: Table,
    *,
    place: Place,
    split: str = "unknown",
    rounding: Rounding = "either",
    matrix: Matrix | None = None,
) -> Iterator[Finding]:
    """Yield a finding for everything that the numbers of one table allow to check.

    A finding that another one explains names its location in `follows_from`.

    Parameters
    ----------
    table
        Printed numbers, ``(class or "", metric) -> number``; may be empty if there is a matrix.
    split
        How the numbers came about: a key of `READINGS`. If unknown, what only a mean over folds can print is
        not checkable.
    rounding
        How the numbers were shortened.
    matrix
        Counts (rows: truth) and class names of the confusion matrix that the table describes.
    """
    sheet = _Sheet.of(table, rounding)
    figures = list(_figure_findings(sheet, matrix, split, place)) if matrix else []
    wrong = [each.location for each in figures if each.verdict == "inconsistent"]
    strict, folds = READINGS[split][0], READINGS[split][-1]
    checks = [check for check in _checks(sheet) if not strict or check.rule != "predictions add up"]
    failing = [check for check in checks if not check.holds(sheet, folds)]
    slips = _slips(sheet, checks, folds) if failing and not wrong else []
    causes = _causes(failing, slips[0] if slips else {})
    if not failing:  # all that only a mean over folds can print has one cause
        failing = [check for check in checks if not check.holds(sheet, strict)]
        causes = {check.where: failing[0].where for check in failing}
    locations = {where: place.at(cause).location for where, cause in causes.items()}
    yield from figures
    for check in checks:
        cause = wrong[0] if wrong else locations.get(check.where, "")
        yield _rule_finding(sheet, check, split, place.at(check.where), cause=cause)
    if sheet.supports is not None and matrix is None and any(map(_follows, sheet.cells)):
        cause = locations.get(failing[0].where, place.at(failing[0].where).location) if failing else ""
        yield _feasibility(sheet, checks, split, place, cause=cause)
        if slips and slips[0] and not folds:
            yield from _mended(sheet, slips, place, cause=cause)
    yield from _majority_findings(sheet, matrix, place)


def _rule_finding(sheet: _Sheet, check: _Check, split: str, place: Place, *, cause: str) -> Finding:
    strict, loose = READINGS[split][0], READINGS[split][-1]
    over_folds = loose and check.rule != _TOTAL
    holds, words = check.judge(sheet, strict)
    printed, expected, why = words()
    verdict, certainty = (
        "consistent",
        "possible" if (strict and over_folds) or "instead" in why else "certain",
    )
    if not holds and check.holds(sheet, loose):
        verdict, certainty = "not_checkable", "certain"
        why += f" One test set cannot print this, means over folds can. {check.judge(sheet, True)[1]()[2]}"
    elif not holds:
        tried = ((key, new) for key in check.keys for new in _changes(sheet.cells[key]))
        fitting = [*islice((c for c in tried if check.holds(sheet.changed(dict([c])), loose)), 6)]
        average = loose and check.rule == "average of the rows"  # a fold may lack a class
        verdict, certainty = "inconsistent", "likely" if fitting or average else "certain"
        why += " Nor can it be a mean over folds." if over_folds and not strict else ""
        if fitting:
            shown = ", ".join(f"{_named(key)} {new}" for key, new in fitting)
            why += f" One changed digit would satisfy this rule, for example: {shown}."
    source = "" if verdict == "consistent" or cause == place.location else cause
    say = {"printed": printed, "expected": expected, "why": why}
    return place.finding(check.rule, verdict, **say, certainty=certainty, follows_from=source)


def _slips(sheet: _Sheet, checks: Sequence[_Check], folds: bool) -> list[dict[Key, Printed]]:
    """Return the smallest sets of changed digits, one in a cell, after which every rule holds; best first.

    A wrong total is a slip of its own unless the same change mends all.
    """
    budget = _TRIES

    def mend(sheet: _Sheet, checks: Sequence[_Check], made: dict[Key, Printed], left: int) -> Iterator[dict]:
        nonlocal budget
        failing = next((check for check in checks if not check.holds(sheet, folds)), None)
        if failing is None:
            yield made
        for key in failing.keys if failing and left else ():
            for new in _changes(sheet.cells[key]) if key not in made else ():
                budget -= 1
                changed = sheet.changed({key: new})
                if budget > 0 and failing.holds(changed, folds):
                    yield from mend(changed, checks, {**made, key: new}, left - 1)

    others = [check for check in checks if check.rule != _TOTAL]
    tries = [(checks, 1), *((others, most) for most in range(1, MOST_SLIPS + 1))]
    found = next(filter(None, (list(mend(sheet, these, {}, most)) for these, most in tries)), [])
    return sorted(found, key=lambda slips: _distance(sheet.changed(slips)))


def _distance(sheet: _Sheet) -> float:
    """Return how far the printed F1 and averages together are from those that the other cells give."""
    rows = [name for name in sheet.names if sheet.has(name, *METRICS)]
    far = sum(abs(sheet.exact_f1(name) - sheet.cells[name, "f1"].number) for name in rows)
    averages = ((m, sheet.average(m, as_printed=True)) for name, m in sheet.cells if not name)
    return far + sum(abs(ends[0] - sheet.cells["", m].number) for m, ends in averages if ends)


def _causes(failing: Sequence[_Check], slips: Mapping[Key, Printed]) -> dict[str, str]:
    """Return for each rule that fails the one that holds the cause of both, by their places.

    A cause is the first rule with a slip; without slips, a row that fails. A wrong total is one, too.
    """
    if slips:
        first = {key: next((check.where for check in failing if key in check.keys), "") for key in slips}
    else:
        first = {key: check.where for check in failing for key in check.keys if check.where == key[0]}
    primary = [*filter(None, first.values()), *(check.where for check in failing if check.rule == _TOTAL)]
    found = {}
    for check in failing:
        own = next((where for key, where in first.items() if where and key in check.keys), "")
        other = own or (primary[0] if slips else check.where)
        found[check.where] = check.where if check.where in primary else other
    return found


def _follows(key: Key) -> bool:
    """Return whether the search for a matrix can test a figure; supports are given."""
    averages = [f"{kind}_{m}" for kind in ("macro", "weighted", "micro") for m in (*METRICS, "specificity")]
    return key[1] in (OF_CLASSES[1:] if key[0] else ("accuracy", "cohen_kappa", "mcc", *averages[:-1]))


def _search(sheet: _Sheet, *, nodes: int = NODES) -> Feasibility:
    """Look for a confusion matrix that prints as a sheet; averages of printed rows limit it no further."""
    rows, wanted = [sheet.row(name) for name in sheet.names], {}
    if None in rows:
        return Feasibility("impossible")
    for key in filter(_follows, sheet.cells):
        name, metric = key
        ends = sheet.f1_ends(name) if name and metric == "f1" else sheet.ends(*key)
        exact = None if name else sheet.average(metric, as_printed=True)
        if exact is None or not _overlap(exact, ends):
            wanted[sheet.names.index(name) if name else None, metric] = ends
    n = sheet.supports.sum()
    predicted = np.array([(row.fewest.min(), min(row.most.max(), n)) for row in rows]).T
    if (predicted[0] > predicted[1]).any():
        return Feasibility("impossible")
    hits = np.array([(row.hits[0], row.hits[-1]) for row in rows]).T
    return search_matrix(sheet.supports, wanted, hits=hits, predicted=predicted, nodes=nodes)


def _feasibility(sheet: _Sheet, checks: Sequence[_Check], split: str, place: Place, *, cause: str) -> Finding:
    """Return whether some confusion matrix prints as the table."""
    tested = [_named(key) for key in sheet.cells if _follows(key)]
    others = dict.fromkeys(key[1] for key in sheet.cells if not _follows(key) and key[1] != "support")
    note = f" Not tested: {', '.join(others)}." if others else ""
    listed = ", ".join(tested) if len(tested) < 6 else f"{len(tested)} figures"
    over_folds = "Means over folds need not fit one matrix, and no matrix of a fold is printed."

    def finding(verdict: Any, why: str, certainty: Any = "certain") -> Finding:
        say = {"printed": f"supports, {listed}", "expected": "a confusion matrix that prints so"}
        say |= {"why": why + note, "follows_from": "" if verdict is True else cause}
        return place.finding(_MATRIX, verdict, **say, certainty=certainty)

    if READINGS[split][0]:
        return finding("not_checkable", over_folds)
    result, certainty = _search(sheet), "certain"
    kinds = [kind for kind in ("macro", "weighted") if sheet.has("", *(f"{kind}_{m}" for m in METRICS))]
    kinds = [k for k in kinds if _overlap(_f1_of_averages(sheet, k), sheet.ends("", f"{k}_f1"))]
    if result.status == "impossible" and kinds:  # the averaged F1 may be that of the averages
        result, certainty = _search(sheet.without(*(f"{kind}_f1" for kind in kinds))), "possible"
    if result.status == "undecided":
        return finding("not_checkable", f"Not decided: {NODES} steps found neither a matrix nor a proof.")
    if result.status == "feasible":
        rows = zip(sheet.names, result.hits, sheet.supports, result.predicted, strict=True)
        shown = "; ".join(f"{name} {h} of {s:.0f} samples, {p} predictions" for name, h, s, p in rows)
        of = " if averaged F1 is that of the averaged precision and recall" if certainty == "possible" else ""
        return finding(True, f"One that fits{of} has these hits: {shown}.", certainty)
    broken = [name for name in sheet.names if not sheet.row(name)]
    why = "An integer program with the rounding of every figure has no solution."
    why += f" Rows that fail alone: {', '.join(broken)}." if broken else _swapped(sheet)
    if READINGS[split][-1] and all(check.holds(sheet, True) for check in checks):
        return finding("not_checkable", f"No matrix of one test set fits. {why} {over_folds}")
    slip = "" if cause else _one_slip(sheet, checks)
    why += f" One changed digit would let one fit: {slip}." if slip else ""
    return finding(
        False, why, "likely" if slip or (cause and (len(broken) < 2 or READINGS[split][-1])) else "certain"
    )


def _swapped(sheet: _Sheet) -> str:
    """Return whether the macro recall fits as macro precision."""
    recall, key = sheet.cells.get(("", "macro_recall")), ("", "macro_precision")
    if not recall or key in sheet.cells or not sheet.has("", "macro_f1"):
        return ""
    result = _search(sheet.without("macro_recall").changed({key: recall}))
    fits = result.status == "feasible"
    return f" {recall} fits as macro precision, not as macro recall." if fits else ""


def _one_slip(sheet: _Sheet, checks: Sequence[_Check]) -> str:
    """Return a changed digit with which every rule holds and a matrix fits, or an empty string."""
    rates = {key: cell for key, cell in sheet.cells.items() if key[1] != "support"}
    for key, new in ((key, new) for key, cell in rates.items() for new in _changes(cell)):
        changed = sheet.changed({key: new})
        touched = (check for check in checks if key in check.keys)
        if (
            all(check.holds(changed, False) for check in touched)
            and _search(changed, nodes=1).hits is not None
        ):
            return f"{_named(key)} {new}"
    return ""


def _mended(sheet: _Sheet, slips: Sequence[Changes], place: Place, *, cause: str) -> Iterator[Finding]:
    """Yield the slips of the pen that explain the whole table, if a matrix fits with them."""
    results = ((changes, _search(sheet.changed(changes))) for changes in slips[:_MATRICES])
    for changes, result in (pair for pair in results if pair[1].status == "feasible"):
        options = dict.fromkeys(f"{_named(key)} {new}" for each in slips for key, new in each.items())
        rows = zip(sheet.names, result.hits, result.predicted, strict=True)
        shown = ", ".join(f"{name} {h} of {p} predictions" for name, h, p in rows)
        why = (
            f"All rows and averages hold with changes among: {', '.join(options)}. The named ones fit best: "
        )
        why += f"a matrix fits them that has these hits: {shown}."
        yield place.at(f"with one digit changed in {len(changes)} cell{'s' * (len(changes) > 1)}").finding(
            _MATRIX,
            "noteworthy",
            printed=", ".join(f"{_named(key)} {sheet.cells[key]} -> {new}" for key, new in changes.items()),
            expected="a confusion matrix that prints so",
            why=f"{why} Slips of a digit explain these figures; no result has to be wrong.",
            certainty="likely",
            follows_from=cause,
        )
        return


def _figure_findings(sheet: _Sheet, matrix: Matrix, split: str, place: Place) -> Iterator[Finding]:
    """Yield a finding for every printed figure that a printed matrix contradicts, or one that none is."""
    rule, (counts, names) = "figures of the confusion matrix", matrix
    tried = [figures_of(counts, names, undefined=value) for value in (0, 1)]
    shared = [key for key in sheet.cells if key in tried[0]]

    def fits(figures: Mapping[Key, Fraction], key: Key, printed_as: Key | None = None) -> bool:
        return _overlap((float(figures[key]),) * 2, sheet.ends(*(printed_as or key)))

    figures = max(tried, key=lambda each: sum(fits(each, key) for key in shared))
    wrong = [key for key in shared if not fits(figures, key)]
    if shared and not wrong:
        listed = (f"{_named(key)} {sheet.cells[key]} ({float(figures[key]):.4g})" for key in shared)
        say = {"printed": f"{len(shared)} figures, all as the matrix gives them", "expected": "the same"}
        yield place.finding(
            rule, True, **say, why=f"Printed (recomputed from the cells): {', '.join(listed)}."
        )
    agree = len(shared) - len(wrong)
    of_folds = READINGS[split][0] or (READINGS[split][-1] and agree < max(3, len(wrong)))
    remark = _matrix_slip(counts, names, fits, shared, wrong) if len(wrong) > 1 else ""
    for key in wrong:
        printed, exact = sheet.cells[key], figures[key]
        shown = f"{float(100 * exact):.3f} %" if printed.unit == "percent" else f"{float(exact):.5g}"
        as_ratio = f"{exact} = " if 1 < exact.denominator < 10**9 else ""
        slip = any(exact in new.window(sheet.rounding) for new in _changes(printed))
        why = f"The matrix gives {as_ratio}{shown}, printed {printed}.{remark}"
        why += " One changed digit would make it agree." if slip else ""
        others = [(key[0], key[1].replace(m, o)) for m in METRICS if m in key[1] for o in METRICS if o != m]
        for other in (other for other in others if fits(figures, other, key)):
            why += f" It is the {_named(other)}, which may stand under the wrong name."
        why += " A mean over folds need not equal the figure of the pooled matrix." if of_folds else ""
        yield place.at(_named(key)).finding(
            rule,
            "not_checkable" if of_folds else False,
            printed=printed,
            expected=shown,
            why=why,
            certainty="certain" if of_folds or not (slip or remark or READINGS[split][-1]) else "likely",
            follows_from=place.at(_named(wrong[0])).location if remark and key != wrong[0] else "",
        )


def _matrix_slip(
    counts: Sequence[Sequence[int]], names: Sequence[str], fits: Callable, shared: list[Key], wrong: list[Key]
) -> str:
    """Return the one change of the matrix with which all figures fit: transposed, or a digit of a cell."""
    if all(fits(figures_of(list(zip(*counts, strict=True)), names), key) for key in shared):
        return " All figures fit the transposed matrix: its rows may be predictions."
    classes = {name for name, _ in wrong} - {""} or {*names}
    for i, j in product(range(len(names)), repeat=2):
        digits = (
            Printed(str(counts[i][j]), "count").one_digit_changes() if {names[i], names[j]} & classes else ()
        )
        for new in digits:
            changed = [list(row) for row in counts]
            changed[i][j] = int(new.text)
            if all(fits(figures_of(changed, names), key) for key in (*wrong, *shared)):
                return f" All figures fit a matrix with {new} for {counts[i][j]} in {names[i]} as {names[j]}."
    return ""


def _majority_findings(sheet: _Sheet, matrix: Matrix | None, place: Place) -> Iterator[Finding]:
    """Yield whether accuracies are above those of always predicting one class."""
    names, supports, figures = sheet.names, sheet.supports, {}
    if matrix:
        figures, names = figures_of(*matrix), list(matrix[1])
        supports = np.array([float(figures[name, "support"]) for name in names])
    if supports is None:
        return
    n, of = int(supports.sum()), "one_vs_rest_accuracy"

    def judged(pairs: Mapping[Key, int], where: str, why: str) -> Finding:
        above, shown = True, []
        for key, most in pairs.items():
            value = float(figures[key]) if key in figures else sheet.ends(*key)[1]
            above = above and np.floor(value * n + _SLACK) > most
            reached = f"{figures[key] * n}/{n} = {100 * value:.2f} %" if figures else str(sheet.cells[key])
            shown.append(f"{key[0]} {reached} against {most}/{n} = {100 * most / n:.2f} %".strip())
        printed = ", ".join(f"{key[0]} {sheet.cells.get(key, '')}".strip() for key in pairs)
        return place.at(where).finding(
            "accuracy against the majority class",
            "consistent" if above else "noteworthy",
            printed=printed or shown[0].partition(" against")[0],
            expected="more than " + ", ".join(f"{100 * most / n:.2f} %" for most in pairs.values()),
            why=f"{why}: {'; '.join(shown)}.",
        )

    if figures or sheet.has("", "accuracy"):
        why = f"Accuracy against always predicting {names[supports.argmax()]}"
        yield judged({("", "accuracy"): int(supports.max())}, "accuracy and majority class", why)
    if names and all(sheet.has(name, of) for name in names):
        most = {(name, of): int(max(s, n - s)) for name, s in zip(names, supports, strict=True)}
        why = "Each is one yes-or-no question, against the better of predicting the class always or never"
        yield judged(most, "accuracy of each class", why)
