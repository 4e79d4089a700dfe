"""Whether the numbers of one printed table can be true together.

One question is asked of a table, of its parts, and of the table with a small mistake taken back: is there a
confusion matrix, or a mean over folds, that prints these numbers?

A table is a dict ``(class or "", metric) -> Printed``. Metrics are those of `figures_of`, or other names in
`ALIASES`. The table is taken to list all classes, and each sample to have one label and one prediction.

A true table may have been worked out in more than one way, and each is allowed: F1 from the printed precision
and recall, averages from the printed rows, an averaged F1 from the averaged precision and recall, and 0 or 1
for a figure that is 0/0. Figures may also be means over folds, unless the split is known. Then weaker rules
hold: F1 is concave in precision and recall, so that its mean over folds (or classes) lies between
max(0, P + R - 1) and 2PR / (P + R) of the mean precision P and recall R.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import islice, product
from typing import NamedTuple

import numpy as np

from fer_utils.audit.findings import Finding
from fer_utils.audit.matrices import METRICS, NODES, OF_CLASSES, Search, figures_of, search_matrix
from fer_utils.audit.rounding import SLACK, Ends, Printed, Rounding, fits, nearest_rates, overlap

Key = tuple[str, str]
Table = Mapping[Key, Printed]
Changes = Mapping[Key, Printed | None]
"""Cells that take the place of others; None removes one."""
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
READINGS = {"single": (False,), "pooled": (False,), "folds": (True,), "unknown": (False, True)}
"""How figures came about -> whether they are means over folds, the stricter reading first."""

_MOST_MISTAKES, _TRIES, _MOST_CORRECTIONS = 3, 2_000, 50
"""Mistakes that are taken back at once, changed tables that are tried, and those that are compared."""
TOTAL, WHOLE, AVERAGE = ("", "support"), "some confusion matrix", "average of the rows"
_OF_AVERAGES = "2PR / (P + R) of the averages"
_OF_ALL = ["accuracy", "cohen_kappa", "mcc", "macro_specificity", "weighted_specificity"]
_OF_ALL += [f"{kind}_{metric}" for kind in ("macro", "weighted", "micro") for metric in METRICS]


class Way(NamedTuple):
    """A way to work out a figure, and what it may give; if not exact, it is only somewhere between."""

    how: str
    ends: Ends
    exact: bool = True


@dataclass(frozen=True)
class Sheet:
    """A table with one name for each metric, and the way its numbers were shortened; None: not at all."""

    cells: Table
    rounding: Rounding | None = "either"
    nodes: int = NODES

    @classmethod
    def of(cls, table: Table, rounding: Rounding) -> "Sheet":
        """Rename the metrics; where a table prints one metric under two names, the second keeps its own."""
        cells: dict[Key, Printed] = {}
        for (name, metric), printed in table.items():
            key = (name, ALIASES.get(metric.lower(), metric))
            cells[(name, metric) if key in cells else key] = printed
        return cls(cells, rounding)

    @cached_property
    def names(self) -> list[str]:
        """The classes."""
        return list(dict.fromkeys(name for name, _ in self.cells if name))

    @cached_property
    def supports(self) -> np.ndarray | None:
        """Samples of each class; None where one is missing, or all are 0."""
        found = [self.cells.get((name, "support")) for name in self.names]
        numbers = np.array([float(each.value) for each in found if each])
        return numbers if None not in found and numbers.any() else None

    def changed(self, changes: Changes) -> "Sheet":
        """Return the table with other cells, of which a matrix is looked for with less effort."""
        cells = {key: cell for key, cell in {**self.cells, **changes}.items() if cell}
        return Sheet(cells, self.rounding, nodes=1)

    def ends(self, key: Key) -> Ends:
        """Return what a printed figure may be, or 0 to 1 where it is not printed."""
        if (cell := self.cells.get(key)) is None:
            return 0.0, 1.0
        exact = (float(cell.value),) * 2
        return cell.ends(self.rounding, signed=key[1] in ("mcc", "cohen_kappa")) if self.rounding else exact

    @property
    def testable(self) -> list[Key]:
        """The figures that the search for a matrix tests; supports are given."""
        return [key for key in self.cells if key[1] in (OF_CLASSES[1:] if key[0] else _OF_ALL)]

    def ways(self, key: Key, folds: bool = False) -> list[Way]:
        """Return the ways to work out a figure from others, the usual one first.

        Over folds of any mix of classes, a weighted average is only bounded by the sum of the rows, or of
        what they lack to 1.
        """
        (name, metric), found = key, []
        kind, _, figure = {"accuracy": "weighted_recall"}.get(metric, metric).rpartition("_")
        rows = [(each, "support" if key == TOTAL else figure) for each in self.names if not name]
        if rows and all(row in self.cells for row in rows):
            low, high = np.array([self.ends(row) for row in rows]).T
            if key == TOTAL:
                found.append(Way("sum of the supports", (low.sum(), low.sum())))
            elif kind == "macro":
                found.append(Way("mean of the rows", (low.mean(), high.mean())))
            elif kind == "weighted" and folds:
                ends = max(0.0, 1 - (1 - low).sum()), min(1.0, high.sum())
                found.append(Way("limits of any mix of folds", ends, exact=False))
            elif kind == "weighted" and self.supports is not None:
                weights = self.supports / self.supports.sum()
                found.append(Way("mean of the rows, weighted by support", (weights @ low, weights @ high)))
        pair = [(name, metric.removesuffix("f1") + each) for each in METRICS[:2]] if figure == "f1" else []
        known = [
            [self.ends(each)] if each in self.cells else [w.ends for w in self.ways(each)] for each in pair
        ]
        if any(known):
            lows, highs = zip(*((ends or [(0.0, 1.0)])[0] for ends in known), strict=True)
            if folds or not (name or found):
                ends = max(0.0, sum(lows) - 1), min(1.0, _f1(*highs))
                found.append(Way("P + R - 1 to 2PR / (P + R), limits of a mean F1", ends, exact=False))
            if not folds and (name or all(known)):
                how = "2PR / (P + R)" if name else _OF_AVERAGES
                found.append(Way(how, (_f1(*lows), _f1(*highs)), exact=all(known)))
        return found

    def matrix(self, keys: Sequence[Key], *, one_class: bool = False) -> Search:
        """Look for a confusion matrix that prints some figures, of `one_class` against many other samples.

        Figures that follow from other printed ones limit it no further: they may have been worked out so.
        """
        names = [keys[0][0]] if one_class else self.names
        supports = [float(self.cells[name, "support"].value) for name in names]
        if one_class:
            others = 0 if self.supports is None else self.supports.sum() - supports[0]
            supports.append(others or 1000 * supports[0] + 1000)
        exact, wanted = Sheet(self.cells, None), []
        for key in [key for key in keys if key[1] != "support"]:
            derived = [way for way in exact.ways(key) if way.exact]
            derived += [way for way in self.ways(key) if way.how == _OF_AVERAGES]
            if not any(overlap(way.ends, self.ends(key)) for way in derived):
                wanted.append(((names.index(key[0]) if key[0] else None, key[1]), self.ends(key)))
        return _search(tuple(supports), tuple(wanted), self.nodes)


@lru_cache(maxsize=50_000)
def _search(supports: tuple, wanted: tuple, nodes: int) -> Search:
    return search_matrix(np.array(supports), dict(wanted), nodes=nodes)


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _named(key: Key) -> str:
    return " ".join(filter(None, key)).replace("_", " ")


# --- checks ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """One rule: some way to work out the `target` gives what is printed, and a matrix prints the `keys`."""

    where: str
    rule: str
    keys: Sequence[Key]
    target: Key | None = None
    needs_matrix: bool = False

    def matrix(self, sheet: Sheet) -> Search:
        """Look for a matrix that prints the keys."""
        keys = sheet.testable if self.rule == WHOLE else [key for key in self.keys if key in sheet.cells]
        return sheet.matrix(keys, one_class=self.target is not None)

    def way(self, sheet: Sheet, folds: bool) -> Way | None:
        """Return the first way that holds, or None. Means over folds need not fit one matrix."""
        ways = sheet.ways(self.target, folds) if self.target in sheet.cells else [Way("", (0.0, 1.0))]
        fitting = next((way for way in ways if overlap(way.ends, sheet.ends(self.target))), None)
        if fitting is None or folds or not self.needs_matrix:
            return fitting
        status = self.matrix(sheet).status  # a table with a mistake taken back needs more than a doubt
        return fitting if status == "feasible" or (status == "undecided" and sheet.nodes > 1) else None


def _checks(sheet: Sheet, *, folds: bool, whole: bool) -> Iterator[Check]:
    """Yield every rule that the table allows to check, those on single rows first."""
    names, cells, counted = sheet.names, sheet.cells, sheet.supports is not None
    from_pair = "F1 from precision and recall"
    for name in names:
        keys = [(name, m) for m in (*METRICS, "support", "predicted_count") if (name, m) in cells]
        rule = from_pair if (name, "f1") in cells else "whole numbers behind a row"
        if ((name, "support") in cells and len(keys) > 2) or {*METRICS} <= {metric for _, metric in keys}:
            yield Check(name, rule, keys, (name, "f1"), needs_matrix=(name, "support") in cells)
    for key in [key for key in cells if not key[0] and sheet.ways(key)]:
        kind, _, figure = ("", "", "recall") if key[1] == "accuracy" else key[1].rpartition("_")
        rows = [(name, figure) for name in names if (name, figure) in cells]
        rule = (
            "sum of the supports" if key == TOTAL else AVERAGE if len(rows) == len(names) > 0 else from_pair
        )
        weights = [(name, "support") for name in names if counted and kind != "macro" and key != TOTAL]
        pair = [("", f"{kind}_{m}".strip("_")) for m in METRICS[:2]]
        keys = [each for each in pair if each in cells] if rule == from_pair else rows + weights
        yield Check(_named(key), rule, [key, *keys], key)
    figures = [(name, metric) for name in names for metric in METRICS[:2]]
    if counted and not folds and all(key in cells for key in figures):
        yield Check("predictions", "predictions add up", figures, needs_matrix=True)
    if counted and whole and sheet.testable:
        yield Check("", WHOLE, sheet.testable, needs_matrix=True)


# --- mistakes -------------------------------------------------------------------------------------


class Mistake(NamedTuple):
    """A small mistake that may explain a contradiction, and the cells without it."""

    text: str
    changes: Changes


def _mistakes(sheet: Sheet, keys: Sequence[Key]) -> Iterator[Mistake]:
    """Yield averages under the name of another one, and changed digits of some cells."""
    cells = {key: sheet.cells[key] for key in keys if key in sheet.cells}
    for (name, metric), cell in cells.items():
        kind, _, figure = metric.partition("_")
        names = product(("macro", "weighted"), METRICS) if not name and kind in ("macro", "weighted") else ()
        for other in (("", "_".join(each)) for each in names if (each[0] == kind) != (each[1] == figure)):
            changes = {(name, metric): sheet.cells.get(other), other: cell}
            yield Mistake(f"{_named((name, metric))} {cell} is {_named(other)}", changes)
    for key, cell in cells.items():
        for new in cell.one_digit_changes():
            yield Mistake(f"{_named(key)} {new} for {cell}", {key: new})


def _corrections(sheet: Sheet, checks: Sequence[Check], folds: bool) -> list[Sequence[Mistake]]:
    """Return mistakes, one in each row that fails or else one in all, without which every check holds.

    Those that fit best come first. A wrong total is a mistake of its own.
    """
    checks = [check for check in checks if check.target != TOTAL]
    failing = [check for check in checks if not check.way(sheet, folds)]
    rows = [check for check in failing if check.where in sheet.names]
    options = [
        [m for m in _mistakes(sheet, check.keys) if check.way(sheet.changed(m.changes), folds)]
        for check in (rows or failing[:1])[:_MOST_MISTAKES]
    ]
    tried = islice(product(*options), _TRIES) if options else ()
    agree = (each for each in tried if all(check.way(_corrected(sheet, each), folds) for check in checks))
    found = list(islice(agree, _MOST_CORRECTIONS))
    return sorted(found, key=lambda correction: _distance(_corrected(sheet, correction)))


def _corrected(sheet: Sheet, correction: Sequence[Mistake]) -> Sheet:
    return sheet.changed({key: cell for mistake in correction for key, cell in mistake.changes.items()})


def _distance(sheet: Sheet) -> float:
    """Return how far the printed figures together are from those that the other printed ones give."""
    exact = Sheet(sheet.cells, None)
    found = ((exact.ends(key)[0], exact.ways(key)) for key in sheet.cells if key != TOTAL)
    return sum(abs(value - ways[0].ends[0]) for value, ways in found if ways and ways[0].exact)


# --- findings -------------------------------------------------------------------------------------


def check_table(
    table: Table,
    *,
    where: str,
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
    where
        Begins the locations of the findings.
    split
        How the numbers came about: a key of `READINGS`. If unknown, what only a mean over folds can print is
        not checkable.
    rounding
        How the numbers were shortened.
    matrix
        Counts (rows: truth) and class names of the confusion matrix that the table describes.
    """
    sheet, strict, loose = Sheet.of(table, rounding), READINGS[split][0], READINGS[split][-1]
    yield from (figures := list(_figure_findings(sheet, matrix, split, where)) if matrix else [])
    wrong = [each.location for each in figures if each.verdict == "inconsistent"]
    checks = list(_checks(sheet, folds=strict, whole=matrix is None))
    failing = [check for check in checks if not check.way(sheet, loose)]
    corrections = _corrections(sheet, checks, loose) if failing and not wrong else []
    # What only a mean over folds can print has one cause. A row that fails is a cause of what contains it.
    suspects = failing or [check for check in checks if not check.way(sheet, strict)]
    rows = [check for check in suspects if check.where in sheet.names]
    roots = wrong or [_at(where, check.where) for check in rows or suspects[:1]]
    for check in checks:
        found = _check_finding(sheet, check, split, where, corrections)
        related = [_at(where, row.where) for row in rows if {*row.keys} & {*check.keys}]
        if wrong or corrections or not failing or check.rule == WHOLE:
            related = related or roots
        own = found.location in roots or (check.target == TOTAL and not wrong)
        follows = related and not own and found.verdict != "consistent"
        yield replace(found, follows_from=related[0]) if follows else found
    if corrections and not loose and sheet.supports is not None and failing[0].rule != WHOLE:
        why = "These are the fewest mistakes without which all numbers agree; no result has to be wrong."
        why += f" A matrix that fits: {_hits(_corrected(sheet, corrections[0]))}."
        place, printed = _at(where, "fewest mistakes"), "; ".join(m.text for m in corrections[0])
        yield Finding(place, WHOLE, "noteworthy", printed, "", why, "likely", roots[0])
    yield from _majority_findings(sheet, matrix, where)


def _at(where: str, detail: str) -> str:
    return f"{where}: {detail}" if detail else where


def _shown(ends: Ends) -> str:
    texts = [f"{end:,.0f}" if max(ends) > 1.5 else f"{end:.4f}" for end in ends]
    return " to ".join(dict.fromkeys(texts))


def _hits(sheet: Sheet) -> str:
    found = sheet.matrix(sheet.testable)
    if found.hits is None:
        return found.status
    rows = zip(sheet.names, found.hits, found.predicted, strict=True)
    return ", ".join(f"{name} {h} hits of {p} predictions" for name, h, p in rows)


def _check_finding(
    sheet: Sheet, check: Check, split: str, where: str, corrections: Sequence[Sequence[Mistake]]
) -> Finding:
    (strict, *_, loose), cell, name = READINGS[split] * 2, sheet.cells.get(check.target), check.where
    way, ways = check.way(sheet, strict), sheet.ways(check.target, strict) if check.target else []
    of_folds, whole = loose and check.target != TOTAL, check.rule == WHOLE
    status = check.matrix(sheet).status if check.needs_matrix and not strict else ""
    why = [f"{each.how}: {_shown(each.ends)}." for each in ways]
    why += [f"{cell} stands for {_shown(sheet.ends(check.target))}."] if cell and cell.unit != "count" else []
    if status == "impossible":
        why.append("No whole numbers of hits and predictions print all of this.")
        recall, n = sheet.cells.get((name, "recall")), sheet.cells.get((name, "support"))
        if recall and n and not fits(recall, int(n.value)):
            why.append(f"{nearest_rates(recall, int(n.value))}: none prints as {recall}.")
    elif status and not whole:
        why.append("Whole numbers of hits and predictions print this.")
    elif whole:
        undecided = f"Not decided: {NODES} steps found neither a matrix nor a proof."
        found = undecided if status == "undecided" else f"One that fits: {_hits(sheet)}."
        why.append(
            "Means over folds need not fit one matrix, and no matrix of a fold is printed."
            if strict
            else found
        )
    if whole and (
        others := {key[1] for key in sheet.cells} - {key[1] for key in sheet.testable} - {"support"}
    ):
        why.append(f"Not tested: {', '.join(sorted(others))}.")
    verdict, certainty = "inconsistent", "certain"
    if whole and (strict or status == "undecided"):
        verdict = "not_checkable"
    elif way:
        verdict = "consistent"
        certainty = "possible" if (strict and of_folds) or (ways and way != ways[0]) else "certain"
    elif check.way(sheet, loose):
        verdict = "not_checkable"
        why.append("One test set cannot print this, means over folds can.")
    else:
        excuse = _excuse(sheet, check, loose, corrections)
        why += ["Nor can it be a mean over folds."] * (of_folds and not strict) + [excuse] * bool(excuse)
        any_mix = loose and check.rule == AVERAGE  # a fold may lack a class
        certainty = "likely" if excuse or any_mix else "certain"
    expected = " or ".join(_shown(each.ends) for each in ways) or "a confusion matrix that prints so"
    printed = str(cell or f"supports and {len(check.keys)} figures")
    if name in sheet.names:
        printed = ", ".join(f"{metric} {sheet.cells[key, metric]}" for key, metric in check.keys)
    return Finding(_at(where, name), check.rule, verdict, printed, expected, " ".join(why), certainty)


def _excuse(sheet: Sheet, check: Check, folds: bool, corrections: Sequence[Sequence[Mistake]]) -> str:
    """Return which mistakes in the cells of a check explain the whole table, or this rule alone."""
    found = dict.fromkeys(m.text for each in corrections for m in each if {*m.changes} & {*check.keys})
    if found:
        others = ", and one elsewhere," * (len(corrections[0]) > 1)
        return f"With one mistake{others} taken back, all numbers agree: {'; '.join([*found][:4])}."
    for mistake in _mistakes(sheet, check.keys) if check.rule != WHOLE else ():
        if mistake.changes.get(check.target, check) and check.way(sheet.changed(mistake.changes), folds):
            return f"One mistake would explain this rule alone: {mistake.text}."
    return ""


def _figure_findings(sheet: Sheet, matrix: Matrix, split: str, where: str) -> Iterator[Finding]:
    """Yield a finding for every printed figure that a printed matrix contradicts, or one that none is."""
    rule, (counts, names) = "figures of the confusion matrix", matrix

    def compare(counts: Sequence[Sequence[int]], undefined: int = 0) -> tuple[list[Key], dict[Key, float]]:
        exact = figures_of(counts, names, undefined=undefined)
        return [key for key in sheet.cells if not _prints(sheet, exact, key)], exact

    wrong, exact = min((compare(counts, undefined) for undefined in (0, 1)), key=lambda pair: len(pair[0]))
    shared = [key for key in sheet.cells if key in exact]
    if shared and not wrong:
        why = ", ".join(f"{_named(key)} {sheet.cells[key]} ({exact[key]:.4g})" for key in shared)
        why = f"Printed (recomputed from the cells): {why}."
        yield Finding(where, rule, "consistent", f"{len(shared)} figures", "the same", why)
    agree, (strict, *_, loose) = len(shared) - len(wrong), READINGS[split] * 2
    of_folds = strict or (loose and agree < max(3, len(wrong)))
    tried = _matrix_mistakes(counts, names) if len(wrong) > 1 else ()
    one_cause = next((text for text, changed in tried if not compare(changed)[0]), "")
    for key in wrong:
        cell, place = sheet.cells[key], _at(where, _named(key))
        shown = f"{100 * exact[key]:.3f} %" if cell.unit == "percent" else f"{exact[key]:.5g}"
        tried = ((m, sheet.changed(m.changes)) for m in _mistakes(sheet, [key]))
        slip = next(
            (m.text for m, changed in tried if all(_prints(changed, exact, k) for k in m.changes)), ""
        )
        why = f"The matrix gives {shown}, printed {cell}."
        why += (
            f" All figures fit with one mistake in the matrix taken back: {one_cause}." if one_cause else ""
        )
        why += f" One mistake would explain it: {slip}." if slip else ""
        why += " A mean over folds need not equal the figure of the pooled matrix." if of_folds else ""
        verdict = "not_checkable" if of_folds else "inconsistent"
        certainty = "likely" if not of_folds and (slip or one_cause or loose) else "certain"
        source = _at(where, _named(wrong[0])) if one_cause and key != wrong[0] else ""
        yield Finding(place, rule, verdict, str(cell), shown, why, certainty, source)


def _prints(sheet: Sheet, exact: Mapping[Key, float], key: Key) -> bool:
    """Return whether a figure is printed as it is, or cannot be compared."""
    return key not in exact or key not in sheet.cells or overlap((exact[key],) * 2, sheet.ends(key))


def _matrix_mistakes(
    counts: Sequence[Sequence[int]], names: Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a matrix with rows and columns exchanged, and those with a changed digit."""
    yield "transposed", np.transpose(counts)
    for i, j in product(range(len(names)), repeat=2):
        for new in Printed(str(counts[i][j]), "count").one_digit_changes():
            changed = np.array(counts)
            changed[i, j] = int(new.text)
            yield f"{new} for {counts[i][j]} in {names[i]} as {names[j]}", changed


def _majority_findings(sheet: Sheet, matrix: Matrix | None, where: str) -> Iterator[Finding]:
    """Yield whether accuracies are above those of always predicting one class, or of never predicting it."""
    exact, supports, names = {}, sheet.supports, sheet.names
    if matrix:
        exact, supports, names = figures_of(*matrix), np.sum(matrix[0], axis=1), matrix[1]
    if supports is None:
        return
    n, rule = int(supports.sum()), "accuracy against the majority class"
    each = {(name, "one_vs_rest_accuracy"): max(s, n - s) for name, s in zip(names, supports, strict=True)}
    groups = {
        "accuracy and majority class": {("", "accuracy"): supports.max()},
        "accuracy of each class": each,
    }
    for detail, baselines in groups.items():
        if not all(key in sheet.cells or (exact and not key[0]) for key in baselines):
            continue
        right = [round(exact[key] * n) if exact else int(sheet.ends(key)[1] * n + SLACK) for key in baselines]
        pairs = list(zip(baselines, right, map(int, baselines.values()), strict=True))
        verdict = "consistent" if all(k > most for _, k, most in pairs) else "noteworthy"
        shown = (
            f"{key[0]} {k}/{n} = {k / n:.2%} against {most}/{n} = {most / n:.2%}" for key, k, most in pairs
        )
        why = (
            f"Against always predicting the largest class, or one class always or never: {'; '.join(shown)}."
        )
        printed = ", ".join(f"{key[0]} {sheet.cells.get(key, f'{k / n:.2%}')}".strip() for key, k, _ in pairs)
        expected = "more than " + ", ".join(f"{most / n:.2%}" for *_, most in pairs)
        yield Finding(_at(where, detail), rule, verdict, printed, expected, why)
